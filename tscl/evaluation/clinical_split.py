"""What stands on each side of a clinical split: checks, labelled fractions, leakage statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tscl.errors import InputError

Index = NDArray[np.int64]
PARTS: tuple[str, ...] = ("train", "valid", "test")


class ClinicalData(Protocol):
    """The fields of a clinical data set used here, as ``data_loaders.MedicalDataset`` has them.

    Attributes:
        X: (n, T, C), indexable by an integer array.
        label: (n,) class codes.
        patient: (n,) ids.
        trial: (n,) ids.
    """

    X: Any
    label: NDArray[Any]
    patient: NDArray[Any]
    trial: NDArray[Any]


def check_split(data: ClinicalData, split: Mapping[str, ArrayLike]) -> dict[str, Index]:
    """The split as sorted int64 indices, checked against the data.

    Args:
        data: labels, patients and trials of all samples.
        split: ``train``, ``test`` and, where wanted, ``valid``: indices into the data.

    Raises:
        InputError: a part missing, empty, out of range or with repeats; unlabelled samples.
        LeakageError: a patient or trial on two sides.
    """
    from data_loaders.leakage import assert_disjoint

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
            found = f"{index.dtype} {index.shape}"
            raise InputError(f"split[{name!r}]", found, "give at least one integer index")
        if index.min() < 0 or index.max() >= n:
            raise InputError(
                f"split[{name!r}]", f"{index.min()}..{index.max()}", f"stay in 0..{n - 1}"
            )
        if len(np.unique(index)) < len(index):
            raise InputError(f"split[{name!r}]", "repeated indices", "name each sample once")
        if (np.asarray(data.label)[index] < 0).any():
            raise InputError(f"split[{name!r}]", "unlabelled samples", "leave them out")
        parts[name] = np.sort(index).astype(np.int64)
    table = _table(data)
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
        codes, counts = np.unique(np.asarray(data.label)[index], return_counts=True)
        labels = ", ".join(
            f"{names[c] if c < len(names) else c}: {k}" for c, k in zip(codes, counts, strict=True)
        )
        lines.append(
            f"- {name}: {len(patients)} patients, {len(trials)} trials, {len(index)} samples "
            f"({labels})"
        )
        if len(patients) <= max_listed:
            lines.append(f"  patients: {', '.join(map(str, patients.tolist()))}")
    return "\n".join(lines)


def label_subset(
    data: ClinicalData, index: Index, fraction: float, *, by: str = "samples", seed: int = 0
) -> Index:
    """The labelled part of the training samples ``index``, sorted; all of it for fraction 1.

    Stratified by class; see :func:`data_loaders.fractions.label_fraction` for ``by``.
    """
    from data_loaders.fractions import label_fraction

    rows = np.sort(np.asarray(index, dtype=np.int64))
    if fraction == 1:
        return rows
    kept: Index = label_fraction(_table(data).iloc[rows], fraction, by=by, seed=seed)
    return rows[kept]


def _table(data: ClinicalData) -> pd.DataFrame:
    """Label, patient and trial of every sample."""
    fields = {name: np.asarray(getattr(data, name)) for name in ("label", "patient", "trial")}
    return pd.DataFrame(fields)
