"""Several labels a sample and numbers to predict, from the container to the splits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data_loaders import (
    GroupKFold,
    MedicalDataset,
    from_long,
    from_wide,
    group_split,
    label_fraction,
    to_long,
    to_wide,
)
from data_loaders.container.fields import known_labels
from data_loaders.splits.leakage import check_split, leakage_statement
from tscl.errors import InputError

NAMES = ("NORM", "MI", "STTC")


def labelled(label, n=60, **settings):
    rng = np.random.default_rng(0)
    site = np.array(["A", "B"])[np.arange(n) // 3 % 2]
    return MedicalDataset(
        rng.normal(size=(n, 5, 1)), label, np.arange(n) // 3, np.arange(n), 10.0,
        columns={"site": site, "age": np.arange(n) // 3 + 20.0}, **settings,
    )  # fmt: skip


def several(n=60):
    rng = np.random.default_rng(1)
    labels = (rng.random((n, 3)) < (0.5, 0.3, 0.2)).astype(float)
    labels[0] = np.nan
    labels[1, 2] = np.nan
    return labels


def test_several_labels_are_kept_with_their_names(tmp_path):
    data = labelled(pd.DataFrame(several(), columns=NAMES))
    assert (data.label_kind, data.label_names) == ("multilabel", NAMES)
    np.testing.assert_array_equal(data.label, several())
    assert known_labels(data.label).tolist() == [False] + [True] * 59
    assert data.label_text(0) == "unlabelled"
    assert set(data.label_text(5).split("+")) <= {*NAMES, "none"}
    assert f"MI {int(np.nansum(several()[:, 1]))}" in repr(data)
    columns = ["label: NORM", "label: MI", "label: STTC", "patient", "trial"]
    assert list(data.table.columns[:5]) == columns
    data.save(tmp_path / "d")
    back = MedicalDataset.load(tmp_path / "d")
    np.testing.assert_array_equal(back.label, data.label)
    assert (back.label_names, back.columns["site"].tolist()) == (
        NAMES,
        data.columns["site"].tolist(),
    )
    assert data.subset([3, 4]).label.shape == (2, 3)


def test_numbers_to_predict_are_kept(tmp_path):
    age = np.where(np.arange(60) < 3, np.nan, 20.0 + np.arange(60) // 3)
    data = labelled(age, label_kind="target")
    assert data.label_kind == "target"
    assert "unlabelled 3" in repr(data)
    data.save(tmp_path / "d")
    np.testing.assert_array_equal(MedicalDataset.load(tmp_path / "d").label, age)
    parts = group_split(data.table, seed=1)
    means = [np.nanmean(age[part]) for part in parts.values()]
    assert np.ptp(means) < 6
    chosen = label_fraction(data.table, 0.2)
    assert len(chosen) == pytest.approx(12, abs=3)
    assert known_labels(age[chosen]).all()
    assert 25 < age[chosen].mean() < 36


@pytest.mark.parametrize(
    ("label", "settings", "says"),
    [
        (np.full((60, 2), 0.5), {}, "0, 1 and NaN"),
        (np.zeros((59, 2)), {}, "numbers, NaN where unknown"),
        (np.zeros((60, 2)), {"label_names": ["a"]}, "numbers, NaN where unknown"),
        (["x"] * 60, {"label_kind": "target"}, "numbers, NaN where unknown"),
        ([np.inf] * 60, {"label_kind": "target"}, "finite numbers"),
        (np.linspace(0, 1, 60), {}, "label_kind='target'"),
        ([0] * 60, {"label_kind": "moon"}, "'classes', 'multilabel' or 'target'"),
    ],
)
def test_labels_that_do_not_fit_are_named(label, settings, says):
    with pytest.raises(InputError, match=says):
        labelled(label, **settings)


def test_splits_give_each_label_its_share():
    rng = np.random.default_rng(3)
    labels = (rng.random((900, 3)) < (0.5, 0.3, 0.04)).astype(float)
    data = labelled(labels, n=900, label_names=NAMES)
    parts = group_split(data.table)
    counts = np.stack([labels[part].sum(axis=0) for part in parts.values()])
    for share in (counts / labels.sum(axis=0)).T:
        np.testing.assert_allclose(share, [0.6, 0.2, 0.2], atol=0.09)
    rare = [labels[part, 2].sum() for part in parts.values()]
    assert min(rare) >= 1
    check_split(data, parts)
    assert "MI: " in leakage_statement(data, parts)
    again = group_split(groups=data.patient, y=labels)
    assert all((again[name] == parts[name]).all() for name in parts)
    folds = GroupKFold(5).folds(None, labels, data.patient)
    assert all(labels[fold, 2].sum() >= 1 for fold in folds)
    with pytest.raises(InputError, match=r"class 2 .* has 1 patient"):
        group_split(groups=np.arange(9), y=np.eye(3)[[0, 0, 0, 0, 1, 1, 1, 1, 2]])
    table = labelled(np.eye(3)[[0, 0, 0, 1, 1, 1, 2, 0, 0]], n=9, label_names=NAMES).table
    assert group_split(table, allow_missing=True)


@pytest.mark.parametrize("by", ["samples", "patients"])
def test_label_fractions_give_each_label_its_share(by):
    rng = np.random.default_rng(4)
    labels = (rng.random((3000, 3)) < (0.5, 0.3, 0.02)).astype(float)
    labels[::7] = np.nan
    patient = np.arange(3000) // 3
    last = np.zeros(0, np.int64)
    for fraction in (0.02, 0.1, 0.5, 1.0):
        chosen = label_fraction(None, fraction, y=labels, groups=patient, by=by, seed=2)
        assert set(last) <= set(chosen)
        assert not np.isnan(labels[chosen]).any()
        expected = fraction * np.nansum(labels, axis=0)
        assert np.abs(np.nansum(labels[chosen], axis=0) - expected).max() < 5 + 0.1 * expected.max()
        assert np.nansum(labels[chosen, 2]) >= 1
        last = chosen
    assert len(last) == int((~np.isnan(labels[:, 0])).sum())


def test_sets_of_other_classes_are_joined():
    a = labelled(["x", "y", None] * 20, name="a")
    b = labelled(["z", "y", "z"] * 20, name="b")
    none = labelled(None, name="c")
    both = MedicalDataset.concat([a, b, none], prefix=True)
    assert both.label_names == ("x", "y", "z")
    texts = [both.label_text(i) for i in (0, 1, 2, 60, 61, 62, 120)]
    assert texts == ["x", "y", "unlabelled", "z", "y", "z", "unlabelled"]
    assert both.columns["site"].tolist() == [*a.columns["site"]] * 3
    c = labelled(pd.DataFrame(several(), columns=NAMES), name="a")
    d = labelled(pd.DataFrame(several()[:, :2], columns=["CD", "MI"]), name="b")
    both = MedicalDataset.concat([c, d], prefix=True)
    assert both.label_names == (*NAMES, "CD")
    np.testing.assert_array_equal(both.label[60:, [3, 1]], several()[:, :2])
    assert np.isnan(both.label[60:, [0, 2]]).all()
    with pytest.raises(InputError, match="label_kind"):
        MedicalDataset.concat([a, c], prefix=True)
    with pytest.raises(InputError, match="give label_names"):
        MedicalDataset.concat([a, labelled([0, 1] * 30, name="d")], prefix=True)
    named = labelled([0, 1] * 30, name="d", label_names=["x", "q"])
    assert MedicalDataset.concat([a, named], prefix=True).label_names == ("x", "y", "q")


def test_columns_serve_splits_and_subgroups():
    data = labelled(["x", "y", "z"] * 20)
    assert data.describe("site")["patients"].to_dict() == {"A": 10, "B": 10}
    parts = group_split(data.table, {"a": 0.5, "b": 0.5}, column="site", stratify=False)
    sites = [set(data.columns["site"].to_numpy()[part]) for part in parts.values()]
    assert sorted(map(sorted, sites)) == [["A"], ["B"]]
    with pytest.raises(InputError, match="age, label, patient, site"):
        data.describe("moon")


def test_several_labels_through_frames_and_xarray():
    data = labelled(pd.DataFrame(several(), columns=NAMES))
    long = to_long(data)
    own = ["label: NORM", "label: MI", "label: STTC"]
    back = from_long(
        long, sample="sample", time="time", channels=["ch0"], patient="patient",
        sampling_rate=10.0, label=own,
    )  # fmt: skip
    np.testing.assert_array_equal(back.label, data.label)
    wide = to_wide(data)
    back = from_wide(
        wide, patient="patient", sampling_rate=10.0, label=own, steps=[f"t{i}" for i in range(5)]
    )
    np.testing.assert_array_equal(back.label, data.label)
    pytest.importorskip("xarray", reason="extra xarray is not installed")
    from data_loaders import to_xarray

    assert to_xarray(data).coords["label: MI"].dims == ("sample",)


COLUMNS = {
    "dx": ["MI;CD", "none", "", "CD", "NORM|MI"],
    "MI": ["1", "0", "", "0", "1"],
    "CD": [1, 0, np.nan, 1, 0],
    "age": [61, 40.5, np.nan, 33, 70],
    "site": ["a", "b", "", "a", "b"],
}


def with_columns(label=None):
    return MedicalDataset(np.zeros((5, 4, 1)), label, range(5), range(5), 100.0, columns=COLUMNS)


def test_labels_from_columns():
    nan = np.nan
    several = with_columns().with_label("dx")
    assert several.label_names == ("CD", "MI", "NORM")
    expected = [[1, 1, 0], [0, 0, 0], [nan, nan, nan], [1, 0, 0], [0, 1, 1]]
    np.testing.assert_array_equal(several.label, np.float32(expected))
    own = with_columns().with_label(["MI", "CD"])
    np.testing.assert_array_equal(own.label, [[1, 1], [0, 0], [nan, nan], [0, 1], [1, 0]])
    age = with_columns().with_label("age")
    assert (age.label_kind, age.label_names) == ("target", ("age",))
    np.testing.assert_array_equal(age.label, COLUMNS["age"])
    site = with_columns().with_label("site")
    assert (site.label.tolist(), site.label_names) == ([0, 1, -1, 0, 1], ("a", "b"))
    assert with_columns().with_label("CD", "classes").label.tolist() == [1, 0, -1, 1, 0]


def test_labels_that_stand_as_class_names_become_several_or_numbers():
    names = with_columns(["NORM", "CD;MI", "", "MI", "CD"])
    assert names.with_label("label", "multilabel").label[1].tolist() == [1, 1, 0]
    assert np.isnan(names.with_label("label", "multilabel").label[2]).all()
    ages = with_columns(["61", "40", "", "33", "70"]).with_label("label", "target")
    np.testing.assert_array_equal(ages.label, [61, 40, np.nan, 33, 70])


@pytest.mark.parametrize(
    ("columns", "kind", "field"),
    [
        ("weight", None, "label"),
        ("dx", "target", "label dx"),
        (["dx", "CD"], None, "label dx"),
        (["age", "CD"], None, "label"),
        (["MI", "CD"], "classes", "label_kind"),
        ("site", "moon", "label_kind"),
    ],
)
def test_columns_that_hold_no_such_labels_are_named(columns, kind, field):
    with pytest.raises(InputError) as caught:
        with_columns().with_label(columns, kind)
    assert caught.value.field == field
