"""Predictions leave a run whole, and its classifiers read new recordings of other hospitals."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from data_loaders import MedicalDataset
from data_loaders.container.recordings import Recordings
from tests.data_loaders.eeg_writers import write_edf
from tests.runs.label_efficiency.motifs import motif_recordings, motif_values
from tscl.cli.app import app
from tscl.errors import ConfigError, InputError
from tscl.evaluation.clinical.fitted import FittedClassifier
from tscl.runs.clinical.config import check_clinical
from tscl.runs.clinical.report import write_clinical_report
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.jobs import check_job
from tscl.runs.label_efficiency.run import LabelEfficiencyRun
from tscl.runs.new_data import adapted, explain_record, find_classifier, input_facts, load_new

CHANNELS = ["Fp1", "C3", "O1"]


def signal(seed: int, kind: int, rate: float, seconds: float = 6.0) -> np.ndarray:
    """(T, 3) microvolt of rhythms, three times as large in class 1, the same at any rate."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate))[:, None] / rate
    wave = np.zeros((len(time), 3))
    for hertz in rng.uniform(3, 18, size=6):
        wave += np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6, 3)) * rng.uniform(6, 9, 3)
    return wave * (1, 3)[kind]


def write_ward(folder: Path, rate: float, *, names=CHANNELS, columns=(0, 1, 2), first=0, n=12):
    """EDF recordings of ``n`` patients, columns of :func:`signal` as channels, and their table."""
    rows = []
    for number in range(first, first + n):
        values = signal(number, number % 2, rate)
        wide = np.stack([values[:, c] if c < 3 else values[:, 0] * 0.1 for c in columns], axis=1)
        write_edf(folder / f"p{number:02d}.edf", wide, list(names), rate)
        kind = ("small", "large")[number % 2]
        rows.append({"record": f"p{number:02d}.edf", "patient": f"id{number}", "label": kind})
    table = pd.DataFrame(rows).assign(age=range(30, 30 + n))
    table.to_csv(folder / "labels.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """A finished run on 12 patients' EDF files at 64 Hz, its cells and folder."""
    home = tmp_path_factory.mktemp("ward")
    config = check_clinical(
        {
            "job": "clinical",
            "out": str(home / "run"),
            "data": {
                "kind": "eeg",
                "root": str(write_ward(home / "train", 64.0)),
                "params": {"trial_seconds": 2.0, "band": [1.0, 30.0]},
                "standardize": "train",
            },
            "split": {"params": {"fractions": {"train": 0.5, "valid": 0.2, "test": 0.3}}},
            "encoder": {
                "name": "dilated",
                "params": {"output_dims": 8, "hidden_dims": 8, "depth": 3},
            },
            "train": {"max_epochs": 2, "batch_size": 16, "lr": 1e-3},
            "evaluate": {
                "protocols": ["partial", "knn", "full"],
                "pooling": "max+log_std",
                "fractions": [1.0, 0.5],
                "by": ["patients"],
                "seeds": 2,
                "compare": ["bandpower"],
                "finetune_epochs": [2, 2],
                "subgroups": ["age"],
                "n_replicates": 10,
            },
        }
    )
    run = ClinicalRun(config)
    run.begin(resume=False)
    cells = run.evaluate()
    write_clinical_report(run, cells)
    return run, cells, home


def invoke(*args: object):
    result = CliRunner().invoke(app, ["predict", *map(str, args)])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_prediction_stands_in_the_file(ward):
    run, cells, _ = ward
    frame = pd.read_csv(run.folder.path / "predictions.csv")
    assert len(frame) == sum(len(cell.arrays["y"]) for cell in cells)
    test = run.folds[0].parts["test"]
    own = frame[(frame["row"] == "COMET") & (frame["protocol"] == "full") & (frame["share"] == 0.5)]
    assert set(own["seed"]) == {0, 1}
    assert set(own["patient"]) == set(run.data.patient[test])
    assert not frame.duplicated([*frame.columns[:2], "row", "protocol", "share", "seed"]).any()
    by_record = own.groupby("record")[["age", "label", "patient"]].nunique()
    assert (by_record == 1).all(axis=None)
    cell = next(c for c in cells if c.key["protocol"] == "full" and c.key["fraction"] == 0.5)
    mine = own[own["seed"] == cell.key["seed"]]
    np.testing.assert_allclose(mine["p_large"], cell.arrays["proba"][:, 0], atol=1e-5)


def test_report_tells_thresholds_and_subgroups(ward):
    run, cells, _ = ward
    text = (run.folder.path / "report.md").read_text()
    assert "At a specificity of 0.9 in the validation part: COMET, partial" in text
    assert "Subgroups, by sample: COMET, full" in text
    valid = run.folds[0].parts["valid"]
    assert all(len(cell.arrays["valid_y"]) == len(valid) for cell in cells)
    with pytest.raises(ConfigError, match=r"evaluate\.subgroups"):
        values = run.config.model_dump()
        values["evaluate"]["subgroups"] = ["agee"]
        ClinicalRun(check_clinical(values))


@pytest.mark.parametrize("protocol", ["partial-seed0", "knn-seed0", "full-seed1"])
def test_the_same_recordings_give_the_runs_own_probabilities(ward, tmp_path, protocol):
    run, _, home = ward
    out = tmp_path / "new.csv"
    invoke("--model", home / "run", "--data", home / "train", "-o", out, "--classifier",
           f"comet-fold0-{protocol}")  # fmt: skip
    new = pd.read_csv(out).set_index(["record", "window"])
    frame = pd.read_csv(run.folder.path / "predictions.csv")
    kind, seed = protocol.split("-seed")
    own = frame[(frame["row"] == "COMET") & (frame["protocol"] == kind) & (frame["share"] == 1)]
    own = own[own["seed"] == int(seed)].set_index(["record", "window"])
    joined = own.join(new, rsuffix=" new", how="left")
    np.testing.assert_allclose(joined["p_large new"], joined["p_large"], atol=2e-5)


def test_another_hospital_is_resampled_reordered_and_said(ward, tmp_path):
    """Twice the rate, other order and spelling, one electrode more: much the same result."""
    _, _, home = ward
    names = ["EEG O1-REF", "T8", "EEG FP1-REF", "c3"]
    write_ward(tmp_path / "b", 128.0, names=names, columns=(2, 3, 0, 1))
    pd.DataFrame({"record": [f"p{n:02d}.edf" for n in range(12)]}).to_csv(
        tmp_path / "b" / "labels.csv", index=False
    )  # no labels, no patients
    text = invoke("--model", home / "run", "--data", tmp_path / "b", "-o", tmp_path / "b.csv")
    assert "not the model's: T8" in text
    invoke("--model", home / "run", "--data", home / "train", "-o", tmp_path / "a.csv")
    a, b = (pd.read_csv(tmp_path / f"{name}.csv") for name in "ab")
    assert list(b["patient"]) == list(b["record"])
    assert len(a) == len(b)
    assert (a["predicted"] == b["predicted"]).mean() > 0.9
    np.testing.assert_allclose(b["p_large"], a["p_large"], atol=0.1)
    assert a["p_large"].max() - a["p_large"].min() > 0.8


def test_a_lost_electrode_is_masked_and_said(ward, tmp_path):
    _, _, home = ward
    write_ward(tmp_path / "b", 64.0, names=["Fp1", "O1"], columns=(0, 2), first=50)
    text = invoke("--model", home / "run", "--data", tmp_path / "b", "-o", tmp_path / "b.csv")
    assert "missing channels, masked: C3" in text
    frame = pd.read_csv(tmp_path / "b.csv")
    assert frame["p_large"].between(0, 1).all()
    by_record = frame.groupby("record")["p_large"].mean().to_numpy()
    assert by_record[1::2].min() > by_record[::2].max()


def test_unknown_channels_are_refused_by_name(ward, tmp_path):
    _, _, home = ward
    write_ward(tmp_path, 64.0, names=["A", "B", "C"])
    result = CliRunner().invoke(
        app, ["predict", "--model", str(home / "run"), "--data", str(tmp_path)]
    )
    assert result.exit_code == 2
    assert "needs Fp1, C3, O1" in result.output


def test_names_of_classifiers(ward, tmp_path):
    _, _, home = ward
    assert find_classifier(home / "run", None, "comet").name == "comet-fold0-partial-seed0"
    with pytest.raises(ConfigError, match="bandpower-fold0-partial-seed0"):
        find_classifier(home / "run", "bandpower-fold0-partial-seed")
    with pytest.raises(ConfigError, match="no saved classifier"):
        find_classifier(tmp_path)


def test_neighbours_and_band_power_are_no_networks_to_export(ward):
    for name in ("comet-fold0-knn-seed0", "bandpower-fold0-partial-seed0"):
        given = ["export", "--run", str(ward[2] / "run"), "--classifier", name]
        result = CliRunner().invoke(app, given)
        assert result.exit_code != 0
        assert "only a network can be exported" in " ".join(result.output.split())


def container(**changes):
    rng = np.random.default_rng(0)
    values = {
        "X": rng.normal(size=(6, 40, 2)).astype(np.float32),
        "channel_names": ["I", "II"],
        "source": {"unit": "mV", "band": [0.5, 40.0]},
        "sampling_rate": 100.0,
    }
    values |= changes
    X, rate = values.pop("X"), values.pop("sampling_rate")
    return MedicalDataset(X, None, [f"p{i}" for i in range(6)], range(6), rate, **values)


def test_units_scaling_and_places(caplog):
    data = container()
    facts = input_facts(data, "none") | {"channels": ["II", "V1", "I"]}
    with caplog.at_level(logging.WARNING):
        ready = adapted(
            container(X=data.X * 1000, source={"unit": "uV", "band": [0.5, 40.0]}), facts
        )
    np.testing.assert_allclose(ready.X[..., 0], data.X[..., 1], rtol=1e-5)
    np.testing.assert_allclose(ready.X[..., 2], data.X[..., 0], rtol=1e-5)
    assert np.isnan(ready.X[..., 1]).all()
    assert "values in uV turned into mV" in caplog.text
    trained = input_facts(data, "train") | {"mean": [1.0, 2.0], "std": [2.0, 4.0]}
    np.testing.assert_allclose(
        adapted(data, trained).X, (np.asarray(data.X) - [1, 2]) / [2, 4], rtol=1e-5
    )
    with pytest.raises(InputError, match="band"):
        adapted(container(source={"unit": "mV"}), facts)
    with pytest.raises(InputError, match="unit"):
        adapted(container(source={"unit": "mmHg", "band": [0.5, 40.0]}), facts)


def test_whole_recordings_go_through_the_same_steps(tmp_path):
    """A run on motifs, and the same recordings at twice the rate under another order."""
    values = motif_values(tmp_path / "run", shares=[1.0])
    if importlib.util.find_spec("numba"):
        values["rows"]["minirocket"] = {"kind": "minirocket", "params": {"num_kernels": 84}}
    config = check_job(values)
    data = motif_recordings(60)
    data.channel_names = ("I",)
    job = LabelEfficiencyRun(config, recordings=data)
    job.begin(resume=False)
    cells = job.evaluate()
    data.save(tmp_path / "saved")
    invoke("--model", tmp_path / "run", "--data", tmp_path / "saved", "-o", tmp_path / "a.csv")
    frame = pd.read_csv(tmp_path / "a.csv").set_index("record")
    cell = next(one for one in cells if one.key["row"] == "simclr")
    mine = frame.loc[data.record[cell.arrays["rows"]]]
    np.testing.assert_allclose(mine["p_up-down"], cell.arrays["proba"][:, 0], atol=1e-5)
    for name in values["rows"]:  # every row of the run predicts
        invoke("--model", tmp_path / "run", "--data", tmp_path / "saved", "-o", tmp_path / "r.csv",
               "--classifier", f"{name}-fold0-order")  # fmt: skip
        said = pd.read_csv(tmp_path / "r.csv").set_index("record")["p_up-down"]
        own = next(one for one in cells if one.key["row"] == name)
        rows = data.record[own.arrays["rows"]]
        np.testing.assert_allclose(said.loc[rows], own.arrays["proba"][:, 0], atol=1e-5)
    twice = Recordings.from_arrays(
        [np.repeat(np.c_[data[row], data[row]], 2, axis=0) for row in range(len(data))],
        100.0,
        record=data.record,
        channel_names=["V1", "I"],
    )
    twice.save(tmp_path / "twice")
    text = invoke("--model", tmp_path / "run", "--data", tmp_path / "twice", "-o",
                  tmp_path / "b.csv")  # fmt: skip
    assert "resampled from 100 to 50 Hz" in text
    again = pd.read_csv(tmp_path / "b.csv").set_index("record")
    np.testing.assert_allclose(again["p_up-down"], frame["p_up-down"], atol=0.25)
    same = again["predicted"] == frame["predicted"]
    assert same.mean() > 0.9


def test_a_new_recording_is_explained_in_its_own_unit(ward, tmp_path):
    pytest.importorskip("captum")
    _, _, home = ward
    folder = write_ward(tmp_path / "new", 64.0, first=30, n=2)
    base = ["explain", "--model", str(home / "run"), "--data", str(folder), "--out"]
    picture = tmp_path / "why.svg"
    result = CliRunner().invoke(app, [*base, str(picture), "--record", "p31.edf"])
    assert result.exit_code == 0, result.output
    assert "weights drawn anew" in result.output
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    fitted = FittedClassifier.load(find_classifier(home / "run", main="comet"))
    facts = fitted.card["preprocessing"]
    data = load_new(facts, fitted.card["loader"], folder, None, {})
    answer, figure = explain_record(fitted, data, "p31.edf", window=1, target="large")
    assert figure.axes[0].get_ylabel() == "Fp1\n(uV)"
    second = data.X[np.flatnonzero(data.columns["record"] == "p31.edf")[1]]
    drawn = figure.axes[0].lines[0]
    np.testing.assert_allclose(drawn.get_ydata(), second[:, 0], rtol=1e-5)
    assert drawn.get_xdata()[1] == 1 / 64
    assert answer.maps["occlusion"].shape == second.shape
    for options, field in (({"record": "p99"}, "record"), ({"window": 99}, "window")):
        with pytest.raises(InputError, match=field):
            explain_record(fitted, data, **{"record": "p31.edf", **options})
