"""Paired modalities: learned temperature, lead groups, reports as vectors, zero-shot labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.estimators.tiny import transformer, waves
from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, InputError
from tscl.methods import METHODS, Method
from tscl.methods.base import Batch
from tscl.seeding import seeded, torch_generator

LOSSES = ["infonce", "ntxent", "cwcl", "m3col", "contrastive_gap"]


def paired(channels: int = 4, **params: Any) -> Method:
    with seeded(0, "paired"):
        encoder = ENCODERS.build(
            "dilated", input_dims=channels, output_dims=8, hidden_dims=8, depth=1
        )
        method = METHODS.build("paired", encoder=encoder, projection_dims=6, **params)
    return method.double().eval()


def batch(other: Tensor | None = None) -> Batch:
    x = torch.randn(7, 20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Batch(x, torch.arange(7), extra={} if other is None else {"paired": other})


def loss_of(method: Method, given: Batch) -> Tensor:
    if hasattr(method.loss, "calls"):
        method.loss.calls.zero_()
    return method.losses(given, "encoder", torch_generator(0, "paired"))["loss"]


@pytest.mark.parametrize("name", ["infonce", "ntxent", "cwcl", "m3col"])
def test_the_gradient_of_the_temperature_is_that_of_a_difference(name):
    vectors = torch.randn(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    params = {"mix_share": 0.0} if name == "m3col" else {}
    method = paired(dims=5, loss=name, loss_params=params)
    loss_of(method, batch(vectors)).backward()
    slope, step = method.scale.grad.item(), 1e-5
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            method.scale += sign * step
            sides.append(loss_of(method, batch(vectors)).item())
            method.scale -= sign * step
    assert slope == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-4)
    assert abs(slope) > 1e-3


def test_its_value_is_clips_written_out():
    vectors = torch.randn(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    method = paired(dims=5, loss="infonce", loss_params={"temperature": 0.2})
    got = loss_of(method, batch(vectors)).item()
    with torch.no_grad():
        a = method.project(batch().x).numpy()
        b = method.project_other(vectors).numpy()
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    total = 0.0
    for i in range(7):
        for rows in (a[i] @ b.T, b[i] @ a.T):
            total += np.log(np.exp(rows / 0.2).sum()) - rows[i] / 0.2
    assert got == pytest.approx(total / 14, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_lead_groups_share_no_channel(name):
    method = paired(
        loss=name, learn_temperature=name != "contrastive_gap", channel_groups=[[0, 2], [1]]
    )
    one = batch()
    one.x.requires_grad_(True)
    first, second = method._split(one.x)
    method.project(first).sum().backward()
    reached = one.x.grad.abs().sum((0, 1))
    assert reached[[0, 2]].min() > 0
    assert reached[[1, 3]].max() == 0
    assert torch.isnan(second[:, :, [0, 2, 3]]).all()
    assert torch.isfinite(loss_of(method, one))


def test_what_does_not_fit_is_named():
    with pytest.raises(ConfigError, match="learn_temperature"):
        paired(loss="contrastive_gap")
    with pytest.raises(InputError, match="two groups"):
        paired(channel_groups=[[0]])
    with pytest.raises(InputError, match="channels 0 to 3"):
        loss_of(paired(channel_groups=[[0], [4]]), batch())
    with pytest.raises(InputError, match="no two groups"):
        one = batch()
        loss_of(paired(channels=1), Batch(one.x[:, :, :1], one.index))
    with pytest.raises(InputError, match=r"pass \(B, 5\)"):
        loss_of(paired(dims=5), batch(torch.zeros(7, 4)))
    with pytest.raises(InputError, match="dims"):
        loss_of(paired(), batch(torch.zeros(7, 4)))
    with pytest.raises(InputError, match="no second modality"):
        loss_of(paired(dims=5), batch())
    X, _ = waves()
    with pytest.raises(InputError, match="method='paired'"):
        transformer("simclr").fit(X, paired=np.zeros((24, 3)))
    with pytest.raises(InputError, match="give one a series, 24"):
        transformer("paired").fit(X, paired=np.zeros((23, 3)))
    with pytest.raises(InputError, match="finite vectors"):
        transformer("paired").fit(X, paired=np.full((24, 3), np.nan))
    with pytest.raises(InputError, match="in this process"):
        transformer("simclr").fit(X).similarity(X, np.zeros((2, 3)))


@pytest.mark.parametrize("name", LOSSES)
def test_reports_as_vectors_name_the_class_of_series_never_seen(name):
    """The class is the sign of one of eight noisy numbers; no label is given.

    Reports that say the opposite of each class must lead to the opposite names.
    """
    X, y = waves(120, steps=50, channels=1, seed=5)
    fresh, truth = waves(80, steps=50, channels=1, seed=6)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(120, 8)).astype(np.float32)
    vectors[:, 3] = 3.0 * (2 * y - 1)
    prompts = np.zeros((2, 8), np.float32)
    prompts[:, 3] = (-3.0, 3.0)
    learn = name != "contrastive_gap"
    params = {"loss": name, "learn_temperature": learn}
    settings = {"max_epochs": 25, "batch_size": 30, "lr": 5e-3, "averaging": "none"}
    model = transformer("paired", method_params=params, **settings).fit(X, paired=vectors)
    right = (model.similarity(fresh, prompts).argmax(axis=1) == truth).mean()
    swapped = transformer("paired", method_params=params, **settings)
    swapped.fit(X, paired=vectors * np.where(np.arange(8) == 3, -1, 1).astype(np.float32))
    wrong = (swapped.similarity(fresh, prompts).argmax(axis=1) == truth).mean()
    assert right > 0.9
    assert wrong < 0.1
    assert model.transform(fresh).shape == (80, 8)


def test_paired_series_have_an_encoder_of_their_own():
    X, y = waves(120, steps=50, channels=1, seed=5)
    other = np.repeat((2.0 * y - 1)[:, None, None], 20, 1).repeat(3, 2)
    other = (other + np.random.default_rng(0).normal(size=other.shape)).astype(np.float32)
    settings = {"max_epochs": 25, "batch_size": 30, "lr": 5e-3, "averaging": "none"}
    model = transformer("paired", **settings).fit(X, paired=other)
    fresh, truth = waves(80, steps=50, channels=1, seed=6)
    prompts = np.stack([np.full((20, 3), -1.0), np.full((20, 3), 1.0)])
    assert (model.similarity(fresh, prompts).argmax(axis=1) == truth).mean() > 0.9
