"""A study enumerates its cells, goes on after a stop, and collects; backtests roll."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from typer.testing import CliRunner

from tscl.cli.app import app
from tscl.errors import CheckpointError, ConfigError, InputError, TSCLError
from tscl.runs.study.backtest import rolling_splits
from tscl.runs.study.config import load_study
from tscl.runs.study.study import Study, cells_of, settings_of
from tscl.runs.study.tables import summary

SMALL = """
job: study
data: {dataset: seattle-temps, covariates: true}
algorithms: {hierarchical: {}, moco: {queue: 16}}
strategies: [supervised, end_to_end]
backbones: {tcn: {hidden_dims: 4, depth: 1}}
horizons: [3, 5]
lengths: {3: 8, 5: 8}
seeds: [0, 1]
rounds: 2
round_steps: 200
train:
  max_epochs: 1
  steps_per_epoch: 2
  monitor_stride: 200
  network_params: {output_dims: 4, decoder_dims: 4}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(SMALL)
    return path


def test_cells_are_every_combination_once(config):
    cells = cells_of(load_study(config))
    # dlinear, supervised, and end to end by two algorithms, at two horizons with two seeds
    assert len(cells) == len(set(cells)) == 2 * 2 * (1 + 1 + 2)


def test_a_stopped_study_goes_on_and_a_changed_setting_is_a_new_cell(config, tmp_path):
    out = f"out={tmp_path / 'out'}"
    few = [out, "horizons=[3]", "seeds=[0]"]
    job = Study(load_study(config, few))
    first = job.files.missing()[0]
    kept = job.write(first, job.compute(first))
    (kept.parent / "half.123.part").write_text("{")  # what a kill may leave behind
    stamp = kept.stat().st_mtime_ns
    seen = []
    assert Study(load_study(config, few)).run(report=lambda *a: seen.append(a)) == 3
    assert seen[-1][1:] == (4, 4)
    assert kept.stat().st_mtime_ns == stamp
    assert job.files.missing() == []
    changed = Study(load_study(config, [*few, "train.weight=0.1"]), job.data)
    assert len(changed.files.missing()) == 4
    frame = job.collect()
    assert set(frame["strategy"]) == {"supervised", "end_to_end", "baseline"}
    assert frame["mse"].notna().all()
    assert "mse.seattle-temps" in frame
    assert pd.read_parquet(tmp_path / "out/study.parquet").shape == frame.shape
    assert "seasonal naive" in (tmp_path / "out/study.md").read_text()
    kept.write_text("{")
    with pytest.raises(CheckpointError, match="remove the file"):
        job.collect()


def test_lambdas_are_cells_and_settings_differ_by_name(config):
    more = [
        "weights=[0.1,0.5]",
        "strategies=[supervised,end_to_end,two_stage_ridge]",
        "train_for.dlinear={lr: 0.25, backbone_params: {individual: true}}",
        "train_for.end_to_end={lr: 0.01}",
        "train_for.moco={lr: 0.02, weight_decay: 0.3}",
        "train_for.tcn={algorithms: {moco: {queue: 64}}}",
        "train_for.two_stage_ridge={pretrain: sections, algorithms: {moco: {augment: key}}}",
    ]
    loaded = load_study(config, [*more, "horizons=[3]", "seeds=[0]"])
    made = {c.title: settings_of(loaded, c) for c in cells_of(loaded)}
    assert len(made) == 1 + 1 + 2 * 2 + 2
    assert made["moco-end_to_end-tcn-l0.1-h3-s0"].weight == 0.1
    assert made["moco-end_to_end-tcn-l0.1-h3-s0"].lr == 0.02
    assert made["moco-two_stage_ridge-tcn-h3-s0"].weight_decay == 0.3
    two_step = made["moco-two_stage_ridge-tcn-h3-s0"]
    assert two_step.contrast_params == {"queue": 64, "augment": "key"}
    assert two_step.pretrain == "sections"
    assert made["moco-end_to_end-tcn-l0.1-h3-s0"].contrast_params == {"queue": 64}
    assert "queue" not in made["hierarchical-end_to_end-tcn-l0.5-h3-s0"].contrast_params
    assert made["hierarchical-end_to_end-tcn-l0.5-h3-s0"].weight == 0.5
    assert made["hierarchical-end_to_end-tcn-l0.5-h3-s0"].lr == 0.01
    assert made["none-supervised-tcn-h3-s0"].lr == 1e-3
    assert made["none-supervised-dlinear-h3-s0"].lr == 0.25
    assert made["none-supervised-dlinear-h3-s0"].backbone_params == {"individual": True}
    rows = [{"weight": w, "mse": 1.0} for w in (None, 0.1, 0.5)]
    same = {"backbone": "a", "strategy": "b", "algorithm": "c", "horizon": 3}
    names = list(summary(pd.DataFrame([same | r for r in rows]))["method"])
    assert names == ["a, b, c", "a, b, c, lambda 0.1", "a, b, c, lambda 0.5"]
    for bad in ("train_for.dlinea={}", "train_for.moco={lrr: 1}", "train_for.moco={lr: -1}"):
        with pytest.raises(ConfigError, match=r"dlinear|lr"):
            load_study(config, [bad])
    for bad in ("{mocco: {}}", "{moco: {queu: 4}}", "{moco: {queue: -1}}"):
        with pytest.raises(TSCLError, match=r"moco|queu"):
            load_study(config, [f"train_for.tcn={{algorithms: {bad}}}"])


def test_commands_run_and_resume(config, tmp_path):
    few = ["-s", "horizons=[3]", "-s", "seeds=[0]", "-s", "strategies=[supervised]"]
    command = [str(config), *few, "--out", str(tmp_path / "o")]
    first = CliRunner().invoke(app, ["study", *command])
    assert first.exit_code == 0, first.output
    assert "2/2" in first.output
    again = CliRunner().invoke(app, ["study", *command])
    assert "2/2" not in again.output
    rolled = CliRunner().invoke(app, ["backtest", *command])
    assert rolled.exit_code == 0, rolled.output
    table = pd.read_parquet(tmp_path / "o/backtest.parquet")
    assert sorted(table["round"].unique()) == [0, 1]
    assert table["origin"].is_monotonic_increasing
    assert "deviation (origins and seeds)" in (tmp_path / "o/backtest.md").read_text()
    assert load_study(tmp_path / "o/backtest.yaml").rounds == 2
    cells = list((tmp_path / "o/cells").glob("*.json"))
    assert len(cells) == 2 + 2 * 2
    assert all("mse" in json.loads(c.read_text()) for c in cells)


def test_bad_studies_are_named(config, tmp_path):
    with pytest.raises(ConfigError, match="end_to_end"):
        load_study(config, ["strategies=[endtoend]"])
    with pytest.raises(ConfigError, match="hierarchical"):
        load_study(config, ["algorithms.hierarchica={}"])
    with pytest.raises(ConfigError, match=r"network_params.output_dim: got 4; did you mean"):
        load_study(config, ["train.network_params={output_dim: 4}"])
    with pytest.raises(ConfigError, match=r"network_params.patc"):
        load_study(config, ["train_for.end_to_end={network_params: {patc: 4}}"])
    with pytest.raises(ConfigError, match=r"encoder_params.output_dims: got 4; .*network_params"):
        load_study(config, ["backbones={tcn: {output_dims: 4}}"])
    with pytest.raises(ConfigError, match="job"):
        load_study(config, ["job=forecasting"])
    with pytest.raises(ConfigError, match=r"data.input_form: got relative; .*use values"):
        load_study(config, ["data.input_form=relative"])
    for bad in ("queue: many", "queue: [1]", "queue: null", "momentum: x", "momentum: {a: 1}"):
        with pytest.raises(ConfigError, match=r"algorithms.moco: got .*(queue|momentum)"):
            load_study(config, [f"algorithms={{moco: {{{bad}}}}}"])
    for bad in ("horizons=[0]", "horizons=[]", "seeds=[]", "seeds=[-1]", "lengths={3: 0}"):
        with pytest.raises(ConfigError, match=bad.split("=")[0]):
            load_study(config, [bad])
    data = Study(load_study(config)).data
    too_long = load_study(config, ["lengths={3: 8, 5: 100000}"])
    with pytest.raises(InputError, match=r"lengths\[5\]: got 100000; past and horizon need 100005"):
        Study(too_long, data)
    short = replace(data, split=replace(data.split, train=slice(0, 20)))
    with pytest.raises(InputError, match="set it to false"):
        Study(load_study(config), short)
    assert Study(load_study(config, ["baselines=false"]), short).files.missing()
    with pytest.raises(InputError, match="rounds"):
        rolling_splits(100, 3, 30)
    splits = rolling_splits(100, 3, 10)
    assert [s.test.start for s in splits] == [70, 80, 90]
    assert all(s.train.stop == s.valid.start for s in splits)


def test_a_backtest_that_is_stopped_goes_on_and_leaves_the_report_of_the_study(
    config, tmp_path, monkeypatch
):
    few = ["-s", "horizons=[3]", "-s", "seeds=[0]", "-s", "strategies=[supervised]"]

    def invoke(name, out, *more):
        where = ["--out", str(tmp_path / out)]
        return CliRunner().invoke(app, [name, str(config), *few, *where, *more])

    assert invoke("study", "a").exit_code == 0
    report = (tmp_path / "a/report.html").read_bytes()

    written, inner, done = len(list((tmp_path / "a/cells").glob("*.json"))), Study.write, []

    def write(self, cell, rows):
        if done:
            raise KeyboardInterrupt
        done.append(inner(self, cell, rows))
        return done[0]

    with monkeypatch.context() as patch:
        patch.setattr(Study, "write", write)
        stopped = invoke("backtest", "a")
    assert stopped.exit_code == 130
    assert "--resume" in stopped.output
    cells = set((tmp_path / "a/cells").glob("*.json"))
    assert len(cells) == written + 1
    assert not (tmp_path / "a/backtest.parquet").exists()
    stamps = {cell: cell.stat().st_mtime_ns for cell in cells}
    assert invoke("backtest", "a", "--resume").exit_code == 0
    assert all(cell.stat().st_mtime_ns == stamp for cell, stamp in stamps.items())
    assert invoke("backtest", "b").exit_code == 0
    tables = [pd.read_parquet(tmp_path / f"{out}/backtest.parquet") for out in "ab"]
    pd.testing.assert_frame_equal(*(table.drop(columns="seconds") for table in tables))
    assert {"mase", "coverage", "width", "parameters"} <= set(tables[0])
    assert (tmp_path / "a/report.html").read_bytes() == report
    assert "Backtest" in (tmp_path / "a/backtest/report.md").read_text()
    first = Study(load_study(config, [*few[1::2], f"out={tmp_path / 'a'}"])).files
    assert invoke("study", "a", "--restart").exit_code == 0
    for cell in first.cells:
        assert first.path(cell).stat().st_mtime_ns > stamps[first.path(cell)]
