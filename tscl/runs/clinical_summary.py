"""Report of a clinical run: the full table, compact tables, curves, embedding, leakage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tscl.disk import write_text
from tscl.evaluation.clinical_job import pooled_codes
from tscl.evaluation.clinical_split import leakage_statement
from tscl.evaluation.paired import paired_differences
from tscl.evaluation.result_store import Cell
from tscl.reporting.clinical_report import EmbeddingData, ReportFiles, clinical_report
from tscl.reporting.clinical_tables import compact_table, difference_table
from tscl.reporting.markdown import markdown_table
from tscl.runs.clinical import ClinicalRun
from tscl.runs.plot_data import PlotData

COMPACT: tuple[tuple[str, str], ...] = (
    ("auroc", "sample"),
    ("auroc", "patient"),
    ("accuracy", "sample"),
    ("f1", "sample"),
    ("f1", "patient"),
)
REFERENCES: tuple[str, ...] = ("random encoder", "supervised", "band power")
"""Baselines whose score is taken off every other row's."""


def write_clinical_report(run: ClinicalRun, cells: list[Cell]) -> ReportFiles:
    """Write ``report.md``, ``report.html``, ``table.csv``, ``summary.md`` and ``metrics.json``."""
    config, data = run.config, run.data
    fold = run.folds[-1]
    where = f", fold {fold.number}" if len(run.folds) > 1 else ""
    curves = probe_curves(run)
    differences = paired_tables(run, cells)
    embedding = None
    main = run.rows[0]
    test = fold.parts["test"]
    if len(test) >= 3:
        seen = run.seen(fold)
        codes = pooled_codes(run.load(main, fold), seen.X, test, pooling=config.evaluate.pooling)
        embedding = EmbeddingData(codes, data.label[test], data.patient[test])
        kept = PlotData()
        marks = {"label": data.label[test], "patient": data.patient_codes[test]}
        names = [str(name) for name in data.label_names]
        kept.add_embedding(main.slug, codes, marks, kind="samples", names=names, fold=fold.number)
        kept.save(run.folder.path)
    files = clinical_report(
        run.folder.path,
        cells,
        title=f"{config.name}: {main.label} on {data.name}",
        leakage=leakage(run),
        label_names=data.label_names,
        primary=main.label,
        embedding=embedding,
        embedding_note=f"Codes of {main.label}{where}, maximum over time, standardised.",
        umap=config.evaluate.umap,
        n_replicates=config.evaluate.n_replicates,
        notes=notes(run),
        tables={
            **{difference_title(level): frame for level, frame in differences.items()},
            **({} if curves.empty else {probe_title(run): curves.map(_shown_score)}),
        },
        configuration=config.to_yaml(),
    )
    table = pd.read_csv(files.table)
    write_text(run.folder.path / "summary.md", summary(run, table, differences))
    keep = ["method", "protocol", "fraction", "by", "level", "metric", "mean", "std"]
    rows = table[[*keep, "ci_low", "ci_high"]].astype(object)
    rows = rows.where(rows.notna(), None)
    run.folder.write_metrics(
        {"data": data.name, "seed": config.seed, "results": rows.to_dict("records")}
    )
    return files


def leakage(run: ClinicalRun) -> str:
    """The leakage statement of every fold."""
    parts = []
    for fold in run.folds:
        head = f"Fold {fold.number}. " if len(run.folds) > 1 else ""
        parts.append(head + leakage_statement(run.data, fold.parts, max_listed=60))
    return "\n\n".join(parts)


def notes(run: ClinicalRun) -> list[str]:
    """What the data are, and what all rows share."""
    config, data = run.config, run.data
    train = config.train
    made = [
        f"Data: {data!r}.",
        f"Input: standardised by `{config.data.standardize}`; band power reads the values as "
        "loaded unless its row says otherwise.",
        f"Every pretrained row: encoder `{config.encoder.name}` {config.encoder.params}, the "
        f"same first weights (seed {config.seed}), batches of {train.batch_size}, "
        f"{_steps(run)} steps, AdamW {train.lr:g}, weight averaging `{train.averaging}`; "
        "pretraining sees samples of training patients only and no labels.",
    ]
    seeds, repeats = config.evaluate.seeds, train.repeats
    if seeds > 1:
        trained = "is trained once a fold"
        if repeats > 1:
            trained = f"is trained {repeats} times a fold, seeds {config.seed} and up, in turn"
        made.append(
            f"Seeds 0 to {seeds - 1} draw the labelled part and the first weights of heads, random "
            f"encoders and supervised training; each pretrained encoder {trained}."
        )
    if train.select == "validation":
        made.append(
            f"The pretraining epoch is that of the best validation {train.monitor} of a linear "
            "probe with all training labels."
        )
    if data.log is not None:
        made.append(f"Records: {data.log.summary()}; see records.csv.")
    return made


def _steps(run: ClinicalRun) -> str:
    counts = {run.steps(run.data.subset(f.parts["train"], lazy=True)) for f in run.folds}
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def probe_curves(run: ClinicalRun) -> pd.DataFrame:
    """Validation score by epoch, one row a pretrained row, mean over folds."""
    metric = run.config.train.monitor
    rows: list[dict[str, Any]] = []
    for row in run.rows:
        slugs = [one.slug for one in row.repeats(run.config.train.repeats)]
        paths = [
            run.folder.path / f"probe-{slug}-fold{f.number}.csv"
            for f in run.folds
            for slug in slugs
        ]
        found = [pd.read_csv(path) for path in paths if path.is_file()]
        if found:
            mean = pd.concat(found).groupby("epoch")[metric].mean()
            rows.append({"method": row.label, **{f"{k}": v for k, v in mean.items()}})
    return pd.DataFrame(rows)


def probe_title(run: ClinicalRun) -> str:
    """Heading of the validation curves."""
    return (
        f"Validation {run.config.train.monitor.upper()} (sample level, all training labels, "
        "mean over folds) by pretraining epoch"
    )


def paired_tables(run: ClinicalRun, cells: list[Cell]) -> dict[str, pd.DataFrame]:
    """Paired AUROC differences to :data:`REFERENCES`, a table a level.

    Of the shares of labels the largest and, drawn by samples, the smallest. A level at which no
    unit has one label has no table.
    """
    shares = [float(cell.key["fraction"]) for cell in cells]
    shown = [
        cell
        for cell in cells
        if cell.key["fraction"] == max(shares)
        or (cell.key["fraction"] == min(shares) and cell.key["by"] in ("all", "samples"))
    ]
    labels = {str(cell.key["method"]) for cell in shown}
    present = [one for one in REFERENCES if one in labels]
    draws = run.config.evaluate.n_replicates
    every = paired_differences(shown, present, n_replicates=draws)
    if every.empty:
        return {}
    every = every.sort_values("fraction", ascending=False, kind="stable")
    tables = {level: difference_table(every, level) for level in ("sample", "patient")}
    return {level: frame for level, frame in tables.items() if not frame.empty}


def difference_title(level: str) -> str:
    """Heading of a table of differences."""
    return f"AUROC by {level} minus that of a baseline, patients resampled for both at once"


def summary(
    run: ClinicalRun, table: pd.DataFrame, differences: dict[str, pd.DataFrame] | None = None
) -> str:
    """Compact tables as Markdown, for documents."""
    lines: list[str] = []
    for metric, level in COMPACT:
        frame = compact_table(table, metric, level)
        if frame.empty:
            continue
        lines += [f"{metric.upper()} by {level}", "", markdown_table(frame), ""]
    for level, frame in (differences or {}).items():
        lines += [difference_title(level), "", markdown_table(frame), ""]
    curves = probe_curves(run)
    if not curves.empty:
        lines += [probe_title(run), "", markdown_table(curves.map(_shown_score)), ""]
    return "\n".join(lines)


def _shown_score(value: object) -> str:
    """Three decimals; a dash where a curve ended earlier."""
    if isinstance(value, float):
        return f"{value:.3f}" if np.isfinite(value) else "-"
    return str(value)


def show_rows(path: Path, metric: str = "auroc", level: str = "sample") -> pd.DataFrame:
    """The compact table of a finished report's ``table.csv``."""
    return compact_table(pd.read_csv(path), metric, level)
