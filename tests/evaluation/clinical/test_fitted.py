"""A fitted classifier comes back from its folder with the same probabilities, or is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from data_loaders.container.recordings import Recordings
from tscl.encoders import ENCODERS
from tscl.errors import CheckpointError, InputError
from tscl.evaluation.clinical.bandpower import BandPower
from tscl.evaluation.clinical.evaluate import pooled_embeddings
from tscl.evaluation.clinical.finetune import FineTuner
from tscl.evaluation.clinical.finetune_recordings import (
    LabelledSettings,
    fit_on_labels,
    predict_recordings,
)
from tscl.evaluation.clinical.fitted import CARD, WEIGHTS, FittedClassifier, linear_head
from tscl.evaluation.clinical.recording_features import (
    PLAIN,
    RecordingFeatures,
    fit_minirocket,
)
from tscl.evaluation.explain import explain
from tscl.evaluation.probes.any_label import Nearest
from tscl.evaluation.probes.balanced import fit_balanced, fit_ridge, ridge_proba
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


@pytest.mark.parametrize("kind", ["classes", "multilabel", "target"])
def test_neighbours_come_back_with_their_own_votes(tmp_path, encoder, series, kind):
    y = series[1]
    x = np.random.default_rng(3).normal(size=(40, 50, 2)).astype(np.float32)  # classes mix
    several = np.stack([y == 1, y == 2], axis=1).astype(np.float64)
    several[3, 0] = np.nan
    own = {"classes": y, "multilabel": several, "target": y + np.linspace(0, 0.5, len(y))}[kind]
    names = {"classes": NAMES, "multilabel": NAMES[:2], "target": ("age",)}[kind]
    z = pooled_embeddings(encoder, x)
    nearest = Nearest(z[:30], own[:30], len(names), 3)
    fitted = FittedClassifier.of(encoder, nearest, names)
    again = saved(fitted, tmp_path)
    wanted = nearest.predict(z)
    assert len(np.unique(wanted.round(3), axis=0)) > 5
    np.testing.assert_allclose(again.predict_proba(x), wanted, rtol=1e-12, atol=1e-12)
    assert again.kind == kind
    assert not again.is_network
    with pytest.raises(InputError, match="only a network"):
        explain(again, x[0], names)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", ["spectrum", "beats", "minirocket"])
def test_features_of_recordings_come_back_from_arrays(tmp_path, kind, classes):
    rng = np.random.default_rng(2)
    beats = [
        np.sin(np.arange(n) * rng.uniform(0.05, 0.1))[:, None] ** 21 for n in [700] * 9 + [900]
    ]
    noisy = [one + 0.05 * rng.normal(size=(len(one), 2)) for one in beats]
    data, y = Recordings.from_arrays(noisy, 100.0), np.arange(10) % classes
    if kind == "minirocket":
        pytest.importorskip("numba")
        features = fit_minirocket(data, np.arange(8), 128, num_kernels=84, seed=1)
        model = fit_ridge(features.transform(data)[:8], y[:8])
        wanted = ridge_proba(model, features.transform(data), classes)
    else:
        features = RecordingFeatures.scaled_by(kind, PLAIN[kind](data), np.arange(8))
        model, _ = fit_balanced(features.transform(data)[:8], y[:8], classes)
        wanted = spread_classes(model, features.transform(data), classes)
    again = saved(FittedClassifier.of(features, model, NAMES[:classes]), tmp_path)
    np.testing.assert_allclose(again.predict_proba(data), wanted, atol=1e-6)
    for row in (0, 9):  # alone as among others
        alone = again.predict_proba(data.subset(np.array([row])))
        np.testing.assert_allclose(alone[0], wanted[row], atol=1e-6)
    with pytest.raises(InputError, match="whole recordings"):
        again.predict_proba(np.zeros((2, 128, 2)))


def test_arrays_that_compiled_code_would_read_beyond_are_refused():
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    data = Recordings.from_arrays([rng.normal(size=(128, 2)) for _ in range(4)], 100.0)
    fitted = fit_minirocket(data, np.arange(4), 128, num_kernels=84)
    for name, change in (
        ("channels", lambda a: a + 5),
        ("dilations", lambda a: a * 100),
        ("biases", lambda a: a[:-3]),
        ("channels_each", lambda a: a + 1),
        ("features_each", lambda a: a.astype(np.int64)),
    ):
        broken = RecordingFeatures(
            "minirocket", {**fitted.arrays, name: change(fitted.arrays[name])}, 128
        )
        with pytest.raises(InputError, match="they are not of windows of 128 steps and 2 channels"):
            broken.transform(data)


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
