"""Every kind of series goes through a study: univariate, multivariate, many to one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tscl.errors import ConfigError, DataError
from tscl.runs.config import validate
from tscl.runs.forecasting.config import DataSection
from tscl.runs.forecasting.data import cell_facts, load_series, named_dataset
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


RATIOS = [0.6, 0.2, 0.2]
FORMS = [
    ({"dataset": "ett", "split": RATIOS}, ETT, "h", "OT"),
    ({"dataset": "ETTm2", "split": RATIOS}, ETT, "15min", "OT"),
    ({"dataset": "electricity"}, ["MT_001", "MT_002"], "h", "MT_001"),
    ({"dataset": "weather"}, ["Altimeter", "WetBulbCelsius"], "h", "WetBulbCelsius"),
    ({"dataset": "exchange"}, ["0", "OT"], "D", "OT"),
    ({"dataset": "illness"}, ["AGE 0-4", "OT"], "7D", "OT"),
    ({"dataset": "csv", "target": "b"}, ["a", "b", "c"], "30min", "b"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "columns", "freq", "target"), FORMS, ids=lambda v: str(v)[:40])
@pytest.mark.parametrize("features", ["S", "M", "MS"])
def test_a_study_reads_every_form(tmp_path, data, columns, freq, target, features):
    source = str(write(tmp_path / "s.csv", columns, 400, freq))
    data = dict(data) | {"path": source, "features": features, "calendar": "frequency"}
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
    job = study(tmp_path, {"dataset": "ett", "path": str(source)})
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
        "path": str(shared_data / "forecasting" / f"{name}.csv"),
        "dataset": dataset,
        "features": "MS",
    }
    job = study(tmp_path, data, horizon)
    job.run()
    frame = job.collect()
    assert frame["mse"].between(0, 100).all()
    assert list(job.data.series.targets) == ["OT"]


def test_bad_data_sections_are_named(tmp_path):
    source = str(write(tmp_path / "s.csv", ["a", "b"], 50, "h"))
    with pytest.raises(ConfigError, match=r"data.path: .*dataset csv is read from a file"):
        study(tmp_path, {"dataset": "csv"})
    with pytest.raises(DataError, match="did you mean 'ETTh"):
        study(tmp_path, {"dataset": "ETTh"})
    with pytest.raises(ConfigError, match="features MS needs the column to forecast, one of a, b"):
        study(tmp_path, {"dataset": "csv", "path": source, "features": "MS"})
    with pytest.raises(ConfigError, match=r"data.features: got M; .*S, or MS"):
        study(tmp_path, {"dataset": "csv", "path": source, "features": "M", "target": "a"})
    with pytest.raises(ConfigError, match="1 h or 15 min"):
        daily = write(tmp_path / "d.csv", ETT, 50, "D")
        study(tmp_path, {"dataset": "ett", "path": str(daily)})


def test_remedies_are_keys_of_the_configuration_and_help(tmp_path):
    frame = pd.read_csv(write(tmp_path / "s.csv", ["a", "b"], 60, "h"))
    holed = frame.copy()
    holed.loc[20, "a"] = np.nan
    flat = frame.assign(b=1.0)
    for bad in (frame.drop(index=range(10, 14)), holed, flat):
        bad.to_csv(tmp_path / "bad.csv", index=False)
        section = DataSection(dataset="csv", path=str(tmp_path / "bad.csv"))
        with pytest.raises(DataError) as caught:
            load_series(section)
        key = re.search(r"-s data.(\w+)=(\S+?)[:) ]", f"{caught.value.remedy} ")
        assert key is not None, caught.value
        assert "allow" not in caught.value.remedy
        value = ["a"] if key[1] == "columns" else key[2]
        assert np.isfinite(load_series(section.replace(**{key[1]: value})).values).all()


def test_a_file_named_like_a_data_set_is_it_only_if_it_can_be(tmp_path):
    short = write(tmp_path / "ETTh1.csv", ETT, 200, "h")
    assert named_dataset(short) == "csv"
    assert named_dataset(write(tmp_path / "ETTh2.csv", ["load"], 14_400, "h")) == "csv"
    assert named_dataset(write(tmp_path / "exchange.csv", ["0", "OT"], 200, "D")) == "exchange"
    assert named_dataset(tmp_path / "ETTm1.csv") == "ETTm1"  # its loader says that it is not there


OLD_AND_NEW = [
    ({"source": "seattle-weather", "features": "M"}, {"dataset": "seattle-weather"}),
    ({"source": "s.csv", "layout": "csv", "target": "OT"}, {"dataset": "csv", "path": "s.csv"}),
    ({"source": "s.csv", "layout": "ett", "split": "ett"}, {"dataset": "ett", "path": "s.csv"}),
    ({"source": "s.csv", "layout": "named", "dataset": "exchange", "split": "named"},
     {"dataset": "exchange", "path": "s.csv", "split": "own"}),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), OLD_AND_NEW, ids=lambda v: str(v)[:30])
def test_keys_of_earlier_versions_warn_and_keep_the_names_of_cells(old, new):
    with pytest.warns(FutureWarning, match="own|data.dataset"):
        section = DataSection(**old)
    assert {key: getattr(section, key) for key in new} == new
    facts = cell_facts(section)
    assert {key: facts[key] for key in old} == old
    again = DataSection(**{k: v for k, v in section.model_dump().items() if v is not None})
    assert cell_facts(again) == facts


def test_old_keys_that_say_too_little_are_named(tmp_path):
    for data, match in (
        ({"source": "s.csv", "layout": "named"}, "dataset"),
        ({"source": "s.csv", "layout": "csv", "split": "named"}, "split named"),
        ({"source": "s.csv", "layout": "wide"}, "layout wide"),
    ):
        with pytest.raises(ConfigError, match=match):
            study(tmp_path, data)


def csv(path: Path, columns: dict[str, np.ndarray], time: str = "date") -> DataSection:
    frame = pd.DataFrame(columns)
    frame.insert(1, time, pd.date_range("2020-01-01", periods=len(frame), freq="h").astype(str))
    frame.to_csv(path, index=False)
    return DataSection(dataset="csv", path=str(path))


def test_a_csv_tells_its_time_column_and_target(tmp_path):
    wave = np.sin(np.arange(60.0))
    one = load_series(csv(tmp_path / "one.csv", {"load": wave}, time="When"))
    assert (one.columns, one.targets, one.freq) == (("load",), ("load",), "h")
    section = csv(tmp_path / "two.csv", {"7": wave, "heat": wave**2})
    assert load_series(section).targets == ("7", "heat")
    only = load_series(section.replace(target="heat"))
    assert (only.columns, only.targets) == (("heat",), ("heat",))
    many = load_series(section.replace(target="heat", features="MS"))
    assert (many.columns, many.targets) == (("7", "heat"), ("heat",))
