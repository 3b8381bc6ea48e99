"""Report of a clinical run: the full table, compact tables, curves, embedding, leakage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from data_loaders.container.fields import label_kind
from data_loaders.splits.leakage import leakage_statement
from tscl.disk import atomic_file, write_text
from tscl.errors import InputError
from tscl.evaluation.clinical.evaluate import pooled_embeddings
from tscl.evaluation.clinical.operating import operating_points, subgroup_table
from tscl.evaluation.clinical.paired import paired_differences
from tscl.evaluation.clinical.table import pooled_predictions, summarise
from tscl.evaluation.clinical.votes import LEVELS
from tscl.evaluation.metrics.labels import MAIN
from tscl.reporting.document import Document, markdown_table
from tscl.reporting.references import Reference
from tscl.runs.clinical.config import BASELINES
from tscl.runs.clinical.figures import (
    calibration_figure,
    confusion_figure,
    embedding_figure,
    roc_pr_figure,
)
from tscl.runs.clinical.label_plots import drawn_groups, label_figures, number_figure
from tscl.runs.clinical.run import ClinicalRun, class_names
from tscl.runs.clinical.supplement import calibration_table, missing_values, papers, participants
from tscl.runs.clinical.supplement import checklist as tripod_checklist
from tscl.runs.clinical.tables import (
    class_table,
    compact_table,
    difference_table,
    legend,
    wide_table,
    write_predictions,
)
from tscl.runs.label_efficiency.figures import DASHES, label_efficiency_figure, row_styles
from tscl.saving.cells import Cell

Name = tuple[str, str, str]


class ReportFiles(NamedTuple):
    """Where a report was written."""

    markdown: Path
    html: Path
    table: Path


class EmbeddingData(NamedTuple):
    """Embeddings (n, D) to draw, with the label and the patient of each (n,), the labels' names
    where they are not those of the report, and whose embeddings they are, in one sentence."""

    embeddings: ArrayLike
    label: ArrayLike
    patient: ArrayLike
    names: Sequence[str] | None = None
    note: str = ""


class Plot(NamedTuple):
    """A figure of a report: its file's name, heading and caption."""

    name: str
    heading: str
    figure: Figure
    caption: str


@dataclass(frozen=True)
class ReportText:
    """What a report says beside the figures of its cells.

    Attributes:
        title: heading.
        leakage: from :func:`data_loaders.splits.leakage.leakage_statement`, one a fold.
        notes: sentences on data and methods.
        tables: heading -> further table.
        checklist: from the tidy table to the items of a reporting guideline
            (:mod:`tscl.runs.clinical.supplement`).
        papers: references of data and methods.
        configuration: of the run, as YAML.
        cost: what the run took, a sentence.
    """

    title: str
    leakage: str
    notes: Sequence[str] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    checklist: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    papers: Sequence[Reference] = ()
    configuration: str = ""
    cost: str = ""


def write_report(
    directory: str | Path, table: pd.DataFrame, text: ReportText, plots: Sequence[Plot] = ()
) -> ReportFiles:
    """Write ``report.md``, ``report.html`` (one file) and ``table.csv``.

    Figures, tables and references lie beside them too, see
    :class:`tscl.reporting.document.Document`.

    Args:
        directory: created when missing; files of an earlier report are replaced.
        table: tidy table; written whole to the CSV and in wide form to the report's end, AUROC
            by sample, trial and patient to its beginning.
        text: what stands beside the figures.
        plots: figures in order.
    """
    wide = wide_table(table)
    several = table["data"].nunique() > 1
    document = Document(Path(directory), text.title)
    document.paragraph(" ".join([_sentence(table), *([text.cost] if text.cost else [])]))
    figure = _by_share(table)
    if figure is not None:
        document.figure("label_efficiency", *figure)
    if text.notes:
        document.items(list(text.notes))
    for metric in main_metrics(table):
        document.heading(f"{METRIC_TITLES[metric]} on patients never seen")
        for level in LEVELS:
            compact = compact_table(table, metric, level)
            if not compact.empty:
                document.paragraph(f"By {level}, by share of the training labels (* best):")
                best: Literal["high", "low"] = "low" if metric == "mae" else "high"
                document.table(compact, names=2 + several, best=best)
    document.paragraph(legend(table))
    for plot in plots:
        document.heading(plot.heading)
        document.figure(plot.name, plot.figure, plot.caption)
    for heading, frame in text.tables.items():
        document.heading(heading)
        document.table(frame)
    document.heading("Patients in each part of the split")
    document.code(text.leakage)
    if text.checklist is not None:
        document.heading("Reporting checklist (TRIPOD+AI)")
        document.table(text.checklist(table), text=True)
    document.references(text.papers)
    document.heading("All metrics")
    rows = f"{len(wide)} rows; the same figures stand in table.csv"
    document.table(wide, names=5, summary=rows)
    if text.configuration:
        document.heading("Configuration")
        document.code(text.configuration, summary="config.yaml")
    markdown, page = document.write()
    with atomic_file(markdown.with_name("table.csv")) as work:
        table.to_csv(work, index=False)
    return ReportFiles(markdown, page, markdown.with_name("table.csv"))


METRIC_TITLES = {"auroc": "AUROC", "r2": "R2", "mae": "Mean absolute error"}


PLAIN = {baseline.title for baseline in BASELINES.values() if not baseline.full}
"""Methods without a trained network, drawn in grey."""


def main_metrics(table: pd.DataFrame) -> tuple[str, ...]:
    """The scores that a report begins with: AUROC, or R2 and the error of a number."""
    return ("r2", "mae") if (table["metric"] == "r2").any() else ("auroc",)


def _sentence(table: pd.DataFrame) -> str:
    """The result at the smallest share of labels: the first row's best protocol, and the best row
    of the others; by patient where that is known."""
    metric = main_metrics(table)[0]
    own = table[(table["metric"] == metric) & table["mean"].notna()]
    own = own[own["level"] == ("patient" if (own["level"] == "patient").any() else "sample")]
    if own.empty:
        return f"No {METRIC_TITLES[metric]} could be told: see the metrics below."
    share, primary = own["fraction"].min(), own["method"].iloc[0]
    at = own[own["fraction"] == share].sort_values("mean", ascending=False)
    parts = []
    for rows in (at[at["method"] == primary], at[at["method"] != primary]):
        if len(rows):
            line = rows.iloc[0]
            parts.append(
                f"{line['method']} ({line['protocol']}) {line['mean']:.3f} "
                f"({line['ci_low']:.3f} to {line['ci_high']:.3f})"
            )
    other = f", the best other row is {parts[1]}" if len(parts) > 1 else ""
    return (
        f"With {100 * share:g} % of the training labels the {METRIC_TITLES[metric]} by "
        f"{at['level'].iloc[0]} on patients never seen is {parts[0]}{other}; 95 % intervals."
    )


def _by_share(table: pd.DataFrame) -> tuple[Figure, str] | None:
    """AUROC against the share of labels, by patient where it is known; None of one share alone.

    Of a method's protocols the first is drawn, of ways to draw labels the first.
    """
    own = table[(table["metric"] == "auroc") & table["mean"].notna()]
    level = "patient" if (own["level"] == "patient").any() else "sample"
    own = own[own["level"] == level]
    first = own.groupby("method")["protocol"].transform("first")
    ways = [way for way in own["by"] if way != "all"]
    own = own[(own["protocol"] == first) & own["by"].isin(["all", *ways[:1]])]
    if own["fraction"].nunique() < 2 or own["data"].nunique() > 1:
        return None
    columns = {"method": "row", "fraction": "share", "mean": "value"}
    lines = own.rename(columns=columns).assign(task=level)
    titles = {name: name for name in table["method"].unique()}
    figure = label_efficiency_figure(lines, titles, PLAIN, {level: (f"By {level}", "classes")})
    protocols = ", ".join(f"{k} `{v}`" for k, v in zip(own["method"], own["protocol"], strict=True))
    shown = ", ".join(dict.fromkeys(protocols.split(", ")))
    return figure, (
        f"AUROC by {level} on patients never seen against the share of the training labels "
        f"(log axis; shares of {ways[0]}), 95 % intervals. Protocols: {shown}."
    )


def clinical_report(
    directory: str | Path,
    cells: Sequence[Cell],
    text: ReportText,
    *,
    label_names: Sequence[str] = (),
    primary: str | None = None,
    embedding: EmbeddingData | None = None,
    umap: bool | None = None,
    n_replicates: int = 1000,
) -> ReportFiles:
    """The whole report of evaluation cells: tables, curves, calibration, confusion, embedding.

    Curves show every method and protocol (above ten: one protocol a method, and ten at most,
    variants named "primary, ..." last) at the largest label fraction, every seed, predictions
    pooled over folds; the confusion matrices are those of ``primary`` at each level.

    Args:
        directory: where to write.
        cells: results of :func:`tscl.evaluation.clinical.evaluate.evaluate_cells`.
        text: what stands beside the figures.
        label_names: name of each class.
        primary: method of the confusion matrices; the first by default.
        embedding: embeddings to draw; None leaves the embedding out.
        umap: see :func:`tscl.runs.clinical.figures.embedding_figure`.
        n_replicates: bootstrap replicates.
    """
    if not cells:
        raise InputError("cells", "none", "evaluate at least one method")
    plots = _prediction_plots(cells, primary or str(cells[0].key["method"]), label_names)
    if embedding is not None:
        drawn = label_names if embedding.names is None else embedding.names
        figure = embedding_figure(*embedding[:3], names=drawn, umap=umap)
        caption = (
            f"{embedding.note} Each point is a test sample; both columns show the same points. "
            "Groups on the right that have no counterpart on the left: the embeddings tell people "
            "apart, not labels."
        ).strip()
        plots.append(Plot("embedding", "Embedding of the test samples", figure, caption))
    return write_report(directory, summarise(cells, n_replicates=n_replicates), text, plots)


def _prediction_plots(
    cells: Sequence[Cell], primary: str, label_names: Sequence[str]
) -> list[Plot]:
    """Curves by sample and by patient, calibration, and the confusion of ``primary``."""
    chosen = _shown_cells(cells)
    kind = label_kind(cells[0].arrays["y"])
    if kind != "classes":
        return _label_plots(chosen, primary, kind, label_names)
    several = len({name[2] for name in chosen}) > 1
    labels = {n: ", ".join(n if several else n[:2]) for n in chosen}
    mine = [name for name in chosen if name[0] == primary]
    if not mine:
        raise InputError("primary", primary, f"choose among {sorted({n[0] for n in chosen})}")
    top = max(cell.key["fraction"] for cell in cells)
    facts = f"{100 * top:g} % of the labels"
    if len({str(cell.key.get("fold", 0)) for cell in cells}) > 1:
        facts += ", all folds pooled"
    drawn = _readable(list(chosen), primary)
    shown = facts
    if len(drawn) < len(chosen):
        shown += f"; {len(drawn)} of {len(chosen)} rows are drawn"
    first = f"first seed of {max(map(len, chosen.values()))}" if chosen else ""
    plots = []
    styles = _styles(cells, labels)
    curves = {level: _curves(chosen, drawn, labels, level) for level in ("sample", "patient")}
    for level, rows in curves.items():
        units = len(next(iter(rows.values()))[0][0]) if rows else 0
        if units < (1 if level == "sample" else FEWEST_UNITS):
            continue
        caption = (
            f"One colour a method, the same in all figures, by {level} ({units}): {shown}. Thin: "
            "each seed; thick: their mean. The areas are the tables' AUROC and AUPRC."
        )
        figure = roc_pr_figure(rows, names=label_names, styles=styles)
        heading = f"ROC and precision-recall by {level}"
        plots.append(Plot(f"curves-{level}", heading, figure, caption))
    caption = (
        f"By sample: {shown}, {first}. Below the diagonal a method is surer than it is right. ECE: "
        "distance from it, weighted by how often a confidence occurs (lower panel)."
    )
    firsts = {label: seeds[0] for label, seeds in curves["sample"].items()}
    figure = calibration_figure(firsts, styles)
    plots.append(Plot("calibration", "Calibration", figure, caption))
    votes = {level: pooled_predictions(chosen[mine[0]][0], level=level) for level in LEVELS}
    counts = {f"by {level}": (rows.y, rows.proba) for level, rows in votes.items() if len(rows)}
    caption = f"{labels[mine[0]]}: {facts}, {first}. Counts, and shares of the true class."
    figure = confusion_figure(counts, names=label_names)
    plots.append(Plot("confusion", "Confusion", figure, caption))
    return plots


def _styles(cells: Sequence[Cell], labels: Mapping[Name, str]) -> dict[str, tuple[str, str]]:
    """Colour and dash by label: a method's colour is that of the first figure, and what else
    there is of it, such as a second protocol, is dashed."""
    colours = row_styles(dict.fromkeys(str(cell.key["method"]) for cell in cells), PLAIN)
    count: Counter[str] = Counter()
    styles = {}
    for name, label in labels.items():
        colour, dash, _ = colours[name[0]]
        nth = count[name[0]]
        styles[label] = colour, DASHES[(DASHES.index(dash) + nth) % len(DASHES)]
        count[name[0]] += 1
    return styles


def _label_plots(
    chosen: Mapping[Name, list[list[Cell]]], primary: str, kind: str, names: Sequence[str]
) -> list[Plot]:
    """Figures of the first protocol of ``primary``, of several labels or a number."""
    method, protocol, seeds = next(
        (name[0], name[1], cells) for name, cells in chosen.items() if name[0] == primary
    )
    if kind == "multilabel":
        drawn = label_figures([pooled_predictions(cells) for cells in seeds], names)
        return [
            Plot(name, heading, figure, f"{method}, {protocol}, by sample. {caption}")
            for name, (heading, figure, caption) in drawn.items()
        ]
    levels = {f"by {level}": pooled_predictions(seeds[0], level=level) for level in LEVELS}
    figure = number_figure({k: v for k, v in levels.items() if len(v)}, names[0])
    caption = f"{method}, {protocol}, first seed. On the dashed line both are equal."
    return [Plot("predicted", "Predicted and true", figure, caption)]


def _curves(
    chosen: Mapping[Name, list[list[Cell]]],
    drawn: Sequence[Name],
    labels: Mapping[Name, str],
    level: str,
) -> dict[str, list[tuple[NDArray[Any], NDArray[Any]]]]:
    """Truth and predictions of every seed of the rows to draw, by their label."""
    curves = {}
    for name in drawn:
        rows = [pooled_predictions(cells, level=level) for cells in chosen[name]]
        if len(rows[0]):
            curves[labels[name]] = [(predictions.y, predictions.proba) for predictions in rows]
    return curves


def _shown_cells(cells: Sequence[Cell]) -> dict[Name, list[list[Cell]]]:
    """Cells of each method and protocol at the largest fraction, all folds of each seed."""
    top = max(cell.key["fraction"] for cell in cells)
    chosen: dict[Name, dict[Any, list[Cell]]] = {}
    ways: dict[Name, Any] = {}
    for cell in cells:
        key = cell.key
        name = (str(key["method"]), str(key["protocol"]), str(key["data"]))
        if key["fraction"] == top and key["by"] == ways.setdefault(name, key["by"]):
            chosen.setdefault(name, {}).setdefault(key["seed"], []).append(cell)
    return {name: list(seeds.values()) for name, seeds in chosen.items()}


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


FEWEST_UNITS = 10
"""Patients of one label below which no curve is drawn of them."""
COMPACT: tuple[tuple[str, str], ...] = (
    ("auroc", "sample"),
    ("auroc", "patient"),
    ("auprc_macro", "sample"),
    ("accuracy", "sample"),
    ("f1", "sample"),
    ("f1", "patient"),
    *((metric, level) for metric in ("r2", "mae", "spearman") for level in ("sample", "patient")),
)


def write_clinical_report(run: ClinicalRun, cells: list[Cell]) -> ReportFiles:
    """Write ``report.md``, ``report.html``, ``table.csv``, ``predictions.csv``, ``summary.md`` and
    ``metrics.json``."""
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
        embeddings = pooled_embeddings(
            run.load(main, fold), seen.X, test, pooling=config.evaluate.pooling
        )
        codes, groups = drawn_groups(data, test)
        note = f"Embeddings of {main.label}{where}, pooled over time by "
        note += f"`{config.evaluate.pooling}`, standardised."
        embedding = EmbeddingData(embeddings, codes, data.patient[test], groups, note)
    text = ReportText(
        title=f"{config.name}: {main.label} on {data.name}",
        leakage=leakage(run),
        notes=notes(run),
        tables={
            **{difference_title(run, level): frame for level, frame in differences.items()},
            **_by_class(cells, main.label, class_names(data), config.evaluate.n_replicates),
            **points_and_groups(run, cells),
            "Participants": participants(run),
            "Missing values": missing_values(run),
            **({} if curves.empty else {probe_title(run): curves.map(_shown_score)}),
            **diagnostics(run),
        },
        checklist=partial(tripod_checklist, run),
        papers=papers(run),
        configuration=config.to_yaml(),
        cost=run.folder.cost(),
    )
    files = clinical_report(
        run.folder.path,
        cells,
        text,
        label_names=class_names(data),
        primary=main.label,
        embedding=embedding,
        umap=config.evaluate.umap,
        n_replicates=config.evaluate.n_replicates,
    )
    tested = {fold.number: fold.parts["test"] for fold in run.folds}
    path = run.folder.path / "predictions.csv"
    write_predictions(path, cells, data, tested, class_names(data))
    table = pd.read_csv(files.table)
    write_text(run.folder.path / "summary.md", summary(run, table, differences))
    keep = ["method", "protocol", "fraction", "by", "level", "metric", "mean", "std"]
    rows = table[[*keep, "ci_low", "ci_high"]].astype(object)
    rows = rows.where(rows.notna(), None)
    run.folder.write_metrics(
        {"data": data.name, "seed": config.seed, "results": rows.to_dict("records")}
    )
    return files


def _by_class(
    cells: Sequence[Cell], primary: str, names: Sequence[str], n_replicates: int
) -> dict[str, pd.DataFrame]:
    """Figures of each class of the row ``primary`` at the largest share, by heading."""
    tables = {}
    if label_kind(cells[0].arrays["y"]) == "target":
        return {}
    for (method, protocol, _), seeds in _shown_cells(cells).items():
        if method == primary:
            heading = f"Each class against the rest, by sample: {method}, {protocol}"
            tables[heading] = class_table(seeds, names, n_replicates)
    return tables


def points_and_groups(run: ClinicalRun, cells: Sequence[Cell]) -> dict[str, pd.DataFrame]:
    """Calibration, operating points, subgroups of the main row at the largest share, by heading."""
    e, data = run.config.evaluate, run.data
    known = {fold.number: data.columns.iloc[fold.parts["test"]][e.subgroups] for fold in run.folds}
    tables = {}
    for (method, protocol, _), seeds in _shown_cells(cells).items():
        if method != run.rows[0].label:
            continue
        levels = [
            operating_points(
                seeds,
                class_names(data),
                specificity=e.specificity,
                level=level,
                n_replicates=e.n_replicates,
            )
            for level in ("sample", "patient")
        ]
        calibration = calibration_table(seeds, class_names(data), e.n_replicates)
        tables[f"Calibration slope and intercept: {method}, {protocol}"] = calibration
        points = pd.concat(levels, ignore_index=True)
        if not points.empty:
            heading = f"At a specificity of {e.specificity:g} in the validation part"
            tables[f"{heading}: {method}, {protocol}"] = points
        if e.subgroups:
            heading = f"Subgroups, by sample: {method}, {protocol}"
            tables[heading] = subgroup_table(seeds, known, n_replicates=e.n_replicates)
    return tables


def leakage(run: ClinicalRun) -> str:
    """The leakage statement of every fold."""
    parts = []
    for fold in run.folds:
        head = f"Fold {fold.number}. " if len(run.folds) > 1 else ""
        text = head + leakage_statement(run.data, fold.parts, max_listed=60)
        if len(fold.unlabelled):
            people = len(np.unique(run.data.patient[fold.unlabelled]))
            text += (
                f"\nPretraining also sees {len(fold.unlabelled)} samples without a label, of "
                f"{people} patients, none of whom validates or is tested."
            )
        parts.append(text)
    return "\n\n".join(parts)


EXTERNAL = (
    "External validation: trained on the first data, tested on all known patients of the second, "
    "which were brought to the unit, rate, filter and channels of the first. No patient id stands "
    "in both, and no recording under two ids."
)


def notes(run: ClinicalRun) -> list[str]:
    """What the data are, and what all rows share."""
    config, data = run.config, run.data
    train = config.train
    supervised = [row.label for row in run.rows if row.labels]
    lines = [
        f"Data: {data!r}.",
        _preprocessing(run),
        f"Input: standardised by `{config.data.standardize}`; band power reads the values as "
        "loaded unless its row says otherwise.",
        f"Every pretrained row: encoder `{config.encoder.name}` {config.encoder.params}, the "
        f"same first weights (seed {config.seed}), batches of {train.batch_size}, "
        f"{_steps(run)} steps, AdamW {train.lr:g}, weight averaging `{train.averaging}`; "
        "pretraining sees samples of training patients only and no labels"
        + (", but for the rows said to be with labels." if supervised else "."),
    ]
    if config.data.external is not None:
        lines.insert(1, EXTERNAL)
    if supervised:
        lines.append(
            f"{', '.join(supervised)}: pretraining read the labels of all training patients, so "
            "that a share of labels limits only what is fitted afterwards."
        )
    seeds, repeats = config.evaluate.seeds, train.repeats
    if seeds > 1:
        trained = "is trained once a fold"
        if repeats > 1:
            trained = f"is trained {repeats} times a fold, seeds {config.seed} and up, in turn"
        lines.append(
            f"Seeds 0 to {seeds - 1} draw the labelled part and the first weights of heads, random "
            f"encoders and supervised training; each pretrained encoder {trained}."
        )
    if train.select == "validation":
        lines.append(
            f"The pretraining epoch is that of the best validation {train.monitor} of a linear "
            "probe with all training labels."
        )
    if data.log is not None:
        lines.append(f"Records: {data.log.summary()}; see records.csv.")
    return lines


def _preprocessing(run: ClinicalRun) -> str:
    """Channels, unit, window and filters, or that the data do not say."""
    facts = run.input_facts(run.folds[0], "none")
    unit, band, notch = (facts[name] for name in ("unit", "band", "notch"))
    edges = "the data name no filter"
    if band is not None:
        low, high = ("open" if edge is None else f"{edge:g}" for edge in band)
        edges = f"filtered from {low} to {high} Hz"
    if notch:
        edges += f", without {', '.join(f'{frequency:g}' for frequency in np.atleast_1d(notch))} Hz"
    seconds = facts["window"] / facts["sampling_rate"]
    return (
        f"Channels: {', '.join(facts['channels'])}; {unit or 'a unit the data do not name'}; "
        f"samples of {facts['window']} steps ({seconds:.3g} s); {edges}."
    )


def _steps(run: ClinicalRun) -> str:
    counts = {run.steps(run.data.subset(f.pretrain, lazy=True)) for f in run.folds}
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def probe_curves(run: ClinicalRun) -> pd.DataFrame:
    """Validation score by epoch, one row a pretrained row, mean over folds."""
    metric = run.config.train.monitor
    rows: list[dict[str, Any]] = []
    for row in run.rows:
        slugs = [repeat.slug for repeat in row.repeats(run.config.train.repeats)]
        paths = [
            run.folder.path / f"probe-{slug}-fold{f.number}.csv"
            for f in run.folds
            for slug in slugs
        ]
        curves = [pd.read_csv(path) for path in paths if path.is_file()]
        if curves:
            mean = pd.concat(curves).groupby("epoch")[metric].mean()
            rows.append({"method": row.label, **{f"{k}": v for k, v in mean.items()}})
    return pd.DataFrame(rows)


def diagnostics(run: ClinicalRun) -> dict[str, pd.DataFrame]:
    """Figures of the embeddings after the last epoch, one row a pretrained row, mean over folds."""
    rows: list[dict[str, Any]] = []
    for row in run.rows:
        slugs = [repeat.slug for repeat in row.repeats(run.config.train.repeats)]
        last_rows = [
            pd.read_csv(path).iloc[-1]
            for slug in slugs
            for path in run.folder.path.glob(f"diagnostics-{slug}-fold*.csv")
        ]
        if last_rows:
            mean = pd.DataFrame(last_rows).mean()
            rows.append({"method": row.label, **{f"{k}": f"{v:.3f}" for k, v in mean.items()}})
    title = "Embeddings of training samples after the last epoch (by epoch in diagnostics-*.csv)"
    return {title: pd.DataFrame(rows).drop(columns="epoch")} if rows else {}


def probe_title(run: ClinicalRun) -> str:
    """Heading of the validation curves."""
    return (
        f"Validation {run.config.train.monitor.upper()} (sample level, all training labels, "
        "mean over folds) by pretraining epoch"
    )


def paired_tables(run: ClinicalRun, cells: list[Cell]) -> dict[str, pd.DataFrame]:
    """Paired AUROC differences to the baselines that are references, a table a level.

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
    references = [baseline.title for baseline in BASELINES.values() if baseline.reference]
    present = [reference for reference in references if reference in labels]
    draws = run.config.evaluate.n_replicates
    every = paired_differences(shown, present, n_replicates=draws)
    if every.empty:
        return {}
    every = every.sort_values("fraction", ascending=False, kind="stable")
    tables = {level: difference_table(every, level) for level in ("sample", "patient")}
    return {level: frame for level, frame in tables.items() if not frame.empty}


def difference_title(run: ClinicalRun, level: str) -> str:
    """Heading of a table of differences."""
    metric = METRIC_TITLES[MAIN[run.data.label_kind]]
    return f"{metric} by {level} minus that of a baseline, patients resampled for both at once"


def summary(
    run: ClinicalRun, table: pd.DataFrame, differences: dict[str, pd.DataFrame] | None = None
) -> str:
    """Compact tables as Markdown, for documents.

    Args:
        run: that is finished.
        table: all scores, one line each.
        differences: between rows, by level.
    """
    lines: list[str] = []
    for metric, level in COMPACT:
        frame = compact_table(table, metric, level)
        if frame.empty:
            continue
        title = "AUPRC, mean over classes," if metric == "auprc_macro" else metric.upper()
        lines += [f"{title} by {level}", "", markdown_table(frame), ""]
    for level, frame in (differences or {}).items():
        lines += [difference_title(run, level), "", markdown_table(frame), ""]
    curves = probe_curves(run)
    if not curves.empty:
        lines += [probe_title(run), "", markdown_table(curves.map(_shown_score)), ""]
    return "\n".join(lines)


def _shown_score(value: object) -> str:
    """Three decimals; a dash where a curve ended earlier."""
    if isinstance(value, float):
        return f"{value:.3f}" if np.isfinite(value) else "-"
    return str(value)


def show_rows(path: Path, metric: str | None = None, level: str = "sample") -> pd.DataFrame:
    """The compact table of a finished report.

    Args:
        path: of its ``table.csv``.
        metric: score; None for the first of the table.
        level: ``sample``, ``trial`` or ``patient``.
    """
    table = pd.read_csv(path)
    return compact_table(table, metric or main_metrics(table)[0], level)
