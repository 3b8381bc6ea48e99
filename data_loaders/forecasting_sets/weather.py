"""Local climatological data (WTH): hourly, twelve variables, target WetBulbCelsius."""

from __future__ import annotations

from functools import partial

from data_loaders.forecasting_sets.registration import (
    ForecastingDataset,
    read_table,
    register_forecasting,
)
from data_loaders.forecasting_splits import ratio_split

TARGETS = ("WetBulbCelsius",)

register_forecasting(
    ForecastingDataset(
        "weather",
        partial(read_table, targets=TARGETS, name="weather"),
        ratio_split,
        (24, 48, 168, 336, 720),
        season=24,
        targets=TARGETS,
    )
)
