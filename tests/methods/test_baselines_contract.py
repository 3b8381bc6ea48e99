"""What every baseline method must do, around more than one encoder."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tscl.encoders import ENCODERS, Encoder
from tscl.encoders.base import project_input
from tscl.errors import ConfigError, InputError
from tscl.methods import METHODS, Method
from tscl.methods.base import Batch
from tscl.seeding import seeded, torch_generator

SMALL: dict[str, dict[str, Any]] = {
    "byol": {"projection_dims": 8, "hidden_dims": 8},
    "clocs": {},
    "mixing_up": {"projection_dims": 8, "hidden_dims": 8},
    "moco_v3": {"projection_dims": 8, "hidden_dims": 8},
    "simclr": {"projection_dims": 8},
    "tf_c": {"projection_dims": 8, "hidden_dims": 8},
    "ts2vec": {},
    "ts_tcc": {
        "horizon": 2,
        "tokens": 8,
        "context_dims": 8,
        "context_depth": 1,
        "context_dropout": 0.0,
    },
}
NAMES = sorted(SMALL)


class TinyEncoder(Encoder):
    """One causal convolution after the masked projection."""

    causal = True
    receptive_field = 3

    def __init__(self, input_dims: int = 3, output_dims: int = 16) -> None:
        super().__init__()
        self.input_dims, self.output_dims, self.hidden_dims = input_dims, output_dims, 5
        self.projection = nn.Linear(input_dims, 5)
        self.conv = nn.Conv1d(5, output_dims, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        latent = project_input(x, self.projection, mask).transpose(1, 2)
        return self.conv(nn.functional.pad(latent, (2, 0))).transpose(1, 2)


def tiny() -> TinyEncoder:
    with seeded(0, "encoder"):
        return TinyEncoder()


def dilated() -> Encoder:
    with seeded(0, "encoder"):
        return ENCODERS.build(
            "dilated", input_dims=3, output_dims=16, hidden_dims=5, depth=2, dropout=0.0
        )


def build(name: str, encoder: nn.Module | None = None, **params: Any) -> Method:
    encoder = tiny() if encoder is None else encoder
    with seeded(0, "method"):
        return METHODS.build(name, encoder=encoder, **{**SMALL[name], **params})


def planted(n: int = 16, t: int = 32, seed: int = 0) -> Batch:
    """Four patients, each with a rhythm of its own in three leads, under noise."""
    generator = torch_generator(seed, "planted")
    patient = torch.arange(n) % 4
    time = torch.arange(t) / t
    phase = torch.rand(n, 1, 1, generator=generator)
    rhythm = torch.tensor([1.0, 3.0, 6.0, 11.0])[patient][:, None, None]
    wave = torch.sin(2 * math.pi * (rhythm * time[None, :, None] + phase))
    gain = torch.tensor([1.0, -0.5, 0.8])
    x = wave * gain + 0.2 * torch.randn(n, t, 3, generator=generator)
    return Batch(x, torch.arange(n), {"patient": patient}, labels=patient)


def value(method: Method, batch: Batch, seed: int = 1) -> dict[str, Tensor]:
    return dict(method.losses(batch, "encoder", torch_generator(seed, "step")))


@pytest.mark.parametrize("make", [tiny, dilated])
@pytest.mark.parametrize("name", NAMES)
def test_terms_are_finite_scalars_and_reach_every_parameter(name: str, make: Any) -> None:
    method = build(name, make())
    terms = value(method, planted())
    assert all(term.ndim == 0 and torch.isfinite(term) for term in terms.values())
    terms["loss"].backward()
    trained = [(k, v) for k, v in method.named_parameters() if v.requires_grad]
    for parameter, tensor in trained:
        assert tensor.grad is not None, parameter
        assert torch.isfinite(tensor.grad).all(), parameter
    assert any(p.grad.abs().sum() > 0 for p in method.encoder.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_seed_decides_the_loss(name: str) -> None:
    params = {"variant": "cmlc"} if name == "clocs" else {}  # segments draw nothing
    method, batch = build(name, **params), planted()
    state = torch.get_rng_state()
    first, again, other = (float(value(method, batch, s)["loss"]) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_lower_the_loss(name: str) -> None:
    method, batch = build(name), planted()

    def mean() -> float:
        with torch.no_grad():
            return sum(float(value(method, batch, 100 + s)["loss"]) for s in range(8)) / 8

    before = mean()
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-3)
    for step in range(20):
        optimizer.zero_grad()
        value(method, batch, step)["loss"].backward()
        optimizer.step()
    assert mean() < before - 0.02 * abs(before)


POOLED = [
    name
    for name in METHODS.names()
    if "pooling" in METHODS.parameters(name)
    and name not in ("end_to_end", "knowledge_distillation")
]
"""Beside forecasts, and a method that needs targets (in its own test)."""


@pytest.mark.parametrize("name", POOLED)
def test_embeddings_are_pooled_in_several_ways_at_once(name: str) -> None:
    params = {"projection_dims": 8} if "projection_dims" in METHODS.parameters(name) else {}
    with seeded(0, "method"):
        method = METHODS.build(name, encoder=dilated(), pooling="mean+std+max", **params)
    terms = value(method, planted())
    terms["loss"].backward()
    assert torch.isfinite(terms["loss"])
    with pytest.raises(ConfigError, match="nowhere"):
        METHODS.build(name, encoder=dilated(), pooling="mean+nowhere", **params)


@pytest.mark.parametrize("name", NAMES)
def test_missing_values_are_taken(name: str) -> None:
    batch = planted()
    batch.x[0, 3:9] = torch.nan
    batch.x[1, :, 1] = torch.nan
    terms = value(build(name), batch)
    assert torch.isfinite(terms["loss"])


@pytest.mark.parametrize("name", NAMES)
def test_input_batch_is_not_changed(name: str) -> None:
    batch = planted()
    before = batch.x.clone()
    value(build(name), batch)
    assert torch.equal(batch.x, before)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_rank_and_encoder_are_named(name: str) -> None:
    batch = planted()
    flat = Batch(batch.x[..., 0], batch.index, batch.ids)
    with pytest.raises(InputError, match=r"batch\.x"):
        value(build(name), flat)
    if name != "ts2vec":
        with pytest.raises(InputError, match="output_dims"):
            build(name, nn.Linear(3, 4))


@pytest.mark.parametrize("name", ["byol", "moco_v3", "simclr", "tf_c", "ts_tcc", "mixing_up"])
def test_one_sample_is_too_few(name: str) -> None:
    with pytest.raises(InputError, match="batch size: got 1"):
        value(build(name), planted(n=1))


@pytest.mark.parametrize("name", NAMES)
def test_state_round_trip_gives_the_same_loss(name: str) -> None:
    method, batch = build(name), planted()
    value(method, batch)["loss"].backward()
    with torch.no_grad():
        for parameter in (p for p in method.parameters() if p.requires_grad):
            parameter.sub_(0.1 * parameter.grad)
    twin = build(name)
    assert float(value(twin, batch)["loss"]) != float(value(method, batch)["loss"])
    twin.load_state_dict(method.state_dict())
    assert float(value(twin, batch)["loss"]) == float(value(method, batch)["loss"])
