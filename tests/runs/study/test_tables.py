"""A killed study, its tables and figures, and studies ranked over data sets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

from tscl.cli.app import app
from tscl.errors import ConfigError, DataError, InputError
from tscl.runs.study.compare import compare_studies
from tscl.runs.study.config import load_study
from tscl.runs.study.study import Study, write_tables
from tscl.runs.study.tables import by_variable, horizon_figure, score_table, with_skill

ROOT = Path(__file__).resolve().parents[3]
STUDY = """
job: study
data: {source: west-coast-temps, features: M}
algorithms: {hierarchical: {}}
strategies: [supervised, end_to_end]
backbones: {tcn: {hidden_dims: 4, depth: 1}}
networks: [dlinear]
horizons: [3, 5]
lengths: {3: 8, 5: 8}
seeds: [0]
train:
  max_epochs: 1
  steps_per_epoch: 40
  monitor_stride: 400
  network_params: {output_dims: 4, decoder_dims: 4}
"""
WAITING = """
import sys
from tscl.cli.app import app
from tscl.runs.study.study import Study
inner, written = Study.write, []
def write(self, cell, rows):
    if written:  # one cell is done; it is killed before the second is
        print("waiting", flush=True)
        sys.stdin.readline()
    written.append(inner(self, cell, rows))
    return written[-1]
Study.write = write
app()
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


def test_a_study_killed_at_once_goes_on_to_the_same_figures(config, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-c", WAITING, "study", str(config), "--out", str(out)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    child = subprocess.Popen(command, cwd=ROOT, **pipes)
    job = Study(load_study(config, [f"out={out}"]))
    assert child.stdout is not None
    assert any(line == b"waiting\n" for line in child.stdout)
    child.kill()
    child.communicate()
    left = job.files.missing()
    paths = [job.files.path(cell) for cell in job.cells if cell not in left]
    kept = {path: path.stat().st_mtime_ns for path in paths}
    assert 0 < len(left) < len(job.cells)
    assert not (out / "study.parquet").exists()
    job.run(workers=2)  # in other processes than the ones that were killed
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in kept.items())
    whole = Study(load_study(config, [f"out={tmp_path / 'whole'}"]), job.data)
    whole.run()
    both = [study.collect().drop(columns="seconds") for study in (job, whole)]
    pd.testing.assert_frame_equal(*both)
    assert not list(out.glob("checkpoints/*"))


def frame(dataset: str, shift: float = 0.0, seeds: int = 2) -> pd.DataFrame:
    """Rows of a made-up study: the naive has MSE 1, the others less or more by method."""
    rows = []
    methods = {
        ("seasonal naive", "baseline", "none"): 1.0,
        ("tcn", "end_to_end", "moco"): 0.5 + shift,
        ("tcn", "supervised", "none"): 2.0,
        ("dlinear", "supervised", "none"): 0.8,
    }
    for (backbone, strategy, algorithm), level in methods.items():
        for horizon in (24, 48):
            for seed in range(1 if strategy == "baseline" else seeds):
                mse = level * horizon / 24 * (1 + 0.1 * seed)
                row = {
                    "dataset": dataset, "algorithm": algorithm, "strategy": strategy,
                    "backbone": backbone, "horizon": horizon, "seed": seed, "mse": mse,
                    "mae": mse**0.5, "mse_raw": 9 * mse, "mae_raw": 3 * mse**0.5,
                    "mse.a": 0.5 * mse, "mse.b": 1.5 * mse,
                }  # fmt: skip
                rows.append(row)
    return pd.DataFrame(rows)


def test_skill_is_against_the_naive_of_the_same_horizon():
    made = with_skill(frame("x"))
    picked = made[(made["method"] == "tcn, end to end, moco") & (made["seed"] == 0)]
    assert picked["skill"].tolist() == pytest.approx([0.5, 0.5])
    assert made[made["method"] == "seasonal naive"]["skill"].tolist() == [0.0, 0.0]
    rounds = pd.concat([frame("x").assign(round=0), frame("x", 0.1).assign(round=1)])
    rounds.loc[(rounds["backbone"] == "seasonal naive") & (rounds["round"] == 1), "mse"] *= 2
    again = with_skill(rounds)
    picked = again[(again["method"] == "tcn, end to end, moco") & (again["seed"] == 0)]
    assert picked.groupby("round")["skill"].first().tolist() == pytest.approx([0.5, 0.7])
    without = frame("x")[lambda f: f["backbone"] != "seasonal naive"]
    assert "skill" not in with_skill(without)


def test_cases_are_what_is_asked_for():
    table = score_table(frame("x"), per=("horizon", "variable"))
    assert table.shape == (4, 4)
    assert table.loc[(48, "mse.b"), "dlinear"] == pytest.approx(0.8 * 2 * 1.05 * 1.5)
    both = pd.concat([frame("x"), frame("y").query("backbone != 'dlinear'")])
    assert list(score_table(both, per=("dataset",)).columns) == [
        "seasonal naive", "tcn", "tcn, end to end, moco",
    ]  # fmt: skip
    assert by_variable(frame("x"), 24).set_index("method").loc["seasonal naive", "b"] == "1.5"
    with pytest.raises(InputError, match="horizon"):
        score_table(frame("x"), per=("horizons",))


def test_report_shows_tables_and_figures(tmp_path):
    page = write_tables(frame("x"), tmp_path, "study", "Made up").read_text()
    text = (tmp_path / "report.md").read_text()
    assert "Skill: 1 - MSE" in text
    assert text.split("\n\n")[1].startswith(
        "Least mean test MSE by horizon in steps, scaled units:"
    )
    assert "Test MSE of every variable, horizon 48" in text
    assert "not independent" in text
    assert page.count("<img") == 3
    for name in ("horizons_mse", "horizons_skill", "critical_difference"):
        drawn = imread(tmp_path / f"figures/{name}.png")[..., :3]
        assert min(drawn.shape[:2]) > 100
        assert drawn.std() > 0.02
    table = (tmp_path / "study.md").read_text()
    assert "| tcn, end to end, moco | 0.525 ± 0.035 (2) |" in table


def test_a_method_keeps_its_colour_and_what_has_no_best_has_no_star(tmp_path):
    rows = with_skill(frame("x")).assign(coverage=0.8, n_test=70, parameters=660992)
    colours = []
    for metric in ("mse", "skill"):
        axes = horizon_figure(rows, metric).axes[0]
        lines, names = axes.get_legend_handles_labels()
        colours.append({n: line[0].get_color() for n, line in zip(names, lines, strict=True)})
        assert names[0] == "tcn, end to end, moco"
    assert colours[0] == colours[1]
    assert len(set(colours[0].values())) == 4
    write_tables(rows, tmp_path, "study", "Made up", cost="Took 3 s.")
    text = (tmp_path / "report.md").read_text()
    assert text.index("horizons_skill.png") < text.index("| method |")
    assert "Took 3 s." in text.split("\n\n")[1]
    assert "Windows tested by horizon: 70 at 24, 70 at 48." in text
    assert "| tcn | 2.1* ± 0.14 (2)" not in text
    assert "| tcn | 0.8 (2) | 0.8 (2) |" in text
    assert "| tcn | 660992 (2) |" in text


def test_studies_are_ranked_over_their_data_sets(tmp_path):
    folders = []
    for i in range(6):
        folder = tmp_path / f"s{i}"
        write_tables(frame(f"set{i}", 0.01 * i), folder, "study", "x")
        folders.append(folder)
    found, page = compare_studies(folders, tmp_path / "out")
    assert found.ranks.index[0] == "tcn, end to end, moco"
    assert found.ranks.to_list() == [1.0, 2.0, 3.0, 4.0]
    assert found.n_datasets == 6
    assert page.is_file()
    result = CliRunner().invoke(
        app,
        ["compare", *map(str, folders), "--out", str(tmp_path / "c"), "--per", "dataset,horizon"],
    )
    assert result.exit_code == 0, result.output
    assert "not independent" in (tmp_path / "c/report.md").read_text()
    with pytest.raises(DataError, match="set0"):
        compare_studies([folders[0], folders[0]], tmp_path / "out")
    with pytest.raises(DataError, match="tscl study"):
        compare_studies([tmp_path], tmp_path / "out")
    with pytest.raises(InputError, match="two of each"):
        compare_studies(folders[:1], tmp_path / "out")
    with pytest.raises(ConfigError, match="metric"):
        compare_studies(folders, tmp_path / "out", metric="rmse")


def test_statistical_forecasters_are_cells(config, tmp_path):
    pytest.importorskip("statsforecast")
    few = [
        f"out={tmp_path / 'o'}", "strategies=[supervised]", "backbones={}", "networks=[]",
        "data={dataset: seattle-temps}", "statistical={auto_ets: {fit_steps: 240}}",
    ]  # fmt: skip
    job = Study(load_study(config, few))
    assert [c.title for c in job.cells] == ["none-baseline-auto_ets-h5-s0"]
    job.run()
    rows = json.loads(job.files.path(job.cells[0]).read_text())["rows"]
    assert [r["horizon"] for r in rows] == [3, 5]
    made = job.collect()
    ets = made[made["backbone"] == "auto_ets"]
    naive = made[made["backbone"] == "last value"]
    assert (ets["mse"].to_numpy() < naive["mse"].to_numpy()).all()
    assert np.allclose(ets["mae_raw.seattle-temps"], ets["mae_raw"])
    other = Study(load_study(config, [*few, "horizons=[3]"]), job.data)
    assert len(other.files.missing()) == 1
    with pytest.raises(ConfigError, match="auto_ets"):
        load_study(config, [*few, "statistical={auto_est: {}}"])
    with pytest.raises(ConfigError, match="modle"):
        load_study(config, [*few, "statistical={auto_ets: {modle: ZZZ}}"])


def test_heads_on_lags_are_cells_and_see_what_is_known_ahead(config, tmp_path):
    rng = np.random.default_rng(0)
    flag = rng.random(500) < 0.3
    load = np.sin(2 * np.pi * np.arange(500) / 24) + flag + 0.05 * rng.normal(size=500)
    date = pd.date_range("2020-01-01", periods=500, freq="h")
    pd.DataFrame({"date": date, "flag": flag, "load": load}).to_csv(tmp_path / "a.csv")
    few = [
        f"out={tmp_path / 'o'}", "strategies=[supervised]", "backbones={}", "networks=[]",
        "horizons=[3]", "heads=[trees, ridge]",
    ]  # fmt: skip
    data = f"dataset: csv, path: {tmp_path / 'a.csv'}, target: load"
    mse = {}
    for known in ("", ", future_covariates: [flag]"):
        job = Study(load_study(config, [*few, f"data={{{data}{known}}}"]))
        assert job.run() == 2
        frame = job.collect().set_index("backbone")["mse"]
        mse[known] = frame[["gradient boosting on lags", "ridge on lags"]].to_numpy()
    without, known = mse.values()
    assert (known < 0.3 * without).all()


def test_one_horizon_is_drawn_as_points_beside_names():
    rows = with_skill(frame("x"))
    axes = horizon_figure(rows[rows["horizon"] == 24], "mse").axes[0]
    means = rows[rows["horizon"] == 24].groupby("method")["mse"].mean().sort_values()
    assert [text.get_text() for text in axes.get_yticklabels()] == list(means.index)
    assert axes.yaxis_inverted()  # the best on top
    points = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points, means)
