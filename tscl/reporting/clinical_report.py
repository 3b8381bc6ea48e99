"""One report of a clinical evaluation: Markdown with figures beside it, and one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tscl.disk import atomic_file
from tscl.errors import InputError
from tscl.evaluation.clinical_table import pooled_predictions, summarise
from tscl.evaluation.result_store import Cell
from tscl.evaluation.votes import LEVELS
from tscl.reporting.clinical_figures import (
    calibration_figure,
    confusion_figure,
    embedding_figure,
    roc_pr_figure,
)
from tscl.reporting.clinical_tables import compact_table, legend, wide_table
from tscl.reporting.document import Document

Name = tuple[str, str, str]


class ReportFiles(NamedTuple):
    """Where a report was written."""

    markdown: Path
    html: Path
    table: Path


class EmbeddingData(NamedTuple):
    """Codes (n, D) to draw, with the label and the patient of each (n,)."""

    codes: ArrayLike
    label: ArrayLike
    patient: ArrayLike


class Plot(NamedTuple):
    """A figure of a report: its file's name, heading and caption."""

    name: str
    heading: str
    figure: Figure
    caption: str


def write_report(
    directory: str | Path,
    *,
    title: str,
    table: pd.DataFrame,
    leakage: str,
    plots: Sequence[Plot] = (),
    notes: Sequence[str] = (),
    tables: Mapping[str, pd.DataFrame] | None = None,
    configuration: str = "",
) -> ReportFiles:
    """Write ``report.md``, its ``figures/*.png``, ``report.html`` (one file) and ``table.csv``.

    Args:
        directory: created when missing; files of an earlier report are replaced.
        title: heading.
        table: tidy table; written whole to the CSV and in wide form to the report's end, AUROC
            by sample, trial and patient to its beginning.
        leakage: statement of the split.
        plots: figures in order.
        notes: sentences on data and methods.
        tables: heading -> further table.
        configuration: of the run, as YAML.
    """
    wide = wide_table(table)
    several = table["data"].nunique() > 1
    document = Document(Path(directory), title)
    if notes:
        document.items(list(notes))
    document.heading("AUROC on patients never seen")
    for level in LEVELS:
        compact = compact_table(table, "auroc", level)
        if not compact.empty:
            document.paragraph(f"By {level}, by share of the training labels:")
            document.table(compact, names=2 + several)
    document.paragraph(legend(table))
    for plot in plots:
        document.heading(plot.heading)
        document.figure(plot.name, plot.figure, plot.caption)
    for heading, frame in (tables or {}).items():
        document.heading(heading)
        document.table(frame)
    document.heading("Patients in each part of the split")
    document.code(leakage)
    document.heading("All metrics")
    rows = f"{len(wide)} rows; the same figures stand in table.csv"
    document.table(wide, names=5, summary=rows)
    if configuration:
        document.heading("Configuration")
        document.code(configuration, summary="config.yaml")
    markdown, page = document.write()
    with atomic_file(markdown.with_name("table.csv")) as work:
        table.to_csv(work, index=False)
    return ReportFiles(markdown, page, markdown.with_name("table.csv"))


def clinical_report(
    directory: str | Path,
    cells: Sequence[Cell],
    *,
    title: str,
    leakage: str,
    label_names: Sequence[str] = (),
    primary: str | None = None,
    embedding: EmbeddingData | None = None,
    embedding_note: str = "",
    umap: bool | None = None,
    n_replicates: int = 1000,
    notes: Sequence[str] = (),
    tables: Mapping[str, pd.DataFrame] | None = None,
    configuration: str = "",
) -> ReportFiles:
    """The whole report of evaluation cells: tables, curves, calibration, confusion, embedding.

    Curves show every method and protocol (above ten: one protocol a method, and ten at most,
    variants named "primary, ..." last) at the largest label fraction, first seed, predictions
    pooled over folds; the confusion matrices are those of ``primary`` at each level.

    Args:
        directory: where to write.
        cells: results of :func:`tscl.evaluation.clinical.evaluate_cells`.
        title: heading.
        leakage: from :func:`tscl.evaluation.clinical_split.leakage_statement`, one a fold.
        label_names: name of each class.
        primary: method of the confusion matrices; the first by default.
        embedding: codes to draw; None leaves the embedding out.
        embedding_note: whose codes they are, in one sentence.
        umap: see :func:`tscl.reporting.clinical_figures.embedding_figure`.
        n_replicates: bootstrap replicates.
        notes: see :func:`write_report`.
        tables: see :func:`write_report`.
        configuration: see :func:`write_report`.
    """
    if not cells:
        raise InputError("cells", "none", "evaluate at least one method")
    chosen = _shown_cells(cells)
    several = len({name[2] for name in chosen}) > 1
    labels = {n: ", ".join(n if several else n[:2]) for n in chosen}
    first = primary or str(cells[0].key["method"])
    mine = [name for name in chosen if name[0] == first]
    if not mine:
        raise InputError("primary", first, f"choose among {sorted({n[0] for n in chosen})}")
    top = max(cell.key["fraction"] for cell in cells)
    shown = f"{100 * top:g} % of the labels, seed {cells[0].key.get('seed', 0)}"
    if len({str(cell.key.get("fold", 0)) for cell in cells}) > 1:
        shown += ", all folds pooled"
    drawn, facts = _readable(list(chosen), first), shown
    if len(drawn) < len(chosen):
        shown += f"; {len(drawn)} of {len(chosen)} rows are drawn"
    plots = []
    for level in ("sample", "patient"):
        curves = {}
        for name in drawn:
            rows = pooled_predictions(chosen[name], level=level)
            if len(rows):
                curves[labels[name]] = (rows.y, rows.proba)
        if not curves:
            continue
        caption = f"One curve a method, by {level}: {shown}. The tables give means over seeds."
        figure = roc_pr_figure(curves, names=label_names)
        plots.append(
            Plot(f"curves-{level}", f"ROC and precision-recall by {level}", figure, caption)
        )
        if level == "sample":
            caption = (
                f"By sample: {shown}. Below the diagonal a method is surer than it is right. ECE: "
                "distance from it, weighted by how often a confidence occurs (lower panel)."
            )
            figure = calibration_figure(curves)
            calibration = Plot("calibration", "Calibration", figure, caption)
    plots.append(calibration)
    votes = {level: pooled_predictions(chosen[mine[0]], level=level) for level in LEVELS}
    counts = {f"by {level}": (rows.y, rows.proba) for level, rows in votes.items() if len(rows)}
    caption = f"{labels[mine[0]]}: {facts}. Counts, and shares of the true class."
    figure = confusion_figure(counts, names=label_names)
    plots.append(Plot("confusion", "Confusion", figure, caption))
    if embedding is not None:
        figure = embedding_figure(*embedding, names=label_names, umap=umap)
        caption = (
            f"{embedding_note} Each point is a test sample; both columns show the same points. "
            "Groups on the right that have no counterpart on the left: the codes tell people "
            "apart, not labels."
        ).strip()
        plots.append(Plot("embedding", "Embedding of the test samples", figure, caption))
    table = summarise(cells, n_replicates=n_replicates)
    return write_report(
        directory,
        title=title,
        table=table,
        leakage=leakage,
        plots=plots,
        notes=notes,
        tables=tables,
        configuration=configuration,
    )


def _shown_cells(cells: Sequence[Cell]) -> dict[Name, list[Cell]]:
    """Cells of each method and protocol at the largest fraction: first seed, all folds."""
    top = max(cell.key["fraction"] for cell in cells)
    chosen: dict[Name, list[Cell]] = {}
    for cell in cells:
        key = cell.key
        name = (str(key["method"]), str(key["protocol"]), str(key["data"]))
        if key["fraction"] != top or (name in chosen and _other_run(chosen[name][0], cell)):
            continue
        chosen.setdefault(name, []).append(cell)
    return chosen


def _readable(names: list[Name], primary: str, most: int = 10) -> list[Name]:
    """The curves to draw: all, or when too many the frozen (else first) protocol a method.

    Of more methods than ``most``, variants of the primary one are left out first.
    """
    if len(names) <= most:
        return names
    kept: dict[tuple[str, str], Name] = {}
    for name in names:
        method = name[0], name[2]
        if method not in kept or (name[1] == "partial" != kept[method][1]):
            kept[method] = name
    ordered = sorted(kept.values(), key=lambda name: name[0].startswith(f"{primary}, "))
    return ordered[:most]


def _other_run(one: Cell, other: Cell) -> bool:
    """True when the cell is of another seed or way of drawing labels than the first found."""
    return any(one.key[part] != other.key[part] for part in ("seed", "by"))
