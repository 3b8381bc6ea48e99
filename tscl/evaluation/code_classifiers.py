"""Class probabilities from frozen codes: logistic regression and nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tscl.errors import InputError

Array = NDArray[np.floating]
Labels = NDArray[np.int64]
INNER_FOLDS = 5
"""Folds of the labelled patients that choose C where no validation part does."""


def partial_proba(
    train: Array,
    y: Labels,
    test: Array,
    n_classes: int,
    C: float | Sequence[float] = 1.0,
    valid: tuple[Array, Labels] | None = None,
    max_iter: int = 2000,
    patients: NDArray[Any] | None = None,
) -> tuple[NDArray[np.float64], float]:
    """Standardise and fit a logistic regression: COMET's partial fine-tuning.

    Args:
        train: (n, D) codes.
        y: (n,) class codes, not necessarily all of them.
        test: (m, D) codes.
        n_classes: columns of the result; a class missing from ``y`` gets probability 0.
        C: inverse regularisation; of several the best macro F1 on ``valid``, the smallest of
            equals. Without ``valid`` the F1 is that of :data:`INNER_FOLDS` folds of the labelled
            ``patients``; the smallest C if a class has only one of them.
        valid: codes and labels; needed for several C unless ``patients`` are given.
        max_iter: iterations of the solver.
        patients: (n,) patient of each row of ``train``; never in two folds.

    Returns:
        Probabilities (m, n_classes) and the C used.
    """
    grid = [float(C)] if isinstance(C, int | float) else sorted(float(c) for c in C)
    if not grid or grid[0] <= 0:
        raise InputError("C", C, "give positive numbers")
    if len(np.unique(y)) == 1:
        return _constant(int(y[0]), len(test), n_classes), grid[0]
    if len(grid) > 1 and valid is None:
        if patients is None:
            raise InputError("C", grid, "several values need a validation part or patients")
        grid = [_by_inner_folds(train, y, patients, grid, max_iter)]
    best, chosen = -1.0, None
    for value in grid:
        model = _logistic(value, max_iter).fit(train, y)
        score = 0.0
        if valid is not None and len(grid) > 1:
            score = f1_score(valid[1], model.predict(valid[0]), average="macro", zero_division=0)
        if score > best:
            best, chosen, used = score, model, value
    assert chosen is not None
    return _spread(chosen.predict_proba(test), chosen.classes_, n_classes), used


def _logistic(C: float, max_iter: int) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=max_iter))


def _by_inner_folds(
    train: Array, y: Labels, patients: NDArray[Any], grid: list[float], max_iter: int
) -> float:
    """The C of the best macro F1 over folds of the labelled patients, each class dealt evenly."""
    group = pd.factorize(np.asarray(patients))[0]  # as they appear: names do not matter
    fewest = min(len(np.unique(group[y == k])) for k in np.unique(y))
    if fewest < 2:
        return grid[0]
    cuts = StratifiedGroupKFold(min(INNER_FOLDS, fewest)).split(train, y, group)
    folds = [(fit, held) for fit, held in cuts if len(np.unique(y[fit])) > 1 and len(held)]
    if not folds:
        return grid[0]
    seen = np.concatenate([held for _, held in folds])
    scores = []
    for value in grid:
        model = _logistic(value, max_iter)
        said = [model.fit(train[fit], y[fit]).predict(train[held]) for fit, held in folds]
        scores.append(f1_score(y[seen], np.concatenate(said), average="macro", zero_division=0))
    return grid[int(np.argmax(scores))]


def knn_proba(
    train: Array, y: Labels, test: Array, n_classes: int, n_neighbors: int = 5
) -> NDArray[np.float64]:
    """Standardise and vote of the ``n_neighbors`` nearest (at most n) codes, (m, n_classes).

    A neighbour's vote weighs the inverse of its distance: with as few labels as neighbours an
    equal vote would be the same for every sample.
    """
    if n_neighbors < 1:
        raise InputError("n_neighbors", n_neighbors, "give at least 1")
    nearest = KNeighborsClassifier(min(n_neighbors, len(train)), weights="distance")
    model = make_pipeline(StandardScaler(), nearest).fit(train, y)
    return _spread(model.predict_proba(test), model.classes_, n_classes)


def _spread(proba: Array, classes: Labels, n_classes: int) -> NDArray[np.float64]:
    """Columns of the classes seen, put among all classes."""
    full = np.zeros((len(proba), n_classes))
    full[:, classes] = proba
    return full


def _constant(k: int, n: int, n_classes: int) -> NDArray[np.float64]:
    full = np.zeros((n, n_classes))
    full[:, k] = 1.0
    return full
