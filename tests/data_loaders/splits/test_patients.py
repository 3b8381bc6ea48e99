import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from data_loaders import (
    GroupKFold,
    LeaveOnePatientOut,
    assert_disjoint,
    fixed_split,
    group_split,
    label_fraction,
)
from tscl.errors import InputError, LeakageError


def table_of(patients_per_class=(6, 6), samples=4, mixed=False):
    rows = []
    for label, count in enumerate(patients_per_class):
        for i in range(count):
            for s in range(samples):
                own = label if not mixed or s else 0
                name = f"c{label}p{i}"
                rows.append({"label": own, "patient": name, "trial": f"{name}t{s // 2}"})
    return pd.DataFrame(rows)


tables = st.builds(
    table_of,
    st.lists(st.integers(3, 9), min_size=1, max_size=3),
    st.integers(1, 5),
    st.booleans(),
)


def cover(table, parts):
    """Every sample in exactly one part, and no patient or trial in two."""
    every = np.concatenate(list(parts))
    assert sorted(every.tolist()) == list(range(len(table)))
    for column in ("patient", "trial"):
        sides = [set(table[column].to_numpy()[part]) for part in parts]
        assert sum(map(len, sides)) == len(set().union(*sides))


@settings(max_examples=40, deadline=None)
@given(tables, st.integers(0, 5))
def test_group_split_keeps_patients_on_one_side(table, seed):
    parts = group_split(table, seed=seed)
    cover(table, list(parts.values()))
    for part in parts.values():
        assert set(table["label"].to_numpy()[part]) == set(table["label"])
    assert_disjoint(table, parts)
    assert_disjoint(table, parts, "trial")


@settings(max_examples=40, deadline=None)
@given(tables, st.integers(2, 3), st.integers(0, 5))
def test_group_kfold_keeps_patients_on_one_side(table, k, seed):
    folds = GroupKFold(k, seed=seed)
    cover(table, folds.folds(table))
    for train, test in folds.split(table):
        cover(table, [train, test])
    sizes = [table["patient"].to_numpy()[fold] for fold in folds.folds(table)]
    counts = [len(set(one)) for one in sizes]
    assert max(counts) - min(counts) <= 3
    if k == 3:
        for parts in folds.parts(table):
            cover(table, list(parts.values()))
    for parts, (train, test) in zip(
        folds.parts(table, valid=False), folds.split(table), strict=True
    ):
        assert set(parts) == {"train", "test"}
        np.testing.assert_array_equal(parts["train"], train)
        np.testing.assert_array_equal(parts["test"], test)


@settings(max_examples=15, deadline=None)
@given(tables)
def test_leave_one_patient_out_keeps_patients_on_one_side(table):
    splitter = LeaveOnePatientOut()
    pairs = list(splitter.split(table))
    assert len(pairs) == splitter.get_n_splits(table) == table["patient"].nunique()
    for train, test in pairs:
        cover(table, [train, test])
        assert table["patient"].to_numpy()[test].tolist() == [table["patient"][test[0]]] * len(test)


def test_leave_one_patient_out_with_a_validation_part():
    table = table_of((6, 6))
    made = list(LeaveOnePatientOut().parts(table, valid=0.25, seed=1))
    tested = [table["patient"][parts["test"][0]] for parts in made]
    assert tested == table["patient"].unique().tolist()
    for parts in made:
        cover(table, list(parts.values()))
        labels = table["label"].to_numpy()
        assert set(labels[parts["valid"]]) == set(labels[parts["train"]]) == {0, 1}
    held = {tuple(parts["valid"].tolist()) for parts in made}
    assert len(held) > 6
    again = list(LeaveOnePatientOut().parts(table, valid=0.25, seed=1))
    assert all((one["valid"] == two["valid"]).all() for one, two in zip(made, again, strict=True))
    assert set(next(LeaveOnePatientOut().parts(table, valid=0))) == {"train", "test"}
    with pytest.raises(InputError, match="valid"):
        next(LeaveOnePatientOut().parts(table, valid=1.0))


def test_group_split_meets_the_fractions_in_each_class():
    table = table_of((20, 10))
    parts = group_split(table, {"a": 0.5, "b": 0.3, "c": 0.2})
    people = {name: table.iloc[rows].groupby("label")["patient"] for name, rows in parts.items()}
    counts = {name: group.nunique().tolist() for name, group in people.items()}
    assert counts == {"a": [10, 5], "b": [6, 3], "c": [4, 2]}
    assert len(parts["a"]) == 60


def test_split_depends_on_seed_not_on_spelling():
    table = table_of((8, 8))
    other = table.assign(patient=1000 - pd.factorize(table["patient"])[0])
    one, two = group_split(table, seed=3), group_split(other, seed=3)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    assert not np.array_equal(one["test"], group_split(table, seed=4)["test"])


def test_class_of_one_patient_is_named():
    table = table_of((5, 1))
    for call in (group_split, GroupKFold(3).folds):
        with pytest.raises(InputError, match="class 1 has 1 patient; 3 parts need one each"):
            call(table)
    parts = group_split(table, allow_missing=True)
    cover(table, list(parts.values()))
    cover(table, GroupKFold(3, allow_missing=True).folds(table))
    cover(table, list(group_split(table, stratify=False).values()))


def test_splits_name_bad_settings():
    table = table_of((2,))
    with pytest.raises(InputError, match="2 ids"):
        group_split(table, stratify=False)
    with pytest.raises(InputError, match="fractions"):
        group_split(table, {"a": 0.5, "b": 0.1})
    with pytest.raises(InputError, match="fractions"):
        group_split(table, {"a": 1.5, "b": -0.5})
    with pytest.raises(InputError, match="n_splits"):
        GroupKFold(1)
    with pytest.raises(InputError, match="column"):
        group_split(table, column="site")
    with pytest.raises(InputError, match="one id"):
        list(LeaveOnePatientOut().split(table_of((1,))))
    with pytest.raises(InputError, match="3 or more"):
        next(GroupKFold(2).parts(table))
    with pytest.raises(InputError, match="missing ids"):
        group_split(table.assign(patient=None))


def test_unlabelled_patients_are_dealt_too():
    table = table_of((6, 6))
    table.loc[table["patient"] == "c0p0", "label"] = -1
    cover(table, list(group_split(table).values()))


def test_fixed_split_by_ids_and_by_fold():
    table = table_of((3, 3)).assign(fold=lambda t: pd.factorize(t["patient"])[0] % 3)
    parts = fixed_split(table, {"train": ["c0p0", "c1p0"], "test": ["c0p1"]})
    assert table["patient"].to_numpy()[parts["test"]].tolist() == ["c0p1"] * 4
    by_fold = fixed_split(table, {"train": [0, 1], "test": [2]}, column="fold")
    cover(table, list(by_fold.values()))
    with pytest.raises(LeakageError, match="c0p0"):
        fixed_split(table, {"train": ["c0p0"], "test": ["c0p0"]})
    with pytest.raises(InputError, match="moon"):
        fixed_split(table, {"train": ["moon"]})
    with pytest.raises(InputError, match="no ids"):
        fixed_split(table, {"train": []})
    leaky = table.assign(fold=np.arange(len(table)) % 3)
    with pytest.raises(LeakageError, match="patient"):
        fixed_split(leaky, {"train": [0, 1], "test": [2]}, column="fold")


def test_guard_names_the_ids_on_both_sides():
    table = table_of((2, 2))
    with pytest.raises(LeakageError, match="c0p0; train and test share 1 patient ids") as caught:
        assert_disjoint(table, {"train": [0, 1], "test": [2, 4]})
    assert caught.value.field == "patient"
    assert_disjoint(table, {"train": [0, 1], "test": [2, 4]}, "trial")
    with pytest.raises(LeakageError, match="share 1 samples"):
        assert_disjoint(table, {"train": [0, 1], "test": [1]})
    with pytest.raises(InputError, match="outside"):
        assert_disjoint(table, {"train": [99]})
    with pytest.raises(InputError, match="column"):
        assert_disjoint(table, {"train": [0]}, "site")


def test_splitters_work_inside_scikit_learn():
    table = table_of((6, 6))
    X = np.random.default_rng(0).normal(size=(len(table), 3))
    for cv in (GroupKFold(3), LeaveOnePatientOut()):
        scores = cross_val_score(
            LogisticRegression(), X, table["label"], groups=table["patient"], cv=cv
        )
        assert len(scores) == cv.get_n_splits(X, table["label"], table["patient"])


def test_splitters_take_class_names_as_scikit_learn_does():
    table = table_of((6, 6, 3))
    names = np.array(["ill", "well", "unclear"])[table["label"]]
    X = np.zeros((len(table), 2))
    codes = np.array([0, 2, 1])[table["label"]]  # of the sorted names
    for y in (names, names.astype(object), pd.Series(names), pd.Series(names, dtype="category")):
        for one, two in zip(
            GroupKFold(3).split(X, y, table["patient"]),
            GroupKFold(3).split(X, codes, table["patient"]),
            strict=True,
        ):
            np.testing.assert_array_equal(one[1], two[1])
            assert set(names[one[1]]) == set(names)
    assert len(list(LeaveOnePatientOut().split(X, names, table["patient"]))) == 15
    by_name = group_split(table.assign(label=names))
    assert set(names[by_name["test"]]) == set(names)
    with pytest.raises(InputError, match=r"class 1 \(unclear\) has 3 patients"):
        GroupKFold(4).folds(X, names, table["patient"])
    gaps = np.where(np.arange(len(names)) < 4, None, names)
    cover(table, GroupKFold(3).folds(X, gaps, table["patient"]))
    cover(table, GroupKFold(3).folds(X, codes.astype(float), table["patient"]))


def test_splitters_name_groups_and_labels_that_do_not_fit():
    table = table_of((6, 6))
    X, y, groups = np.zeros((len(table), 2)), table["label"].to_numpy(), table["patient"]
    for cv in (GroupKFold(3), LeaveOnePatientOut()):
        for short in (groups[:-1], groups[:5]):
            with pytest.raises(InputError, match=r"groups: got .* ids; give one a sample, 48"):
                list(cv.split(X, y, short))
        with pytest.raises(InputError, match="groups: got shape"):
            list(cv.split(X, y, groups.to_numpy()[:, None]))
    for wrong in (y[:-1], y[:, None]):
        with pytest.raises(InputError, match=r"y: got shape .* give 48 classes"):
            list(GroupKFold(3).split(X, wrong, groups))
    with pytest.raises(InputError, match="y: got numbers that are not whole"):
        list(GroupKFold(3).split(X, y + 0.5, groups))
    values = np.linspace(0, 1, len(y))
    cover(table, GroupKFold(3, stratify=False).folds(X, values, groups))
    for wrong in ("3", 2.5, True):
        with pytest.raises(InputError, match="n_splits"):
            GroupKFold(wrong)


@pytest.mark.parametrize(
    "fractions",
    [
        {"train": float("nan"), "test": 1.0},
        {"train": 0.5, "test": float("nan")},
        {"train": "0.5", "test": 0.5},
        {"train": True},
        [0.6, 0.4],
        0.5,
        {},
    ],
)
def test_shares_that_are_no_shares_are_named(fractions):
    with pytest.raises(InputError, match=r"fractions: got .*positive shares that sum to 1"):
        group_split(table_of(), fractions)


def test_listed_ids_that_are_no_lists_are_named():
    table = table_of((3, 3)).assign(patient=lambda t: pd.factorize(t["patient"])[0].astype(str))
    for wrong, field in (
        ({}, "ids: "),
        (None, "ids: "),
        (["1", "2"], "ids: "),
        ({"train": 1}, "ids['train']: "),
        ({"train": "12"}, "ids['train']: "),
        ({"train": [["1"]]}, "ids['train']: "),
    ):
        with pytest.raises(InputError) as caught:
            fixed_split(table, wrong)
        assert str(caught.value).startswith(field)
    parts = fixed_split(table, {"train": np.array(["1", "2"]), "test": {"3"}})
    assert len(parts["train"]) == 8


def test_guard_reads_masks_as_masks():
    table = table_of((2, 2))
    masks = {"train": np.arange(16) < 6, "test": np.arange(16) >= 6}
    with pytest.raises(LeakageError, match="c0p1; train and test share 1 patient ids"):
        assert_disjoint(table, masks)
    assert_disjoint(table, {"train": np.arange(16) < 8, "test": (np.arange(16) >= 8).tolist()})
    assert_disjoint(table, {"train": [0.0, 1.0], "test": []})
    for wrong, found in (
        (np.ones(15, bool), "mask of 15 values; give one a sample, 16"),
        ([0.5, 1.0], "whole positions"),
        ([np.nan], "whole positions"),
        (["0"], "whole positions"),
        ([[0, 1]], "shape"),
        (3, "shape"),
    ):
        with pytest.raises(InputError, match=found):
            assert_disjoint(table, {"train": wrong, "test": [9]})


def test_guard_does_not_pass_patients_without_a_name():
    table = table_of((2, 2))
    for patient in (np.nan, None):
        with pytest.raises(InputError, match="patient: got 2 missing ids in train"):
            assert_disjoint(table.assign(patient=patient), {"train": [0, 1], "test": [2]})
    some = table.assign(patient=table["patient"].where(table.index > 1))
    assert_disjoint(some, {"train": [4, 5], "test": [8]})


@settings(max_examples=30, deadline=None)
@given(tables, st.sampled_from(["samples", "patients", "first"]), st.integers(0, 4))
def test_smaller_label_fraction_is_part_of_a_larger_one(table, by, seed):
    small, large, full = (
        set(label_fraction(table, f, by=by, seed=seed).tolist()) for f in (0.1, 0.5, 1.0)
    )
    assert small <= large <= full == set(range(len(table)))
    if by != "first":
        assert set(table["label"].to_numpy()[list(small)]) == set(table["label"])


def test_label_fraction_counts():
    table = table_of((10, 30), samples=10)
    chosen = label_fraction(table, 0.1)
    assert table["label"].to_numpy()[chosen].tolist().count(1) == 30
    assert len(chosen) == 40
    assert table["patient"].iloc[chosen].nunique() > 20
    by_patient = label_fraction(table, 0.1, by="patients")
    assert table["patient"].iloc[by_patient].nunique() == 4
    assert len(by_patient) == 40
    assert len(label_fraction(table, 0.01, by="first")) == 4
    assert len(label_fraction(table, 0.01, by="patients", stratified=False)) == 10
    assert not np.array_equal(chosen, label_fraction(table, 0.1, seed=1))


def test_label_fraction_skips_unlabelled_and_names_bad_settings():
    table = table_of((4, 4))
    table.loc[:9, "label"] = -1
    for by in ("samples", "patients", "first"):
        assert label_fraction(table, 1.0, by=by).min() == 10
    for bad in ({"fraction": 0}, {"fraction": 1.1}, {"fraction": 0.1, "by": "moon"}):
        with pytest.raises(InputError):
            label_fraction(table, **bad)
    with pytest.raises(InputError, match="no labelled"):
        label_fraction(table.assign(label=-1), 0.5)
