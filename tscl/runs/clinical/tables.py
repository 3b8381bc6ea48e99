"""Tables of a clinical evaluation: compact ones for reading, and one with every metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders import MedicalDataset
from data_loaders.container.fields import LABEL, label_kind
from tscl.disk import atomic_file
from tscl.errors import InputError
from tscl.evaluation.clinical.table import GROUP, pooled_predictions
from tscl.evaluation.metrics.bootstrap import (
    bootstrap_replicates,
    mean_over_drawn_seeds,
    percentile_interval,
)
from tscl.evaluation.metrics.classification import classification_metrics
from tscl.runs.new_data import further_columns, probability_columns, sample_names
from tscl.saving.cells import Cell

SHOWN: tuple[str, ...] = ("accuracy", "precision", "recall", "f1", "auroc", "auprc", "ece")


PROTOCOL_TEXTS: dict[str, str] = {
    "partial": "`partial`: the encoder is frozen; logistic regression on its standardised "
    "embeddings.",
    "knn": "`knn`: the encoder is frozen; a vote of the nearest embeddings.",
    "head": "`head`: the encoder is frozen; a head of two layers is trained.",
    "full": "`full`: encoder and head are trained together on the labels.",
}


def figure_text(row: Mapping[Any, Any]) -> str:
    """``0.812 ± 0.010 [0.75, 0.87]``, leaving out what is not known and a spread of zero."""
    if not np.isfinite(row["mean"]):
        return "n/a"
    text = f"{row['mean']:.3f}"
    if np.isfinite(row["std"]) and row["std"] > 1e-12:
        text += f" ± {row['std']:.3f}"
    if np.isfinite(row["ci_low"]):
        text += f" [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    return text


def compact_table(table: pd.DataFrame, metric: str, level: str) -> pd.DataFrame:
    """One row a method and protocol, one column a label fraction: ``mean ± std [interval]``.

    Args:
        table: from :func:`tscl.evaluation.clinical.table.summarise`.
        metric: metric of the cells.
        level: ``sample``, ``trial`` or ``patient``.
    """
    part = table[(table["metric"] == metric) & (table["level"] == level)]
    several = table["data"].nunique() > 1
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    columns: dict[str, None] = {}
    for line in part.to_dict("records"):
        share = f"{100 * line['fraction']:g} %"
        column = share if line["by"] == "all" else f"{share} of {line['by']}"
        columns.setdefault(column)
        name = (line["method"], line["protocol"], *([line["data"]] if several else []))
        rows.setdefault(name, {})[column] = figure_text(line)
    heads = ("method", "protocol", "data")
    lines = [
        dict(zip(heads, name, strict=False)) | {c: cells.get(c, "-") for c in columns}
        for name, cells in rows.items()
    ]
    return pd.DataFrame(lines)


def difference_table(differences: pd.DataFrame, level: str) -> pd.DataFrame:
    """One row a method and protocol, one column a share of labels and reference.

    Args:
        differences: from :func:`tscl.evaluation.clinical.paired.paired_differences`, of one
            reference or of several one below the other.
        level: ``sample``, ``trial`` or ``patient``.
    """
    part = differences[differences["level"] == level]
    rows: dict[tuple[str, str], dict[str, str]] = {}
    columns: dict[str, None] = {}
    for line in part.to_dict("records"):
        share = f"{100 * line['fraction']:g} %"
        column = f"{share if line['by'] == 'all' else share + ' of ' + line['by']}"
        column += f", to {line['reference']}"
        columns.setdefault(column)
        text = f"{line['difference']:+.3f} [{line['ci_low']:+.2f}, {line['ci_high']:+.2f}]"
        rows.setdefault((line["method"], line["protocol"]), {})[column] = text
    return pd.DataFrame(
        [
            {"method": name[0], "protocol": name[1]} | {c: cells.get(c, "-") for c in columns}
            for name, cells in rows.items()
        ]
    )


def class_table(
    seeds: Sequence[Sequence[Cell]], names: Sequence[str], n_replicates: int
) -> pd.DataFrame:
    """Figures of every class against the rest, by sample: one line a class.

    AUROC and average precision are means over seeds with intervals as in the other tables;
    sensitivity, specificity and positive predictive value are those of the most probable class, or
    of several labels those of a probability of .5.

    Args:
        seeds: all folds of each seed of one row.
        names: of the classes.
        n_replicates: of the bootstrap.
    """
    pooled = [pooled_predictions(cells) for cells in seeds]
    lines = []
    for code, name in enumerate(names):
        line: dict[str, object] = {"class": name}
        both = [seed.against(code) for seed in pooled]
        y, who = both[0].y, both[0].patient
        patients = len(np.unique(who[y == 1]))
        line["samples (patients)"] = f"{int(y.sum())} ({patients})"
        if not 0 < y.sum() < len(y):
            lines.append(line)
            continue
        twos = [seed.proba for seed in both]
        drawn = [bootstrap_replicates(y, two, who, n_replicates=n_replicates) for two in twos]
        for metric, title in (("auroc", "AUROC"), ("auprc", "average precision")):
            exact = [classification_metrics(y, two).as_dict()[metric] for two in twos]
            values = mean_over_drawn_seeds(np.stack([replicates[metric] for replicates in drawn]))
            low, high = percentile_interval(values)
            line[title] = f"{np.mean(exact):.3f} [{low:.2f}, {high:.2f}]"
        several = pooled[0].y.ndim == 2
        said = [two[:, 1] >= 0.5 for two in twos]
        if not several:
            said = [seed.proba.argmax(axis=1) == code for seed in pooled]
        rates = np.mean([[own[y == 1].mean(), (~own)[y == 0].mean()] for own in said], axis=0)
        right = float(np.mean([y[own].mean() if own.any() else np.nan for own in said]))
        line |= {"sensitivity": f"{rates[0]:.3f}", "specificity": f"{rates[1]:.3f}"}
        line["positive predictive value"] = f"{right:.3f}" if np.isfinite(right) else "-"
        lines.append(line)
    return pd.DataFrame(lines).fillna("-")


def write_predictions(
    path: Path,
    cells: Sequence[Cell],
    data: MedicalDataset,
    test: Mapping[int, NDArray[np.int64]],
    classes: Sequence[str],
) -> None:
    """Write a line a test sample of every cell, a cell at a time.

    Columns: record, window (its number in the record), trial, patient; fold, seed, row, protocol,
    share, by; label and ``p_CLASS`` (of several labels ``label: NAME`` each, of a number
    ``predicted``); then what the data's own table says of the sample.

    Args:
        path: CSV to write.
        cells: of :func:`tscl.evaluation.clinical.evaluate.evaluate_cells`.
        data: the samples.
        test: positions of the test part by fold.
        classes: names of the columns of probabilities.
    """
    names = sample_names(data)
    facts = ["fold", "seed", "row", "protocol", "share", "by", "label"]
    taken = [*names.columns, *facts, *(f"p_{name}" for name in classes)]
    further = further_columns(data, taken)
    with atomic_file(path) as work, work.open("w", encoding="utf-8", newline="") as file:
        for number, cell in enumerate(cells):
            rows, key = test[cell.key["fold"]], cell.key
            part = names.iloc[rows].assign(
                fold=key["fold"],
                seed=key["seed"],
                row=key["method"],
                protocol=key["protocol"],
                share=key["fraction"],
                by=key["by"],
                **_prediction_columns(cell, classes),
            )
            part = pd.concat([part, further.iloc[rows]], axis=1)
            part.to_csv(file, index=False, header=number == 0, float_format="%.6g")


def _prediction_columns(cell: Cell, names: Sequence[str]) -> dict[str, Any]:
    """Columns of truth and prediction."""
    y, proba = cell.arrays["y"], cell.arrays["proba"]
    kind = label_kind(y)
    if kind == "target":
        return {"label": y, "predicted": proba[:, 0]}
    if kind == "classes":
        return {"label": np.asarray(names)[y], **probability_columns(proba, names)}
    labels = {f"{LABEL}{name}": column for name, column in zip(names, y.T, strict=True)}
    return {**labels, **probability_columns(proba, names)}


def wide_table(table: pd.DataFrame, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """One row a method, protocol, fraction and level; ``mean ± std [low, high]`` a metric.

    Args:
        table: from :func:`tscl.evaluation.clinical.table.summarise`.
        metrics: columns to show; None: :data:`SHOWN` of classes, every score of other labels.
    """
    if table.empty:
        raise InputError("table", "no rows", "evaluate at least one method")
    keys = [*GROUP, "level"]
    rows = []
    if metrics is None:
        own = list(dict.fromkeys(table["metric"]))
        metrics = SHOWN if "accuracy" in own else own
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
                figure_text(values.loc[metric].to_dict()) if metric in values.index else "-"
            )
        rows.append(row)
    wide = pd.DataFrame(rows)
    return wide.drop(columns="data") if wide["data"].nunique() == 1 else wide


def legend(table: pd.DataFrame) -> str:
    """What the figures of the tables are."""
    seeds, protocols = int(table["n_seeds"].max()), set(table["protocol"])
    text = (
        f"Mean ± standard deviation over {seeds} seed{'s' if seeds != 1 else ''} (left out where "
        "every seed gives the same) [95 % interval of the mean when patients, and the seeds that "
        "draw the labels, are resampled]. By trial and by patient: one vote each, the mean "
        "probability of its samples. Precision, recall and F1 are means over classes. "
        + " ".join(text for name, text in PROTOCOL_TEXTS.items() if name in protocols)
        + " The best epoch and other choices are made on the validation part; where there is "
        "none, the last epoch is taken and folds of the labelled patients choose the penalty."
    )
    metrics = set(table["metric"])
    if "r2" in metrics:
        text += " R2: share of the variance explained, 0 for always saying the mean; MAE: mean "
        text += "absolute error, in the label's unit; rank correlation: Spearman's."
    elif "accuracy" not in metrics:
        text += " AUROC, average precision and F1 (at .5) are means over the labels; samples whose "
        text += "label is unknown are left out of it."
    mixed = int(table["n_mixed"].max())
    if mixed:
        text += f" Up to {mixed} units of several labels have no vote and are left out there."
    skipped = int(table["n_skipped"].max())
    if skipped:
        text += f" Up to {skipped} replicates held one class only and are left out."
    return text
