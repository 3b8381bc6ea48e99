"""Training on one hospital and testing on another, with no patient in both."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from data_loaders import MedicalDataset
from tests.runs.label_efficiency.motifs import motif_recordings, motif_values
from tests.runs.small_runs import clinical_values
from tscl.cli.app import app
from tscl.errors import DataError, LeakageError
from tscl.runs.clinical.config import check_clinical
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.config import ExternalData
from tscl.runs.external import external_parts, with_external
from tscl.runs.jobs import check_job
from tscl.runs.label_efficiency.run import LabelEfficiencyRun
from tscl.runs.new_data import adapted


def hospital(patients, *, names=("no", "yes"), size=1.0, seed=0):
    """Two samples a patient; class 1 is larger."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(patients, 2)
    label = np.arange(len(patient)) // 2 % 2
    X = rng.normal(size=(len(patient), 32, 2)) * (size + 3 * label)[:, None, None]
    return MedicalDataset(X, label, patient, np.arange(len(patient)), 64.0,
                          label_names=names, channel_names=["A", "B"])  # fmt: skip


def named(prefix, n):
    return [f"{prefix}{i}" for i in range(n)]


def test_the_other_hospital_is_the_whole_test_part(tmp_path):
    """Its classes by name, in another order of their codes."""
    data = hospital(named("a", 12))
    other = hospital(named("b", 6), names=("yes", "no"), seed=1)
    other.save(tmp_path / "b")
    both = with_external(data, ExternalData(root=str(tmp_path / "b")), {})
    parts = external_parts(both, 0.25, 0)
    assert set(both.patient[parts["test"]]) == set(named("b", 6))
    assert len(parts["train"]) == 18
    assert len(parts["valid"]) == 6
    texts = [both.label_name(code) for code in both.label[parts["test"]]]
    assert texts == [other.label_name(code) for code in other.label]


def test_patients_in_both_are_refused_left_out_or_others(tmp_path):
    data = hospital(named("a", 8))
    hospital([*named("a", 2), *named("b", 4)], seed=1).save(tmp_path / "b")
    root = str(tmp_path / "b")
    with pytest.raises(LeakageError, match="2 patients"):
        with_external(data, ExternalData(root=root), {})
    left = with_external(data, ExternalData(root=root, shared="leave_out"), {})
    assert len(left) == 16 + 8
    others = with_external(data, ExternalData(root=root, shared="other_people"), {})
    assert len(others) == 16 + 12
    assert len(np.unique(others.patient)) == 8 + 6


def test_a_copied_recording_under_another_name_is_found(tmp_path):
    """The same values, and ids that do not tell."""
    data = hospital(named("a", 8))
    hospital(named("b", 8)).save(tmp_path / "b")
    values = clinical_values(tmp_path / "run")
    data.save(tmp_path / "a")
    values["data"] = {"kind": "saved", "root": str(tmp_path / "a"),
                      "external": {"root": str(tmp_path / "b")}}  # fmt: skip
    with pytest.raises(LeakageError):
        ClinicalRun(check_clinical(values))


def test_classes_that_training_lacks_are_left_out(tmp_path, caplog):
    hospital(named("b", 6), names=("yes", "perhaps"), seed=1).save(tmp_path / "b")
    both = with_external(hospital(named("a", 8)), ExternalData(root=str(tmp_path / "b")), {})
    assert len(both) == 16 + 6
    assert "no known label" in caplog.text
    hospital(named("b", 6), names=("x", "y"), seed=1).save(tmp_path / "c")
    with pytest.raises(DataError, match="name labels of"):
        with_external(hospital(named("a", 8)), ExternalData(root=str(tmp_path / "c")), {})


def test_one_command_trains_here_and_reports_on_the_other(tmp_path):
    hospital(named("a", 12)).save(tmp_path / "a")
    hospital(named("b", 8), seed=1).save(tmp_path / "b")
    values = clinical_values(tmp_path / "run")
    values["data"] = {"kind": "saved", "root": str(tmp_path / "a"), "standardize": "train"}
    config = check_clinical(values)
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    result = CliRunner().invoke(
        app, ["run", "-c", str(tmp_path / "c.yaml"), "--test", str(tmp_path / "b"), "-q"]
    )
    assert result.exit_code == 0, result.output
    frame = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert set(frame["patient"]) == set(named("b", 8))
    assert set(frame["data set"]) == {"external"}
    report = (tmp_path / "run" / "report.md").read_text()
    assert "External validation" in report
    table = pd.read_csv(tmp_path / "run" / "table.csv")
    own = table[(table["metric"] == "auroc") & (table["level"] == "sample")]
    assert own.set_index("method")["mean"]["band power"] > 0.95


def two_hospitals(folder, n, m):
    """Recordings of two sets of patients, saved in ``a`` and ``b``."""
    data, other = motif_recordings(n), motif_recordings(m, seed=1)
    other.patient = np.asarray([f"o{i}" for i in range(m)])
    other._number()
    data.save(folder / "a")
    other.save(folder / "b")
    return data, other


def test_whole_recordings(tmp_path):
    _, other = two_hospitals(tmp_path, 40, 30)
    values = motif_values(tmp_path / "run", shares=[1.0])
    values["rows"] = {"spectrum": {"kind": "spectrum"}}
    values["data"] |= {"root": str(tmp_path / "a"), "external": {"root": str(tmp_path / "b")}}
    job = LabelEfficiencyRun(check_job(values))
    (fold,) = job.folds
    assert set(job.data.patient[fold.test]) == set(other.patient)
    assert len(fold.train) == 40
    np.testing.assert_allclose(job.data[45], other[5], atol=1e-3)


def test_a_fixed_unit_divides_both_hospitals_and_stands_in_the_card(tmp_path):
    data, other = two_hospitals(tmp_path, 20, 12)
    values = motif_values(tmp_path / "run", shares=[1.0])
    values["rows"] = {"spectrum": {"kind": "spectrum"}}
    values["data"] |= {
        "root": str(tmp_path / "a"),
        "external": {"root": str(tmp_path / "b")},
        "standardize": 4.0,
    }
    job = LabelEfficiencyRun(check_job(values))
    np.testing.assert_allclose(job.data[3], data[3] / 4, atol=1e-5)
    np.testing.assert_allclose(job.data[25], other[5] / 4, atol=1e-5)
    new = adapted(other, job.input_facts(0))
    np.testing.assert_allclose(new[5], other[5] / 4, atol=1e-5)
