"""Weekly influenza-like illness in the United States, target OT (patients seen)."""

from __future__ import annotations

from functools import partial

from data_loaders.forecasting_sets.registration import (
    ForecastingDataset,
    read_table,
    register_forecasting,
)
from data_loaders.forecasting_splits import ratio_split

TARGETS = ("OT",)

register_forecasting(
    ForecastingDataset(
        "illness",
        partial(read_table, targets=TARGETS, name="illness"),
        partial(ratio_split, train=0.7, valid=0.1, test=0.2),
        (24, 36, 48, 60),
        season=52,
        targets=TARGETS,
    )
)
