"""A stream gives the embeddings of the whole series, at a cost that does not grow with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.inference.test_encode import CENTRED, FINITE, UNBOUNDED, _build, _close, _series
from tscl.encoders import ENCODERS, Encoder
from tscl.errors import CheckpointError, InputError
from tscl.inference import StreamingEncoder, encode
from tscl.seeding import seeded

RECURRENT, ENDLESS = UNBOUNDED
STREAMED = [*FINITE, RECURRENT]
streamed = pytest.mark.parametrize(("name", "params"), STREAMED)


@streamed
@pytest.mark.parametrize("sizes", [[1] * 90, [3, 1, 40, 0, 1, 45], [90]])
def test_stream_equals_batch(name: str, params: dict, sizes: list[int]) -> None:
    encoder = _build(name, params)
    x = _series(1, 90)
    stream = StreamingEncoder(encoder)
    parts = np.split(x[0], np.cumsum(sizes)[:-1])
    embeddings = np.concatenate([stream.push(part) for part in parts])
    _close(embeddings, encode(encoder, x)[0])
    assert stream.seen == 90
    assert stream.state_dict()["history"].shape[0] <= (stream.receptive_field or 1) - 1
    assert encoder.training


def test_every_encoder_is_streamed_or_cannot_be_causal() -> None:
    rest = set(ENCODERS.names()) - {name for name, _ in STREAMED}
    centred = {name for name in rest if "causal" not in ENCODERS.parameters(name)}
    # experts take their causality from a backbone, which is one of the streamed
    assert rest - centred == set()
    centred -= {"experts", "braindecode"}  # never causal, and one of an extra
    assert not any(ENCODERS.build(name, input_dims=2).causal for name in centred)


def test_experts_on_a_causal_backbone_are_streamed() -> None:
    with seeded(0):
        encoder = ENCODERS.build(
            "experts",
            input_dims=2,
            output_dims=5,
            backbone="tcn",
            backbone_params={"hidden_dims": 8, "depth": 2},
            kernels=(1, 2, 4),
        )
    x = _series(1, 90)
    stream = StreamingEncoder(encoder)
    embeddings = np.concatenate([stream.push(part) for part in np.split(x[0], [1, 2, 40, 60])])
    _close(embeddings, encode(encoder, x)[0])


@streamed
def test_many_channels_and_gaps(name: str, params: dict[str, Any]) -> None:
    with seeded(1):
        encoder = ENCODERS.build(name, input_dims=7, output_dims=5, hidden_dims=8, **params)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 120, 7)).astype(np.float32)
    x[0, rng.random((120, 7)) < 0.02] = np.nan
    x[0, :4] = np.nan
    x[0, 60:100] = np.nan
    stream = StreamingEncoder(encoder)
    cuts = np.sort(rng.choice(120, 9, replace=False))
    embeddings = np.concatenate([stream.push(part) for part in np.split(x[0], cuts)])
    assert np.isfinite(embeddings).all()
    _close(embeddings, encode(encoder, x)[0])


def _work(encoder: Encoder, stream: StreamingEncoder, samples: np.ndarray) -> int:
    """Rows (steps of one layer) that linear and convolution layers see during one push."""
    rows = 0

    def count(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal rows
        rows += inputs[0].numel() // inputs[0].shape[-1]

    layers = [m for m in encoder.modules() if not list(m.children()) or hasattr(m, "kernel_size")]
    hooks = [m.register_forward_pre_hook(count) for m in layers]
    stream.push(samples)
    for hook in hooks:
        hook.remove()
    assert rows > 0
    return rows


@streamed
def test_cost_of_a_push_is_that_of_the_receptive_field(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params)
    x = np.random.default_rng(0).standard_normal((4000, 2)).astype(np.float32)
    stream = StreamingEncoder(encoder)
    field = stream.receptive_field or 1
    stream.push(x[:100])
    early = _work(encoder, stream, x[100:101])
    stream.push(x[101:3900])
    late = _work(encoder, stream, x[3900:3901])
    assert late == early
    layers = sum(1 for m in encoder.modules() if not list(m.children()))
    assert late <= field * (layers + 1) * 2
    chunk = _work(encoder, stream, x[3901:3951])
    assert chunk <= (field + 49) * (layers + 1) * 2
    # the whole series would have cost more, so the count above can tell
    assert _work(encoder, StreamingEncoder(encoder), x[:1000]) > 4 * chunk


@streamed
def test_reset_and_state_continue_a_stream(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params)
    x = _series(1, 120)[0]
    stream = StreamingEncoder(encoder)
    stream.push(x[:70])
    state = stream.state_dict()
    expected = stream.push(x[70:])
    other = StreamingEncoder(encoder)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.push(x[70:]), expected)
    other.reset()
    _close(other.push(x[70:]), encode(encoder, x[None, 70:])[0])


def test_state_of_another_encoder_is_refused() -> None:
    stream = StreamingEncoder(_build(*FINITE[0]))
    stream.push(_series(1, 70)[0])
    with pytest.raises(CheckpointError, match="history"):
        StreamingEncoder(_build(*FINITE[2])).load_state_dict(stream.state_dict())
    deep = StreamingEncoder(_build("lstm", {"depth": 3}))
    flat = StreamingEncoder(_build("lstm", {"depth": 1}))
    deep.push(_series(1, 5)[0])
    with pytest.raises(CheckpointError, match="hidden and cell"):
        flat.load_state_dict(deep.state_dict())
    with pytest.raises(CheckpointError, match="another kind"):
        flat.load_state_dict({"history": torch.empty(0, 2), "seen": 5})


def test_samples_are_scaled_on_their_way() -> None:
    encoder = _build(*FINITE[0])
    x = 50 + 9 * _series(1, 40)[0]
    mean, scale = np.array([50.0, 49.0]), np.array([9.0, 10.0])
    stream = StreamingEncoder(encoder, mean=mean, scale=scale)
    expected = encode(encoder, ((x - mean) / scale).astype(np.float32)[None])[0]
    _close(stream.push(x), expected)


def test_streams_that_cannot_be_are_named() -> None:
    with pytest.raises(InputError, match=r"encoder.stride: got 32; a stream .* stride 1"):
        StreamingEncoder(ENCODERS.build("resnet1d", input_dims=2))
    with pytest.raises(InputError, match="causal"):
        StreamingEncoder(_build(*CENTRED[0]))
    with pytest.raises(InputError, match="finite"):
        StreamingEncoder(_build(*ENDLESS))
    with pytest.raises(InputError, match="one a channel"):
        StreamingEncoder(_build(*FINITE[0]), mean=[1.0])
    with pytest.raises(InputError, match="positive"):
        StreamingEncoder(_build(*FINITE[0]), scale=[1.0, 0.0])
    stream = StreamingEncoder(_build(*FINITE[0]))
    for bad, match in (
        (np.zeros((4, 3)), "samples"),
        (np.full((4, 2), np.inf), "infinite"),
        ([["a", "b"]], "numbers"),
        (np.zeros(2), "samples"),
    ):
        with pytest.raises(InputError, match=match):
            stream.push(bad)


@pytest.mark.parametrize(("name", "params"), [FINITE[0], RECURRENT])
def test_a_state_that_is_none_is_named(name: str, params: dict) -> None:
    stream = StreamingEncoder(_build(name, params))
    stream.push(_series(1, 5)[0])
    good = stream.state_dict()
    bad: list[Any] = [None, {}, 3, "x", [], {"history": [[1.0], [1.0, 2.0]], "seen": 1}]
    bad += [good | {"seen": "a"}, good | {"state": [torch.zeros(1)]}, good | {"state": 3}]
    for state in bad:
        with pytest.raises(CheckpointError, match="state"):
            stream.load_state_dict(state)
    stream.load_state_dict(good)
