"""One suite over every registered encoder, each in its causal and other variants."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tscl.encoders import ENCODERS, Encoder, EncoderLike
from tscl.encoders.base import require_every_step
from tscl.encoders.strided import BatchNorm, GroupNorm
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
STRIDED: dict[str, list[dict[str, Any]]] = {
    "resnet1d": [
        {"widths": [8, 6], "strides": [1, 2], "depths": [2, 1], "stem_stride": 3},
        {"widths": [8, 6], "strides": [3, 2], "stem_layers": 3, "kernel_size": [1, 5]},
        {"widths": [8, 6], "strides": 1, "stem_stride": 1, "output_dims": 5, "norm": "group"},
    ],
    "inception_time": [
        {"filters": 3, "depth": 4, "kernels": [1, 5, 9]},
        {"filters": 3, "depth": 3, "kernels": [7], "stem_stride": 4, "norm": "group"},
        {"filters": 3, "depth": 3, "kernels": [5], "stem_stride": 4, "output_dims": 5},
    ],
    "eegnet": [
        {"filters": 4, "kernel_size": 9, "separable_kernel": 4, "pool1": 2, "pool2": 3},
        {"filters": 4, "kernel_size": 8, "pool1": 1, "pool2": 1, "output_dims": 5},
    ],
    "read_out": [
        {"output": "both", "backbone_params": {"widths": [8, 6], "strides": [1, 2]}},
        {
            "output_dims": 3,
            "backbone": "dilated",
            "backbone_params": {"hidden_dims": 8, "depth": 2},
            "output": "read_out",
            "pooling": "mean+max",
        },
    ],
}
BUILT_IN = ("cost", "dilated", "experts", "informer", "lstm", "tcn", "transformer", *STRIDED)


def _variants() -> list[tuple[str, dict[str, Any]]]:
    out = []
    for name in ENCODERS.names():
        if name == "braindecode":  # has no default network; see test_braindecode.py
            continue
        if name in STRIDED:
            out += [(name, choice) for choice in STRIDED[name]]
            continue
        known = ENCODERS.parameters(name)
        base = {key: value for key, value in SMALL.items() if key in known}
        choices = [base]
        if "causal" in known:
            choices = [{**base, "causal": flag} for flag in (False, True)]
        if "context" in known:
            choices += [{**choice, "context": 7} for choice in choices]
        if "published" in known:
            choices += [{**choices[0], "published": True}]
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
    f"{number}-{n}-{'causal' if (k | k.get('backbone_params', {})).get('causal') else 'plain'}"
    f"-{k.get('context', '')}"
    for number, (n, k) in enumerate(VARIANTS)
]
every_encoder = pytest.mark.parametrize(("name", "params"), VARIANTS, ids=IDS)


def _build(name: str, params: dict[str, Any], seed: int = 0, **more: Any) -> Encoder:
    """The encoder with norms as after some training: residual branches that start at zero act."""
    with seeded(seed):
        encoder = ENCODERS.build(name, **{"input_dims": 3, **params, **more})
        for part in encoder.modules():
            if isinstance(part, BatchNorm | GroupNorm):
                nn.init.uniform_(part.weight, 0.5, 1.5)
            if isinstance(part, BatchNorm):
                assert part.running_mean is not None
                assert part.running_var is not None
                part.running_mean.uniform_(-0.2, 0.2)
                part.running_var.uniform_(0.5, 1.5)
    return encoder


def _series(batch: int, length: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, length, 3, generator=torch.Generator().manual_seed(seed))


def test_built_in_encoders_are_registered() -> None:
    assert {*BUILT_IN, "braindecode"} <= set(ENCODERS.names())


@pytest.mark.parametrize("name", [*BUILT_IN, "braindecode"])
def test_docstrings_tell_every_argument_and_show_an_example(name: str) -> None:
    text = inspect.getdoc(ENCODERS.get(name)) or ""
    told = re.findall(r"^    (\w+): ", text.split("Args:")[1].split("\n\n")[0], re.MULTILINE)
    assert told == list(ENCODERS.parameters(name))
    assert "Example:" in text


@every_encoder
@settings(max_examples=8, deadline=None)
@given(batch=st.integers(1, 4), length=st.integers(1, 40), channels=st.integers(1, 5))
def test_shapes(name: str, params: dict[str, Any], batch: int, length: int, channels: int) -> None:
    encoder = _build(name, params, input_dims=channels)
    x = torch.randn(batch, length, channels)
    assert isinstance(encoder, EncoderLike)
    assert encoder(x).shape == (batch, encoder.output_length(length), encoder.output_dims)
    assert encoder.output_length(length) == -(-length // encoder.stride)
    assert encoder(x).dtype == torch.float32
    assert encoder.forward_last(x).shape == (batch, encoder.output_dims)


@every_encoder
def test_steps_without_values_are_as_masked_ones(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params).eval()
    x = _series(2, 30)
    holes = x.clone()
    holes[0, 4:15] = torch.nan
    keep = torch.ones(2, 30, dtype=torch.bool)
    keep[0, 4:15] = False
    out = encoder(holes)
    assert out.isfinite().all()
    torch.testing.assert_close(out, encoder(x, keep))
    assert not torch.allclose(out[0], encoder(x)[0])
    assert encoder(torch.full_like(x, torch.nan)).isfinite().all()
    loss = encoder.train()(holes).square().sum()
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


@every_encoder
def test_a_missing_channel_is_masked_alone(name: str, params: dict[str, Any]) -> None:
    """It counts as zero; what the other channels say still reaches the embeddings."""
    encoder = _build(name, params).eval()
    x = _series(2, 30)
    lost, zero = x.clone(), x.clone()
    lost[0, :, 1], zero[0, :, 1] = torch.nan, 0.0
    lost[1, 3:9, 2], zero[1, 3:9, 2] = torch.nan, 0.0
    assert torch.equal(encoder(lost), encoder(zero))
    other = lost.clone()
    other[0, :, 0] = _series(1, 30, seed=5)[0, :, 0]
    assert not torch.allclose(encoder(lost)[0], encoder(other)[0])
    assert torch.equal(encoder(lost)[1], encoder(other)[1])


@every_encoder
def test_mask_hides_steps_and_latent_channels(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params).eval()
    x, other = _series(2, 30), _series(2, 30, seed=5)
    nothing = torch.zeros(2, 30, dtype=torch.bool)
    torch.testing.assert_close(encoder(x, nothing), encoder(other, nothing), rtol=0, atol=0)
    width = 8 if encoder.latent_dims is None else encoder.latent_dims
    channels = torch.ones(2, 30, width, dtype=torch.bool)
    torch.testing.assert_close(encoder(x, channels), encoder(x))
    channels[:, :, : width // 2] = False
    assert not torch.allclose(encoder(x, channels), encoder(x))
    with pytest.raises(InputError, match="mask"):
        encoder(x, torch.ones(2, 29, dtype=torch.bool))


@every_encoder
def test_a_mask_at_the_latents_rate_hides_all_its_steps(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params).eval()
    x, other = _series(2, 31), _series(2, 31)
    stride = encoder.latent_stride
    keep = torch.ones(2, -(-31 // stride), dtype=torch.bool)
    keep[0, 2:4] = False
    other[0, 2 * stride : 4 * stride] = 7.0
    torch.testing.assert_close(encoder(x, keep), encoder(other, keep), rtol=0, atol=0)
    fine = keep.repeat_interleave(stride, dim=1)[:, :31]
    assert torch.equal(encoder(x, keep), encoder(x, fine))
    assert not torch.allclose(encoder(x, keep)[0], encoder(x)[0])
    if encoder.latent_dims is not None:
        wide = keep.unsqueeze(-1).expand(-1, -1, encoder.latent_dims)
        assert torch.equal(encoder(x, wide), encoder(x, keep))


@every_encoder
def test_evaluation_treats_samples_alone(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params).eval().double()
    x = _series(5, 33).double()
    torch.testing.assert_close(encoder(x)[1:2], encoder(x[1:2]), rtol=1e-9, atol=1e-12)


@every_encoder
def test_half_precision_gives_nearly_the_same(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params).eval()
    x = _series(4, 40)
    x[0, :, 1] = torch.nan
    with torch.autocast("cpu", torch.bfloat16):
        half = encoder(x)
    full = encoder(x)
    assert (half.float() - full).abs().mean() < 0.05 * full.abs().mean()
    encoder.train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = encoder(x).float().square().mean()
    loss.backward()
    grads = [p.grad for p in encoder.parameters() if p.grad is not None]
    assert grads
    assert all(g.isfinite().all() and g.dtype == torch.float32 for g in grads)


@pytest.mark.parametrize("name", sorted(set(STRIDED) - {"read_out"}))
def test_compiles_into_one_graph_for_any_length(name: str) -> None:
    encoder = _build(name, STRIDED[name][0]).eval()
    compiled = torch.compile(encoder, backend="aot_eager", fullgraph=True, dynamic=True)
    for batch, length in ((3, 40), (2, 57), (5, 9)):
        x = _series(batch, length)
        torch.testing.assert_close(compiled(x), encoder(x))


def test_uses_that_need_every_step_name_the_stride() -> None:
    encoder = _build("resnet1d", STRIDED["resnet1d"][0])
    with pytest.raises(InputError, match=r"encoder.stride: got 6; forecasting .* stride 1"):
        require_every_step(encoder, "forecasting")
    require_every_step(_build("resnet1d", STRIDED["resnet1d"][2]), "forecasting")
    with pytest.raises(InputError, match=r"encoder.stride"):
        require_every_step(type("Own", (), {"stride": 0})(), "forecasting")


@every_encoder
@pytest.mark.parametrize(("length", "step"), [(20, 0), (50, 31), (260, 256)])
def test_causal_embeddings_are_bit_equal_whatever_follows(
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
        own = step // encoder.stride + 1  # embeddings up to the one of the step
        assert not torch.allclose(before[:, :own], after[:, :own])


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
    stride = encoder.stride
    x = _series(8, length).requires_grad_()
    step = length - 1 if encoder.causal else length // 2
    encoder(x)[:, step // stride].square().sum().backward()
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


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"experts", *STRIDED}))
@pytest.mark.parametrize(
    ("field", "value"), [("input_dims", 0), ("depth", -1), ("dropout", 1.0), ("hidden_dims", 2.5)]
)
def test_bad_arguments_are_named(name: str, field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        ENCODERS.build(name, **{"input_dims": 3, field: value})


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("resnet1d", "widths", []),
        ("resnet1d", "widths", [8, 0]),
        ("resnet1d", "depths", [1, 2]),
        ("resnet1d", "strides", 0),
        ("resnet1d", "kernel_size", 4),
        ("resnet1d", "stem_layers", 2),
        ("resnet1d", "stem_stride", 1.5),
        ("resnet1d", "output_dims", 0),
        ("resnet1d", "dropout", 1.0),
        ("inception_time", "kernels", []),
        ("inception_time", "kernels", [10]),
        ("inception_time", "depth", 0),
        ("inception_time", "stem_stride", 0),
        ("eegnet", "pool1", 0),
        ("eegnet", "max_norm", 0.0),
        ("eegnet", "input_dims", 0),
        ("read_out", "output_dims", 0),
        ("read_out", "output", "all"),
    ],
)
def test_bad_arguments_of_strided_encoders_are_named(name: str, field: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        ENCODERS.build(name, **{"input_dims": 3, field: value})
    wanted = {"kernels": ("kernels", "kernel_size")}.get(field, (field,))
    assert caught.value.field in wanted


def test_other_bad_arguments_are_named() -> None:
    for name in set(STRIDED) - {"read_out"}:
        with pytest.raises(ConfigError, match="batch, group"):
            ENCODERS.build(name, input_dims=3, norm="layer")
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
