"""Checks of the fields of recordings, and their values as 16-bit numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_loaders.container.standardize import usable_deviation
from tscl.errors import InputError

MISSING = np.iinfo(np.int16).min
"""The int16 value that stands for a missing one; float32 values are missing as NaN."""
LARGEST = np.iinfo(np.int16).max


def as_values(values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Checked values as a plain array (over a memory map too), and whether they are on disk."""
    if not isinstance(values, np.ndarray) or values.ndim != 2 or 0 in values.shape:
        value = f"shape {np.shape(values)}"
        raise InputError("values", value, "give an array (total steps, n_channels)")
    if values.dtype not in (np.dtype(np.int16), np.dtype(np.float32)):
        raise InputError("values", f"dtype {values.dtype}", "store int16 or float32")
    on_disk = isinstance(values, np.memmap)
    if values.dtype == np.float32 and not on_disk and np.isinf(values).any():
        raise InputError("values", "infinite values", "write NaN where values are missing")
    # slices of np.memmap itself are ten times as slow as those of an array over the same pages
    return values.view(np.ndarray), on_disk


def as_places(starts: Any, lengths: Any, total: int) -> tuple[np.ndarray, np.ndarray]:
    """First steps and lengths of recordings, (n,) int64 each.

    Args:
        starts: (n,) first steps; None where the recordings fill all steps in order.
        lengths: (n,) steps of each.
        total: steps of all values.
    """
    steps = np.asarray(lengths)
    if steps.ndim != 1 or len(steps) == 0 or steps.dtype.kind not in "iu" or steps.min() < 1:
        raise InputError("lengths", lengths, "give the whole steps of each recording, 1 or more")
    steps = steps.astype(np.int64)
    if starts is None:
        if int(steps.sum()) != total:
            raise InputError("lengths", f"sum {int(steps.sum())}", f"values hold {total} steps")
        return np.cumsum(steps) - steps, steps
    first = np.asarray(starts)
    if first.shape != steps.shape or first.dtype.kind not in "iu":
        raise InputError("starts", f"shape {first.shape}", f"give {len(steps)} whole numbers")
    first = first.astype(np.int64)
    if first.min() < 0 or (first + steps).max() > total:
        raise InputError("starts", "a recording outside the values", f"stay within {total} steps")
    return first, steps


def per_channel(field: str, given: Any, n: int, channels: int) -> np.ndarray:
    """Finite numbers of every recording and channel, (n, C) float32.

    Args:
        field: name of the numbers, for the error.
        given: one number, (n,), (n, 1) or (n, C).
        n: recordings.
        channels: C.
    """
    array = np.asarray(given, np.float32)
    if array.shape == (n,):
        array = array[:, None]
    if array.shape not in ((), (n, 1), (n, channels)) or not np.isfinite(array).all():
        remedy = f"give one finite number, ({n},) or ({n}, {channels})"
        raise InputError(field, f"shape {array.shape}", remedy)
    return np.broadcast_to(array, (n, channels)).copy()


def signal_figures(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel over the values present: (C,) each."""
    present = ~np.isnan(signal)
    count = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, signal, 0.0).sum(axis=0, dtype=np.float64) / count
    square = np.where(present, signal - mean, 0.0) ** 2
    return mean, usable_deviation(np.sqrt(square.sum(axis=0, dtype=np.float64) / count), mean)


def int16_unit(array: np.ndarray) -> np.ndarray:
    """Unit of int16 values that hold each channel of ``array``, (C,) float32."""
    largest = np.abs(np.nan_to_num(array)).max(axis=0)
    unit = np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32)
    return np.maximum(unit, np.finfo(np.float32).tiny)


def to_int16(array: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """``array`` in whole ``unit``s, int16, with :data:`MISSING` for NaN."""
    whole = np.rint(np.nan_to_num(array) / unit).clip(-LARGEST, LARGEST).astype(np.int16)
    whole[np.isnan(array)] = MISSING
    result: np.ndarray = whole
    return result
