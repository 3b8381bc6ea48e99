"""Temperatures of Seattle and San Francisco and Seattle's weather, shipped with vega_datasets."""

from __future__ import annotations

from pathlib import Path

from data_loaders.forecasting import BUILTIN_TEMPERATURES, load_builtin
from data_loaders.forecasting_series import ForecastingSeries
from data_loaders.forecasting_sets.registration import ForecastingDataset, register_forecasting
from data_loaders.forecasting_splits import ratio_split


def _loader(name: str, horizons: tuple[int, ...], season: int) -> ForecastingDataset:
    def load(path: Path | None, multivariate: bool) -> ForecastingSeries:
        return load_builtin(name)

    return ForecastingDataset(name, load, ratio_split, horizons, season=season, needs_file=False)


for _name in BUILTIN_TEMPERATURES:
    register_forecasting(_loader(_name, (24, 48, 168, 336), season=24))
register_forecasting(_loader("seattle-weather", (1, 7, 14), season=365))
