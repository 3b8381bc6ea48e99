"""Ids, labels, series and settings that cannot be used are named; a failed fit changes nothing."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator

from data_loaders import MedicalDataset
from tests.estimators.tiny import SMALL, classifier, clusterer, retrieval, transformer, waves
from tscl.encoders import ENCODERS
from tscl.errors import DataError, InputError
from tscl.estimators import AutoTCL, ContrastiveAnomalyDetector, Representation

X, Y = waves()


def representation(**changes: Any) -> Representation:
    return Representation("simclr", **{**SMALL, **changes})


def detector(**changes: Any) -> ContrastiveAnomalyDetector:
    return ContrastiveAnomalyDetector(transformer(**changes), window=10, average=5)


def fit(model: Any, x: Any, y: Any = Y) -> Any:
    return (
        model.fit(x, y, patient=np.arange(len(x)) // 3)
        if hasattr(model, "query")
        else (model.fit(x, y))
    )


ALL = [transformer, classifier, clusterer, retrieval, detector, representation]
every = pytest.mark.parametrize("make", ALL)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("make", [transformer, classifier, clusterer, retrieval])
def test_missing_ids_are_named(make, missing):
    ids = [missing if i in (2, 7) else f"p{i // 4}" for i in range(24)]
    for given in (ids, np.array(ids, dtype=object), pd.Series(ids)):
        with pytest.raises(InputError, match="patient: got 2 missing ids"):
            make().fit(X, Y, patient=given)
    with pytest.raises(InputError, match="trial: got 2 missing ids"):
        make().fit(X, Y, patient=np.arange(24) // 4, trial=ids)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_labels_are_named(missing):
    labels = [missing if i == 3 else "ab"[i % 2] for i in range(24)]
    with pytest.raises(InputError, match="y: got 1 missing labels"):
        transformer(loss="supcon").fit(X, labels)


def test_one_class_is_named_before_training(monkeypatch):
    monkeypatch.setattr(
        "tscl.estimators.transformer.pretrain", lambda *a, **k: pytest.fail("trained")
    )
    with pytest.raises(InputError, match="two classes"):
        classifier().fit(X, np.zeros(24))


@pytest.mark.parametrize("make", [clusterer, retrieval, detector])
@pytest.mark.parametrize("scale", ["train", "sample", "none"])
def test_a_frozen_transformer_of_other_channels_is_named(make, scale):
    model = make()
    model.transformer = FrozenEstimator(transformer(scale=scale).fit(X))
    with pytest.raises(DataError, match="fitted on 2 channels"):
        fit(model, X[:, :, :1])
    assert not hasattr(model, "transformer_")


def told(model: Any, x: Any) -> np.ndarray:
    if hasattr(model, "query"):
        return model.query(x, patient=np.arange(len(x)) // 3, n_patients=2)["distance"].to_numpy()
    if hasattr(model, "scores"):
        return model.scores(x)
    return model.transform(x) if hasattr(model, "transform") else model.predict(x)


@every
@pytest.mark.parametrize("broken", ["training", "settings"])
def test_a_failed_refit_leaves_the_fitted_estimator_as_it_was(make, broken, monkeypatch):
    model = fit(make(), X)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}
    first = told(model, X)
    other = 3 + 5 * np.repeat(X, 2, axis=2)
    if broken == "training":

        def stop(*args: Any, **kwargs: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("tscl.estimators.transformer.pretrain", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(model, other)
    else:
        inner = getattr(model, "transformer", model)
        inner.set_params(batch_size=1)
        with pytest.raises(InputError, match="batch_size"):
            fit(model, other)
    after = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    np.testing.assert_array_equal(told(model, X), first)


@every
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("batch_size", [0, 1, 2.5, "a", True]),
        ("max_epochs", [1.5, "a", -1, True]),
        ("lr", ["a", 0.0, float("nan"), float("inf"), None]),
        ("max_train_length", [0, 2.5]),
        ("random_state", [1.5, -1, "a", True]),
    ],
)
def test_settings_are_named(make, field, values):
    for value in values:
        with pytest.raises(InputError, match=field):
            fit(make(**{field: value}), X)


@every
def test_every_form_of_random_state(make):
    def result(model: Any) -> np.ndarray:
        # labels of two classifiers may well agree, their embeddings do not
        return model.transformer_.transform(X) if make is classifier else told(model, X)

    def draws(state: Any) -> list[np.ndarray]:
        return [result(fit(make(random_state=state), X)) for _ in range(2)]

    for start in (np.random.default_rng, np.random.RandomState):
        np.testing.assert_array_equal(draws(start(3)), draws(start(3)))
    if make is not clusterer:  # clusters may well be the same
        assert not np.array_equal(*draws(None))
    if make in (transformer, classifier, representation):  # the others clone the generator
        assert not np.array_equal(*draws(np.random.default_rng(0)))


@every
def test_lists_and_object_arrays_of_series(make):
    ragged = [x[: 60 - i] for i, x in enumerate(X)]
    boxed = np.empty(24, dtype=object)
    boxed[:] = ragged
    padded = np.full_like(X, np.nan)
    for row, x in zip(padded, ragged, strict=True):
        row[: len(x)] = x
    model = fit(make(), padded)
    for form in (ragged, boxed):
        np.testing.assert_array_equal(told(fit(make(), form), form), told(model, padded))
    for bad in ([x[:, 0] for x in ragged], [X[0], X[1, :, 0]], [[[1.0, 2.0], [1.0]], [[1.0]]]):
        with pytest.raises(DataError, match="unequal"):
            fit(make(), bad)


@every
def test_a_container_in_place_of_its_series_is_named(make):
    data = MedicalDataset(X, Y, np.arange(24), np.arange(24), 50.0)
    with pytest.raises(DataError, match=r"MedicalDataset; pass its series, \.X"):
        fit(make(), data) if hasattr(make(), "query") else make().fit(data, Y)


@pytest.mark.parametrize("encoder", ["tcn", "dilated", "lstm"])
@pytest.mark.parametrize("autotcl", [False, True])
def test_padding_does_not_change_a_code_of_a_representation(encoder, autotcl):
    options = SMALL | {"encoder": encoder}
    model = AutoTCL(**options) if autotcl else Representation("simclr", **options)
    model.fit(X)
    lengths = [60, 17, 17, 42]
    padded = X[:4].copy()
    for row, length in zip(padded, lengths, strict=True):
        row[length:] = np.nan
    short = [x[:length] for x, length in zip(X[:4], lengths, strict=True)]
    for pooling in ("max", "mean+last"):
        alone = np.concatenate([model.encode(x[None], pooling=pooling) for x in short])
        together = model.encode(padded, pooling=pooling)
        np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    for causal in (False, True):
        steps = model.encode(padded, causal=causal)
        assert steps.shape == (4, 60, 8)
        assert np.isnan(steps[1, 17:]).all()
        np.testing.assert_allclose(
            steps[3, :42], model.encode(short[3][None], causal=causal)[0], rtol=1e-5, atol=1e-6
        )
    with pytest.raises(InputError, match="out"):
        model.encode(padded, out=np.empty((4, 60, 8), np.float32))
    with pytest.raises(DataError, match="sample 2 holds no value"):
        model.encode(np.where(np.arange(4)[:, None, None] == 2, np.nan, padded))


@pytest.mark.parametrize("encoder", ["tcn", "dilated", "lstm"])
def test_representations_are_pickled(encoder):
    model = representation(encoder=encoder).fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    assert (again.method_ is None) == (encoder == "tcn")
    assert np.isfinite(again.fit(X).transform(X)).all()
    pickle.loads(pickle.dumps(AutoTCL(**SMALL | {"encoder": encoder}).fit(X)))


def test_encoders_take_whole_numbers_of_numpy():
    built = ENCODERS.get("tcn")(2, output_dims=np.int64(4), hidden_dims=np.int32(4), depth=2)
    assert {type(value) for value in built.config().values()} <= {int, float, bool}
    with pytest.raises(InputError, match="output_dims"):
        ENCODERS.build("tcn", input_dims=2, output_dims=np.float64(4))
