"""Several labels a recording and numbers, from columns: what is planted is found, by all rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data_loaders.container.recordings import Recordings
from tests.runs.label_efficiency.motifs import motif_values
from tscl.errors import ConfigError
from tscl.evaluation.clinical.fitted import FittedClassifier
from tscl.runs.jobs import check_job
from tscl.runs.label_efficiency.data import draw_labels
from tscl.runs.label_efficiency.report import write_label_report
from tscl.runs.label_efficiency.run import LabelEfficiencyRun


def tones(n: int = 90) -> Recordings:
    """Recordings with a slow, a fast, both or no tone, whose noise grows with ``age``."""
    rng = np.random.default_rng(0)
    slow, fast, age = rng.random(n) < 0.5, rng.random(n) < 0.3, rng.uniform(20, 80, n)
    signals = []
    for row in range(n):
        time = np.arange(int(rng.integers(250, 300)))[:, None] / 50
        tone = slow[row] * np.sin(4 * np.pi * time) + fast[row] * np.sin(30 * np.pi * time)
        signals.append(tone * 3 + age[row] / 40 * rng.normal(size=time.shape))
    dx = np.asarray([";".join(np.asarray(["slow", "fast"])[[a, b]]) or "none"
                     for a, b in zip(slow, fast, strict=True)], dtype=object)  # fmt: skip
    dx[:3] = ""
    columns = {"dx": dx, "age": np.where(np.arange(n) % 10 == 4, np.nan, age)}
    return Recordings.from_arrays(signals, 50.0, columns=columns, name="tones")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    values = motif_values(
        tmp_path_factory.mktemp("kinds") / "run",
        tasks={"dx": {"label": "dx"}, "age": {"label": "age"}},
        rows={
            "spectrum": {"kind": "spectrum"},
            "supervised": {"kind": "supervised", "labelled": {"steps": 60, "lr": 1e-2}},
        },
        shares=[1.0, 0.3],
        n_replicates=50,
        data={"kind": "recordings", "root": "unused", "standardize": False},
    )
    job = LabelEfficiencyRun(check_job(values), recordings=tones())
    job.begin(resume=False)
    cells = job.evaluate()
    return job, cells, write_label_report(job, cells)


def test_planted_labels_and_numbers_are_found_by_every_row(finished):
    job, _, report = finished
    scores = pd.read_csv(job.folder.path / "scores.csv")
    full = scores[scores["share"] == 1].set_index(["row", "task", "metric"])["value"]
    for row in ("spectrum", "supervised"):
        for metric in ("auroc", "auroc slow", "auroc fast"):
            assert full[row, "dx", metric] > 0.9
        assert full[row, "age", "r2"] > 0.5
        assert full[row, "age", "mae"] < 12
    text = report.markdown.read_text(encoding="utf-8")
    for words in ("## AUROC of slow", "## R2", "## Mean absolute error", "AUROC and R2 on"):
        assert words in text
    assert "reaches R2" in report.headline[1]
    predictions = pd.read_csv(job.folder.path / "predictions.csv")
    assert predictions.loc[predictions["task"] == "age", "predicted"].notna().all()
    assert set(predictions.loc[predictions["task"] == "dx", "label"].dropna()) <= {
        "slow", "fast", "fast;slow"}  # fmt: skip


def test_only_recordings_whose_label_is_known_are_drawn_and_tested(finished):
    job, cells, _ = finished
    unknown = {"dx": {0, 1, 2}, "age": set(range(4, 90, 10))}
    for cell in cells:
        assert not unknown[cell.key["task"]] & set(cell.arrays["rows"].tolist())
    fold, (dx, age) = job.folds[0], job.tasks
    for task in (dx, age):
        drawn = draw_labels(task, fold.train, job.group, 0.3, 0)
        assert not unknown[task.name] & set(drawn.tolist())
        assert set(drawn) <= set(draw_labels(task, fold.train, job.group, 0.6, 0))
    some = draw_labels(dx, fold.train, job.group, 0.3, 0)
    every = draw_labels(dx, fold.train, job.group, 1, 0)
    np.testing.assert_allclose(dx.label[some].mean(0), dx.label[every].mean(0), atol=0.12)


def test_saved_rows_give_the_runs_predictions(finished):
    job, cells, _ = finished
    for cell in cells:
        if cell.key["share"] == 1:
            name = f"{cell.key['row']}-fold0-{cell.key['task']}"
            fitted = FittedClassifier.load(job.folder.path / "classifiers" / name)
            said = fitted.predict_proba(job.data)[cell.arrays["rows"]]
            np.testing.assert_allclose(said, cell.arrays["proba"], atol=1e-4)


@pytest.mark.parametrize(
    ("task", "field"),
    [
        ({"label": "diagnosis"}, r"tasks\.t\.label"),
        ({"label": "age", "classes": ["a", "b"]}, r"tasks\.t\.classes"),
        ({"label_kind": "target"}, r"tasks\.t\.label_kind"),
    ],
)
def test_bad_tasks_name_the_key(tmp_path, task, field):
    with pytest.raises(ConfigError, match=field):
        LabelEfficiencyRun(check_job(motif_values(tmp_path, tasks={"t": task})), recordings=tones())
