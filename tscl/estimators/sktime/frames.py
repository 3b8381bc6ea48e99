"""What the sktime forecaster takes from data frames: scaled values, covariates, checked times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.offsets import Day, Tick
from sktime.forecasting.base import ForecastingHorizon

from data_loaders.series.time_axis import (
    calendar_fields,
    describe_gaps,
    offset_name,
    regular_freq,
    seen_cycles,
)
from tscl.errors import InputError, InputTypeError, nearest


def check_index(index: pd.Index) -> None:
    """Raise InputError when a step stands twice or the steps are uneven, naming them."""
    if index.has_duplicates:
        twice = index[index.duplicated()][0]
        remedy = "drop duplicates, or make a panel of several series"
        raise InputError("timestamps", f"{twice} stands twice", remedy)
    if len(index) < 3:
        return
    if isinstance(index, pd.DatetimeIndex):
        if index.freq is None and regular_freq(index) is None:
            remedy = "resample or fill the gaps first, or number the steps (reset_index(drop=True))"
            raise InputError("timestamps", describe_gaps(index), remedy)
        return
    unit, numbers = 1, index.to_numpy()
    if isinstance(index, pd.PeriodIndex) and index.freq is not None:
        # ordinals of two-hourly periods go by twos
        unit, numbers = index.freq.n, index.asi8
    steps = np.diff(numbers)
    if (steps != steps[0]).any():
        row = int(np.flatnonzero(steps != steps[0])[0])
        raise InputError(
            "timestamps", f"an uneven step after {index[row]}", "resample or fill the gaps first"
        )
    if steps[0] != unit:  # horizons count in ones, so every second number would be named wrongly
        raise InputError("timestamps", f"steps of {steps[0]}", "number the steps one by one")


def check_frequency(data: Any) -> None:
    """Raise InputError for the times of a frame whose frequency has no name that holds it all.

    sktime and pandas count the steps of a horizon by that name: holidays, opening hours and
    ``DateOffset`` would be lost on the way, and forecasts stand at other times.
    """
    freq = getattr(getattr(data, "index", None), "freq", None)
    if freq is not None and offset_name(freq) is None:
        remedy = (
            "number the steps (reset_index(drop=True)), or use a frequency with a name such as "
            "'B' or 'MS' (to_offset)"
        )
        raise InputError("timestamps.freq", repr(freq), remedy)


def with_freq(index: pd.Index) -> pd.Index:
    """A time index with its frequency where it is regular; groups of a panel have lost it."""
    if isinstance(index, pd.DatetimeIndex) and index.freq is None and len(index) >= 3:
        freq = regular_freq(index)
        if freq is not None:
            return pd.DatetimeIndex(index, freq=freq)
    return index


def cutoff_with_freq(cutoff: pd.Index, y: Any, earlier: pd.Index | None) -> pd.Index:
    """The cutoff with a frequency, where one is known.

    sktime counts the steps of a horizon by it, and loses it in panels, in a few new rows, and where
    the clock changes.

    Args:
        cutoff: index of the last step that was seen.
        y: the series of now, whose frequency is taken where ``earlier`` has none.
        earlier: the cutoff before.
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
    horizon = fh.to_pandas()
    if fh.is_relative and not isinstance(horizon, pd.TimedeltaIndex):
        return np.asarray(fh.to_relative(cutoff).to_numpy(), dtype=np.int64)
    if fh.is_relative:
        horizon = _after(cutoff, horizon)
    freq = getattr(cutoff, "freq", None)
    if (
        isinstance(horizon, pd.DatetimeIndex)
        and isinstance(freq, Tick)
        and not isinstance(freq, Day)
    ):
        steps = np.asarray((horizon - cutoff[0]) // pd.Timedelta(freq), dtype=np.int64)
    else:
        absolute = ForecastingHorizon(horizon, is_relative=False, freq=cutoff)
        steps = absolute.to_relative(cutoff).to_numpy().astype(np.int64)
    grid = ForecastingHorizon(steps, is_relative=True).to_absolute_index(cutoff)
    off = np.asarray(horizon != grid)
    if off.any():
        raise InputError("fh", str(horizon[off][0]), f"the step nearest to it is {grid[off][0]}")
    return np.asarray(steps)


def _after(cutoff: pd.Index, durations: pd.TimedeltaIndex) -> pd.Index:
    """The times that lie ``durations`` after ``cutoff``."""
    if not isinstance(cutoff, pd.DatetimeIndex | pd.PeriodIndex):
        raise InputError("fh", str(durations[0]), "the series has no times; pass numbers of steps")
    try:
        return cutoff[0] + durations
    except (TypeError, ValueError) as error:
        raise InputError("fh", str(durations[0]), f"the step is {cutoff.freqstr}") from error


Float32 = NDArray[np.float32]
Part = tuple[pd.DataFrame, pd.DataFrame | None]
"""A series and its covariates."""
Stretch = tuple[Float32, Float32]
"""Scaled values (T, C) and covariates (T, K) of a series."""
LARGEST = 1e305
"""Larger values leave float64 when a forecast goes back to their unit."""


def check_values(field: str, frame: pd.DataFrame) -> None:
    """Raise InputError for the first value that is not finite, or too large to compute with."""
    values = frame.to_numpy(np.float64)
    _name_first(field, frame, ~np.isfinite(values), "fill it or cut the series there")
    _name_first(field, frame, np.abs(values) > LARGEST, "pass it in a larger unit")


def check_readable(field: str, data: Any) -> None:
    """Raise InputError for what sktime takes for no series of numbers, naming the likely fault."""
    if not isinstance(data, pd.DataFrame | pd.Series):
        value = f"type {type(data).__name__}"
        raise InputTypeError(field, value, "pass a pandas Series or DataFrame indexed by time")
    index = data.index
    if isinstance(data, pd.DataFrame):
        for name, column in data.items():
            if pd.api.types.is_datetime64_any_dtype(column):
                value = f"a column of times, {name!r}"
                raise InputError(field, value, f"make it the index: set_index({name!r})")
    if index.nlevels == 1:
        if not (pd.api.types.is_numeric_dtype(index) or hasattr(index, "freq")):
            value = f"an index of {type(index[0]).__name__}"
            raise InputError(f"{field}.index", value, "turn it into times: pd.to_datetime(index)")
        if not index.is_monotonic_increasing:
            raise InputError(f"{field}.index", "unsorted times", "sort the rows: sort_index()")
    for name, column in data.to_frame().items() if isinstance(data, pd.Series) else data.items():
        if not pd.api.types.is_numeric_dtype(column):
            value = f"categorical values of type {column.dtype}"
            raise InputTypeError(
                f"{field}[{name!r}]", value, "turn them into numbers: pd.to_numeric"
            )


def check_missing(field: str, data: Any) -> None:
    """Raise InputError for the first missing value of a frame or series."""
    if isinstance(data, pd.Series):
        data = data.to_frame()
    if isinstance(data, pd.DataFrame):
        _name_first(field, data, data.isna().to_numpy(), "fill it or cut the series there")


def check_covers(X: Any, y: Any) -> None:
    """Raise InputError for the first time of the series ``y`` without a row in ``X``."""
    frames = pd.DataFrame | pd.Series
    if not isinstance(X, frames) or not isinstance(y, frames):
        return
    if X.index.nlevels == y.index.nlevels == 1:
        rows_at(X, y.index)


def rows_at(X: Any, index: pd.Index) -> Any:
    """The rows of ``X`` at ``index``; InputError names the first that is not there."""
    lack = ~index.isin(X.index)
    if lack.any():
        raise InputError(
            "X.index", f"no row at {index[lack][0]}", "pass covariates of every step of y"
        )
    return X.loc[index]


def _name_first(field: str, frame: pd.DataFrame, bad: NDArray[np.bool_], remedy: str) -> None:
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{field}[{frame.columns[column]!r}]",
            frame.iat[row, column],
            f"at {frame.index[row]}; {remedy}",
        )


@dataclass(frozen=True, eq=False)
class FrameScaler:
    """Zero mean and unit deviation of each column; constant columns keep their scale."""

    center: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> FrameScaler:
        """Statistics of the columns.

        A column is constant when it varies by no more than rounding, whatever its unit.
        """
        values = frame.to_numpy(np.float64)
        # a power of two divides without rounding, and squares then neither vanish nor overflow
        unit = np.ldexp(1.0, np.frexp(np.abs(values).max(axis=0))[1] - 1)
        deviation = (values / unit).std(axis=0)
        scale = deviation * unit
        varies = (deviation > 1e-14) & (scale > 0)
        return cls((values / unit).mean(axis=0) * unit, np.where(varies, scale, 1.0))

    def apply(self, frame: pd.DataFrame, field: str = "y") -> Float32:
        """(T, C) float32; InputError for a value too far from those of ``fit`` for that."""
        with np.errstate(over="ignore"):
            result = ((frame.to_numpy(np.float64) - self.center) / self.scale).astype(np.float32)
        remedy = "too many deviations from the values of fit; check its unit"
        _name_first(field, frame, ~np.isfinite(result), remedy)
        return result

    def undo(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Back to the original unit."""
        return np.asarray(values * self.scale + self.center)


@dataclass(frozen=True, eq=False)
class Marks:
    """Covariates of any stretch of time: calendar fields and exogenous columns, standardised."""

    columns: tuple[str, ...] | None
    calendar: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    scaler: FrameScaler | None

    @classmethod
    def fit(cls, index: pd.Index, X: pd.DataFrame | None, *, calendar: bool) -> Marks:
        """Statistics of what is known at training.

        Args:
            index: times of the training part.
            X: its covariates, one column each; None for none.
            calendar: take hour, weekday and the like from ``index`` as well.
        """
        fields = _fields(index) if calendar else None
        statistics = None
        if fields is not None:
            times = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index
            seen = seen_cycles(pd.DatetimeIndex(times))
            statistics = (fields.mean(axis=0), np.where(seen, fields.std(axis=0), 0.0))
        if X is None or X.shape[1] == 0:
            return cls(None, statistics, None)
        return cls(tuple(X.columns), statistics, FrameScaler.fit(X))

    @classmethod
    def fit_parts(cls, parts: list[Part], *, calendar: bool) -> Marks:
        """Statistics of several series together."""
        index = parts[0][0].index
        for frame, _ in parts[1:]:
            index = index.append(frame.index)
        frames = [X for _, X in parts if X is not None]
        return cls.fit(index, pd.concat(frames) if frames else None, calendar=calendar)

    @property
    def width(self) -> int:
        """Number of covariates."""
        return (7 if self.calendar is not None else 0) + len(self.columns or ())

    def make(self, index: pd.Index, X: pd.DataFrame | None) -> Float32:
        """(T, width) covariates; InputError when an exogenous column is missing."""
        parts: list[NDArray[np.floating]] = [np.zeros((len(index), 0))]
        if self.calendar is not None:
            fields = _fields(index)
            assert fields is not None
            mean, deviation = self.calendar
            varies = deviation > 0
            parts.append(np.where(varies, (fields - mean) / np.where(varies, deviation, 1.0), 0.0))
        if self.columns is not None:
            assert self.scaler is not None
            if X is None:
                raise InputError("X", None, f"fitted with columns {list(self.columns)}; pass them")
            for column in self.columns:
                if column not in X.columns:
                    known = [str(c) for c in X.columns]
                    raise InputError(f"X.{column}", "missing", nearest(str(column), known))
            parts.append(self.scaler.apply(X[list(self.columns)], "X"))
        return np.concatenate(parts, axis=1).astype(np.float32)


def future_rows(
    X: pd.DataFrame | None, columns: tuple[str, ...] | None, times: pd.Index, last: int
) -> pd.DataFrame | None:
    """Covariates of the future; those after step ``last`` repeat the last known row.

    Args:
        X: covariates that were handed over, one row a time.
        columns: of ``fit``; None for a model without covariates.
        times: of the future, in order.
        last: steps of the future, from its first, that must be there.

    Raises:
        InputError: no ``X`` although the model needs it, a step up to ``last`` is missing, or a
            value up to there is not finite.
    """
    if columns is None:
        return None
    if X is None:
        raise InputError("X", None, f"forecasts need the future of {list(columns)}")
    if X.index.nlevels == 1 and len(X.index) == last and not X.index.isin(times[:last]).all():
        raise InputError("X.index", X.index[0], f"it must cover {times[0]} to {times[last - 1]}")
    missing = ~times[:last].isin(X.index)
    if missing.any():
        raise InputError(
            "X.index",
            f"{int(missing.sum())} of {last} steps missing, the first {times[:last][missing][0]}",
            "pass the covariates of every step up to the furthest one forecast",
        )
    rows = X.reindex(times[:last])
    check_values("X", rows[[column for column in columns if column in rows]])
    return rows.reindex(times).ffill()


def panel_parts(y: pd.DataFrame, X: pd.DataFrame | None = None) -> dict[Any, Part]:
    """The series of a panel by id, each with its covariates; a single one has the id ``()``.

    Raises:
        InputError: covariates of some series are missing.
    """
    if y.index.nlevels == 1:
        return {(): (y, None if X is None else rows_at(X, y.index))}
    levels: list[Any] = list(range(y.index.nlevels - 1))
    result: dict[Any, Part] = {}
    for key, part in y.groupby(level=levels if len(levels) > 1 else levels[0], sort=False):
        name = key if isinstance(key, tuple) else (key,)
        covariates = None
        if X is not None:
            covariates = rows_at(X, part.index).droplevel(levels)
            covariates.index = with_freq(covariates.index)
        single = part.droplevel(levels)
        single.index = with_freq(single.index)
        result[name] = (single, covariates)
    return result


def checked_parts(y: pd.DataFrame, X: pd.DataFrame | None) -> dict[Any, Part]:
    """:func:`panel_parts`, each series with even steps and finite values, or InputError."""
    parts = panel_parts(y, X)
    for frame, covariates in parts.values():
        check_index(frame.index)
        check_values("y", frame)
        if covariates is not None:
            check_values("X", covariates)
    return parts


def until(parts: dict[Any, Part], end: Any) -> dict[Any, Part]:
    """The series up to the time ``end``; some may end before.

    Raises:
        InputError: one has no row up to there.
    """
    shortened = {
        key: (frame.loc[:end], None if covariates is None else covariates.loc[:end])
        for key, (frame, covariates) in parts.items()
    }
    for key, (frame, _) in shortened.items():
        if not len(frame):
            raise InputError("y", f"no row of {_name(key)} up to {end}", "leave the series out")
    return shortened


def own_cutoff(index: pd.Index, cutoff: pd.Index) -> tuple[pd.Index, int]:
    """The last time of a series, and how many steps it lies before ``cutoff``."""
    last = with_freq(index)[-1:]
    freq = getattr(cutoff, "freq", None)
    if isinstance(last, pd.DatetimeIndex) and last.freq is None and freq is not None:
        last = pd.DatetimeIndex(last, freq=freq)
    if last[0] == cutoff[0]:
        return cutoff, 0
    steps = horizon_steps(ForecastingHorizon(cutoff, is_relative=False), last)
    return last, int(steps[0])


def joined(frames: dict[Any, pd.DataFrame], names: list[Any]) -> pd.DataFrame:
    """The frames of the series of a panel as one, with ``names`` of its index levels."""
    if () in frames:
        return frames[()]
    frame: pd.DataFrame = pd.concat({k if len(k) > 1 else k[0]: f for k, f in frames.items()})
    frame.index.names = names
    return frame


def future_part(X: pd.DataFrame | None, key: Any) -> pd.DataFrame | None:
    """The rows of ``X`` of one series; InputError when it has none."""
    if X is None or key == ():
        return X
    known = panel_ids(X)
    if key not in known:
        raise InputError("X", f"no rows of series {_name(key)}", f"it has {_names(known)}")
    part = X.xs(key, level=list(range(X.index.nlevels - 1)))
    assert isinstance(part, pd.DataFrame)
    return part


def check_ids(field: str, data: pd.DataFrame | None, known: Iterable[Any]) -> None:
    """Raise InputError for the first series that was not there in ``fit``.

    Args:
        field: name of the data, for the error.
        data: a panel; None or a single series passes.
        known: ids of the series in ``fit``.
    """
    if data is None or data.index.nlevels == 1:
        return
    fitted = set(known)
    for key in panel_ids(data):
        if key not in fitted:
            raise InputError(
                field,
                f"unseen series {_name(key)}",
                f"fitted on {_names(fitted)}; fit again with it, or leave it out",
            )


def panel_ids(data: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Ids of the series of a panel, as tuples, in their order."""
    assert isinstance(data.index, pd.MultiIndex)
    keys = data.index.droplevel(-1).unique()
    return [key if isinstance(key, tuple) else (key,) for key in keys]


def _name(key: tuple[Any, ...]) -> str:
    return "/".join(map(str, key))


def _names(keys: Iterable[tuple[Any, ...]]) -> str:
    result = sorted(map(_name, keys))
    return ", ".join(result[:5]) + (f" and {len(result) - 5} more" if len(result) > 5 else "")


def _fields(index: pd.Index) -> NDArray[np.float64] | None:
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    return calendar_fields(index) if isinstance(index, pd.DatetimeIndex) else None
