"""Classifiers on frozen, pooled representations: logistic regression, SVM, nearest neighbours.

The SVM's grid and its small-sample rule are those of TS2Vec (arXiv 2106.10466, section 4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedGroupKFold,
    StratifiedKFold,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tscl.errors import InputError

Array = NDArray[np.floating]
Labels = NDArray[np.int64]
INNER_FOLDS = 5
"""Folds of the labelled patients that choose C where no validation part does."""


def fit_partial(
    train: Array,
    y: Labels,
    C: float | Sequence[float] = 1.0,
    valid: tuple[Array, Labels] | None = None,
    max_iter: int = 2000,
    patients: NDArray[Any] | None = None,
    one_vs_rest: bool = False,
    class_weight: str | None = None,
) -> tuple[Pipeline, float]:
    """Standardise and fit a logistic regression: COMET's partial fine-tuning.

    Args:
        train: (n, D) embeddings.
        y: (n,) class codes, not necessarily all of them.
        C: inverse regularisation; of several the best macro F1 on ``valid``, the smallest of
            equals. Without ``valid`` the F1 is that of :data:`INNER_FOLDS` folds of the labelled
            ``patients``; the smallest C if a class has only one of them.
        valid: embeddings and labels; needed for several C unless ``patients`` are given.
        max_iter: iterations of the solver.
        patients: (n,) patient of each row of ``train``; never in two folds.
        one_vs_rest: a model a class, their probabilities scaled to sum 1, as COMET's public code;
            False fits all classes at once. For two classes both are the same.
        class_weight: ``"balanced"`` weighs samples by 1 over their class's share; None equally.

    Returns:
        The scaler and classifier (a constant one for labels of one class), and the C used.
    """
    grid = penalties(C)
    if class_weight not in (None, "balanced"):
        raise InputError("class_weight", class_weight, "choose 'balanced' or None")
    if len(np.unique(y)) == 1:
        constant = DummyClassifier(strategy="constant", constant=int(y[0]))
        return make_pipeline(StandardScaler(), constant).fit(train, y), grid[0]
    if len(grid) > 1 and valid is None:
        if patients is None:
            raise InputError("C", grid, "several values need a validation part or patients")
        settings = max_iter, one_vs_rest, class_weight
        grid = [_by_inner_folds(train, y, patients, grid, settings)]
    best, chosen = -1.0, None
    for value in grid:
        model = _logistic(value, max_iter, one_vs_rest, class_weight).fit(train, y)
        score = 0.0
        if valid is not None and len(grid) > 1:
            score = f1_score(valid[1], model.predict(valid[0]), average="macro", zero_division=0)
        if score > best:
            best, chosen, used = score, model, value
    assert chosen is not None
    return chosen, used


def penalties(C: float | Sequence[float]) -> list[float]:
    """The values of C in rising order.

    Raises:
        InputError: none, or one that is not positive.
    """
    grid = [float(C)] if isinstance(C, int | float) else sorted(float(c) for c in C)
    if not grid or grid[0] <= 0:
        raise InputError("C", C, "give positive numbers")
    return grid


def _logistic(C: float, max_iter: int, one_vs_rest: bool, class_weight: str | None) -> Pipeline:
    model = LogisticRegression(C=C, max_iter=max_iter, class_weight=class_weight)
    return make_pipeline(StandardScaler(), OneVsRestClassifier(model) if one_vs_rest else model)


def _by_inner_folds(
    train: Array,
    y: Labels,
    patients: NDArray[Any],
    grid: list[float],
    settings: tuple[int, bool, str | None],
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
        model = _logistic(value, *settings)
        said = [model.fit(train[fit], y[fit]).predict(train[held]) for fit, held in folds]
        scores.append(f1_score(y[seen], np.concatenate(said), average="macro", zero_division=0))
    return grid[int(np.argmax(scores))]


def knn_proba(
    train: Array, y: Labels, test: Array, n_classes: int, n_neighbors: int = 5
) -> NDArray[np.float64]:
    """Standardise and let the nearest embeddings vote, (m, n_classes).

    A neighbour's vote weighs the inverse of its distance: with as few labels as neighbours an equal
    vote would be the same for every sample.

    Args:
        train: (n, D) labelled embeddings.
        y: (n,) their classes.
        test: (m, D) embeddings.
        n_classes: columns of the result.
        n_neighbors: neighbours that vote, at most n.
    """
    if n_neighbors < 1:
        raise InputError("n_neighbors", n_neighbors, "give at least 1")
    nearest = KNeighborsClassifier(min(n_neighbors, len(train)), weights="distance")
    model = make_pipeline(StandardScaler(), nearest).fit(train, y)
    return spread_classes(model, test, n_classes)


def spread_classes(model: Pipeline, x: Array, n_classes: int) -> NDArray[np.float64]:
    """Probabilities (m, n_classes); classes that the model has not seen get 0.

    Args:
        model: fitted on classes that are numbers below ``n_classes``.
        x: (m, D) embeddings.
        n_classes: columns of the result.
    """
    full = np.zeros((len(x), n_classes))
    full[:, model.classes_] = model.predict_proba(x)
    return full


SVM_GRID = (*(10.0**i for i in range(-4, 5)), float("inf"))
SVM_MAX_SAMPLES = 10_000
SVM_GRID_FLOOR = 50
SVM_CLASS_FLOOR = 5

Arrays = tuple[NDArray[np.float32], NDArray[Any], NDArray[np.float32], NDArray[Any]]


@dataclass(frozen=True)
class ProbeResult:
    """Test scores of one classifier.

    Attributes:
        probe: "logistic", "svm" or "knn".
        accuracy: share of right labels.
        macro_f1: mean F1 over the classes that occur among test labels or predictions.
        auroc: area under ROC, one class against the rest, mean over the classes that the test
            part has and lacks in some sample; NaN when there is none. Both classes of a binary
            problem have the same area.
        auprc: average precision, mean over the same classes; of the second class when binary.
        n_train: training samples used.
        n_test: test samples.
        params: what was chosen, such as ``{"C": 10.0}``.
    """

    probe: str
    accuracy: float
    macro_f1: float
    auroc: float
    auprc: float
    n_train: int
    n_test: int
    params: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON types."""
        return asdict(self)


def linear_probe(
    x_train: ArrayLike,
    y_train: ArrayLike,
    x_test: ArrayLike,
    y_test: ArrayLike,
    *,
    C: float = 1.0,
    max_iter: int = 5000,
    random_state: int = 0,
) -> ProbeResult:
    """Standardise by the training part and fit a logistic regression.

    Args:
        x_train: (n, D) pooled representations.
        y_train: (n,) labels.
        x_test: (m, D) pooled representations.
        y_test: (m,) labels.
        C: inverse strength of the L2 penalty.
        max_iter: iterations of the solver.
        random_state: seed of the solver.

    Raises:
        InputError: shapes that do not fit, non-finite values, fewer than two classes.
    """
    arrays = _check(x_train, y_train, x_test, y_test)
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=C, max_iter=max_iter, random_state=random_state)
    )
    return _evaluate("logistic", model, arrays, {"C": C})


def svm_probe(
    x_train: ArrayLike,
    y_train: ArrayLike,
    x_test: ArrayLike,
    y_test: ArrayLike,
    *,
    grid: tuple[float, ...] = SVM_GRID,
    folds: int = 5,
    max_samples: int = SVM_MAX_SAMPLES,
    shuffle: bool = True,
    random_state: int = 0,
) -> ProbeResult:
    """RBF support vector machine whose C is chosen by cross-validation on the training part.

    With fewer than 50 training samples, or fewer than 5 a class on average, C is infinite and
    nothing is searched. More than ``max_samples`` samples are first subsampled by class. The
    folds are shuffled by ``random_state`` (``shuffle=False`` leaves them in order, as TS2Vec's
    code does) and become fewer when a class has fewer samples; a class with a single sample also
    ends the search.

    Arguments and errors are those of :func:`linear_probe`; ``grid`` holds the values of C.
    """
    x, y, x_test32, y_test_array = _check(x_train, y_train, x_test, y_test)
    counts = np.unique(y, return_counts=True)[1]
    if len(x) > max_samples:
        stratify = y if counts.min() >= 2 else None
        x, _, y, _ = train_test_split(
            x, y, train_size=max_samples, random_state=random_state, stratify=stratify
        )
        counts = np.unique(y, return_counts=True)[1]
    few = len(x) < SVM_GRID_FLOOR or len(x) // len(counts) < SVM_CLASS_FLOOR
    chosen = float("inf")
    if not few and counts.min() >= 2 and len(grid) > 1:
        seed = random_state if shuffle else None
        cv = StratifiedKFold(min(folds, int(counts.min())), shuffle=shuffle, random_state=seed)
        search = GridSearchCV(SVC(gamma="scale"), {"C": list(grid)}, cv=cv, refit=False)
        chosen = float(search.fit(x, y).best_params_["C"])
    elif len(grid) == 1:
        chosen = float(grid[0])
    model = make_pipeline(SVC(C=chosen, gamma="scale", decision_function_shape="ovr"))
    return _evaluate("svm", model, (x, y, x_test32, y_test_array), {"C": chosen})


def knn_probe(
    x_train: ArrayLike,
    y_train: ArrayLike,
    x_test: ArrayLike,
    y_test: ArrayLike,
    *,
    n_neighbors: int = 1,
) -> ProbeResult:
    """Standardise by the training part and vote among the nearest training samples.

    Arguments and errors are those of :func:`linear_probe`; ``n_neighbors`` is capped at n.
    """
    if n_neighbors < 1:
        raise InputError("n_neighbors", n_neighbors, "use 1 or more")
    arrays = _check(x_train, y_train, x_test, y_test)
    k = min(n_neighbors, len(arrays[0]))
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(n_neighbors=k))
    return _evaluate("knn", model, arrays, {"n_neighbors": k})


def _check(x_train: ArrayLike, y_train: ArrayLike, x_test: ArrayLike, y_test: ArrayLike) -> Arrays:
    xs = [np.asarray(x, dtype=np.float32) for x in (x_train, x_test)]
    ys = [np.asarray(y) for y in (y_train, y_test)]
    for part, x, y in zip(("train", "test"), xs, ys, strict=True):
        if x.ndim != 2 or len(x) == 0:
            raise InputError(f"x_{part}", x.shape, "pass pooled (n_samples, n_features)")
        if y.shape != (len(x),):
            raise InputError(f"y_{part}", y.shape, f"pass one label for each of {len(x)} samples")
        bad = ~np.isfinite(x)
        if bad.any():
            row = int(np.argwhere(bad)[0][0])
            raise InputError(
                f"x_{part}",
                f"{int(bad.sum())} non-finite values, first in sample {row}",
                "clean it",
            )
    if xs[0].shape[1] != xs[1].shape[1]:
        raise InputError("x_test", xs[1].shape, f"the training part has {xs[0].shape[1]} features")
    if len(np.unique(ys[0])) < 2:
        raise InputError("y_train", np.unique(ys[0]), "two or more classes are needed")
    return xs[0], ys[0], xs[1], ys[1]


def _evaluate(probe: str, model: Pipeline, arrays: Arrays, params: dict[str, Any]) -> ProbeResult:
    x_train, y_train, x_test, y_test = arrays
    model.fit(x_train, y_train)
    classes = model.classes_
    scores = (
        model.predict_proba(x_test)
        if hasattr(model, "predict_proba")
        else np.asarray(model.decision_function(x_test))
    )
    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1)
    auroc, auprc = _areas(y_test, scores, classes)
    predicted = model.predict(x_test)
    return ProbeResult(
        probe=probe,
        accuracy=float(accuracy_score(y_test, predicted)),
        macro_f1=float(f1_score(y_test, predicted, average="macro", zero_division=0)),
        auroc=auroc,
        auprc=auprc,
        n_train=len(x_train),
        n_test=len(x_test),
        params=params,
    )


def _areas(
    y: NDArray[Any], scores: NDArray[np.floating[Any]], classes: NDArray[Any]
) -> tuple[float, float]:
    """One-vs-rest areas under ROC and precision-recall, mean over the classes that have both."""
    columns = [k for k, c in enumerate(classes) if 0 < int((y == c).sum()) < len(y)]
    if not columns:
        return float("nan"), float("nan")
    roc = [roc_auc_score(y == classes[k], scores[:, k]) for k in columns]
    positive = [1] if len(classes) == 2 and 1 in columns else columns
    precision = [average_precision_score(y == classes[k], scores[:, k]) for k in positive]
    return float(np.mean(roc)), float(np.mean(precision))
