"""Guards and figures that show which patient stands on which side of a split."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from tscl.errors import InputError, LeakageError


def assert_disjoint(
    table: pd.DataFrame, parts: Mapping[str, np.ndarray], column: str = "patient"
) -> None:
    """Raise when two parts share a sample or an id of ``column``.

    Args:
        table: the sample table.
        parts: part name to positions.
        column: ``"patient"``, ``"trial"`` or any other column.

    Raises:
        LeakageError: names the two parts and the ids.
        InputError: the table has no such column, or a position lies outside it.
    """
    if column not in table.columns:
        raise InputError("column", column, f"choose among {list(table.columns)}")
    values = table[column].to_numpy()
    rows: dict[str, np.ndarray] = {}
    for name, where in parts.items():
        rows[name] = np.asarray(where, np.int64)
        if len(rows[name]) and (rows[name].min() < 0 or rows[name].max() >= len(table)):
            raise InputError(f"parts[{name!r}]", "a position outside the table", "split it again")
    for one, other in combinations(rows, 2):
        shared = np.intersect1d(rows[one], rows[other])
        if len(shared):
            raise LeakageError(
                "sample", _listed(shared), f"{one} and {other} share {len(shared)} samples"
            )
        ids = sorted(set(values[rows[one]].tolist()) & set(values[rows[other]].tolist()), key=str)
        if ids:
            raise LeakageError(
                column,
                _listed(ids),
                f"{one} and {other} share {len(ids)} {column} ids; split by {column}",
            )


def _listed(ids: list[Any] | np.ndarray) -> str:
    shown = ", ".join(str(one) for one in list(ids)[:10])
    return shown + (", ..." if len(ids) > 10 else "")


def describe_parts(
    table: pd.DataFrame, parts: Mapping[str, np.ndarray], label_names: tuple[str, ...] = ()
) -> pd.DataFrame:
    """One row a part: patients, trials, samples, and samples and patients of each class."""
    rows = []
    for name, where in parts.items():
        part = table.iloc[np.asarray(where)]
        row: dict[str, object] = {
            "part": name,
            "patients": part["patient"].nunique(),
            "trials": part["trial"].nunique(),
            "samples": len(part),
        }
        for code in np.unique(table["label"]).tolist():
            called = label_names[code] if 0 <= code < len(label_names) else str(code)
            called = "unlabelled" if code < 0 else called
            mine = part[part["label"] == code]
            row[called] = len(mine)
            row[f"{called} patients"] = mine["patient"].nunique()
        rows.append(row)
    return pd.DataFrame(rows).set_index("part")
