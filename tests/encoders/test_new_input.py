"""A trained encoder for other channels: only what depends on their number is drawn anew."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

from tests.encoders.test_braindecode import REASON
from tests.encoders.test_braindecode import _build as build_braindecode
from tests.encoders.test_contract import IDS, VARIANTS, _build
from tscl.encoders import ENCODERS, Encoder
from tscl.encoders.new_input import with_new_input
from tscl.errors import InputError
from tscl.evaluation.clinical.core_tuning import TUNERS, build_tuner
from tscl.evaluation.clinical.finetune import FineTuner
from tscl.seeding import seeded


def _kept_and_new(old: Encoder, new: Encoder) -> tuple[set[str], set[str]]:
    before, after = old.state_dict(), new.state_dict()
    kept = {k for k in after if k in before and torch.equal(before[k], after[k])}
    return kept, set(after) - kept


@pytest.mark.parametrize(("name", "params"), VARIANTS, ids=IDS)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_every_encoder_keeps_all_but_its_first_layer(
    name: str, params: dict[str, Any], channels: int
) -> None:
    old = _build(name, params).eval()
    new = with_new_input(old, channels, seed=3)
    x = torch.randn(2, 40, channels, generator=torch.Generator().manual_seed(0))
    assert new(x).shape == old(torch.zeros(2, 40, 3)).shape
    kept, fresh = _kept_and_new(old, new)
    assert fresh
    shapes = {key: value.shape for key, value in old.state_dict().items()}
    other = _build(name, params, input_dims=7).state_dict()
    unlike = {key for key in other if shapes[key] != other[key].shape}
    assert unlike <= fresh
    assert {key.split(".")[0] for key in fresh} == {key.split(".")[0] for key in unlike}
    assert len(kept) > len(fresh)
    again, another = with_new_input(old, channels, seed=3), with_new_input(old, channels, seed=4)
    assert torch.equal(again(x), new(x))
    assert not torch.equal(another(x), new(x))


@pytest.mark.skipif(bool(REASON), reason=REASON or "braindecode is here")
def test_a_network_of_braindecode_keeps_all_but_its_spatial_filters() -> None:
    old = build_braindecode("EEGNet").eval()
    new = with_new_input(old, 7)
    assert new(torch.randn(2, 250, 7)).shape == old(torch.randn(2, 250, 4)).shape
    kept, fresh = _kept_and_new(old, new)
    assert len(kept) > len(fresh) > 0


def test_what_is_new_is_said_and_the_encoder_is_left_alone(caplog) -> None:
    with seeded(0):
        old = ENCODERS.build("dilated", input_dims=12, hidden_dims=8, depth=2, output_dims=4)
    before = {key: value.clone() for key, value in old.state_dict().items()}
    state = torch.random.get_rng_state()
    with caplog.at_level(logging.WARNING):
        new = with_new_input(old, 2, seed=5)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert "input layer drawn anew for 2 channels (seed 5)" in caplog.text
    assert new.training is old.training
    assert all(torch.equal(before[key], value) for key, value in old.state_dict().items())


@pytest.mark.parametrize("name", TUNERS)
def test_a_trained_encoder_is_tuned_on_other_channels(name: str) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    step = np.where(y == 0, 0.3, 1.0)[:, None] * np.arange(48) + rng.uniform(0, 6, (40, 1))
    X = np.sin(step)[:, :, None] * np.asarray([1.0, -0.5]) + 0.1 * rng.normal(size=(40, 48, 2))
    with seeded(0):
        encoder = ENCODERS.build("dilated", input_dims=3, hidden_dims=8, depth=3, output_dims=8)
    given = {"epochs": 25, "lr": 5e-3, "batch_size": 20, "name": name}
    with pytest.raises(InputError, match=r"2 channels.*channels='new_input'"):
        build_tuner(encoder, 2, **given).fit(X, y)
    tuner = build_tuner(encoder, 2, channels="new_input", **given).fit(X, y)
    assert tuner.network_.encoder.input_dims == 2
    assert (tuner.predict(X) == y).mean() > 0.9
    with pytest.raises(InputError, match="3 channels"):
        tuner.predict(np.zeros((2, 48, 3)))
    tuner.fit(X[:, :, :1], y)
    assert tuner.network_.encoder.input_dims == 1


@pytest.mark.parametrize(
    ("given", "field"),
    [({"channels": "other"}, "channels"), ({"channels": "new_input", "frozen": True}, "channels")],
)
def test_bad_choices_of_channels_are_named(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as error:
        FineTuner(ENCODERS.build("dilated", input_dims=2), 2, **given).fit(
            np.zeros((4, 9, 3)), np.arange(4) % 2
        )
    assert error.value.field == field


def test_what_cannot_be_built_again_is_refused() -> None:
    with pytest.raises(InputError, match="register the class"):
        with_new_input(torch.nn.Linear(2, 3), 3)
    with pytest.raises(InputError, match="at least 1"):
        with_new_input(ENCODERS.build("dilated", input_dims=2), 0)
