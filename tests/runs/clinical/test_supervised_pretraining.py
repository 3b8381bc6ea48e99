"""Objectives that read labels: refused before data are read, or allowed and said in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.runs.clinical.test_run import tiny
from tscl.errors import ConfigError
from tscl.losses import LOSSES
from tscl.losses.base import ContrastiveLoss
from tscl.runs.clinical.report import diagnostics, notes
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.jobs import check_job

PARAMS = {"hydra": {"n_classes": 2}}
READ_LABELS = [
    name
    for name in LOSSES.names()
    if issubclass(LOSSES.get(name), ContrastiveLoss)
    and {"labels", "targets", "background"} & set(LOSSES.get(name).needs)
]


def simclr(loss: str) -> dict[str, Any]:
    return {"name": "simclr", "params": {"loss": loss, "loss_params": PARAMS.get(loss, {})}}


def clinical(out: Path, method: dict[str, Any], **train: Any) -> dict[str, Any]:
    values = tiny(out, method=method)
    values["train"] |= {"probe": False, "max_epochs": 1, **train}
    values["evaluate"] |= {"compare": ["random"], "ablations": {}, "full_rows": []}
    values["evaluate"] |= {"protocols": ["partial"], "fractions": [1.0], "finetune_epochs": None}
    return values


METHODS = [*map(simclr, READ_LABELS), {"name": "coconut"}]
IDS = [*READ_LABELS, "coconut"]


def test_there_are_supervised_losses_to_try():
    assert len(READ_LABELS) >= 7


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_every_job_refuses_them_before_it_reads_data(tmp_path: Path, method: dict[str, Any]):
    values = clinical(tmp_path / "run", method)
    values["data"] = {"kind": "wfdb", "root": str(tmp_path / "no such folder")}
    with pytest.raises(ConfigError, match=r"train.labels: got False.*trains on labels"):
        check_job(values)
    with pytest.raises(ConfigError, match="reads labels, which a series does not have"):
        check_job({"job": "forecasting", "method": method, "data": {"path": "missing.csv"}})
    row = {"kind": "pretrained", "method": method["name"], "params": method.get("params", {})}
    with pytest.raises(ConfigError, match=r"rows.mine.method: .*reads no labels in this job"):
        check_job({"job": "label_efficiency", "rows": {"mine": row}})
    assert not (tmp_path / "run").exists()


def test_a_row_of_the_comparison_and_an_ablation_are_looked_at_too(tmp_path: Path):
    values = clinical(tmp_path / "run", {"name": "simclr"})
    values["evaluate"]["compare"] = ["coconut"]
    with pytest.raises(ConfigError, match="coconut trains on labels"):
        check_job(values)
    values["evaluate"] |= {"compare": [], "ablations": {"told": {"params": {"loss": "supcon"}}}}
    with pytest.raises(ConfigError, match="simclr, told trains on labels"):
        check_job(values)


def trained(
    out: Path, change: str = "", **train: Any
) -> tuple[ClinicalRun, dict[str, torch.Tensor]]:
    run = ClinicalRun(check_job(clinical(out, simclr("supcon"), labels=True, **train)))
    run.begin(resume=False)
    for name, rows in run.folds[0].parts.items():
        if (name == "train") == (change == "train") and change:
            run.data.label[rows] = np.roll(run.data.label[rows], 3)
    return run, run.train(run.rows[0], run.folds[0]).state_dict()


def test_training_patients_labels_are_read_where_allowed_and_the_report_says_so(tmp_path: Path):
    run, weights = trained(tmp_path / "run", diagnostics=True)
    (table,) = diagnostics(run).values()
    assert table.columns.tolist() == [
        "method", "compactness", "below 0", "alignment", "uniformity",
    ]  # fmt: skip
    assert table["method"].tolist() == ["SimCLR (with labels)"]
    assert run.rows[0].label == "SimCLR (with labels)"
    assert any("read the labels of all training patients" in note for note in notes(run))
    _, others = trained(tmp_path / "others", "test and valid")
    assert all(torch.equal(one, others[name]) for name, one in weights.items())
    _, swapped = trained(tmp_path / "swapped", "train")
    assert not all(torch.equal(one, swapped[name]) for name, one in weights.items())


def spied(
    monkeypatch: pytest.MonkeyPatch, out: Path, loss: str, **train: Any
) -> tuple[ClinicalRun, list[Any]]:
    seen: list[Any] = []

    def compute(self, views, extra):
        seen.append(extra)
        return views.square().mean()

    monkeypatch.setattr(LOSSES.get(loss), "compute", compute)
    run = ClinicalRun(check_job(clinical(out, simclr(loss), labels=True, **train)))
    run.begin(resume=False)
    run.data.columns["age"] = np.arange(len(run.data)) + 40.5
    return run, seen


def test_numbers_are_read_from_the_column_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match=r"train.targets: got None.*name their column"):
        check_job(clinical(tmp_path / "run", simclr("supremix"), labels=True))
    run, _ = spied(monkeypatch, tmp_path / "run", "supremix", targets="ages")
    with pytest.raises(ConfigError, match=r"train.targets: got ages.*\(age\)"):
        run.train(run.rows[0], run.folds[0])
    run, seen = spied(monkeypatch, tmp_path / "run", "supremix", targets="age")
    run.train(run.rows[0], run.folds[0])
    ages = run.data.columns["age"].to_numpy()[run.folds[0].parts["train"]].tolist()
    assert {age for extra in seen for age in extra.targets.tolist()} <= set(ages)


def test_the_background_is_the_label_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match=r"train.background: got None"):
        check_job(clinical(tmp_path / "run", simclr("sepclr"), labels=True))
    run, _ = spied(monkeypatch, tmp_path / "run", "sepclr", background="healhty")
    names = list(run.data.label_names)
    with pytest.raises(ConfigError, match=rf"train.background: got healhty.*{names[0]}"):
        run.train(run.rows[0], run.folds[0])
    counts = {}
    for name in names:
        run, seen = spied(monkeypatch, tmp_path / name, "sepclr", background=name)
        run.train(run.rows[0], run.folds[0])
        counts[name] = sum(int(extra.background.sum()) for extra in seen)
    total = sum(len(extra.background) for extra in seen)
    assert sum(counts.values()) == total
    assert 0 < counts[names[0]] < total
