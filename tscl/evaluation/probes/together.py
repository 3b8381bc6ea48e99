"""The mean of several probes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax

Predictions = NDArray[np.float64]


def mean_of_probes(parts: Sequence[tuple[Predictions, Predictions]], kind: str) -> Predictions:
    """Predictions of several probes, averaged on one scale.

    Log-probabilities (of classes less their mean over classes) of each probe are divided by their
    deviation over recordings to train on, which need no labels: a ridge and a logistic regression
    spread differently, and neither shall count for more. The mean gets the mean spread back.
    Numbers are averaged as they are.

    Args:
        parts: of each probe (n, K) predictions for the recordings of the training part, and (m, K)
            for those asked for.
        kind: ``classes`` or ``multilabel``, whose predictions are probabilities, or ``target``.

    Returns:
        (m, K) predictions.

    Example:
        >>> sharp = np.array([[0.999, 0.001], [0.001, 0.999]])
        >>> flat = np.array([[0.51, 0.49], [0.49, 0.51]])
        >>> mean_of_probes([(sharp, sharp), (flat, flat[::-1])], "classes").round(2)
        array([[0.5, 0.5],
               [0.5, 0.5]])
    """
    if kind == "target":
        return np.asarray(np.mean([test for _, test in parts], axis=0))
    values, spreads = [], []
    for train, test in parts:
        spread = float(_values(train, kind).std()) or 1.0
        values.append(_values(test, kind) / spread)
        spreads.append(spread)
    mean = np.mean(values, axis=0) * np.mean(spreads)
    return np.asarray(softmax(mean, axis=1) if kind == "classes" else expit(mean))


def _values(proba: Predictions, kind: str) -> Predictions:
    kept = np.clip(proba, 1e-9, 1 - 1e-9)
    if kind == "multilabel":
        return np.asarray(logit(kept))
    logs = np.log(kept)
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))
