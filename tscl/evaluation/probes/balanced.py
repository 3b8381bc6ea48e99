"""The probe of features of whole recordings: a class-balanced classifier, tuned on its labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tscl.evaluation.probes.classifiers import spread_classes

Array = NDArray[np.floating]
Labels = NDArray[np.int64]


def macro_auroc(y: Labels, proba: Array) -> float:
    """Mean over classes of one against the rest; NaN where a class is missing."""
    present = [k for k in range(proba.shape[1]) if 0 < (y == k).sum() < len(y)]
    if len(present) < proba.shape[1]:
        return float("nan")
    return float(np.mean([roc_auc_score(y == k, proba[:, k]) for k in present]))


def balanced_proba(
    train: Array, y: Labels, test: Array, n_classes: int, **options: Any
) -> tuple[NDArray[np.float64], float]:
    """Fit :func:`fit_balanced` and predict ``test`` (m, D).

    Args:
        train, y, n_classes, options: see :func:`fit_balanced`.
        test: (m, D) features.

    Returns:
        Probabilities (m, n_classes) and the C used.
    """
    model, used = fit_balanced(train, y, n_classes, **options)
    return spread_classes(model, test, n_classes), used


def fit_balanced(
    train: Array,
    y: Labels,
    n_classes: int,
    *,
    C: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    groups: Labels | None = None,
    inner_folds: int = 3,
) -> tuple[Pipeline, float]:
    """Class-balanced logistic regression on standardised features.

    Args:
        train: (n, D) features of labelled recordings, all finite.
        y: (n,) class codes; every class at least once.
        n_classes: number of classes.
        C: inverse regularisations; the one of the best mean macro AUROC over inner folds, the
            smallest of equals. The middle one where a class has one group only.
        groups: (n,) codes of what inner folds keep together; None: every row on its own.
        inner_folds: at most; fewer where a class has fewer groups.

    Returns:
        The scaler and classifier, and the C used.
    """
    grid = sorted(float(value) for value in C)

    def model(value: float) -> Pipeline:
        return make_pipeline(
            StandardScaler(), LogisticRegression(C=value, class_weight="balanced", max_iter=300)
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        best = _by_inner_folds(model, train, y, n_classes, grid, groups, inner_folds)
        return model(best).fit(train, y), best


def _by_inner_folds(
    model: Callable[[float], Pipeline],
    train: Array,
    y: Labels,
    n_classes: int,
    grid: list[float],
    groups: Labels | None,
    inner_folds: int,
) -> float:
    group = np.arange(len(y)) if groups is None else groups
    fewest = min(len(np.unique(group[y == k])) for k in np.unique(y))
    if len(grid) == 1 or fewest < 2:
        return grid[len(grid) // 2]
    splitter = StratifiedGroupKFold(min(inner_folds, fewest), shuffle=True, random_state=0)
    scores = np.full((len(grid), inner_folds), np.nan)
    for number, (fit, held) in enumerate(splitter.split(train, y, group)):
        if len(np.unique(y[fit])) < n_classes:
            continue
        for row, value in enumerate(grid):
            proba = model(value).fit(train[fit], y[fit]).predict_proba(train[held])
            scores[row, number] = macro_auroc(y[held], proba)
    if np.isnan(scores).all():
        return grid[len(grid) // 2]
    return grid[int(np.argmax(np.nanmean(scores[:, ~np.isnan(scores).all(axis=0)], axis=1)))]


def fit_ridge(train: Array, y: Labels) -> Pipeline:
    """Class-balanced ridge classifier, its strength by leaving one out: what MiniRocket is used
    with (Dempster et al. 2021, arXiv 2012.08791, section 3.3).

    Args:
        train, y: see :func:`fit_balanced`.

    Returns:
        The scaler and classifier, of which the last step's ``alpha_`` is the strength.
    """
    ridge = RidgeClassifierCV(alphas=np.logspace(-3, 5, 17), class_weight="balanced")
    return make_pipeline(StandardScaler(), ridge).fit(train, y)


def ridge_proba(model: Pipeline, test: Array, n_classes: int) -> NDArray[np.float64]:
    """The softmax of the decision values (m, n_classes), which orders recordings, but is not
    calibrated.

    Args:
        model: of :func:`fit_ridge`.
        test: (m, D) features.
        n_classes: columns of the result.
    """
    values = np.asarray(model.decision_function(test), np.float64)
    if values.ndim == 1:
        values = np.stack([-values, values], axis=1)
    proba = np.zeros((len(test), n_classes))
    proba[:, model.classes_] = softmax(values, axis=1)
    return proba
