"""The forecasting job and its command line, from a CSV to a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

from tscl.cli import app as cli
from tscl.cli.app import app
from tscl.errors import CheckpointError, ConfigError, DataError, InputError
from tscl.runs.forecasting.config import check_config, load_config
from tscl.runs.forecasting.data import load_series, relative_form
from tscl.runs.forecasting.report import write_report
from tscl.runs.forecasting.run import ForecastingRun, forecast_beyond
from tscl.saving.encoder import load_encoder

RUNNER = CliRunner()


def hourly(steps: int = 1500) -> pd.DataFrame:
    t = np.arange(steps)
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "date": pd.date_range("2020-01-01", periods=steps, freq="h"),
            "load": np.sin(t * 2 * np.pi / 24) + 0.1 * rng.normal(size=steps) + t / steps,
            "OT": np.cos(t * 2 * np.pi / 24) + 0.1 * rng.normal(size=steps),
        }
    )


@pytest.fixture
def settings(tmp_path: Path) -> dict:
    hourly().to_csv(tmp_path / "series.csv", index=False)
    return {
        "name": "small",
        "seed": 1,
        "out": str(tmp_path / "run"),
        "data": {
            "dataset": "csv",
            "path": str(tmp_path / "series.csv"),
            "target": "OT",
            "covariates": False,
        },
        "encoder": {
            "name": "dilated",
            "params": {"output_dims": 8, "hidden_dims": 8, "depth": 3, "causal": True},
        },
        "method": {"name": "autotcl", "params": {"aug_hidden": 4, "aug_depth": 1}},
        "train": {"max_epochs": 2, "batch_size": 4, "max_train_length": 100},
        "evaluate": {"horizons": [1, 24], "drop": 30, "compare": ["ts2vec", "random"]},
    }


def write(settings: dict, path: Path) -> Path:
    file = path / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def test_whole_job_writes_everything_and_the_stages_agree(settings, tmp_path):
    file = write(settings, tmp_path)
    done = RUNNER.invoke(app, ["run", "-c", str(file), "-q"])
    assert done.exit_code == 0, done.output
    run = tmp_path / "run"
    for name in (
        "config.yaml",
        "run.json",
        "metrics.json",
        "history-autotcl.csv",
        "models/autotcl/encoder.safetensors",
        "figures/forecast.png",
        "figures/mask.png",
        "figures/comparison.png",
        "report.md",
        "report.html",
    ):
        assert (run / name).stat().st_size > 0, name
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["results"]) >= {
        "autotcl",
        "ts2vec",
        "random",
        "last value",
        "seasonal naive",
        "raw-window ridge",
    }
    assert metrics["encoding"]["autotcl"]["route"] in ("full", "chunked")
    assert "base64" in (run / "report.html").read_text()
    for rows in metrics["results"].values():
        assert all(0 < row["mase"] < 10 and 0.5 < row["coverage"] <= 1 for row in rows)
    text = (run / "report.md").read_text()
    assert "MASE" in text
    assert "90% intervals" in text
    cost = metrics["costs"]["autotcl"]
    assert min(cost.values()) > 0
    assert set(cost) == {"seconds to train", "seconds to score", "parameters"}
    first = (run / "report.md").read_text().split("\n\n")[1]
    assert first.startswith("AutoTCL has a test MSE of")
    assert "the best other row" in first

    again = RUNNER.invoke(app, ["evaluate", "--run", str(run), "-q"])
    assert again.exit_code == 0, again.output
    assert json.loads((run / "metrics.json").read_text())["results"] == metrics["results"]

    words = ["forecast", "--run", str(run), "--horizon", "24", "--coverage", "0.9"]
    ahead = RUNNER.invoke(app, words)
    assert ahead.exit_code == 0, ahead.output
    frame = pd.read_csv(run / "forecast.csv", index_col=0, parse_dates=True)
    assert list(frame) == ["OT", "OT.lower", "OT.upper"]
    assert len(frame) == 24
    assert ((frame["OT.lower"] < frame["OT"]) & (frame["OT"] < frame["OT.upper"])).all()
    assert frame.index[0] == hourly()["date"].iloc[-1] + pd.Timedelta(hours=1)
    assert np.abs(frame["OT"]).max() < 3

    out = tmp_path / "embeddings.npy"
    coded = RUNNER.invoke(app, ["encode", "--run", str(run), "--out", str(out)])
    assert coded.exit_code == 0, coded.output
    embeddings = np.load(out, allow_pickle=False)
    assert embeddings.shape == (1500, 8)
    assert embeddings.dtype == np.float32


def test_same_seed_same_metrics_and_resume_takes_over(settings, tmp_path):
    settings["evaluate"]["compare"] = []
    first = ForecastingRun(check_config(settings))
    trained = [first.train("autotcl")]
    table = first.evaluate(trained)
    other = ForecastingRun(check_config(settings | {"out": str(tmp_path / "other")}))
    assert other.evaluate([other.train("autotcl")]) == table
    taken = ForecastingRun(check_config(settings)).train("autotcl", resume=True)
    for key, value in taken.encoder.state_dict().items():
        assert torch.equal(value, trained[0].encoder.state_dict()[key])
    assert taken.history[-1]["loss"] == pytest.approx(trained[0].history[-1]["loss"])


def test_forecasts_do_not_depend_on_the_test_part(settings, tmp_path):
    """Change the test part: encoder, chosen penalties and validation errors stay the same."""
    settings["train"]["select"] = "validation"
    settings["evaluate"]["compare"] = []
    before = ForecastingRun(check_config(settings))
    trained = before.train("autotcl")
    table = before.evaluate([trained])
    frame = hourly()
    frame.loc[1210:, "OT"] = np.random.default_rng(5).normal(size=len(frame) - 1210) * 7
    frame.to_csv(tmp_path / "series.csv", index=False)
    after = ForecastingRun(check_config(settings | {"out": str(tmp_path / "other")}))
    retrained = after.train("autotcl")
    other = after.evaluate([retrained])
    for key, value in retrained.encoder.state_dict().items():
        assert torch.equal(value, trained.encoder.state_dict()[key])
    for one, two in zip(table["autotcl"], other["autotcl"], strict=True):
        assert (one.alpha, one.valid_mse) == (two.alpha, two.valid_mse)
        assert one.mse != two.mse


def test_relative_form_forgets_the_level_and_the_future():
    x = np.cumsum(np.random.default_rng(0).normal(size=(300, 2)), axis=0).astype(np.float32)
    plain = relative_form(x, slice(0, 200), (24,))
    assert plain.shape == (300, 4)
    lifted = relative_form(x + 5.0, slice(0, 200), (24,))
    assert np.allclose(plain, lifted, atol=1e-4)
    changed = x.copy()
    changed[250:] += 9.0
    assert np.array_equal(relative_form(changed, slice(0, 200), (24,))[:250], plain[:250])


@pytest.mark.parametrize(
    ("override", "field", "hint"),
    [
        ("train.epochs=3", "train.epochs", "max_epochs"),
        ("trian.lr=1", "trian", "train"),
        ("encoder.name=dilatd", "encoder", "dilated"),
        ("encoder.params={depht: 3}", "encoder tcn.depht", "depth"),
        ("method.params={maks: last}", "method autotcl.maks", "mask"),
        ("train.lr=-1", "train.lr", "greater than 0"),
        ("evaluate.horizons=[0]", "evaluate.horizons", "1 or more"),
        ("data.split=[0.5,0.1,0.1]", "data.split", ""),
        ("seed", "--set", "key=value"),
    ],
)
def test_bad_configuration_names_key_and_nearest(override, field, hint):
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    assert caught.value.field.startswith(field)
    assert hint in str(caught.value)


def test_overrides_read_numbers():
    config = load_config(None, ["train.lr=1e-4", "evaluate.horizons=[12, 3]", "seed=7"])
    assert (config.train.lr, config.evaluate.horizons, config.seed) == (1e-4, [3, 12], 7)


def test_bad_data_is_one_line_before_training(settings, tmp_path):
    frame = hourly()
    frame.loc[5, "OT"] = np.nan
    frame.to_csv(tmp_path / "series.csv", index=False)
    done = RUNNER.invoke(app, ["run", "-c", str(write(settings, tmp_path)), "-q"])
    assert done.exit_code == 2
    assert "OT" in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "run" / "models").exists()


def test_gaps_and_empty_cells_of_a_csv_are_filled_when_asked(settings, tmp_path):
    frame = hourly()
    frame.loc[5, "OT"] = np.nan
    frame.drop(index=9).to_csv(tmp_path / "series.csv", index=False)
    section = check_config(settings).data
    with pytest.raises(DataError, match=r"data\.irregular=fill"):
        load_series(section)
    with pytest.raises(DataError, match=r"data\.missing=forward"):
        load_series(section.model_copy(update={"irregular": "fill"}))
    made = load_series(section.model_copy(update={"irregular": "fill", "missing": "forward"}))
    assert made.values[5, 0] == made.values[4, 0]
    assert made.values[9, 0] == made.values[8, 0]
    assert len(made) == len(frame)


def test_data_replaces_the_source_alone_when_the_configuration_reads_a_file(settings, tmp_path):
    other = tmp_path / "other.csv"
    hourly().to_csv(other, index=False)
    config = cli.read_config(write(settings, tmp_path), other, None, None).data
    assert (config.path, config.dataset) == (str(other), "csv")
    assert config.split == check_config(settings).data.split
    demo = cli.read_config(None, other, None, None).data
    assert (demo.dataset, demo.split) == ("csv", "own")
    named = cli.read_config(None, tmp_path / "ETTh1.csv", None, None).data
    assert (named.dataset, named.split) == ("ETTh1", "own")


def test_any_csv_runs_with_the_embedded_configuration(tmp_path):
    """A short daily file with its time column elsewhere: sizes that are too large are fitted."""
    days = 260
    level = np.sin(np.arange(days) * 2 * np.pi / 7) + np.linspace(0, 1, days)
    dates = pd.date_range("2021-03-01", periods=days).strftime("%d.%m.%Y")
    frame = pd.DataFrame({"visitors": level.round(3), "day": dates})
    frame.to_csv(tmp_path / "visits.csv", index=False)
    words = ["run", "--data", str(tmp_path / "visits.csv"), "--out", str(tmp_path / "out"), "-q"]
    done = RUNNER.invoke(app, [*words, "-s", "train.max_epochs=1", "-s", "evaluate.compare=[]"])
    assert done.exit_code == 0, done.output
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["series"], metrics["targets"]) == ("visits", ["visitors"])
    # days: one and two weeks; seven are more than half of the test part
    assert [row["horizon"] for row in metrics["results"]["autotcl"]] == [7, 14]
    # a week repeats exactly but for the trend, which the ridge finds
    assert metrics["results"]["autotcl"][0]["mse"] < 0.1
    heads = metrics["heads"]["autotcl"]
    for horizon in ("7", "14"):
        chosen = heads[horizon]
        assert chosen["head"] == "mean of boosting, linear, naive, ridge, trees"
        by_error = sorted(chosen["weights"], key=chosen["errors"].__getitem__)
        assert by_error[0] == max(chosen["weights"], key=chosen["weights"].__getitem__)
    assert "Heads, chosen on windows" in (tmp_path / "out" / "report.md").read_text()
    assert "heads, chosen on windows" in done.output
    words = ["forecast", "--run", str(tmp_path / "out"), "--horizon", "7"]
    ahead = RUNNER.invoke(app, words)
    assert ahead.exit_code == 0, ahead.output
    made = pd.read_csv(tmp_path / "out" / "forecast.csv", index_col=0)["visitors"]
    future = np.arange(days, days + 7)
    truth = np.sin(future * 2 * np.pi / 7) + future / (days - 1)
    np.testing.assert_allclose(made, truth, atol=0.3)


def test_columns_known_ahead_lower_the_error_and_are_asked_for(settings, tmp_path):
    """A holiday flag at random days moves the load, and nothing else foretells it."""
    steps, horizon = 1000, 24
    rng = np.random.default_rng(0)
    flag = np.repeat(rng.random(steps // 24 + 2) < 0.3, 24)[: steps + horizon]
    frame = hourly(steps + horizon)[["date", "OT"]].assign(holiday=flag)
    frame["OT"] += 2.0 * flag
    frame[:steps].to_csv(tmp_path / "series.csv", index=False)
    coming = frame[steps:][["date", "holiday"]]
    coming.to_csv(tmp_path / "next.csv", index=False)
    del settings["data"]["target"]
    settings["method"]["name"] = "ts2vec"
    settings["method"]["params"] = {}
    settings["train"]["max_epochs"] = 1
    settings["evaluate"] |= {"horizons": [horizon], "compare": [], "head": "ridge"}
    settings["evaluate"]["baselines"] = False
    settings["data"]["columns"] = ["OT"]
    without = ForecastingRun(check_config(settings | {"out": str(tmp_path / "without")}))
    (row,) = without.evaluate([without.train("random")])["random"]
    run = tmp_path / "with"
    settings["data"]["future_covariates"] = ["holiday"]
    file = write(settings | {"out": str(run)}, tmp_path)
    done = RUNNER.invoke(app, ["run", "-c", str(file), "-q"])
    assert done.exit_code == 0, done.output
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["targets"] == ["OT"]
    assert metrics["results"]["ts2vec"][0]["mse"] < 0.3 * row.mse
    assert "known ahead holiday" in (run / "report.md").read_text()

    words = ["forecast", "--run", str(run), "--horizon", "24", "--coverage", "0.9"]
    ahead = RUNNER.invoke(app, [*words, "--future", str(tmp_path / "next.csv")])
    assert ahead.exit_code == 0, ahead.output
    forecast = pd.read_csv(run / "forecast.csv", index_col=0)
    truth = frame["OT"][steps:].to_numpy()
    assert np.abs(forecast["OT"] - truth).mean() < 0.3
    assert ((forecast["OT.lower"] < truth) & (truth < forecast["OT.upper"])).mean() > 0.7
    broken = {
        "2020-02-11 16:00:00 is missing": coming[1:],
        "stands twice": pd.concat([coming, coming[:1]]),
        "an empty cell": coming.assign(holiday=[np.nan, *[0.0] * 23]),
        "holiday": coming.rename(columns={"holiday": "holidays"}),
    }
    job = ForecastingRun(load_config(run / "config.yaml"))
    for message, rows in broken.items():
        rows.to_csv(tmp_path / "next.csv", index=False)
        with pytest.raises(DataError, match=message):
            forecast_beyond(job, 24, future=tmp_path / "next.csv")
    with pytest.raises(ConfigError, match=r"--future: got None; .*holiday from 2020-02-11 16:00"):
        forecast_beyond(job, 24)
    with pytest.raises(ConfigError, match=r"no data\.future_covariates"):
        forecast_beyond(without, 24, future=tmp_path / "next.csv")


def test_columns_known_ahead_that_cannot_be_are_named(settings):
    def run(head: str = "ridge", **data: object) -> ForecastingRun:
        given = settings | {"data": settings["data"] | data}
        return ForecastingRun(check_config(given | {"evaluate": {"head": head}}))

    with pytest.raises(ConfigError, match="did you mean 'load'"):
        run(future_covariates=["laod"])
    with pytest.raises(ConfigError, match=r"data.future_covariates: got OT"):
        run(future_covariates=["OT"])
    with pytest.raises(ConfigError, match="no column is left"):
        run(future_covariates=["load", "OT"], target=None)
    with pytest.raises(ConfigError, match=r"evaluate.head: got protocol; .*auto, ridge"):
        run("protocol", future_covariates=["load"])
    with pytest.raises(ConfigError, match="use dataset csv"):
        run(future_covariates=["load"], dataset="ett")


def test_a_series_of_one_section_is_named(settings):
    settings["train"]["max_train_length"] = 5000
    run = ForecastingRun(check_config(settings))
    with pytest.raises(InputError, match=r"train\.max_train_length: got 5000; .*one section"):
        run.train("autotcl")


def test_horizon_longer_than_a_part_is_named(settings):
    settings["evaluate"]["horizons"] = [400]
    with pytest.raises(InputError, match="horizon"):
        ForecastingRun(check_config(settings))


def test_damaged_or_foreign_models_are_refused(settings, tmp_path):
    settings["evaluate"]["compare"] = []
    job = ForecastingRun(check_config(settings))
    job.train("autotcl")
    home = job.folder.model("autotcl")
    card = json.loads((home / "encoder.json").read_text())
    encoder, _ = load_encoder(home)
    assert encoder.causal

    (home / "encoder.json").write_text(json.dumps(card | {"encoder": "no-such"}))
    with pytest.raises(CheckpointError, match="changed by hand"):
        load_encoder(home)
    card["format"] = 1  # without a checksum of the JSON values
    (home / "encoder.json").write_text(json.dumps(card | {"encoder": "no-such"}))
    with pytest.raises(CheckpointError, match="rebuilt"):
        load_encoder(home)
    changed = card | {"config": card["config"] | {"hidden_dims": 4}}
    (home / "encoder.json").write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match="shape"):
        load_encoder(home)
    (home / "encoder.json").write_text(json.dumps(card))
    blob = (home / "encoder.safetensors").read_bytes()
    (home / "encoder.safetensors").write_bytes(blob[:-10])
    with pytest.raises(CheckpointError, match="damaged"):
        load_encoder(home)


def test_a_centred_encoder_is_encoded_by_windows(settings):
    settings["encoder"]["params"]["causal"] = False
    settings["evaluate"] |= {"compare": [], "window": 20, "baselines": False}
    job = ForecastingRun(check_config(settings))
    job.evaluate([job.train("random")])
    assert job.embeddings("random").route == "sliding"


def test_real_ett_small_recipe(shared_data, tmp_path):
    recipe = Path(__file__).resolve().parents[3] / "recipes" / "autotcl" / "etth1_ci.yaml"
    config = load_config(
        recipe, [f"data.path={shared_data / 'ETTh1.csv'}", f"out={tmp_path / 'ett'}"]
    )
    job = ForecastingRun(config)
    table = job.evaluate([job.train(name) for name in job.names()])
    last = {r.horizon: r.mse for r in table["last value"]}
    assert last[24] == pytest.approx(0.0343, abs=5e-5)
    assert last[48] == pytest.approx(0.0502, abs=5e-5)
    for name in ("autotcl", "ts2vec", "random"):
        assert all(r.mse < last[r.horizon] for r in table[name])


def test_columns_as_series_of_their_own(settings):
    settings["data"] |= {"features": "M", "target": None, "covariates": True, "instances": True}
    settings["method"]["params"]["fixed_channels"] = "covariates"
    settings["evaluate"] |= {"compare": ["random"], "window": 20}
    job = ForecastingRun(check_config(settings))
    data = job.data
    arrays = data.arrays()
    assert arrays.shape == (2, 1500, data.n_covariates + 1)
    np.testing.assert_array_equal(arrays[1, :, -1], data.inputs[:, -1])
    np.testing.assert_array_equal(arrays[0, :, :-1], data.inputs[:, : data.n_covariates])
    trained = [job.train(name) for name in job.names()]
    assert trained[0].encoder.input_dims == data.n_covariates + 1
    assert len(job.source()) == 2 * (900 // 100)
    table = job.evaluate(trained)
    assert len(table["autotcl"][0].variables) == 2
    assert job.features(job.embeddings("autotcl")).shape[:2] == (2, 1500)
    write_report(job, trained, table)
    assert forecast_beyond(job, 3).shape == (3, 2)
    with pytest.raises(ConfigError, match="instances"):
        check_config(settings | {"data": settings["data"] | {"input_form": "relative"}})


def test_a_configuration_may_change_another_one_beside_it(settings, tmp_path):
    write(settings, tmp_path)
    above = tmp_path / "above.yaml"
    above.write_text("base: config.yaml\nseed: 7\ntrain: {max_epochs: 9}\n")
    config, below = load_config(above, ["train.lr=0.5"]), load_config(tmp_path / "config.yaml")
    assert (config.seed, config.train.max_epochs, config.train.lr) == (7, 9, 0.5)
    assert config.train.batch_size == below.train.batch_size
    assert config.method == below.method
    for base in ("absent.yaml", "../config.yaml", "above.yaml", "3"):
        above.write_text(f"base: {base}\n")
        with pytest.raises(ConfigError, match=r"base|cannot be read"):
            load_config(above)
