"""The split that belongs to a data set: PTB-XL's folds, MIT-BIH's DS1 and DS2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from data_loaders import MedicalDataset
from tscl.errors import ConfigError, LeakageError
from tscl.runs.clinical.config import check_clinical
from tscl.runs.clinical.data import make_folds


def made(**columns: list[Any]) -> MedicalDataset:
    """Twenty patients of two samples, each with the columns of its patient."""
    patient = np.repeat([f"p{i:02}" for i in range(20)], 2)
    return MedicalDataset(
        np.zeros((40, 4, 1), np.float32),
        np.tile([0, 1], 20),
        patient,
        patient,
        100.0,
        columns={key: np.repeat(values, 2) for key, values in columns.items()},
    )


def parts(data: MedicalDataset, kind: str, **params: Any) -> dict[str, set[str]]:
    config = check_clinical(
        {"data": {"kind": kind}, "split": {"kind": "official", "params": params}}
    )
    (fold,) = make_folds(data, config.split, seed=0)
    return {name: set(data.patient[rows].tolist()) for name, rows in fold.parts.items()}


FOLDS = [1 + i % 10 for i in range(20)]
HALVES = ["DS1"] * 12 + ["DS2"] * 8


@pytest.mark.parametrize("kind", ["ptbxl", "saved"])
def test_ptbxl_trains_on_eight_folds(kind):
    data = made(strat_fold=FOLDS)
    found = parts(data, kind)
    assert found["test"] == {"p09", "p19"}
    assert found["valid"] == {"p08", "p18"}
    assert len(found["train"]) == 16
    other = parts(data, kind, test_fold=1, valid_fold=2)
    assert (other["test"], other["valid"]) == ({"p00", "p10"}, {"p01", "p11"})
    assert not other["train"] & (other["test"] | other["valid"])


@pytest.mark.parametrize("kind", ["mitbih", "saved"])
def test_mitbih_trains_on_ds1_and_tests_on_ds2(kind):
    data = made(split=HALVES)
    found = parts(data, kind)
    assert found == {
        "train": {f"p{i:02}" for i in range(12)},
        "test": {f"p{i:02}" for i in range(12, 20)},
    }
    held = parts(data, kind, valid=["p00", "p05"])
    assert held["valid"] == {"p00", "p05"}
    assert held["train"] == found["train"] - held["valid"]
    assert held["test"] == found["test"]
    with pytest.raises(ConfigError, match=r"split.params.valid: got \['p15'\]"):
        parts(data, kind, valid=["p15"])


def test_a_patient_in_two_official_folds_is_leakage():
    data = made(strat_fold=FOLDS)
    columns = {"strat_fold": np.where(np.arange(40) == 0, 10, np.repeat(FOLDS, 2))}
    mixed = MedicalDataset(data.X, data.label, data.patient, data.patient, 100.0, columns=columns)
    with pytest.raises(LeakageError, match="p00"):
        parts(mixed, "ptbxl")


@pytest.mark.parametrize("kind", ["cohort", "saved"])
def test_other_data_have_none(kind):
    with pytest.raises(ConfigError, match="choose group, kfold or fixed"):
        parts(made(age=FOLDS), kind)


def test_an_unknown_parameter_is_named():
    with pytest.raises(ConfigError, match=r"split.params\..*fold"):
        parts(made(strat_fold=FOLDS), "ptbxl", fold=3)
