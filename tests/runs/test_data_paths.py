"""Every kind of series goes through a study: univariate, multivariate, many to one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tscl.errors import ConfigError
from tscl.runs.config import validate
from tscl.runs.study.config import StudyConfig
from tscl.runs.study.study import Study

ETT = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]


def study(out: Path, data: dict, horizon: int = 4, **more) -> Study:
    values = {
        "job": "study",
        "out": str(out),
        "data": data,
        "strategies": ["supervised"],
        "backbones": {},
        "horizons": [horizon],
        "lengths": {horizon: 8},
        "seeds": [0],
        "train": {"max_epochs": 1, "steps_per_epoch": 2, "monitor_stride": 50, "batch_size": 8},
    }
    return Study(validate(StudyConfig, values | more))


def write(path: Path, columns: list[str], n: int, freq: str) -> Path:
    t = np.arange(n)[:, None]
    noise = 0.1 * np.random.default_rng(0).normal(size=(n, len(columns)))
    values = np.sin(2 * np.pi * t / 24 + np.arange(len(columns))) + noise
    frame = pd.DataFrame(values.round(4), columns=columns)
    frame.insert(0, "date", pd.date_range("2016-07-01", periods=n, freq=freq).astype(str))
    frame.to_csv(path, index=False)
    return path


FORMS = [
    ({"layout": "ett"}, ETT, "h", "OT"),
    ({"layout": "named", "dataset": "ETTm2"}, ETT, "15min", "OT"),
    ({"layout": "named", "dataset": "electricity"}, ["MT_001", "MT_002"], "h", "MT_001"),
    ({"layout": "named", "dataset": "weather"}, ["Altimeter", "WetBulbCelsius"], "h",
     "WetBulbCelsius"),
    ({"layout": "named", "dataset": "exchange", "split": "named"}, ["0", "OT"], "D", "OT"),
    ({"layout": "named", "dataset": "illness", "split": "named"}, ["AGE 0-4", "OT"], "7D", "OT"),
    ({"layout": "csv", "target": "b"}, ["a", "b", "c"], "30min", "b"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "columns", "freq", "target"), FORMS, ids=lambda v: str(v)[:40])
@pytest.mark.parametrize("features", ["S", "M", "MS"])
def test_a_study_reads_every_form(tmp_path, data, columns, freq, target, features):
    source = str(write(tmp_path / "s.csv", columns, 400, freq))
    data = dict(data) | {"source": source, "features": features, "calendar": "frequency"}
    if features == "M":
        data.pop("target", None)
    job = study(tmp_path / "out", data)
    assert job.run() == 1
    row = json.loads(job.files.path(job.cells[0]).read_text())
    names = columns if features == "M" else [target]
    assert {k for k in row if k.startswith("mse.")} == {f"mse.{n}" for n in names}
    test = job.data.split.test
    assert row["n_test"] == test.stop - test.start - 4
    assert row["n_test"] % 256 != 0  # the last batch is not whole, and its rows are counted
    fields = {"h": 4, "15min": 5, "30min": 5, "D": 3, "7D": 2}[freq]
    assert job.data.n_covariates == fields


def test_quarter_hours_have_the_published_split(tmp_path):
    source = write(tmp_path / "ETTm1.csv", ["OT", *ETT[:-1]], 57_700, "15min")
    job = study(tmp_path, {"source": str(source), "layout": "ett", "split": "ett"})
    assert job.data.split.bounds == {
        "train": (0, 34560),
        "valid": (34560, 46080),
        "test": (46080, 57600),
    }


@pytest.mark.parametrize(
    ("name", "dataset", "horizon"),
    [("exchange_rate", "exchange", 96), ("national_illness", "illness", 24)],
)
def test_real_files_of_other_fields(shared_data, tmp_path, name, dataset, horizon):
    data = {
        "source": str(shared_data / "forecasting" / f"{name}.csv"),
        "layout": "named",
        "dataset": dataset,
        "features": "MS",
        "split": "named",
    }
    job = study(tmp_path, data, horizon)
    job.run()
    frame = job.collect()
    assert frame["mse"].between(0, 100).all()
    assert list(job.data.series.targets) == ["OT"]


def test_bad_data_sections_are_named(tmp_path):
    source = str(write(tmp_path / "s.csv", ["a", "b"], 50, "h"))
    with pytest.raises(ConfigError, match="dataset"):
        study(tmp_path, {"source": source, "layout": "named"})
    with pytest.raises(ConfigError, match="MS"):
        study(tmp_path, {"source": source, "layout": "csv", "features": "MS"})
    with pytest.raises(ConfigError, match="split named"):
        study(
            tmp_path,
            {"source": source, "layout": "csv", "target": "a", "split": "named"},
        )
