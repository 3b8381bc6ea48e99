"""A clinical run whose labels are columns of the table: several a record, and an age."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from data_loaders import MedicalDataset
from tests.runs.small_runs import clinical_values
from tscl.cli.app import app
from tscl.errors import ConfigError
from tscl.runs.clinical.config import check_clinical
from tscl.runs.clinical.run import ClinicalRun

SUPERVISED = {"name": "simclr", "params": {"loss": "supcon"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """40 patients of two trials. A slow wave is the label A, a fast one B, and the height of a
    third grows with age; one patient's labels and age are unknown."""
    rng = np.random.default_rng(0)
    n, steps = 40, 64
    has, age = rng.random((n, 2)) < 0.45, rng.uniform(20, 80, n).round()
    t = np.arange(steps) / 64
    waves = [np.sin(2 * np.pi * f * t + 1) for f in (3, 11, 22)]
    patient = np.repeat(np.arange(n), 2)
    X = rng.normal(size=(2 * n, steps, 2)).astype(np.float32)
    X[..., 0] += 2 * has[patient, :1] * waves[0] + (age[patient, None] / 25) ** 2 * waves[2]
    X[..., 1] += 2 * has[patient, 1:] * waves[1]
    dx = np.array([";".join(np.array(["A", "B"])[row]) or "none" for row in has], dtype=object)
    columns = pd.DataFrame(
        {
            "dx": dx[patient],
            "A": has[patient, 0].astype(float),
            "B": has[patient, 1].astype(float),
            "age": age[patient],
        }
    )
    columns.loc[patient == 0, ["A", "B", "age"]] = np.nan
    columns.loc[patient == 0, "dx"] = ""
    label = np.where(has[patient, 0], "A", "other").tolist()
    data = MedicalDataset(X, label, patient, np.arange(2 * n), 64.0, columns=columns)
    path = tmp_path_factory.mktemp("labels") / "data"
    data.save(path)
    return path


def values(out, folder, **data):
    made = clinical_values(out)
    made["data"] = {"kind": "saved", "root": str(folder), "standardize": "none", **data}
    made["train"] |= {"probe": False, "max_epochs": 1}
    made["evaluate"] |= {
        "protocols": ["partial", "knn"],
        "fractions": [1.0, 0.5],
        "C": 0.1,
        "umap": False,
    }
    return made


def finished(tmp_path, folder, label, *sets):
    path = tmp_path / "run.yaml"
    made = values(tmp_path / "run", folder)
    made["data"] = {"kind": "cohort", "make": {}, "standardize": "none"}
    path.write_text(yaml.safe_dump(made))
    extra = [part for one in (f"data.label={label}", *sets) for part in ("-s", one)]
    done = CliRunner().invoke(
        app, ["run", "-c", str(path), "--data", str(folder), *extra, "-q"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "run" / "table.csv")
    predictions = pd.read_csv(tmp_path / "run" / "predictions.csv")
    text = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    return table, predictions, text, done.output


def score(table, metric, level="patient", method="band power"):
    rows = table[(table["metric"] == metric) & (table["level"] == level)]
    rows = rows[(rows["method"] == method) & (rows["protocol"] == "partial")]
    return rows[rows["fraction"] == 1]["mean"].item()


def test_several_labels_from_one_text(tmp_path, folder):
    table, predictions, text, output = finished(tmp_path, folder, "dx")
    assert score(table, "auroc") > 0.9
    assert score(table, "auroc A") > 0.9
    assert "test AUROC by patient" in output
    assert "Each class against the rest" in text
    assert "ROC and precision-recall of each label" in text
    assert {"label: A", "label: B", "p_A", "p_B"} <= set(predictions)
    assert not (predictions["patient"] == 0).any()
    classifiers = [p.name for p in (tmp_path / "run" / "classifiers").iterdir()]
    out = tmp_path / "said.csv"
    told = CliRunner().invoke(
        app,
        [
            *("predict", "--model", str(tmp_path / "run"), "--data", str(folder)),
            *("--classifier", next(c for c in classifiers if "bandpower" in c), "--out", str(out)),
        ],
        catch_exceptions=False,
    )
    assert told.exit_code == 0, told.output
    said = pd.read_csv(out)
    assert {"p_A", "p_B"} <= set(said)
    assert set(said["predicted"]) <= {"A", "B", "A;B", "none"}


def test_an_age_from_a_column(tmp_path, folder):
    table, predictions, text, output = finished(tmp_path, folder, "age", "evaluate.subgroups=[dx]")
    assert score(table, "r2") > 0.6
    assert score(table, "mae") < 12
    assert score(table, "r2") > score(table, "r2", method="random encoder")
    assert "R2 on patients never seen" in text
    assert "Predicted and true" in text
    assert "test R2 by patient" in output
    assert "R2 by patient minus that of a baseline" in text
    assert {"label", "predicted"} <= set(predictions)


@pytest.mark.parametrize(
    ("data", "rest", "field"),
    [
        ({"label": "weight"}, {}, "data.label"),
        ({"label": "dx", "label_kind": "target"}, {}, "data.label dx"),
        ({"label": ["A", "B"], "label_kind": "classes"}, {}, "data.label_kind"),
        ({"label_kind": "target"}, {}, "data.label_kind"),
        ({"label": "age"}, {"train": {"probe": True}}, "train.monitor"),
        ({"label": "dx"}, {"train": {"labels": True}, "method": SUPERVISED}, "train.labels"),
    ],
)
def test_labels_that_cannot_be_are_named(tmp_path, folder, data, rest, field):
    made = values(tmp_path / "run", folder, **data)
    for key, changes in rest.items():
        made[key] = {**made.get(key, {}), **changes}
    with pytest.raises(ConfigError) as caught:
        job = ClinicalRun(check_clinical(made))
        job.train(job.rows[0], job.folds[0])
    assert caught.value.field == field


def test_another_hospital_has_its_labels_in_the_same_columns(tmp_path, folder):
    data = MedicalDataset.load(folder)
    other = tmp_path / "other"
    theirs = data.subset(np.arange(20))
    theirs.patient = np.array([f"x{patient}" for patient in theirs.patient])
    theirs.X = theirs.X + np.float32(0.01)
    theirs._digests = None
    theirs._number()
    theirs.save(other)
    external = {"root": str(other), "kind": "saved"}
    for label in (["A", "B"], "age"):
        made = values(tmp_path / "run", folder, label=label, external=external)
        job = ClinicalRun(check_clinical(made))
        tested = job.data.subset(job.folds[0].parts["test"])
        assert set(tested.patient) == {f"x{patient}" for patient in range(1, 10)}
        own = data.with_label(label)
        np.testing.assert_allclose(tested.label, own.label[2:20])
