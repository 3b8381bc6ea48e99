"""TS2Vec's anomaly detection on Yahoo's S5 and the KPI set: one resumable job, one table.

    python -m recipes.anomaly.ts2vec yahoo ydata-labeled-time-series-anomalies-v1_0
    python -m recipes.anomaly.ts2vec kpi phase2_train.csv phase2_ground_truth.hdf
    python -m recipes.anomaly.ts2vec yahoo FOLDER --setting cold --archive data/ucr

The normal setting (arXiv 2106.10466, section 4.3) trains on the first halves of all series and sets
a threshold on each; the cold start trains on FordA and takes each series' own scores so far. Alarms
are counted within the delay of the set, on an even grid of time. Settings are those of the public
code: 320 dimensions, batches of 8 sections of up to 3,000 steps, 200 batches, or 600 for more than
100,000 values, windows of 200 past steps, seeds 1 to 3. A finished seed is a cell on disk.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from data_loaders.archive import load_classification
from data_loaders.container.windows import pad_series
from data_loaders.series.anomaly import (
    DELAYS,
    LabelledSeries,
    load_kpi,
    load_yahoo,
    stationary_halves,
)
from recipes.autotcl.classify import SIZES, run_to_table, training
from tscl.estimators import ContrastiveAnomalyDetector, Representation
from tscl.evaluation.metrics.alarms import delay_scores
from tscl.saving.cells import CellFiles

Halves = list[tuple[LabelledSeries, LabelledSeries]]
SCORES = ("f1", "precision", "recall")


@dataclass(frozen=True)
class Cell:
    """One setting, method and seed."""

    setting: str
    method: str
    seed: int

    @property
    def title(self) -> str:
        """The cell in one word."""
        return f"{self.setting}-{self.method}-{self.seed}"


@dataclass(frozen=True)
class Settings:
    """What all cells share."""

    data: str
    paths: tuple[str, ...]
    archive: str | None = None
    set: str = "FordA"
    size: str = "published"
    window: int = 200


def read(settings: Settings) -> list[LabelledSeries]:
    """All series of the set."""
    return load_yahoo(*settings.paths) if settings.data == "yahoo" else load_kpi(*settings.paths)


def train_part(settings: Settings, setting: str, halves: Halves) -> Any:
    """What the encoder is trained on, (N, T, 1), padded with NaN."""
    if setting == "cold":
        return load_classification(settings.set, root=settings.archive).X_train
    return pad_series([train.values[:, None] for train, _ in halves])[0]


def scores(settings: Settings, cell: Cell) -> dict[str, Any]:
    """F1, precision and recall of one cell."""
    halves = [stationary_halves(series) for series in read(settings)]
    X = train_part(settings, cell.setting, halves)
    method = "ts2vec_published" if cell.method == "ts2vec" else "untrained"
    dims, width, depth = SIZES[settings.size]
    model = Representation(
        "ts2vec",
        encoder_params={"output_dims": dims, "hidden_dims": width, "depth": depth},
        random_state=cell.seed,
        **training(method, 0, len(X), X.size),
    ).fit(X)
    cold, delay = cell.setting == "cold", DELAYS[settings.data]
    detector = ContrastiveAnomalyDetector(
        FrozenEstimator(model),
        window=settings.window,
        quiet=delay,
        threshold="running" if cold else "fitted",
    ).fit(halves[0][0].values)
    labels, alarms, times = [], [], []
    for train, test in halves:
        if cold:
            whole = np.concatenate([train.values, test.values])
            first = len(whole) // 10
            alarms.append(detector.predict(whole)[first:])
            labels.append(np.concatenate([train.labels, test.labels])[first:])
            times.append(np.concatenate([train.times, test.times])[first:])
        else:
            detector.calibrate(train.values)
            alarms.append(detector.predict(test.values, past=train.values))
            labels.append(test.labels)
            times.append(test.times)
    return {**asdict(cell), **delay_scores(labels, alarms, delay, times)}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row a setting and method, mean and deviation over seeds."""
    lines = ["| setting | method | seeds | F1 | precision | recall |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for (setting, method), group in pd.DataFrame(rows).groupby(["setting", "method"], sort=False):
        figures = [f"{group[s].mean():.3f} ± {group[s].std(ddof=0):.3f}" for s in SCORES]
        lines.append(f"| {setting} | {method} | {len(group)} | {' | '.join(figures)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cells that are missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=sorted(DELAYS))
    parser.add_argument("paths", nargs="+", help="S5's folder, or the files of the KPI set")
    parser.add_argument("--setting", nargs="+", choices=["normal", "cold"], default=["normal"])
    parser.add_argument("--archive", help="folder that holds FordA, for the cold start")
    parser.add_argument("--set", default="FordA", help="another set to train on for the cold start")
    parser.add_argument("--methods", nargs="+", choices=["ts2vec", "untrained"], default=["ts2vec"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--size", choices=SIZES, default="published")
    parser.add_argument("--window", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/anomaly"))
    parser.add_argument("--workers", type=int, default=1)
    o = parser.parse_args(arguments)
    settings = Settings(o.data, tuple(o.paths), o.archive, o.set, o.size, o.window)
    cells = [
        Cell(setting, method, seed)
        for setting in o.setting
        for method in o.methods
        for seed in o.seeds
    ]
    facts = {k: v for k, v in asdict(settings).items() if k not in ("paths", "archive")}
    files = CellFiles(o.out, cells, lambda cell: {**asdict(cell), **facts})

    run_to_table(files, partial(scores, settings), table, o.out, o.workers)


if __name__ == "__main__":
    main()
