"""The estimator form: data types, parameters, seeds, user encoders, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from torch import nn

import tscl
from tscl.errors import ConfigError, DataError, InputError, NotFittedError
from tscl.estimators import AutoTCL, Representation


def panel(n: int = 8, steps: int = 40, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, steps, channels)).astype(np.float32)


def small(**options) -> AutoTCL:
    base = {
        "encoder_params": {"output_dims": 6, "hidden_dims": 4, "depth": 2, "causal": True},
        "augmentation": {"aug_hidden": 4, "aug_depth": 1},
        "max_epochs": 1,
        "batch_size": 4,
    }
    return AutoTCL(**({"encoder": "dilated"} | base | options))


def test_fit_encode_transform():
    X = panel()
    model = small()
    assert model.fit(X) is model
    assert model.encode(X).shape == (8, 40, 6)
    assert model.encode(X).dtype == np.float32
    assert np.array_equal(model.transform(X), model.encode(X).max(axis=1))
    assert model.encode(X, causal=True).shape == (8, 40, 6)
    assert isinstance(tscl.AutoTCL(), AutoTCL)


def test_a_coarse_encoder_keeps_its_rate_and_lengths():
    X = panel(steps=41)
    X[2, 17:] = np.nan
    X[3, :, 1] = np.nan
    encoder = {"widths": [6], "strides": 2, "stem_stride": 2}
    model = Representation("ts2vec", encoder="resnet1d", encoder_params=encoder, max_epochs=1,
                           batch_size=4, pooling="mean+max").fit(X)  # fmt: skip
    codes = model.encode(X)
    assert codes.shape == (8, 11, 6)
    assert np.isnan(codes[2, 5:]).all()
    assert np.isfinite(codes[2, :5]).all()
    alone = model.encode(X[2:3, :17])
    np.testing.assert_allclose(codes[2, :5], alone[0], atol=1e-5)
    assert model.transform(X).shape == (8, 12)
    assert np.abs(model.transform(X)[3] - model.transform(np.nan_to_num(X))[3]).max() < 1e-5
    with pytest.raises(InputError, match=r"encoder.stride: got 4; encode_causal"):
        model.encode(X, causal=True)


def test_poolings_by_name():
    X = panel()
    model = small(pooling="last+mean").fit(X)
    steps = model.encode(X)
    told = np.concatenate([steps[:, -1], steps.mean(axis=1, dtype=np.float64)], axis=1)
    # the pools are in float64, their last rounding is 2^-24
    np.testing.assert_allclose(model.transform(X), told, rtol=6e-8)
    with pytest.raises(ConfigError, match="pooling"):
        small(pooling="first").fit(X)


def test_data_types_agree():
    X = panel(1, 300)
    frame = pd.DataFrame(X[0], index=pd.date_range("2020", periods=300, freq="h"))
    options = {"max_train_length": 60}
    codes = [
        small(**options).fit(kind).encode(kind) for kind in (X, X[0], torch.from_numpy(X), frame)
    ]
    for other in codes[1:]:
        assert np.array_equal(codes[0], other)


def test_parameters_clone_seed_and_input_unchanged():
    X = panel()
    before = X.copy()
    model = small(random_state=3)
    assert clone(model).get_params() == model.get_params()
    one, two = model.fit(X).encode(X), clone(model).fit(X).encode(X)
    again = model.fit(X).encode(X)
    assert np.array_equal(one, two)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, small(random_state=4).fit(X).encode(X))
    assert np.array_equal(X, before)


class UserEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input_dims, self.output_dims, self.causal, self.receptive_field = 2, 5, True, 1
        self.layer = nn.Linear(2, 5)

    def forward(self, x, mask=None):
        z = self.layer(torch.nan_to_num(x))
        return z if mask is None else z * mask.unsqueeze(-1)


def test_user_encoder_and_every_method_by_name():
    X = panel()
    own = UserEncoder()
    start = own.layer.weight.clone()
    model = small(encoder=own, encoder_params=None).fit(X)
    assert model.encode(X).shape == (8, 40, 5)
    assert torch.equal(own.layer.weight, start)
    for name in ("ts2vec", "simclr"):
        made = Representation(name, encoder=own, max_epochs=1, batch_size=4).fit(X)
        assert np.isfinite(made.transform(X)).all()


def test_missing_values_are_allowed():
    X = panel()
    X[0, 3:9] = np.nan
    assert np.isfinite(small().fit(X).encode(X)).all()


DATES = pd.date_range("2020", periods=50, freq="h")


@pytest.mark.parametrize(
    ("X", "field"),
    [
        (np.zeros((2, 3, 4, 5)), "X"),
        (np.zeros((0, 30, 1)), "X"),
        (np.full((4, 30, 1), np.inf), "X"),
        (np.ones((4, 30, 1)), "channel 0"),
        (panel(1, 20), "X"),
        (pd.DataFrame({"a": np.arange(50.0)}, index=DATES[::-1]), "timestamps"),
        (pd.DataFrame({"a": np.arange(50.0)}, index=DATES[:1].append(DATES[:-1])), "timestamps"),
        (pd.DataFrame({"a": ["x"] * 50}), "X"),
    ],
)
def test_bad_input_is_named(X, field):
    with pytest.raises(DataError) as caught:
        small().fit(X)
    assert caught.value.field == field


def test_use_before_fit_and_other_channels():
    with pytest.raises(NotFittedError, match="fit"):
        small().encode(panel())
    with pytest.raises(DataError, match="2 channels"):
        small().fit(panel()).encode(panel(channels=3))
    with pytest.raises(InputError, match="3 channels"):
        small(encoder=UserEncoder()).fit(panel(channels=3))
