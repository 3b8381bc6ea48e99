"""One's own recordings by a table: how the table is read, defaults, filters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_loaders import load_eeg_table, load_wfdb
from data_loaders.record_table import read_record_table
from tests.data_loaders.eeg_writers import brainlike, write_edf
from tests.data_loaders.wfdb_files import bumps, write_record
from tscl.errors import DataError, InputError

NAMES = ["Fp1", "Cz"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own")
    for i in range(3):
        write_edf(root / "a" / f"e{i}.edf", brainlike(640, 2, i, 128), NAMES, 128)
        write_record(root / "a", f"w{i}", bumps(2, 8, seed=i)[0], leads=["I", "II"])
    rows = ["record;patient;label", "a/e0.edf;007;ill", "a/e1;8;well", "a/e2.edf;8;"]
    (root / "labels.csv").write_text("\ufeff" + "\n".join(rows) + "\n", encoding="utf-8")
    return root


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_in_any_separator_with_own_column_names(tmp_path: Path, separator: str) -> None:
    lines = [["file", "age", "who", "dx"], ["r1", "70", "007", "ill"], ["r2", "60", "8", ""]]
    text = "\n".join(separator.join(line) for line in lines)
    (tmp_path / "t.csv").write_text("\ufeff" + text, encoding="utf-8")
    names = {"record": "file", "patient": "who", "label": "dx"}
    table = read_record_table("t.csv", tmp_path, columns=names)
    assert [(r.record, r.patient, r.label) for r in table.rows] == [
        ("r1", "007", "ill"),
        ("r2", "8", ""),
    ]
    assert [table.code(row) for row in table.rows] == [0, -1]
    skipping = read_record_table("t.csv", tmp_path, columns=names, unlabelled="skip")
    assert [skipping.code(row) for row in skipping.rows] == [0, None]


def test_a_table_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file": ["r"], "patient": ["p"], "label": ["x"]})
    with pytest.raises(DataError, match=r"no column record; it has file, patient, label"):
        read_record_table(frame, tmp_path)
    with pytest.raises(InputError, match="record"):
        read_record_table(frame, tmp_path, columns={"recrd": "file"})
    with pytest.raises(InputError, match="unlabelled"):
        read_record_table(frame, tmp_path, unlabelled="drop")
    with pytest.raises(DataError, match="no rows"):
        read_record_table(frame.rename(columns={"file": "record"}).head(0), tmp_path)
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(DataError, match="CSV"):
        read_record_table("t.xlsx", tmp_path)


def test_own_edf_files_with_defaults(root: Path) -> None:
    data = load_eeg_table(root)
    assert data.X.shape == (3 * 9, 128, 2)
    assert data.channel_names == tuple(NAMES)
    assert data.label_names == ("ill", "well")
    assert data.describe()["samples"].to_dict() == {"007": 9, "8": 18}
    assert data.label[data.trial == "a/e2.edf#0"].tolist() == [-1] * 9
    assert data.source["sample_seconds"] == 1.0
    fewer = load_eeg_table(root, unlabelled="skip", label_names=["well"], strict=True)
    assert fewer.log is not None
    assert fewer.log.reasons() == {"no_label": 2}
    assert set(fewer.columns["record"]) == {"a/e1"}


def test_one_file_of_two_patients_is_the_first_ones(root: Path) -> None:
    rows = [("a/e0.edf", "p1", "x"), ("a/e0.edf", "p2", "x"), ("../e1.edf", "p", "x")]
    rows += [("a/e1.edf", "", "x")]
    table = pd.DataFrame(rows, columns=["record", "patient", "label"])
    data = load_eeg_table(root, table)
    assert data.log is not None
    assert data.log.table["reason"].tolist() == [
        *("", "duplicate_record", "unsafe_path", "bad_metadata")
    ]
    assert set(data.patient.tolist()) == {"p1"}


def test_leads_default_to_those_of_the_first_record(root: Path) -> None:
    table = pd.DataFrame({"record": ["a/w0.hea", "a/w1"], "patient": ["p", "q"], "label": "x"})
    data = load_wfdb(root, table, samples_per_trial=2)
    assert data.channel_names == ("I", "II")
    assert set(data.columns["record"]) == {"a/w0", "a/w1"}


def test_band_and_notch_take_out_what_they_should(tmp_path: Path) -> None:
    time = np.arange(5000)[:, None] / 250
    hum, offset = np.sin(2 * np.pi * 50 * time), 3.0
    write_record(tmp_path, "r", bumps(1, 20)[0] + hum + offset, leads=["I"])
    table = pd.DataFrame({"record": ["r"], "patient": ["p"], "label": ["x"]})
    settings = {"cut": "windows", "window_seconds": 2.0, "samples_per_trial": 5}
    raw, clean = (
        load_wfdb(tmp_path, table, **settings, **more)
        for more in ({}, {"band": (0.5, None), "notch": 50})
    )

    def power(data, hertz: float) -> float:
        signal = np.asarray(data.X).reshape(-1)
        spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
        return float(spectrum[round(hertz * len(signal) / 250)])

    for hertz in (50, 0):
        assert power(clean, hertz) < 1e-3 * power(raw, hertz)
    assert power(clean, 5) == pytest.approx(power(raw, 5), rel=0.2)
    assert clean.source["notch"] == [50.0]
