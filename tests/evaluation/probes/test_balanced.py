"""The balanced probe against scikit-learn used by hand, and what it does with few labels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from tscl.evaluation.probes.balanced import (
    _by_inner_folds,
    balanced_proba,
    fit_ridge,
    macro_auroc,
    ridge_proba,
)


@pytest.fixture
def features():
    """Two informative features of 90 rows beside noise, three uneven classes."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 20, 10])
    x = rng.normal(size=(90, 6))
    x[:, 0] += 2 * (y == 1)
    x[:, 1] += 2 * (y == 2)
    return 5 * x + 3, y


def test_one_c_is_a_balanced_logistic_regression_on_standardised_features(features):
    x, y = features
    proba, used = balanced_proba(x[::2], y[::2], x[1::2], 3, C=[0.1])
    mean, std = x[::2].mean(axis=0), x[::2].std(axis=0)
    weight = (len(y[::2]) / (3 * np.bincount(y[::2])))[y[::2]]
    model = LogisticRegression(C=0.1, max_iter=300)
    model.fit((x[::2] - mean) / std, y[::2], sample_weight=weight)
    np.testing.assert_allclose(proba, model.predict_proba((x[1::2] - mean) / std), atol=1e-3)
    assert used == 0.1


def test_c_is_chosen_on_the_labelled_rows(features):
    rng = np.random.default_rng(1)
    y = np.arange(60) % 2
    x = rng.normal(size=(60, 200))
    x[:, 0] += 1.5 * y  # of 200 features, so that a weak C is needed
    _, used = balanced_proba(x, y, x, 2, C=[1e-3, 1e4])
    assert used == 1e-3


class Watched:
    """A model that refuses to predict groups it was fitted on; features are group and class."""

    def __init__(self, value: float) -> None:
        self.value = value

    def fit(self, x, y):
        self.groups = set(x[:, 0])
        return self

    def predict_proba(self, x):
        assert not self.groups & set(x[:, 0])
        right = x[:, 1] if self.value == 0.1 else 1 - x[:, 1]
        return np.stack([1 - right, right], axis=1)


def test_groups_are_never_on_both_sides_of_an_inner_fold():
    group = np.repeat(np.arange(20), 6)
    y = group % 2
    x = np.stack([group, y], axis=1).astype(float)
    assert _by_inner_folds(Watched, x, y, 2, [0.01, 0.1, 1.0], group, 3) == 0.1


def test_a_single_row_of_a_class_takes_the_middle_c(features):
    x, y = features
    few = np.r_[0:5, 60:62, 80]
    proba, used = balanced_proba(x[few], y[few], x, 3, C=[1e-3, 1e-2, 1.0])
    assert used == 1e-2
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)


def test_ridge_orders_as_scikit_learns(features):
    x, y = features
    two = y < 2
    fitted = fit_ridge(x[two], y[two])
    proba, alpha = ridge_proba(fitted, x[two], 2), fitted[-1].alpha_
    standard = (x[two] - x[two].mean(axis=0)) / x[two].std(axis=0)
    model = RidgeClassifier(alpha=alpha, class_weight="balanced").fit(standard, y[two])
    expected = np.argsort(model.decision_function(standard))
    np.testing.assert_array_equal(np.argsort(proba[:, 1]), expected)
    assert ridge_proba(fit_ridge(x, y), x, 3).shape == (90, 3)


def test_macro_auroc_needs_every_class():
    proba = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3]])
    assert np.isnan(macro_auroc(np.array([0, 1, 1]), proba))
    assert macro_auroc(np.array([0, 1, 2]), proba) == 1.0
