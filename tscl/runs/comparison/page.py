"""``tscl report``: runs side by side in one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from tscl.disk import write_text
from tscl.reporting.document import Document, read_pictures
from tscl.runs.comparison.figures import (
    Curve,
    ErrorLine,
    Score,
    curves_figure,
    errors_figure,
    run_colour,
    scores_figure,
)
from tscl.runs.comparison.finished_runs import ComparedRun, differences, open_runs
from tscl.runs.comparison.tables import (
    ALL,
    clinical_table,
    forecasting_table,
    forecasting_text,
    merged,
    over_seeds,
    overview,
    study_table,
)
from tscl.runs.forecasting.report import label

FIGURES = (
    ("embedding", "Embeddings", "embeddings of the test part"),
    ("mask", "What learned masks keep", "probability that the learned mask keeps each step"),
)
"""Name of a figure of a run, and heading and caption on the page."""
CLINICAL_METRICS = (("auroc", "sample"), ("auroc", "patient"), ("f1", "sample"))


def write_comparison(paths: Sequence[Path], target: Path) -> Path:
    """Write the page of the runs in ``paths`` to ``target``; see :func:`open_runs` for errors."""
    runs = open_runs(paths)
    write_text(target, comparison(runs).page())
    return target


def comparison(runs: Sequence[ComparedRun]) -> Document:
    """The page, from run folders alone: no data is read and nothing is computed again."""
    title = " and ".join(run.label for run in runs) if len(runs) < 4 else f"{len(runs)} runs"
    document = Document(Path(), f"Comparison of {title}" if len(runs) > 1 else f"Run {title}")
    document.heading("Runs")
    document.table(overview(runs), text=True)
    unfinished = [run.label for run in runs if run.table.empty]
    if unfinished:
        document.paragraph(
            f"Without results: {', '.join(unfinished)}; `tscl evaluate --run` (or `tscl study`) "
            "writes them."
        )
    _differences(document, runs)
    _forecasting(document, [r for r in runs if r.kind == "forecasting" and not r.table.empty], runs)
    _clinical(document, [r for r in runs if r.kind == "clinical" and not r.table.empty], runs)
    _studies(document, [r for r in runs if r.kind == "study" and not r.table.empty])
    _training(document, runs)
    _figures(document, runs)
    document.heading("Configurations")
    for run in runs:
        if run.config:
            text = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
            document.code(text, summary=run.label)
    return document


def _colours(runs: Sequence[ComparedRun]) -> dict[str, str]:
    return {run.label: run_colour(number) for number, run in enumerate(runs)}


def _differences(document: Document, runs: Sequence[ComparedRun]) -> None:
    if len(runs) < 2:
        return
    document.heading("Differences of configuration")
    for kind in dict.fromkeys(run.kind for run in runs):
        group = [run for run in runs if run.kind == kind]
        if len(group) < 2:
            continue
        document.subheading(f"{kind} runs")
        bare = [run.label for run in group if not run.config]
        if bare:
            document.paragraph(f"No configuration is kept in {', '.join(bare)}.")
        frame = differences([run for run in group if run.config])
        if frame.empty:
            document.paragraph("None: the configurations are equal.")
        else:
            document.table(frame, text=True)
    if len({run.kind for run in runs}) == len(runs):
        document.paragraph("The runs are of different jobs; see the configurations below.")


def _forecasting(
    document: Document, runs: Sequence[ComparedRun], everything: Sequence[ComparedRun]
) -> None:
    colours = _colours(everything)
    for series in dict.fromkeys(run.series for run in runs):
        group = [run for run in runs if run.series == series]
        document.heading(f"Forecasting {series}")
        scaled = "Test part, scaled units; * marks the best of a column."
        if len(group) > 1:
            scaled += f" Rows of run “{ALL}” are the same in every run."
        document.paragraph(scaled)
        rows = {r["n_test"] for run in group for r in run.table.to_dict("records")}
        by_run = [sorted(run.table.groupby("horizon")["n_test"].first().items()) for run in group]
        if len(rows) > 1 and any(table != by_run[0] for table in by_run):
            document.paragraph(
                "The runs score different test rows (another split or other horizons): compare "
                "columns with care."
            )
        for metric in ("mse", "mae"):
            frame = forecasting_table(group, metric)
            document.subheading(metric.upper())
            document.table(forecasting_text(frame), names=2)
            pooled = over_seeds(group, metric)
            if not pooled.empty:
                document.paragraph(
                    f"{metric.upper()}, mean ± standard deviation over runs that differ in the "
                    "seed only:"
                )
                document.table(pooled, names=2)
        lines = _error_lines(forecasting_table(group, "mse"), group, colours)
        document.figure(
            f"errors-{series}",
            errors_figure(lines, metric="test MSE"),
            "Test MSE by horizon, divided by the smallest in the figure: the configured method of "
            "each run in colour, rows shared by all runs in grey",
        )


def _error_lines(
    frame: pd.DataFrame, runs: Sequence[ComparedRun], colours: dict[str, str]
) -> list[ErrorLine]:
    main = {run.label: label(run.method) for run in runs}
    horizons = [c for c in frame.columns if c not in ("run", "method", "mean")]
    lines = []
    for row in frame.to_dict("records"):
        run, method = str(row["run"]), str(row["method"])
        errors = {int(h): float(row[h]) for h in horizons if np.isfinite(row[h])}
        if len(runs) == 1:
            own = method == main[run]
            lines.append(ErrorLine(method, errors, colours[run], shared=not own))
        elif run == ALL:
            lines.append(ErrorLine(method, errors, "", shared=True))
        elif method == main[run]:
            lines.append(ErrorLine(f"{run}: {method}", errors, colours[run]))
    return lines


def _clinical(
    document: Document, runs: Sequence[ComparedRun], everything: Sequence[ComparedRun]
) -> None:
    colours = _colours(everything)
    for series in dict.fromkeys(run.series for run in runs):
        group = [run for run in runs if run.series == series]
        document.heading(f"Patients: {series}")
        document.paragraph(
            "Test patients, mean ± standard deviation over seeds [95 % interval over patients], "
            "by share of the labels."
        )
        for metric, level in CLINICAL_METRICS:
            frame = clinical_table(group, metric, level)
            if not frame.empty:
                document.subheading(f"{metric.upper()} by {level}")
                document.table(frame, names=3)
        scores = _scores(group, colours)
        if scores:
            document.figure(
                f"scores-{series}",
                scores_figure(scores, metric="AUROC by sample, all labels", chance=0.5),
                "AUROC by sample with all labels and its 95 % interval over patients; the dotted "
                "line is chance",
            )


def _scores(runs: Sequence[ComparedRun], colours: dict[str, str]) -> list[Score]:
    def rows_of(run: ComparedRun) -> pd.DataFrame:
        table = run.table
        rows = table[(table["metric"] == "auroc") & (table["level"] == "sample")]
        rows = rows[(rows["by"] == "all") & (rows["fraction"] == rows["fraction"].max())]
        scores: pd.DataFrame = rows[["method", "protocol", "mean", "ci_low", "ci_high"]]
        return scores

    scores = []
    for row in merged(runs, rows_of, ["method", "protocol"]).to_dict("records"):
        name = f"{row['method']}, {row['protocol']}"
        name = f"{row['run']}: {name}" if len(runs) > 1 else name
        colour = colours.get(str(row["run"]), "#8a8f96")
        interval = (float(row["ci_low"]), float(row["ci_high"]))
        scores.append(Score(name, float(row["mean"]), *interval, colour))
    return scores


def _studies(document: Document, runs: Sequence[ComparedRun]) -> None:
    if not runs:
        return
    document.heading("Studies")
    document.paragraph("Test part, mean ± standard deviation (number of seeds) by horizon.")
    for metric in ("mse", "mae"):
        document.subheading(metric.upper())
        document.table(study_table(runs, metric), names=2, best="low")


def _training(document: Document, runs: Sequence[ComparedRun]) -> None:
    colours = _colours(runs)
    losses: dict[str, list[Curve]] = {}
    scores: dict[str, list[Curve]] = {}
    for run in runs:
        for name, rows in run.histories.items():
            steps, values = zip(*((r["step"], r["loss"]) for r in rows if "loss" in r), strict=True)
            losses.setdefault(_pretty(name), []).append(
                Curve(run.label, steps, values, colours[run.label])
            )
        for name, rows in run.probes.items():
            key = next(k for k in rows[0] if k != "epoch")
            x, y = [r["epoch"] for r in rows], [r[key] for r in rows]
            kind = {"score": "error"}.get(key, key.upper())
            scores.setdefault(f"{_pretty(name)}, {kind}", []).append(
                Curve(run.label, x, y, colours[run.label])
            )
    if losses:
        document.heading("Training")
        document.figure(
            "losses",
            curves_figure(losses, x_label="step", smooth=True),
            "Training loss by step (moving mean over a twentieth of the run), one panel a method; "
            "losses of different methods are on different scales",
        )
    if scores:
        document.figure(
            "validation",
            curves_figure(scores, x_label="epoch"),
            "Validation score by epoch (higher is better; error: lower is better)",
        )


def _pretty(name: str) -> str:
    """``comet-fold0`` as ``COMET, fold 0``."""
    base, separator, fold = name.rpartition("-fold")
    return f"{label(base)}, fold {fold}" if separator else label(name)


def _figures(document: Document, runs: Sequence[ComparedRun]) -> None:
    """Figures of the runs' own reports, as they are."""
    for name, heading, caption in FIGURES:
        pictures = {run.label: read_pictures(run.path, name) for run in runs}
        known = {of_run: figure for of_run, figure in pictures.items() if figure is not None}
        without = [r.label for r in runs if r.kind != "study" and r.label not in known]
        without = [r.label for r in runs if r.label in without and not r.table.empty]
        if not known and not (without and name == "embedding"):
            continue
        document.heading(heading)
        for of_run, (light, dark) in known.items():
            document.picture(f"{name}-{of_run}", light, dark, f"{of_run}: {caption}")
        if without and name == "embedding":
            document.paragraph(
                f"No embeddings are kept in {', '.join(without)}; `tscl evaluate --run` draws them."
            )
