"""The time column of a long table: rows in order, and steps as even as the sampling rate says.

Times are seconds, numbers of the steps (one apart), dates or durations. Values rounded to a few
digits pass: a step may be off by less than half its length, and a sample's whole length by 1 %.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tscl.errors import DataError, InputError

MAX_DRIFT = 0.01
"""How far a sample's mean step may be from that of its sampling rate."""


def sorted_steps(
    column: pd.Series, owner: NDArray[Any], keys: Any, rate: float
) -> NDArray[np.int64]:
    """Order of the rows by sample and time, once the times are found to be even.

    Args:
        column: the times.
        owner: (n,) number of each row's sample.
        keys: name of each sample, for errors.
        rate: Hz.

    Raises:
        DataError: times that are no numbers, a time twice, a gap within a sample, or steps that
            contradict ``rate``. InputError: a rate that is no positive number.
    """
    if np.ndim(rate) or not math.isfinite(float(rate)) or not float(rate) > 0:
        raise InputError("sampling_rate", rate, "give one positive number of Hz")
    name = str(column.name)
    times, in_seconds = _numbers(column, name)
    order = np.lexsort((times, owner))
    rows = np.flatnonzero(owner[order][1:] == owner[order][:-1])
    before, after = order[rows], order[rows + 1]
    if not len(rows):
        return order
    steps = times[after] - times[before]
    if (steps == 0).any():
        row = int(before[np.argmax(steps == 0)])
        found = f"{column.iloc[row]} twice in sample {keys[owner[row]]}"
        raise DataError(name, found, "keep one row a step")
    usual = float(np.median(steps))
    numbered = not in_seconds and math.isclose(usual, 1.0, rel_tol=1e-6)
    wanted = 1.0 if numbered else 1.0 / float(rate)
    if abs(usual - wanted) > wanted / 4:
        _contradict(name, usual, rate, "the usual step")
    uneven = np.abs(steps - wanted) >= wanted / 2 * (1 - 1e-9)
    if uneven.any():
        at = int(np.argmax(uneven))
        first, second = column.iloc[int(before[at])], column.iloc[int(after[at])]
        found = f"from {first} to {second} in sample {keys[owner[before[at]]]}"
        remedy = "add rows of NaN for the steps that are missing, or resample to even steps"
        raise DataError(name, f"a gap or uneven steps, {found}", remedy)
    counts = np.bincount(owner[before], minlength=len(keys))
    drift = np.abs(np.bincount(owner[before], steps, len(keys)) - counts * wanted)
    far = drift > wanted * np.maximum(MAX_DRIFT * counts, 0.25)
    if far.any():
        worst = int(np.argmax(far))
        mean = float(steps[owner[before] == worst].mean())
        _contradict(name, mean, rate, f"the mean step in sample {keys[worst]}")
    return order


def _contradict(name: str, step: float, rate: float, what: str) -> None:
    found = f"{what} is {step:.6g}, at {rate:g} Hz it is {1 / rate:.6g} s"
    remedy = "give the right sampling_rate and times in seconds, or number the steps"
    raise DataError(name, found, remedy)


def _numbers(column: pd.Series, name: str) -> tuple[NDArray[np.float64], bool]:
    """Times from the first one on as float64, and whether they are in seconds for sure."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    column = column.infer_objects()
    if column.dtype.kind in "mM":
        return (column - column.min()).dt.total_seconds().to_numpy(np.float64), True
    try:
        made = pd.to_numeric(column)
        times = (made - made.min()).to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError):
        times = np.array([np.nan])
    if not np.isfinite(times).all() or pd.api.types.is_bool_dtype(column.dtype):
        remedy = "give seconds, numbers of the steps, or dates (pandas.to_datetime)"
        raise DataError(name, f"{column.dtype} such as {column.iloc[0]!r}", remedy)
    return times, False
