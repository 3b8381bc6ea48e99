import numpy as np
import pytest

from data_loaders import RecordError, load_ptb
from data_loaders.ecg.ptb import LEADS
from tests.data_loaders.wfdb_files import bumps, edit_header, write_record
from tscl.errors import DataError

MI = "Reason for admission: Myocardial infarction"
WELL = "Reason for admission: Healthy control"
FRONT = ["age: 81", "sex: female", "ECG date: 01/10/1990", "Diagnose:"]


def add(root, patient, name, comment, seed, **kwargs):
    """A record in PTB's layout: 1000 Hz, 15 leads, the diagnosis as the fifth comment."""
    signal, _ = bumps(len(LEADS), kwargs.pop("seconds", 11), 1000, seed=seed)
    edit = kwargs.pop("edit", None)
    if edit is not None:
        edit(signal)
    comments = [*FRONT, *([comment] if comment else [])]
    return write_record(root / patient, name, signal, 1000, list(LEADS), comments, **kwargs)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ptb")
    add(folder, "patient001", "s0001_re", MI, 1)
    add(folder, "patient002", "s0002_re", WELL, 2, seconds=20)
    add(folder, "patient003", "s0003_re", "Reason for admission: Valvular heart disease", 3)
    add(folder, "patient004", "s0004_re", None, 4)
    add(folder, "patient005", "s0005_re", MI, 1)
    add(folder, "patient006", "s0006_re", MI, 6)
    edit_header(folder / "patient006" / "s0006_re", "1000.0(0)/mV", "1.0(0)/mV")
    short = add(folder, "patient007", "s0007_re", WELL, 7)
    file = short.with_suffix(".dat")
    file.write_bytes(file.read_bytes()[:-3000])
    add(folder, "patient008", "s0008_re", WELL, 8, seconds=5)
    add(folder, "patient009", "s0009_re", WELL, 9, edit=lambda x: x[:, 14].fill(0))
    names = [f"patient{i:03d}/s{i:04d}_re" for i in range(1, 10)]
    listed = [*names, "patient010/s0010_re", "../outside", names[0]]
    (folder / "RECORDS").write_text("\n".join(listed) + "\n")
    return folder


def test_ptb_beats_trials_labels_and_log(root):
    data = load_ptb(root)
    assert data.X.shape[1:] == (300, 15)
    assert data.channel_names == LEADS
    assert data.label_names == ("healthy control", "myocardial infarction")
    counts = data.describe()
    assert counts["trials"].to_dict() == {"patient001": 1, "patient002": 2}
    assert counts["samples"].to_dict() == {"patient001": 10, "patient002": 20}
    assert set(data.label[data.patient == "patient001"]) == {1}
    assert set(data.label[data.patient == "patient002"]) == {0}
    assert np.abs(data.X[..., 0].argmax(axis=1) - 150).max() <= 2
    assert set(data.sampling_rate) == {250.0}
    assert data.log.table["reason"].tolist() == [
        "", "", "no_label", "no_label", "duplicate_record", "unit_suspect", "truncated_dat",
        "too_short", "flat_lead", "missing_header", "unsafe_path", "duplicate_record",
    ]  # fmt: skip
    assert data.log.n_ok == 2


def test_ptb_writes_no_header_text(root, tmp_path):
    load_ptb(root).save(tmp_path / "d")
    text = (tmp_path / "d" / "dataset.json").read_text()
    table = (tmp_path / "d" / "table.parquet").read_bytes()
    for secret in ("1990", "female", "Valvular", "age"):
        assert secret not in text
        assert secret.encode() not in table


def test_ptb_strict_stops_at_the_first_bad_record(root):
    with pytest.raises(RecordError, match=r"patient004/s0004_re \[no_label\]"):
        load_ptb(root, strict=True)
    good = ["patient001/s0001_re", "patient003/s0003_re"]
    assert load_ptb(root, records=good, strict=True).log.n_ok == 1


def test_ptb_options_and_missing_lead(root):
    one = ["patient002/s0002_re"]
    public = load_ptb(root, records=one, leads=["ii", "v5"], resample_how="linear")
    ours = load_ptb(root, records=one, leads=["ii", "v5"])
    assert public.X.shape[1:] == (300, 2)
    assert not np.array_equal(public.X[0], ours.X[0])
    assert np.abs(public.X.mean(axis=0) - ours.X.mean(axis=0)).max() < 0.5
    with pytest.raises(RecordError, match="missing_lead"):
        load_ptb(root, records=one, leads=["ii", "v9"], strict=True)


def test_ptb_without_a_usable_record(root, tmp_path):
    with pytest.raises(DataError, match=r"all 1 records skipped \(1 x missing_header\)"):
        load_ptb(root, records=["patient010/s0010_re"])
    with pytest.raises(DataError, match="root"):
        load_ptb(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no records"):
        load_ptb(tmp_path / "empty")


def test_ptb_cache_maps_the_same_values_from_disk(root, tmp_path):
    names = ["patient001/s0001_re", "patient002/s0002_re"]
    memory = load_ptb(root, records=names)
    disk = load_ptb(root, records=names, cache=tmp_path)
    assert disk.lazy
    assert not memory.lazy
    np.testing.assert_array_equal(disk.X, memory.X)
    with pytest.raises(DataError):
        load_ptb(root, records=["none/none"], cache=tmp_path / "c")
    assert not list((tmp_path / "c").iterdir())
