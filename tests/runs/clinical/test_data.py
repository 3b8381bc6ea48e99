"""From one's own files and a table of labels to a report, by the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from data_loaders import MedicalDataset, make_cohort
from data_loaders.record_log import REASONS
from tests.runs.clinical.test_run import tiny
from tscl.cli.app import app
from tscl.errors import ConfigError
from tscl.runs.clinical.config import check_clinical
from tscl.runs.clinical.data import load_patients, make_folds
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.loaders import kinds

RUNNER = CliRunner()
COLUMNS = "columns={record: file, patient: who, label: dx}"
SALT = {"TSCL_ID_SALT": "a secret of the test"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve EDF files of one's own, one of them cut off, named after people, and a table."""
    base = tmp_path_factory.mktemp("own")
    settings = {"n_patients": 12, "trials_per_patient": 2, "seconds": 2.0, "sampling_rate": 64}
    cohort = make_cohort(base / "made", kind="eeg", n_channels=3, **settings)
    folder = base / "files"
    folder.mkdir()
    rows = []
    for row in pd.read_csv(cohort / "participants.csv").itertuples():
        name = f"Doe{row.Index:02d}"
        (folder / f"{name}.edf").write_bytes((cohort / str(row.file)).read_bytes())
        rows.append((name, f"{name}-id", row.group))
    cut = folder / "Doe00.edf"
    cut.write_bytes(cut.read_bytes()[:-300])
    table = pd.DataFrame(rows, columns=["file", "who", "dx"])
    table.to_csv(folder / "labels.csv", index=False, sep=";")
    return folder


def call(*words: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = RUNNER.invoke(app, list(words), env=env)
    return done.exit_code, " ".join(done.output.split())


def test_describe_names_what_is_missing_and_what_was_left_out(own: Path, tmp_path: Path) -> None:
    code, told = call("data", "describe", str(own))
    assert (code, "uci_eeg, wfdb" in told) == (2, True)
    code, told = call("data", "describe", str(own), "--kind", "eeg")
    assert (code, "it has file, who, dx" in told) == (2, True)
    code, told = call("data", "describe", str(own), "--kind", "eeg", "-s", "colums={}")
    assert (code, "did you mean 'columns'" in told) == (2, True)
    log = tmp_path / "log.csv"
    common = ("data", "describe", str(own), "--kind", "eeg", "-s", COLUMNS)
    code, told = call(*common, "-s", "trial_seconds=2", "--log", str(log))
    assert code == 0, told
    assert "left out Doe00 [truncated_dat]: 3 of 4 data records" in told
    assert "truncated_dat: fetch the signal file again" in told
    assert pd.read_csv(log)["status"].value_counts().to_dict() == {"ok": 11, "skipped": 1}
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "labels.csv").write_text("record,patient,label\na,p,x\nb,q,y\n")
    log = tmp_path / "none.csv"
    code, told = call("data", "describe", str(empty), "--kind", "wfdb", "--log", str(log))
    assert (code, "all 2 records skipped (2 x missing_header)" in told) == (2, True)
    assert pd.read_csv(log)["reason"].tolist() == ["missing_header"] * 2
    log.unlink()
    words = ("data", "convert", str(empty), "--kind", "wfdb", "-o", str(tmp_path / "out"))
    code, told = call(*words, "--log", str(log))
    assert (code, "left out b [missing_header]: no file b.hea" in told) == (2, True)
    assert pd.read_csv(log)["record"].tolist() == ["a", "b"]
    code, told = call(*common, "--strict")
    assert (code, "Doe00 [truncated_dat]: 3 of 4 data records; fetch" in told) == (2, True)


@pytest.fixture(scope="module")
def saved(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("saved") / "data"
    words = ["data", "convert", str(own), "--kind", "eeg", "-s", COLUMNS, "-s", "trial_seconds=2"]
    assert call(*words, "-o", str(out), "--hash-ids", env={"TSCL_ID_SALT": ""})[0] == 2
    code, told = call(*words, "-o", str(out), "--hash-ids", env=SALT)
    assert code == 0, told
    return out


def test_converted_data_name_nobody(saved: Path) -> None:
    for path in saved.iterdir():
        assert b"Doe" not in path.read_bytes(), path
    data = MedicalDataset.load(saved)
    assert len(np.unique(data.patient)) == 11
    assert data.log is not None
    assert data.log.reasons() == {"truncated_dat": 1}


def test_plot_of_one_patient(saved: Path, tmp_path: Path) -> None:
    patient = str(MedicalDataset.load(saved).patient[0])
    png = tmp_path / "p.png"
    code, told = call("data", "plot", str(saved), "--patient", patient, "-o", str(png))
    assert code == 0, told
    assert png.read_bytes().startswith(b"\x89PNG")
    code, told = call("data", "plot", str(saved), "--patient", "none", "-o", str(png))
    assert (code, "choose among" in told) == (2, True)


def test_a_folder_takes_the_place_of_the_generated_cohort(
    own: Path, saved: Path, tmp_path: Path
) -> None:
    values = tiny(tmp_path / "unused")
    values["evaluate"] |= {"compare": ["bandpower"], "ablations": {}, "full_rows": []}
    values["evaluate"] |= {"protocols": ["partial"], "fractions": [1.0], "seeds": 1}
    values["evaluate"]["finetune_epochs"] = None
    values["train"] |= {"probe": False, "max_epochs": 1}
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(values))
    out = tmp_path / "run"
    code, told = call("run", "-c", str(path), "--data", str(saved), "-o", str(out), "-q")
    assert code == 0, told
    kept = yaml.safe_load((out / "config.yaml").read_text())["data"]
    assert (kept["kind"], kept["root"], kept["make"]) == ("saved", str(saved), {})
    assert "11 records read, 1 left out (truncated_dat 1)" in (out / "report.md").read_text()
    code, told = call("run", "-c", str(path), "--data", str(own), "-o", str(tmp_path / "x"))
    assert code == 2
    assert "data.kind" in told
    assert "uci_eeg, wfdb" in told


def test_hashed_run_writes_no_id(own: Path, tmp_path: Path, monkeypatch) -> None:
    params = {"columns": {"record": "file", "patient": "who", "label": "dx"}, "trial_seconds": 2}
    data = {"kind": "eeg", "root": str(own), "params": params, "hash_ids": True}
    values = tiny(tmp_path, data=data)
    monkeypatch.delenv("TSCL_ID_SALT", raising=False)
    with pytest.raises(ConfigError, match="TSCL_ID_SALT"):
        ClinicalRun(check_clinical(values))
    monkeypatch.setenv("TSCL_ID_SALT", "a secret of the test")
    run = ClinicalRun(check_clinical(values))
    run.begin(resume=False)
    plain = load_patients(run.config.data, tmp_path)
    unhashed = make_folds(plain, run.config.split, 0)[0]
    for name, part in run.folds[0].parts.items():
        np.testing.assert_array_equal(part, unhashed.parts[name])
    assert "Doe" not in (tmp_path / "records.csv").read_text()
    assert not any("Doe" in str(one) for one in run.data.table.to_numpy().ravel())


def test_leave_one_out_by_configuration(saved: Path) -> None:
    data = MedicalDataset.load(saved)
    section = check_clinical({"split": {"kind": "leave_one_out", "params": {"valid": 0.4}}}).split
    folds = make_folds(data, section, 0)
    assert len(folds) == 11
    assert [len(np.unique(data.patient[f.parts["test"]])) for f in folds] == [1] * 11
    assert all("valid" in f.parts for f in folds)


def test_ids_of_a_fixed_split_may_be_written_as_numbers() -> None:
    n = 8
    patient = [f"{i // 2 + 1}" for i in range(n)]
    data = MedicalDataset(np.zeros((n, 4, 1)), np.arange(n) // 4, patient, np.arange(n), 10)
    section = check_clinical({"split": {"kind": "fixed", "params": {"ids": {"test": [1, 3]}}}})
    fold = make_folds(data, section.split, 0)[0]
    assert sorted(set(data.patient[fold.parts["test"]])) == ["1", "3"]
    assert sorted(set(data.patient[fold.parts["train"]])) == ["2", "4"]


def test_values_of_a_wrong_kind_are_named(own: Path, tmp_path: Path) -> None:
    for kind, params, says in (
        ("processed", {}, "sampling_rate"),
        ("eeg", {"trial_seconds": "long"}, "wrong kind"),
    ):
        section = check_clinical({"data": {"kind": kind, "root": str(own), "params": params}}).data
        with pytest.raises(ConfigError, match=says):
            load_patients(section, tmp_path)


def test_what_only_the_report_shows_does_not_stop_a_resume(tmp_path: Path) -> None:
    run = ClinicalRun(check_clinical(tiny(tmp_path)))
    run.begin(resume=False)
    values = tiny(tmp_path)
    values["evaluate"] |= {"umap": True, "n_replicates": 99}
    ClinicalRun(check_clinical(values)).begin(resume=True)
    values["evaluate"]["C"] = 0.5
    with pytest.raises(ConfigError, match="another configuration"):
        ClinicalRun(check_clinical(values)).begin(resume=True)


def test_the_page_on_data_names_every_kind_and_reason() -> None:
    page = (Path(__file__).parents[3] / "docs" / "clinical_data.md").read_text()
    for name in (*kinds(), *REASONS):
        own_kind = name in ("wfdb", "eeg") and f"--kind {name}" in page
        assert f"`{name}`" in page or own_kind, name
