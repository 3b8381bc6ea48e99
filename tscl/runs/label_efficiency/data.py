"""Whole recordings by configuration, and their folds: duplicates and patients on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.fields import LABEL, known_labels, label_kind
from data_loaders.container.recordings import Recordings
from data_loaders.container.relabel import labels_from
from data_loaders.container.standardize import ChannelStats
from data_loaders.splits.checks import classes_of
from data_loaders.splits.leakage import assert_disjoint
from data_loaders.splits.patients import GroupKFold
from tscl.errors import ConfigError, LeakageError, check_choice
from tscl.runs.config import under
from tscl.runs.label_efficiency.config import FoldSection, RecordingData, TaskSection
from tscl.runs.loaders import check_params, find_loader

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """Rows of the recordings: ``train`` (unlabelled ones too) and ``test`` (labelled)."""

    number: int
    train: Index
    test: Index


@dataclass(frozen=True)
class Task:
    """What is to be told of recordings.

    Attributes:
        name, title: in files and in the report.
        classes: names by code, of the labels, or of the number.
        label: (n,) codes of all recordings, -1 for those that are of none of the classes; (n, L)
            labels of 0, 1 and NaN; or (n,) numbers, NaN where unknown.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    label: NDArray[Any]

    @property
    def kind(self) -> str:
        """``classes``, ``multilabel`` or ``target``."""
        return label_kind(self.label)

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table of the recordings with these labels, as splitters read them."""
        own = table.drop(columns="label", errors="ignore")
        columns = {"label": self.label}
        if self.kind == "multilabel":
            columns = {f"{LABEL}{k}": self.label[:, i] for i, k in enumerate(self.classes)}
        own = own.assign(**columns)
        own.attrs["label_names"] = list(self.classes)
        return own


def load_recordings(section: RecordingData, folder: Path) -> Recordings:
    """The recordings of a configuration; a cohort to be made is written to ``folder/cohort``.

    Raises:
        ConfigError: no root, or parameters that the loader does not have.
        DataError: what the loader raises.
    """
    root = section.root
    loader = find_loader(section.kind, whole=True)
    if root is None and section.kind == "rhythm_cohort":
        from data_loaders.cohort.rhythm import make_rhythm_cohort

        root = str(folder / "cohort")
        check_params("data.make", make_rhythm_cohort, section.make)
        if not Path(root).is_dir():
            make_rhythm_cohort(root, **section.make)
    if root is None:
        raise ConfigError("data.root", None, f"give the folder of the {section.kind} files")
    check_params("data.params", loader, section.params)
    data = loader(root, **section.params)
    if isinstance(data, MedicalDataset):
        data = Recordings.from_dataset(data)
    if section.unlabelled == "leave_out":
        data = data.subset(data.label >= 0)
    how, stats = scaling(section, data.n_channels)
    return data if how == "none" else data.standardize(stats or how)


def scaling(section: RecordingData, channels: int) -> tuple[str, ChannelStats | None]:
    """How recordings are scaled before they are split, as cards say it, and by which fixed figures.

    Raises:
        ConfigError: a number to divide by that is not positive.
    """
    by = section.standardize
    if by == "train":
        return "none", None
    if isinstance(by, bool):
        return "recording" if by else "none", None
    if by <= 0:
        raise ConfigError("data.standardize", by, "divide by a positive number")
    return "train", ChannelStats(np.zeros(channels), np.full(channels, by), 0)


def digests(data: Recordings) -> list[str]:
    """SHA-256 of the stored values of each recording; copies have the same."""
    result = []
    for start, steps in zip(data.starts.tolist(), data.lengths.tolist(), strict=True):
        values = np.ascontiguousarray(data.values[start : start + steps])
        result.append(hashlib.sha256(values.tobytes()).hexdigest())
    return result


def group_copies(data: Recordings, sums: list[str]) -> Index:
    """(n,) codes of what a split keeps together: patients, joined where they share a recording."""
    group = data.patient_codes.copy()
    first: dict[str, int] = {}
    for row, digest in enumerate(sums):
        other = first.setdefault(digest, row)
        if group[other] != group[row]:
            group[group == group[row]] = group[other]
    codes: Index = np.unique(group, return_inverse=True)[1].astype(np.int64)
    return codes


def make_tasks(data: Recordings, sections: dict[str, TaskSection]) -> list[Task]:
    """The tasks over the recordings' labels, or those of a column.

    Raises:
        ConfigError: a class or column that the data do not have, or values that do not fit.
    """
    tasks = []
    for name, section in sections.items():
        key, title = f"tasks.{name}", section.title or name.replace("_", " ")
        label, names = data.label, tuple(data.label_names)
        if section.label is not None:
            label, names = under(key, labels_from, data.table, section.label, section.label_kind)
        elif section.label_kind is not None:
            raise ConfigError(f"{key}.label_kind", section.label_kind, f"name {key}.label")
        kind = label_kind(label)
        if kind != "classes":
            if section.classes is not None:
                raise ConfigError(f"{key}.classes", section.classes, f"the labels are {kind}")
            tasks.append(Task(name, title, names or ("value",), label))
            continue
        classes = tuple(section.classes or names)
        for chosen in classes:
            check_choice(f"{key}.classes", chosen, names, error=ConfigError)
        if len(classes) < 2:
            raise ConfigError(f"{key}.classes", classes, "the data have fewer than two")
        codes = np.full(len(names) + 1, -1)  # the last entry is of label -1
        codes[[names.index(chosen) for chosen in classes]] = np.arange(len(classes))
        tasks.append(Task(name, title, classes, codes[label]))
    return tasks


def make_folds(
    data: Recordings,
    group: Index,
    section: FoldSection,
    seed: int,
    tasks: Sequence[Task] = (),
) -> list[Fold]:
    """Folds of the labelled recordings; groups without any label train in all of them.

    They are dealt by the recordings' own classes, or by the labels of the first task where that
    takes them from a column.

    Args:
        data: all recordings.
        group: (n,) codes of what a split keeps together: patients, and recordings that are copies.
        section: of the configuration.
        seed: of the split.
        tasks: what is told of the recordings.

    Raises:
        ConfigError: no such column, value or fold, or fewer patients of a class than folds.
        LeakageError: a column that puts one patient, or copies of a recording, on two sides.
    """
    table = data.table.assign(group=group)
    known = data.label >= 0
    if tasks and not known.any():
        table = tasks[0].table(table)
    known = np.any([known, *(known_labels(task.label) for task in tasks)], axis=0)
    if section.column is None:
        has_label = np.isin(group, np.unique(group[known]))
        rows = np.flatnonzero(has_label)
        classes = classes_of(table.iloc[rows], None, len(rows))
        own, code = group[rows[classes.row]], classes.code
        fewest = min(len(np.unique(own[code == k])) for k in np.unique(code[code >= 0]))
        if fewest < section.n_splits:
            remedy = f"a class has {fewest} patients: use that many folds or fewer, 2 at least"
            if data.log is not None and data.log.skipped:
                first = data.log.skipped[0]
                remedy += f"; {data.log.summary()}; first: {first.record}: {first.detail}"
            raise ConfigError("split.n_splits", section.n_splits, remedy)
        splitter = GroupKFold(section.n_splits, column="group", seed=seed)
        folds = [
            Fold(number, np.sort(np.r_[np.flatnonzero(~has_label), rows[rest]]), rows[test])
            for number, (rest, test) in enumerate(splitter.split(table.iloc[rows]))
        ]
    else:
        folds = [_by_column(table, section)]
    folds = [Fold(f.number, f.train, f.test[known[f.test]]) for f in folds]
    for fold in folds:
        assert_disjoint(table, {"train": fold.train, "test": fold.test}, "group")
        assert_disjoint(table, {"train": fold.train, "test": fold.test}, "patient")
    if section.folds is not None:
        for number in section.folds:
            if not 0 <= number < len(folds):
                raise ConfigError("split.folds", number, f"there are folds 0 to {len(folds) - 1}")
        folds = [fold for fold in folds if fold.number in section.folds]
    return folds


def _by_column(table: pd.DataFrame, section: FoldSection) -> Fold:
    """The one fold that a column of the recordings names."""
    column = str(section.column)
    check_choice("split.column", column, table.columns, error=ConfigError)
    values = table[column].to_numpy()
    tested = np.isin(values, section.test or [])
    trained = ~tested if section.train is None else np.isin(values, section.train)
    for side, rows in (("test", tested), ("train", trained)):
        if not rows.any():
            known = sorted({str(value) for value in values})[:20]
            raise ConfigError(f"split.{side}", getattr(section, side), f"values are {known}")
    if (tested & trained).any():
        raise LeakageError("split", "a value in train and test", "name each on one side")
    return Fold(0, np.flatnonzero(trained), np.flatnonzero(tested))


def draw_labels(task: Task, rows: Index, group: Index, share: float, seed: int) -> Index:
    """Rows whose labels are used: a share of those of each class, at least one; of several labels
    the combinations get their shares, of numbers their fifths.

    For one seed a smaller share is part of a larger one.

    Args:
        task: with the labels.
        rows: of the recordings to draw from; those without a label are left out.
        group: (n,) codes of the patients.
        share: in (0, 1].
        seed: of the draw.
    """
    from data_loaders.splits.label_fraction import label_fraction

    labelled: Index = rows[known_labels(task.label[rows])]
    if share == 1:
        return labelled
    table = task.table(pd.DataFrame({"patient": group})).iloc[labelled]
    chosen: Index = labelled[label_fraction(table, share, seed=seed)]
    return chosen
