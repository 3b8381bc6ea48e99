"""Rolling-origin backtest: train on what is before each origin, score on what follows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from data_loaders.series.splits import ForecastSplit, TrainScaler
from tscl.disk import write_text
from tscl.errors import InputError
from tscl.runs.forecasting.data import ForecastingData, prepare
from tscl.runs.study.config import StudyConfig
from tscl.runs.study.study import Study, cost_of, write_tables
from tscl.runs.workers import Report


def rolling_splits(n_steps: int, rounds: int, round_steps: int) -> list[ForecastSplit]:
    """Expanding training parts: round r is tested on its ``round_steps`` steps at the end.

    The last fifth of what precedes the test part is the validation part.

    Args:
        n_steps: of the series.
        rounds: how many.
        round_steps: of a test part.

    Raises:
        InputError: rounds that leave no training part.
    """
    first = n_steps - rounds * round_steps
    if first < 2 * round_steps:
        raise InputError(
            "rounds, round_steps",
            (rounds, round_steps),
            f"the series has {n_steps} steps; at least {(rounds + 2) * round_steps} are needed",
        )
    splits = []
    for number in range(rounds):
        cut = first + number * round_steps
        valid = int(cut * 0.8)
        splits.append(
            ForecastSplit(slice(0, valid), slice(valid, cut), slice(cut, cut + round_steps))
        )
    return splits


def rescaled(data: ForecastingData, split: ForecastSplit) -> ForecastingData:
    """``data`` with another split, scaled by its training part."""
    scaler = TrainScaler.fit(data.series.values, split.train)
    values = scaler.transform(data.series.values)
    index = data.series.target_index
    inputs = data.inputs.copy()
    inputs[:, data.n_covariates :] = values
    return replace(
        data,
        split=split,
        scaler=scaler,
        inputs=inputs,
        targets=values[:, index],
        target_scaler=TrainScaler.fit(data.series.values[:, index], split.train),
    )


def run_backtest(
    config: StudyConfig,
    report: Report | None = None,
    *,
    workers: int = 1,
    ray: bool = False,
    resume: bool = True,
) -> pd.DataFrame:
    """Run every missing cell of every round; rows of all, also in ``backtest.parquet``.

    Tables and figures of all rounds together go to ``backtest.md`` and
    ``backtest/report.html``, beside the report of the study.

    Args:
        config: of the study.
        report: called with what is done, as in a study.
        workers: as of :func:`tscl.runs.workers.run_jobs`.
        ray: as of :func:`tscl.runs.workers.run_jobs`.
        resume: as of :meth:`tscl.runs.study.study.Study.run`.

    Raises:
        InputError: the series is too short for the rounds or a horizon.
    """
    base = prepare(config.data, config.horizons)
    steps = config.round_steps or 2 * max(config.horizons)
    splits = rolling_splits(len(base.series), config.rounds, steps)
    frames = []
    studies: list[Study] = []
    for split in splits:
        split.check_horizons(config.horizons)
        studies.append(Study(config, rescaled(base, split)))
    for number, study in enumerate(studies):

        def tell(title: str, done: int, total: int, number: int = number) -> None:
            if report is not None:
                report(f"round {number + 1}/{len(studies)} {title}", done, total)

        study.run(workers=workers, ray=ray, report=tell, resume=resume)
        frame = study.rows()
        frame.insert(0, "round", number)
        frame.insert(1, "origin", str(base.series.timestamps[splits[number].valid.stop - 1]))
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True)
    title = f"Backtest of {base.series.name}, {len(studies)} origins"
    folder = Path(config.out)
    cost = cost_of(table, studies[0].begun)
    write_tables(table, folder, "backtest", title, over="origins and seeds", cost=cost)
    write_text(folder / "backtest.yaml", config.to_yaml())
    return table
