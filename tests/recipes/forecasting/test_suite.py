"""The suite of forecasts: what its tables count, and cells from a file to figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from data_loaders.series.splits import ForecastSplit
from recipes.forecasting.neural import neural_row
from recipes.forecasting.suite import NLinear, Suite
from recipes.forecasting.tables import by_row, frame_of, marks, summary, verdicts, write_tables

RECIPE = Path(__file__).parents[3] / "recipes" / "forecasting" / "suite.yaml"


def cell(row: str, seed: int, short: tuple[float, float], long: tuple[float, float]) -> dict:
    """A finished cell of one data set: (validation, test) at horizons 7 and 28."""
    horizons = {
        str(h): {"valid_mse": valid, "mse": mse, "mae": mse}
        for h, (valid, mse) in ((28, long), (7, short))
    }
    return {"dataset": "d", "row": row, "seed": seed, "seconds": 4.0, "horizons": horizons}


def test_validation_chooses_and_test_errors_judge(tmp_path):
    cells = [
        cell("AutoTCL", 0, (0.2, 1.0), (0.1, 0.5)),
        cell("AutoTCL", 1, (0.4, 1.2), (0.1, 0.7)),
        cell("TS2Vec", 0, (0.5, 0.9), (0.2, 0.3)),
        cell("end to end", 0, (0.1, 3.0), (0.05, 3.0)),  # its network has seen the held-out windows
        cell("ridge on lags", 0, (0.01, 1.09), (0.01, 0.55)),
        cell("seasonal naive", 0, (0.01, 2.0), (0.01, 0.59)),
    ]
    table = verdicts(frame_of(cells))
    assert table["chosen by validation"].tolist() == ["AutoTCL", "AutoTCL"]
    np.testing.assert_allclose(table["its MSE"], [1.1, 0.6])
    np.testing.assert_allclose(table["ratio"], [1.1 / 1.09, 0.6 / 0.55])
    np.testing.assert_allclose(table["ratio to all"], [1.1 / 0.9, 2.0])
    text = summary(table)
    assert "1 of 2 cases among the plain rows and itself, in 0 of 2 among all rows" in text
    assert "behind the seasonal naive at d at 28." in text
    rows = by_row(frame_of(cells)).set_index("row")
    assert rows["within 2 %"].to_dict() == {
        "AutoTCL": 1,
        "TS2Vec": 2,
        "end to end": 0,
        "ridge on lags": 2,
        "seasonal naive": 0,
    }
    mean = np.sqrt(1.1 / 1.09 * 0.6 / 0.55)
    assert rows.loc["AutoTCL", "ratio, geometric mean"] == pytest.approx(mean)
    page = tmp_path / "page.md"
    start, end = marks()
    other = "\n".join(marks("multivariate"))
    page.write_text(f"before\n\n{start}\nold\n{end}\n\n{other}\n\nafter\n")
    write_tables(cells, page)
    assert other in page.read_text()
    write_tables(cells, page, "multivariate")
    once = page.read_text()
    write_tables(cells, page)
    assert page.read_text() == once
    assert "old" not in once
    assert once.startswith("before\n\n")
    assert once.endswith("\n\nafter\n")
    assert "| TS2Vec | 0.9 |" in once


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    config = yaml.safe_load(RECIPE.read_text())
    steps = np.arange(700)
    noise = np.random.default_rng(0).normal(size=700)
    series = np.sin(steps * 2 * np.pi / 24) + 0.1 * noise
    times = pd.date_range("2021-01-01", periods=700, freq="h")
    pd.DataFrame({"date": times, "load": series}).to_csv(tmp_path / "own.csv", index=False)
    data = {"dataset": "csv", "path": str(tmp_path / "own.csv")}
    config["datasets"] = {"own": {"data": data, "horizons": [2]}, "gone": {"data": {"path": "no"}}}
    config["run"]["train"]["max_epochs"] = 1
    config["run"]["evaluate"]["head"] = "ridge"
    config["linear"] |= {"lrs": [1e-2], "max_epochs": 2, "max_steps": 60}
    return Suite(config | {"out": str(tmp_path / "out"), "steps": 600})


def test_cells_of_a_file_beat_repetition(suite):
    """A wave in noise of deviation .1: repeating a day doubles its variance, the heads do not."""
    assert suite.names == ["own"]  # the missing file is left out
    rows = ("seasonal naive", "ridge on lags", "NLinear", "AutoTheta", "untrained encoder")
    mse = {}
    for one in suite.files.cells:
        if one.row in rows and one.seed == 0:
            values = suite.compute(one)
            json.dumps(values)
            mse[one.row] = values["horizons"]["2"]["mse"]
    noise = 0.01 / 0.51  # in units of the series
    assert mse["seasonal naive"] == pytest.approx(2 * noise, rel=0.3)
    for row in ("ridge on lags", "untrained encoder"):
        assert mse[row] < 1.6 * noise, row
    assert len(pd.read_csv(suite.folder / "data" / "own.csv")) == 600


def test_all_columns_of_a_file_are_forecast(suite):
    """A second wave of another phase, hence of the same errors."""
    path = Path(suite.config["datasets"]["own"]["data"]["path"])
    frame = pd.read_csv(path)
    wave = np.sin((np.arange(700) + 6) * 2 * np.pi / 24)
    frame["other"] = 3 * (wave + 0.1 * np.random.default_rng(1).normal(size=700))
    frame.to_csv(path, index=False)
    suite.config["datasets"]["own"]["data"]["features"] = "M"
    mse = {}
    for cell in suite.files.cells:
        if cell.row in ("seasonal naive", "ridge on lags", "AutoTheta"):
            mse[cell.row] = suite.compute(cell)["horizons"]["2"]["mse"]
    assert suite.data("own").targets.shape == (600, 2)
    noise = 0.01 / 0.51
    assert mse["seasonal naive"] == pytest.approx(2 * noise, rel=0.3)
    assert mse["ridge on lags"] < 1.6 * noise
    assert mse["AutoTheta"] < 2.3 * noise


def test_nlinear_moves_with_the_level():
    network = NLinear(1, 3, 8)
    past = torch.randn(4, 8, 1)
    torch.testing.assert_close(network(past + 5), network(past) + 5)


@pytest.mark.parametrize("name", ["N-HITS", "PatchTST"])
def test_networks_of_neuralforecast_forecast_the_rows_of_the_table(name):
    pytest.importorskip("neuralforecast")
    steps = np.arange(600)
    wave = np.sin(steps * 2 * np.pi / 12)[:, None]
    split = ForecastSplit(slice(0, 360), slice(360, 480), slice(480, 600))
    settings = {"max_steps": 150, "windows_batch_size": 64, "val_check_steps": 50}
    settings |= (
        {"hidden_size": 16, "n_heads": 2, "learning_rate": 1e-3} if name == "PatchTST" else {}
    )
    index = pd.date_range("2020-01-01", periods=600, freq="h")
    result, chosen = neural_row(name, wave, index, split, 6, (12, 24), settings, 0)
    assert chosen["input_size"] in (12, 24)
    assert result.n_test == 114
    assert result.mse < 0.02  # a step beside would cost 0.13
    both = np.hstack([wave, np.roll(wave, 5)])  # columns taken for one another would cost 1.9
    assert neural_row(name, both, index, split, 6, (24,), settings, 0)[0].mse < 0.02
