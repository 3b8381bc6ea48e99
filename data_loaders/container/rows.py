"""Arrays of samples that may be larger than memory: chosen rows, and passes over blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tscl.errors import InputError

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
            part: np.ndarray = block[(*lead, *rest)]
            return part
        return np.asarray(self.base[self.index[key]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        out = np.asarray(self.base[self.index])
        return out if dtype is None else out.astype(dtype, copy=False)


Rows = np.ndarray | RowView


def take_rows(x: Rows, index: np.ndarray, *, lazy: bool) -> Rows:
    """Chosen rows, read into memory or as a view.

    Args:
        x: array or view of rows.
        index: positions, in the order they shall have.
        lazy: as a view.
    """
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
        bad_values = int(bad.sum())
        if bad_values and first < 0:
            first = start + int(np.argmax(bad.reshape(len(block), -1).any(axis=1)))
        count += bad_values
    return count, first


def unmasked(values: Any) -> Any:
    """``values`` with NaN where a numpy masked array is masked; anything else as it is."""
    if not np.ma.isMaskedArray(values):
        return values
    kind = values.dtype if values.dtype.kind == "f" else np.float64
    return np.ma.filled(values.astype(kind), np.nan)


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


def row_digests(x: Rows) -> np.ndarray:
    """(n,) uint64, equal for samples of equal bytes; 0 for samples without any change.

    A sum of the values' bits times fixed random odd numbers: two different samples have one digest
    with a chance of about 2**-63. Flat samples say nothing about where they come from.
    """
    bits = np.uint32 if x.dtype.itemsize == 4 else np.uint64
    size = int(np.prod(x.shape[1:]))
    weight = np.random.default_rng(0).integers(0, 2**63, size, np.uint64) * np.uint64(
        2
    ) + np.uint64(1)
    digests = np.zeros(len(x), np.uint64)
    for start, block in blocks(x):
        block = np.ascontiguousarray(block)
        words = block.reshape(len(block), -1).view(bits).astype(np.uint64)
        # the high half matters too: a product of small numbers leaves it empty
        mixed = (words ^ (words << np.uint64(29))) * weight
        flat = ((block == block[:, :1]) | np.isnan(block)).all(axis=(1, 2))
        digests[start : start + len(block)] = np.where(flat, 0, mixed.sum(axis=1) | np.uint64(1))
    return digests


def same_recordings(
    digests: np.ndarray, patient: np.ndarray, trial: np.ndarray
) -> list[tuple[Any, Any]]:
    """Pairs of patients of whom a whole trial is equal, sample by sample.

    Args:
        digests: (n,) see :func:`row_digests`.
        patient: (n,) ids.
        trial: (n,) ids; they count within a patient.

    Returns:
        Each pair once, in the order of appearance.
    """
    people, trials = (np.unique(ids, return_inverse=True)[1] for ids in (patient, trial))
    own = np.unique(people * (trials.max() + 1) + trials, return_inverse=True)[1]
    order = np.argsort(own, kind="stable")
    starts = np.flatnonzero(np.diff(own[order], prepend=-1))
    place = np.arange(len(own)) - np.repeat(starts, np.diff(np.append(starts, len(own))))
    step = (2 * place.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    total = np.add.reduceat(digests[order] * step, starts)
    usable = np.add.reduceat((digests[order] > 0).astype(np.int64), starts) > 0
    if len(np.unique(total[usable])) == int(usable.sum()):
        return []
    first: dict[tuple[int, int], Any] = {}
    pairs: dict[tuple[Any, Any], None] = {}
    for number in np.flatnonzero(usable).tolist():
        rows = order[starts[number]]
        count = (starts[number + 1] if number + 1 < len(starts) else len(own)) - starts[number]
        who = np.asarray(patient)[rows : rows + 1].tolist()[0]
        earlier = first.setdefault((int(total[number]), int(count)), who)
        if earlier != who:
            pairs[(earlier, who)] = None
    return list(pairs)


def chosen_rows(which: Any, n: int, noun: str) -> np.ndarray:
    """Positions (k,) from 0 that were chosen.

    Args:
        which: indices, also from the end, or a boolean mask.
        n: rows to choose from.
        noun: what a row is, for the error.

    Raises:
        InputError: nothing chosen, a mask of another length, an index out of range.
    """
    index = np.asarray(which)
    if index.dtype == bool:
        if index.shape != (n,):
            raise InputError("which", f"mask {index.shape}", f"give {n} values")
        index = np.flatnonzero(index)
    if index.ndim != 1 or index.size == 0:
        raise InputError("which", f"shape {index.shape}", f"choose at least one {noun}")
    if not np.issubdtype(index.dtype, np.integer):
        raise InputError("which", f"dtype {index.dtype}", "give integers or a boolean mask")
    if index.min() < -n or index.max() >= n:
        raise InputError("which", f"{index.min()}..{index.max()}", f"stay below {n}")
    result: np.ndarray = index.astype(np.int64) % n
    return result
