"""Splits of a sample table that keep each patient on one side.

Every splitter takes the table of a container (columns ``label``, ``patient``, ``trial``), or
arrays of patients and labels (``groups``, ``y``), and returns positions; none looks at the values.
Patients are taken in the order they first appear, so the ids' spelling does not change a split.
Samples of several labels count, patient by patient, for the rarest of their labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from data_loaders.splits.checks import check_fractions, check_ids, classes_of, group_codes
from data_loaders.splits.leakage import assert_disjoint
from tscl.errors import InputError, LeakageError, is_whole
from tscl.seeding import numpy_generator

Parts = dict[str, np.ndarray]
FRACTIONS = {"train": 0.6, "valid": 0.2, "test": 0.2}


def group_strata(label: np.ndarray, group: np.ndarray) -> np.ndarray:
    """One class for each group: the one of its classes that the fewest groups have.

    Args:
        label: (n,) class codes; -1 (unknown) counts only where a group has nothing else.
        group: (n,) group codes from 0.

    Returns:
        (n_groups,) class codes.
    """
    pairs = np.unique(np.stack([group, label], axis=1), axis=0)
    codes, count = np.unique(pairs[:, 1], return_counts=True)
    rarity = dict(zip(codes.tolist(), count.tolist(), strict=True))
    rarity[-1] = len(label) + 1
    strata = np.full(int(group.max()) + 1, -1)
    for owner, code in sorted(pairs.tolist(), key=lambda pair: -rarity[pair[1]]):
        strata[owner] = code
    return strata


def _allocate(strata: np.ndarray, shares: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Deal groups to parts so that each part gets its share of every stratum.

    A stratum of at least as many groups as parts gives every part one or more.

    Returns:
        (n_groups,) part numbers.
    """
    share = np.asarray(shares, np.float64) / float(np.sum(shares))
    part = np.full(len(strata), -1)
    total = np.zeros(len(share))
    codes, counts = np.unique(strata, return_counts=True)
    for code in codes[np.argsort(counts, kind="stable")]:
        members = rng.permutation(np.flatnonzero(strata == code))
        mine = np.zeros(len(share))
        for turn, member in enumerate(members.tolist()):
            empty = mine == 0
            must = len(members) >= len(share) and empty.any()
            open_parts = np.flatnonzero(empty if must else np.ones(len(share), bool))
            if turn < len(share) and len(members) < len(share):
                open_parts = np.flatnonzero(empty)
            need = share * len(members) - mine
            lack = share * (total.sum() + 1) - total
            best = max(open_parts.tolist(), key=lambda i: (round(float(need[i]), 9), lack[i]))
            part[member] = best
            mine[best] += 1
            total[best] += 1
    return part


def _check_classes(
    label: np.ndarray, group: np.ndarray, parts: int, column: str, names: Sequence[str] = ()
) -> None:
    """Every class must have as many patients as there are parts to stand in.

    Raises:
        InputError: names the class and how many patients it has.
    """
    for code in np.unique(label[label >= 0]).tolist():
        count = len(np.unique(group[label == code]))
        if count < parts:
            noun = "patient" if column == "patient" else f"{column} id"
            called = f" ({names[code]})" if code < len(names) else ""
            raise InputError(
                "label",
                f"class {code}{called} has {count} {noun}{'s' if count != 1 else ''}",
                f"{parts} parts need one each: merge or drop the class, use fewer parts, or pass "
                "allow_missing=True",
            )


@dataclass(frozen=True)
class _Dealing:
    """How groups are dealt to parts; see :func:`group_split`."""

    column: str
    stratify: bool
    allow_missing: bool

    def deal(
        self, table: Any, y: Any, group: np.ndarray, shares: list[float], rng: np.random.Generator
    ) -> np.ndarray:
        """Part number of each group; every class in every part unless that is waived.

        Labels are read, from the table or scikit-learn's ``y``, only where they count. With
        patients of several classes one draw may leave a class out of a part, so it is drawn
        again, up to 50 times.
        """
        n_groups = int(group.max()) + 1
        if n_groups < len(shares):
            raise InputError(self.column, f"{n_groups} ids", f"{len(shares)} parts need one each")
        if not self.stratify:
            return _allocate(np.zeros(n_groups, np.int64), shares, rng)
        classes = classes_of(table, y, len(group))
        label, owner = classes.code, group[classes.row]
        strata = group_strata(label, owner)
        if self.allow_missing or not classes.strict:
            return _allocate(strata, shares, rng)
        _check_classes(label, owner, len(shares), self.column, classes.names)
        known = label >= 0
        n_classes = len(np.unique(label[known]))
        for _ in range(50):
            part = _allocate(strata, shares, rng)
            held = np.unique(np.stack([part[owner[known]], label[known]]), axis=1)
            if held.shape[1] == n_classes * len(shares):
                return part
        raise InputError(
            "label",
            "classes that share their patients",
            "no draw puts every class in every part: use fewer parts, or allow_missing=True",
        )


def fixed_split(
    table: pd.DataFrame | None,
    ids: Mapping[str, Sequence[Any]],
    *,
    groups: ArrayLike | None = None,
    column: str = "patient",
) -> Parts:
    """Parts by listed ids; samples of ids in no list are left out.

    Args:
        table: the sample table; None with ``groups``.
        ids: part name to ids, such as ``{"train": [...], "valid": [17, 18], "test": [19, 20]}``.
        groups: (n,) id of each sample, in place of the table's column.
        column: column the ids stand in, such as an official fold.

    Raises:
        LeakageError: an id in two parts, or a patient on two sides.
        InputError: an id that does not occur, or an empty part.
    """
    if groups is not None:
        table = pd.DataFrame({column: np.asarray(groups)})
    if table is None or column not in table.columns:
        known_columns = "none" if table is None else list(table.columns)
        raise InputError("column", column, f"choose among {known_columns}, or give groups=")
    values = table[column].to_numpy()
    known = set(values.tolist())
    parts = {}
    owner: dict[Any, Any] = {}
    for name, listed in check_ids(ids).items():
        twice = [patient_id for patient_id in listed if owner.setdefault(patient_id, name) != name]
        if twice:
            raise LeakageError(column, twice, f"listed for {owner[twice[0]]} and for {name}")
        unknown = [patient_id for patient_id in listed if patient_id not in known]
        if unknown:
            raise InputError(f"ids[{name!r}]", unknown, f"these do not occur in {column!r}")
        wanted = set(listed)
        parts[name] = np.flatnonzero([patient_id in wanted for patient_id in values.tolist()])
    assert_disjoint(table, parts, column)
    if "patient" in table.columns:
        assert_disjoint(table, parts, "patient")
    return parts


def group_split(
    table: pd.DataFrame | None = None,
    fractions: Mapping[str, float] | None = None,
    *,
    groups: ArrayLike | None = None,
    y: ArrayLike | None = None,
    column: str = "patient",
    stratify: bool = True,
    allow_missing: bool = False,
    seed: int = 0,
) -> Parts:
    """Parts by fractions of the patients, each class in its share in every part.

    Args:
        table: the sample table; or leave it out and give ``groups``.
        fractions: part name to share; default .6 train, .2 valid, .2 test.
        groups: (n,) patient of each sample, in place of the table's column.
        y: (n,) classes or (n, L) labels of 0, 1 and NaN, in place of the table's.
        column: what stays together.
        stratify: deal each class's patients by the fractions. A patient of several classes
            counts for the one that the fewest patients have.
        allow_missing: let a class of too few patients be missing from some part.
        seed: of the dealing.

    Raises:
        InputError: a class of fewer patients than parts, shares that are not positive, or fewer
            patients than parts.

    Example:
        >>> parts = group_split(groups=[1, 1, 2, 3, 4, 5, 6], y=[0, 0, 1, 0, 1, 0, 1])
        >>> sorted(len(part) for part in parts.values())
        [2, 2, 3]
    """
    shares = check_fractions(FRACTIONS if fractions is None else fractions)
    group = group_codes(table, groups, column)
    rng = numpy_generator(seed, "split")
    settings = _Dealing(column, stratify, allow_missing)
    part = settings.deal(table, y, group, list(shares.values()), rng)
    return {name: np.flatnonzero(part[group] == i) for i, name in enumerate(shares)}


class _TakesGroups:
    def get_metadata_routing(self) -> Any:
        """For scikit-learn: ``split`` takes ``groups``."""
        from sklearn.utils.metadata_routing import MetadataRequest

        request = MetadataRequest(owner=self)
        request.split.add_request(param="groups", alias=True)
        return request


class GroupKFold(_TakesGroups):
    """k folds of patients, each class in its share in every fold; a scikit-learn splitter.

    Args:
        n_splits: number of folds, 2 or more.
        column: what stays together.
        stratify: see :func:`group_split`.
        allow_missing: let a class of fewer patients than folds be missing from some fold.
        seed: of the dealing.

    With scikit-learn's own tools pass ``y`` and ``groups`` (by metadata routing too); otherwise
    pass the sample table. ``sklearn.model_selection.GroupKFold`` and ``StratifiedGroupKFold`` with
    ``groups=data.patient`` keep patients on one side as well.
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        column: str = "patient",
        stratify: bool = True,
        allow_missing: bool = False,
        seed: int = 0,
    ) -> None:
        whole = is_whole(n_splits)
        if not whole or n_splits < 2:
            raise InputError("n_splits", n_splits, "give 2 or more" if whole else "give a number")
        self.n_splits = n_splits
        self.column = column
        self.stratify = stratify
        self.allow_missing = allow_missing
        self.seed = seed

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of folds."""
        return self.n_splits

    def folds(self, table: Any, y: Any = None, groups: Any = None) -> list[np.ndarray]:
        """Positions of each fold's samples."""
        group = group_codes(table, groups, self.column)
        rng = numpy_generator(self.seed, "folds")
        settings = _Dealing(self.column, self.stratify, self.allow_missing)
        part = settings.deal(table, y, group, [1.0] * self.n_splits, rng)
        return [np.flatnonzero(part[group] == i) for i in range(self.n_splits)]

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (train, test) positions, one pair a fold."""
        folds = self.folds(X, y, groups)
        for i, test in enumerate(folds):
            yield np.sort(np.concatenate(folds[:i] + folds[i + 1 :])), test

    def parts(self, table: pd.DataFrame, *, valid: bool = True) -> Iterator[Parts]:
        """Yield train, valid and test parts: the fold after the test fold is for validation.

        Args:
            table: the sample table.
            valid: False leaves the validation part out; its patients train.

        Raises:
            InputError: fewer than three folds for three parts.
        """
        if not valid:
            yield from ({"train": rest, "test": test} for rest, test in self.split(table))
            return
        if self.n_splits < 3:
            raise InputError("n_splits", self.n_splits, "train, valid and test need 3 or more")
        folds = self.folds(table)
        for i, test in enumerate(folds):
            j = (i + 1) % len(folds)
            rest = [fold for k, fold in enumerate(folds) if k not in (i, j)]
            yield {"train": np.sort(np.concatenate(rest)), "valid": folds[j], "test": test}


class LeaveOnePatientOut(_TakesGroups):
    """Each patient is the test set once, in the order of appearance; a scikit-learn splitter."""

    def __init__(self, *, column: str = "patient") -> None:
        self.column = column

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of patients."""
        return int(group_codes(X, groups, self.column).max()) + 1

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (train, test) positions.

        Raises:
            InputError: there is one patient only.
        """
        group = group_codes(X, groups, self.column)
        if not group.max():
            raise InputError(self.column, "one id", "leaving it out leaves nothing to train on")
        for fold in range(int(group.max()) + 1):
            yield np.flatnonzero(group != fold), np.flatnonzero(group == fold)

    def parts(
        self, table: pd.DataFrame, *, valid: float = 0.2, seed: int = 0, **dealing: Any
    ) -> Iterator[Parts]:
        """Yield train, valid and test parts, one patient tested at a time.

        Args:
            table: the sample table.
            valid: share of the other patients that validate; 0 leaves the part out.
            seed: of their choice, drawn anew for each patient.
            **dealing: ``stratify`` and ``allow_missing`` of :func:`group_split`.

        Raises:
            InputError: there is one patient only, a share outside [0, 1), or a class of too few
                other patients.
        """
        if not 0 <= valid < 1:
            raise InputError("valid", valid, "give a share from 0 up to, not including, 1")
        for number, (rest, test) in enumerate(self.split(table)):
            parts = {"train": rest}
            if valid:
                own = int(numpy_generator(seed, "leave one out", number).integers(2**31))
                shares = {"train": 1 - valid, "valid": valid}
                dealt = group_split(
                    table.iloc[rest], shares, column=self.column, seed=own, **dealing
                )
                parts = {name: rest[where] for name, where in dealt.items()}
            yield {**parts, "test": test}
