"""One recording under two patients, patients as arrays, and scikit-learn's own splitters."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedGroupKFold,
    cross_validate,
)
from sklearn.model_selection import GroupKFold as SklearnGroupKFold

from data_loaders import (
    GroupKFold,
    LeaveOnePatientOut,
    MedicalDataset,
    assert_disjoint,
    fixed_split,
    group_split,
    label_fraction,
)
from data_loaders.container.collect import SampleCollector
from data_loaders.record_log import RecordError, RecordLog
from data_loaders.splits.leakage import check_split, leakage_statement
from tscl.errors import InputError, LeakageError


def cohort(copies=((0, 7), (3, 9), (9, 4))):
    """Twelve patients of two trials of two samples; the first trial of some is another's."""
    X = np.random.default_rng(0).normal(size=(48, 10, 1))
    for one, other in copies:
        X[4 * other : 4 * other + 2] = X[4 * one : 4 * one + 2]
    patient = [f"p{i:02d}" for i in range(12) for _ in range(4)]
    return MedicalDataset(X, np.arange(48) // 4 % 2, patient, np.arange(48) // 2, 10.0)


@pytest.mark.parametrize("seed", range(5))
def test_such_patients_stay_on_one_side_of_every_split(seed):
    data = cohort()
    assert data.same_recordings == [("p03", "p04"), ("p00", "p07"), ("p03", "p09")]
    splits = [group_split(data.table, seed=seed)]
    splits += list(GroupKFold(3, seed=seed, stratify=False).parts(data.table))
    splits += list(LeaveOnePatientOut().parts(data.table, valid=0.3, seed=seed))
    assert len(splits) == 1 + 3 + 9
    for parts in splits:
        check_split(data, parts)
        for group in (("p00", "p07"), ("p03", "p04", "p09")):
            sides = [name for name in parts if np.isin(data.patient[parts[name]], group).any()]
            assert len(sides) == 1
    assert "two patients, p00 and p07, on one side" in leakage_statement(data, splits[0])


def test_the_guard_names_them_and_its_remedy_helps():
    data = cohort()
    ids = {"train": [f"p{i:02d}" for i in range(6)], "test": [f"p{i:02d}" for i in range(6, 12)]}
    with pytest.raises(LeakageError, match="one recording under two names, p00 and p07") as caught:
        fixed_split(data.table, ids)
    assert "put both on one side, or leave one out" in str(caught.value)
    ids["test"] = [one for one in ids["test"] if one not in ("p07", "p09")]
    parts = fixed_split(data.table, ids)
    assert set(check_split(data, parts)) == {"train", "test"}
    loose = {"train": np.arange(4), "test": np.arange(28, 32)}
    with pytest.raises(LeakageError, match="p00 and p07"):
        check_split(data, loose)

    class Plain:  # no container: found from the values all the same
        X, label, patient, trial = data.X, data.label, data.patient, data.trial

    with pytest.raises(LeakageError, match="p00 and p07"):
        check_split(Plain, loose)


def test_splits_without_copies_are_what_they_were():
    table = cohort(()).table
    bare = table.copy()
    bare.attrs = {}
    for seed in range(3):
        for one, other in zip(GroupKFold(3, seed=seed).folds(table),
                              GroupKFold(3, seed=seed).folds(bare), strict=True):  # fmt: skip
            np.testing.assert_array_equal(one, other)


class Record:
    def __init__(self, name, value):
        self.name, self.value = name, value

    def digest(self):
        return str(self.value)


def test_a_copy_under_another_patient_is_noted_and_kept():
    samples = SampleCollector(RecordLog("x"))
    assert samples.refuse_copies(Record("r1", 1), "a") == ""
    note = samples.refuse_copies(Record("r2", 1), "b")
    assert note == "same values as record r1 of patient a; splits keep both patients on one side"
    with pytest.raises(RecordError, match="same values as record r1"):
        samples.refuse_copies(Record("r3", 1), "a")
    assert samples.refuse_copies(Record("r4", 2)) == ""
    with pytest.raises(RecordError, match="same values as record r4"):
        samples.refuse_copies(Record("r5", 2))


def test_splitters_take_arrays_of_patients():
    data = cohort(())
    y, groups = data.label, data.patient
    for one, other in (
        (group_split(data.table, seed=2), group_split(groups=groups, y=y, seed=2)),
        (
            fixed_split(data.table, {"a": ["p01"], "b": ["p02"]}),
            fixed_split(None, {"a": ["p01"], "b": ["p02"]}, groups=groups),
        ),
    ):
        assert list(one) == list(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    for by in ("samples", "patients", "first"):
        np.testing.assert_array_equal(
            label_fraction(data.table, 0.3, by=by),
            label_fraction(None, 0.3, y=y, groups=groups, by=by),
        )
    assert len(GroupKFold(3).folds(None, y, groups)) == 3
    assert len(list(LeaveOnePatientOut().split(None, y, groups))) == 12
    assert_disjoint(groups, {"train": np.arange(8), "test": np.arange(8, 48)})
    with pytest.raises(LeakageError, match="p00"):
        assert_disjoint(groups, {"train": [0], "test": [1]})
    with pytest.raises(InputError, match="or groups=, one id a sample"):
        group_split()
    with pytest.raises(InputError, match="or give groups="):
        fixed_split(None, {"a": [1]})
    with pytest.raises(InputError, match="or y="):
        label_fraction(None, 0.5)


def test_two_records_of_one_person_are_one_group():
    records = np.repeat(["201", "202", "203", "204", "205", "206"], 4)
    person = np.repeat(["47", "47", "48", "49", "50", "51"], 4)
    parts = group_split(groups=person, stratify=False)
    for part in parts.values():
        assert len(set(records[part]) & {"201", "202"}) in (0, 2)


@pytest.mark.parametrize(
    "cv",
    [
        GroupKFold(3),
        LeaveOnePatientOut(),
        SklearnGroupKFold(3),
        StratifiedGroupKFold(3),
    ],
    ids=lambda cv: f"{type(cv).__module__}.{type(cv).__name__}",
)
def test_groups_by_metadata_routing(cv):
    data = cohort(())
    X, y = np.asarray(data.X[:, :, 0]), data.label
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_validate(
            LogisticRegression(), X, y, cv=cv, params={"groups": data.patient}, return_indices=True
        )
        search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=cv)
        search.fit(X, y, groups=data.patient)
    for train, test in zip(scores["indices"]["train"], scores["indices"]["test"], strict=True):
        assert not set(data.patient[train]) & set(data.patient[test])
    assert search.best_params_["C"] in (0.1, 1.0)
