from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.svm import SVC

from tscl.errors import InputError
from tscl.evaluation.probes.classifiers import (
    fit_partial,
    knn_probe,
    linear_probe,
    spread_classes,
    svm_probe,
)


def partial_proba(train, y, test, n_classes, *given, **settings):
    """Probabilities (m, n_classes) of a probe of ``train`` at ``test``, and the C it took."""
    model, used = fit_partial(train, y, *given, **settings)
    return spread_classes(model, test, n_classes), used


def blobs(classes: int, n: int = 30, spread: float = 1.0, seed: int = 0) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    centers = rng.normal(0, 3, (classes, 4))
    y = np.repeat(np.arange(classes), n)
    x = centers[y] + rng.normal(0, spread, (len(y), 4))
    order = rng.permutation(len(y))
    train, test = order[::2], order[1::2]
    return x[train], y[train], x[test], y[test]


@pytest.mark.parametrize("probe", [linear_probe, svm_probe, knn_probe])
@pytest.mark.parametrize("classes", [2, 4])
def test_separable_classes_are_found(probe: Any, classes: int) -> None:
    result = probe(*blobs(classes, n=40, spread=0.05))
    assert result.accuracy == result.macro_f1 == 1
    assert result.auroc == pytest.approx(1)
    assert result.auprc == pytest.approx(1)
    assert result.n_train == result.n_test == 20 * classes


@pytest.mark.parametrize("probe", [linear_probe, partial(svm_probe, grid=(0.1, 1.0)), knn_probe])
def test_random_labels_are_not(probe: Any) -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(400, 3)), rng.integers(0, 2, 400)
    result = probe(x[:200], y[:200], x[200:], y[200:])
    assert 0.35 < result.accuracy < 0.65
    assert 0.35 < result.auroc < 0.65


def test_areas_against_sklearn_and_string_labels() -> None:
    x, y, x_test, y_test = blobs(2, n=60, spread=4.0)
    names = np.array(["calm", "storm"])
    result = svm_probe(x, names[y], x_test, names[y_test], grid=(1.0,))
    scores = SVC(C=1.0).fit(x, y).decision_function(x_test)
    assert result.auroc == pytest.approx(roc_auc_score(y_test, scores), abs=1e-4)
    assert result.auprc == pytest.approx(average_precision_score(y_test, scores), abs=1e-3)
    assert result.auroc < 1


def test_test_part_with_a_class_missing() -> None:
    x, y, x_test, y_test = blobs(3)
    keep = y_test != 2
    result = linear_probe(x, y, x_test[keep], y_test[keep])
    assert 0 <= result.auroc <= 1
    one = y_test == 1
    assert np.isnan(linear_probe(x, y, x_test[one], y_test[one]).auroc)


def test_svm_rules_for_few_and_many_samples() -> None:
    assert svm_probe(*blobs(2, n=20)).params["C"] == float("inf")
    searched = svm_probe(*blobs(2, n=80, spread=4.0), grid=(0.1, 1.0, float("inf")))
    assert searched.params["C"] < float("inf")
    small = svm_probe(*blobs(2, n=80), max_samples=60, grid=(1.0, 10.0))
    assert small.n_train == 60
    assert small.n_test == 80
    again = svm_probe(*blobs(2, n=80), max_samples=60, grid=(1.0, 10.0))
    assert small == again


def test_knn_caps_neighbours() -> None:
    assert knn_probe(*blobs(2, n=4), n_neighbors=50).params == {"n_neighbors": 4}
    with pytest.raises(InputError, match="n_neighbors"):
        knn_probe(*blobs(2), n_neighbors=0)


def test_bad_probe_input() -> None:
    x, y, x_test, y_test = blobs(2)
    with pytest.raises(InputError, match="x_train"):
        linear_probe(x[:, :, None], y, x_test, y_test)
    with pytest.raises(InputError, match="y_test"):
        linear_probe(x, y, x_test, y_test[:-1])
    with pytest.raises(InputError, match="two or more classes"):
        linear_probe(x, np.zeros_like(y), x_test, y_test)
    with pytest.raises(InputError, match="features"):
        linear_probe(x, y, x_test[:, :2], y_test)
    x[4, 1] = np.nan
    with pytest.raises(InputError, match="1 non-finite values, first in sample 4"):
        linear_probe(x, y, x_test, y_test)


def test_one_model_a_class_against_the_models_themselves() -> None:
    x, y, x_test, _ = blobs(3, spread=4.0)
    proba, _ = partial_proba(x, y, x_test, 3, one_vs_rest=True)
    mean, std = x.mean(axis=0), x.std(axis=0)
    scaled, seen = (x - mean) / std, (x_test - mean) / std
    models = [LogisticRegression(max_iter=2000).fit(scaled, y == k) for k in range(3)]
    own = np.stack([model.predict_proba(seen)[:, 1] for model in models], axis=1)
    np.testing.assert_allclose(proba, own / own.sum(axis=1, keepdims=True), atol=1e-9)
    together, _ = partial_proba(x, y, x_test, 3)
    assert np.abs(together - proba).max() > 0.01
    two = [
        partial_proba(x, np.minimum(y, 1), x_test, 2, one_vs_rest=how)[0] for how in (True, False)
    ]
    np.testing.assert_allclose(two[0], two[1], atol=1e-6)
