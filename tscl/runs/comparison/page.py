"""``tscl report``: runs side by side in one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from tscl.disk import write_text
from tscl.reporting.document import Document
from tscl.runs.clinical.rows import LABELS as CLINICAL_LABELS
from tscl.runs.comparison.figures import (
    Curve,
    ErrorLine,
    Scatter,
    Score,
    codes_figure,
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
from tscl.runs.forecasting.figures import mask_figure
from tscl.runs.forecasting.report import label

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
    _codes(document, runs)
    _masks(document, runs)
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
        if len(rows) > 1 and any(one != by_run[0] for one in by_run):
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
        made: pd.DataFrame = rows[["method", "protocol", "mean", "ci_low", "ci_high"]]
        return made

    made = []
    for row in merged(runs, rows_of, ["method", "protocol"]).to_dict("records"):
        name = f"{row['method']}, {row['protocol']}"
        name = f"{row['run']}: {name}" if len(runs) > 1 else name
        colour = colours.get(str(row["run"]), "#8a8f96")
        interval = (float(row["ci_low"]), float(row["ci_high"]))
        made.append(Score(name, float(row["mean"]), *interval, colour))
    return made


def _studies(document: Document, runs: Sequence[ComparedRun]) -> None:
    if not runs:
        return
    document.heading("Studies")
    document.paragraph("Test part, mean ± standard deviation (number of seeds) by horizon.")
    for metric in ("mse", "mae"):
        document.subheading(metric.upper())
        document.table(study_table(runs, metric), names=5)


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
    base, found, fold = name.rpartition("-fold")
    if found:
        return f"{CLINICAL_LABELS.get(base, base)}, fold {fold}"
    return CLINICAL_LABELS.get(name, label(name))


def _codes(document: Document, runs: Sequence[ComparedRun]) -> None:
    rows: list[list[Scatter]] = []
    without = []
    for run in runs:
        found = run.plots.facts["embeddings"] if run.plots is not None else {}
        if run.kind != "study" and not run.table.empty and not found:
            without.append(run.label)
        for method in [m for m in dict.fromkeys((run.method, "random")) if m in found]:
            assert run.plots is not None
            rows.append(_scatters(run, method))
    if not rows and not without:
        return
    document.heading("Codes")
    if rows:
        document.figure(
            "codes",
            codes_figure(rows),
            "First two principal components of the standardised codes of the test part",
        )
    if without:
        document.paragraph(
            f"No codes are kept in {', '.join(without)}; `tscl evaluate --run` writes them."
        )


def _scatters(run: ComparedRun, method: str) -> list[Scatter]:
    assert run.plots is not None
    facts, data = run.plots.facts["embeddings"][method], run.plots.embedding(method)
    title = f"{run.label}: {_pretty(method)}"
    points, shares = data["points"], facts["shares"]
    if facts["kind"] == "samples":
        present = np.unique(data["label"]).tolist()
        names = [facts["names"][i] for i in present]
        patients = pd.factorize(data["patient"])[0]
        count = int(patients.max()) + 1
        people = [str(number) for number in range(count)]
        return [
            Scatter(f"{title}, by label", points, data["label"], "label", shares, names),
            Scatter(f"{title}, by patient ({count})", points, patients, "patient", shares, people),
        ]
    made = [Scatter(f"{title}, by value", points, data["value"], facts["unit"], shares)]
    if len(np.unique(data["hour"])) > 1:
        hours = Scatter(
            f"{title}, by hour", points, data["hour"], "hour of the day", shares, cyclic=True
        )
        made.append(hours)
    return made


def _masks(document: Document, runs: Sequence[ComparedRun]) -> None:
    found = [
        (run, method)
        for run in runs
        if run.plots is not None
        for method in run.plots.facts["masks"]
    ]
    if not found:
        return
    document.heading("What learned masks keep")
    for run, method in found:
        assert run.plots is not None
        data, facts = run.plots.mask(method), run.plots.facts["masks"][method]
        figure = mask_figure(data["time"], data["signal"], data["openness"], unit=facts["unit"])
        document.figure(
            f"mask-{run.label}-{method}",
            figure,
            f"{run.label}: probability that h(x) of {label(method)} keeps each step; mean "
            f"{float(data['openness'].mean()):.2f}",
        )
