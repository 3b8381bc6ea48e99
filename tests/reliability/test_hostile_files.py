"""Files made to do harm: one test for each kind of defect found, and paths that leave."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_loaders import (
    MedicalDataset,
    RecordError,
    load_cohort,
    load_csv,
    load_mitbih,
    load_processed,
    load_ptbxl,
    load_ts,
    load_uci_eeg,
    load_wfdb,
    make_cohort,
    read_eeg,
)
from data_loaders.container.fields import as_ids, as_labels
from data_loaders.ecg.records import read_record
from data_loaders.eeg.participants import list_recordings
from data_loaders.vetting.arrays import ArrayFileError, read_npy, read_npz
from data_loaders.vetting.paths import inside
from tests.data_loaders.eeg_writers import brainlike, write_edf, write_set
from tests.data_loaders.wfdb_files import bumps, edit_header, write_record
from tests.reliability.fuzz_targets import TARGETS
from tests.reliability.mutations import BOMB
from tscl.encoders import ENCODERS
from tscl.errors import CheckpointError, ConfigError, DataError, InputError
from tscl.runs.config import parse_yaml
from tscl.runs.folder import RunFolder
from tscl.runs.jobs import check_job
from tscl.saving.cells import ResultStore
from tscl.saving.encoder import load_encoder, save_encoder


def npy(header: str) -> bytes:
    """A .npy file of this header and eight bytes of values."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 8


HEADERS = {
    "no Python": "{'descr': '<f4', 'fortran_order': False, 'shape': (1, ",
    "unknown type": "{'descr': 'Vloat', 'fortran_order': False, 'shape': (1,), }",
    "huge": "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }",
    "overflow": "{'descr': '<f8', 'fortran_order': False, 'shape': (2, " + "9" * 40 + "), }",
    "negative": "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "nested": "(" * 100,
}


@pytest.mark.parametrize("kind", HEADERS)
def test_npy_headers_are_checked_before_memory_is_taken(tmp_path, kind):
    path = tmp_path / "x.npy"
    path.write_bytes(npy(HEADERS[kind]))
    for mmap in (True, False):
        with pytest.raises(ArrayFileError):
            read_npy(path, mmap=mmap)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", path.read_bytes())
    with pytest.raises(ArrayFileError):
        read_npz(tmp_path / "x.npz", kinds="fiubUO")
    (tmp_path / "Label").mkdir()
    path.rename(tmp_path / "Label/label.npy")
    with pytest.raises(DataError):
        load_processed(tmp_path, 1.0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">i8", "?", "<U3"])
def test_good_arrays_are_read_as_numpy_reads_them(tmp_path, order, kind):
    values = np.array(np.arange(12).reshape(3, 4), dtype=kind, order=order)  # type: ignore[call-overload]
    np.save(tmp_path / "x.npy", values)
    np.savez_compressed(tmp_path / "x.npz", x=values, empty=np.empty((0, 3)))
    for mmap in (True, False):
        found = read_npy(tmp_path / "x.npy", mmap=mmap, kinds="fiubU")
        np.testing.assert_array_equal(found, values)
    packed = read_npz(tmp_path / "x.npz", kinds="fiubU")
    np.testing.assert_array_equal(packed["x"], values)
    assert packed["empty"].shape == (0, 3)


def test_archives_that_unpack_to_anything_are_refused(tmp_path):
    path = tmp_path / "co.npz"

    def refused(name: str, content: bytes, match: str) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
        with pytest.raises(ArrayFileError, match=match):
            read_npz(path, kinds="fiubU")

    head = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9000000,), }")
    refused("x.npy", head + b"\0" * 80_000_000, "unpacks from")
    refused("../x.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }"), "named")
    refused("x.npy", pickle.dumps([1, 2]), "header")
    text = npy("{'descr': '<U2', 'fortran_order': False, 'shape': (1,), }")
    refused("x.npy", text[:-8] + struct.pack("<II", 0x110000, 65), "no Unicode")
    path.write_bytes(b"PK\x03\x04" + b"\0" * 40)
    with pytest.raises(DataError):
        load_uci_eeg(tmp_path)
    assert list(tmp_path.parent.glob("x.npy")) == []


def test_a_table_of_unknown_types_is_a_named_error(tmp_path):
    x = np.zeros((3, 4, 1), np.float32)
    place = MedicalDataset(x, [0, 1, 0], [1, 2, 3], [1, 2, 3], 1.0).save(tmp_path / "set")
    for damage in (
        lambda b: b.replace(b"float64", b"Vloat64"),
        lambda b: b[:-20] + b"\0" * 12 + b[-8:],
    ):
        content = damage((place / "table.parquet").read_bytes())
        (place / "table.parquet").write_bytes(content)
        meta = json.loads((place / "dataset.json").read_text())
        meta["sha256"]["table.parquet"] = hashlib.sha256(content).hexdigest()
        (place / "dataset.json").write_text(json.dumps(meta))
        with pytest.raises(DataError, match="damaged"):
            MedicalDataset.load(place)
    (place / "dataset.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="damaged"):
        MedicalDataset.load(place)


def test_a_huge_class_code_does_not_make_as_many_names():
    with pytest.raises(InputError, match="label_names"):
        as_labels(np.array([0, 2**40]), None, 2)


def test_ids_beyond_64_bits_become_text():
    assert as_ids("patient", [2**70, 1], 2).tolist() == [str(2**70), "1"]


def test_ptbxl_rows_without_numbers_are_left_out_or_named(tmp_path):
    TARGETS["PTB-XL tables"].make(tmp_path)
    table = pd.read_csv(tmp_path / "ptbxl_database.csv", dtype=str)
    for bad in ("x", "", "1e400", "-3"):
        table.loc[0, "patient_id"] = bad
        table.to_csv(tmp_path / "ptbxl_database.csv", index=False)
        with pytest.raises(RecordError, match="bad_metadata"):
            load_ptbxl(tmp_path, strict=True)
        assert load_ptbxl(tmp_path).log.reasons() == {"bad_metadata": 1}  # type: ignore[union-attr]


# -- names and paths ----------------------------------------------------------------------------

LEAVING = ("../x", "a/../../x", "/etc/passwd", "..\\x", "C:\\x", "\\\\host\\x", "x\0", "n" * 300)


@pytest.mark.parametrize("name", LEAVING)
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(RecordError, match="unsafe_path"):
        inside(tmp_path, name, "r")
    frame = pd.DataFrame({"record": [name], "patient": ["a"], "label": ["x"]})
    with pytest.raises(RecordError, match="unsafe_path"):
        load_wfdb(tmp_path, frame, leads=["I"], strict=True)
    with pytest.raises(RecordError, match="unsafe_path"):
        load_mitbih(tmp_path, records=[name], strict=True)


@pytest.mark.parametrize(
    "name", ["../x.dat", "/etc/passwd", "http://host/x.dat", "s3://bucket/x.dat", "~", "n" * 300]
)
def test_wfdb_headers_name_files_of_their_folder_only(tmp_path, name):
    path = write_record(tmp_path / "in", "r", bumps(1, seconds=2.0)[0], leads=["I"])
    (tmp_path / "x.dat").write_bytes((tmp_path / "in/r.dat").read_bytes())
    edit_header(path, "r.dat", name)
    with pytest.raises(RecordError, match=r"unsafe_path|bad_header"):
        read_record(path)


def test_nothing_is_fetched_for_what_is_missing(tmp_path, monkeypatch):
    import socket

    def connect(*arguments: object) -> None:
        raise AssertionError("a connection was tried")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    write_record(tmp_path, "r", bumps(1, seconds=2.0)[0], leads=["I"])
    (tmp_path / "r.dat").unlink()
    for name in ("r", "100", "mitdb/100", "s3:/bucket/100"):
        with pytest.raises(RecordError, match="missing"):
            read_record(tmp_path / name)


def test_a_cohort_names_files_of_its_folder_only(tmp_path):
    make_cohort(tmp_path / "c", n_patients=2, trials_per_patient=1, seconds=2.0, n_channels=2)
    truth = json.loads((tmp_path / "c/cohort.json").read_text())
    for change in ({"file": "../x"}, {"sha256": {"/etc/passwd": "0"}}, {"file": "n" * 300}):
        changed = {**truth, "patients": [truth["patients"][0] | change]}
        (tmp_path / "c/cohort.json").write_text(json.dumps(changed))
        with pytest.raises(RecordError, match="unsafe_path"):
            load_cohort(tmp_path / "c", strict=True)


def test_a_cohort_of_an_infinite_label_is_damaged(tmp_path):
    make_cohort(tmp_path / "c", n_patients=2, trials_per_patient=1, seconds=2.0, n_channels=2)
    truth = json.loads((tmp_path / "c/cohort.json").read_text())
    truth["patients"][0]["label"] = float("inf")
    (tmp_path / "c/cohort.json").write_text(json.dumps(truth))
    with pytest.raises(DataError, match="damaged"):
        load_cohort(tmp_path / "c")


def test_participants_of_strange_ids_find_nothing(tmp_path):
    names = ["..", "/etc", "n" * 5000, "*", "a\0"]
    table = pd.DataFrame({"id": names, "group": ["x"] * 5})
    listed = list_recordings(
        tmp_path, table, id_columns=["id"], label_columns=["group"], classes={"x": ("x",)}
    )
    assert {one.path for one in listed} == {tmp_path / "no recording.edf"}


# -- claims -------------------------------------------------------------------------------------


def test_claims_of_wfdb_headers_are_held_against_the_files(tmp_path):
    edits = (
        *((" 500\n", " 900000000000\n"), ("r 1", "r 9999")),
        *((" 250 ", " 1e-9 "), (" 250 ", " 1e300 ")),
    )
    for number, (old, new) in enumerate(edits):
        path = write_record(tmp_path / str(number), "r", bumps(1, seconds=2.0)[0], leads=["I"])
        edit_header(path, old, new)
        with pytest.raises(RecordError):
            read_record(path)


def test_an_edf_of_a_rate_that_cannot_be_is_refused(tmp_path):
    path = write_edf(tmp_path / "x.edf", brainlike(256, 2, rate=64.0), ["Fp1", "O2"], 64.0)
    content = bytearray(path.read_bytes())
    content[244:252] = b"99999999"
    path.write_bytes(bytes(content))
    with pytest.raises(RecordError, match="bad_header"):
        read_eeg(path, target_rate=100.0)


def test_damaged_matlab_files_are_refused_before_scipy_reads_them(tmp_path):
    path = write_set(tmp_path / "x.set", brainlike(256, 2, rate=64.0), ["Fp1", "O2"], 64.0)
    whole = path.read_bytes()
    assert read_eeg(path).signal.shape == (256, 2)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        content = bytearray(whole)
        at = int(rng.integers(128, 1200))
        content[at : at + 4] = struct.pack("<i", int(rng.choice([-1, 2**31 - 1, 10**6, 0])))
        path.write_bytes(bytes(content))
        try:
            read_eeg(path)
        except RecordError:
            refused += 1
    assert refused > 20


def test_a_fif_chain_that_leads_back_is_refused(tmp_path):
    TARGETS["FIF"].make(tmp_path)
    path = tmp_path / "x_raw.fif"
    whole = path.read_bytes()
    assert read_eeg(path).signal.shape == (256, 2)
    for field, value in ((12, 16), (12, 0x7FFFFFFF), (8, 0x7FFFFFFF), (8, -5)):
        second = 16 + struct.unpack_from(">i", whole, 8)[0]
        content = bytearray(whole)
        content[second + field : second + field + 4] = struct.pack(">i", value)
        path.write_bytes(bytes(content))
        with pytest.raises(RecordError):
            read_eeg(path)


def test_gaps_that_would_fill_the_memory_are_refused(tmp_path):
    times = [f"2020-01-01 00:00:0{i}" for i in range(9)] + ["2120-01-01 00:00:00"]
    frame = pd.DataFrame({"date": times, "OT": range(10)})
    frame.to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(DataError, match="long gaps"):
        load_csv(tmp_path / "x.csv", irregular="fill")


def test_one_long_series_among_many_short_ones_is_refused(tmp_path):
    head = "@problemName x\n@timeStamps false\n@missing false\n@univariate true\n"
    head += "@equalLength false\n@classLabel true a b\n@data\n"
    rows = "1:a\n" * 1000 + ",".join(["1"] * 20_000) + ":b\n"
    (tmp_path / "x.ts").write_text(head + rows)
    with pytest.raises(DataError, match="longest"):
        load_ts(tmp_path / "x.ts")


@pytest.mark.parametrize(
    ("key", "value"), [("hidden_dims", 10**8), ("depth", 10**7), ("depth", "x"), ("depth", -1)]
)
def test_a_model_card_cannot_ask_for_more_than_its_weights(tmp_path, key, value):
    encoder = ENCODERS.build("tcn", input_dims=2, output_dims=4, hidden_dims=4, depth=1)
    save_encoder(tmp_path, encoder)
    head = json.loads((tmp_path / "encoder.json").read_text())
    head["format"], head["config"][key] = 1, value
    (tmp_path / "encoder.json").write_text(json.dumps(head))
    with pytest.raises(CheckpointError):
        load_encoder(tmp_path)


# -- settings and results -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "9" * 5000,
        BOMB.decode(),
        "&a [*a]",
        "[" * 1500,
        "!!python/object/apply:os.system ['id']",
        "a: 2001-13-45",
        "a: !!timestamp x",
        "? {a: b}\n: 1",
        "a: \x00",
    ],
    ids=lambda text: text[:12].replace("\0", "NUL"),
)
def test_yaml_that_is_no_configuration_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "text")
    assert len(str(caught.value)) < 2000


def test_infinite_settings_are_refused():
    with pytest.raises(ConfigError, match="finite"):
        check_job({"train": {"lr": float("inf")}})


def test_damaged_run_folders_are_named(tmp_path):
    run = RunFolder(tmp_path)
    for content in (b"\xff\xfe\xff", b"a: [", b"- 1", b"a: " + b"9" * 5000):
        (tmp_path / "config.yaml").write_bytes(content)
        with pytest.raises((CheckpointError, ConfigError)):
            run.config()
    for content in (b"step,loss\n0,x\n", b"step\n0,1,2\n", b"step\n\xff\n"):
        (tmp_path / "history-m.csv").write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged"):
            run.history("m")


def test_damaged_results_are_named(tmp_path):
    for line in ('{"key": {"n": 1}}', '{"key": {"n": 1}, "facts": 3}', "[" * 9999, "3", "{}"):
        (tmp_path / "cell.json").write_text(line + "\n")
        with pytest.raises(CheckpointError):
            ResultStore(tmp_path)


def test_a_rerun_without_resume_forgets_what_was_there(tmp_path):
    run = RunFolder(tmp_path)
    config = check_job({"out": str(tmp_path)})
    run.begin(config, resume=False)
    for name in ("models", "checkpoints"):
        (tmp_path / name / "autotcl").mkdir(parents=True)
    run.begin(config, resume=True)
    assert Path(tmp_path / "models/autotcl").is_dir()
    run.begin(config, resume=False)
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "checkpoints").exists()
