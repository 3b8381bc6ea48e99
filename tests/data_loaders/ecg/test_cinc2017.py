"""The challenge's own layout: labels, copies, broken files, the cache, several processes."""

from __future__ import annotations

import os

import numpy as np
import pytest

from data_loaders import RecordError, load_cinc2017
from data_loaders.ecg import cinc2017
from tests.data_loaders.wfdb_files import bumps, edit_header
from tscl.errors import DataError, InputError

LINES = {
    **{"A1": "N", "A2": "A", "A3": "O", "A4": "~", "A5": "N", "B1": "N", "B2": "N", "B3": "A"},
    **{"B4": "N", "B6": "O"},
}


def write(folder, name, seed, seconds=12.0):
    """A record as the challenge stores it: 16-bit values behind 24 bytes of a MATLAB file."""
    folder.mkdir(parents=True, exist_ok=True)
    signal = bumps(1, seconds, 300.0, seed=seed)[0][:, 0]
    whole = np.rint(signal * 1000).astype("<i2")
    (folder / f"{name}.mat").write_bytes(bytes(24) + whole.tobytes())
    check = int(whole.astype(np.int64).sum()) % 65536
    check -= 65536 if check > 32767 else 0
    (folder / f"{name}.hea").write_text(
        f"{name} 1 300 {len(whole)} \n{name}.mat 16+24 1000/mV 16 0 {whole[0]} {check} 0 ECG\n"
    )
    return folder / name


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set" / "training"
    for k in range(1, 6):
        write(folder, f"A{k}", k, seconds=9.0 + 3 * k)
    write(folder, "B1", 2, seconds=15.0)  # A2 again
    cut = write(folder, "B2", 7).with_suffix(".mat")
    cut.write_bytes(cut.read_bytes()[:-500])
    edit_header(write(folder, "B3", 8), "1000/mV", "1000/kg")
    edit_header(write(folder, "B4", 9), " 300 ", " 50 ")
    write(folder, "B5", 10)  # not in the reference
    lines = [f"{name},{label}" for name, label in LINES.items()]
    (tmp_path / "set" / "REFERENCE.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "set"


def test_recordings_labels_copies_and_log(root):
    data = load_cinc2017(root)
    assert data.record.tolist() == ["A1", "A2", "A3", "A4", "A5", "B1", "B5"]
    assert data.label_names == ("N", "A", "O", "~")
    assert data.label.tolist() == [0, 1, 2, 3, 0, 0, -1]
    assert data.patient.tolist() == ["A1", "A2", "A3", "A4", "A5", "A2", "B5"]
    assert data.lengths.tolist() == [1200, 1500, 1800, 2100, 2400, 1500, 1200]
    assert data.sampling_rate == 100.0
    log = data.log.table.set_index("record")
    assert "same values as record A2" in log.loc["B1", "detail"]
    assert log.loc[["B2", "B3", "B4", "B6"], "reason"].tolist() == [
        "truncated_dat", "unit_suspect", "mixed_rate", "missing_header",
    ]  # fmt: skip


def test_values_are_millivolts_at_the_rate_asked_for(root):
    raw = load_cinc2017(root, rate=300, records=["A3"])
    signal = bumps(1, 18.0, 300.0, seed=3)[0]
    np.testing.assert_allclose(raw[0], signal, atol=6e-4)
    low = load_cinc2017(root, rate=100, records=["A3"])[0]
    np.testing.assert_allclose(low[5:-5], signal[::3][5:-5], atol=0.25)  # the peaks lose their tips
    assert np.abs(low[5:-5] - signal[::3][5:-5]).mean() < 0.02
    assert load_cinc2017(root, records=["A3"], band=(0.5, 40)).source["band"] == [0.5, 40]


def test_a_cache_is_read_until_something_changes(root, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = load_cinc2017(root, cache=cache)
    assert first.on_disk
    calls = []
    original = cinc2017.read_record
    monkeypatch.setattr(
        cinc2017, "read_record", lambda *a, **k: calls.append(a) or original(*a, **k)
    )
    again = load_cinc2017(root, cache=cache)
    assert not calls
    assert all(np.array_equal(again[k], first[k]) for k in range(len(first)))
    assert again.log.table.equals(first.log.table)
    with pytest.raises(RecordError, match="truncated_dat"):
        load_cinc2017(root, cache=cache, strict=True)
    load_cinc2017(root, cache=cache, rate=50)
    assert len(calls) == 10 + 1  # B6 has a line and no file
    write(root / "training", "A1", 77, seconds=12.0)
    os.utime(root / "training" / "A1.mat", (1, 1))
    assert not np.array_equal(load_cinc2017(root, cache=cache)[0], first[0])
    assert len(calls) == 22


def test_several_readers_give_the_same(root, monkeypatch):
    from joblib import parallel_config

    alone = load_cinc2017(root)
    monkeypatch.setattr(cinc2017, "PER_PROCESS", 3)
    with parallel_config(backend="threading"):
        shared = load_cinc2017(root, n_jobs=3)
    assert shared.table.equals(alone.table)
    assert np.array_equal(shared.values, alone.values)
    assert shared.log.table.equals(alone.log.table)


def test_other_layouts_of_the_files(root):
    (root / "REFERENCE.csv").rename(root / "training" / "REFERENCE-v3.csv")
    (root / "training" / "A").mkdir()
    for ending in (".hea", ".mat"):
        (root / "training" / f"A1{ending}").rename(root / "training" / "A" / f"A1{ending}")
    assert load_cinc2017(root / "training").record.tolist()[0] == "A1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("A1,N\nA2\n", "line 2"),
        ("A1,X\n", "'X' in line 1"),
        ("A1,N\nA1,A\n", "two labels"),
        (b"\xff\xfeA1,N", "cannot be read"),
    ],
)
def test_a_damaged_reference_is_named(root, text, says):
    content = text if isinstance(text, bytes) else text.encode()
    (root / "REFERENCE.csv").write_bytes(content)
    with pytest.raises(DataError, match=says):
        load_cinc2017(root)


def test_what_cannot_be_read_is_named(root, tmp_path):
    with pytest.raises(DataError, match="root"):
        load_cinc2017(tmp_path / "nothing")
    with pytest.raises(InputError, match="rate: got 0"):
        load_cinc2017(root, rate=0)
    with pytest.raises(InputError, match="Z9"):
        load_cinc2017(root, records=["A1", "Z9"])
    with pytest.raises(RecordError, match="kg"):
        load_cinc2017(root, records=["B3"], strict=True)
    with pytest.raises(DataError, match="all 1 records skipped"):
        load_cinc2017(root, records=["B3"])
    (root / "REFERENCE.csv").unlink()
    with pytest.raises(DataError, match=r"REFERENCE\.csv"):
        load_cinc2017(root)
