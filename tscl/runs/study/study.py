"""A study: every combination is one cell; a killed one goes on with the cells that are missing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from tscl.disk import atomic_file, write_text
from tscl.errors import InputError
from tscl.evaluation.forecasting.baselines import (
    last_value,
    season_of,
    season_or_step,
    seasonal_naive,
)
from tscl.evaluation.forecasting.scores import HorizonResult, seasonal_change
from tscl.evaluation.forecasting.statistical import statistical_baseline
from tscl.forecasters.strategies import SIMPLE_NETWORKS, StrategySettings, run_strategy
from tscl.runs.folder import wall_time
from tscl.runs.forecasting.data import ForecastingData, cell_facts, direct_rows, prepare
from tscl.runs.study.config import StudyConfig
from tscl.runs.study.tables import markdown, write_report
from tscl.runs.workers import Report, run_cells
from tscl.saving.cells import CellFiles


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
        for model in [*config.statistical, *(HEADS[name] for name in config.heads)]:
            yield Cell("none", "baseline", model, max(config.horizons), 0)

    return list(dict.fromkeys(enumerate_all()))


HEADS = {
    "auto": "mean of heads on lags",
    "ridge": "ridge on lags",
    "boosting": "ridge and gradient boosting on lags",
    "trees": "gradient boosting on lags",
}
"""What rows of ``heads`` are called."""


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
        contrast_params=config.contrast(cell.algorithm, cell.backbone, cell.strategy),
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
        self.files = CellFiles(self.folder, self.cells, self.facts)
        self.begun = time.monotonic()
        self._check()

    def _check(self) -> None:
        """InputError when a cell's window or the naive's season does not fit, before training."""
        part = self.data.split.train
        steps = part.stop - part.start
        for horizon in self.config.horizons:
            length = self.config.length(horizon)
            if length + horizon > steps:
                raise InputError(
                    f"lengths[{horizon}]",
                    length,
                    f"past and horizon need {length + horizon} steps, training has {steps}",
                )
        if self.config.baselines and season_of(self.data.series.freq) > steps:
            raise InputError(
                "baselines", True, f"no season fits the {steps} steps of training; set it to false"
            )

    def facts(self, cell: Cell) -> dict[str, Any]:
        """What the figures of a cell depend on."""
        if cell.strategy == "baseline":
            statistical = self.config.statistical.get(cell.backbone, {})
            settings = statistical | {"horizons": self.config.horizons}
        else:
            settings = settings_of(self.config, cell).facts()
        return {
            "cell": asdict(cell),
            "settings": settings,
            "data": cell_facts(self.config.data) | dict(self.data.series.source),
            "split": str(self.data.split),
        }

    def write(self, cell: Cell, rows: list[dict[str, Any]]) -> Path:
        """Write the file of a finished cell and drop its checkpoints."""
        path = self.files.write(cell, rows[0] if len(rows) == 1 else {"rows": rows})
        shutil.rmtree(self._checkpoints(cell), ignore_errors=True)
        return path

    def compute(self, cell: Cell) -> list[dict[str, Any]]:
        """Rows of one cell: one, or one a horizon for a statistical forecaster.

        A cell that was killed goes on from its last checkpoint; its seconds are then not known.
        """
        data, began = self.data, time.process_time()
        whole = not self._checkpoints(cell).exists()
        heads = [name for name in self.config.heads if HEADS[name] == cell.backbone]
        if heads:
            results = [row.result for row in direct_rows(data, self.config.horizons, heads[0])]
        elif cell.strategy == "baseline":
            results = statistical_baseline(
                cell.backbone,
                data.targets,
                data.split,
                self.config.horizons,
                season=season_of(data.series.freq),
                scale=data.target_scaler.scale,
                **statistical_arguments(self.config.statistical[cell.backbone]),
            )
        if cell.strategy == "baseline":
            seconds = time.process_time() - began
            return [self._row(asdict(cell), result) | {"seconds": seconds} for result in results]
        n = data.n_covariates
        outcome = run_strategy(
            data.inputs[:, n:],
            data.split,
            cell.horizon,
            cell.strategy,
            settings_of(self.config, cell),
            marks=data.inputs[:, :n],
            targets=data.series.target_index,
            scale=data.target_scaler.scale,
            seed=cell.seed,
            checkpoints=self._checkpoints(cell),
            resume=True,
        )
        row = self._row(asdict(cell), outcome.result)
        row |= {"steps": outcome.steps, "best_epoch": outcome.best_epoch}
        row["parameters"] = sum(p.numel() for p in outcome.network.parameters())
        if whole:
            row["seconds"] = time.process_time() - began
        return [row]

    def _checkpoints(self, cell: Cell) -> Path:
        return self.folder / "checkpoints" / self.files.path(cell).stem

    def _row(self, names: dict[str, Any], result: HorizonResult) -> dict[str, Any]:
        """Names and errors, those of every variable in scaled and original units among them."""
        series = self.data.series
        season = season_or_step(series.freq)
        change = seasonal_change(self.data.targets, self.data.split.train, season)
        row = {"dataset": series.name} | names | result.with_mase(change).as_dict()
        scales = self.data.target_scaler.scale
        for name, scale, (mse, mae) in zip(series.targets, scales, result.variables, strict=True):
            row |= {f"mse.{name}": mse, f"mae.{name}": mae}
            row |= {f"mse_raw.{name}": mse * scale**2, f"mae_raw.{name}": mae * scale}
        return row

    def run(
        self,
        *,
        workers: int = 1,
        ray: bool = False,
        report: Report | None = None,
        resume: bool = True,
    ) -> int:
        """Run what is missing; the number of cells run.

        Args:
            workers, ray: see :func:`tscl.runs.workers.run_jobs`.
            report: called with a cell's title, how many are done, and how many there are.
            resume: keep finished cells and go on from checkpoints; else every cell is run anew.

        Raises:
            JobsFailed: at the end, when cells failed; all others are written.
        """
        if not resume:
            for cell in self.cells:
                self.files.path(cell).unlink(missing_ok=True)
                shutil.rmtree(self._checkpoints(cell), ignore_errors=True)
        for cell in set(self.cells) - set(self.files.missing()):
            # left by a kill just after the cell was written
            shutil.rmtree(self._checkpoints(cell), ignore_errors=True)
        return run_cells(
            self.files,
            self.compute,
            self.write,
            workers=workers,
            ray=ray,
            report=report,
        )

    def baselines(self) -> list[dict[str, Any]]:
        """Rows of the forecasters that are not trained."""
        if not self.config.baselines:
            return []
        data, horizons = self.data, self.config.horizons
        season = season_of(data.series.freq)
        scale = data.target_scaler.scale
        forecasts = {
            "seasonal naive": seasonal_naive(
                data.targets, data.split, horizons, season=season, scale=scale
            ),
            "last value": last_value(data.targets, data.split, horizons, scale=scale),
        }
        return [
            self._row(asdict(Cell("none", "baseline", name, result.horizon, seed=0)), result)
            for name, results in forecasts.items()
            for result in results
        ]

    def rows(self) -> pd.DataFrame:
        """One row per finished cell (and horizon) and baseline."""
        finished = [row for cell in self.files.finished() for row in cell.get("rows", [cell])]
        frame = pd.DataFrame(finished + self.baselines()).drop(columns="alpha", errors="ignore")
        frame["dataset"] = self.data.series.name
        return frame

    def collect(self) -> pd.DataFrame:
        """The rows; also ``study.parquet``, tables as ``study.md``, a report, the settings."""
        frame = self.rows()
        title, cost = f"Study of {self.data.series.name}", cost_of(frame, self.begun)
        write_tables(frame, self.folder, "study", title, cost=cost)
        write_text(self.folder / "study.yaml", self.config.to_yaml())
        return frame


def cost_of(frame: pd.DataFrame, begun: float) -> str:
    """The time since ``begun`` and the processor seconds of all cells, in a sentence."""
    known = frame["seconds"].dropna() if "seconds" in frame else pd.Series(dtype=float)
    return (
        f"{wall_time(begun)}; the {len(known)} cells whose time is known took "
        f"{known.sum():.0f} processor seconds, those of earlier calls among them."
    )


def write_tables(
    frame: pd.DataFrame,
    folder: Path,
    name: str,
    title: str,
    *,
    over: str = "seeds",
    cost: str = "",
) -> Path:
    """Write tables as Parquet and Markdown, and the report; returns the report's page.

    Args:
        frame: one line a cell.
        folder: of the study.
        name: of the files; the report of ``study`` stands in ``folder``, others in one of their
            name there.
        title: of the report.
        over: what the deviations of the tables are taken over.
        cost: what the rows took, a sentence.
    """
    with atomic_file(folder / f"{name}.parquet") as work:
        frame.to_parquet(work)
    write_text(folder / f"{name}.md", markdown(frame, over))
    own = folder if name == "study" else folder / name
    return write_report(frame, own, title, over=over, cost=cost)


def statistical_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """A statistical forecaster's entry as arguments: its own, and the model's as ``params``."""
    own = {k: v for k, v in values.items() if k in ("fit_steps", "context")}
    return own | {"params": {k: v for k, v in values.items() if k not in own}}
