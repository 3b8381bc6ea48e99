"""TRIPOD+AI items, participants, missing values and calibration of a label-efficiency run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container.fields import count_labels, known_labels
from tscl.evaluation.metrics.labels import MAIN, SCORES
from tscl.runs.clinical.supplement import (
    TODO,
    Item,
    calibration_table,
    counted,
    framed,
    origin_items,
)
from tscl.runs.label_efficiency.run import LabelEfficiencyRun
from tscl.runs.label_efficiency.tables import share_name
from tscl.saving.cells import Cell


def participants(job: LabelEfficiencyRun) -> pd.DataFrame:
    """Patients and recordings of both parts of every fold, with the classes of every task; see
    :func:`tscl.runs.clinical.supplement.participants`."""
    folds = {fold.number: {"train": fold.train, "test": fold.test} for fold in job.folds}
    frames = []
    for task in job.tasks:
        before = f"{task.title}: " if len(job.tasks) > 1 else ""
        names = [before + name for name in task.classes]
        frames.append(counted(job.data, folds, task.label, names))
    frame = pd.concat(frames, axis=1)
    return frame.loc[:, ~frame.columns.duplicated()].rename(columns={"samples": "recordings"})


def missing_values(job: LabelEfficiencyRun) -> pd.DataFrame:
    """Shares of missing values in both parts of the first fold."""
    lines = []
    for part, rows in (("train", job.folds[0].train), ("test", job.folds[0].test)):
        gaps = [np.isnan(job.data[int(row)]).mean(axis=0) for row in rows]
        empty = np.stack(gaps)
        share = np.average(empty.mean(axis=1), weights=job.data.lengths[rows])
        line: dict[str, Any] = {"part": part, "recordings": len(rows)}
        line["values missing"] = f"{share:.2%}"
        line["recordings with some missing"] = int(empty.any(axis=1).sum())
        line["recordings without a whole channel"] = int((empty == 1).any(axis=1).sum())
        lines.append(line)
    return pd.DataFrame(lines)


def calibration(job: LabelEfficiencyRun, cells: Sequence[Cell]) -> dict[str, pd.DataFrame]:
    """Calibration slope and intercept of the main row with all of its labels, by task's title."""
    tables, name = {}, job.config.main_row
    share = max(job.shares(job.config.rows[name]))
    for task in job.tasks:
        if task.kind == "target":
            continue
        draws: dict[int, list[Cell]] = {}
        for cell in cells:
            key = cell.key
            if (key["row"], key["task"], key["share"]) == (name, task.name, share):
                rows = cell.arrays["rows"]
                ids = {"patient": job.group[rows], "trial": job.data.trial_codes[rows]}
                draws.setdefault(key["draw"], []).append(Cell(key, {}, {**cell.arrays, **ids}))
        replicates = job.config.n_replicates
        tables[task.title] = calibration_table(list(draws.values()), task.classes, replicates)
    return tables


def checklist(job: LabelEfficiencyRun, scores: pd.DataFrame) -> pd.DataFrame:
    """The items by number, each with what the run says of it or who must write it.

    Args:
        job: the finished run.
        scores: of :func:`tscl.runs.label_efficiency.tables.score_table`.
    """
    middle = [*_data_items(job), *_analysis_items(job)]
    return framed(middle, _result_items(job, scores), job.config.licence, job.config.seed)


def _data_items(job: LabelEfficiencyRun) -> list[Item]:
    data, facts = job.data, job.input_facts(job.folds[0].number)
    counts = "; ".join(f"{t.title}: {count_labels(t.label, t.classes)}" for t in job.tasks)
    known = np.any([known_labels(task.label) for task in job.tasks], axis=0).sum()
    return [
        *origin_items(data, job.config.data.kind),
        (
            "7, 9",
            "Predictors and their preparation",
            f"whole recordings of {data.seconds.min():.3g} to {data.seconds.max():.3g} s at "
            f"{data.sampling_rate:g} Hz of {', '.join(facts['channels'])}; unit "
            f"{facts['unit'] or 'not named'}; band {facts['band'] or 'none'}; standardised by "
            f"`{facts['standardize']}`",
        ),
        ("8", "Outcome", f"recordings: {counts}. How it was assessed: {TODO}"),
        (
            "10",
            "Sample size",
            f"{len(np.unique(job.group))} patients, {known} labelled recordings: all there were; "
            f"justification: {TODO}",
        ),
        ("11", "Missing data", "masked where missing, nothing is imputed; see 'Missing values'"),
    ]


def split_words(job: LabelEfficiencyRun) -> str:
    """Who is tested."""
    config = job.config
    if config.data.external is not None:
        return "all recordings of another hospital are tested (external validation)"
    if config.split.column is None:
        return f"{len(job.folds)} of {config.split.n_splits} stratified folds of patients"
    return f"sides named in the column {config.split.column}"


def _analysis_items(job: LabelEfficiencyRun) -> list[Item]:
    config = job.config
    kinds = dict.fromkeys(score for task in job.tasks for score in SCORES[task.kind])
    rows = ", ".join(row.title or name for name, row in config.rows.items())
    count = sum(p.numel() for p in job.fresh_encoder().parameters())
    output = "a probability for each class or label, or the number; no threshold is set"
    return [
        (
            "12a, 16",
            "Use of the data",
            f"{split_words(job)}; no patient or copied recording on two sides",
        ),
        ("12c", "Model", f"`{config.encoder.name}` ({count} parameters); rows: {rows}"),
        (
            "12d, 23b",
            "Heterogeneity",
            f"folds {len(job.folds)}, draws of labels {config.draws}; subgroups: not scored",
        ),
        (
            "12e",
            "Measures",
            f"{', '.join(kinds)}; 95 % intervals from {config.n_replicates} resamplings of "
            "patients and draws",
        ),
        ("13", "Class imbalance", "shares of labels are stratified; probes weigh classes equally"),
        ("14", "Fairness", f"subgroups are not scored; predictions.csv holds the columns: {TODO}"),
        ("15", "Output", output),
    ]


def _result_items(job: LabelEfficiencyRun, scores: pd.DataFrame) -> list[Item]:
    said = []
    for task in job.tasks:
        score = MAIN[task.kind]
        own = scores[(scores["row"] == job.config.main_row) & (scores["task"] == task.name)]
        for line in own[own["metric"] == score].to_dict("records"):
            said.append(
                f"{task.title}, {share_name(line['share'])} of labels: {score.upper()} "
                f"{line['value']:.3f} [{line['ci_low']:.3f}, {line['ci_high']:.3f}] "
                f"(n = {line['n_test']})"
            )
    main = job.config.rows[job.config.main_row].title or job.config.main_row
    saved = "models/, embeddings/ and classifiers/ (safetensors); `tscl predict --model` applies"
    return [
        ("20, 21", "Participants and events", "table 'Participants' by part and fold"),
        ("22", "Model specification", f"{saved} any row"),
        ("23a", "Performance", f"{main}: {'; '.join(said)}; calibration: 'Calibration'"),
        ("24", "Model updating", "none"),
    ]
