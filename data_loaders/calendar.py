"""Calendar covariates of a time axis."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.time_axis import frequency_step
from tscl.errors import InputError

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
    if fit_on not in ("train", "all"):
        raise InputError("fit_on", fit_on, "use 'train' or 'all'")
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
    made = np.zeros((len(timestamps), len(names)), np.float32)
    for i, name in enumerate(names):
        low, high = _SPAN[name]
        made[:, i] = (known[name] - low) / (high - low) - 0.5
    return made
