"""Weights of series: corrupted recordings do less harm, zero leaves out, equal change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from tests.estimators.test_contract import PATIENT, X, Y, every, output
from tests.estimators.tiny import LEARN, classifier, clusterer, transformer, waves
from tscl.errors import InputError
from tscl.estimators import ContinualTransformer

WEIGHTS = np.where(np.arange(len(X)) % 8 == 7, 0.0, 1.0)
HELD = np.flatnonzero(WEIGHTS)


def fit(make: Any, x: Any, **options: Any) -> Any:
    rows = len(x)
    model = make()
    if hasattr(model, "query"):
        return model.fit(x, patient=PATIENT[:rows], **options)
    return model.fit(x, Y[:rows], **options)


def test_corrupted_recordings_of_low_weight_do_less_harm():
    (x, y), (new, truth) = waves(40), waves(120, seed=100)
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.normal(size=x.shape), axis=1)
    series, labels = np.concatenate([x, walks]), np.concatenate([y, rng.integers(0, 2, 40)])
    low = np.repeat([1.0, 0.02], 40)
    model = classifier(scale="none", **{**LEARN, "encoder": "dilated"})
    plain, weighted = (
        model.fit(series, labels, sample_weight=w).score(new, truth) for w in (None, low)
    )
    assert weighted > 0.95
    assert plain < 0.8


@every
def test_equal_weights_change_nothing(make):
    plain, weighted = fit(make, X), fit(make, X, sample_weight=[3] * len(X))
    np.testing.assert_allclose(output(weighted, X), output(plain, X), rtol=1e-5, atol=1e-6)


@every
def test_a_series_of_weight_zero_is_not_read(make):
    other = X.copy()
    other[WEIGHTS == 0] *= -3
    first, second = (fit(make, x, sample_weight=WEIGHTS) for x in (X, other))
    seen = X[HELD]
    for one in (first, second):
        mean = getattr(one, "transformer_", one).mean_
        np.testing.assert_allclose(mean, seen.astype(np.float64).mean((0, 1)), rtol=1e-6)
    if not hasattr(first, "query"):  # its index holds all series
        np.testing.assert_allclose(output(first, seen), output(second, seen), rtol=1e-6)
    assert fit(make, X).get_params().keys() == first.get_params().keys()


def test_sites_are_weighed_too():
    small = {"output_dims": 4, "hidden_dims": 4, "depth": 1}
    other = X.copy()
    other[WEIGHTS == 0] *= -3
    codes = []
    for x in (X, other):
        model = ContinualTransformer(
            encoder_params=small, max_epochs=1, method_params={"capacity": 4}
        )
        codes.append(model.fit(x, Y, sample_weight=WEIGHTS).transform(X))
    np.testing.assert_array_equal(*codes)


@every
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.ones(3), "one a sample"),
        (np.ones((len(X), 1)), "one a sample"),
        (-WEIGHTS, "at least 0"),
        (np.where(WEIGHTS, np.nan, 1), "at least 0"),
        (0 * WEIGHTS, "all zero"),
        (["a"] * len(X), "give numbers"),
        (np.eye(len(X))[0] + 1e-6, "no two samples"),
    ],
)
def test_weights_that_cannot_be_are_named(make, wrong, message):
    with pytest.raises(InputError, match=f"^sample_weight.*{message}"):
        fit(make, X, sample_weight=wrong)


def test_where_weights_have_no_place_it_is_said():
    for model, options in [
        (classifier(finetune="plain"), {}),
        (classifier(), {"X_unlabelled": X}),
        (classifier(head=KNeighborsClassifier()), {}),
    ]:
        with pytest.raises(InputError, match=r"^sample_weight"):
            model.fit(X, Y, sample_weight=WEIGHTS, **options)


def test_methods_that_read_trials_and_clusters_take_them():
    low = np.where(np.arange(len(X)) % 2, 1.0, 0.3)
    trial = np.arange(len(X)) // 2
    small = {"encoder": "dilated", "encoder_params": {"output_dims": 4, "depth": 1}}
    one, two = (
        transformer("comet", **small).fit(X, patient=PATIENT, trial=trial, sample_weight=w)
        for w in (None, low)
    )
    assert not np.array_equal(one.transform(X), two.transform(X))
    centers = [clusterer().fit(X, sample_weight=w).cluster_centers_ for w in (None, low)]
    assert not np.allclose(*centers)
