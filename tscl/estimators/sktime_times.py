"""Time axes of the sktime forecaster: even steps, frequencies, steps of a horizon."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.offsets import Day, Tick
from sktime.forecasting.base import ForecastingHorizon

from data_loaders.time_axis import describe_gaps, regular_freq
from tscl.errors import InputError


def check_index(index: pd.Index) -> None:
    """Raise InputError when the steps of an index are uneven, naming the gaps."""
    if len(index) < 3:
        return
    if isinstance(index, pd.DatetimeIndex):
        if index.freq is None and regular_freq(index) is None:
            raise InputError("timestamps", describe_gaps(index), "resample or fill the gaps first")
        return
    one, numbers = 1, index.to_numpy()
    if isinstance(index, pd.PeriodIndex) and index.freq is not None:
        # ordinals of two-hourly periods go by twos
        one, numbers = index.freq.n, index.asi8
    steps = np.diff(numbers)
    if (steps != steps[0]).any():
        row = int(np.flatnonzero(steps != steps[0])[0])
        raise InputError(
            "timestamps", f"an uneven step after {index[row]}", "resample or fill the gaps first"
        )
    if steps[0] != one:  # horizons count in ones, so every second number would be named wrongly
        raise InputError("timestamps", f"steps of {steps[0]}", "number the steps one by one")


def with_freq(index: pd.Index) -> pd.Index:
    """A time index with its frequency where it is regular; groups of a panel have lost it."""
    if isinstance(index, pd.DatetimeIndex) and index.freq is None and len(index) >= 3:
        freq = regular_freq(index)
        if freq is not None:
            return pd.DatetimeIndex(index, freq=freq)
    return index


def cutoff_with_freq(cutoff: pd.Index, y: Any, earlier: pd.Index | None) -> pd.Index:
    """``cutoff`` with the frequency of ``earlier``, or else that of the series of ``y``.

    sktime counts the steps of a horizon by it, and loses it in panels, in a few new rows, and
    where the clock changes.
    """
    if not isinstance(cutoff, pd.DatetimeIndex) or cutoff.freq is not None:
        return cutoff
    freq = getattr(earlier, "freq", None)
    if freq is None and isinstance(y, pd.DataFrame | pd.Series):
        freq = _common_freq(y.index)
    try:
        return cutoff if freq is None else pd.DatetimeIndex(cutoff, freq=freq)
    except ValueError:  # new rows off the grid; the check of the index names them
        return cutoff


def _common_freq(index: pd.Index) -> Any:
    """Frequency of the first series of a panel that has one."""
    if not isinstance(index, pd.MultiIndex):
        return getattr(with_freq(index), "freq", None)
    times = index.get_level_values(-1)
    ids = index.droplevel(-1)
    for key in ids.unique():
        freq = getattr(with_freq(times[ids == key]), "freq", None)
        if freq is not None:
            return freq
    return None


def horizon_steps(fh: ForecastingHorizon, cutoff: pd.Index) -> NDArray[np.int64]:
    """Steps after ``cutoff`` at which ``fh``, numbers, durations or times, lies.

    Raises:
        InputError: a time between two steps, or durations for a series without times.
    """
    asked = fh.to_pandas()
    if fh.is_relative and not isinstance(asked, pd.TimedeltaIndex):
        return np.asarray(fh.to_relative(cutoff).to_numpy(), dtype=np.int64)
    if fh.is_relative:
        asked = _after(cutoff, asked)
    freq = getattr(cutoff, "freq", None)
    if isinstance(asked, pd.DatetimeIndex) and isinstance(freq, Tick) and not isinstance(freq, Day):
        steps = np.asarray((asked - cutoff[0]) // pd.Timedelta(freq), dtype=np.int64)
    else:
        absolute = ForecastingHorizon(asked, is_relative=False, freq=cutoff)
        steps = absolute.to_relative(cutoff).to_numpy().astype(np.int64)
    grid = ForecastingHorizon(steps, is_relative=True).to_absolute_index(cutoff)
    off = np.asarray(asked != grid)
    if off.any():
        raise InputError("fh", str(asked[off][0]), f"the step nearest to it is {grid[off][0]}")
    return np.asarray(steps)


def _after(cutoff: pd.Index, durations: pd.TimedeltaIndex) -> pd.Index:
    """The times that lie ``durations`` after ``cutoff``."""
    if not isinstance(cutoff, pd.DatetimeIndex | pd.PeriodIndex):
        raise InputError("fh", str(durations[0]), "the series has no times; pass numbers of steps")
    try:
        return cutoff[0] + durations
    except (TypeError, ValueError) as error:
        raise InputError("fh", str(durations[0]), f"the step is {cutoff.freqstr}") from error
