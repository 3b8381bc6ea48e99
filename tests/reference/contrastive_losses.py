"""Slow float64 loops of contrastive objectives, written from the equations, for comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def units(z: Array) -> Array:
    z = np.asarray(z, dtype=np.float64)
    return z / np.sqrt((z * z).sum(-1, keepdims=True))


def dot(a: Array, b: Array) -> float:
    return float(sum(float(x) * float(y) for x, y in zip(a, b, strict=True)))


def dist2(a: Array, b: Array) -> float:
    return float(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))


def ntxent(views: Array, tau: float) -> float:
    """NT-Xent over two views: every row against all other rows of both views."""
    z = units(views)
    rows = [(v, i) for v in range(2) for i in range(z.shape[1])]
    total = 0.0
    for v, i in rows:
        below = sum(math.exp(dot(z[v, i], z[w, j]) / tau) for w, j in rows if (w, j) != (v, i))
        total -= math.log(math.exp(dot(z[v, i], z[1 - v, i]) / tau) / below)
    return total / len(rows)


def uniformity(z: Array, t: float = 2.0) -> float:
    u = units(z)
    n = len(u)
    values = [math.exp(-t * dist2(u[i], u[j])) for i in range(n) for j in range(n) if i != j]
    return math.log(sum(values) / len(values))


def tolerance(z: Array, labels: Sequence[int]) -> float:
    u = units(z)
    n = len(u)
    values = [
        dot(u[i], u[j]) for i in range(n) for j in range(n) if i != j and labels[i] == labels[j]
    ]
    return sum(values) / len(values)


def penalties(z1: Array, z2: Array, tau: float) -> Array:
    u, v = units(z1), units(z2)
    n = len(u)
    out = np.zeros((n, n))
    for i in range(n):
        total = sum(math.exp(dot(u[i], v[k]) / tau) for k in range(n) if k != i)
        for j in range(n):
            if j != i:
                out[i, j] = math.exp(dot(u[i], v[j]) / tau) / total
    return out


def decoupled(views: Array, tau: float, sigma: float | None = None) -> float:
    z = units(views)
    v, n, _ = z.shape
    total, count = 0.0, 0
    for a in range(v):
        for b in range(v):
            if a == b:
                continue
            cosines = [dot(z[a, i], z[b, i]) for i in range(n)]
            for i in range(n):
                weight = 1.0
                if sigma is not None:
                    mean = sum(math.exp(c / sigma) for c in cosines) / n
                    weight = 2.0 - math.exp(cosines[i] / sigma) / mean
                below = sum(
                    math.exp(dot(z[a, i], z[b, j]) / tau) + math.exp(dot(z[a, i], z[a, j]) / tau)
                    for j in range(n)
                    if j != i
                )
                total += -weight * cosines[i] / tau + math.log(below)
                count += 1
    return total / count


def cacr(views: Array, tp: float, tn: float, alpha: float, beta: float) -> float:
    z = units(views)
    v, n, _ = z.shape
    total = 0.0
    for a in range(v):
        for i in range(n):
            pulls = [dist2(z[a, i], z[b, i]) for b in range(v) if b != a]
            weights = [math.exp(tp * d) for d in pulls]
            attraction = sum(w * d for w, d in zip(weights, pulls, strict=True)) / sum(weights)
            repulsion = 0.0
            for b in range(v):
                if b == a:
                    continue
                pushes = [dist2(z[a, i], z[b, j]) for j in range(n) if j != i]
                weights = [math.exp(-tn * d) for d in pushes]
                mean = sum(w * d for w, d in zip(weights, pushes, strict=True)) / sum(weights)
                repulsion += mean / (v - 1)
            total += alpha * attraction - beta * repulsion
    return total / (v * n)


def mv_infonce(views: Array, tau: float) -> float:
    z = units(views)
    v, n, _ = z.shape
    total = 0.0
    for i in range(n):
        above = sum(
            math.exp(dot(z[m, i], z[k, i]) / tau) for m in range(v) for k in range(v) if m != k
        )
        below = sum(
            math.exp(dot(z[m, i], z[k, j]) / tau)
            for m in range(v)
            for k in range(v)
            for j in range(n)
            if (k, j) != (m, i)
        )
        total -= math.log(above / below)
    return total / n


def mv_dhel(views: Array, tau: float) -> float:
    z = units(views)
    v, n, _ = z.shape
    total = 0.0
    for i in range(n):
        above = sum(
            math.exp(dot(z[m, i], z[k, i]) / tau) for m in range(v) for k in range(m + 1, v)
        )
        below = 1.0
        for m in range(v):
            below *= sum(math.exp(dot(z[m, i], z[m, j]) / tau) for j in range(n) if j != i)
        total -= math.log(above / below)
    return total / n


def dhel(z1: Array, z2: Array, tau: float) -> float:
    """The two-view form: alignment, and uniformity within each view."""
    a, b = units(z1), units(z2)
    n = len(a)
    total = 0.0
    for i in range(n):
        within = [sum(math.exp(dot(u[i], u[j]) / tau) for j in range(n) if j != i) for u in (a, b)]
        total += -dot(a[i], b[i]) / tau + math.log(within[0]) + math.log(within[1])
    return total / n


def robust(views: Array, tau: Array, rho: float) -> float:
    """tau_i log mean_j exp(h_ij / tau_i) + tau_i rho over both views' anchors, without memory."""
    z = units(views)
    n = z.shape[1]
    total = 0.0
    for a in range(2):
        for i in range(n):
            positive = dot(z[a, i], z[1 - a, i])
            h = [dot(z[a, i], z[b, j]) - positive for b in range(2) for j in range(n) if j != i]
            mean = sum(math.exp(x / tau[i]) for x in h) / len(h)
            total += tau[i] * (math.log(mean) + rho)
    return total / (2 * n)


class RobustState:
    """The tracked estimators of one sample at a time, as written in the algorithm."""

    def __init__(self, n: int, tau: float, rho: float, gamma: float, beta: float, eta: float):
        self.s: list[float | None] = [None] * n
        self.tau, self.u = [tau] * n, [0.0] * n
        self.rho, self.gamma, self.beta, self.eta = rho, gamma, beta, eta

    def step(self, views: Array, ids: Sequence[int], low: float, high: float, clip: float) -> float:
        z = units(views)
        n = z.shape[1]
        total = 0.0
        for i in range(n):
            k = ids[i]
            tau, new, slopes = self.tau[k], [], []
            for a in range(2):
                positive = dot(z[a, i], z[1 - a, i])
                h = [dot(z[a, i], z[b, j]) - positive for b in range(2) for j in range(n) if j != i]
                g = sum(math.exp(x / tau) for x in h) / len(h)
                old = self.s[k]
                s = g if old is None else (1 - self.gamma) * old + self.gamma * g
                spread = sum(math.exp(x / tau) / s * x / tau for x in h) / len(h)
                slopes.append(math.log(s) + self.rho - spread)
                new.append(s)
                total += tau * (math.log(s) + self.rho)
            slope = sum(min(clip, max(-clip, x)) for x in [sum(slopes) / 2])
            self.s[k] = sum(new) / 2
            self.u[k] = (1 - self.beta) * self.u[k] + self.beta * slope
            self.tau[k] = min(high, max(low, tau - self.eta * self.u[k]))
        return total / (2 * n)


def multi_head(
    views: Array,
    heads: int,
    low: float,
    high: float,
    beta: float,
    k: int,
    released: bool = False,
) -> float:
    """AMCL over slices; k = 0 is the softmax form, else the mean of the k hardest negatives."""
    v, n, width = np.asarray(views).shape
    d = width // heads
    total = 0.0
    for c in range(heads):
        z = units(np.asarray(views)[:, :, c * d : (c + 1) * d])

        def score(x: Array, y: Array, regularised: bool = True, d: int = d) -> float:
            tau = low + (high - low) / (1 + math.exp(dot(x, y)))
            if not regularised:
                return dot(x, y) / tau
            return dot(x, y) / tau - beta * (d / 2 * math.log(tau) + 1 / tau)

        for a in range(v):
            for b in range(v):
                if a == b:
                    continue
                for i in range(n):
                    positive = score(z[a, i], z[b, i])
                    others = [z[m, j] for m in (a, b) for j in range(n) if j != i]
                    if k:
                        others.sort(key=lambda y, x=z[a, i]: -dot(x, y))
                        scores = [score(z[a, i], y) for y in others[:k]]
                        gathered = sum(scores) / len(scores)
                        if released:
                            plain = [score(z[a, i], y, False) for y in others[:k]]
                            bare = [score(z[a, i], y, True, 2) for y in others[:k]]
                            gathered = sum(plain) / len(plain) + sum(bare) - sum(plain)
                    else:
                        scores = [score(z[a, i], y) for y in others]
                        gathered = math.log(math.exp(positive) + sum(map(math.exp, scores)))
                    total += (gathered - positive) / (v * (v - 1) * n)
    return total


def sorting_network(x: Sequence[float], steepness: float) -> tuple[list[float], Array]:
    """Odd-even network of relaxed swaps, one comparator at a time."""
    values = [float(v) for v in x]
    n = len(values)
    total = np.eye(n)
    for layer in range(n):
        step = np.eye(n)
        for i in range(layer % 2, n - 1, 2):
            alpha = 0.5 + math.atan(steepness * (values[i + 1] - values[i])) / math.pi
            step[i, i] = step[i + 1, i + 1] = alpha
            step[i, i + 1] = step[i + 1, i] = 1 - alpha
        values = list(np.asarray(values) @ step)
        total = total @ step
    return values, total


def group_ordering(views: Array, k: int, steepness: float) -> float:
    z = units(views)
    v, n, _ = z.shape
    k = min(k, n - 1)
    total = 0.0
    for a in range(v):
        for i in range(n):
            far = sorted(dot(z[a, i], z[a, j]) for j in range(n) if j != i)[-k:]
            near = sorted(dot(z[a, i], z[b, i]) for b in range(v) if b != a)
            _, p = sorting_network([*far, *near], steepness)
            size = len(far) + len(near)
            for row in range(size):
                ranks = range(k) if row < k else range(k, size)
                total -= math.log(sum(p[row, j] for j in ranks)) / size
    return total / (v * n)


def one_way(u: Array, v: Array, tau: float) -> float:
    n = len(u)
    total = 0.0
    for i in range(n):
        below = sum(math.exp(dot(u[i], v[j]) / tau) for j in range(n))
        total -= math.log(math.exp(dot(u[i], v[i]) / tau) / below)
    return total / n


def contrastive_gap(z1: Array, z2: Array, tau: float, factors: Sequence[float]) -> float:
    x, y = units(z1), units(z2)
    n = len(x)
    clip = (one_way(x, y, tau) + one_way(y, x, tau)) / 2
    cross = [math.exp(-2 * dist2(x[j], y[k])) for j in range(n) for k in range(n) if j != k]
    aligned = sum(dist2(x[j], y[j]) for j in range(n)) / n
    return (
        clip
        + factors[0] * (uniformity(x) + uniformity(y)) / 2
        + factors[1] * aligned
        + factors[2] * math.log(sum(cross) / len(cross))
    )


def cwcl(z1: Array, z2: Array, tau: float) -> float:
    p, q = units(z1), units(z2)
    n = len(p)
    total = one_way(q, p, tau)
    for i in range(n):
        w = [dot(p[i], p[j]) / 2 + 0.5 for j in range(n)]
        below = sum(math.exp(dot(p[i], q[k]) / tau) for k in range(n))
        for j in range(n):
            total -= w[j] / sum(w) * math.log(math.exp(dot(p[i], q[j]) / tau) / below) / n
    return total


def barlow_twins(z1: Array, z2: Array, off: float, eps: float) -> float:
    a, b = np.asarray(z1, np.float64), np.asarray(z2, np.float64)
    n, d = a.shape
    a = (a - a.mean(0)) / np.sqrt(((a - a.mean(0)) ** 2).mean(0) + eps)
    b = (b - b.mean(0)) / np.sqrt(((b - b.mean(0)) ** 2).mean(0) + eps)
    total = 0.0
    for i in range(d):
        for j in range(d):
            c = sum(a[k, i] * b[k, j] for k in range(n)) / n
            total += (1 - c) ** 2 if i == j else off * c**2
    return total


def vicreg(z1: Array, z2: Array, factors: Sequence[float], eps: float) -> float:
    z = [np.asarray(z1, np.float64), np.asarray(z2, np.float64)]
    d = z[0].shape[1]
    total = factors[0] * ((z[0] - z[1]) ** 2).mean()
    for x in z:
        cov = np.cov(x.T, ddof=1).reshape(d, d)
        total += factors[1] * sum(max(0.0, 1 - math.sqrt(cov[i, i] + eps)) for i in range(d)) / d
        total += factors[2] * sum(cov[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    return float(total)


def moco(query: Array, key: Array, queue: Array, tau: float) -> float:
    q, k = units(query), units(key)
    total = 0.0
    for i in range(len(q)):
        positive = math.exp(dot(q[i], k[i]) / tau)
        below = positive + sum(math.exp(dot(q[i], x) / tau) for x in queue)
        total -= math.log(positive / below)
    return total / len(q)
