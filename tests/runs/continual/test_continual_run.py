"""Sites in turn from a configuration: scores as by hand, patients apart, the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from data_loaders import MedicalDataset
from tests.estimators.test_continual import SITES, tones
from tscl.cli.app import app
from tscl.errors import ConfigError
from tscl.estimators import ContinualTransformer
from tscl.evaluation.metrics.continual import forgetting
from tscl.runs.continual.run import ContinualRun
from tscl.runs.jobs import check_job
from tscl.seeding import derive_seed

RUNNER = CliRunner()
HOSPITALS = ("north", "south", "west")


def config(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """Three hospitals of two kinds of waves each, 16 patients a kind, two series a patient."""
    parts = [tones(32, classes, k) for k, classes in enumerate(SITES)]
    x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    data = MedicalDataset(
        x,
        y,
        patient=np.arange(len(x)) // 2,
        trial=np.arange(len(x)),
        sampling_rate=24,
        columns={"site": np.repeat(HOSPITALS, 64)},
    )
    data.save(tmp_path / "data", overwrite=True)
    return {
        "job": "continual",
        "out": str(tmp_path / "run"),
        "data": {"kind": "saved", "root": str(tmp_path / "data"), "standardize": "none"},
        "encoder": {"name": "dilated", "params": {"output_dims": 8, "hidden_dims": 8, "depth": 1}},
        "sites": {"column": "site"},
        "method": {"capacity": 48, "replay": 16, "projection_dims": 8},
        "train": {"max_epochs": 5, "lr": 5e-3, "seeds": 1},
        "forget_params": {"epochs": 1, "vae_epochs": 5},
        **changes,
    }


def by_hand(run: ContinualRun, seed: int) -> list[float]:
    """The first site's score after the second: with its own probe, and with a new one."""
    (first, test), (second, _) = run.sites(seed)[1][:2]
    x, y = np.asarray(run.data.X), run.data.label
    model = ContinualTransformer(
        method_params=run.config.method,
        encoder_params=run.config.encoder.params,
        scale="none",
        max_epochs=5,
        lr=5e-3,
        random_state=derive_seed(seed, "sites") % 2**31,
    )
    scores = []
    model.partial_fit(x[first], y[first])
    old = model.transform(x[first])
    model.partial_fit(x[second], y[second])
    for embeddings in (old, model.transform(x[first])):
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        probe.fit(embeddings, y[first])
        scores.append(roc_auc_score(y[test], probe.predict_proba(model.transform(x[test]))[:, 1]))
    return scores


def test_the_job_from_the_command_line(tmp_path):
    file = tmp_path / "job.yaml"
    values = config(tmp_path)
    file.write_text(yaml.safe_dump(values))
    done = RUNNER.invoke(app, ["run", "-c", str(file), "-q"])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "run/continual.md").read_text()
    cells = [json.loads(p.read_text()) for p in sorted((tmp_path / "run/cells").glob("*.json"))]
    assert len(cells) == 2
    for cell in cells:
        assert cell["sites"] == list(HOSPITALS)
        assert f"{forgetting(cell['kept']).average:.3f}" in text
    run = ContinualRun(check_job(values))  # type: ignore[arg-type]
    want = by_hand(run, run.cells[0].seed)
    np.testing.assert_allclose([cells[0]["kept"][1][0], cells[0]["scores"][1][0]], want)
    assert cells[0]["kept"] != cells[1]["kept"]
    lost = [cell["forgotten"] for cell in cells if "forgotten" in cell]
    assert len(lost) == 1
    for one in lost:
        assert 0 <= one["removed"] <= 4
        assert f"{np.mean([d['after'] for d in lost]):.3f}" in text
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run/cells").iterdir()}
    again = RUNNER.invoke(app, ["run", "-c", str(file), "-q", "--resume"])
    assert again.exit_code == 0, again.output
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "run/cells").iterdir()}


def test_patients_are_in_one_site_and_one_part(tmp_path):
    values = config(tmp_path)
    for sites in ({"column": "site"}, {"column": "site", "order": ["west", "north"]}):
        run = ContinualRun(check_job(values | {"sites": sites}))  # type: ignore[arg-type]
        names, parts = run.sites(0)
        assert names == [str(name) for name in sites.get("order", HOSPITALS)]
        seen = [set(run.data.patient[rows].tolist()) for part in parts for rows in part]
        assert sum(map(len, seen)) == len(set.union(*seen))
        for name, (train, test) in zip(names, parts, strict=True):
            assert set(run.data.columns["site"].iloc[np.concatenate([train, test])]) == {name}
            assert 0.2 < len(test) / (len(train) + len(test)) < 0.4


def test_patients_are_dealt_where_no_column_names_sites(tmp_path):
    cohort = {"kind": "cohort", "make": {"kind": "eeg", "n_patients": 12, "seconds": 2.0}}
    values = config(tmp_path, data=cohort, sites={"n": 2})
    run = ContinualRun(check_job(values))  # type: ignore[arg-type]
    names, parts = run.sites(3)
    assert names == ["0", "1"]
    seen = [set(run.data.patient[rows].tolist()) for part in parts for rows in part]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sites": {"column": "ward"}}, "sites.column: got ward"),
        ({"sites": {"column": "site", "order": ["north", "east"]}}, "sites: got east"),
        ({"method": {"capcity": 3}}, "capacity"),
        ({"data": {"standardize": "train"}}, "sites arrive in turn"),
    ],
)
def test_what_cannot_be_is_named(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        ContinualRun(check_job(config(tmp_path) | changes)).sites(0)  # type: ignore[arg-type]
