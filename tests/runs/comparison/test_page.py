"""``tscl report``: real small runs of every job in one page, its tables checked by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from tests.runs.page_reader import Page
from tests.runs.small_runs import clinical_run, forecasting_run, study
from tscl.cli.app import app
from tscl.errors import CheckpointError, ConfigError
from tscl.runs.comparison.finished_runs import differences, open_runs, short_names
from tscl.runs.comparison.page import comparison
from tscl.runs.comparison.tables import ALL, by_horizon, forecasting_table, over_seeds
from tscl.runs.forecasting.plot_data import PlotData

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("runs")
    return {
        "one": forecasting_run(base / "one", seed=1),
        "two": forecasting_run(base / "two", seed=2),
        "lr": forecasting_run(base / "lr", seed=1, lr=1e-2),
        "clinical": clinical_run(base / "clinical"),
        "study": study(base / "study"),
    }


def test_page_of_every_job_is_whole_and_needs_nothing_else(folders, tmp_path):
    target = tmp_path / "deep" / "page.html"
    made = RUNNER.invoke(app, ["report", *map(str, folders.values()), "-o", str(target)])
    assert made.exit_code == 0, made.output
    page = Page(target.read_text(encoding="utf-8"))
    assert all(one.startswith("#") for one in page.addresses), page.addresses
    for wanted in ("Runs", "Differences of configuration", "Studies", "Training", "Embeddings"):
        assert wanted in page.headings
    assert any(one.startswith("Forecasting series") for one in page.headings)
    assert any(one.startswith("Patients") for one in page.headings)
    # errors, scores, losses, validation (the clinical run probes); embeddings of four runs, three
    # masks
    assert len(page.pictures) == len(page.dark) == len(page.alts) == 4 + 4 + 3
    for light, dark in zip(page.pictures, page.dark, strict=True):
        assert np.abs(np.subtract(light.shape[:2], dark.shape[:2])).max() <= 2
        assert min(light.shape[:2]) > 100
        assert light[..., :3].mean() > 0.8
        assert dark[..., :3].mean() < 0.3
    by_run = {row[0]: row for row in page.tables[0][1:]}
    assert by_run["two"][:6] == [
        "two", "forecasting", "series (OT)", "autotcl", "dilated", "2"
    ]  # fmt: skip
    assert by_run["study"][1] == "study"
    changed = {row[0]: row[1:] for row in page.tables[1][1:]}
    assert changed == {"seed": ["1", "2", "1"], "train.lr": ["0.001", "0.001", "0.01"]}


def test_figures_of_the_table_are_those_of_the_runs(folders):
    runs = open_runs([folders["one"], folders["two"]])
    frame = forecasting_table(runs, "mse")
    metrics = json.loads((folders["two"] / "metrics.json").read_text())
    mine = frame[(frame["run"] == "two") & (frame["method"] == "AutoTCL")].iloc[0]
    for result in metrics["results"]["autotcl"]:
        assert mine[str(result["horizon"])] == result["mse"]
    assert mine["mean"] == pytest.approx(metrics["mean"]["autotcl"]["mse"])
    shared = frame[frame["run"] == ALL]["method"].tolist()
    assert "last value" in shared
    assert "AutoTCL" not in shared
    assert frame["run"].eq(ALL).sum() == len(shared) == len(set(shared))
    pooled = over_seeds(runs, "mse").set_index("method").loc["AutoTCL"]
    values = [by_horizon(run, "mse").set_index("method").loc["AutoTCL", "1"] for run in runs]
    assert pooled["1"] == f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
    assert pooled["seeds"] == 2
    assert "last value" not in over_seeds(runs, "mse")["method"].tolist()
    assert over_seeds(open_runs([folders["one"], folders["lr"]]), "mse").empty


def test_kept_embeddings_and_mask_are_those_of_the_run(folders):
    kept = PlotData.load(folders["one"])
    assert kept is not None
    assert set(kept.facts["embeddings"]) == {"autotcl", "ts2vec", "random"}
    found = kept.embedding("autotcl")
    assert found["points"].shape == (300, 2)
    assert np.array_equal(found["hour"], (found["time"] // 3_600_000_000_000) % 24)
    # two principal components: uncorrelated, the first the wider
    first, second = found["points"].astype(float).T
    assert abs(np.corrcoef(first, second)[0, 1]) < 1e-4
    assert first.var() >= second.var()
    mask = kept.mask("autotcl")
    series = pd.read_csv(folders["one"].parent / "series.csv")
    assert np.allclose(mask["signal"], series["OT"].to_numpy()[-100:], atol=1e-6)
    assert mask["time"][-1] == np.datetime64(series["date"].iloc[-1], "ns")
    assert ((mask["openness"] >= 0) & (mask["openness"] <= 1)).all()


def test_unfinished_and_older_runs_are_named(folders, tmp_path):
    bare = shutil.copytree(folders["one"], tmp_path / "bare")
    (bare / "metrics.json").unlink()
    older = shutil.copytree(folders["two"], tmp_path / "older")
    (older / "figures" / "embedding-dark.png").unlink()
    page = comparison(open_runs([bare, older])).page()
    assert "Without results: bare;" in page
    assert "No embeddings are kept in older;" in page
    Page(page)


def test_one_run_alone(folders):
    page = Page(comparison(open_runs([folders["clinical"]])).page())
    assert "Differences of configuration" not in page.headings
    assert [cells[0] for cells in page.tables[1][1:]] == ["clinical"] * (len(page.tables[1]) - 1)


def test_study_without_tables_is_read_from_its_cells(folders, tmp_path):
    bare = shutil.copytree(folders["study"], tmp_path / "bare")
    for name in ("study.parquet", "study.md", "study.yaml"):
        (bare / name).unlink()
    run = open_runs([bare])[0]
    cells = [json.loads(path.read_text()) for path in (bare / "cells").glob("*.json")]
    assert len(run.table) == len(cells) == 4
    page = Page(comparison([run]).page())
    values = {row[1]: row[2] for row in page.tables[1][1:]}
    mine = [c["mse"] for c in cells if c["strategy"] == "end_to_end"]
    expected = f"{np.mean(mine):.4g}\xa0±\xa0{np.std(mine, ddof=1):.2g}\xa0(2)"
    name = "tcn, end to end, hierarchical, lambda 0.5"
    assert values[name].replace("*", "") == expected


def test_names_and_differences():
    paths = [Path("/a/x/run"), Path("/a/y/run"), Path("/a/other")]
    assert short_names(paths) == ["x/run", "y/run", "a/other"]
    assert short_names([Path("/a/one"), Path("/a/two")]) == ["one", "two"]
    assert differences([]).empty


def test_what_is_no_run_is_refused(folders, tmp_path):
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        open_runs([tmp_path])
    with pytest.raises(ConfigError, match="once"):
        open_runs([folders["one"], folders["one"]])
    with pytest.raises(ConfigError, match="at least one"):
        open_runs([])
    damaged = shutil.copytree(folders["one"], tmp_path / "damaged")
    (damaged / "metrics.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"metrics\.json"):
        open_runs([damaged])
    (damaged / "metrics.json").write_text(json.dumps({"series": "x"}))
    with pytest.raises(CheckpointError, match="evaluate the run again"):
        open_runs([damaged])
    done = RUNNER.invoke(app, ["report", str(tmp_path)])
    assert done.exit_code == 2
    assert yaml.safe_load((folders["study"] / "study.yaml").read_text())["job"] == "study"
