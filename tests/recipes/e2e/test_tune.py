"""The validation trials: all that are recorded can be run again, and a run is appended once."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[3] / "recipes/e2e"


@pytest.fixture
def tune():
    spec = importlib.util.spec_from_file_location("e2e_tune", FOLDER / "tune.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_recorded_trials_are_those_of_the_script(tune):
    lines = [json.loads(x) for x in (FOLDER / "tuning.jsonl").read_text().splitlines()]
    assert {r["trial"]: r["horizon"] for r in lines} == {k: v[0] for k, v in tune.TRIALS.items()}


def test_a_trial_is_run_once(tune, tmp_path, monkeypatch):
    n = 20 * 30 * 24  # the months of the ETT split
    times = pd.date_range("2016-07-01", periods=n, freq="h")
    waves = np.sin(2 * np.pi * np.arange(n)[:, None] / [24, 24, 12, 12, 24, 48, 24])
    names = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
    frame = pd.DataFrame(waves, columns=names)
    frame.insert(0, "date", times)
    frame.to_csv(tmp_path / "ETTh1.csv", index=False)
    small = {"max_epochs": 1, "steps_per_epoch": 2, "monitor_stride": 400}
    for name in ("patches of 24", "DLinear"):
        horizon, calendar, settings = tune.TRIALS[name]
        monkeypatch.setitem(tune.TRIALS, name, (horizon, calendar, settings | small))
    out = tmp_path / "trials.jsonl"
    command = [str(out), "--source", str(tmp_path / "ETTh1.csv"), "--only", "patches of 24"]
    for more in ([], ["DLinear"]):
        monkeypatch.setattr(sys, "argv", ["tune.py", *command, *more])
        tune.main()
    made = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["trial"] for r in made] == ["patches of 24", "DLinear"]
    assert all(r["steps"] == 2 and np.isfinite(r["curve"]).all() for r in made)
