"""Arrays of samples that may be larger than memory: chosen rows, and passes over blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

BLOCK_BYTES = 32 * 2**20
MAX_LOSS = 1e-3
"""Largest rounding error of float32 that is taken, in deviations of a series."""


class RowView:
    """Chosen rows of an array on disk, read only when indexed.

    Args:
        base: array of shape (N, T, C), usually an ``np.memmap``.
        index: rows of ``base``, (n,) int64.

    ``view[i]`` with an integer, slice, mask or index array returns a numpy array.
    """

    def __init__(self, base: np.ndarray, index: np.ndarray) -> None:
        self.base = base
        self.index = np.asarray(index, np.int64)
        self.shape: tuple[int, ...] = (len(self.index), *base.shape[1:])
        self.dtype = base.dtype
        self.ndim = base.ndim

    @property
    def nbytes(self) -> int:
        """Size of the view when read whole, in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, tuple):
            rows, *rest = key
            block = np.asarray(self.base[self.index[rows]])
            lead = (slice(None),) if block.ndim == self.ndim else ()
            made: np.ndarray = block[(*lead, *rest)]
            return made
        return np.asarray(self.base[self.index[key]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        out = np.asarray(self.base[self.index])
        return out if dtype is None else out.astype(dtype, copy=False)


Rows = np.ndarray | RowView


def take_rows(x: Rows, index: np.ndarray, *, lazy: bool) -> Rows:
    """Rows ``index`` of ``x``: read into memory, or as a view when ``lazy``."""
    if not lazy:
        return np.ascontiguousarray(x[index])
    if isinstance(x, RowView):
        return RowView(x.base, x.index[index])
    return RowView(x, index)


def blocks(x: Rows) -> Iterator[tuple[int, np.ndarray]]:
    """Pass over ``x`` in blocks of about 32 MiB: yields (first row, block)."""
    row_bytes = max(1, int(np.prod(x.shape[1:])) * x.dtype.itemsize)
    step = max(1, BLOCK_BYTES // row_bytes)
    for start in range(0, x.shape[0], step):
        yield start, np.asarray(x[start : start + step])


def find_non_finite(x: Rows, *, allow_nan: bool = False) -> tuple[int, int]:
    """How many values are NaN or infinite, and the first sample that holds one (-1: none).

    With ``allow_nan`` only infinities count.
    """
    count, first = 0, -1
    for start, block in blocks(x):
        bad = np.isinf(block) if allow_nan else ~np.isfinite(block)
        found = int(bad.sum())
        if found and first < 0:
            first = start + int(np.argmax(bad.reshape(len(block), -1).any(axis=1)))
        count += found
    return count, first


def unmasked(values: Any) -> Any:
    """``values`` with NaN where a numpy masked array is masked; anything else as it is."""
    if not np.ma.isMaskedArray(values):
        return values
    kind = values.dtype if values.dtype.kind == "f" else np.float64
    return values.astype(kind).filled(np.nan)


def float32_loses(x: Rows) -> bool:
    """Whether float32 rounds away what changes within a series of ``x`` (n, T, C).

    It does where a series varies little around a large level, such as a counter or a position:
    float32 holds about seven digits. What varies by rounding of float64 alone is constant.
    """
    if x.dtype.kind not in "fiu" or (x.dtype.itemsize <= 4 and x.dtype.kind == "f"):
        return False
    step = float(np.finfo(np.float32).eps) / 2
    for _, block in blocks(x):
        wide = np.asarray(block, np.float64)
        size = np.fmax.reduce(np.abs(wide), axis=1)
        if not (size > 0).any():
            continue
        with np.errstate(invalid="ignore", over="ignore"):
            # The range is at most a few deviations; it needs no mean, which may itself round.
            spread = (np.fmax.reduce(wide, axis=1) - np.fmin.reduce(wide, axis=1)) / 4
            lost = (size * step > MAX_LOSS * spread) & (spread > 1e-11 * size)
        if (lost & np.isfinite(size)).any():
            return True
    return False


def narrow(x: np.ndarray) -> np.ndarray:
    """Real numbers (n, T, C) as float32, or as float64 where float32 would lose their differences.

    The level of what stays float64 is taken off when it is standardised, in double precision.
    """
    x = unmasked(x)
    with np.errstate(over="ignore"):
        return x.astype(np.float64 if float32_loses(x) else np.float32, copy=False)
