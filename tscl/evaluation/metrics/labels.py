"""Scores of predictions of any kind of label: classes, several labels a sample, numbers.

What the arrays are tells the kind, as in :class:`data_loaders.MedicalDataset`: (n,) whole numbers
are class codes, (n, L) of 0, 1 and NaN are several labels, (n,) floats are numbers. An ordinal
outcome, such as a severity from 0 to 4, is a number; its score is the rank correlation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from data_loaders.container.fields import label_kind
from tscl.errors import InputError
from tscl.evaluation.metrics.bootstrap import (
    bootstrap_replicates,
    draw_patients,
    patient_codes,
    weighted_areas,
)
from tscl.evaluation.metrics.calibration import check_probabilities
from tscl.evaluation.metrics.classification import METRICS, classification_metrics

Array = NDArray[np.float64]
SCORES: dict[str, tuple[str, ...]] = {
    "classes": METRICS,
    "multilabel": ("auroc", "auprc", "f1"),
    "target": ("r2", "mae", "spearman"),
}
"""Names of the scores of each kind of label."""
MAIN = {"classes": "auroc", "multilabel": "auroc", "target": "r2"}
"""The score by which rows of each kind are compared; higher is better."""


def check_predictions(y_true: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[Any], Array]:
    """Labels and predictions of one kind, as :func:`check_probabilities` for classes.

    Args:
        y_true: (n,) class codes, (n, L) labels of 0, 1 and NaN, or (n,) floats.
        predicted: (n, K) probabilities that sum to 1, (n, L) of each label, or (n, 1) numbers.

    Raises:
        InputError: shapes that do not fit, no samples, or values that cannot be.
    """
    y = np.asarray(y_true)
    kind = label_kind(y)
    if kind == "classes":
        return check_probabilities(y, predicted)
    p = np.asarray(predicted, np.float64)
    shape = y.shape if kind == "multilabel" else (len(y), 1)
    if p.shape != shape or not len(y):
        raise InputError("predicted", f"shape {p.shape}", f"give {shape}, one sample or more")
    if not np.isfinite(p).all():
        raise InputError("predicted", "values that are not finite", "give finite predictions")
    if kind == "multilabel" and (p.min() < 0 or p.max() > 1):
        raise InputError("predicted", "values outside 0 to 1", "give probabilities")
    if kind == "target" and not np.isfinite(y).all():
        raise InputError("y_true", "unknown numbers", "leave samples without a label out")
    return y.astype(np.float64), p


def label_scores(
    y_true: ArrayLike, predicted: ArrayLike, names: Sequence[str] = ()
) -> dict[str, float]:
    """Scores by name, those of :data:`SCORES`.

    Of several labels ``auroc`` and ``auprc`` (average precision) are means over the labels that
    have both values, ``f1`` over those that occur, at a probability of .5; unknown ones are left
    out label by label. Of numbers ``r2`` is the share of variance explained, ``mae`` the mean
    absolute error, ``spearman`` the rank correlation (NaN of constant predictions).

    Args:
        y_true, predicted: see :func:`check_predictions`.
        names: of several labels; adds ``auroc NAME`` of each.

    Example:
        >>> y = [[1.0, 0], [0, 1], [1, np.nan]]
        >>> scores = label_scores(y, [[0.9, 0.2], [0.1, 0.6], [0.8, 1]])
        >>> {name: float(value) for name, value in scores.items()}
        {'auroc': 1.0, 'auprc': 1.0, 'f1': 1.0}
    """
    y, p = check_predictions(y_true, predicted)
    kind = label_kind(y)
    if kind == "classes":
        return classification_metrics(y, p).as_dict()
    if kind == "target":
        return _number_scores(y, p[:, 0])
    each = np.full((3, y.shape[1]), np.nan)
    for k in range(y.shape[1]):
        known = ~np.isnan(y[:, k])
        true, score = y[known, k], p[known, k]
        if len(np.unique(true)) == 2:
            each[:2, k] = roc_auc_score(true, score), average_precision_score(true, score)
        if true.any() or (score >= 0.5).any():
            each[2, k] = f1_score(true, score >= 0.5, zero_division=0)
    return _of_labels(each, names)


def label_replicates(
    y_true: ArrayLike,
    predicted: ArrayLike,
    patient: ArrayLike,
    *,
    names: Sequence[str] = (),
    n_replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Array]:
    """Every score of :func:`label_scores` in every bootstrap replicate of patients, (R,) each.

    Args:
        y_true, predicted, names: see :func:`label_scores`.
        patient, n_replicates, seed: see
            :func:`tscl.evaluation.metrics.bootstrap.bootstrap_replicates`; the draws are the same.
    """
    y, p = check_predictions(y_true, predicted)
    kind = label_kind(y)
    if kind == "classes":
        return bootstrap_replicates(y, p, patient, n_replicates=n_replicates, seed=seed)
    code, n_patients = patient_codes(patient, len(y))
    counts = draw_patients(n_patients, n_replicates, seed).astype(np.float64)
    if kind == "target":
        return _number_replicates(y, p[:, 0], code, counts)
    each = np.full((3, y.shape[1], n_replicates), np.nan)
    for k in range(y.shape[1]):
        known = ~np.isnan(y[:, k])
        true, score, who = y[known, k] == 1, p[known, k], code[known]
        if known.any():
            each[:2, k] = weighted_areas(true, score, who, counts)
        said = score >= 0.5
        hit, called, own = (
            counts @ np.bincount(who, weights=rows, minlength=n_patients)
            for rows in (true & said, said, true)
        )
        with np.errstate(invalid="ignore"):
            each[2, k] = 2 * hit / (called + own)
    return _of_labels(each, names)


def _of_labels(each: NDArray[Any], names: Sequence[str]) -> dict[str, Any]:
    """Means over labels of (3, L, ...) scores, and the AUROC of each label."""
    there = np.isfinite(each)
    total = np.where(there, each, 0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean = total / there.sum(axis=1)
    scores = dict(zip(SCORES["multilabel"], mean, strict=True))
    return scores | {f"auroc {name}": each[0, k] for k, name in enumerate(names)}


def _number_scores(y: Array, p: Array) -> dict[str, float]:
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = 1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum()
        ranks = np.stack([rankdata(y), rankdata(p)]) - (len(y) + 1) / 2
        spearman = (ranks[0] * ranks[1]).sum() / np.sqrt((ranks**2).sum(axis=1).prod())
    values = (r2, np.abs(y - p).mean(), spearman)
    finite = (float(value) if np.isfinite(value) else float("nan") for value in values)
    return dict(zip(SCORES["target"], finite, strict=True))


def _number_replicates(
    y: Array, p: Array, code: NDArray[np.int64], counts: Array
) -> dict[str, Array]:
    y, p = y - y.mean(), p - y.mean()  # the sums below lose no digits to a large mean
    per_patient = [
        np.bincount(code, weights=values, minlength=counts.shape[1])
        for values in (np.ones_like(y), np.abs(y - p), (y - p) ** 2, y, y**2)
    ]
    n, absolute, square, first, second = (counts @ values for values in per_patient)
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = 1 - square / (second - first**2 / n)
    r2[~np.isfinite(r2)] = np.nan
    parts = np.array_split(counts, -(-counts.shape[0] * len(y) // 4_000_000))
    ranks = np.concatenate([_rank_correlation(y, p, part[:, code]) for part in parts])
    return {"r2": r2, "mae": absolute / n, "spearman": ranks}


def _rank_correlation(y: Array, p: Array, weights: Array) -> Array:
    """Spearman's correlation of rows that stand ``weights`` (R, n) times."""
    n = weights.sum(axis=1, keepdims=True)
    parts = []
    for values in (y, p):
        order = np.argsort(values, kind="stable")
        last = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
        place = np.unique(values, return_inverse=True)[1]
        upto = np.cumsum(weights[:, order], axis=1)[:, last]
        rank = upto - (np.diff(upto, axis=1, prepend=0) - 1) / 2
        parts.append(rank[:, place] - (n + 1) / 2)
    ranks, other = parts
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = (weights * ranks * other).sum(axis=1) / np.sqrt(
            (weights * ranks**2).sum(axis=1) * (weights * other**2).sum(axis=1)
        )
    return result
