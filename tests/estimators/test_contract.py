"""What every estimator promises on (n_samples, n_timesteps, n_channels) input."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.frozen import FrozenEstimator

from tests.estimators.tiny import classifier, clusterer, retrieval, transformer, waves
from tscl.errors import CheckpointError, ConfigError, DataError, InputError, NotFittedError
from tscl.estimators import ContrastiveAnomalyDetector

X, Y = waves()
PATIENT = np.array([f"p{i // 3}" for i in range(len(X))])


def detector(**changes: Any) -> ContrastiveAnomalyDetector:
    return ContrastiveAnomalyDetector(transformer(**changes), window=10, average=5)


def fit(model: BaseEstimator, x: Any) -> Any:
    if hasattr(model, "query"):
        return model.fit(x, patient=PATIENT[: len(x)])
    return model.fit(x, Y[: len(x)])


def output(model: Any, x: Any) -> np.ndarray:
    """The estimator's main output as an array."""
    if hasattr(model, "query"):
        found = model.query(x, patient=PATIENT[: len(x)], n_patients=3)
        return found[["sample", "distance"]].to_numpy()
    if hasattr(model, "adjusted_scores"):
        return model.adjusted_scores(x)
    if hasattr(model, "predict_proba"):
        return model.predict_proba(x)
    return model.transform(x) if hasattr(model, "transform") else model.predict(x)


ALL = {
    "transformer": transformer,
    "classifier": classifier,
    "clusterer": clusterer,
    "retrieval": retrieval,
    "detector": detector,
}
every = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


@every
def test_the_constructor_only_stores(make):
    model = make()
    given = model.get_params(deep=False)
    for name, value in given.items():
        assert getattr(model, name) is value
    assert set(vars(model)) == set(given)
    assert clone(model).get_params().keys() == model.get_params().keys()


@every
def test_fit_returns_self_leaves_input_and_parameters_and_repeats_itself(make):
    model, x = make(), X.copy()
    before = {k: repr(v) for k, v in model.get_params().items()}
    assert fit(model, x) is model
    first = output(model, x)
    np.testing.assert_array_equal(x, X)
    assert {k: repr(v) for k, v in model.get_params().items()} == before
    np.testing.assert_array_equal(output(fit(model, x), x), first)
    np.testing.assert_array_equal(output(fit(clone(model), x), x), first)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(output(copied, x), first)


@every
def test_another_seed_and_other_data_give_another_fit(make):
    first = output(fit(make(), X), X)
    fit_again = fit(make(encoder="lstm"), X)
    other = output(fit_again, X)
    assert first.shape == other.shape
    if make is not clusterer:  # clusters may well be the same
        assert not np.array_equal(first, other)
    refitted = output(fit(fit_again, X[::-1].copy()), X)
    assert refitted.shape == first.shape


@every
def test_use_before_fit_is_an_error_of_both_kinds(make, tmp_path):
    for kind in (NotFittedError, SklearnNotFittedError):
        with pytest.raises(kind, match="call fit first"):
            output(make(), X)
    with pytest.raises(NotFittedError):
        make().save(tmp_path / "m")


@every
def test_missing_values_pass(make):
    x = X.copy()
    x[0, 5:9] = np.nan
    x[3, 20, 1] = np.nan
    x[4, 50:] = np.nan
    found = output(fit(make(), x), x)
    if make is detector:
        assert np.isnan(found[0, 5:9]).all()
        assert np.isfinite(found[6, 5:]).all()
    else:
        assert np.isfinite(found).all()


@every
def test_saved_and_loaded_it_gives_the_same(make, tmp_path: Path):
    model = fit(make(), X)
    first = output(model, X)
    assert model.save(tmp_path / "model") == tmp_path / "model"
    loaded = type(model).load(tmp_path / "model")
    np.testing.assert_array_equal(output(loaded, X), first)
    assert loaded.n_features_in_ == model.n_features_in_ == 2
    kinds = {p.suffix for p in (tmp_path / "model").rglob("*") if p.is_file()}
    assert kinds == {".json", ".safetensors"}
    output(fit(loaded, X), X)
    with pytest.raises(CheckpointError, match="not found"):
        type(model).load(tmp_path / "nothing")


@every
def test_damaged_folders_are_named(make, tmp_path: Path):
    folder = fit(make(), X).save(tmp_path / "model")
    card = json.loads((folder / "estimator.json").read_text())
    for change in ({"format": 99}, {"kind": "Other"}, {"params": {"colour": 1}}, {"params": 3}):
        (folder / "estimator.json").write_text(json.dumps(card | change))
        with pytest.raises(CheckpointError):
            type(make()).load(folder)
    (folder / "estimator.json").write_text(json.dumps(card))
    weights = next(folder.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(CheckpointError):
        type(make()).load(folder)


@every
def test_bad_input_is_named(make):
    model = make()
    for x in (X[:, :, :0], X[:, 0, 0], np.where(np.arange(60)[None, :, None] == 3, np.inf, X)):
        with pytest.raises(ValueError):
            fit(model, x)
    fitted = fit(make(), X)
    with pytest.raises(DataError, match="fitted on 2 channels"):
        output(fitted, np.repeat(X, 2, axis=2))
    text = X.astype(object)
    text[0, 0, 0] = "a"
    with pytest.raises(ValueError):
        fit(make(), text)


@every
def test_settings_that_cannot_be_are_named(make):
    with pytest.raises(ConfigError, match="simclr"):
        fit(make(method="simclrr"), X)
    with pytest.raises(ConfigError, match="max"):
        fit(make(pooling="maximum"), X)
    with pytest.raises(ConfigError, match="train"):
        fit(make(scale="trains"), X)
    with pytest.raises(InputError, match="random_state"):
        fit(make(random_state=-1), X)


@pytest.mark.parametrize("make", [clusterer, retrieval, detector])
def test_a_fitted_transformer_is_used_as_it_is(make, tmp_path: Path):
    fitted = transformer().fit(X)
    model = make()
    model.transformer = FrozenEstimator(fitted)
    fit(model, X)
    np.testing.assert_array_equal(model.transformer_.transform(X), fitted.transform(X))
    first = output(model, X)
    np.testing.assert_array_equal(output(type(model).load(model.save(tmp_path / "m")), X), first)


def test_an_estimator_with_objects_in_it_is_not_saved(tmp_path: Path):
    from sklearn.svm import SVC
    from torch import nn

    model = classifier(head=SVC()).fit(X, Y)
    with pytest.raises(InputError, match="default head"):
        model.save(tmp_path / "m")
    strange = transformer(loss_params=None, method_params={"head": nn.Linear(8, 4)}).fit(X)
    with pytest.raises(InputError, match="method_params"):
        strange.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()
