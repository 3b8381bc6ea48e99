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
        parts: part name to positions, or to a boolean mask of the table's length.
        column: ``"patient"``, ``"trial"`` or any other column.

    Raises:
        LeakageError: names the two parts and the ids.
        InputError: the table has no such column, a sample without an id there, or what is no
            position of it.
    """
    if column not in table.columns:
        raise InputError("column", column, f"choose among {list(table.columns)}")
    values = table[column].to_numpy()
    rows: dict[str, np.ndarray] = {}
    for name, where in parts.items():
        rows[name] = _positions(name, where, len(table))
        missing = int(pd.isna(values[rows[name]]).sum())
        if missing:
            raise InputError(column, f"{missing} missing ids in {name}", "name every sample's")
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


def _positions(name: str, where: Any, n: int) -> np.ndarray:
    """Positions (k,) int64 in a table of ``n`` rows, from positions or a mask."""
    array, field = np.asarray(where), f"parts[{name!r}]"
    if array.ndim != 1:
        raise InputError(field, f"shape {array.shape}", "give (k,) positions")
    if array.dtype == bool:
        if len(array) != n:
            raise InputError(field, f"mask of {len(array)} values", f"give one a sample, {n}")
        return np.flatnonzero(array)
    if not len(array):
        return np.zeros(0, np.int64)
    whole = array.dtype.kind in "iu" or (
        array.dtype.kind == "f" and bool((np.isfinite(array) & (array == np.round(array))).all())
    )
    if not whole:
        raise InputError(field, f"dtype {array.dtype}", "give whole positions or a boolean mask")
    if array.min() < 0 or array.max() >= n:
        raise InputError(field, "a position outside the table", "split it again")
    return array.astype(np.int64)


def _listed(ids: list[Any] | np.ndarray) -> str:
    shown = ", ".join(str(one) for one in list(ids)[:10])
    return shown + (", ..." if len(ids) > 10 else "")


def describe_parts(
    table: pd.DataFrame, parts: Mapping[str, np.ndarray], label_names: tuple[str, ...] = ()
) -> pd.DataFrame:
    """One row a part: patients, trials, samples, and samples and patients of each class.

    A class whose name is already a column, such as ``patients``, stands as ``class patients``.
    """
    taken = {"part", "patients", "trials", "samples"}
    classes: dict[int, str] = {}
    for code in np.unique(table["label"]).tolist():
        called = label_names[code] if 0 <= code < len(label_names) else str(code)
        called = "unlabelled" if code < 0 else called
        while taken & {called, f"{called} patients"}:
            called = f"class {called}"
        taken |= {called, f"{called} patients"}
        classes[code] = called
    rows = []
    for name, where in parts.items():
        part = table.iloc[_positions(name, where, len(table))]
        row: dict[str, object] = {
            "part": name,
            "patients": part["patient"].nunique(),
            "trials": part["trial"].nunique(),
            "samples": len(part),
        }
        for code, called in classes.items():
            mine = part[part["label"] == code]
            row[called] = len(mine)
            row[f"{called} patients"] = mine["patient"].nunique()
        rows.append(row)
    return pd.DataFrame(rows).set_index("part")
