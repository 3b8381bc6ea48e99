"""What a splitter is given, checked: shares, labels, group ids and listed ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from tscl.errors import InputError, is_number


def check_fractions(fractions: Any) -> dict[str, float]:
    """Part name to share.

    Raises:
        InputError: no mapping, or shares that are not positive numbers with the sum 1.
    """
    remedy = "give positive shares that sum to 1, such as {train: 0.6, valid: 0.2, test: 0.2}"
    if not isinstance(fractions, Mapping) or not fractions:
        raise InputError("fractions", fractions, remedy)
    for share in fractions.values():
        if not is_number(share) or not share > 0:
            raise InputError("fractions", dict(fractions), remedy)
    if not abs(sum(fractions.values()) - 1) <= 1e-3:
        raise InputError("fractions", dict(fractions), remedy)
    return {name: float(share) for name, share in fractions.items()}


def group_codes(table: Any, groups: Any, column: str) -> np.ndarray:
    """Group codes (n,) by first appearance, from the table or from scikit-learn's ``groups``.

    Raises:
        InputError: neither is there, no samples, missing ids, or another number than samples.
    """
    if groups is None:
        if not isinstance(table, pd.DataFrame) or column not in table.columns:
            raise InputError("table", type(table).__name__, f"give a table with column {column!r}")
        ids = table[column].to_numpy()
    else:
        ids = np.asarray(groups)
        if ids.ndim != 1:
            raise InputError("groups", f"shape {ids.shape}", "give (n,) ids, one a sample")
        n = _count(table)
        if n is not None and len(ids) != n:
            raise InputError("groups", f"{len(ids)} ids", f"give one a sample, {n}")
    if not len(ids):
        raise InputError("table", "no rows", "give at least one sample")
    codes = pd.factorize(ids)[0]
    if (codes < 0).any():
        raise InputError(column, f"{int((codes < 0).sum())} missing ids", "name every sample's")
    return codes.astype(np.int64)


def class_codes(table: Any, y: Any, n: int) -> tuple[np.ndarray, Sequence[str]]:
    """Class codes (n,), -1 for unknown, and their names, from the table or scikit-learn's ``y``.

    Classes may be names, numbered in sorted order. Without labels every code is -1.

    Raises:
        InputError: another number than samples, or numbers that are not whole.
    """
    field = "y"
    names = table.attrs.get("label_names", ()) if isinstance(table, pd.DataFrame) else ()
    if y is None:
        if not isinstance(table, pd.DataFrame) or "label" not in table.columns:
            return np.full(n, -1), ()
        field, y = "label", table["label"]
    array = np.asarray(y)
    if array.shape != (n,):
        raise InputError(field, f"shape {array.shape}", f"give {n} classes, one a sample")
    if array.dtype.kind == "O" and all(isinstance(one, Real) for one in array.tolist()):
        array = array.astype(np.float64)
    if array.dtype.kind in "iub":
        return array.astype(np.int64), names
    if array.dtype.kind == "f":
        codes = np.where(np.isnan(array), -1, array)
        if not (np.isfinite(codes) & (codes == np.round(codes))).all():
            found = "numbers that are not whole"
            raise InputError(field, found, "give class codes or names, or stratify=False")
        return codes.astype(np.int64), names
    missing = pd.isna(array)
    texts = np.asarray([str(one) for one in array.tolist()])
    known = sorted(set(texts[~missing].tolist()))
    number = {one: i for i, one in enumerate(known)}
    return np.asarray([number.get(one, -1) for one in np.where(missing, "", texts)]), known


def check_ids(ids: Any) -> dict[str, list[Any]]:
    """Part name to listed ids.

    Raises:
        InputError: no mapping, no parts, or a part that is no list of ids.
    """
    if not isinstance(ids, Mapping) or not ids:
        raise InputError("ids", ids, "map part names to lists of ids")
    made = {}
    for name, listed in ids.items():
        if isinstance(listed, str | bytes | Mapping) or not isinstance(listed, Iterable):
            raise InputError(f"ids[{name!r}]", listed, "give a list of ids")
        values = listed.tolist() if isinstance(listed, np.ndarray) else list(listed)
        if any(isinstance(one, list | dict | set) for one in values):
            raise InputError(f"ids[{name!r}]", listed, "give a flat list of ids")
        if not values:
            raise InputError(f"ids[{name!r}]", "no ids", "give at least one")
        made[str(name)] = values
    return made


def _count(X: Any) -> int | None:
    """Samples of ``X``; None where scikit-learn passes none."""
    if X is None:
        return None
    shape = getattr(X, "shape", None)
    return int(shape[0]) if shape else len(X)
