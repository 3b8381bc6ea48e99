"""A newcomer's mistakes: each is answered before training, in one line that says what to change."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from data_loaders import make_rhythm_cohort
from tscl.cli.app import app
from tscl.cli.propose import propose
from tscl.errors import InputError
from tscl.estimators.classifier import ContrastiveClassifier
from tscl.estimators.sktime.forecaster import SSCLForecaster
from tscl.runs.clinical.data import load_patients
from tscl.runs.jobs import check_job
from tscl.training.trainer import Trainer

HOURS = pd.DataFrame(
    {
        "date": pd.date_range("2024-01-01", periods=300, freq="h"),
        "load": np.sin(np.arange(300) / 4) + np.arange(300) / 1000,
    }
)


def _refused(monkeypatch: pytest.MonkeyPatch, path: Path, *words: str) -> str:
    """What ``tscl run`` says of data that it refuses, without a step of training."""
    monkeypatch.setattr(Trainer, "fit", lambda *_, **__: pytest.fail("training has begun"))
    command = ["run", "-q", "--data", str(path), "--out", str(path.parent / "out"), *words]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2, done.output
    return re.sub(r"\s+", " ", done.output[done.output.index("error ") :])


def _commas(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(load=[str(value).replace(".", ",") for value in frame["load"]])


TABLES = {
    "five steps": (HOURS[:5], ",", "the valid part has 1 steps; give a longer series"),
    "no times": (HOURS[["load"]].assign(x=1.5), ",", "no times in load, x"),
    "numbers for times": (HOURS.assign(date=range(300)), ",", "write every time in one format"),
    "text among values": (HOURS.assign(load=HOURS["load"].astype(str) + "?"), ",", "must be a num"),
    "a column of text": (HOURS.assign(site="north"), ",", "leave it out of -s data.columns"),
    "decimal commas": (_commas(HOURS), ",", "write decimals with a point"),
    "duplicate stamps": (pd.concat([HOURS[:50], HOURS[49:]]), ",", "drop duplicates"),
    "unsorted": (HOURS[::-1], ",", "sort the rows by time"),
    "series below each other": (pd.concat([HOURS, HOURS]), ",", "give each a column"),
    "a gap": (HOURS.drop(index=range(40, 45)), ",", "resample"),
    "shorter than a season": (HOURS[:30], ",", "a season has 24 steps"),
    "one row": (HOURS[:1], ",", "at least 2 are needed"),
}


@pytest.mark.parametrize("name", TABLES)
def test_csv_to_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    frame, separator, remedy = TABLES[name]
    frame.to_csv(tmp_path / "a.csv", index=False, sep=separator)
    assert remedy in _refused(monkeypatch, tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("evaluate.horizons=[168]", "use 1..59"),
        ("data.target=Load", "data.target: got Load; did you mean 'load'?"),
        ("data.time_column=time", "did you mean 'date'?"),
    ],
)
def test_settings_of_a_forecast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, remedy: str
) -> None:
    HOURS.to_csv(tmp_path / "a.csv", index=False)
    assert remedy in _refused(monkeypatch, tmp_path / "a.csv", "-s", setting)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rhythm_cohort(tmp_path_factory.mktemp("own") / "mine", 24)


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("data.params.rate=100000", "beats are measured at 100 Hz: give that, or leave out"),
        ("data.params.rate=fast", "beats are measured at 100 Hz"),
        ("crop=100000", "the longest recording has"),
        ("data.params.leads=[V1]", "name leads that every record has"),
        ("data.params.band=[0.5, 400]", "between 0 and 50 Hz"),
        ("split.n_splits=50", "use that many folds or fewer"),
    ],
)
def test_settings_of_recordings(
    cohort: Path, monkeypatch: pytest.MonkeyPatch, setting: str, remedy: str
) -> None:
    assert remedy in _refused(monkeypatch, cohort, "-s", setting)


def test_recordings_left_out_are_told_where_too_few_are_left(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(cohort, tmp_path / "mine")
    for file in sorted(folder.glob("*.hea"))[:3]:
        file.unlink()
    said = _refused(monkeypatch, folder)
    assert "21 records read, 3 left out (missing_header 3); first: r00001: no file" in said


def test_a_folder_is_described_without_naming_its_kind(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", X=X, y=Y, patient=np.arange(12) // 2)
    done = CliRunner().invoke(app, ["data", "describe", str(tmp_path)])
    assert "12 samples x 20 steps x 2 channels" in done.output, done.output


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 99 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 99 GiB"),
    ],
)
def test_too_little_memory_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("tscl.cli.propose.propose", Mock(side_effect=error))
    done = CliRunner().invoke(app, ["init", str(tmp_path), "-o", str(tmp_path / "a.yaml")])
    assert done.exit_code == 2
    assert "99 GiB; shorten batches (-s batch_size=..." in done.output
    assert done.output.count("\n") == 1


X = np.random.default_rng(0).normal(size=(12, 20, 2)).astype(np.float32)
Y = np.repeat(["a", "b"], 6)


@pytest.mark.parametrize(
    ("arrays", "remedy"),
    [
        ({"data": X}, "np.savez(file, X=X, label=label, patient=patient)"),
        ({"X": X, "y": Y[:5]}, "give 12 labels"),
        ({"X": X, "y": Y[:6].repeat(2)}, "two classes or more"),
    ],
)
def test_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrays: dict[str, np.ndarray], remedy: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    assert remedy in _refused(monkeypatch, tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(b"")
    assert "stack its samples in one file" in _refused(monkeypatch, tmp_path)


def test_a_folder_of_one_archive_and_a_pair_of_ts_files_are_proposed(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", X=X, y=Y, patient=np.arange(12) // 2, sampling_rate=50.0)
    config = check_job(propose(tmp_path).values)
    data = load_patients(config.data, tmp_path)
    assert (len(data), len(set(data.patient)), config.method.name) == (12, 6, "comet")
    assert data.sampling_rate[0] == 50

    folder = tmp_path / "Mine"
    folder.mkdir()
    head = "@univariate true\n@classLabel true a b\n@data\n"
    for part, rows in (("TRAIN", ["1,2,3:a", "2,3:b"]), ("TEST", ["4,5,6,7:b", "1,2:a"])):
        (folder / f"Mine_{part}.ts").write_text(head + "\n".join(rows) + "\n")
    config = check_job(propose(folder).values)
    data = load_patients(config.data, tmp_path)
    assert data.columns["split"].tolist() == ["train", "train", "test", "test"]
    np.testing.assert_array_equal(data.X[1, :, 0], [2, 3, np.nan, np.nan])
    assert [data.label_names[code] for code in data.label] == ["a", "b", "b", "a"]
    assert "bandpower" not in config.evaluate.compare


SERIES = HOURS.set_index("date")["load"]


@pytest.mark.parametrize(
    ("y", "remedy"),
    [
        (SERIES.tolist(), "pass a pandas Series"),
        (SERIES.astype(str), "turn them into numbers"),
        (SERIES[::-1], "sort the rows"),
        (SERIES.set_axis(SERIES.index.astype(str)), "turn it into times"),
        (HOURS, "set_index('date')"),
        (SERIES[:10], "lower context_length or horizon"),
        (SERIES.where(np.arange(300) != 9), "fill it or cut the series"),
        (SERIES.drop(SERIES.index[40:45]), "resample or fill the gaps"),
    ],
)
def test_series_in_python(y: object, remedy: str) -> None:
    with pytest.raises(InputError, match=re.escape(remedy)):
        SSCLForecaster(horizon=24).fit(y)


def test_channels_before_steps_are_remarked(caplog: pytest.LogCaptureFixture) -> None:
    model = ContrastiveClassifier(max_epochs=1, encoder_params={"depth": 1, "hidden_dims": 4})
    with caplog.at_level("WARNING"):
        model.fit(X.transpose(0, 2, 1), Y)
    assert "20 channels and 2 steps: it is (n_samples, n_timesteps" in caplog.text
