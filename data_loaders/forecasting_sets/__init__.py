"""Named forecasting data sets: each a file of this folder that registers itself.

To add one, write ``data_loaders/forecasting_sets/<name>.py`` that calls
:func:`register_forecasting` with a :class:`ForecastingDataset`; no other file changes.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from pathlib import Path
from typing import Literal

from data_loaders.forecasting_series import ForecastingSeries
from data_loaders.forecasting_sets.registration import (
    FORECASTING_DATASETS,
    ForecastingDataset,
    register_forecasting,
)
from tscl.errors import DataError, nearest

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def forecasting_dataset(name: str) -> ForecastingDataset:
    """The entry of a named data set; DataError with the nearest name when unknown."""
    if name not in FORECASTING_DATASETS:
        raise DataError("dataset", name, nearest(name, FORECASTING_DATASETS))
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


__all__ = [
    "FORECASTING_DATASETS",
    "ForecastingDataset",
    "forecasting_dataset",
    "load_forecasting",
    "register_forecasting",
]
