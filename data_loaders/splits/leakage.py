"""Guards and figures that show which patient stands on which side of a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from data_loaders.container.fields import LABEL, count_labels, known_labels
from data_loaders.container.rows import row_digests, same_recordings
from tscl.errors import InputError, LeakageError

Index = NDArray[np.int64]
PARTS: tuple[str, ...] = ("train", "valid", "test")


class ClinicalData(Protocol):
    """The fields of a clinical data set used here, as ``data_loaders.MedicalDataset`` has them.

    Attributes:
        X: (n, T, C), indexable by an integer array.
        label: (n,) class codes, (n, L) labels of 0, 1 and NaN, or (n,) float numbers.
        patient: (n,) ids.
        trial: (n,) ids.
    """

    X: Any
    label: NDArray[Any]
    patient: NDArray[Any]
    trial: NDArray[Any]


def _members(name: str, part: slice | Iterable[Any]) -> set[Any]:
    if isinstance(part, slice):
        if part.start is None or part.stop is None:
            raise InputError(name, part, "a slice needs a start and a stop")
        return set(range(part.start, part.stop, part.step or 1))
    return set(np.asarray(part).ravel().tolist() if isinstance(part, np.ndarray) else part)


def assert_parts_disjoint(unit: str = "index", **parts: slice | Iterable[Any]) -> None:
    """Raise LeakageError when two parts of a split share a member.

    Args:
        unit: what the members are ("time step", "patient", ...); used in the message.
        parts: named parts, each a slice of positions or an iterable of positions or ids.

    Raises:
        LeakageError: names the two parts, how many members they share, and the first ones.

    Example:
        >>> assert_parts_disjoint("patient", train=[1, 2], test=[3])
    """
    sets = {name: _members(name, part) for name, part in parts.items()}
    for (name_a, a), (name_b, b) in combinations(sets.items(), 2):
        shared = a & b
        if shared:
            first = ", ".join(str(s) for s in sorted(shared, key=str)[:5])
            raise LeakageError(
                f"{name_a}/{name_b}",
                f"{len(shared)} shared {unit} entries ({first})",
                f"every {unit} may stand in one part only",
            )


def assert_disjoint(
    table: pd.DataFrame | ArrayLike, parts: Mapping[str, np.ndarray], column: str = "patient"
) -> None:
    """Raise when two parts share a sample, an id of ``column``, or one recording.

    Args:
        table: the sample table, or the (n,) ids themselves. Patients of a container's table under
            whose names one recording stands may not be parted either.
        parts: part name to positions, or to a boolean mask of the table's length.
        column: ``"patient"``, ``"trial"`` or any other column.

    Raises:
        LeakageError: names the two parts and the ids.
        InputError: the table has no such column, a sample without an id there, or what is no
            position of it.
    """
    if not isinstance(table, pd.DataFrame):
        table = pd.DataFrame({column: np.asarray(table)})
    if column not in table.columns:
        raise InputError("column", column, f"choose among {list(table.columns)}")
    values = table[column].to_numpy()
    rows: dict[str, np.ndarray] = {}
    for name, where in parts.items():
        rows[name] = _positions(name, where, len(table))
        missing = int(pd.isna(values[rows[name]]).sum())
        if missing:
            raise InputError(column, f"{missing} missing ids in {name}", "name every sample's")
    pairs = table.attrs.get("same_recordings", ()) if column == "patient" else ()
    for part, other in combinations(rows, 2):
        shared = np.intersect1d(rows[part], rows[other])
        if len(shared):
            raise LeakageError(
                "sample", _listed(shared), f"{part} and {other} share {len(shared)} samples"
            )
        ids = sorted(set(values[rows[part]].tolist()) & set(values[rows[other]].tolist()), key=str)
        if ids:
            raise LeakageError(
                column,
                _listed(ids),
                f"{part} and {other} share {len(ids)} {column} ids; split by {column}",
            )
        mine, theirs = (set(values[rows[name]].tolist()) for name in (part, other))
        for a, b in pairs:
            if (a in mine and b in theirs) or (b in mine and a in theirs):
                remedy = f"they stand in {part} and {other}: put both on one side, or leave one out"
                raise LeakageError(column, f"one recording under two names, {a} and {b}", remedy)


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
    shown = ", ".join(str(item) for item in list(ids)[:10])
    return shown + (", ..." if len(ids) > 10 else "")


def check_split(data: ClinicalData, split: Mapping[str, ArrayLike]) -> dict[str, Index]:
    """The split as sorted int64 indices, checked against the data.

    Args:
        data: labels, patients and trials of all samples.
        split: ``train``, ``test`` and, where wanted, ``valid``: indices into the data.

    Raises:
        InputError: a part missing, empty, out of range or with repeats; unlabelled samples.
        LeakageError: a patient or trial on two sides, or a recording under two patients' names.
    """
    n = len(data.label)
    for name in split:
        if name not in PARTS:
            raise InputError("split", name, f"name the parts {PARTS}")
    parts: dict[str, Index] = {}
    for name in PARTS:
        if name not in split:
            if name == "valid":
                continue
            raise InputError("split", sorted(split), f"give the part {name!r}")
        index = np.asarray(split[name])
        if index.ndim != 1 or not index.size or index.dtype.kind not in "iu":
            value = f"{index.dtype} {index.shape}"
            raise InputError(f"split[{name!r}]", value, "give at least one integer index")
        if index.min() < 0 or index.max() >= n:
            raise InputError(
                f"split[{name!r}]", f"{index.min()}..{index.max()}", f"stay in 0..{n - 1}"
            )
        if len(np.unique(index)) < len(index):
            raise InputError(f"split[{name!r}]", "repeated indices", "name each sample once")
        if not known_labels(np.asarray(data.label)[index]).all():
            raise InputError(f"split[{name!r}]", "unlabelled samples", "leave them out")
        parts[name] = np.sort(index).astype(np.int64)
    table = table_of(data)
    for level in ("patient", "trial"):
        assert_disjoint(table, parts, level)
    return parts


def leakage_statement(
    data: ClinicalData, split: Mapping[str, ArrayLike], *, max_listed: int = 200
) -> str:
    """Patients, trials, samples and labels of each part, and that no patient is in two.

    Args:
        data: the data set.
        split: see :func:`check_split`.
        max_listed: list the patient ids of a part up to this many.

    Raises:
        LeakageError: a patient or trial on two sides. InputError: see :func:`check_split`.
    """
    parts = check_split(data, split)
    names = list(getattr(data, "label_names", []) or [])
    lines = ["No patient and no trial stands in more than one part of the split."]
    for name, index in parts.items():
        patients = np.unique(np.asarray(data.patient)[index])
        trials = np.unique(np.asarray(data.trial)[index])
        labels = count_labels(np.asarray(data.label)[index], names, mark=": ")
        lines.append(
            f"- {name}: {len(patients)} patients, {len(trials)} trials, {len(index)} samples "
            f"({labels})"
        )
        if len(patients) <= max_listed:
            lines.append(f"  patients: {', '.join(map(str, patients.tolist()))}")
    used = np.concatenate(list(parts.values()))
    ids = np.asarray(data.patient)
    spare = np.setdiff1d(np.flatnonzero(np.isin(ids, ids[used])), used)
    if len(spare):
        listed = ", ".join(map(str, np.unique(ids[spare])[:max_listed].tolist()))
        lines.append(f"- in no part, of patients who are in one: {len(spare)} samples ({listed})")
    for first, other in table_of(data).attrs["same_recordings"]:
        lines.append(f"One recording stands under two patients, {first} and {other}, on one side.")
    return "\n".join(lines)


def table_of(data: ClinicalData) -> pd.DataFrame:
    """Labels, patient and trial of every sample, and which patients share a recording."""
    own = getattr(data, "table", None)
    if isinstance(own, pd.DataFrame) and "same_recordings" in own.attrs:
        return own
    label = np.asarray(data.label)
    names = list(getattr(data, "label_names", ()) or range(label.shape[-1]))
    fields: dict[str, Any] = {"label": label}
    if label.ndim == 2:
        fields = {f"{LABEL}{name}": column for name, column in zip(names, label.T, strict=True)}
    fields |= {name: np.asarray(getattr(data, name)) for name in ("patient", "trial")}
    table = pd.DataFrame(fields)
    pairs = same_recordings(row_digests(data.X), table["patient"].to_numpy(), fields["trial"])
    table.attrs["label_names"] = list(getattr(data, "label_names", ()))
    table.attrs["same_recordings"] = pairs
    return table
