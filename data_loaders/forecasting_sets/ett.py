"""Electricity transformer temperature: ETTh1, ETTh2 (hourly), ETTm1, ETTm2 (15 minutes)."""

from __future__ import annotations

from pathlib import Path

from data_loaders.forecasting import load_ett
from data_loaders.forecasting_series import ForecastingSeries
from data_loaders.forecasting_sets.registration import ForecastingDataset, register_forecasting
from data_loaders.forecasting_splits import ett_hourly, ett_minute


def _load(path: Path | None, multivariate: bool) -> ForecastingSeries:
    return load_ett(path or Path(), "M" if multivariate else "S")


for _name in ("ETTh1", "ETTh2"):
    register_forecasting(
        ForecastingDataset(
            _name, _load, ett_hourly, (24, 48, 168, 336, 720), season=24, targets=("OT",)
        )
    )
for _name in ("ETTm1", "ETTm2"):
    register_forecasting(
        ForecastingDataset(
            _name, _load, ett_minute, (24, 48, 96, 288, 672), season=96, targets=("OT",)
        )
    )
