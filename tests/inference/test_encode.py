"""One pass, chunks and windows agree; embeddings for forecasting never see the future."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.rounding import rounding
from tscl.encoders import ENCODERS, Encoder, braindecode_models
from tscl.errors import ConfigError, InputError, LeakageError, MissingExtraError
from tscl.inference import StreamingEncoder, encode, encode_causal
from tscl.inference.blocks import block_rows
from tscl.inference.sinks import PoolSink
from tscl.pooling import POOLS, pool_time
from tscl.seeding import seeded

FINITE: list[tuple[str, dict[str, Any]]] = [
    ("dilated", {"causal": True, "depth": 3}),
    ("cost", {"causal": True, "depth": 2, "kernels": (1, 2, 4, 8)}),
    ("tcn", {"depth": 2}),
    ("transformer", {"causal": True, "depth": 2, "heads": 2, "context": 9}),
]
UNBOUNDED: list[tuple[str, dict[str, Any]]] = [
    ("lstm", {"depth": 2}),
    ("transformer", {"causal": True, "depth": 2, "heads": 2}),
]
CENTRED: list[tuple[str, dict[str, Any]]] = [
    ("dilated", {"depth": 4}),
    ("cost", {"depth": 3, "kernels": (1, 2, 4, 8)}),
    ("transformer", {"depth": 2, "heads": 2}),
]
finite = pytest.mark.parametrize(("name", "params"), FINITE)
centred = pytest.mark.parametrize(("name", "params"), CENTRED)


def _build(name: str, params: dict[str, Any]) -> Encoder:
    with seeded(0):
        return ENCODERS.build(name, input_dims=2, output_dims=5, hidden_dims=8, **params)


def _series(n: int, length: int) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((n, length, 2)).astype(np.float32)
    x[0, 10:13] = np.nan
    return x


def _close(a: np.ndarray, b: np.ndarray) -> None:
    # up to ten layers of sums over eight channels and eight taps
    np.testing.assert_allclose(a, b, rtol=0, atol=rounding([64] * 10, b))


@finite
@pytest.mark.parametrize("chunk", [1, 17, 64, 1000])
def test_chunks_equal_one_pass(name: str, params: dict[str, Any], chunk: int) -> None:
    encoder = _build(name, params)
    x = _series(3, 150)
    full = encode(encoder, x, mode="full", batch_size=2)
    assert full.shape == (3, 150, 5)
    assert full.dtype == np.float32
    _close(encode(encoder, x, mode="chunked", chunk=chunk, batch_size=2), full)
    _close(encode(encoder, torch.from_numpy(x)), full)


@pytest.mark.parametrize(("name", "params"), FINITE + UNBOUNDED)
def test_one_pass_equals_step_by_step(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params).eval()
    x = _series(1, 60)
    embeddings = encode_causal(encoder, x)
    assert embeddings.route == ("full" if encoder.receptive_field is None else "chunked")
    with torch.no_grad():
        steps = [encoder(torch.from_numpy(x[:, : t + 1]))[:, -1].numpy() for t in range(60)]
    _close(embeddings.embeddings, np.stack(steps, axis=1))


@pytest.mark.parametrize(("name", "params"), FINITE + UNBOUNDED + CENTRED)
def test_embeddings_for_forecasting_are_bit_equal_whatever_follows(
    name: str, params: dict[str, Any]
) -> None:
    encoder = _build(name, params)
    x = _series(2, 90)
    changed = x.copy()
    changed[:, 41:] = 7.0
    before, after = (encode_causal(encoder, s, window=20).embeddings for s in (x, changed))
    np.testing.assert_array_equal(before[:, :41], after[:, :41])
    assert not np.array_equal(before[:, 41:], after[:, 41:])


@pytest.mark.parametrize(("name", "params"), [*CENTRED, *UNBOUNDED, FINITE[2]])
def test_sliding_equals_a_loop_over_windows(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params).eval()
    x = _series(2, 40)
    padded = np.pad(x, ((0, 0), (15, 0), (0, 0)), constant_values=np.nan)
    with torch.no_grad():
        expected = [encoder(torch.from_numpy(padded[:, t : t + 16]))[:, -1] for t in range(40)]
    out = encode(encoder, x, mode="sliding", window=15, batch_size=7)
    _close(out, torch.stack(expected, dim=1).numpy())


@centred
def test_centred_encoders_may_not_see_the_future(name: str, params: dict[str, Any]) -> None:
    encoder = _build(name, params)
    x = _series(1, 30)
    for mode in ("full", "chunked"):
        with pytest.raises(LeakageError, match="sliding"):
            encode_causal(encoder, x, mode=mode)
    embeddings = encode_causal(encoder, x, window=10)
    assert (embeddings.route, embeddings.window) == ("sliding", 10)
    assert encode(encoder, x).shape == (1, 30, 5)


@pytest.mark.parametrize("mode", ["full", "chunked", "sliding"])
@pytest.mark.parametrize("pooling", [*POOLS, "log_std+last+max", "+".join(POOLS)])
def test_pooling_equals_pooling_of_all_embeddings(mode: Any, pooling: str) -> None:
    encoder = _build(*FINITE[0])
    x = _series(3, 70)
    embeddings = encode(encoder, x, mode=mode, chunk=16, window=30)
    expected = pool_time(torch.from_numpy(embeddings).double(), pooling).numpy()
    out = encode(encoder, x, mode=mode, chunk=16, window=30, pooling=pooling)
    assert out.dtype == np.float32
    _close(out, expected)


def test_the_running_deviation_keeps_its_digits_far_from_zero() -> None:
    embeddings = np.float32(1000) + np.random.default_rng(0).normal(size=(2, 90, 3)).astype(
        np.float32
    )
    sink = PoolSink(None, embeddings.shape, "log_std+mean")
    for steps in (slice(0, 1), slice(1, 40), slice(40, 90)):
        sink.write(slice(0, 2), steps, embeddings[:, steps])
    sink.finish()
    exact = embeddings.astype(np.float64)
    np.testing.assert_allclose(sink.array[:, :3], np.log(exact.std(1)), atol=1e-5)
    np.testing.assert_allclose(sink.array[:, 3:], exact.mean(1), rtol=1e-7)


@pytest.mark.parametrize("name", ENCODERS.names())
@pytest.mark.parametrize("length", [3, 60, 200])
@pytest.mark.parametrize("pooling", [None, "last"])
def test_embeddings_do_not_depend_on_the_other_series(
    name: str, length: int, pooling: str | None
) -> None:
    """To the bit: a series alone, first of a few, and among others of other values."""
    few = {"hidden_dims": 16, "depth": 2, "heads": 2, "filters": 4}
    known = {key: value for key, value in few.items() if key in ENCODERS.parameters(name)}
    if name == "cost":
        known["kernels"] = (1, 2, 4, 8)
    if name == "braindecode":
        try:
            braindecode_models()
        except (MissingExtraError, InputError) as error:
            pytest.skip(str(error))
        if length < 200:
            pytest.skip("its convolutions are longer than the series")
        known = {"model": "ShallowFBCSPNet", "n_times": length}
    if "output_dims" in ENCODERS.parameters(name):
        known["output_dims"] = 16
    with seeded(0):
        encoder = ENCODERS.build(name, input_dims=2, **known)
    rng = np.random.default_rng(0)
    x, other = rng.standard_normal((2, 19, length, 2)).astype(np.float32)
    embeddings = encode(encoder, x, pooling=pooling)
    np.testing.assert_array_equal(encode(encoder, x[:1], pooling=pooling), embeddings[:1])
    np.testing.assert_array_equal(encode(encoder, x[:17], pooling=pooling), embeddings[:17])
    other[5] = x[5]
    other[4, 1:] = np.nan
    np.testing.assert_array_equal(encode(encoder, other, pooling=pooling)[5], embeddings[5])


@pytest.mark.parametrize("mode", ["full", "chunked"])
@pytest.mark.parametrize("batch_size", [None, 4, 50])
def test_every_block_has_one_size(mode: Any, batch_size: int | None) -> None:
    encoder = _build(*FINITE[0])
    rows: list[int] = []
    encoder.register_forward_hook(lambda module, inputs, out: rows.append(out.shape[0]))
    for n in (1, 7, 21):
        calls: list[tuple[int, int]] = []
        embeddings = encode(
            encoder, _series(n, 50), mode=mode, batch_size=batch_size,
            progress=lambda done, total, calls=calls: calls.append((done, total)),
        )  # fmt: skip
        assert embeddings.shape == (n, 50, 5)
        assert calls[-1] == (n * 50, n * 50)
    assert set(rows) == {batch_size or block_rows(50, torch.device("cpu"), 1000)}


def test_blocks_fit_in_memory_and_long_series_are_alone() -> None:
    cpu, card = torch.device("cpu"), torch.device("cuda")
    assert [block_rows(length, cpu, 5000) for length in (3, 500, 5000)] == [16, 8, 1]
    assert [block_rows(500, cpu, most) for most in (1, 3, 7)] == [1, 2, 4]
    assert block_rows(500, card, 5000) > block_rows(500, cpu, 5000)
    assert block_rows(500, card, 3) == 2


def test_embeddings_go_to_a_memory_map(tmp_path: Path) -> None:
    encoder = _build(*FINITE[0])
    x = _series(2, 130)
    expected = encode(encoder, x, chunk=32)
    np.save(tmp_path / "x.npy", x)
    source = np.load(tmp_path / "x.npy", mmap_mode="r")
    out = encode(encoder, source, chunk=32, out=tmp_path / "embeddings.npy")
    assert isinstance(out, np.memmap)
    np.testing.assert_array_equal(np.load(tmp_path / "embeddings.npy"), expected)
    own = np.lib.format.open_memmap(tmp_path / "own.npy", "w+", np.float32, expected.shape)
    assert encode(encoder, source, chunk=32, out=own) is own
    del own
    np.testing.assert_array_equal(np.load(tmp_path / "own.npy"), expected)
    array = np.zeros(expected.shape, np.float32)
    assert encode(encoder, x, chunk=32, out=array) is array
    np.testing.assert_array_equal(array, expected)


def test_chunked_holds_one_chunk_at_a_time() -> None:
    encoder = _build(*FINITE[2])
    lengths = []
    encoder.register_forward_hook(lambda module, inputs, out: lengths.append(out.shape[1]))
    encode(encoder, np.zeros((1, 1000, 2), np.float32), chunk=50)
    assert encoder.receptive_field is not None
    assert max(lengths) <= 50 + encoder.receptive_field - 1
    assert len(lengths) == 20


def test_modes_gradients_and_progress_are_as_before() -> None:
    encoder = _build("dilated", {"depth": 2, "causal": True, "dropout": 0.5})
    encoder.train()
    encoder.blocks[0].eval()
    calls: list[tuple[int, int]] = []
    x = _series(2, 50)
    one = encode(encoder, x, chunk=20, progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_array_equal(one, encode(encoder, x, chunk=20))
    assert encoder.training
    assert not encoder.blocks[0].training
    assert encoder.blocks[1].training
    assert calls[-1] == (100, 100)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_a_module_that_only_follows_the_protocol_encodes() -> None:
    class Plain(nn.Module):
        input_dims, output_dims, causal, receptive_field = 2, 2, True, 1

        def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            return 2.0 * x

    x = np.ones((2, 9, 2), np.float64)
    for mode in ("auto", "full", "sliding"):
        np.testing.assert_array_equal(encode(Plain(), x, mode=mode), 2.0 * np.ones((2, 9, 2)))
    stream = StreamingEncoder(Plain())
    np.testing.assert_array_equal(stream.push(x[0]), 2.0 * x[0])


@pytest.mark.parametrize(
    ("x", "options", "match"),
    [
        (np.zeros((5, 2)), {}, "n_samples, n_timesteps"),
        (np.zeros((1, 0, 2)), {}, "at least one"),
        (np.zeros((1, 5, 3)), {}, "channels"),
        (np.full((1, 5, 2), np.inf), {}, "infinite"),
        (np.array([[["a", "b"]]]), {}, "numbers"),
        ([[[0.0, 0.0]]], {}, "numpy array"),
        (np.zeros((1, 5, 2)), {"window": 0}, "window"),
        (np.zeros((1, 5, 2)), {"chunk": 0}, "chunk"),
        (np.zeros((1, 5, 2)), {"out": np.zeros((1, 5, 4), np.float32)}, "shape"),
        (np.zeros((1, 5, 2)), {"out": "embeddings.bin"}, "npy"),
        (np.zeros((1, 5, 2)), {"out": "no/such/embeddings.npy"}, "folder"),
    ],
)
def test_bad_input_to_encode_is_named(x: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        encode(_build(*FINITE[0]), x, **options)


def test_bad_modes_are_named() -> None:
    x = _series(1, 20)
    with pytest.raises(ConfigError, match="sliding"):
        encode(_build(*FINITE[0]), x, mode="slidng")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="mean"):
        encode(_build(*FINITE[0]), x, pooling="avg")
    with pytest.raises(InputError, match="not causal"):
        encode(_build(*CENTRED[0]), x, mode="chunked")
    with pytest.raises(InputError, match="unbounded"):
        encode(_build(*UNBOUNDED[0]), x, mode="chunked")


class Averages(nn.Module):
    """A user's module: means of 4 steps, with or without saying so."""

    input_dims, output_dims, causal, receptive_field = 2, 2, False, 4

    def __init__(self, stride: int | None) -> None:
        super().__init__()
        if stride is not None:
            self.stride = stride

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        x = torch.nan_to_num(x).transpose(1, 2)
        pool = nn.AvgPool1d(4, ceil_mode=True, count_include_pad=False)
        return pool(x).transpose(1, 2)


@pytest.mark.parametrize("mode", ["auto", "full"])
def test_coarse_embeddings_keep_their_rate(mode: Any) -> None:
    x = _series(5, 30)
    wanted = np.stack([np.nan_to_num(x)[:, t : t + 4].mean(axis=1) for t in range(0, 30, 4)], 1)
    seen: list[tuple[int, int]] = []
    embeddings = encode(
        Averages(4), x, mode=mode, batch_size=2, progress=lambda *now: seen.append(now)
    )
    _close(embeddings, wanted)
    assert seen[-1] == (40, 40)
    pooled = encode(Averages(4), x, pooling="mean+max+log_std", batch_size=2)
    _close(pooled, pool_time(torch.from_numpy(wanted), "mean+max+log_std").numpy())
    _close(encode(Averages(4), x, pooling="last"), wanted[:, -1])


def test_embeddings_that_break_the_contract_are_named() -> None:
    with pytest.raises(InputError, match=r"\(5, 8, 2\) of an input .* \(5, 30, 2\): .* stride"):
        encode(Averages(None), _series(5, 30))
    with pytest.raises(InputError, match=r"\(5, 15, 2\)"):
        encode(Averages(2), _series(5, 30))


@pytest.mark.parametrize("mode", ["chunked", "sliding"])
def test_modes_of_single_steps_need_stride_one(mode: Any) -> None:
    with pytest.raises(InputError, match=r"encoder.stride: got 4; mode .* stride 1"):
        encode(Averages(4), _series(5, 30), mode=mode)
    with pytest.raises(InputError, match=r"encoder.stride: got 4; encode_causal .* stride 1"):
        encode_causal(Averages(4), _series(5, 30))


def test_a_causal_coarse_encoder_goes_in_one_pass() -> None:
    encoder = Averages(4)
    encoder.causal = True
    assert encode(encoder, _series(5, 30)).shape == (5, 8, 2)
