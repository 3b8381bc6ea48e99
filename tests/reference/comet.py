"""COMET's losses as loops over anchors in float64, written from the formulas."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cross_entropy(positive: float, others: list[float]) -> float:
    """-log softmax of ``positive`` among itself and ``others``."""
    top = max([positive, *others])
    return top + math.log(sum(math.exp(v - top) for v in [positive, *others])) - positive


def observation(z1: Array, z2: Array, temperature: float = 1.0) -> float:
    """One scale: each step against the other steps of its sample."""
    views, costs = (z1, z2), []
    batch, length, _ = z1.shape
    for b in range(batch):
        for v in range(2):
            for t in range(length):
                anchor = views[v][b, t]
                positive = float(anchor @ views[1 - v][b, t]) / temperature
                others = [
                    float(anchor @ views[w][b, s]) / temperature
                    for w in range(2)
                    for s in range(length)
                    if s != t
                ]
                costs.append(cross_entropy(positive, others))
    return float(np.mean(costs))


def sample(
    z1: Array, z2: Array, temperature: float = 1.0, groups: NDArray[np.int64] | None = None
) -> float:
    """One scale: each sample against the others at each step; ``groups`` are no negatives."""
    views, costs = (z1, z2), []
    batch, length, _ = z1.shape
    for t in range(length):
        for v in range(2):
            for b in range(batch):
                anchor = views[v][b, t]
                positive = float(anchor @ views[1 - v][b, t]) / temperature
                others = [
                    float(anchor @ views[w][c, t]) / temperature
                    for w in range(2)
                    for c in range(batch)
                    if c != b and (groups is None or groups[c] != groups[b])
                ]
                costs.append(cross_entropy(positive, others))
    return float(np.mean(costs))


def pooled_over_time(series: Array, how: str) -> list[float]:
    """One series (T, D) to a vector, name by name of ``how`` (joined by +)."""
    out = []
    for name in how.split("+"):
        for column in series.T.tolist():
            mean = sum(column) / len(column)
            if name == "max":
                out.append(max(column))
            elif name == "mean":
                out.append(mean)
            elif name == "last":
                out.append(column[-1])
            else:
                variance = sum((v - mean) ** 2 for v in column) / len(column)
                power = 0.5 * math.log(variance + 1e-6)
                out.append(math.exp(power) if name == "std" else power)
    return out


def pooled(z: Array) -> Array:
    """Maximum over steps 2k and 2k + 1."""
    half = z.shape[1] // 2
    return np.stack([np.maximum(z[:, 2 * k], z[:, 2 * k + 1]) for k in range(half)], axis=1)


def hierarchical(one_scale, z1: Array, z2: Array, **options) -> float:  # type: ignore[no-untyped-def]
    """Mean over scales of more than one step; a single step is its own scale."""
    values = [one_scale(z1, z2, **options)]
    while z1.shape[1] // 2 > 1:
        z1, z2 = pooled(z1), pooled(z2)
        values.append(one_scale(z1, z2, **options))
    return float(np.mean(values))


def id_contrast(
    z1: Array,
    z2: Array,
    ids: list[object],
    temperature: float = 0.1,
    normalize: str = "embedding",
    pairs: str = "all",
    own_pair: str = "denominator",
    pool: str | None = None,
) -> float:
    """Shared-id contrast, pair by pair."""

    def flat(z: Array) -> list[Array]:
        rows = []
        for series in z:
            if normalize == "time" and len(series) > 1:
                series = series / np.maximum(np.sqrt((series**2).sum(axis=0)), 1e-12)
            rows.append(
                series.flatten() if pool is None else np.array(pooled_over_time(series, pool))
            )
        if normalize == "batch" and len(rows) > 1:
            for d in range(len(rows[0])):
                column = [float(row[d]) for row in rows]
                mean = sum(column) / len(column)
                spread = math.sqrt(sum((v - mean) ** 2 for v in column) / len(column) + 1e-6)
                for row in rows:
                    row[d] = (row[d] - mean) / spread
        return rows

    a, b = flat(z1), flat(z2)
    n = len(a)

    def cosine(i: int, j: int) -> float:
        length = math.sqrt(float(a[i] @ a[i])) * math.sqrt(float(b[j] @ b[j]))
        return float(a[i] @ b[j]) / length / temperature if length > 0 else 0.0

    by_row, by_column = [], []
    for i in range(n):
        for j in range(n):
            if ids[i] != ids[j] or (i == j and own_pair != "positive"):
                continue
            left_out = own_pair == "exclude"
            row = [cosine(i, k) for k in range(n) if k != j and not (left_out and k == i)]
            column = [cosine(k, j) for k in range(n) if k != i and not (left_out and k == j)]
            if pairs == "all" or i <= j:
                by_row.append(cross_entropy(cosine(i, j), row))
            if pairs == "all" or i >= j:
                by_column.append(cross_entropy(cosine(i, j), column))
    if not by_row:
        return 0.0
    return (float(np.mean(by_row)) + float(np.mean(by_column))) / 2
