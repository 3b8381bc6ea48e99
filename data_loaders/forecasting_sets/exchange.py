"""Daily exchange rates of eight countries, target OT."""

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
        "exchange",
        partial(read_table, targets=TARGETS, name="exchange"),
        partial(ratio_split, train=0.7, valid=0.1, test=0.2),
        (96, 192, 336, 720),
        season=7,
        targets=TARGETS,
    )
)
