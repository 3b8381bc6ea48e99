"""Tables of a clinical evaluation: compact ones for reading, and one with every metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tscl.errors import InputError
from tscl.evaluation.clinical.table import GROUP

SHOWN: tuple[str, ...] = ("accuracy", "precision", "recall", "f1", "auroc", "auprc", "ece")


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


def wide_table(table: pd.DataFrame, metrics: Sequence[str] = SHOWN) -> pd.DataFrame:
    """One row a method, protocol, fraction and level; ``mean ± std [low, high]`` a metric.

    Args:
        table: from :func:`tscl.evaluation.clinical.table.summarise`.
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
                figure_text(values.loc[metric].to_dict()) if metric in values.index else "-"
            )
        rows.append(row)
    wide = pd.DataFrame(rows)
    return wide.drop(columns="data") if wide["data"].nunique() == 1 else wide


def legend(table: pd.DataFrame) -> str:
    """What the figures of the tables are."""
    seeds = int(table["n_seeds"].max())
    text = (
        f"Mean ± standard deviation over {seeds} seed{'s' if seeds != 1 else ''} (left out where "
        "every seed gives the same) [95 % interval of the mean when patients are resampled]. By "
        "trial and by patient: one vote each, the mean probability of its samples. Precision, "
        "recall and F1 are means over classes. The best epoch and other choices are made on the "
        "validation part; where there is none, the last epoch is taken and folds of the labelled "
        "patients choose the penalty."
    )
    mixed = int(table["n_mixed"].max())
    if mixed:
        text += f" Up to {mixed} units of several labels have no vote and are left out there."
    skipped = int(table["n_skipped"].max())
    if skipped:
        text += f" Up to {skipped} replicates held one class only and are left out."
    return text
