"""Rows of a batch: cut between trials, and encoded part by part or process by process.

The encoder is the costly part of a step and treats samples independently, the loss is neither. So
the batch is shared out at the encoder's call alone: whoever calls it passes and receives the rows
of the whole batch, while each process encodes its own share (and, with ``chunk``, a few rows at a
time, forgotten and encoded again in the backward pass). Everything else, views, heads, loss, is
computed on the whole batch in every process from the same draws. The gradient is then that of one
process without parts: a process's gathered embeddings carry the gradient of its own rows times the
number of processes (:mod:`tscl.losses.gathering`), which the average over processes undoes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tscl.errors import InputError
from tscl.losses.gathering import gather_rows
from tscl.seeding import seeded

ROW_METHODS = ("forward", "dropout_views")
"""Methods of an encoder that take rows and give rows."""

Indices = NDArray[np.int64]


def cut_batch(indices: Indices, parts: int, groups: NDArray[np.generic] | None = None) -> list[Any]:
    """Cut the samples of a batch into ``parts`` nearly equal ones, between groups where it can.

    Args:
        indices: samples of the batch.
        parts: how many parts, at least 1.
        groups: group (trial) of every sample of the source; samples of one group stay together
            unless there are fewer groups than parts. None: any cut will do.

    Raises:
        InputError: fewer samples than parts.
    """
    n = len(indices)
    if n < parts:
        raise InputError(
            "batch_size", n, f"a batch is shared by {parts} parts; use at least as many samples"
        )
    if groups is None or parts == 1:
        return np.array_split(indices, parts)
    own = groups[indices]
    _, first, code = np.unique(own, return_index=True, return_inverse=True)
    order = np.argsort(first[code], kind="stable")
    indices, own = indices[order], own[order]
    borders = np.flatnonzero(own[1:] != own[:-1]) + 1
    if len(borders) < parts - 1:
        return np.array_split(indices, parts)
    cuts: list[int] = []
    low = 0
    for k in range(1, parts):
        open_borders = borders[low : len(borders) - (parts - 1 - k)]
        nearest = int(np.argmin(np.abs(open_borders - k * n / parts)))
        cuts.append(int(open_borders[nearest]))
        low += nearest + 1
    return np.split(indices, cuts)


class EncoderRows:
    """Shares the rows of every call of an encoder out to processes and parts.

    Args:
        encoder: (B, T, C) to (B, T, D), samples independent of one another.
        seed: of dropout, drawn part by part.
        rank, world: this process and the number of processes.
        parts: parts a process encodes its rows in, recomputed in the backward pass; 1 keeps the
            activations of all.
    """

    def __init__(
        self, encoder: nn.Module, seed: int, *, rank: int = 0, world: int = 1, parts: int = 1
    ) -> None:
        self.encoder, self.seed = encoder, seed
        self.rank, self.world, self.parts = rank, world, parts
        self._key: tuple[int, ...] = ()
        self._calls = 0

    @contextmanager
    def shared(self, *key: int) -> Iterator[None]:
        """Within the block, calls of the encoder are shared out; ``key`` seeds their dropout."""
        if self.world == 1 and self.parts == 1:
            yield
            return
        self._key, self._calls = key, 0
        before = {n: self.encoder.__dict__[n] for n in ROW_METHODS if n in self.encoder.__dict__}
        for name in ROW_METHODS:
            original = getattr(self.encoder, name, None)
            if original is not None:
                self.encoder.__dict__[name] = partial(self._call, original)
        try:
            yield
        finally:
            for name in ROW_METHODS:
                self.encoder.__dict__.pop(name, None)
            self.encoder.__dict__.update(before)

    def _call(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._calls += 1
        n = next(len(a) for a in (*args, *kwargs.values()) if isinstance(a, Tensor) and a.ndim)
        shared = self.world > 1 and n >= self.world
        rank, world = (self.rank, self.world) if shared else (0, 1)
        start, stop = rank * n // world, (rank + 1) * n // world
        size = -(-(stop - start) // self.parts)
        made = []
        for first in range(start, stop, size):
            part = slice(first, min(stop, first + size))
            rows = [_take(a, n, part) for a in args]
            named = {k: _take(a, n, part) for k, a in kwargs.items()}
            with seeded(self.seed, "rows", *self._key, self._calls, first):
                made.append(self._encode(original, rows, named))
        whole = _join(made)
        if not shared:
            return whole
        if isinstance(whole, tuple):
            return tuple(gather_rows(one) for one in whole)
        return gather_rows(whole)

    def _encode(self, original: Callable[..., Any], rows: list[Any], named: dict[str, Any]) -> Any:
        if self.parts == 1 or not torch.is_grad_enabled():
            return original(*rows, **named)
        modes = [m.training for m in self.encoder.modules()]

        def again(*inputs: Any, **named_inputs: Any) -> Any:
            with self._in(modes):
                return original(*inputs, **named_inputs)

        return checkpoint(again, *rows, use_reentrant=False, preserve_rng_state=True, **named)

    @contextmanager
    def _in(self, modes: list[bool]) -> Iterator[None]:
        """The encoder's modules in the training or evaluation modes of the first computation."""
        modules = list(self.encoder.modules())
        now = [m.training for m in modules]
        for one, mode in zip(modules, modes, strict=True):
            one.training = mode
        try:
            yield
        finally:
            for one, mode in zip(modules, now, strict=True):
                one.training = mode


def _take(value: Any, n: int, part: slice) -> Any:
    """Rows ``part`` of a tensor of ``n`` rows; anything else as it is."""
    return value[part] if isinstance(value, Tensor) and value.ndim and len(value) == n else value


def _join(pieces: list[Any]) -> Any:
    if len(pieces) == 1:
        return pieces[0]
    if isinstance(pieces[0], tuple):
        return tuple(torch.cat(column) for column in zip(*pieces, strict=True))
    return torch.cat(pieces)
