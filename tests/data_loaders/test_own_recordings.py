"""One's own recordings by a table: how the table is read, defaults, filters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from data_loaders import RecordError, load_eeg_table, load_mitbih, load_ptb, load_ptbxl, load_wfdb
from data_loaders.ecg import ptb, ptbxl
from data_loaders.own_recordings import read_record_table
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
    with pytest.raises(DataError, match=r"no text in UTF-8: save it .* as 'CSV UTF-8'"):
        read_record_table("t.xlsx", tmp_path)
    (tmp_path / "t.csv").write_bytes("record,patient,label\nr,Köhler,x\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read_record_table("t.csv", tmp_path)


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


def _archive(kind: str, folder: Path) -> None:
    """One record of the kind's layout, an ECG on a level of 3 mV in every lead."""
    if kind == "ptb":
        signal = bumps(15, 20, 1000, seed=1)[0] + 3.0
        comments = ["Reason for admission: Healthy control"]
        write_record(folder / "patient001", "r", signal, 1000, list(ptb.LEADS), comments)
        return
    rate = 100 if kind == "ptbxl" else 360
    signal, peaks = bumps(12, 20, rate, seed=1)
    leads = list(ptbxl.LEADS)
    if kind == "mitbih":
        leads[0] = "MLII"
        wfdb.wrann("r", "atr", peaks, ["N"] * len(peaks), write_dir=str(folder))
    else:
        row = {"ecg_id": 1, "patient_id": 1, "scp_codes": "{'NORM': 100.0}", "strat_fold": 1}
        pd.DataFrame([{**row, "filename_lr": "r", "filename_hr": "r"}]).to_csv(
            folder / "ptbxl_database.csv", index=False
        )
        codes = pd.DataFrame({"diagnostic": [1], "diagnostic_class": ["NORM"]}, index=["NORM"])
        codes.to_csv(folder / "scp_statements.csv")
    write_record(folder, "r", signal + 3.0, rate, leads)


@pytest.mark.parametrize("kind", ["ptbxl", "mitbih"])
def test_archives_take_filters_too(kind: str, tmp_path: Path) -> None:
    _archive(kind, tmp_path)
    load = {"ptbxl": load_ptbxl, "mitbih": load_mitbih}[kind]
    raw, clean = load(tmp_path), load(tmp_path, band=(0.5, None), notch=[40])
    assert np.median(np.asarray(raw.X)) == pytest.approx(3.0, abs=0.3)
    assert np.median(np.asarray(clean.X)) == pytest.approx(0.0, abs=0.3)
    assert (clean.source["band"], clean.source["notch"]) == ([0.5, None], [40.0])
    assert "band" not in raw.source


def test_ptb_filters_before_it_resamples(tmp_path: Path) -> None:
    _archive("ptb", tmp_path)
    raw, clean = load_ptb(tmp_path), load_ptb(tmp_path, notch=[250.0], band=(None, 300.0))
    assert raw.X.shape == clean.X.shape
    assert clean.source["notch"] == [250.0]
    with pytest.raises(InputError, match="500 Hz"):
        load_ptb(tmp_path, notch=600)


@pytest.fixture
def wfdb_root(tmp_path):
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


def test_own_records_by_table(wfdb_root):
    data = load_wfdb(wfdb_root, table(), leads=["II"], target_rate=250)
    assert data.X.shape[1:] == (300, 1)
    assert data.label_names == ("ill", "well")
    assert data.describe()["samples"].to_dict() == {"p0": 10, "p1": 20}
    assert sorted(set(data.label)) == [-1, 0, 1]
    assert data.log.table["reason"].tolist() == [
        "", "", "", "missing_header", "unsafe_path", "duplicate_record", "bad_metadata",
    ]  # fmt: skip


def test_own_records_as_windows_from_a_csv_file(wfdb_root):
    table().to_csv(wfdb_root / "t.csv", index=False)
    data = load_wfdb(
        wfdb_root, "t.csv", leads=["I", "II"], cut="windows", window_seconds=2, overlap=0.5,
        samples_per_trial=4, label_names=["well"],
    )  # fmt: skip
    assert data.X.shape == (8, 500, 2)
    assert data.log.reasons() == {"no_label": 4, "mixed_rate": 1, "bad_metadata": 1}
    assert data.log.n_ok == 1
    np.testing.assert_allclose(data.X[0, 250:], data.X[1, :250])


def test_own_records_name_bad_input(wfdb_root, tmp_path):
    with pytest.raises(RecordError, match=r"a/r2 \[mixed_rate\]"):
        load_wfdb(wfdb_root, table(), leads=["I"], strict=True)
    with pytest.raises(InputError, match="cut"):
        load_wfdb(wfdb_root, table(), leads=["I"], cut="moon")
    with pytest.raises(DataError, match="patient"):
        load_wfdb(wfdb_root, table()[["record", "label"]], leads=["I"])
    with pytest.raises(DataError, match="no such file"):
        load_wfdb(wfdb_root, tmp_path / "none.csv", leads=["I"])
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
def test_zero_is_no_default(wfdb_root, setting, value):
    with pytest.raises(InputError) as caught:
        load_wfdb(wfdb_root, table(), leads=["II"], **{setting: value})
    assert caught.value.field == setting


def test_further_columns_of_the_table_are_kept(wfdb_root, tmp_path):
    frame = table().iloc[:2].assign(age=[70, 61], sex=["f", None], site=["007", "8"], trial="t")
    frame.to_csv(wfdb_root / "t.csv", index=False)
    data = load_wfdb(wfdb_root, "t.csv", leads=["II"], strict=True)
    rows = data.table.groupby("record")[["age", "sex", "site", "table trial"]].first()
    assert rows.loc["a/r0"].tolist() == [70, "f", "007", "t"]
    assert rows.loc["a/r1"].tolist() == [61, "", "8", "t"]
    assert data.table["age"].dtype.kind in "if"
    write_edf(tmp_path / "e.edf", brainlike(640, 2, 0, 128), NAMES, 128)
    one = pd.DataFrame({"record": ["e"], "patient": ["p"], "label": ["x"], "age": [50.5]})
    assert set(load_eeg_table(tmp_path, one).table["age"]) == {50.5}


def test_leads_upside_down_are_in_the_log(tmp_path):
    signal = bumps(2, 20)[0] * [1, -1]
    write_record(tmp_path, "r", signal, leads=["I", "aVR"])
    frame = pd.DataFrame({"record": ["r"], "patient": ["p"], "label": ["x"]})
    data = load_wfdb(tmp_path, frame, strict=True)
    assert "R waves point down in aVR" in data.log.lines[0].detail


def test_old_names_of_settings_warn(wfdb_root):
    frame = table().iloc[:1]
    with pytest.warns(FutureWarning, match="beats_per_trial is called samples_per_trial now"):
        old = load_wfdb(wfdb_root, frame, leads=["II"], beats_per_trial=2)
    new = load_wfdb(wfdb_root, frame, leads=["II"], samples_per_trial=2)
    np.testing.assert_array_equal(old.X, new.X)
    with pytest.raises(InputError, match="give it or"):
        load_wfdb(wfdb_root, frame, samples_per_trial=2, beats_per_trial=2)
    with pytest.raises(InputError, match="did you mean 'window_seconds'"):
        load_wfdb(wfdb_root, frame, window_second=2)
