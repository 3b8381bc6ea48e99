"""Named forecasting data sets: how each is read, split and scored.

To add one, add an entry here, or call :func:`register_forecasting` with a
:class:`ForecastingDataset` in a file of your own; nothing else knows the sets by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from data_loaders.series.series import (
    BUILTIN_TEMPERATURES,
    ForecastingSeries,
    from_frame,
    load_builtin,
    load_csv,
    load_ett,
)
from data_loaders.series.splits import ForecastSplit, ett_hourly, ett_minute, ratio_split
from data_loaders.series.time_axis import parse_times
from tscl.disk import sha256_of
from tscl.errors import DataError, check_choice


@dataclass(frozen=True)
class ForecastingDataset:
    """How a named data set is read, split and scored.

    Attributes:
        name: its name in configurations and tables.
        load: called with (path or None, multivariate) to read it.
        split: called with the number of steps to split it.
        horizons: the horizons tables report.
        season: steps of the seasonal naive forecast.
        needs_file: False when the data ships with an installed package.
        targets: names the univariate target may have; the first one present is it.
    """

    name: str
    load: Callable[[Path | None, bool], ForecastingSeries]
    split: Callable[[int], ForecastSplit]
    horizons: tuple[int, ...]
    season: int
    needs_file: bool = True
    targets: tuple[str, ...] = ()


FORECASTING_DATASETS: dict[str, ForecastingDataset] = {}


def register_forecasting(entry: ForecastingDataset) -> ForecastingDataset:
    """File ``entry`` under its name; DataError when another entry has it."""
    if FORECASTING_DATASETS.get(entry.name, entry) is not entry:
        raise DataError("dataset", entry.name, "choose a name that is not taken")
    FORECASTING_DATASETS[entry.name] = entry
    return entry


def read_table(
    path: Path | None, multivariate: bool, targets: Sequence[str], name: str
) -> ForecastingSeries:
    """Read a CSV with a ``date`` column.

    Args:
        path: of the file.
        multivariate: read all columns.
        targets: names of which the first one that is there is read otherwise.
        name: of the series.

    Raises:
        DataError: as :func:`data_loaders.series.series.load_csv`; none of ``targets`` is there.
    """
    path = path or Path()
    if multivariate:
        return load_csv(path, name=name)
    known: list[str] = []
    if path.is_file():
        with path.open(encoding="utf-8-sig") as file:
            known = [c.strip().strip('"') for c in file.readline().split(",")]
    target = next((t for t in targets if t in known), targets[0])
    return load_csv(path, target=target, columns=[target], name=name)


def _load_ett(path: Path | None, multivariate: bool) -> ForecastingSeries:
    return load_ett(path or Path(), "M" if multivariate else "S")


def _loader(name: str) -> Callable[[Path | None, bool], ForecastingSeries]:
    return lambda path, multivariate: load_builtin(name)


ELECTRICITY_TARGETS = ("MT_001", "MT_320", "OT")


def load_uci(path: Path, multivariate: bool, start: str = "2012-01-01") -> ForecastingSeries:
    """Read UCI's ``LD2011_2014.txt``: quarter hours in kW, decimal commas, semicolons.

    A quarter hour is stamped with its end, so an hour is the sum of those in (h, h + 1]. Kept are
    the hours from ``start`` on and the customers who had used anything before it.

    Args:
        path: the file.
        multivariate: all customers instead of the first one kept.
        start: first hour of the series.

    Raises:
        DataError: as :func:`data_loaders.series.series.from_frame`, or no customer is left.
    """
    frame = pd.read_csv(path, sep=";", decimal=",", index_col=0, dtype={0: "string"})
    frame.index = parse_times(pd.Series(frame.index), f"{path.stem}.time")
    hourly = frame.resample("1h", closed="right").sum()
    before = hourly.loc[hourly.index < pd.Timestamp(start)]
    kept = hourly.columns[(before != 0).any(axis=0)]
    if not len(kept):
        raise DataError(path.stem, f"no customer before {start}", "pass an earlier start")
    table = hourly.loc[hourly.index >= pd.Timestamp(start), kept]
    target = (
        None if multivariate else str(next((t for t in ELECTRICITY_TARGETS if t in kept), kept[0]))
    )
    source = {"path": path.name, "sha256": sha256_of(path), "rows": len(frame)}
    return from_frame(
        table,
        time_column=None,
        target=target,
        columns=None if target is None else [target],
        name="electricity",
        source=source,
    )


def _load_electricity(path: Path | None, multivariate: bool) -> ForecastingSeries:
    if path is not None and path.is_file():
        with path.open(encoding="utf-8-sig") as file:
            if ";" in file.readline():
                return load_uci(path, multivariate)
    return read_table(path, multivariate, ELECTRICITY_TARGETS, "electricity")


def _csv(targets: tuple[str, ...], name: str) -> Callable[[Path | None, bool], ForecastingSeries]:
    return partial(read_table, targets=targets, name=name)


HOURLY, MINUTES = (24, 48, 168, 336, 720), (24, 48, 96, 288, 672)
YEARS = partial(ratio_split, train=0.7, valid=0.1, test=0.2)

for _entry in (
    *(
        ForecastingDataset(_name, _load_ett, ett_hourly, HOURLY, season=24, targets=("OT",))
        for _name in ("ETTh1", "ETTh2")
    ),
    *(
        ForecastingDataset(_name, _load_ett, ett_minute, MINUTES, season=96, targets=("OT",))
        for _name in ("ETTm1", "ETTm2")
    ),
    ForecastingDataset(
        "exchange", _csv(("OT",), "exchange"), YEARS, (96, 192, 336, 720), 7, targets=("OT",)
    ),
    ForecastingDataset(
        "illness", _csv(("OT",), "illness"), YEARS, (24, 36, 48, 60), 52, targets=("OT",)
    ),
    *(
        ForecastingDataset(_name, _loader(_name), ratio_split, HOURLY[:4], 24, needs_file=False)
        for _name in BUILTIN_TEMPERATURES
    ),
    ForecastingDataset(
        "seattle-weather", _loader("seattle-weather"), ratio_split, (1, 7, 14), 365, False
    ),
    ForecastingDataset(
        "weather",
        _csv(("WetBulbCelsius",), "weather"),
        ratio_split,
        HOURLY,
        season=24,
        targets=("WetBulbCelsius",),
    ),
    ForecastingDataset(
        "electricity",
        _load_electricity,
        ratio_split,
        HOURLY,
        season=24,
        targets=ELECTRICITY_TARGETS,
    ),
):
    register_forecasting(_entry)


def forecasting_dataset(name: str) -> ForecastingDataset:
    """The entry of a named data set; DataError with the nearest name when unknown."""
    check_choice("dataset", name, FORECASTING_DATASETS, error=DataError)
    return FORECASTING_DATASETS[name]


def load_forecasting(
    name: str,
    path: str | Path | None = None,
    *,
    multivariate: bool = False,
    features: Literal["S", "M", "MS"] | None = None,
) -> ForecastingSeries:
    """Read a named data set.

    Args:
        name: a key of FORECASTING_DATASETS.
        path: the file, for data sets that need one.
        multivariate: all columns as targets instead of the univariate target.
        features: "S" (the target alone), "M" (all columns, all targets) or "MS" (all columns,
            the univariate target is forecast); takes the place of ``multivariate``.

    Raises:
        DataError: unknown name or ``features``, missing file, or whatever is wrong in it.
    """
    entry = forecasting_dataset(name)
    if entry.needs_file and path is None:
        raise DataError("path", None, f"{name} is read from a file: pass its path")
    if features not in (None, "S", "M", "MS"):
        raise DataError("features", features, "use 'S', 'M' or 'MS'")
    several = multivariate if features is None else features != "S"
    series = entry.load(None if path is None else Path(path), several)
    if features == "MS":
        target = next((t for t in entry.targets if t in series.columns), None)
        if target is None:
            known = list(series.columns)
            raise DataError("features", features, f"{name} has no single target in {known}")
        series = dataclasses.replace(series, targets=(target,))
    return series
