"""What `tscl run --data` and `tscl init` make of a folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from data_loaders import make_cohort, make_rhythm_cohort
from tscl.cli.app import app
from tscl.cli.propose import propose
from tscl.errors import ConfigError
from tscl.runs.clinical.data import load_patients
from tscl.runs.jobs import check_job
from tscl.runs.label_efficiency.data import load_recordings

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rhythm_cohort(tmp_path_factory.mktemp("own") / "mine", 30)


def test_a_folder_of_wfdb_records_is_a_label_efficiency_job(cohort: Path) -> None:
    found = propose(cohort)
    config = check_job(found.values)
    assert config.job == "label_efficiency"
    assert "30 WFDB records" in found.seen
    data = load_recordings(config.data, cohort)
    assert (len(data), data.sampling_rate) == (30, 100.0)
    assert set(data.label_names) == {"normal", "af", "other"}


def test_other_names_of_columns_are_understood(cohort: Path, tmp_path: Path) -> None:
    folder = tmp_path / "renamed"
    folder.mkdir()
    for file in cohort.glob("r*"):
        (folder / file.name).write_bytes(file.read_bytes())
    table = pd.read_csv(cohort / "labels.csv").set_axis(["File", "Subject_ID", "diagnosis"], axis=1)
    table.to_csv(folder / "patients.csv", index=False)
    config = check_job(propose(folder).values)
    assert config.data.params["columns"]["record"] == "File"
    assert len(load_recordings(config.data, folder)) == 30


def test_edf_files_are_a_clinical_job(tmp_path: Path) -> None:
    made = make_cohort(tmp_path / "made", kind="eeg", n_patients=6, trials_per_patient=2)
    folder = tmp_path / "eeg"
    folder.mkdir()
    rows = []
    for k, file in enumerate(sorted(made.rglob("*.edf"))):
        (folder / file.name).write_bytes(file.read_bytes())
        rows.append((file.name, f"p{k}", "ab"[k % 2]))
    pd.DataFrame(rows, columns=["record", "patient", "label"]).to_csv(folder / "labels.csv")
    config = check_job(propose(folder).values)
    assert (config.job, config.data.kind) == ("clinical", "eeg")
    assert len(set(load_patients(config.data, folder).patient)) == 6
    assert check_job(propose(made).values).data.kind == "cohort"


def test_init_writes_what_run_would_take(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "tscl.yaml"
    done = RUNNER.invoke(app, ["init", str(cohort), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert yaml.safe_load(out.read_text()) == propose(cohort).values
    again = RUNNER.invoke(app, ["init", str(cohort), "--out", str(out)])
    assert again.exit_code == 2


def _folder(tmp_path: Path, text: str) -> Path:
    (tmp_path / "a.hea").write_text("")
    (tmp_path / "labels.csv").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("record,label\n" + "".join(f"r{k},one\n" for k in range(9)), "1 classes"),
        ("record,patient,label\nr1,p1,a\nr2,p1,b\n", "1 patients"),
        ("record,patient,label\nr1,p1,a\nr2,p2,b\nr3,p3,b\nr4,p4,b\n", "a class of one patient"),
        ("file,age\nr1,3\n", "columns file, age; .* or add them .label is missing"),
        ("record,patient,lable\nr1,p1,a\n", "record, patient, lable; rename .*label is missing"),
    ],
)
def test_tables_that_cannot_be_used_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        propose(_folder(tmp_path, text))


@pytest.mark.parametrize("name", ["arrays.npy", "notes.docx"])
def test_files_that_no_job_reads_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ConfigError, match="--data"):
        propose(tmp_path / name)
    with pytest.raises(ConfigError, match="no such file or folder"):
        propose(tmp_path / "missing")


def test_a_folder_without_recordings_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"it holds 1 \.pdf"):
        propose(tmp_path)


def test_a_folder_of_one_csv_is_a_series(tmp_path: Path) -> None:
    days = pd.date_range("2021-01-01", periods=400)
    frame = pd.DataFrame({"day": days, "visitors": range(400)})
    frame.to_csv(tmp_path / "visits.csv", index=False)
    assert check_job(propose(tmp_path).values).job == "forecasting"
