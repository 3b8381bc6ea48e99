"""Report of a label-efficiency run: the result in a sentence, the picture, the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from data_loaders.container.fields import known_labels
from tscl.disk import atomic_file
from tscl.evaluation.metrics.calibration import calibration_line
from tscl.evaluation.metrics.labels import MAIN
from tscl.methods import METHODS
from tscl.reporting.document import Document
from tscl.reporting.references import read_references, references_of
from tscl.runs.clinical.supplement import __doc__ as guideline
from tscl.runs.label_efficiency import supplement
from tscl.runs.label_efficiency.config import LabelEfficiencyConfig
from tscl.runs.label_efficiency.data import Task
from tscl.runs.label_efficiency.figures import label_efficiency_figure
from tscl.runs.label_efficiency.pictures import embedding_figure, occlusion, occlusion_figure
from tscl.runs.label_efficiency.run import LabelEfficiencyRun
from tscl.runs.label_efficiency.tables import (
    by_patient,
    class_table,
    difference_table,
    prediction_table,
    score_cells,
    score_table,
    share_name,
    shown,
)
from tscl.saving.cells import Cell

METRIC_NAMES = {
    "auroc": "AUROC",
    "f1": "Macro F1",
    "auprc_macro": "Average precision, mean over classes",
    "auprc": "Average precision, mean over labels",
    "r2": "R2",
    "mae": "Mean absolute error",
    "spearman": "Rank correlation",
}
PLAIN = ("untrained", "spectrum", "beats", "minirocket")
"""Kinds without a trained network: drawn in grey."""


FORECASTS = (
    "No forecast stands here, since an encoder adds little to one: on ETTh1 (oil temperature, mean "
    "over five horizons and seeds) the test MSE is 0.0562 with a trained encoder, 0.0574 with an "
    "untrained one and 0.0582 with a ridge on past values; on ETTh2 the untrained one is ahead. "
    "`tscl run -c demo` forecasts a series."
)
"""The line on forecasting of the demonstration's page; figures of docs/results_forecasting.md."""


class LabelReport(NamedTuple):
    """Where a report was written, and its first lines: the result of each task."""

    markdown: Path
    html: Path
    headline: list[str]


def write_label_report(job: LabelEfficiencyRun, cells: Sequence[Cell]) -> LabelReport:
    """Write report.md, report.html, scores.csv, differences.csv and predictions.csv."""
    config, every = job.config, cells
    predictions = prediction_table(cells, job.tasks, job.data)
    if config.by == "patient":
        cells = by_patient(cells, job.group)
    scores = score_cells(cells, job.group, n_replicates=config.n_replicates, seed=config.seed)
    table, differences = score_table(scores), difference_table(scores, config.main_row)
    for name, frame in (
        ("scores", table),
        ("differences", differences),
        ("predictions", predictions),
    ):
        with atomic_file(job.folder.path / f"{name}.csv") as work:
            frame.to_csv(work, index=False, float_format="%.6g")
    metrics: dict[str, dict[str, float]] = {}
    main = {task.name: MAIN[task.kind] for task in job.tasks}
    for scored in table[table["metric"] == table["task"].map(main)].to_dict("records"):
        place = f"{scored['task']}, {share_name(scored['share'])}, {scored['row']}"
        metrics.setdefault(scored["metric"], {})[place] = scored["value"]
    job.folder.write_metrics(metrics)
    document = Document(job.folder.path, f"{config.name}: what labels are worth")
    titles = row_titles(config)
    headline = [sentence(table, differences, config, task) for task in job.tasks]
    for line in headline:
        document.paragraph(line)
    document.paragraph(job.folder.cost())
    plain = {name for name, row in config.rows.items() if row.kind in PLAIN}
    tasks = {task.name: (task.title, task.kind) for task in job.tasks}
    called = " and ".join(dict.fromkeys(score.upper() for score in main.values()))
    document.figure(
        "label_efficiency",
        label_efficiency_figure(table, titles, plain, tasks),
        f"{called} on recordings never seen against the share of the training labels (log axis). "
        "Bars are 95 % intervals over patients and draws of labels; points are set side by side "
        "where they share a place.",
    )
    _encoder_pictures(document, job)
    if config.data.kind == "rhythm_cohort":
        document.paragraph(FORECASTS)
    for metric in sorted(table["metric"].unique(), key=_place):
        _metric_section(document, metric, table, differences, titles, job, config)
    for task in job.tasks:
        if task.kind != "classes":
            continue
        largest = max(config.shares)
        frame = class_table(cells, task, largest).map("{:.3f}".format)
        frame.insert(0, "row", [titles[str(row)] for row in frame.index])
        document.subheading(f"F1 of each class, {task.title}, {share_name(largest)} of labels")
        document.table(frame, best="high")
    _data_section(document, job)
    _supplement(document, job, every, table)
    document.heading("How the figures came about")
    document.items(_how(job))
    _references(document, job)
    document.heading("Settings")
    document.code(config.to_yaml(), summary="config.yaml")
    return LabelReport(*document.write(), headline)


def _place(metric: str) -> tuple[bool, int]:
    """The main scores first, the AUROC of each label last."""
    order = list(dict.fromkeys([*MAIN.values(), *METRIC_NAMES]))
    return metric not in order, order.index(metric) if metric in order else 0


def _encoder_pictures(document: Document, job: LabelEfficiencyRun) -> None:
    """Where the main row's encoder puts the test recordings of the first fold, and what of a
    recording of each class moves its embedding; nothing where the main row has no encoder."""
    name, fold = job.config.main_row, job.folds[0]
    task = next((task for task in job.tasks[::-1] if task.kind == "classes"), None)
    if job.config.rows[name].kind != "pretrained" or task is None:
        return
    title = row_titles(job.config)[name]
    rows = fold.test[task.label[fold.test] >= 0]
    document.figure(
        "embeddings",
        embedding_figure(job.features(name, fold)[rows], task.label[rows], list(task.classes)),
        f"Embeddings of the {len(rows)} test recordings, {title}: the first two principal "
        "components. Colours are the classes, which pretraining did not see.",
    )
    encoder, rate = job.encoder(name, fold), job.data.sampling_rate
    shown = []
    for code, label in enumerate(task.classes):
        row = next((row for row in rows if task.label[row] == code), None)
        if row is not None and rate > 0:
            signal = np.nan_to_num(job.data[int(row)][: int(10 * rate)]).astype(np.float64)
            level = occlusion(encoder, signal, rate, pooling=job.pooling_of(encoder))
            shown.append((f"{label}: recording {job.data.record[row]}", signal[:, 0], level))
    document.figure(
        "occlusion",
        occlusion_figure(shown, rate),
        "What the encoder looks at, in the first 10 s of the first test recording of each class: "
        "the height of the shade is how far the embedding moves when 0.2 s around that place are "
        "replaced by a straight line, over the largest of the recording.",
    )


def row_titles(config: LabelEfficiencyConfig) -> dict[str, str]:
    """Titles of the rows by name, in order."""
    return {name: row.title or name for name, row in config.rows.items()}


def sentence(
    table: pd.DataFrame, differences: pd.DataFrame, config: LabelEfficiencyConfig, task: Task
) -> str:
    """The result of a task: the main row at the fewest labels, against the best of the others
    that were not pretrained, and whether the interval of the difference is on one side of 0.

    Args:
        table: scores of all rows and shares, with intervals.
        differences: between rows, with intervals.
        config: of the job.
        task: the one that is told.
    """
    titles, main = row_titles(config), config.main_row
    score = MAIN[task.kind]
    own = table[(table["task"] == task.name) & (table["metric"] == score)]
    own_main = own[own["row"] == main]
    share = own_main["share"].min()
    at = own[own["share"] == share]
    line = at[at["row"] == main].iloc[0]
    text = (
        f"{task.title}: with {share_name(share)} of the labels ({line['n_labels']:.0f} recordings)"
        f" {titles[main]} reaches {score.upper()} {line['value']:.3f} ({line['ci_low']:.3f} to "
        f"{line['ci_high']:.3f})"
    )
    others = [
        name
        for name in config.rows
        if not config.uses_pretraining(name) and (at["row"] == name).any()
    ]
    if not others or main in others:
        return f"{text}."
    best = max(others, key=lambda name: float(at[at["row"] == name]["value"].iloc[0]))
    gap = differences[
        (differences["task"] == task.name)
        & (differences["metric"] == score)
        & (differences["share"] == share)
        & (differences["row"] == best)
    ].iloc[0]
    word = "above" if gap["difference"] >= 0 else "below"
    sign = 1 if gap["difference"] >= 0 else -1
    low, high = sorted((sign * gap["ci_low"], sign * gap["ci_high"]))
    clear = "" if low > 0 else ", which is not beyond chance"
    return (
        f"{text}, {abs(gap['difference']):.3f} ({low:.3f} to {high:.3f}) {word} {titles[best]}, "
        f"the best row without pretraining{clear}."
    )


def _metric_section(
    document: Document,
    metric: str,
    table: pd.DataFrame,
    differences: pd.DataFrame,
    titles: dict[str, str],
    job: LabelEfficiencyRun,
    config: LabelEfficiencyConfig,
) -> None:
    """Values and paired differences of a metric; folded away but for the AUROC."""
    called = METRIC_NAMES.get(metric, metric.replace("auroc", "AUROC of"))
    document.heading(called)
    first = metric in MAIN.values()
    best: Literal["low", "high"] = "low" if metric == "mae" else "high"
    if first:
        document.paragraph(
            "Mean over folds and draws of labels, with 95 % intervals by bootstrap over patients "
            "and draws; a star marks the best of each column."
        )
    for task in job.tasks:
        own = table[(table["task"] == task.name) & (table["metric"] == metric)]
        if own.empty:
            continue
        values = shown(own, "value", titles)
        labels = own.drop_duplicates("share").set_index("share")["n_labels"]
        values.columns = [
            values.columns[0],
            *(
                f"{share_name(share)} ({labels[share]:.0f} labels)"
                for share in sorted(labels.index, reverse=True)
            ),
        ]
        summary = None if first else f"{task.title}, {called}"
        if first:
            tested = int(own["n_test"].max())
            document.subheading(f"{task.title}: {tested} {config.by}s tested")
        document.table(values, summary=summary, best=best)
        gaps = differences[(differences["task"] == task.name) & (differences["metric"] == metric)]
        if gaps.empty:
            continue
        if first:
            document.paragraph(
                f"{titles[config.main_row]} minus each other row, the same patients and draws in "
                "both:"
            )
        summary = None if first else f"{task.title}, {titles[config.main_row]} minus each other row"
        document.table(shown(gaps, "difference", titles, sign=True), summary=summary)


def _data_section(document: Document, job: LabelEfficiencyRun) -> None:
    document.heading("Data")
    document.paragraph(f"`{job.data!r}`")
    lines = []
    for fold in job.folds:
        for part, rows in (("train", fold.train), ("test", fold.test)):
            label = job.data.label[rows]
            line: dict[str, object] = {
                "fold": fold.number,
                "part": part,
                "patients": len(np.unique(job.group[rows])),
                "recordings": len(rows),
            }
            for code, name in enumerate(job.data.label_names):
                line[str(name)] = int((label == code).sum())
            if job.data.label_names:
                line["unlabelled"] = int((label < 0).sum())
            for task in job.tasks:
                if job.config.tasks[task.name].label is not None:
                    line[f"{task.title} known"] = int(known_labels(task.label[rows]).sum())
            lines.append(line)
    document.table(pd.DataFrame(lines), names=2)
    document.subheading("Participants")
    document.table(supplement.participants(job), names=3 if len(job.folds) > 1 else 2)
    document.subheading("Missing values")
    document.table(supplement.missing_values(job))


def _supplement(
    document: Document, job: LabelEfficiencyRun, cells: Sequence[Cell], table: pd.DataFrame
) -> None:
    """Calibration of the main row and the checklist."""
    for title, frame in supplement.calibration(job, cells).items():
        document.subheading(
            f"Calibration of {row_titles(job.config)[job.config.main_row]}: {title}"
        )
        document.table(frame, names=2)
    document.heading("Reporting checklist (TRIPOD+AI)")
    document.table(supplement.checklist(job, table), text=True)


def _references(document: Document, job: LabelEfficiencyRun) -> None:
    parts = [job.data.source, *job.data.source.get("parts", [])]
    papers = [paper for part in parts for paper in read_references(part.get("cite"))]
    methods = [
        METHODS.get(row.method) for row in job.config.rows.values() if row.method is not None
    ]
    papers += [
        paper for text in (guideline, calibration_line.__doc__) for paper in read_references(text)
    ]
    document.references([*papers, *references_of([*methods, *job.fresh_encoder().modules()])])


def _how(job: LabelEfficiencyRun) -> list[str]:
    """Sentences on splits, draws, probes and intervals."""
    config = job.config
    split = supplement.split_words(job)
    elsewhere = ", ".join(
        f"{title} ({config.rows[name].weights})"
        for name, title in row_titles(config).items()
        if config.rows[name].weights is not None
    )
    notice = [f"Weights trained elsewhere, perhaps on these patients: {elsewhere}."]
    return [
        *(notice if elsewhere else []),
        f"{split[0].upper()}{split[1:]}; recordings with the same values ({job.copies} copies) "
        "stay on one side, and so do a patient's.",
        "Pretraining sees the training part of a fold without its labels; recordings are embedded "
        "once for a row and fold, for all tasks, shares and draws.",
        f"{config.draws} draws of each share, stratified, at least one recording of each class; "
        "one draw where all labels are used. A smaller share is part of a larger one of its draw.",
        "Frozen rows: standardised features and a class-balanced logistic regression, its C "
        f"({', '.join(f'{c:g}' for c in config.probe.C)}) chosen by AUROC over at most "
        f"{config.probe.inner_folds} inner folds of the drawn labels. MiniRocket: its paper's "
        "ridge classifier, balanced.",
        "Supervised and fine-tuned rows: the same network and augmentation as pretraining, crops "
        "drawn evenly over classes, the step chosen on a part of the drawn labels "
        f"({config.labelled.held:.0%}) where every class has two patients, else the last.",
        *(
            [
                "Rows together: the mean of their probes' log-probabilities, each divided by its "
                "spread over the training part, for which no label is needed."
            ]
            if any(row.kind == "together" for row in config.rows.values())
            else []
        ),
        *(
            [
                "Several labels: a logistic regression each, of recordings whose label is known; "
                "numbers: ridge regression, R2 being the share of variance explained."
            ]
            if any(task.kind != "classes" for task in job.tasks)
            else []
        ),
        "No figure was chosen on a test part. Every prediction is in predictions.csv.",
    ]
