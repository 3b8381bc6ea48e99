"""Arrays of samples that may be larger than memory: chosen rows, and passes over blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

BLOCK_BYTES = 32 * 2**20


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
