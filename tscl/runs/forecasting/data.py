"""From the data section of a configuration to scaled arrays, covariates and a split."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.series.catalog import (
    FORECASTING_DATASETS,
    forecasting_dataset,
    load_forecasting,
)
from data_loaders.series.series import ForecastingSeries, load_csv, load_ett
from data_loaders.series.splits import (
    ForecastSplit,
    TrainScaler,
    ett_hourly,
    ett_minute,
    ratio_split,
)
from data_loaders.series.time_axis import calendar_by_frequency, calendar_features, parse_times
from tscl.errors import ConfigError, DataError, nearest
from tscl.runs.forecasting.config import DataSection

FORMATS = ("csv", "ett")
"""Values of ``data.dataset`` that are no data set of their own but the form of a file."""
ETT_SPLITS: dict[float, Callable[[int], ForecastSplit]] = {3600: ett_hourly, 900: ett_minute}
"""The ETT's split by the seconds of a step."""


@dataclass(frozen=True)
class ForecastingData:
    """A series ready for a method.

    Attributes:
        series: as loaded.
        split: train, valid and test slices.
        scaler: fitted on the training part.
        inputs: (T, n_covariates + C) float32: covariates first, then scaled values.
        targets: (T, C_target) float32, scaled.
        n_covariates: leading channels of ``inputs`` that are calendar covariates.
        target_scaler: scaler of the target columns.
        instances: every column is a series of its own.
    """

    series: ForecastingSeries
    split: ForecastSplit
    scaler: TrainScaler
    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    n_covariates: int
    target_scaler: TrainScaler
    instances: bool = False

    def arrays(self, steps: slice = slice(None)) -> NDArray[np.float32]:
        """The inputs of a span as series (n, T, K): one, or with ``instances`` one a column."""
        part = self.inputs[steps]
        if not self.instances:
            return part[None]
        n = self.n_covariates
        values = part[:, n:].T[..., None]
        marks = np.broadcast_to(part[:, :n], (len(values), *part[:, :n].shape))
        return np.concatenate([marks, values], axis=2)

    @property
    def width(self) -> int:
        """Channels that an encoder sees."""
        return self.n_covariates + 1 if self.instances else self.inputs.shape[1]


def load_series(section: DataSection) -> ForecastingSeries:
    """Read the series a configuration names.

    Raises:
        ConfigError: no file, or no column to forecast.
        DataError: an unknown data set, or whatever is wrong in its file.
    """
    if section.dataset in FORMATS and section.path is None:
        raise ConfigError("data.path", None, f"dataset {section.dataset} is read from a file")
    if section.dataset == "ett":
        return load_ett(str(section.path), section.features or "S", section.target or "OT")
    if section.dataset == "csv":
        return _load_csv(section, Path(str(section.path)))
    series = load_forecasting(section.dataset, section.path, features=section.features or "S")
    if section.target is None or section.features == "M":  # all columns, as of the ETT files
        return series
    return replace(series, targets=(section.target,))


def _load_csv(section: DataSection, path: Path) -> ForecastingSeries:
    """A CSV of one time column; a single value column is forecast without being named."""
    names = column_names(path)
    time_column = section.time_column or find_time_column(path, names)
    values = section.columns or [name for name in names if name != time_column]
    target, features = section.target, section.features
    if target is None and len(values) == 1:
        target = values[0]
    features = features or ("M" if target is None else "S")
    if features == "M":
        target = None
    if features != "M" and target is None and names:
        remedy = f"features {features} needs the column to forecast, one of {', '.join(values)}"
        raise ConfigError("data.target", None, remedy)
    if target is not None and names and target not in values:
        raise ConfigError("data.target", target, nearest(target, values))
    return load_csv(
        path,
        time_column=time_column,
        target=target,
        columns=[str(target)] if features == "S" else section.columns,
        irregular=section.irregular,
        missing=section.missing,
    )


def column_names(path: Path) -> list[str]:
    """Column names of a CSV; none where the file cannot be read, which its loader then says."""
    try:
        return [str(name) for name in pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns]
    except (OSError, ValueError):
        return []


def find_time_column(path: Path, names: Sequence[str]) -> str:
    """``date``, or else the first column whose first cells are times and no numbers."""
    if "date" in names or not names:
        return "date"
    head = pd.read_csv(path, nrows=5, dtype="string", encoding="utf-8-sig")
    for name in names:
        if pd.to_numeric(head[name], errors="coerce").isna().all() and len(head):
            with contextlib.suppress(DataError):
                parse_times(head[name], name)
                return name
    if len(names) > 1 and len(head):
        remedy = "add a column of times such as 2024-01-31 12:00, one row a step"
        raise DataError("data.time_column", f"no times in {', '.join(names)}", remedy)
    return "date"


def make_split(section: DataSection, series: ForecastingSeries) -> ForecastSplit:
    """Train, valid and test slices."""
    if isinstance(section.split, tuple):
        return ratio_split(len(series), *section.split)
    if section.split == "own" and section.dataset not in FORMATS:
        return forecasting_dataset(section.dataset).split(len(series))
    if section.split == "own" and section.dataset == "csv":
        return ratio_split(len(series))
    step = (series.timestamps[1] - series.timestamps[0]).total_seconds()
    if step not in ETT_SPLITS:
        raise ConfigError("data.split", "ett", f"is for steps of 1 h or 15 min, not {step:g} s")
    return ETT_SPLITS[step](len(series))


def cell_facts(section: DataSection) -> dict[str, Any]:
    """The section as digests of cells have it: under the keys it had when they were first written.

    Options that came later are left out at their neutral value. So no finished cell is run again.
    """
    values = section.model_dump(mode="json")
    dataset, path = values.pop("dataset"), values.pop("path")
    if dataset == "csv":
        values |= {"layout": "csv", "source": path}
    elif dataset == "ett" or (path and forecasting_dataset(dataset).split in ETT_SPLITS.values()):
        values |= {"layout": "ett", "source": path}
    elif path is None:
        values |= {"layout": "builtin", "source": dataset}
    else:
        values |= {"layout": "named", "source": path, "dataset": dataset}
    if values["split"] == "own":
        own = {"ett": "ett", "named": "named"}
        values["split"] = own.get(values["layout"], [0.6, 0.2, 0.2])
    values["features"] = values["features"] or "S"
    values["time_column"] = values["time_column"] or "date"
    if values["calendar"] == "standard":
        del values["calendar"]
    if not values["instances"]:
        del values["instances"]
    return values


def prepare(section: DataSection, horizons: list[int]) -> ForecastingData:
    """Load, split, scale by the training part and put covariates in front.

    Raises:
        DataError, InputError, ConfigError: bad file, column, split or horizon, before training.
    """
    series = load_series(section)
    split = make_split(section, series)
    split.check_horizons(horizons)
    scaler = TrainScaler.fit(series.values, split.train)
    index = series.target_index
    target_scaler = TrainScaler.fit(series.values[:, index], split.train)
    values = scaler.transform(series.values)
    blocks = [values]
    if section.input_form == "relative":
        blocks = [relative_form(values, split.train, section.relative_windows)]
    if section.covariates:
        blocks.insert(0, calendar_of(section, series, split))
    return ForecastingData(
        series=series,
        split=split,
        scaler=scaler,
        inputs=np.ascontiguousarray(np.concatenate(blocks, axis=1)),
        targets=np.ascontiguousarray(values[:, index]),
        n_covariates=blocks[0].shape[1] if section.covariates else 0,
        target_scaler=target_scaler,
        instances=section.instances,
    )


def calendar_of(
    section: DataSection, series: ForecastingSeries, split: ForecastSplit
) -> NDArray[np.float32]:
    """Calendar covariates in the form the configuration names."""
    if section.calendar == "frequency":
        return calendar_by_frequency(series.timestamps, series.freq)
    return calendar_features(series.timestamps, split.train, fit_on=section.calendar_fit)


def relative_form(
    values: NDArray[np.float32], train: slice, windows: tuple[int, ...]
) -> NDArray[np.float32]:
    """Changes and distances from exponential means, (T, C) to (T, C * (1 + len(windows))).

    Each step uses itself and its past only; columns are divided by their deviation in the
    training part.
    """
    frame = pd.DataFrame(values.astype(np.float64))
    parts = [frame.diff().fillna(0.0)]
    parts += [frame - frame.ewm(span=span).mean() for span in windows]
    stacked = np.concatenate([p.to_numpy() for p in parts], axis=1)
    scale = stacked[train].std(axis=0)
    return (stacked / np.where(scale > 0, scale, 1.0)).astype(np.float32)


def named_dataset(path: Path) -> str:
    """The data set a file is named after, such as ``ETTh1.csv``; else ``csv``."""
    entry = FORECASTING_DATASETS.get(path.stem)
    return path.stem if entry is not None and entry.needs_file else "csv"


def fit_sizes(values: dict[str, Any], path: Path, sets: Sequence[str]) -> None:
    """Make sizes of a configuration small enough for the file's series, in place.

    Sections of half the training part, horizons of half the test part, and a context of a quarter
    of the training part are the most that is left; values named in ``sets`` stay.
    """
    try:
        with path.open("rb") as file:
            steps = sum(1 for line in file if line.strip()) - 1
    except OSError:
        return  # its loader says what is wrong
    train, rest = int(0.6 * steps), int(0.2 * steps)
    given = {item.partition("=")[0].strip() for item in sets}
    for section, key, most in (
        ("train", "max_train_length", max(2, train // 2)),
        ("evaluate", "drop", train // 4),
        ("evaluate", "window_features", train // 4),
        ("evaluate", "horizons", max(1, rest // 2)),
    ):
        part = values.setdefault(section, {})
        if f"{section}.{key}" in given or key not in part | {"drop": 0}:
            continue
        value = part.get(key, 200)
        fits = [h for h in value if h <= most] or [most] if isinstance(value, list) else None
        part[key] = min(value, most) if fits is None else fits
