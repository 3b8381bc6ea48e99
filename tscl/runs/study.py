"""A study: every combination is one cell, one cell is one JSON file, written at once.

A killed study goes on with the cells that are missing. The name of a cell's file says what it is
and ends in a digest of everything its figures depend on, so a changed setting is a new cell.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from tscl.config import DataSection
from tscl.config_study import StudyConfig
from tscl.disk import atomic_file, write_text
from tscl.errors import CheckpointError
from tscl.evaluation.baselines import last_value, season_of, seasonal_naive
from tscl.forecasters.strategies import SIMPLE_NETWORKS, StrategySettings, run_strategy
from tscl.reporting.markdown import markdown_table
from tscl.runs.forecasting_data import ForecastingData, prepare
from tscl.training.storage import write_json

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Cell:
    """One trained configuration of a study."""

    algorithm: str
    strategy: str
    backbone: str
    horizon: int
    seed: int
    weight: float | None = None  # lambda of end-to-end training

    @property
    def title(self) -> str:
        """The cell in one word."""
        weight = "" if self.weight is None else f"-l{self.weight:g}"
        name = f"{self.algorithm}-{self.strategy}-{self.backbone}{weight}"
        return f"{name}-h{self.horizon}-s{self.seed}"


def cells_of(config: StudyConfig) -> list[Cell]:
    """All cells, the same in every run; supervised ones are not repeated by algorithm."""

    def enumerate_all() -> Iterator[Cell]:
        for horizon in config.horizons:
            for seed in config.seeds:
                for name in config.networks:
                    yield Cell("none", "supervised", name, horizon, seed)
                for backbone in config.backbones:
                    for strategy in config.strategies:
                        names = config.algorithms if strategy != "supervised" else ["none"]
                        weights: list[float | None] = [None]
                        if strategy == "end_to_end":
                            weights = [*(config.weights or [config.train.weight])]
                        for algorithm, weight in product(names, weights):
                            yield Cell(algorithm, strategy, backbone, horizon, seed, weight)

    return list(dict.fromkeys(enumerate_all()))


def settings_of(config: StudyConfig, cell: Cell) -> StrategySettings:
    """What a cell trains with."""
    simple = cell.backbone in SIMPLE_NETWORKS
    values: dict[str, Any] = {"backbone_params": {} if simple else config.backbones[cell.backbone]}
    values |= config.training(cell.backbone, cell.strategy, cell.algorithm)
    if cell.weight is not None:
        values["weight"] = cell.weight
    return StrategySettings(
        length=config.length(cell.horizon),
        backbone=cell.backbone,
        contrast="hierarchical" if cell.algorithm == "none" else cell.algorithm,
        contrast_params=config.algorithms.get(cell.algorithm, {}),
        **values,
    )


class Study:
    """Cells of a configuration in a folder.

    Args:
        config: validated. data: prepared already, or None to prepare it here.
    """

    def __init__(self, config: StudyConfig, data: ForecastingData | None = None) -> None:
        self.config = config
        self.folder = Path(config.out)
        self.data = data or prepare(config.data, config.horizons)
        self.cells = cells_of(config)

    def path(self, cell: Cell) -> Path:
        """The file of a cell."""
        facts = {
            "cell": asdict(cell),
            "settings": asdict(settings_of(self.config, cell)),
            "data": without_later(self.config.data) | dict(self.data.series.source),
            "split": str(self.data.split),
        }
        text = json.dumps(facts, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return self.folder / "cells" / f"{cell.title}-{digest}.json"

    def missing(self) -> list[Cell]:
        """Cells without a file."""
        return [cell for cell in self.cells if not self.path(cell).is_file()]

    def run_cell(self, cell: Cell) -> Path:
        """Train and score one cell and write its file in one step."""
        data = self.data
        n = data.n_covariates
        made = run_strategy(
            data.inputs[:, n:],
            data.split,
            cell.horizon,
            cell.strategy,
            settings_of(self.config, cell),
            marks=data.inputs[:, :n],
            targets=data.series.target_index,
            scale=data.target_scaler.scale,
            seed=cell.seed,
        )
        row = asdict(cell) | made.result.as_dict()
        row |= {"steps": made.steps, "best_epoch": made.best_epoch}
        for name, (mse, mae) in zip(data.series.targets, made.per_variable, strict=True):
            row |= {f"mse.{name}": float(mse), f"mae.{name}": float(mae)}
        path = self.path(cell)
        write_json(path, row)
        return path

    def run(self, *, workers: int = 1, report: Report | None = None) -> int:
        """Run what is missing, in ``workers`` processes; the number of cells run.

        ``report`` is called with the cell's title, how many are done, and how many there are.
        """
        todo = self.missing()
        total, done = len(self.cells), len(self.cells) - len(todo)
        if workers <= 1:
            for cell in todo:
                self.run_cell(cell)
                done += 1
                if report is not None:
                    report(cell.title, done, total)
            return len(todo)
        with ProcessPoolExecutor(workers, initializer=_one_thread) as pool:
            futures = {pool.submit(self.run_cell, cell): cell for cell in todo}
            for future in as_completed(futures):
                future.result()
                done += 1
                if report is not None:
                    report(futures[future].title, done, total)
        return len(todo)

    def baselines(self) -> list[dict[str, Any]]:
        """Rows of the forecasters that are not trained."""
        if not self.config.baselines:
            return []
        data, horizons = self.data, self.config.horizons
        season = season_of(data.series.freq)
        scale = data.target_scaler.scale
        made = {
            "seasonal naive": seasonal_naive(
                data.targets, data.split, horizons, season=season, scale=scale
            ),
            "last value": last_value(data.targets, data.split, horizons, scale=scale),
        }
        return [
            asdict(Cell("none", "baseline", name, result.horizon, seed=0)) | result.as_dict()
            for name, results in made.items()
            for result in results
        ]

    def collect(self) -> pd.DataFrame:
        """One row per finished cell and baseline; written as parquet, tables as markdown."""
        rows = [read_json(p) for c in self.cells if (p := self.path(c)).is_file()]
        frame = pd.DataFrame(rows + self.baselines()).drop(columns="alpha", errors="ignore")
        with atomic_file(self.folder / "study.parquet") as work:
            frame.to_parquet(work)
        write_text(self.folder / "study.md", markdown(frame))
        return frame


def summary(frame: pd.DataFrame, metric: str = "mse") -> pd.DataFrame:
    """Mean and deviation over seeds of each configuration (rows) by horizon (columns)."""
    keys = ["backbone", "strategy", "algorithm", "weight"]
    named = frame.assign(weight=[format_weight(w) for w in frame["weight"]])
    groups = named.groupby([*keys, "horizon"])[metric]
    text = groups.agg(
        lambda v: f"{v.mean():.4f} ± {v.std():.4f} ({len(v)})" if len(v) > 1 else f"{v.mean():.4f}"
    )
    table: pd.DataFrame = text.unstack("horizon").fillna("").reset_index()
    return table


def format_weight(weight: float | None) -> str:
    """Lambda as text; empty where there is none."""
    return "" if weight is None or pd.isna(weight) else f"{weight:g}"


def markdown(frame: pd.DataFrame) -> str:
    """Tables of MSE and MAE as markdown."""
    parts = []
    for metric in ("mse", "mae"):
        title = f"Test {metric.upper()} by horizon, mean ± deviation (seeds)"
        parts.append(f"## {title}\n\n" + markdown_table(summary(frame, metric)) + "\n")
    return "\n".join(parts)


# options added after cells had been written, with the value those cells were made with
LATER = {"calendar": "standard", "dataset": None}


def without_later(section: DataSection) -> dict[str, Any]:
    """The section's values, without later options at their neutral value: cells stay valid."""
    values = section.model_dump(mode="json")
    return {k: v for k, v in values.items() if k not in LATER or v != LATER[k]}


def read_json(path: Path) -> dict[str, Any]:
    """The values of a cell's file; CheckpointError when it is damaged."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return values
    except (OSError, ValueError) as error:
        raise CheckpointError(str(path), error, "remove the file to run the cell again") from None


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
