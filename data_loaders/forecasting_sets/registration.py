"""What is known about a named forecasting data set, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_loaders.forecasting import load_csv
from data_loaders.forecasting_series import ForecastingSeries
from data_loaders.forecasting_splits import ForecastSplit
from tscl.errors import DataError


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
    """Read a CSV with a ``date`` column; the first of ``targets`` it has, or all columns.

    Raises:
        DataError: as :func:`data_loaders.forecasting.load_csv`; none of ``targets`` is there.
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
