"""The supplement's tables say what the run's own data and predictions say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data_loaders.cohort.cohort import CohortConfig, load_cohort, make_cohort
from tests.runs.small_runs import clinical_values
from tscl.evaluation.metrics.calibration import calibration_line
from tscl.runs.clinical.config import check_clinical
from tscl.runs.clinical.report import write_clinical_report
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.clinical.supplement import checklist, missing_values, participants


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ClinicalRun:
    """A finished run with a site for every patient and gaps in the test part."""
    folder = tmp_path_factory.mktemp("supplement")
    values = clinical_values(folder / "run")
    make_cohort(folder / "cohort", CohortConfig(**values["data"]["make"]))
    data = load_cohort(folder / "cohort")
    data.columns["site"] = np.where(data.patient_codes % 3 == 0, "Ulm", "Bonn")
    data.allow_nan = True
    data.X[::7, :16, 1] = np.nan
    data.X[::9, :, 2] = np.nan
    data.save(folder / "set")
    values["data"] = {"kind": "saved", "root": str(folder / "set")}
    values["evaluate"] |= {"subgroups": ["site"], "compare": ["random"], "seeds": 1, "umap": False}
    run = ClinicalRun(check_clinical(values))
    run.begin(resume=False)
    write_clinical_report(run, run.evaluate())
    return run


def test_participants_by_part_and_site(run: ClinicalRun) -> None:
    frame = participants(run).set_index(["part", "group"])
    table = run.data.table
    for part, rows in run.folds[0].parts.items():
        own = table.iloc[rows]
        assert frame.loc[(part, "all"), "patients"] == own["patient"].nunique()
        for site, mine in own.groupby(run.data.columns["site"].to_numpy()[rows]):
            line = frame.loc[(part, f"site: {site}")]
            assert (line["patients"], line["samples"]) == (mine["patient"].nunique(), len(mine))
            ill = mine[mine["label"] == 1]
            assert line["disease"] == f"{len(ill)} ({ill['patient'].nunique()})"


def test_missing_values_are_counted(run: ClinicalRun) -> None:
    frame = missing_values(run).set_index("part")
    for part, rows in run.folds[0].parts.items():
        empty, line = np.isnan(run.data.X[rows]), frame.loc[part]
        assert line["values missing"] == f"{empty.mean():.2%}"
        assert line["samples with some missing"] == empty.any(axis=(1, 2)).sum() > 0
        assert line["samples without a whole channel"] == empty.all(axis=1).any(axis=1).sum() > 0
        assert line["most in a channel"].startswith(run.data.channel_names[2])


def test_the_checklist_holds_the_runs_own_figures(run: ClinicalRun) -> None:
    folder = run.folder.path
    table = pd.read_csv(folder / "table.csv")
    items = checklist(run, table).set_index("item")["in this run"]
    auroc = table.query("method == 'COMET' and metric == 'auroc' and level == 'sample'").iloc[0]
    assert f"AUROC {auroc['mean']:.3f}" in items["23a"]
    assert "site" in items["14"]
    assert "to be written by the authors" in items["17"]
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "## Reporting checklist (TRIPOD+AI)" in report
    bib = (folder / "references.bib").read_text(encoding="utf-8")
    for number in ("2310.14017", "2106.10466", "10.1136/bmj-2023-078378"):  # COMET, encoder, guide
        assert number in bib


def test_calibration_is_that_of_the_predictions(run: ClinicalRun) -> None:
    rows = pd.read_csv(run.folder.path / "predictions.csv").query("row == 'COMET'")
    slope, intercept = calibration_line(rows["label"] == "disease", rows["p_disease"])
    (path,) = (run.folder.path / "tables").glob("*calibration-slope*.csv")
    line = pd.read_csv(path).set_index("level").loc["sample"]
    assert line["calibration slope"].startswith(f"{slope[0]:.2f} [")
    assert line["calibration intercept"].startswith(f"{intercept[0]:.2f} [")
