"""One report of a clinical evaluation: Markdown with figures beside it, and one HTML file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tscl.disk import atomic_file, write_bytes, write_text
from tscl.errors import InputError
from tscl.evaluation.clinical_table import GROUP, pooled_predictions, summarise
from tscl.evaluation.result_store import Cell
from tscl.reporting.clinical_figures import (
    calibration_figure,
    confusion_figure,
    embedding_figure,
    roc_pr_figure,
)
from tscl.reporting.markdown import markdown_table

SHOWN: tuple[str, ...] = ("accuracy", "precision", "recall", "f1", "auroc", "auprc", "ece")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1f24; }
table { border-collapse: collapse; font-size: 12.5px; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #d5d9de; padding: .3rem .6rem; text-align: left;
  white-space: nowrap; }
th { background: #f3f5f7; position: sticky; top: 0; }
img { max-width: 100%; } pre { background: #f6f8fa; padding: .8rem; white-space: pre-wrap; }
"""


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


def wide_table(table: pd.DataFrame, metrics: Sequence[str] = SHOWN) -> pd.DataFrame:
    """One row a method, protocol, fraction and level; ``mean ± std [low, high]`` a metric.

    Args:
        table: from :func:`tscl.evaluation.clinical_table.summarise`.
        metrics: columns to show.
    """
    if table.empty:
        raise InputError("table", "no rows", "evaluate at least one method")
    keys = [*GROUP, "level"]
    rows = []
    for name, part in table.groupby(keys, sort=False, dropna=False):
        values = part.set_index("metric")
        first = part.iloc[0]
        row: dict[str, object] = dict(zip(keys, name, strict=True))
        row["fraction"] = f"{100 * first['fraction']:g} %"
        row["train samples (patients)"] = (
            f"{first['n_train_samples']:.0f} ({first['n_train_patients']:.0f})"
        )
        row["test rows (patients)"] = f"{first['n_test']} ({first['n_test_patients']})"
        for metric in metrics:
            row[metric] = (
                _figure_text(values.loc[metric].to_dict()) if metric in values.index else "-"
            )
        rows.append(row)
    wide = pd.DataFrame(rows)
    return wide.drop(columns="data") if wide["data"].nunique() == 1 else wide


def _figure_text(row: Mapping[Any, Any]) -> str:
    """``.812 ± .010 [.75, .87]``, leaving out what is not known."""
    if not np.isfinite(row["mean"]):
        return "n/a"
    text = f"{row['mean']:.3f}"
    if np.isfinite(row["std"]):
        text += f" ± {row['std']:.3f}"
    if np.isfinite(row["ci_low"]):
        text += f" [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    return text


def write_report(
    directory: str | Path,
    *,
    title: str,
    table: pd.DataFrame,
    leakage: str,
    figures: Mapping[str, Figure] | None = None,
    notes: Sequence[str] = (),
) -> ReportFiles:
    """Write ``report.md``, its ``figures/*.png``, ``report.html`` (one file) and ``table.csv``.

    Args:
        directory: created when missing; files of an earlier report are replaced.
        title: heading.
        table: tidy table; written whole to the CSV and in wide form to the report.
        leakage: statement of the split.
        figures: caption -> figure.
        notes: sentences under the table.
    """
    place = Path(directory)
    wide = wide_table(table)
    files = ReportFiles(place / "report.md", place / "report.html", place / "table.csv")
    legend = _legend(table)
    text = [f"# {title}", "", "## Results", "", markdown_table(wide), "", legend, ""]
    page = [f"<h1>{html.escape(title)}</h1>", "<h2>Results</h2>"]
    page += [wide.to_html(index=False, border=0, escape=True), f"<p>{html.escape(legend)}</p>"]
    for note in notes:
        text += [f"- {note}"]
    if notes:
        text.append("")
        page.append("<ul>" + "".join(f"<li>{html.escape(n)}</li>" for n in notes) + "</ul>")
    text += ["## Patients in each part of the split", "", leakage, ""]
    page += ["<h2>Patients in each part of the split</h2>", f"<pre>{html.escape(leakage)}</pre>"]
    for number, (caption, figure) in enumerate((figures or {}).items(), 1):
        png = _png(figure)
        name = f"figures/{number:02d}.png"
        write_bytes(place / name, png)
        text += [f"## {caption}", "", f"![{caption}]({name})", ""]
        page.append(f"<h2>{html.escape(caption)}</h2>")
        code = base64.b64encode(png).decode()
        alt = html.escape(caption, quote=True)
        page.append(f'<img alt="{alt}" src="data:image/png;base64,{code}">')
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    body = "\n".join(page)
    write_text(files.markdown, "\n".join(text))
    write_text(
        files.html,
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n',
    )
    with atomic_file(files.table) as work:
        table.to_csv(work, index=False)
    return files


def clinical_report(
    directory: str | Path,
    cells: Sequence[Cell],
    *,
    title: str,
    leakage: str,
    label_names: Sequence[str] = (),
    primary: str | None = None,
    level: str = "patient",
    embedding: EmbeddingData | None = None,
    umap: bool | None = None,
    n_replicates: int = 1000,
    notes: Sequence[str] = (),
) -> ReportFiles:
    """The whole report of evaluation cells: table, curves, calibration, confusion, embedding.

    Curves show every method and protocol (above ten: one protocol a method, and ten at most) at
    the largest label fraction, first seed, samples pooled over folds; the confusion
    matrix is that of ``primary`` at ``level``.

    Args:
        directory: where to write.
        cells: results of :func:`tscl.evaluation.clinical.evaluate_cells`.
        title: heading.
        leakage: from :func:`tscl.evaluation.clinical_split.leakage_statement`, one a fold.
        label_names: name of each class.
        primary: method of the confusion matrix; the first by default.
        level: level of the confusion matrix.
        embedding: codes to draw; None leaves the embedding out.
        umap: see :func:`tscl.reporting.clinical_figures.embedding_figure`.
        n_replicates: bootstrap replicates.
        notes: sentences under the table.
    """
    if not cells:
        raise InputError("cells", "none", "evaluate at least one method")
    top = max(cell.key["fraction"] for cell in cells)
    chosen: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        key = cell.key
        name = (str(key["method"]), str(key["protocol"]), str(key["data"]))
        if key["fraction"] != top or (name in chosen and _other_run(chosen[name][0], cell)):
            continue
        chosen.setdefault(name, []).append(cell)
    several = len({name[2] for name in chosen}) > 1
    labels = {n: ", ".join(n if several else n[:2]) for n in chosen}
    curves = {}
    for name in _readable(list(chosen)):
        found = chosen[name]
        rows = pooled_predictions(found, level="sample")
        curves[labels[name]] = (rows.y, rows.proba)
    first = primary or str(cells[0].key["method"])
    mine = [name for name in chosen if name[0] == first]
    if not mine:
        raise InputError("primary", first, f"choose among {sorted({n[0] for n in chosen})}")
    voted = pooled_predictions(chosen[mine[0]], level=level)
    share = f"{100 * top:g} % of the labels"
    figures = {f"Curves, samples, {share}": roc_pr_figure(curves, names=label_names)}
    figures[f"Calibration, samples, {share}"] = calibration_figure(curves)
    if len(voted):
        caption = f"Confusion by {level}: {labels[mine[0]]}, {share}"
        figures[caption] = confusion_figure(voted.y, voted.proba, names=label_names)
    if embedding is not None:
        figures["Embedding"] = embedding_figure(*embedding, names=label_names, umap=umap)
    table = summarise(cells, n_replicates=n_replicates)
    return write_report(
        directory, title=title, table=table, leakage=leakage, figures=figures, notes=notes
    )


def _readable(names: list[tuple[str, str, str]], most: int = 10) -> list[tuple[str, str, str]]:
    """The curves to draw: all, or when too many the frozen (else first) protocol a method."""
    if len(names) <= most:
        return names
    kept: dict[tuple[str, str], tuple[str, str, str]] = {}
    for name in names:
        method = name[0], name[2]
        if method not in kept or (name[1] == "partial" != kept[method][1]):
            kept[method] = name
    return list(kept.values())[:most]


def _other_run(one: Cell, other: Cell) -> bool:
    """True when the cell is of another seed or way of drawing labels than the first found."""
    return any(one.key[part] != other.key[part] for part in ("seed", "by"))


def _legend(table: pd.DataFrame) -> str:
    seeds = int(table["n_seeds"].max())
    text = (
        f"Mean ± standard deviation over up to {seeds} seeds [95 % interval of the mean when "
        "patients are resampled]. Precision, recall and F1 are means over classes. The best "
        "epoch and other choices are made on the validation part."
    )
    mixed = int(table["n_mixed"].max())
    if mixed:
        text += f" Up to {mixed} units of several labels have no vote and are left out there."
    skipped = int(table["n_skipped"].max())
    if skipped:
        text += f" Up to {skipped} replicates held one class only and are left out."
    return text


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
