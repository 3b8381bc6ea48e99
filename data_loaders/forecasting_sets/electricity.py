"""Electricity consumption of customers (ECL), hourly: the UCI file itself or a CSV made from it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from data_loaders.forecasting import from_frame
from data_loaders.forecasting_series import ForecastingSeries
from data_loaders.forecasting_sets.registration import (
    ForecastingDataset,
    read_table,
    register_forecasting,
)
from data_loaders.forecasting_splits import ratio_split
from data_loaders.time_axis import parse_times
from tscl.disk import sha256_of
from tscl.errors import DataError

TARGETS = ("MT_001", "MT_320", "OT")


def load_uci(path: Path, multivariate: bool, start: str = "2012-01-01") -> ForecastingSeries:
    """Read UCI's ``LD2011_2014.txt``: quarter hours in kW, decimal commas, semicolons.

    A quarter hour is stamped with its end, so an hour is the sum of those in (h, h + 1]. Kept are
    the hours from ``start`` on and the customers who had used anything before it.

    Args:
        path: the file. multivariate: all customers instead of the first one kept.
        start: first hour of the series.

    Raises:
        DataError: as :func:`data_loaders.forecasting.from_frame`, or no customer is left.
    """
    frame = pd.read_csv(path, sep=";", decimal=",", index_col=0, dtype={0: "string"})
    frame.index = parse_times(pd.Series(frame.index), f"{path.stem}.time")
    hourly = frame.resample("1h", closed="right").sum()
    before = hourly.loc[hourly.index < pd.Timestamp(start)]
    kept = hourly.columns[(before != 0).any(axis=0)]
    if not len(kept):
        raise DataError(path.stem, f"no customer before {start}", "pass an earlier start")
    table = hourly.loc[hourly.index >= pd.Timestamp(start), kept]
    target = None if multivariate else str(next((t for t in TARGETS if t in kept), kept[0]))
    source = {"path": path.name, "sha256": sha256_of(path), "rows": len(frame)}
    return from_frame(
        table,
        time_column=None,
        target=target,
        columns=None if target is None else [target],
        name="electricity",
        source=source,
    )


def _load(path: Path | None, multivariate: bool) -> ForecastingSeries:
    if path is not None and path.is_file():
        with path.open(encoding="utf-8-sig") as file:
            if ";" in file.readline():
                return load_uci(path, multivariate)
    return read_table(path, multivariate, TARGETS, "electricity")


register_forecasting(
    ForecastingDataset(
        "electricity", _load, ratio_split, (24, 48, 168, 336, 720), season=24, targets=TARGETS
    )
)
