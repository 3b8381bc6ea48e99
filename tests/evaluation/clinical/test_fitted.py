"""A fitted classifier comes back from its folder with the same probabilities, or is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from data_loaders.container.recordings import Recordings
from tscl.encoders import ENCODERS
from tscl.errors import CheckpointError
from tscl.evaluation.clinical.bandpower import BandPower
from tscl.evaluation.clinical.evaluate import pooled_embeddings
from tscl.evaluation.clinical.finetune import FineTuner
from tscl.evaluation.clinical.finetune_recordings import (
    LabelledSettings,
    fit_on_labels,
    predict_recordings,
)
from tscl.evaluation.clinical.fitted import CARD, WEIGHTS, FittedClassifier, linear_head
from tscl.evaluation.probes.classifiers import fit_partial, spread_classes

NAMES = ("a", "b", "c")


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ENCODERS.build("dilated", input_dims=2, output_dims=5, hidden_dims=4, depth=2).eval()


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 3
    return rng.normal(size=(40, 50, 2)).astype(np.float32) * (1 + y)[:, None, None], y


def saved(fitted, folder):
    return FittedClassifier.load(fitted.save(folder / "model"))


@pytest.mark.parametrize("kept", [[0, 1, 2], [0, 2], [1]])
def test_probe_gives_scikit_learns_probabilities(tmp_path, encoder, series, kept):
    """Also where labels lacked classes: those have probability 0."""
    x, y = series
    rows = np.isin(y, kept)
    z = pooled_embeddings(encoder, x, pooling="max+mean")
    model, _ = fit_partial(z[rows], y[rows])
    wanted = spread_classes(model, z, 3)
    again = saved(FittedClassifier.of(encoder, model, NAMES, pooling="max+mean"), tmp_path)
    np.testing.assert_allclose(again.predict_proba(x), wanted, atol=1e-6)
    assert (again.predict_proba(x)[:, [k for k in range(3) if k not in kept]] == 0).all()
    assert again.classes == NAMES


@pytest.mark.parametrize("double_sigmoid", [False, True])
def test_finetuned_network_comes_back(tmp_path, encoder, series, double_sigmoid):
    x, y = series
    tuner = FineTuner(encoder, 3, epochs=2, batch_size=16, hidden=6, double_sigmoid=double_sigmoid)
    tuner.fit(x, y)
    again = saved(FittedClassifier.of(None, tuner, NAMES, pooling="max"), tmp_path)
    np.testing.assert_allclose(again.predict_proba(x), tuner.predict_proba(x), atol=1e-6)


def test_band_power_probe_needs_no_network(tmp_path, series):
    x, y = series
    features = BandPower(50.0, "log")
    model, _ = fit_partial(features.transform(x), y)
    again = saved(FittedClassifier.of(features, model, NAMES), tmp_path)
    wanted = model.predict_proba(features.transform(x))
    np.testing.assert_allclose(again.predict_proba(x), wanted, atol=1e-6)


def test_recordings_are_averaged_over_windows_as_in_training(tmp_path, encoder):
    rng = np.random.default_rng(1)
    data = Recordings.from_arrays([rng.normal(size=(n, 2)) for n in (60, 90, 200, 200)], 50.0)
    settings = LabelledSettings(crop=40, steps=3, checks=1, whole=100, window=80, pooling="max")
    y = np.array([0, 1, 0, 1])
    network, _ = fit_on_labels(encoder, data, np.arange(4), y, 2, settings)
    card = {"whole": 100, "window": 80, "average": "probabilities"}
    fitted = FittedClassifier.of(None, network, ("a", "b"), pooling="max", card=card)
    wanted = predict_recordings(network, data, np.arange(4), settings)
    np.testing.assert_allclose(saved(fitted, tmp_path).predict_proba(data), wanted, atol=1e-6)


def test_changed_files_are_refused(tmp_path, encoder, series):
    x, y = series
    model, _ = fit_partial(pooled_embeddings(encoder, x), y)
    folder = FittedClassifier.of(encoder, model, NAMES).save(tmp_path / "model")
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | {"classes": ["b", "a", "c"]}))
    with pytest.raises(CheckpointError, match="changed by hand"):
        FittedClassifier.load(folder)
    (folder / CARD).write_text(json.dumps(card))
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="cut short"):
        FittedClassifier.load(folder)
    (folder / "head.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match="pickle"):
        FittedClassifier.load(folder)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("one_vs_rest", [False, True])
def test_a_probe_as_a_layer_gives_its_own_probabilities(classes, one_vs_rest):
    rng = np.random.default_rng(0)
    y = rng.integers(classes, size=90)
    z = rng.normal(size=(90, 5)) + y[:, None]
    model, _ = fit_partial(z, y, one_vs_rest=one_vs_rest)
    logits = linear_head(model, classes)(torch.from_numpy(z))
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), model.predict_proba(z), atol=1e-12)
