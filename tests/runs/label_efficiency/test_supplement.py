"""What a label-efficiency report says for a paper's supplement, counted again by hand."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from tests.runs.label_efficiency.motifs import motif_recordings, motif_values
from tscl.evaluation.metrics.calibration import calibration_line
from tscl.runs.jobs import check_job
from tscl.runs.label_efficiency import supplement
from tscl.runs.label_efficiency.report import write_label_report
from tscl.runs.label_efficiency.run import LabelEfficiencyRun


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    data = motif_recordings(36)
    data.values = data.values.copy()
    data.values[:30] = np.iinfo(np.int16).min  # of the first recording some steps are missing
    rows = {"spectrum": {"kind": "spectrum"}, "untrained": {"kind": "untrained"}}
    out = tmp_path_factory.mktemp("supplement") / "run"
    values = motif_values(out, rows=rows, split={"n_splits": 3}, n_replicates=20)
    job = LabelEfficiencyRun(check_job(values), recordings=data)
    job.begin(resume=False)
    cells = job.evaluate()
    return job, cells, write_label_report(job, cells)


def test_participants_and_missing_values_are_those_of_the_parts(finished):
    job, _, _ = finished
    frame = supplement.participants(job)
    assert len(frame) == 6
    for line, fold in zip(
        frame[frame["part"] == "test"].to_dict("records"), job.folds, strict=True
    ):
        counts = np.bincount(job.data.label[fold.test])
        assert line["recordings"] == line["patients"] == len(fold.test)
        assert line["up-down"] == f"{counts[0]} ({counts[0]})"
    part = "train" if 0 in job.folds[0].train else "test"
    rows = getattr(job.folds[0], part)
    line = supplement.missing_values(job).set_index("part").loc[part]
    assert line["recordings with some missing"] == 1
    assert line["values missing"] == f"{30 / job.data.lengths[rows].sum():.2%}"


def test_calibration_is_that_of_the_main_rows_predictions(finished):
    job, cells, _ = finished
    (frame,) = supplement.calibration(job, cells).values()
    own = [c.arrays for c in cells if c.key["row"] == "spectrum" and c.key["share"] == 1]
    y, p = (np.concatenate([one[k] for one in own]) for k in ("y", "proba"))
    slope, _ = calibration_line(y, p[:, 1], np.ones((1, len(y))))
    line = frame[frame["level"] == "sample"].iloc[0]
    assert line["n"] == 36
    if np.isfinite(slope[0]):
        assert line["calibration slope"].startswith(f"{slope[0]:.2f} [")


def test_every_item_is_answered_or_left_to_the_authors(finished):
    job, _, report = finished
    scores = pd.read_csv(job.folder.path / "scores.csv")
    frame = supplement.checklist(job, scores).set_index("topic")["in this run"]
    assert (frame.str.len() > 3).all()
    assert supplement.TODO in frame["Ethics approval and consent"]
    assert "36 patients, 36 labelled recordings" in frame["Sample size"]
    said = frame["Performance"]
    own = scores[(scores["row"] == "spectrum") & (scores["metric"] == "auroc")]
    for value in own["value"]:
        assert f"AUROC {value:.3f}" in said
    text = report.markdown.read_text(encoding="utf-8")
    assert "## Reporting checklist (TRIPOD+AI)" in text
    assert re.search(r"Collins et al\.: TRIPOD\+AI", text)
    assert "tripod" in (job.folder.path / "references.bib").read_text().lower()
