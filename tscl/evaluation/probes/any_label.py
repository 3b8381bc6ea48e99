"""Probes of frozen embeddings for any kind of label: classes, several labels, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from data_loaders.container.fields import label_kind
from tscl.errors import InputError
from tscl.evaluation.probes.classifiers import (
    INNER_FOLDS,
    fit_partial,
    knn_proba,
    penalties,
    spread_classes,
)

Array = NDArray[np.floating]


@dataclass(frozen=True)
class LabelProbes:
    """A logistic regression a label, each fitted on the samples whose label is known."""

    models: tuple[Pipeline, ...]


@dataclass(frozen=True)
class Nearest:
    """Labelled embeddings of which the nearest vote, see :func:`_nearest_predictions`."""

    train: Array
    y: NDArray[Any]
    n_outputs: int
    n_neighbors: int

    def predict(self, x: Array) -> NDArray[np.float64]:
        """Predictions (m, n_outputs) of embeddings (m, D)."""
        return _nearest_predictions(self.train, self.y, x, self.n_outputs, self.n_neighbors)


def fit_probe(
    train: Array,
    y: NDArray[Any],
    C: float | Sequence[float] = 1.0,
    valid: tuple[Array, NDArray[Any]] | None = None,
    *,
    patients: NDArray[Any] | None = None,
    one_vs_rest: bool = False,
    class_weight: str | None = None,
) -> tuple[Pipeline | LabelProbes, dict[str, Any]]:
    """Standardise and fit a linear model for the kind of ``y``.

    Classes: :func:`tscl.evaluation.probes.classifiers.fit_partial`. Several labels: the same for
    each label, on the samples whose label is known; a label of one value is always predicted so,
    and one that nobody has known is never there. Numbers: ridge regression with the penalty 1/C,
    C of the least squared error.

    Arguments as :func:`tscl.evaluation.probes.classifiers.fit_partial`, but for ``y``.

    Args:
        y: (n,) class codes, (n, L) labels of 0, 1 and NaN, or (n,) numbers.

    Returns:
        What :func:`apply_probe` takes, and the C used, or that of each label.

    Raises:
        InputError: a C that is not positive, several without a validation part or patients, or a
            class weight for numbers.
    """
    kind = label_kind(y)
    options: dict[str, Any] = {"one_vs_rest": one_vs_rest, "class_weight": class_weight}
    if kind == "classes":
        model, used = fit_partial(train, y, C, valid, patients=patients, **options)
        return model, {"C": used}
    if kind == "target":
        if class_weight is not None:
            raise InputError("class_weight", class_weight, "numbers have no classes; leave it out")
        return _fit_ridge(train, y, penalties(C), valid, patients)
    models, chosen = [], []
    for k in range(y.shape[1]):
        rows = np.flatnonzero(~np.isnan(y[:, k]))
        if not len(rows):
            rows, own = np.arange(len(y)), np.zeros(len(y), np.int64)
        else:
            own = y[rows, k].astype(np.int64)
        held = None
        if valid is not None:
            known = ~np.isnan(valid[1][:, k])
            held = (valid[0][known], valid[1][known, k].astype(np.int64)) if known.any() else None
        who = np.arange(len(rows)) if patients is None else np.asarray(patients)[rows]
        model, used = fit_partial(train[rows], own, C, held, patients=who, **options)
        models.append(model)
        chosen.append(used)
    return LabelProbes(tuple(models)), {"C": chosen}


def apply_probe(model: Pipeline | LabelProbes, x: Array, n_outputs: int) -> NDArray[np.float64]:
    """Predictions (m, n_outputs) of ``x``: probabilities of classes or labels, or numbers.

    Args:
        model: of :func:`fit_probe`.
        x: (m, D) embeddings.
        n_outputs: classes, labels, or 1.
    """
    if isinstance(model, LabelProbes):
        return np.stack([spread_classes(fitted, x, 2)[:, 1] for fitted in model.models], axis=1)
    if isinstance(model[-1], Ridge):
        return np.asarray(model.predict(x), np.float64)[:, None]
    return spread_classes(model, x, n_outputs)


def _nearest_predictions(
    train: Array, y: NDArray[Any], test: Array, n_outputs: int, n_neighbors: int = 5
) -> NDArray[np.float64]:
    """Predictions (m, n_outputs) of the nearest embeddings, weighed by 1 over their distance.

    See :func:`tscl.evaluation.probes.classifiers.knn_proba`; of several labels the neighbours of
    each are those whose label is known.
    """
    kind = label_kind(y)
    if kind == "classes":
        return knn_proba(train, y, test, n_outputs, n_neighbors)
    if kind == "target":
        nearest = KNeighborsRegressor(min(n_neighbors, len(train)), weights="distance")
        model = make_pipeline(StandardScaler(), nearest).fit(train, y)
        return np.asarray(model.predict(test), np.float64)[:, None]
    columns = []
    for k in range(n_outputs):
        known = ~np.isnan(y[:, k])
        column = np.zeros(len(test))
        if known.any():
            own = y[known, k].astype(np.int64)
            column = knn_proba(train[known], own, test, 2, n_neighbors)[:, 1]
        columns.append(column)
    return np.stack(columns, axis=1)


def _fit_ridge(
    train: Array,
    y: Array,
    grid: list[float],
    valid: tuple[Array, Array] | None,
    patients: NDArray[Any] | None,
) -> tuple[Pipeline, dict[str, Any]]:
    """The C of the least squared error on ``valid``, or over folds of the labelled patients."""

    def error(C: float, fit: Any, held: tuple[Array, Array]) -> float:
        model = _ridge(C).fit(train[fit], y[fit])
        return float(((model.predict(held[0]) - held[1]) ** 2).sum())

    best = grid[0]
    if len(grid) > 1 and valid is not None:
        best = min(grid, key=lambda C: error(C, slice(None), valid))
    elif len(grid) > 1:
        if patients is None:
            raise InputError("C", grid, "several values need a validation part or patients")
        group = pd.factorize(np.asarray(patients))[0]
        if group.max() > 0:
            folds = list(GroupKFold(min(INNER_FOLDS, group.max() + 1)).split(train, y, group))
            best = min(
                grid,
                key=lambda C: sum(error(C, fit, (train[out], y[out])) for fit, out in folds),
            )
    return _ridge(best).fit(train, y), {"C": best}


def _ridge(C: float) -> Pipeline:
    return make_pipeline(StandardScaler(), Ridge(alpha=1 / C))
