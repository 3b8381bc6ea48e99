"""Which patients train, validate and test: each kind of split declared beside what it does."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, StrictBool, field_validator

from data_loaders import GroupKFold, LeaveOnePatientOut, MedicalDataset, fixed_split, group_split
from data_loaders.splits.checks import check_fractions
from tscl.errors import ConfigError, InputError, is_number, is_whole, nearest
from tscl.training.settings import Section

logger = logging.getLogger(__name__)
Parts = dict[str, NDArray[np.int64]]
PARTS = ("train", "valid", "test")


def _check_names(parts: Any, needed: tuple[str, ...]) -> None:
    for name in parts:
        if name not in PARTS:
            raise InputError(str(name), parts[name], nearest(str(name), PARTS))
    for name in needed:
        if name not in parts:
            raise ValueError(f"give the part {name!r}")


class SplitParams(Section):
    """What a kind of split takes; ``example`` is a whole split of the kind."""

    example: ClassVar[str]

    @classmethod
    def hint(cls, key: str) -> str:
        """The whole split, where ``key`` is a parameter of another kind."""
        kinds: list[type[Section]] = [SplitParams]
        for kind in kinds:
            kinds += kind.__subclasses__()
        if not any(key in kind.model_fields for kind in kinds):
            return ""
        return f"; another kind needs the whole split: -s 'split={cls.example}'"


class _Dealing(SplitParams):
    """How patients are dealt out: each class in its share, unless told otherwise."""

    stratify: StrictBool = True
    allow_missing: StrictBool = False


class GroupParams(_Dealing):
    """Arguments of :func:`data_loaders.group_split`."""

    example = "{kind: group, params: {fractions: {train: 0.6, valid: 0.2, test: 0.2}}}"

    fractions: dict[str, float] | None = None
    column: str = "patient"

    @field_validator("fractions", mode="before")
    @classmethod
    def _shares(cls, value: Any) -> Any:
        if value is not None:
            check_fractions(value)
            _check_names(value, ("train", "test"))
        return value


class KFoldParams(_Dealing):
    """Arguments of :class:`data_loaders.GroupKFold`; without ``valid`` that fold trains."""

    example = "{kind: kfold, params: {n_splits: 3}}"

    valid: StrictBool = True
    n_splits: int = 5
    column: str = "patient"

    @field_validator("n_splits", mode="before")
    @classmethod
    def _enough(cls, value: Any, info: Any) -> Any:
        if not is_whole(value) or value < 2 + info.data.get("valid", True):
            more = "train, valid and test need 3 or more (valid: false needs 2)"
            raise ValueError(more if info.data.get("valid", True) else "give 2 or more")
        return value


def _share(value: Any) -> Any:
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError("give a share from 0 up to, not including, 1")
    return value


class LeaveOneOutParams(_Dealing):
    """``valid``: share of the other patients that validate."""

    example = "{kind: leave_one_out, params: {valid: 0.2}}"

    valid: Annotated[float, BeforeValidator(_share)] = 0.2


class FixedParams(SplitParams):
    """``ids`` of each part; without ``train`` those in no list train."""

    example = "{kind: fixed, params: {ids: {valid: [a, b], test: [c, d]}}}"

    ids: dict[str, list[Any]] = Field(default_factory=dict, validate_default=True)
    column: str = "patient"

    @field_validator("ids", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not value:
            raise ValueError(f"list the ids of each part: -s 'split={cls.example}'")
        _check_names(value, ("test",))
        for name, listed in value.items():
            if not isinstance(listed, list | tuple) or not listed:
                raise InputError(name, listed, "give a list of ids")
        return value


class OfficialParams(SplitParams):
    """``valid``: records of MIT-BIH's DS1 that validate; the folds are those of PTB-XL."""

    example = "{kind: official, params: {}}"

    valid: list[Any] | None = None
    test_fold: int = 10
    valid_fold: int = 9


class SplitSection(Section):
    """What all kinds have: ``folds`` chooses some of several; ``seed`` None takes the run's."""

    kind: str
    params: Any
    folds: list[int] | None = Field(default=None, min_length=1)
    seed: int | None = Field(default=None, ge=0)

    def given(self) -> dict[str, Any]:
        """The parameters that were set, as arguments."""
        values: dict[str, Any] = self.params.model_dump(exclude_unset=True)
        return values

    def validates(self) -> tuple[bool, str]:
        """Whether there is a validation part, and the key that decides it."""
        return bool(getattr(self.params, "valid", True)), "split.params.valid"

    def parts(self, data: MedicalDataset, seed: int) -> list[Parts]:
        """Every split."""
        raise NotImplementedError


class GroupSplit(SplitSection):
    """Shares of the patients."""

    kind: Literal["group"] = "group"
    params: GroupParams = GroupParams()

    def validates(self) -> tuple[bool, str]:
        """Whether ``valid`` has a share."""
        return "valid" in (self.params.fractions or PARTS), "split.params.fractions.valid"

    def parts(self, data: MedicalDataset, seed: int) -> list[Parts]:
        """One split."""
        return [group_split(data.table, seed=seed, **self.given())]


class KFoldSplit(SplitSection):
    """Each patient is tested once; the fold after the test fold validates."""

    kind: Literal["kfold"] = "kfold"
    params: KFoldParams = KFoldParams()

    def parts(self, data: MedicalDataset, seed: int) -> list[Parts]:
        """One split a fold."""
        params = {k: v for k, v in self.given().items() if k != "valid"}
        return list(GroupKFold(seed=seed, **params).parts(data.table, valid=self.params.valid))


class LeaveOneOutSplit(SplitSection):
    """Each patient is the test part once."""

    kind: Literal["leave_one_out"] = "leave_one_out"
    params: LeaveOneOutParams = LeaveOneOutParams()

    def parts(self, data: MedicalDataset, seed: int) -> list[Parts]:
        """One split a patient."""
        return list(LeaveOnePatientOut().parts(data.table, seed=seed, **self.given()))


class FixedSplit(SplitSection):
    """Listed ids."""

    kind: Literal["fixed"] = "fixed"
    params: FixedParams

    def validates(self) -> tuple[bool, str]:
        """Whether ids are listed for ``valid``."""
        return "valid" in self.params.ids, "split.params.ids.valid"

    def parts(self, data: MedicalDataset, seed: int) -> list[Parts]:
        """One split; without ``train`` the ids in no list are for training."""
        column = self.params.column
        listed = {name: list(values) for name, values in self.params.ids.items()}
        if column == "patient" and data.patient.dtype.kind == "U":
            listed = {name: [str(patient) for patient in values] for name, values in listed.items()}
        if "train" not in listed and column in data.table.columns:
            held = {patient for values in listed.values() for patient in values}
            every = np.unique(data.table[column].to_numpy()).tolist()
            listed = {"train": [patient for patient in every if patient not in held], **listed}
        return [fixed_split(data.table, listed, column=column)]


class OfficialSplit(SplitSection):
    """The split that belongs to the data: PTB-XL's folds (8 train) or MIT-BIH's DS1 and DS2.

    The columns that come with the data tell: ``strat_fold``, or ``split`` of DS1 and DS2. Of a
    person with a record in each half, as 201 and 202 of MIT-BIH are, the one of DS2 is left out.
    """

    kind: Literal["official"] = "official"
    params: OfficialParams = OfficialParams()

    def validates(self) -> tuple[bool, str]:
        """Whether there is one the data say."""
        return True, "split.params.valid"

    def parts(self, data: MedicalDataset, seed: int) -> list[Parts]:
        """One split."""
        params, columns = self.params, data.columns.columns
        if "strat_fold" in columns:
            held_out = (params.test_fold, params.valid_fold)
            folds = {
                "train": [k for k in range(1, 11) if k not in held_out],
                "valid": [params.valid_fold],
                "test": [params.test_fold],
            }
            return [fixed_split(data.table, folds, column="strat_fold")]
        if "split" not in columns:
            remedy = (
                "only ptbxl and mitbih have one, in a column strat_fold or split: choose group, "
                "kfold or fixed"
            )
            raise ConfigError("split.kind", "official", remedy)
        half = data.table["split"].to_numpy()
        twice = np.intersect1d(data.patient[half == "DS1"], data.patient[half == "DS2"])
        if len(twice):
            listed = ", ".join(str(patient) for patient in twice.tolist())
            logger.warning("official split: %s in DS1 and DS2; left out of DS2", listed)
            half = np.where((half == "DS2") & np.isin(data.patient, twice), "", half)
        ds1, ds2 = (np.unique(data.patient[half == name]).tolist() for name in ("DS1", "DS2"))
        held = [str(patient) for patient in params.valid or []]
        wrong = [patient for patient in held if patient not in ds1]
        if wrong:
            remedy = f"choose among the records of DS1: {ds1}"
            raise ConfigError("split.params.valid", wrong, remedy)
        ids = {"train": [patient for patient in ds1 if patient not in held], "test": ds2}
        ids |= {"valid": held} if held else {}
        rows = np.flatnonzero(np.isin(half, ("DS1", "DS2")))
        parts = fixed_split(data.table.iloc[rows], ids)
        return [{name: rows[part] for name, part in parts.items()}]


Split = Annotated[
    GroupSplit | KFoldSplit | LeaveOneOutSplit | FixedSplit | OfficialSplit,
    Field(discriminator="kind"),
]
