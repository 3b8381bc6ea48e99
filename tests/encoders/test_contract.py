"""One suite over every registered encoder, each in its causal and other variants."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tscl.encoders import ENCODERS, Encoder, EncoderLike
from tscl.errors import ConfigError, InputError
from tscl.seeding import seeded

SMALL: dict[str, Any] = {
    "output_dims": 6,
    "hidden_dims": 8,
    "depth": 2,
    "heads": 2,
    "ffn_dims": 8,
    "kernels": (1, 2, 4),
}
BUILT_IN = ("cost", "dilated", "experts", "informer", "lstm", "tcn", "transformer")


def _variants() -> list[tuple[str, dict[str, Any]]]:
    out = []
    for name in ENCODERS.names():
        known = ENCODERS.parameters(name)
        base = {key: value for key, value in SMALL.items() if key in known}
        choices = [base]
        if "causal" in known:
            choices = [{**base, "causal": flag} for flag in (False, True)]
        if "context" in known:
            choices += [{**choice, "context": 7} for choice in choices]
        if "backbone" in known:
            inner = {"hidden_dims": 8, "depth": 2}
            choices = [
                {**base, "backbone": "dilated", "backbone_params": {**inner, "causal": flag}}
                for flag in (False, True)
            ]
        out += [(name, choice) for choice in choices]
    return out


VARIANTS = _variants()
IDS = [
    f"{n}-{'causal' if (k | k.get('backbone_params', {})).get('causal') else 'plain'}"
    f"-{k.get('context', '')}"
    for n, k in VARIANTS
]
every_encoder = pytest.mark.parametrize(("name", "params"), VARIANTS, ids=IDS)


def _build(name: str, params: dict[str, Any], seed: int = 0, **more: Any) -> Encoder:
    with seeded(seed):
        return ENCODERS.build(name, **{"input_dims": 3, **params, **more})


def _series(batch: int, length: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, length, 3, generator=torch.Generator().manual_seed(seed))


def test_built_in_encoders_are_registered() -> None:
    assert set(BUILT_IN) <= set(ENCODERS.names())


@every_encoder
@settings(max_examples=8, deadline=None)
@given(batch=st.integers(1, 4), length=st.integers(1, 40), channels=st.integers(1, 5))
def test_shapes(name: str, params: dict[str, Any], batch: int, length: int, channels: int) -> None:
    encoder = _build(name, params, input_dims=channels)
    x = torch.randn(batch, length, channels)
    assert isinstance(encoder, EncoderLike)
    assert encoder(x).shape == (batch, length, encoder.output_dims)
    assert encoder(x).dtype == torch.float32
    assert encoder.forward_last(x).shape == (batch, encoder.output_dims)


@every_encoder
def test_nan_steps_are_as_masked_ones(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params).eval()
    x = _series(2, 30)
    holes = x.clone()
    holes[0, 4:9, 1] = torch.nan
    keep = torch.ones(2, 30, dtype=torch.bool)
    keep[0, 4:9] = False
    out = encoder(holes)
    assert out.isfinite().all()
    torch.testing.assert_close(out, encoder(x, keep))
    assert not torch.allclose(out[0], encoder(x)[0])
    assert encoder(torch.full_like(x, torch.nan)).isfinite().all()
    loss = encoder.train()(holes).square().sum()
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


@every_encoder
def test_mask_hides_steps_and_latent_channels(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params).eval()
    x, other = _series(2, 30), _series(2, 30, seed=5)
    nothing = torch.zeros(2, 30, dtype=torch.bool)
    torch.testing.assert_close(encoder(x, nothing), encoder(other, nothing), rtol=0, atol=0)
    channels = torch.ones(2, 30, 8, dtype=torch.bool)
    torch.testing.assert_close(encoder(x, channels), encoder(x))
    channels[:, :, 3] = False
    assert not torch.allclose(encoder(x, channels), encoder(x))
    with pytest.raises(InputError, match="mask"):
        encoder(x, torch.ones(2, 29, dtype=torch.bool))


@every_encoder
@pytest.mark.parametrize(("length", "step"), [(20, 0), (50, 31), (260, 256)])
def test_causal_codes_are_bit_equal_whatever_follows(
    name: str, params: dict[str, Any], length: int, step: int
) -> None:
    encoder = _build(name, params).eval()
    x = _series(3, length)
    changed = x.clone()
    changed[:, step + 1 :] = 50.0 * _series(3, length, seed=9)[:, step + 1 :]
    with torch.no_grad():
        before, after = encoder(x), encoder(changed)
    assert not torch.equal(before, after)
    if encoder.causal:
        assert torch.equal(before[:, : step + 1], after[:, : step + 1])
    elif length < 260:
        assert not torch.allclose(before[:, : step + 1], after[:, : step + 1])


@pytest.mark.parametrize("name", ["dilated", "cost"])
def test_bit_equal_at_the_published_size(name: str) -> None:
    encoder = _build(name, {"causal": True}).eval()
    x = _series(2, 200)
    changed = x.clone()
    changed[:, 101:] += 1000.0
    with torch.no_grad():
        assert torch.equal(encoder(x)[:, :101], encoder(changed)[:, :101])


@every_encoder
def test_receptive_field_is_what_gradients_reach(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params).eval()
    if "mixture" in encoder.config():
        encoder.mixture = "folded"  # frequencies leave gradients of rounding size everywhere
    length = 40 if encoder.receptive_field is None else 2 * encoder.receptive_field + 5
    x = _series(8, length).requires_grad_()
    step = length - 1 if encoder.causal else length // 2
    encoder(x)[:, step].square().sum().backward()
    assert x.grad is not None
    reached = x.grad.abs().sum(dim=(0, 2)).nonzero().flatten()
    first, last = int(reached[0]), int(reached[-1])
    if encoder.receptive_field is None:
        assert first == 0
    else:
        assert last - first + 1 == encoder.receptive_field
    assert last == step if encoder.causal else last > step


@every_encoder
def test_state_and_config_rebuild_the_encoder(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params).eval()
    config = encoder.config()
    twin = ENCODERS.build(name, **config)
    twin.load_state_dict(encoder.state_dict())
    x = _series(2, 25)
    assert torch.equal(twin.eval()(x), encoder(x))
    assert twin.config() == config
    assert set(ENCODERS.parameters(name)) == set(config)


@every_encoder
def test_seeds(name: str, params: dict[str, Any]) -> None:
    x = _series(2, 25)
    one, same, other = (_build(name, params, seed).eval()(x) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


@every_encoder
@pytest.mark.parametrize("length", [1, 2, 7, 64, 201])
def test_last_step_alone_equals_the_last_of_all(
    name: str, params: dict[str, Any], length: int
) -> None:
    encoder = _build(name, params).eval().double()
    x = _series(3, length).double()
    x[0, : length // 2] = torch.nan
    torch.testing.assert_close(encoder.forward_last(x), encoder(x)[:, -1], rtol=1e-9, atol=1e-12)


@every_encoder
def test_bad_input_is_named(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params)
    with pytest.raises(InputError, match="n_samples, n_timesteps"):
        encoder(torch.zeros(4, 3))
    with pytest.raises(InputError, match="channels"):
        encoder(torch.zeros(2, 4, 5))
    with pytest.raises(InputError, match="at least one"):
        encoder(torch.zeros(2, 0, 3))


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"experts"}))
@pytest.mark.parametrize(
    ("field", "value"), [("input_dims", 0), ("depth", -1), ("dropout", 1.0), ("hidden_dims", 2.5)]
)
def test_bad_arguments_are_named(name: str, field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        ENCODERS.build(name, **{"input_dims": 3, field: value})


def test_other_bad_arguments_are_named() -> None:
    with pytest.raises(InputError, match="odd"):
        ENCODERS.build("dilated", input_dims=3, kernel_size=4)
    with pytest.raises(InputError, match="heads"):
        ENCODERS.build("transformer", input_dims=3, hidden_dims=12, heads=8)
    with pytest.raises(ConfigError, match="folded_fft"):
        ENCODERS.build("cost", input_dims=3, mixture="folded_ftt")


def test_transformer_knows_the_order_of_steps() -> None:
    params = {key: SMALL[key] for key in ("output_dims", "hidden_dims", "depth", "heads")}
    encoder = _build("transformer", params).eval()
    x = _series(1, 12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(encoder(x[:, order]), encoder(x)[:, order], atol=1e-4)
