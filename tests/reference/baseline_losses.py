"""Slow float64 loops, written from the papers' equations, for the baselines' losses."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ts2vec_instance(r: Array, s: Array) -> float:
    """TS2Vec eq. 2, both views as anchors, mean over samples and steps."""
    b, t, _ = r.shape
    total = 0.0
    for mine, other in ((r, s), (s, r)):
        for i in range(b):
            for k in range(t):
                across = [math.exp(mine[i, k] @ other[j, k]) for j in range(b)]
                within = [math.exp(mine[i, k] @ mine[j, k]) for j in range(b) if j != i]
                total -= math.log(across[i] / (sum(across) + sum(within)))
    return total / (2 * b * t)


def ts2vec_temporal(r: Array, s: Array) -> float:
    """TS2Vec eq. 1, both views as anchors, mean over samples and steps."""
    b, t, _ = r.shape
    total = 0.0
    for mine, other in ((r, s), (s, r)):
        for i in range(b):
            for k in range(t):
                across = [math.exp(mine[i, k] @ other[i, q]) for q in range(t)]
                within = [math.exp(mine[i, k] @ mine[i, q]) for q in range(t) if q != k]
                total -= math.log(across[k] / (sum(across) + sum(within)))
    return total / (2 * b * t)


def ts2vec_hierarchical(r: Array, s: Array, alpha: float, unit: int) -> float:
    """Algorithm 1: mean over scales down to one step."""
    terms = []
    while True:
        temporal = ts2vec_temporal(r, s) if len(terms) >= unit else 0.0
        terms.append(alpha * ts2vec_instance(r, s) + (1 - alpha) * temporal)
        if r.shape[1] == 1:
            return sum(terms) / len(terms)
        r, s = (
            np.stack([np.maximum(z[:, 2 * k], z[:, 2 * k + 1]) for k in range(z.shape[1] // 2)], 1)
            for z in (r, s)
        )


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def ntxent(a: Array, b: Array, tau: float) -> float:
    """SimCLR eq. 1, mean over the 2 B anchors."""
    z = [*a, *b]
    n = len(a)
    total = 0.0
    for i in range(2 * n):
        positive = math.exp(cosine(z[i], z[(i + n) % (2 * n)]) / tau)
        every = sum(math.exp(cosine(z[i], z[k]) / tau) for k in range(2 * n) if k != i)
        total -= math.log(positive / every)
    return total / (2 * n)


def polynomial(a: Array, b: Array, tau: float) -> float:
    """TF-C's loss: CE / 2B + B (1 / B - mean over 2B x (2B - 1) of onehot times softmax)."""
    z, n = [*a, *b], len(a)
    entropy = chosen = 0.0
    for i in range(2 * n):
        odds = {k: math.exp(cosine(z[i], z[k]) / tau) for k in range(2 * n) if k != i}
        p = odds[(i + n) % (2 * n)] / sum(odds.values())
        entropy -= math.log(p)
        chosen += p
    return entropy / (2 * n) + n * (1 / n - chosen / (2 * n * (2 * n - 1)))


def mixup(mixed: Array, a: Array, b: Array, weight: list[float], tau: float) -> float:
    """Mixing-up eq. 2, mean over the batch."""
    n = len(mixed)
    total = 0.0
    for i in range(n):
        every = sum(
            math.exp(cosine(mixed[i], a[k]) / tau) + math.exp(cosine(mixed[i], b[k]) / tau)
            for k in range(n)
        )
        total -= weight[i] * math.log(math.exp(cosine(mixed[i], a[i]) / tau) / every)
        total -= (1 - weight[i]) * math.log(math.exp(cosine(mixed[i], b[i]) / tau) / every)
    return total / n


def tcc_prediction(predicted: Array, target: Array) -> float:
    """TS-TCC eq. 2, mean over steps and batch; both (K, B, D)."""
    total = 0.0
    for k in range(len(predicted)):
        for i in range(predicted.shape[1]):
            scores = [math.exp(predicted[k, i] @ target[k, n]) for n in range(target.shape[1])]
            total -= math.log(scores[i] / sum(scores))
    return total / (predicted.shape[0] * predicted.shape[1])


def clocs(a: Array, b: Array, ids: list[int], tau: float) -> float:
    """CLOCS eqs. 1 and 2 for one pair of views: mean over same-patient pairs, both directions."""
    n = len(ids)
    total, count = 0.0, 0
    for mine, other in ((a, b), (b, a)):
        for i in range(n):
            scores = [math.exp(cosine(mine[i], other[k]) / tau) for k in range(n)]
            for j in range(n):
                if ids[i] == ids[j]:
                    total -= math.log(scores[j] / sum(scores))
                    count += 1
    return total / count
