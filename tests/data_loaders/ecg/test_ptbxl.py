import numpy as np
import pandas as pd
import pytest

from data_loaders import RecordError, load_ptbxl
from data_loaders.ecg.ptbxl import LEADS, parse_codes, task_label
from tests.data_loaders.wfdb_files import bumps, write_record
from tscl.errors import DataError, InputError

ROWS = [
    (1, 10.0, "{'NORM': 100.0, 'SR': 0.0}"),
    (2, 11.0, "{'IMI': 50.0, 'NORM': 50.0}"),
    (3, 12.0, "{'NST_': 100.0}"),
    (4, 13.0, "{'SR': 0.0}"),
    (5, 14.0, "__import__('os').system('true')"),
    (6, np.nan, "{'NORM': 100.0}"),
    (7, 15.0, "{'NORM': 100.0}"),
    (7, 15.0, "{'NORM': 100.0}"),
    (8, 16.0, "{'NORM': 100.0}"),
    (9, 17.0, "{'NORM': 100.0}"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ptbxl")
    rows = []
    for i, (number, patient, codes) in enumerate(ROWS):
        name = f"records100/00000/{number:05d}_lr"
        rows.append(
            {
                "ecg_id": number, "patient_id": patient, "recording_date": "1984-11-09",
                "report": "secret text", "scp_codes": codes, "strat_fold": i % 10 + 1,
                "filename_lr": name if number != 9 else "../00009_lr", "filename_hr": "x",
            }
        )  # fmt: skip
        rate = 50 if number == 8 else 100
        signal, _ = bumps(12, 10, rate, seed=number)
        write_record(folder / "records100" / "00000", f"{number:05d}_lr", signal, rate, list(LEADS))
    pd.DataFrame(rows).to_csv(folder / "ptbxl_database.csv", index=False)
    statements = pd.DataFrame(
        {"diagnostic": [1, 1, 1, None], "diagnostic_class": ["NORM", "MI", "STTC", None]},
        index=["NORM", "IMI", "NST_", "SR"],
    )
    statements.to_csv(folder / "scp_statements.csv")
    return folder


def test_ptbxl_windows_labels_and_log(root, tmp_path):
    data = load_ptbxl(root)
    assert data.X.shape == (28, 250, 12)
    assert data.log.table["reason"].tolist() == [
        "", "", "", "no_label", "bad_metadata", "bad_metadata", "", "duplicate_record",
        "mixed_rate", "unsafe_path",
    ]  # fmt: skip
    assert data.describe("label")["patients"].to_dict() == {"abnormal": 2, "normal": 2}
    assert data.patient.dtype == np.int64
    assert data.columns["strat_fold"].tolist() == [1] * 7 + [2] * 7 + [3] * 7 + [7] * 7
    np.testing.assert_allclose(data.X[0, 125:], data.X[1, :125])
    data.save(tmp_path / "d")
    blob = (tmp_path / "d" / "dataset.json").read_bytes()
    blob += (tmp_path / "d" / "table.parquet").read_bytes()
    assert b"1984" not in blob
    assert b"secret" not in blob


def test_ptbxl_tasks_beats_and_strict(root):
    data = load_ptbxl(root, task="norm_vs_mi", ecg_ids=[1, 2, 3])
    assert (data.log.n_ok, data.label_names) == (2, ("NORM", "MI"))
    data = load_ptbxl(root, task="superclass", limit=3)
    assert sorted(np.unique(data.label)) == [0, 2]
    beats = load_ptbxl(root, cut="beats", limit=1, leads=["II", "V5"])
    assert beats.X.shape[1:] == (120, 2)
    assert len(beats) >= 9
    with pytest.raises(RecordError, match=r"00005_lr \[bad_metadata\]"):
        load_ptbxl(root, strict=True)


def test_task_labels():
    assert task_label({"NORM"}, "norm_vs_abnormal") == 0
    assert task_label({"NORM", "CD"}, "norm_vs_abnormal") == 1
    assert task_label(set(), "norm_vs_abnormal") is None
    assert task_label({"NORM", "MI"}, "norm_vs_mi") == 1
    assert task_label({"CD"}, "norm_vs_mi") is None
    assert task_label({"NORM", "CD"}, "norm_vs_mi") is None
    assert task_label(set(), "norm_vs_mi") is None
    assert task_label({"HYP"}, "superclass") == 4
    assert task_label({"HYP", "CD"}, "superclass") is None


def test_codes_are_parsed_as_data_only():
    assert parse_codes("{'NORM': 80, 'SR': 0.0}") == {"NORM": 80.0, "SR": 0.0}
    for bad in ("[1]", "open('x')", "{'a': 'b'}", "(" * 3000, "{" + "'a': 1," * 2000, 3.0, "{"):
        with pytest.raises(ValueError):
            parse_codes(bad)


@pytest.mark.parametrize(
    "kwargs", [{"task": "moon"}, {"rate": 250}, {"cut": "x"}, {"columns": ["recording_date"]}]
)
def test_ptbxl_names_bad_options(root, kwargs):
    with pytest.raises(InputError) as caught:
        load_ptbxl(root, **kwargs)
    assert caught.value.field == next(iter(kwargs))


def test_ptbxl_missing_or_damaged_tables(root, tmp_path):
    with pytest.raises(DataError, match="root"):
        load_ptbxl(tmp_path)
    (tmp_path / "scp_statements.csv").write_bytes((root / "scp_statements.csv").read_bytes())
    (tmp_path / "ptbxl_database.csv").write_text("ecg_id\n1\n")
    with pytest.raises(DataError, match="patient_id"):
        load_ptbxl(tmp_path)


def test_real_ptbxl_first_records(shared_data):
    data = load_ptbxl(shared_data / "ptbxl-500", limit=40, task="norm_vs_abnormal")
    assert data.X.shape[1:] == (250, 12)
    assert data.log.n_ok + len(data.log.skipped) == 40
    assert data.log.reasons().keys() <= {"no_label"}
    assert len(data) == 7 * data.log.n_ok


def test_real_ptbxl_holds_two_copied_records(shared_data):
    data = load_ptbxl(shared_data / "ptbxl-500", ecg_ids=[456, 457, 459, 460])
    assert data.log.reasons() == {"duplicate_record": 2}
