"""Regularity of a time axis: its step, its gaps, and how a gap is filled without the future."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset, Tick

from tscl.errors import DataError, InputError, check_choice

DAY_OR_MONTH_FIRST = r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}(\D.*)?$"
EITHER_WAY = r"(0?[1-9]|1[0-2])[/.-](0?[1-9]|1[0-2])[/.-]\d{2,4}(\D.*)?$"
"""Text of a date whose first two numbers may both be a month."""

MAX_FILL = 20
"""How many times as long a series may become when its gaps are filled."""


def parse_times(column: pd.Series, name: str) -> pd.DatetimeIndex:
    """Parse a column of text or times; DataError names the first row that is not a time.

    Time stamps of a time zone become local times. Where the clock changes between them and they
    are not all of one hour of the day, the offset of the first holds for all, so that a step of an
    hour stays an hour. Numbers are not taken for times. Days and months are told apart by the rows
    with a day above 12; where there is none, by which reading makes the steps regular.
    """
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
        times = column
    else:
        text = column.astype("string").str.strip()
        times = _read(text, name)
        bad = times.isna().to_numpy()
        if bad.any() and text.str.match(DAY_OR_MONTH_FIRST).all():
            times = _read(text, name, dayfirst=True)
            bad = times.isna().to_numpy()
        if bad.any():  # a whole second is often written without its fraction, midnight as a date
            times = _read(text, name, format="ISO8601")
            bad = times.isna().to_numpy()
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                name,
                f"{text.iloc[row]!r} in row {row} (of {int(bad.sum())} such rows)",
                "write every time in one format, such as 2016-07-01 00:00:00",
            )
        if len(text) > 2 and text.str.match(EITHER_WAY).all():
            times = _day_or_month_first(text, times, name)
    index = pd.DatetimeIndex(times)
    if index.tz is None:
        return index
    local, elapsed = index.tz_localize(None), index.tz_convert(None)
    if len({*(local - local.normalize()).dropna()}) <= 1:
        return local  # days, months: steps of the calendar, whatever the clock does
    return elapsed + (local - elapsed)[0]


def _read(
    text: pd.Series, name: str, dayfirst: bool = False, format: str | None = None
) -> pd.Series:
    remedy = "use one time offset, such as UTC"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats to guess, and of mixed offsets
            times = pd.to_datetime(text, errors="coerce", dayfirst=dayfirst, format=format)
    except ValueError as error:
        raise DataError(name, f"unreadable times ({error})", remedy) from error
    if times.dtype == object:
        raise DataError(name, f"{text.iloc[0]!r} and others with another offset", remedy)
    return times


def _day_or_month_first(text: pd.Series, monthfirst: pd.Series, name: str) -> pd.Series:
    """The reading with regular steps of dates that can be read either way."""
    dayfirst = _read(text, name, dayfirst=True)
    regular = [_has_regular_steps(order) for order in (monthfirst, dayfirst)]
    if all(regular) and not dayfirst.equals(monthfirst):
        raise DataError(
            name,
            f"{text.iloc[0]!r} to {text.iloc[-1]!r}, where day and month cannot be told apart",
            "write dates as 2016-07-01",
        )
    return dayfirst if regular[1] else monthfirst


def _has_regular_steps(times: pd.Series) -> bool:
    if times.isna().any() or not times.is_monotonic_increasing or not times.is_unique:
        return False
    return regular_freq(pd.DatetimeIndex(times)) is not None


def usual_step(timestamps: pd.DatetimeIndex) -> pd.Timedelta:
    """The most frequent step between neighbouring time stamps (sorted input)."""
    steps, counts = np.unique(_elapsed(timestamps), return_counts=True)
    return pd.Timedelta(steps[counts.argmax()])


def regular_freq(timestamps: pd.DatetimeIndex) -> str | None:
    """Pandas name of a regular axis' step (calendar steps such as months too), or None.

    Stamps with a time zone are regular in elapsed time, or by whole days of their local time.
    """
    steps = np.unique(_elapsed(timestamps))
    if len(steps) == 1:
        return str(to_offset(pd.Timedelta(steps[0])).freqstr)
    if timestamps.tz is not None:
        timestamps = timestamps.tz_localize(None)
        days = [pd.Timedelta(step) for step in np.unique(_elapsed(timestamps))]
        if len(days) == 1:  # a step of hours that is even in local time alone hides a gap
            return str(to_offset(days[0]).freqstr) if days[0] == days[0].floor("D") else None
    name = pd.infer_freq(timestamps) if len(timestamps) >= 3 else None
    if name is None:
        return None
    # pandas takes the last Friday of each month for the fourth: its guess must give the stamps
    again = pd.date_range(timestamps[0], periods=len(timestamps), freq=name)
    return name if again.equals(timestamps) else None


def offset_name(offset: BaseOffset) -> str | None:
    """Pandas' name of an offset; None where the name would lose holidays, opening hours or more."""
    try:
        name = str(offset.freqstr)
        return name if to_offset(name) == offset else None
    except ValueError:
        return None


@dataclass(frozen=True, eq=False)
class Axis:
    """The regular axis that most stamps of an irregular one lie on.

    Attributes:
        step: its step, a duration or a step of the calendar.
        name: what the step is called.
        on: (T,) which stamps lie on it.
        length: steps from the first stamp to the last.
    """

    step: BaseOffset
    name: str
    on: NDArray[np.bool_]
    length: int


def likely_axis(timestamps: pd.DatetimeIndex) -> Axis:
    """The axis with the most stamps on it, and of those the one with the fewest gaps.

    Tried are the most frequent step, and where all stamps are of one time of day business days
    and months, quarters and years by their first, last or one other day.
    """
    step = usual_step(timestamps)
    elapsed = timestamps if timestamps.tz is None else timestamps.tz_convert(None)
    since = elapsed - elapsed[0]
    on = np.asarray(since % step == pd.Timedelta(0))
    best = Axis(to_offset(step), str(step), on, since[-1] // step + 1)
    local = timestamps.tz_localize(None)
    if len(local) < 3 or len(np.unique(local - local.normalize())) > 1:
        return best
    for other in (*_business_days(local), *_months(local)):
        gain = int(other.on.sum()) - int(best.on.sum())
        if gain > 0 or (gain == 0 and other.length < best.length):
            best = other
    return best


def _business_days(times: pd.DatetimeIndex) -> list[Axis]:
    day = times.normalize().to_numpy().astype("datetime64[D]")
    length = int(np.busday_count(day[0], day[-1])) + 1
    # stamps further apart, such as every last Friday, are no series of days
    return [Axis(to_offset("B"), "B", np.is_busday(day), length)] if length <= 3 * len(day) else []


def _months(times: pd.DatetimeIndex) -> list[Axis]:
    """Axes of months, or of several at a time, by the day of the month that stamps share."""
    day, end = np.asarray(times.day), np.asarray(times.days_in_month)
    usual = int(np.bincount(day).argmax())
    begin, last = (
        np.asarray(
            times
            == times.to_period("M").to_timestamp(how=how).normalize() + (times - times.normalize())
        )
        for how in ("s", "e")
    )
    offset = pd.offsets.BMonthBegin(), pd.offsets.BMonthEnd()
    business = [
        np.asarray([frequency.is_on_offset(time) for time in times]) for frequency in offset
    ]
    month = np.asarray(times.year * 12 + times.month)
    axes = []
    for kind, on in (
        ("S", begin),
        ("E", last),
        ("BS", business[0]),
        ("BE", business[1]),
        ("", day == np.minimum(usual, end)),
    ):
        gaps = np.diff(month[on])
        if on.sum() < 3 or not (gaps > 0).all() or on.sum() < 0.5 * len(on):
            continue
        size = int(np.gcd.reduce(gaps))
        length = int((month[on][-1] - month[on][0]) // size + 1)
        if not kind:
            step: BaseOffset = pd.DateOffset(months=size, day=usual)
            name = f"{size} month{'s' if size > 1 else ''} on day {usual}"
        else:
            name = _month_name(size, kind, times[on][0])
            step = to_offset(name)
        axes.append(Axis(step, name, on, length))
    return axes


def _month_name(size: int, kind: str, first: pd.Timestamp) -> str:
    """Pandas' name of a step of ``size`` months such as MS, BQE-DEC or 2YS-JAN."""
    head = kind[:-1]
    unit, count = ("Y", size // 12) if size % 12 == 0 else ("Q", size // 3)
    if size % 3:
        unit, count = "M", size
    name = f"{count if count > 1 else ''}{head}{unit}{kind[-1]}"
    return name if unit == "M" else f"{name}-{first.strftime('%b').upper()}"


def describe_gaps(timestamps: pd.DatetimeIndex, limit: int = 3) -> str:
    """Name the first irregular steps of an axis, how many there are, and what is missing there."""
    axis = likely_axis(timestamps)
    steps = _elapsed(timestamps)
    if isinstance(axis.step, Tick):
        irregular = steps != usual_step(timestamps).to_timedelta64()
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
            irregular = np.asarray(timestamps[:-1] + axis.step != timestamps[1:])
    rows = np.flatnonzero(irregular)
    if not len(rows):
        return f"steps of {axis.name}, for which pandas has no frequency name"
    shown = [f"{pd.Timedelta(steps[r])} after {timestamps[r]}" for r in rows[:limit]]
    first = timestamps[rows[0]] + axis.step
    if axis.on.all():
        shown[0] += f" ({first} is missing)"
    else:
        shown.append(f"{timestamps[~axis.on][0]} is off the regular axis")
    return f"{len(rows)} irregular steps where {axis.name} is usual: {'; '.join(shown)}"


def gap_remedy(timestamps: pd.DatetimeIndex) -> str:
    """What helps against an irregular axis: filling only where every stamp is on the grid."""
    axis = likely_axis(timestamps)
    if axis.on.all() and offset_name(axis.step) and axis.length <= _most_steps(timestamps):
        return "resample, or read with irregular='fill'"
    return "move the times onto even steps, or read with irregular='allow'"


def _most_steps(timestamps: pd.DatetimeIndex) -> int:
    return max(MAX_FILL * len(timestamps), 100_000)


def _elapsed(timestamps: pd.DatetimeIndex) -> NDArray[np.timedelta64]:
    """Time from each stamp to the next, changes of the clock in a time zone left out."""
    if timestamps.tz is not None:
        timestamps = timestamps.tz_convert(None)
    return np.diff(timestamps.to_numpy())


def fill_forward(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, int]:
    """Insert the missing rows of a regular axis, each with the last value before the gap.

    Carrying values forward uses no later value, so a filled series leaks no future.

    Returns:
        The filled frame and the number of rows inserted.

    Raises:
        DataError: some time stamps lie between the steps of the regular axis, or filling would
            make the series over :data:`MAX_FILL` times as long.
    """
    index = pd.DatetimeIndex(frame.index)
    axis = likely_axis(index)
    allow = "or read it with irregular='allow'"
    if axis.length > _most_steps(index):
        value = f"{axis.length} steps of {axis.name} for {len(index)} rows"
        raise DataError(name, value, f"split the series at its long gaps, {allow}")
    if not axis.on.all():
        value = f"{index[~axis.on][0]} is off the regular axis"
        raise DataError(name, value, f"resample the file first, {allow}")
    if offset_name(axis.step) is None:
        remedy = f"move the times to the first of the month, {allow}"
        raise DataError(name, f"steps of {axis.name}", remedy)
    grid = pd.date_range(index[0], index[-1], freq=axis.step)
    return frame.reindex(grid, method="ffill"), len(grid) - len(index)


def frequency_step(freq: str | None) -> str:
    """Size of a pandas frequency's step: second, minute, hour, day, week, month or year.

    Multiples count as their unit (15 minutes as minute, 12 hours as hour, 7 days as week).

    Raises:
        InputError: no frequency, or one pandas does not know.
    """
    if freq is None:
        raise InputError("freq", freq, "the time axis is irregular; pass the frequency")
    try:
        offset = to_offset(freq)
    except ValueError:
        raise InputError("freq", freq, "pass a pandas frequency such as 'h' or '15min'") from None
    first = pd.Timestamp("2001-01-01")
    days = ((first + 4 * offset) - (first + offset)) / pd.Timedelta(days=1) / 3
    for limit, name in (
        (1 / 1440, "second"),
        (1 / 24, "minute"),
        (1, "hour"),
        (6, "day"),
        (27, "week"),
        (360, "month"),
    ):
        if days < limit - 1e-9:
            return name
    return "year"


CALENDAR_NAMES = (
    "minute",
    "hour",
    "day_of_week",
    "day_of_month",
    "day_of_year",
    "month",
    "iso_week",
)


def calendar_fields(timestamps: pd.DatetimeIndex) -> NDArray[np.float64]:
    """The seven raw calendar numbers of each step, (T, 7), in the order of CALENDAR_NAMES."""
    week = timestamps.isocalendar()["week"].to_numpy(np.float64)
    fields = [
        timestamps.minute,
        timestamps.hour,
        timestamps.dayofweek,
        timestamps.day,
        timestamps.dayofyear,
        timestamps.month,
        week,
    ]
    return np.stack([np.asarray(f, dtype=np.float64) for f in fields], axis=1)


def calendar_features(
    timestamps: pd.DatetimeIndex,
    train: slice | None = None,
    *,
    fit_on: Literal["train", "all"] = "train",
) -> NDArray[np.float32]:
    """Standardised calendar covariates, (T, 7) float32 (TS2Vec, arXiv 2106.10466).

    A field that does not vary where the statistics are fitted (the minute of hourly data) is
    zero everywhere: nothing could have been learned about it.

    Args:
        timestamps: T time stamps.
        train: the training part; needed for ``fit_on="train"``.
        fit_on: "train" fits mean and deviation on the training part only; "all" on the whole
            axis, as the public code of TS2Vec's descendants does.

    Raises:
        InputError: ``fit_on`` unknown, or "train" without a filled training part.
    """
    check_choice("fit_on", fit_on, ("train", "all"))
    fields = calendar_fields(timestamps)
    if fit_on == "all":
        part = fields
    elif train is None or len(fields[train]) == 0:
        raise InputError("train", train, "pass the slice of the training part")
    else:
        part = fields[train]
    deviation = part.std(axis=0)
    scaled = (fields - part.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return np.where(deviation > 0, scaled, 0.0).astype(np.float32)


CYCLE_DAYS = np.array([1 / 24, 1.0, 7.0, 31.0, 366.0, 366.0, 366.0])
"""Days until a field of CALENDAR_NAMES comes round again."""


def seen_cycles(timestamps: pd.DatetimeIndex) -> NDArray[np.bool_]:
    """Which calendar fields have come round in a stretch of time, (7,) bool.

    The day of the year of five months is a trend: a linear model that learned it there goes on with
    it where nothing is known.
    """
    days = (timestamps.max() - timestamps.min()) / pd.Timedelta(days=1)
    return np.asarray(days >= CYCLE_DAYS)


FREQUENCY_FIELDS: dict[str, tuple[str, ...]] = {
    "second": (
        "second",
        "minute",
        "hour",
        "day_of_week",
        "day_of_month",
        "day_of_year",
    ),
    "minute": ("minute", "hour", "day_of_week", "day_of_month", "day_of_year"),
    "hour": ("hour", "day_of_week", "day_of_month", "day_of_year"),
    "day": ("day_of_week", "day_of_month", "day_of_year"),
    "week": ("day_of_month", "iso_week"),
    "month": ("month",),
    "year": (),
}
_SPAN = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "day_of_week": (0, 6),
    "day_of_month": (1, 31),
    "day_of_year": (1, 366),
    "month": (1, 12),
    "iso_week": (1, 53),
}


def frequency_fields(freq: str | None) -> tuple[str, ...]:
    """Names of the calendar fields that vary from step to step at a pandas frequency.

    The choice of Informer's public code (arXiv 2012.07436): of hourly steps hour, day of week, of
    month and of year; of shorter ones the minute as well; of weeks the day of the month and the
    week; of months and quarters the month; of years none.

    Raises:
        InputError: no frequency, or an unknown one.
    """
    return FREQUENCY_FIELDS[frequency_step(freq)]


def calendar_by_frequency(timestamps: pd.DatetimeIndex, freq: str | None) -> NDArray[np.float32]:
    """The fields of :func:`frequency_fields`, each scaled to [-0.5, 0.5] over its whole span.

    Nothing is fitted, so the features of a time do not depend on the series around it.

    Args:
        timestamps: T time stamps. freq: pandas frequency of the series.

    Returns:
        (T, n_fields) float32.

    Raises:
        InputError: no frequency, or an unknown one.
    """
    names = frequency_fields(freq)
    known = dict(zip(CALENDAR_NAMES, calendar_fields(timestamps).T, strict=True))
    known["second"] = np.asarray(timestamps.second, dtype=np.float64)
    features = np.zeros((len(timestamps), len(names)), np.float32)
    for i, name in enumerate(names):
        low, high = _SPAN[name]
        features[:, i] = (known[name] - low) / (high - low) - 0.5
    return features
