"""Labels as given: missing ones are unknown wherever they come from, and never a class."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data_loaders import MedicalDataset, from_long, from_wide
from tscl.errors import InputError

MISSING = [None, np.nan, float("nan"), pd.NA, pd.NaT, ""]


def labels(label, **kwargs) -> tuple[list[int], tuple[str, ...]]:
    n = len(label)
    made = MedicalDataset(np.zeros((n, 2, 1)), label, range(n), range(n), 1.0, **kwargs)
    return made.label.tolist(), made.label_names


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_missing_texts_are_unknown(missing):
    assert labels(["b", missing, "a"]) == ([1, -1, 0], ("a", "b"))
    assert labels(np.array(["b", missing, "a"], dtype=object)) == ([1, -1, 0], ("a", "b"))
    assert labels(["b", missing], label_names=["a", "b"]) == ([1, -1], ("a", "b"))


@pytest.mark.parametrize(
    ("column", "codes", "names"),
    [
        (pd.Categorical(["b", None, "a"]), [1, -1, 0], ("a", "b")),
        (pd.array(["b", None, "a"], dtype="string"), [1, -1, 0], ("a", "b")),
        (pd.array([1, None, 0], dtype="Int64"), [1, -1, 0], ("0", "1")),
        (pd.array([True, None, False], dtype="boolean"), [1, -1, 0], ("0", "1")),
        (pd.Categorical([1, None, 0]), [1, -1, 0], ("0", "1")),
        ([1.0, np.nan, 0.0], [1, -1, 0], ("0", "1")),
        (np.array([1, -1, 0], dtype=object), [1, -1, 0], ("0", "1")),
        (np.array([1, None, -1], dtype=object), [1, -1, -1], ("0", "1")),
        ([None, None, None], [-1, -1, -1], ()),
    ],
)
def test_missing_codes_are_unknown(column, codes, names):
    assert labels(column) == (codes, names)
    assert labels(pd.Series(column)) == (codes, names)


def test_an_empty_text_may_be_named_as_a_class():
    assert labels(["", "a"], label_names=["a", ""]) == ([1, 0], ("a", ""))


@pytest.mark.parametrize("label", [[0.5, np.nan], [np.nan, np.nan], [np.inf, np.nan]])
def test_codes_that_cannot_be_mention_the_missing_ones(label):
    with pytest.raises(InputError, match=r"label: got dtype float64 with \d missing values"):
        labels(label)


@pytest.mark.parametrize("kind", ["text", "categorical", "float"])
def test_missing_labels_of_tables(kind):
    given = [1.0, 0.0, np.nan] if kind == "float" else ["b", "a", None]
    column = pd.Series(given, dtype="category" if kind == "categorical" else None)
    wide = pd.DataFrame({"who": [1, 2, 3], "label": column, "t0": 0.0, "t1": 1.0})
    made = from_wide(wide, patient="who", label="label", sampling_rate=1.0)
    assert made.label.tolist() == [1, 0, -1]
    long = wide.loc[[0, 0, 1, 1, 2, 2]].assign(t=[0, 1] * 3, who=[1, 1, 2, 2, 3, 3])
    keys = {"sample": "who", "time": "t", "channels": ["t0"], "patient": "who"}
    made = from_long(long, **keys, label="label", sampling_rate=1.0)
    assert made.label.tolist() == [1, 0, -1]
    assert len(made.label_names) == 2


def test_missing_labels_of_epochs():
    import mne

    info = mne.create_info(["Cz"], 64.0, "eeg")
    facts = pd.DataFrame({"who": list("abc"), "group": ["x", None, "y"]})
    epochs = mne.EpochsArray(np.zeros((3, 1, 8)), info, metadata=facts, verbose="error")
    from data_loaders import from_epochs

    for group in ("group", ["x", None, "y"], ["x", np.nan, "y"]):
        made = from_epochs(epochs, patient="who", label=group)
        assert (made.label.tolist(), made.label_names) == ([0, -1, 1], ("x", "y"))
    with pytest.raises(InputError, match="1 missing ids"):
        from_epochs(epochs, patient=["a", np.nan, "b"])


def test_missing_labels_of_xarray():
    xarray = pytest.importorskip("xarray", reason="extra xarray is not installed")
    from data_loaders import from_xarray

    array = xarray.DataArray(
        np.zeros((3, 2, 1)),
        dims=("sample", "time", "channel"),
        coords={
            "patient": ("sample", [1, 2, 3]),
            "label": ("sample", np.array(["b", None, "a"], dtype=object)),
        },
    )
    assert from_xarray(array, sampling_rate=1.0).label.tolist() == [1, -1, 0]


@pytest.mark.parametrize("field", ["channel_names", "label_names"])
def test_a_text_is_no_list_of_names(field):
    with pytest.raises(InputError, match=rf"{field}: got 'ab'; give a list of names"):
        MedicalDataset(np.zeros((2, 2, 2)), [0, 1], [1, 2], [1, 2], 1.0, **{field: "ab"})
