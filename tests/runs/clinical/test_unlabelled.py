"""Samples without a label join pretraining, and none of a patient who is tested."""

from __future__ import annotations

import numpy as np
import pytest

from data_loaders import MedicalDataset
from tests.runs.small_runs import clinical_values
from tscl.runs.clinical.config import check_clinical
from tscl.runs.clinical.data import make_folds
from tscl.runs.clinical.report import leakage
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.clinical.splits import GroupSplit
from tscl.training.trainer import Trainer


def mixed():
    """12 labelled patients of two trials, 4 patients without a label; of each labelled patient a
    third trial without a label; patient u3 holds the recording of l0 under another name."""
    rng = np.random.default_rng(0)
    rows = [(f"l{i}", f"l{i}/{k}", i % 2 if k < 2 else -1) for i in range(12) for k in range(3)]
    rows += [(f"u{i}", f"u{i}/0", -1) for i in range(4)]
    patient, trial, label = map(np.asarray, zip(*rows, strict=True))
    X = rng.normal(size=(len(rows), 32, 2)).astype(np.float32)
    X[-1] = X[0]
    return MedicalDataset(X, label, patient, trial, 64.0, label_names=["no", "yes"])


@pytest.fixture
def run(tmp_path):
    def make(**data):
        mixed().save(tmp_path / "data", overwrite=True)
        values = clinical_values(tmp_path / "run")
        values["data"] = {"kind": "saved", "root": str(tmp_path / "data"), **data}
        return ClinicalRun(check_clinical(values))

    return make


def test_pretraining_sees_them_and_no_tested_patient(run, monkeypatch):
    job = run()
    job.begin(resume=False)
    fold, seen = job.folds[0], []
    whole = Trainer.fit

    def spy(self, method, source, *rest, **named):
        seen.append(np.asarray(source.x))
        return whole(self, method, source, *rest, **named)

    monkeypatch.setattr(Trainer, "fit", spy)
    job.train(job.rows[0], fold)
    held = np.concatenate([fold.parts["valid"], fold.parts["test"]])
    patients = job.data.patient[fold.pretrain]
    assert not set(patients) & set(job.data.patient[held])
    assert {"u0", "u1", "u2"} <= set(patients)
    assert ("u3" in patients) == ("l0" not in job.data.patient[held])
    trained = len(set(job.data.patient[fold.parts["train"]]))
    assert len(seen[0]) == 3 * trained + 3 + ("u3" in patients)
    assert "Pretraining also sees" in leakage(job)
    assert (job.data.label[np.concatenate(list(fold.parts.values()))] >= 0).all()


def test_a_copy_of_a_tested_recording_stays_out():
    """Whatever side l0 falls on over many seeds, u3 never trains beside its test."""
    data, sides = mixed(), set()
    for seed in range(8):
        (fold,) = make_folds(data, GroupSplit(), seed)
        tested = "l0" in data.patient[np.r_[fold.parts["valid"], fold.parts["test"]]]
        sides.add(tested)
        assert ("u3" in data.patient[fold.pretrain]) == (not tested)
    assert sides == {True, False}


def test_they_can_be_left_out(run):
    (fold,) = run(unlabelled="leave_out").folds
    np.testing.assert_array_equal(fold.pretrain, fold.parts["train"])
