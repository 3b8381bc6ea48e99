"""From the data section of a configuration to scaled arrays, covariates and a split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.series.catalog import forecasting_dataset, load_forecasting
from data_loaders.series.series import ForecastingSeries, load_builtin, load_csv, load_ett
from data_loaders.series.splits import (
    ForecastSplit,
    TrainScaler,
    ett_hourly,
    ett_minute,
    ratio_split,
)
from data_loaders.series.time_axis import calendar_by_frequency, calendar_features
from tscl.errors import ConfigError
from tscl.runs.forecasting.config import DataSection


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
    """

    series: ForecastingSeries
    split: ForecastSplit
    scaler: TrainScaler
    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    n_covariates: int
    target_scaler: TrainScaler


def load_series(section: DataSection) -> ForecastingSeries:
    """Read the series a configuration names."""
    if section.layout == "builtin":
        return load_builtin(section.source)
    if section.layout == "ett":
        return load_ett(Path(section.source), section.features, section.target or "OT")
    if section.layout == "named":
        if section.dataset is None:
            raise ConfigError("data.dataset", None, "layout named needs the data set's name")
        return load_forecasting(section.dataset, section.source, features=section.features)
    target: str | list[str] | None = section.target
    columns = section.columns
    if section.features != "M" and section.target is None:
        name = section.features
        raise ConfigError("data.target", None, f"features {name} needs the column to forecast")
    if section.features == "S":
        assert section.target is not None
        columns = [section.target]
    return load_csv(
        Path(section.source),
        time_column=section.time_column,
        target=target,
        columns=columns,
        irregular=section.irregular,
        missing=section.missing,
    )


def make_split(section: DataSection, series: ForecastingSeries) -> ForecastSplit:
    """Train, valid and test slices."""
    if section.split == "ett":
        step = (series.timestamps[1] - series.timestamps[0]).total_seconds()
        if step == 3600:
            return ett_hourly(len(series))
        if step == 900:
            return ett_minute(len(series))
        raise ConfigError("data.split", "ett", f"is for steps of 1 h or 15 min, not {step:g} s")
    if section.split == "named":
        if section.dataset is None:
            raise ConfigError("data.dataset", None, "split named needs the data set's name")
        return forecasting_dataset(section.dataset).split(len(series))
    return ratio_split(len(series), *section.split)


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
