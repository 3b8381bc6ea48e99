"""Clinical files by configuration: loaded, split by patient, standardised without a look ahead."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_loaders import ChannelStats, MedicalDataset
from data_loaders.cohort.cohort import CohortConfig, make_cohort, read_truth
from data_loaders.container.fields import known_labels
from data_loaders.splits.leakage import check_split
from tscl.errors import ConfigError, DataError, TSCLError
from tscl.runs.clinical.config import ClinicalDataSection
from tscl.runs.clinical.splits import Parts, SplitSection
from tscl.runs.config import under
from tscl.runs.loaders import check_params, find_loader, loader_keys

MARKS = {
    "cohort.json": "cohort",
    "dataset.json": "saved",
    "ptbxl_database.csv": "ptbxl",
    "Label/label.npy": "processed",
}
"""Files that tell what a folder holds."""
SALT = "TSCL_ID_SALT"
"""Environment variable with the secret that patient ids are hashed with."""


@dataclass(frozen=True)
class Fold:
    """One split of the patients.

    Attributes:
        number: name of the split among several.
        parts: ``train``, ``test`` and, where there is one, ``valid`` positions.
        unlabelled: positions of samples without a label that join pretraining; of no patient that
            validates or is tested.
    """

    number: int
    parts: Parts
    unlabelled: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def pretrain(self) -> NDArray[np.int64]:
        """Positions of all samples that pretraining without labels sees."""
        if not len(self.unlabelled):
            return self.parts["train"]
        return np.sort(np.concatenate([self.parts["train"], self.unlabelled]))


def load_patients(section: ClinicalDataSection, folder: Path) -> MedicalDataset:
    """The data set of a configuration; a cohort to be made is written to ``folder/cohort``.

    Raises:
        ConfigError: no root, or parameters the loader does not have.
        DataError: what the loader raises.
    """
    root = section.root
    if root is None:
        if section.kind != "cohort":
            raise ConfigError("data.root", None, f"give the folder of the {section.kind} files")
        root = str(_made_cohort(section.make, folder / "cohort"))
    elif section.make:
        raise ConfigError("data.make", section.make, "leave data.root out to make a cohort")
    loader = find_loader(section.kind)
    params = dict(section.params)
    if "strict" in loader_keys(loader):
        params.setdefault("strict", section.strict)
    check_params("data.params", loader, params)
    try:
        data = loader(root, **params)
    except (TypeError, AttributeError) as error:
        if isinstance(error, TSCLError):
            raise
        raise ConfigError(
            "data.params", section.params, f"a value of the wrong kind: {error}"
        ) from error
    if not isinstance(data, MedicalDataset):
        remedy = "they are whole recordings: take them to a job label_efficiency"
        raise ConfigError("data.kind", section.kind, remedy)
    return relabelled(data, section)


def relabelled(data: MedicalDataset, section: ClinicalDataSection) -> MedicalDataset:
    """The data with the labels that the configuration names."""
    if section.label is None:
        return data
    result: MedicalDataset = under("data", data.with_label, section.label, section.label_kind)
    return result


def detect_kind(folder: Path) -> str | None:
    """The kind of data that a folder's own files tell of; None when they do not."""
    for mark, kind in MARKS.items():
        if (folder / mark).exists():
            return kind
    return None


def hashed_ids(data: MedicalDataset, keep_columns: Sequence[str] = ()) -> MedicalDataset:
    """The data with ids keyed by the environment variable :data:`SALT`.

    Raises:
        ConfigError: the variable is not set, or its value is shorter than 8 characters.
    """
    salt = os.environ.get(SALT, "")
    if len(salt) < 8:
        remedy = f"set the environment variable {SALT} to a secret of 8 or more characters"
        raise ConfigError(SALT, f"{len(salt)} characters", remedy)
    return data.hash_patients(salt, keep_columns=("strat_fold", "split", *keep_columns))


def _made_cohort(settings: dict[str, Any], target: Path) -> Path:
    """A cohort of these settings in ``target``, made unless it is there."""
    wanted = CohortConfig.from_dict(settings)
    try:
        if read_truth(target)["config"] == wanted:
            return target
    except DataError:
        pass
    return make_cohort(target, wanted, overwrite=True)


def make_folds(
    data: MedicalDataset, section: SplitSection, seed: int, *, unlabelled: str = "pretrain"
) -> list[Fold]:
    """The splits of a configuration, each checked to hold no patient or trial twice.

    Args:
        data: all samples.
        section: how to split those with a label.
        seed: of the dealing, unless the section has its own.
        unlabelled: ``pretrain`` or ``leave_out``: what becomes of samples without a label.

    Raises:
        ConfigError: parameters that do not fit the data.
        InputError: a class of too few patients, an empty part.
        LeakageError: a patient or trial on two sides.
    """
    known = np.flatnonzero(known_labels(data.label))
    labelled = data if len(known) == len(data) else data.subset(known, lazy=True)
    own = seed if section.seed is None else section.seed
    folds = []
    for number, dealt in enumerate(section.parts(labelled, own)):
        parts = check_split(data, {name: known[rows] for name, rows in dealt.items()})
        extra = np.empty(0, np.int64)
        if unlabelled == "pretrain" and len(known) < len(data):
            extra = unlabelled_for_training(data, parts)
        folds.append(Fold(number, parts, extra))
    if section.folds is None:
        return folds
    for number in section.folds:
        if not 0 <= number < len(folds):
            raise ConfigError("split.folds", number, f"choose among 0..{len(folds) - 1}")
    return [folds[number] for number in sorted(set(section.folds))]


def unlabelled_for_training(data: MedicalDataset, parts: Parts) -> NDArray[np.int64]:
    """Samples without a label of patients who neither validate nor are tested, nor share a
    recording with one who does."""
    held = set(data.patient[np.concatenate([v for k, v in parts.items() if k != "train"])])
    pairs = data.same_recordings
    while linked := {b for pair in pairs for a, b in (pair, pair[::-1]) if a in held} - held:
        held |= linked
    free = ~known_labels(data.label) & ~np.isin(data.patient, list(held))
    return np.flatnonzero(free)


def training_stats(data: MedicalDataset, how: str, train: NDArray[np.int64]) -> ChannelStats | None:
    """Figures of the training patients; None where the data are not standardised by them.

    Args:
        data: all patients.
        how: ``standardize`` of the configuration's data section.
        train: rows of the training part.
    """
    return ChannelStats.fit(data.subset(train, lazy=True)) if how == "train" else None


def standardised(data: MedicalDataset, how: str, train: NDArray[np.int64]) -> MedicalDataset:
    """The data set as the encoder sees it.

    Arguments as :func:`training_stats`.
    """
    return data if how == "none" else data.standardize(training_stats(data, how, train) or how)
