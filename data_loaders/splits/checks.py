"""What a splitter is given, checked: shares, labels, group ids and listed ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container.fields import LABEL
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

    Patients of a container's table under whose names one recording stands
    (``attrs["same_recordings"]``) are one group.

    Args:
        table: with a column of ids, or samples X when ``groups`` are given.
        groups: (n,) ids, or None.
        column: of the table that holds the ids.

    Raises:
        InputError: neither is there, no samples, missing ids, or another number than samples.
    """
    if groups is None:
        if not isinstance(table, pd.DataFrame) or column not in table.columns:
            remedy = f"give a table with column {column!r}, or groups=, one id a sample"
            raise InputError("table", type(table).__name__, remedy)
        ids = table[column].to_numpy()
    else:
        ids = np.asarray(groups)
        n = len(ids) if table is None else _count(table)
        if ids.ndim != 1:
            raise InputError("groups", f"shape {ids.shape}", "give (n,) ids, one a sample")
        if n is not None and len(ids) != n:
            raise InputError("groups", f"{len(ids)} ids", f"give one a sample, {n}")
    if not len(ids):
        raise InputError("table", "no rows", "give at least one sample")
    codes, known = pd.factorize(ids)
    if (codes < 0).any():
        raise InputError(column, f"{int((codes < 0).sum())} missing ids", "name every sample's")
    if groups is None and column == "patient":
        codes = _joined(codes, known.tolist(), table.attrs.get("same_recordings", ()))
    return codes.astype(np.int64)


def _joined(codes: np.ndarray, known: list[Any], pairs: Iterable[tuple[Any, Any]]) -> np.ndarray:
    """Codes in which both ids of a pair have one code, still numbered by first appearance."""
    place = {patient_id: i for i, patient_id in enumerate(known)}
    merged = codes
    for first, other in pairs:
        if first in place and other in place:
            mine, theirs = merged[codes == place[first]][0], merged[codes == place[other]][0]
            merged = np.where(merged == max(mine, theirs), min(mine, theirs), merged)
    return merged if merged is codes else pd.factorize(merged)[0]


@dataclass(frozen=True)
class Classes:
    """What stratified splits balance: one entry for each class that a sample has.

    Attributes:
        row: (m,) sample of each entry. Of (n,) classes this counts from 0 to n - 1; a sample of
            several labels has as many entries as labels, at least one.
        code: (m,) its class; -1 where nothing is known.
        names: names of the classes.
        strict: whether every part must hold every class (not the bins of a number).
    """

    row: np.ndarray
    code: np.ndarray
    names: Sequence[str] = ()
    strict: bool = True


N_BINS = 5
"""Bins, of equal numbers of samples, by which a number to predict is stratified."""


def classes_of(table: Any, y: Any, n: int) -> Classes:
    """The classes of each sample, from the table or scikit-learn's ``y``.

    Classes may be names, numbered in sorted order. Of several labels (a column each in a
    container's table, or ``y`` of shape (n, L) of 0, 1 and NaN) each 1 is one, and a sample
    without any is of the class "none". A container's number to predict counts by its fifths.
    Without labels every code is -1.

    Args:
        table: of the samples, with a column ``label``; it is not read when ``y`` is given.
        y: (n,) classes or (n, L) labels, or None.
        n: samples.

    Raises:
        InputError: another number than samples, or numbers that are not whole.
    """
    field = "y"
    names: Sequence[str] = ()
    if isinstance(table, pd.DataFrame):
        names = table.attrs.get("label_names", ())
    if y is None:
        field = "label"
        if not isinstance(table, pd.DataFrame):
            return Classes(np.arange(n), np.full(n, -1))
        several = [column for column in table.columns if str(column).startswith(LABEL)]
        if several:
            y = table[several].to_numpy(np.float64)
        elif "label" not in table.columns:
            return Classes(np.arange(n), np.full(n, -1))
        else:
            y = table["label"]
            if "label_names" in table.attrs and y.dtype.kind == "f":
                return _fifths(y.to_numpy())
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] > 1 and len(array) == n and array.dtype.kind in "iubf":
        return _several(array.astype(np.float64), names)
    if array.shape != (n,):
        raise InputError(field, f"shape {array.shape}", f"give {n} classes, one a sample")
    code, names = _single(field, array, names)
    return Classes(np.arange(n), code, names)


def _fifths(values: np.ndarray) -> Classes:
    known = ~np.isnan(values)
    code = np.full(len(values), -1)
    edges = np.nanquantile(values, np.arange(1, N_BINS) / N_BINS) if known.any() else []
    code[known] = np.searchsorted(np.unique(edges), values[known], side="right")
    return Classes(np.arange(len(values)), code, strict=False)


def _several(values: np.ndarray, names: Sequence[str]) -> Classes:
    row, code = np.nonzero(values == 1)
    rest = np.setdiff1d(np.arange(len(values)), row)
    unknown = np.isnan(values[rest]).all(axis=1)
    names = list(names) or [str(i) for i in range(values.shape[1])]
    return Classes(
        np.concatenate([row, rest]),
        np.concatenate([code, np.where(unknown, -1, values.shape[1])]),
        [*names, "none"],
    )


def _single(
    field: str, array: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, Sequence[str]]:
    """Class codes (n,) of codes, whole numbers or names, and the names."""
    if array.dtype.kind == "O" and all(isinstance(value, Real) for value in array.tolist()):
        array = array.astype(np.float64)
    if array.dtype.kind in "iub":
        return array.astype(np.int64), names
    if array.dtype.kind == "f":
        codes = np.where(np.isnan(array), -1, array)
        if not (np.isfinite(codes) & (codes == np.round(codes))).all():
            detail = "numbers that are not whole"
            raise InputError(field, detail, "give class codes or names, or stratify=False")
        return codes.astype(np.int64), names
    missing = pd.isna(array)
    texts = np.asarray([str(value) for value in array.tolist()])
    known = sorted(set(texts[~missing].tolist()))
    number = {name: i for i, name in enumerate(known)}
    return np.asarray([number.get(name, -1) for name in np.where(missing, "", texts)]), known


def check_ids(ids: Any) -> dict[str, list[Any]]:
    """Part name to listed ids.

    Raises:
        InputError: no mapping, no parts, or a part that is no list of ids.
    """
    if not isinstance(ids, Mapping) or not ids:
        raise InputError("ids", ids, "map part names to lists of ids")
    parts = {}
    for name, listed in ids.items():
        if isinstance(listed, str | bytes | Mapping) or not isinstance(listed, Iterable):
            raise InputError(f"ids[{name!r}]", listed, "give a list of ids")
        values = listed.tolist() if isinstance(listed, np.ndarray) else list(listed)
        if any(isinstance(value, list | dict | set) for value in values):
            raise InputError(f"ids[{name!r}]", listed, "give a flat list of ids")
        if not values:
            raise InputError(f"ids[{name!r}]", "no ids", "give at least one")
        parts[str(name)] = values
    return parts


def _count(X: Any) -> int | None:
    """Samples of ``X``; None where scikit-learn passes none."""
    if X is None:
        return None
    shape = getattr(X, "shape", None)
    return int(shape[0]) if shape else len(X)
