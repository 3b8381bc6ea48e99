"""Labels from the columns of a table: classes, several labels a sample, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container.fields import as_labels
from tscl.errors import InputError, nearest

SIGNS = r"[;|]"
"""What stands between several labels in one text, such as ``NORM;MI``."""
NONE = "none"


def labels_from(
    table: pd.DataFrame, columns: str | Sequence[str], kind: str | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of every row, and the names of classes or labels.

    A list of columns is a label each, of 0, 1 and nothing where unknown. One column of numbers is
    a number to predict; of texts, classes, or several labels where ``;`` or ``|`` stands between
    them (``none`` alone: of no label). An empty text is unknown.

    Args:
        table: columns of equal length.
        columns: one name, or one for each label.
        kind: ``classes``, ``multilabel`` or ``target``; None tells it by the values.

    Returns:
        See :func:`data_loaders.container.fields.as_labels`.

    Raises:
        InputError: no such column, or values that are not of the kind.
    """
    listed = [columns] if isinstance(columns, str) else list(columns)
    for name in listed:
        if name not in table.columns:
            raise InputError(
                "label", name, nearest(name, [str(column) for column in table.columns])
            )
    if not isinstance(columns, str):
        if kind not in (None, "multilabel"):
            raise InputError("label_kind", kind, "several columns are labels: leave it out")
        frame = pd.DataFrame({name: _numbers(table, name) for name in listed})
        return as_labels(frame, None, len(table), "multilabel")
    values = table[columns]
    texts = values.astype(object).where(values.notna(), "").map(_text)
    if kind is None:
        plain = values.dtype.kind in "iufb"
        several = texts.str.contains(SIGNS).any()
        kind = "target" if plain else "multilabel" if several else "classes"
    if kind == "target":
        return as_labels(_numbers(table, columns), [columns], len(table), kind)
    if kind == "multilabel":
        return as_labels(_split(texts), None, len(table), kind)
    return as_labels(texts.tolist(), None, len(table), kind)


def _text(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()


def _numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    """A column as numbers, NaN where nothing stands."""
    values = table[name]
    empty = values.isna() | (values.astype(str).str.strip() == "")
    numbers = pd.to_numeric(values.where(~empty, np.nan), errors="coerce")
    wrong = values[numbers.isna() & ~empty]
    if len(wrong):
        raise InputError(f"label {name}", wrong.iloc[0], "give numbers, or nothing where unknown")
    return numbers.to_numpy(np.float64)


def _split(texts: pd.Series[str]) -> pd.DataFrame:
    """A column of 0, 1 and NaN for each label named in the texts."""
    sets = [{part.strip() for part in text} - {""} for text in texts.str.split(SIGNS, regex=True)]
    names = sorted(set().union(*sets) - {NONE})
    if not names:
        raise InputError("label", "no label in any row", "name them, such as NORM;MI")
    rows = [[float(name in own) if own else np.nan for name in names] for own in sets]
    return pd.DataFrame(rows, columns=names)
