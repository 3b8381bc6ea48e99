import numpy as np
import pandas as pd
import pytest

from data_loaders import RecordError, load_wfdb
from tests.data_loaders.wfdb_files import bumps, write_record
from tscl.errors import DataError, InputError


@pytest.fixture
def root(tmp_path):
    for i, rate in enumerate((250, 250, 500)):
        signal, _ = bumps(2, 12, rate, seed=i)
        write_record(tmp_path / "a", f"r{i}", signal, rate, ["I", "II"])
    return tmp_path


def table():
    return pd.DataFrame(
        {
            "record": ["a/r0", "a/r1", "a/r2", "a/r9", "../r0", "a/r0", "a/r1"],
            "patient": ["p0", "p1", "p1", "p2", "p3", "p0", None],
            "label": ["ill", "well", None, "ill", "ill", "ill", "ill"],
        }
    )


def test_own_records_by_table(root):
    data = load_wfdb(root, table(), leads=["II"], target_rate=250)
    assert data.X.shape[1:] == (300, 1)
    assert data.label_names == ("ill", "well")
    assert data.describe()["samples"].to_dict() == {"p0": 10, "p1": 20}
    assert sorted(set(data.label)) == [-1, 0, 1]
    assert data.log.table["reason"].tolist() == [
        "", "", "", "missing_header", "unsafe_path", "duplicate_record", "bad_metadata",
    ]  # fmt: skip


def test_own_records_as_windows_from_a_csv_file(root):
    table().to_csv(root / "t.csv", index=False)
    data = load_wfdb(
        root, root / "t.csv", leads=["I", "II"], cut="windows", window_seconds=2, overlap=0.5,
        samples_per_trial=4, label_names=["well"],
    )  # fmt: skip
    assert data.X.shape == (8, 500, 2)
    assert data.log.reasons() == {"no_label": 4, "mixed_rate": 1, "bad_metadata": 1}
    assert data.log.n_ok == 1
    np.testing.assert_allclose(data.X[0, 250:], data.X[1, :250])


def test_own_records_name_bad_input(root, tmp_path):
    with pytest.raises(RecordError, match=r"a/r2 \[mixed_rate\]"):
        load_wfdb(root, table(), leads=["I"], strict=True)
    with pytest.raises(InputError, match="cut"):
        load_wfdb(root, table(), leads=["I"], cut="moon")
    with pytest.raises(DataError, match="patient"):
        load_wfdb(root, table()[["record", "label"]], leads=["I"])
    with pytest.raises(DataError, match="no such file"):
        load_wfdb(root, tmp_path / "none.csv", leads=["I"])
    with pytest.raises(DataError, match="root"):
        load_wfdb(tmp_path / "none", table(), leads=["I"])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("target_rate", 0),
        ("target_rate", float("nan")),
        ("target_rate", "250"),
        ("samples_per_trial", 0),
        ("samples_per_trial", 2.5),
        ("window_seconds", 0),
    ],
)
def test_zero_is_no_default(root, setting, value):
    with pytest.raises(InputError) as caught:
        load_wfdb(root, table(), leads=["II"], **{setting: value})
    assert caught.value.field == setting
