import struct

import numpy as np
import pytest
import wfdb

from data_loaders import RecordError, assert_disjoint, fixed_split, load_mitbih
from data_loaders.ecg.mitbih import DS1, DS2, PACED, read_beats
from data_loaders.ecg.records import read_record
from data_loaders.splits.leakage import leakage_statement
from tests.data_loaders.wfdb_files import bumps, write_record
from tscl.errors import DataError, InputError, LeakageError
from tscl.runs.clinical.data import make_folds
from tscl.runs.clinical.splits import OfficialSplit

SYMBOLS = ["+", "N", "V", "A", "~", "F", "/", "L", "N", "N", "N", "N", "N"]


def add(root, name, leads=("MLII", "V1"), seed=0, at=None, symbols=SYMBOLS, rate=360):
    signal, peaks = bumps(2, 14, rate, seed=seed)
    write_record(root, name, signal, rate, list(leads))
    places = peaks[: len(symbols)] if at is None else np.asarray(at)
    wfdb.wrann(name, "atr", places, symbols[: len(places)], write_dir=str(root))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mit")
    add(folder, "100", seed=1)
    add(folder, "114", ("V5", "MLII"), seed=2)
    add(folder, "102", ("V5", "V2"), seed=3)
    add(folder, "101", ("V5", "V2"), seed=4)
    add(folder, "103", seed=5, at=[400, 90000], symbols=["N", "N"])
    add(folder, "105", seed=6, symbols=["+", "~"], at=[100, 500])
    add(folder, "106", seed=7)
    (folder / "106.atr").unlink()
    add(folder, "108", seed=1)
    add(folder, "109", seed=9, rate=250)
    return folder


def test_mitbih_beats_classes_trials_and_log(root):
    data = load_mitbih(root)
    assert data.X.shape[1:] == (360, 1)
    assert data.label_names == ("N", "S", "V", "F", "Q")
    first = data.subset(data.patient == "100")
    assert first.label.tolist() == [0, 2, 1, 3, 4, 0, 0, 0, 0, 0, 0]
    assert first.trial.tolist() == ["100#0"] * 10 + ["100#1"]
    assert set(data.columns["split"]) == {"DS1", "DS2"}
    assert np.abs(data.X[:, :, 0].argmax(axis=1) - 144).max() <= 1
    table = data.log.table.set_index("record")["reason"].to_dict()
    assert table == {
        "100": "", "101": "missing_lead", "103": "length_mismatch", "105": "no_beats",
        "106": "missing_annotation", "108": "duplicate_record", "109": "mixed_rate", "114": "",
    }  # fmt: skip


def test_mitbih_takes_the_lead_by_name_not_by_place(root):
    lead = load_mitbih(root, records=["114"]).X
    other = load_mitbih(root, records=["114"], leads=["V1|V5"]).X
    signal, _ = bumps(2, 14, 360, seed=2)
    at = np.where(np.diff((signal[:, 1] > 0.7).astype(int)) == 1)[0][1]
    start = int(at) - 144
    best = min(np.abs(lead[0, :, 0] - signal[start + k : start + k + 360, 1]).max()
               for k in range(20))  # fmt: skip
    assert best < 0.01
    assert not np.array_equal(lead, other)


def test_mitbih_options(root):
    data = load_mitbih(
        root, records=["100", "109"], classes=["V", "N"], target_rate=180.0, beats_per_trial=3,
        keep_remainder=False, before_seconds=0.25, after_seconds=0.5,
    )  # fmt: skip
    assert data.X.shape == (12, 135, 1)
    assert data.label_names == ("V", "N")
    assert len(np.unique(data.trial)) == 4
    assert np.abs(data.X[:, :, 0].argmax(axis=1) - 45).max() <= 1
    with pytest.raises(RecordError, match=r"101 \[missing_lead\]"):
        load_mitbih(root, strict=True)
    for bad in ({"classes": ["X"]}, {"classes": []}, {"after_seconds": 0}):
        with pytest.raises(InputError):
            load_mitbih(root, **bad)
    with pytest.raises(DataError, match="root"):
        load_mitbih(root / "none")


def test_mitbih_damaged_annotation_and_unsafe_name(root, tmp_path):
    add(tmp_path, "100")
    (tmp_path / "100.atr").write_bytes(b"\x01")
    with pytest.raises(RecordError) as caught:
        load_mitbih(tmp_path, strict=True)
    assert caught.value.reason in ("corrupt_file", "no_beats")
    with pytest.raises(RecordError, match="unsafe_path"):
        load_mitbih(tmp_path, records=["../100"], strict=True)


def test_mitbih_split_lists():
    assert len(set(DS1)) == len(set(DS2)) == 22
    assert not set(DS1) & set(DS2)
    assert not (set(DS1) | set(DS2)) & set(PACED)


def test_mitbih_201_and_202_are_one_person(tmp_path):
    add(tmp_path, "201", seed=1)
    add(tmp_path, "202", seed=2)
    data = load_mitbih(tmp_path)
    assert set(data.patient) == {"201"}
    assert len(np.unique(data.trial)) == 4
    with pytest.raises(LeakageError, match="201"):
        fixed_split(data.table, {"train": ["DS1"], "test": ["DS2"]}, column="split")


def test_real_mitbih_official_split_by_lead_name(shared_data):
    data = load_mitbih(shared_data / "mitdb-24", records=["114", "100", "213"])
    assert data.log.n_ok == 3
    counts = data.describe()
    assert counts.loc["100", "samples"] == 2271
    assert counts.loc["213", "F"] > 300
    parts = fixed_split(data.table, {"train": ["DS1"], "test": ["DS2"]}, column="split")
    assert_disjoint(data.table, parts)
    assert set(data.patient[parts["train"]]) == {"114"}


@pytest.mark.parametrize(
    ("setting", "value"), [("target_rate", 0), ("target_rate", -1), ("beats_per_trial", 0)]
)
def test_mitbih_zero_is_no_default(root, setting, value):
    with pytest.raises(InputError) as caught:
        load_mitbih(root, **{setting: value})
    assert caught.value.field == setting


def annotations(at, clock=None):
    """An annotation file of normal beats, in the bytes of annot(5)."""
    words = bytearray()
    if clock:
        text = f"## time resolution: {clock}".encode()
        words += struct.pack("<HH", 22 << 10, 63 << 10 | len(text)) + text + b"\0" * (len(text) % 2)
    before = 0
    for step in at:
        interval, before = int(step) - before, int(step)
        if interval > 1023:
            words += struct.pack("<HHH", 59 << 10, interval >> 16, interval & 0xFFFF)
            interval = 0
        words += struct.pack("<H", 1 << 10 | interval)
    return bytes(words) + b"\0\0"


@pytest.mark.parametrize("clock", [None, 360, 180, 90, 250, 720])
def test_annotations_on_a_clock_of_their_own(tmp_path, clock):
    signal, peaks = bumps(1, 14, 360)
    write_record(tmp_path, "100", signal, 360, ["MLII"])
    counted = np.round(peaks * (clock or 360) / 360)
    (tmp_path / "100.atr").write_bytes(annotations(counted, clock))
    data = load_mitbih(tmp_path, strict=True)
    # The clock's own step is all that may be lost.
    assert np.abs(data.X[:, :, 0].argmax(axis=1) - 144).max() <= 1 + 180 / (clock or 360)
    assert len(data) == len(peaks)
    at, kind = read_beats(tmp_path / "100", read_record(tmp_path / "100"))
    np.testing.assert_allclose(at, counted * 360 / (clock or 360))
    assert set(kind) == {"N"}


def test_annotations_count_frames_unless_they_say_otherwise(tmp_path):
    signal, peaks = bumps(1, 14, 360)
    d = np.round(signal[:, 0] * 1000).astype("<i2")
    (tmp_path / "100.dat").write_bytes(d.tobytes())
    (tmp_path / "100.hea").write_text(
        f"100 1 90 {len(d) // 4}\n100.dat 16x4 1000 16 0 0 0 0 MLII\n"
    )
    (tmp_path / "100.atr").write_bytes(annotations(np.round(peaks / 4)))
    data = load_mitbih(tmp_path, strict=True)
    assert set(data.sampling_rate) == {360.0}
    assert np.abs(data.X[:, :, 0].argmax(axis=1) - 144).max() <= 3


def test_names_are_the_records_own_in_any_folder(tmp_path):
    folder = tmp_path / "mitdb"
    for seed, name in enumerate(("100", "102", "201", "202")):
        add(folder, name, seed=seed)
    inner, outer = load_mitbih(folder), load_mitbih(tmp_path)
    assert set(outer.patient) == {"100", "201"}
    assert outer.columns.equals(inner.columns)
    assert outer.trial.tolist() == inner.trial.tolist()
    assert outer.log.table.equals(inner.log.table)
    detail = outer.log.table.set_index("record")["detail"]
    assert "one person with 201" in detail["202"]
    add(tmp_path / "copy", "100", seed=9)
    assert load_mitbih(tmp_path).log.reasons() == {"duplicate_record": 1}


def test_an_official_split_leaves_the_second_record_of_one_person_out(tmp_path, caplog):
    for seed, name in enumerate(("101", "201", "202", "100")):
        add(tmp_path, name, seed=seed)
    data = load_mitbih(tmp_path)
    (fold,) = make_folds(data, OfficialSplit(), seed=0)
    records = data.columns["record"].to_numpy()
    assert {name: set(records[rows]) for name, rows in fold.parts.items()} == {
        "train": {"101", "201"},
        "test": {"100"},
    }
    assert "201 in DS1 and DS2; left out of DS2" in caplog.text
    spare = int((records == "202").sum())
    assert f"in no part, of patients who are in one: {spare} samples (201)" in leakage_statement(
        data, fold.parts
    )
