"""Encode series of any length: in one pass, in overlapping chunks, or by sliding windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tscl.encoders.base import (
    EncoderLike,
    evaluating,
    output_length,
    require_every_step,
    stride_of,
)
from tscl.errors import ConfigError, InputError, LeakageError, check_choice
from tscl.inference.blocks import block_rows, filled
from tscl.inference.sinks import ArraySink, Embeddings, Out, PoolSink, Sink

Mode = Literal["auto", "full", "chunked", "sliding"]
Route = Literal["full", "chunked", "sliding"]
Series = NDArray[Any] | Tensor
Progress = Callable[[int, int], None]

# values of one activation held at a time: 64 MiB in float32
_VALUES = 2**24
_WINDOWS = 256


@dataclass(frozen=True)
class CausalEmbeddings:
    """Embeddings in which step t knows steps <= t only, and how they were made.

    Attributes:
        embeddings: (N, T, D) float32.
        route: ``full`` or ``chunked`` (causal encoder) or ``sliding`` (windows of the past).
        window: steps of history of a sliding window; None for the other routes.
    """

    embeddings: Embeddings
    route: Route
    window: int | None


def placement(encoder: EncoderLike) -> tuple[torch.device, torch.dtype]:
    """Device and floating type of the encoder's parameters (CPU, float32 when it has none)."""
    if isinstance(encoder, nn.Module):
        for parameter in encoder.parameters():
            if parameter.is_floating_point():
                return parameter.device, parameter.dtype
    return torch.device("cpu"), torch.float32


def last_step(encoder: EncoderLike, x: Tensor) -> Tensor:
    """Embedding of the last step, by ``forward_last`` where the encoder has it."""
    short = getattr(encoder, "forward_last", None)
    out: Tensor = encoder(x)[:, -1] if short is None else short(x)
    return out


class _Source:
    """Blocks of the series as tensors where the encoder lives."""

    def __init__(self, encoder: EncoderLike, x: Series) -> None:
        if not isinstance(x, np.ndarray | Tensor):
            raise InputError("x", type(x).__name__, "pass a numpy array or a torch tensor")
        if x.ndim != 3:
            raise InputError("x", tuple(x.shape), "pass (n_samples, n_timesteps, n_channels)")
        if x.shape[0] < 1 or x.shape[1] < 1:
            raise InputError("x", tuple(x.shape), "pass at least one sample and one time step")
        if x.shape[2] != encoder.input_dims:
            remedy = f"the encoder was built for {encoder.input_dims} channels"
            raise InputError("x channels", x.shape[2], remedy)
        kind = x.dtype.kind if isinstance(x, np.ndarray) else "f"
        if kind not in "fiub":
            raise InputError("x dtype", x.dtype, "pass numbers")
        self.x = x
        self.n_samples, self.length = int(x.shape[0]), int(x.shape[1])
        self.device, self.dtype = placement(encoder)

    def read(self, samples: slice, steps: slice) -> Tensor:
        """Samples and steps as (n, t, C)."""
        part = self.x[samples, steps]
        if isinstance(part, np.ndarray):
            part = torch.from_numpy(np.array(part, dtype=np.float32))
        block = part.detach().to(self.device, self.dtype)
        if bool(torch.isinf(block).any()):
            where = f"infinite values in steps {steps.start}..{steps.stop}"
            raise InputError("x", where, "replace them, or mark them as missing with NaN")
        return block


def _check_positive(**values: int | None) -> None:
    for field, value in values.items():
        if value is not None and value < 1:
            raise InputError(field, value, "choose a whole number of at least 1")


def _rows_a_block(encoder: EncoderLike, source: _Source, steps: int) -> int:
    most = max(1, _VALUES // (max(encoder.output_dims, 64) * steps))
    return block_rows(steps, source.device, most)


def _full(
    encoder: EncoderLike, source: _Source, batch_size: int | None, last: bool
) -> Iterator[tuple[slice, slice, Tensor]]:
    size = batch_size or _rows_a_block(encoder, source, source.length)
    length = output_length(encoder, source.length)
    for first in range(0, source.n_samples, size):
        samples = slice(first, min(source.n_samples, first + size))
        n = samples.stop - first
        x = filled(source.read(samples, slice(0, source.length)), size)
        if last:
            yield samples, slice(length - 1, length), last_step(encoder, x)[:n].unsqueeze(1)
        else:
            yield samples, slice(0, length), _checked(encoder(x), x, encoder, length, n)


def _checked(embeddings: Tensor, x: Tensor, encoder: EncoderLike, length: int, n: int) -> Tensor:
    """The first ``n`` rows, those not filled up, of embeddings of the shape the contract says.

    Raises:
        InputError: another shape; the message leaves the filled rows out.
    """
    size = len(x)
    if tuple(embeddings.shape) != (size, length, encoder.output_dims):
        got = tuple(embeddings.shape)
        if got[:1] == (size,):
            got = (n, *got[1:])
        wanted = (n, length, encoder.output_dims)
        raise InputError(
            "encoder",
            f"{got} of an input {(n, *x.shape[1:])}",
            f"its output_dims and stride say {wanted}: give it the right output_dims, and a "
            "stride or output_length(T) if its embeddings are coarser than the input",
        )
    return embeddings[:n]


def _chunked(
    encoder: EncoderLike, source: _Source, batch_size: int | None, chunk: int | None
) -> Iterator[tuple[slice, slice, Tensor]]:
    assert encoder.receptive_field is not None
    overlap = encoder.receptive_field - 1
    if chunk is None:
        budget = _VALUES // max(encoder.output_dims, 64)
        chunk = max(4096, overlap // 2, min(4 * overlap, budget - overlap))
        if source.length <= chunk + overlap:
            chunk = source.length
    rows = min(source.length, chunk + overlap)
    size = batch_size or _rows_a_block(encoder, source, rows)
    for first in range(0, source.n_samples, size):
        samples = slice(first, min(source.n_samples, first + size))
        for start in range(0, source.length, chunk):
            steps = slice(start, min(source.length, start + chunk))
            x = source.read(samples, slice(max(0, start - overlap), steps.stop))
            embeddings = encoder(filled(x, size))[: x.shape[0], start - steps.stop :]
            yield samples, steps, embeddings


def _sliding(
    encoder: EncoderLike, source: _Source, batch_size: int | None, window: int, last: bool
) -> Iterator[tuple[slice, slice, Tensor]]:
    size = batch_size or _WINDOWS
    begin = source.length - 1 if last else 0
    for index in range(source.n_samples):
        samples = slice(index, index + 1)
        for start in range(begin, source.length, size):
            stop = min(source.length, start + size)
            x = source.read(samples, slice(max(0, start - window), stop))[0]
            missing = window - start
            if missing > 0:
                x = torch.cat([x.new_full((missing, x.shape[1]), torch.nan), x])
            windows = x.unfold(0, window + 1, 1).transpose(1, 2)
            yield samples, slice(start, stop), last_step(encoder, windows).unsqueeze(0)


def _route(encoder: EncoderLike, mode: str) -> Route:
    check_choice("mode", mode, get_args(Mode), error=ConfigError)
    if mode == "auto":
        finite = encoder.causal and encoder.receptive_field is not None
        return "chunked" if finite and stride_of(encoder) == 1 else "full"
    if mode != "full":
        require_every_step(encoder, f"mode {mode!r}")
    if mode == "chunked":
        if not encoder.causal:
            raise InputError("mode", mode, "the encoder is not causal: use 'full' or 'sliding'")
        if encoder.receptive_field is None:
            raise InputError("mode", mode, "the encoder's memory is unbounded: use 'full'")
        return "chunked"
    return "full" if mode == "full" else "sliding"


def encode(
    encoder: EncoderLike,
    x: Series,
    *,
    mode: Mode = "auto",
    batch_size: int | None = None,
    chunk: int | None = None,
    window: int = 200,
    pooling: str | None = None,
    out: Out = None,
    progress: Progress | None = None,
) -> Embeddings:
    """Embeddings of every step (or stride) of every series, or pooled over time.

    The encoder runs in evaluation mode without gradients, on its own device. NaN marks missing
    values. Series pass in blocks of one size (:mod:`tscl.inference.blocks`), so the embeddings of a
    series do not depend on the others encoded with it. This function may see the future of a step
    when the encoder does; forecasting needs :func:`encode_causal`.

    Args:
        encoder: module that follows :class:`tscl.encoders.base.EncoderLike`.
        x: (N, T, C) numpy array (also memory-mapped) or torch tensor.
        mode: ``full`` encodes a whole series at once. ``chunked`` (causal encoders of finite
            receptive field) encodes chunks preceded by ``receptive_field - 1`` steps, which gives
            the same embeddings in bounded memory. ``sliding`` gives step t the last embedding of
            the window x[t - window .. t], filled with NaN before the start, as in TS2Vec (arXiv
            2106.10466). ``auto`` is ``chunked`` where possible, else ``full``. An encoder coarser
            than its input (``stride`` above 1) takes ``full``.
        batch_size: series at a time (``full``, ``chunked``; fewer are filled up to as many) or
            windows at a time (``sliding``); None chooses series by length and memory.
        chunk: new steps per chunk (``chunked``); None chooses by memory and receptive field.
        window: steps of history before t (``sliding``).
        pooling: None, or over time as in :func:`tscl.pooling.pool_time`, such as ``max`` or
            ``mean+log_std``.
        out: where to write: None (new array), a float32 array or memory map of the result's
            shape, or the path of a .npy file to create and memory-map.
        progress: called with (steps done, steps in all) after every block.

    Returns:
        float32 (N, T', D), T' = T unless the encoder has a stride, or (N, k D) with k poolings
        named; ``out`` itself where one was passed.

    Raises:
        InputError: wrong rank, channels, dtype, infinite values, a mode the encoder cannot do, or
            embeddings of another shape than its contract says.
        ConfigError: unknown mode or pooling.
    """
    route = _route(encoder, mode)
    _check_positive(batch_size=batch_size, chunk=chunk, window=window)
    source = _Source(encoder, x)
    shape = (source.n_samples, output_length(encoder, source.length), encoder.output_dims)
    sink: Sink = ArraySink(out, shape) if pooling is None else PoolSink(out, shape, pooling)
    last = pooling == "last"
    if route == "full":
        blocks = _full(encoder, source, batch_size, last)
    elif route == "chunked":
        blocks = _chunked(encoder, source, batch_size, chunk)
    else:
        blocks = _sliding(encoder, source, batch_size, window, last)
    done, total = 0, source.n_samples * (1 if last and route != "chunked" else shape[1])
    with sink.file, evaluating(encoder), torch.no_grad():
        for samples, steps, embeddings in blocks:
            sink.write(samples, steps, embeddings.to("cpu", torch.float32).numpy())
            done += embeddings.shape[0] * embeddings.shape[1]
            if progress is not None:
                progress(done, total)
        sink.finish()
    return sink.file.opened()


def encode_causal(
    encoder: EncoderLike,
    x: Series,
    *,
    mode: Mode = "auto",
    batch_size: int | None = None,
    chunk: int | None = None,
    window: int = 200,
    out: Out = None,
    progress: Progress | None = None,
) -> CausalEmbeddings:
    """Embeddings for forecasting: the embedding of step t depends on steps <= t only.

    A causal encoder goes over the series in one pass (``chunked``, or ``full`` when its memory is
    unbounded); a centred one by ``sliding`` windows that end at t. Arguments as for
    :func:`encode`.

    Raises:
        LeakageError: ``mode`` would show a centred encoder the future.
        InputError: an encoder coarser than its input.
    """
    require_every_step(encoder, "encode_causal")
    if mode == "auto":
        route = _route(encoder, "auto") if encoder.causal else "sliding"
    else:
        if not encoder.causal and mode in ("full", "chunked"):
            raise LeakageError("mode", mode, "the encoder sees the future: use mode='sliding'")
        route = _route(encoder, mode)
    embeddings = encode(
        encoder,
        x,
        mode=route,
        batch_size=batch_size,
        chunk=chunk,
        window=window,
        out=out,
        progress=progress,
    )
    return CausalEmbeddings(embeddings, route, window if route == "sliding" else None)
