"""Clinical files by configuration: loaded, split by patient, standardised without a look ahead."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_loaders import (
    ChannelStats,
    EEGProtocol,
    GroupKFold,
    LeaveOnePatientOut,
    MedicalDataset,
    fixed_split,
    group_split,
    load_eeg_table,
    load_mitbih,
    load_processed,
    load_ptb,
    load_ptbxl,
    load_wfdb,
)
from data_loaders.cohort.cohort import CohortConfig, load_cohort, make_cohort, read_truth
from data_loaders.ecg.protocol import ECGProtocol
from data_loaders.eeg.ad import load_ad
from data_loaders.eeg.tdbrain import load_tdbrain
from data_loaders.eeg.uci import load_uci_eeg
from data_loaders.splits.leakage import check_split
from tscl.errors import ConfigError, DataError, TSCLError, nearest
from tscl.runs.clinical.config import (
    ClinicalDataSection,
    DataKind,
    SplitSection,
    check_split_params,
)

logger = logging.getLogger(__name__)

Parts = dict[str, NDArray[np.int64]]
LOADERS: dict[str, Callable[..., MedicalDataset]] = {
    "cohort": load_cohort,
    "ptbxl": load_ptbxl,
    "mitbih": load_mitbih,
    "ptb": load_ptb,
    "uci_eeg": load_uci_eeg,
    "ad": load_ad,
    "tdbrain": load_tdbrain,
    "processed": load_processed,
    "saved": MedicalDataset.load,
    "wfdb": load_wfdb,
    "eeg": load_eeg_table,
}
ECG_KINDS = ("ptbxl", "mitbih", "ptb", "wfdb")
MARKS: dict[str, DataKind] = {
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
    """

    number: int
    parts: Parts


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
    loader = LOADERS[section.kind]
    params = dict(section.params)
    known = inspect.signature(loader).parameters
    if "strict" in known:
        params.setdefault("strict", section.strict)
    takes = [name for name, one in known.items() if one.kind is not one.VAR_KEYWORD][1:]
    if len(takes) < len(known) - 1:
        takes += (ECGProtocol if section.kind in ECG_KINDS else EEGProtocol).keys()
    for key in params:
        if key not in takes:
            raise ConfigError(f"data.params.{key}", params[key], nearest(key, takes))
    for key, one in list(known.items())[1:]:
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD and key not in params:
            raise ConfigError(f"data.params.{key}", None, f"data of kind {section.kind} need it")
    try:
        return loader(root, **params)
    except (TypeError, AttributeError) as error:
        if isinstance(error, TSCLError):
            raise
        raise ConfigError(
            "data.params", section.params, f"a value of the wrong kind: {error}"
        ) from error


def detect_kind(folder: Path) -> DataKind | None:
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


def make_folds(data: MedicalDataset, section: SplitSection, kind: str, seed: int) -> list[Fold]:
    """The splits of a configuration, each checked to hold no patient or trial twice.

    Args:
        data: all samples.
        section: how to split.
        kind: kind of the data, for ``official``.
        seed: of the dealing, unless the section has its own.

    Raises:
        ConfigError: parameters that do not fit.
        InputError: a class of too few patients, an empty part.
        LeakageError: a patient or trial on two sides.
    """
    check_split_params(section)
    params = dict(section.params)
    own = seed if section.seed is None else section.seed
    try:
        if section.kind == "group":
            made = [group_split(data.table, seed=own, **params)]
        elif section.kind == "kfold":
            valid = params.pop("valid", True)
            made = list(GroupKFold(seed=own, **params).parts(data.table, valid=valid))
        elif section.kind == "leave_one_out":
            made = list(LeaveOnePatientOut().parts(data.table, seed=own, **params))
        elif section.kind == "fixed":
            made = [_fixed(data, **params)]
        else:
            made = [_official(data, kind, **params)]
    except TypeError as error:
        raise ConfigError("split.params", section.params, str(error)) from None
    folds = [Fold(number, check_split(data, parts)) for number, parts in enumerate(made)]
    if section.folds is None:
        return folds
    for number in section.folds:
        if not 0 <= number < len(folds):
            raise ConfigError("split.folds", number, f"choose among 0..{len(folds) - 1}")
    return [folds[number] for number in sorted(set(section.folds))]


def _fixed(data: MedicalDataset, *, ids: dict[str, list[Any]], column: str = "patient") -> Parts:
    """Listed ids; without ``train`` the ids in no list are for training."""
    listed = {name: list(values) for name, values in ids.items()}
    if column == "patient" and data.patient.dtype.kind == "U":
        listed = {name: [str(one) for one in values] for name, values in listed.items()}
    if "train" not in listed and column in data.table.columns:
        held = {one for values in listed.values() for one in values}
        every = np.unique(data.table[column].to_numpy()).tolist()
        listed = {"train": [one for one in every if one not in held], **listed}
    return fixed_split(data.table, listed, column=column)


def _official(
    data: MedicalDataset,
    kind: str,
    *,
    valid: list[Any] | None = None,
    test_fold: int = 10,
    valid_fold: int = 9,
) -> Parts:
    """PTB-XL's folds (8 train, 1 validates, 1 tests) or MIT-BIH's DS1 and DS2.

    ``valid`` lists the records of DS1 that validate. Of a person with a record in each half, as
    201 and 202 of MIT-BIH are, the one of DS2 is left out. Saved data have the split of the
    columns that were saved with them.
    """
    if kind == "saved":
        found = [name for name in ("strat_fold", "split") if name in data.columns.columns]
        kind = {"strat_fold": "ptbxl", "split": "mitbih"}[found[0]] if found else kind
    if kind == "ptbxl":
        train = [k for k in range(1, 11) if k not in (test_fold, valid_fold)]
        ids = {"train": train, "valid": [valid_fold], "test": [test_fold]}
        return fixed_split(data.table, ids, column="strat_fold")
    if kind != "mitbih":
        remedy = "only ptbxl and mitbih have one: choose group, kfold or fixed"
        raise ConfigError("split.kind", f"official of {kind}", remedy)
    half = data.table["split"].to_numpy()
    twice = np.intersect1d(data.patient[half == "DS1"], data.patient[half == "DS2"])
    if len(twice):
        listed = ", ".join(str(one) for one in twice.tolist())
        logger.warning("official split: %s in DS1 and DS2; left out of DS2", listed)
        half = np.where((half == "DS2") & np.isin(data.patient, twice), "", half)
    ds1, ds2 = (np.unique(data.patient[half == name]).tolist() for name in ("DS1", "DS2"))
    held = [str(one) for one in valid or []]
    wrong = [one for one in held if one not in ds1]
    if wrong:
        raise ConfigError("split.params.valid", wrong, f"choose among the records of DS1: {ds1}")
    ids = {"train": [one for one in ds1 if one not in held], "test": ds2}
    rows = np.flatnonzero(np.isin(half, ("DS1", "DS2")))
    parts = fixed_split(data.table.iloc[rows], ids | ({"valid": held} if held else {}))
    return {name: rows[part] for name, part in parts.items()}


def standardised(data: MedicalDataset, how: str, train: NDArray[np.int64]) -> MedicalDataset:
    """The data set as the encoder sees it; ``how`` as in the configuration's data section."""
    if how == "none":
        return data
    if how == "train":
        return data.standardize(ChannelStats.fit(data.subset(train, lazy=True)))
    return data.standardize(how)
