"""Slow float64 loops of the supervised, cluster and separation losses."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def anchors(views: Array, labels: list[float]) -> tuple[list[Array], list[float]]:
    return [row for view in views for row in view], list(labels) * len(views)


def supcon(views: Array, labels: list[float], tau: float, form: str = "out") -> list[float | None]:
    """Per anchor; None without a positive."""
    z, y = anchors(views, labels)
    out: list[float | None] = []
    for i in range(len(z)):
        e = {a: math.exp(cosine(z[i], z[a]) / tau) for a in range(len(z)) if a != i}
        positive = [a for a in e if y[a] == y[i]]
        total = sum(e.values())
        if not positive:
            out.append(None)
        elif form == "out":
            out.append(-sum(math.log(e[p] / total) for p in positive) / len(positive))
        else:
            out.append(-math.log(sum(e[p] for p in positive) / total / len(positive)))
    return out


def focal_supcon(views: Array, labels: list[float], tau: float) -> list[float | None]:
    z, y = anchors(views, labels)
    out: list[float | None] = []
    for i in range(len(z)):
        e = {a: math.exp(cosine(z[i], z[a]) / tau) for a in range(len(z)) if a != i}
        share = {a: e[a] / sum(e.values()) for a in e}
        positive = [a for a in e if y[a] == y[i]]
        terms = [(1 - share[p]) * math.log(share[p]) for p in positive]
        out.append(-sum(terms) / len(terms) if terms else None)
    return out


def weighted_regression(views: Array, labels: list[float], tau: float) -> list[float | None]:
    """SupReMix without mixtures."""
    z, y = anchors(views, labels)
    out: list[float | None] = []
    for i in range(len(z)):
        e = {a: math.exp(cosine(z[i], z[a]) / tau) for a in range(len(z)) if a != i}
        total = sum((1 + abs(y[i] - y[a])) * e[a] for a in e)
        positive = [a for a in e if y[a] == y[i]]
        terms = [math.log(e[p] / total) for p in positive]
        out.append(-sum(terms) / len(terms) if terms else None)
    return out


def mean(values: list[float | None]) -> float:
    kept = [v for v in values if v is not None]
    return sum(kept) / len(kept) if kept else 0.0


def multi_similarity(
    views: Array, labels: list[float], margin: float, b: float, g: float
) -> list[float | None]:
    z, y = anchors(views, labels)
    out: list[float | None] = []
    for i in range(len(z)):
        s = {a: cosine(z[i], z[a]) for a in range(len(z)) if a != i}
        pull = [math.exp(-b * (s[a] - margin)) for a in s if y[a] == y[i]]
        push = [math.exp(g * (s[a] - margin)) for a in s if y[a] != y[i]]
        value = math.log(1 + sum(pull)) / b + math.log(1 + sum(push)) / g
        out.append(value if pull else None)
    return out


def mixed_contrast(
    u: Array, v: Array, partner: list[int], share: list[float], tau: float
) -> list[float]:
    n = len(u)
    s = [[cosine(u[i], v[j]) / tau for j in range(n)] for i in range(n)]
    out = []
    for i in range(n):
        row = math.log(sum(math.exp(s[i][j]) for j in range(n)))
        value = 0.0
        for j, w in ((i, share[i]), (partner[i], 1 - share[i])):
            column = math.log(sum(math.exp(s[k][j]) for k in range(n)))
            value -= w * (s[i][j] - row + s[i][j] - column) / 2
        out.append(value)
    return out


def mann_whitney(positive: list[float], negative: list[float], tau: float) -> float:
    terms = [math.log1p(math.exp((n - p) / tau)) for p in positive for n in negative]
    return sum(terms) / len(terms)


def proto_triplet(query: Array, support: Array, labels: list[int], margin: float) -> list[float]:
    classes = sorted(set(labels))
    centre = {
        k: np.mean([support[i] for i in range(len(labels)) if labels[i] == k], axis=0)
        for k in classes
    }
    out = []
    for i, q in enumerate(query):
        d = {k: math.dist(q, centre[k]) for k in classes}
        other = [d[k] for k in classes if k != labels[i]]
        out.append(max(0.0, d[labels[i]] - min(other) + margin) if other else 0.0)
    return out


def icnn_score(z: Array, labels: list[int], k: int, released: bool = False) -> float:
    n = len(z)
    k = min(k, n - 1)
    searched = min(k + 1, n - 1) if released else k
    wide = []
    for i in range(n):
        order = sorted((j for j in range(n) if j != i), key=lambda j: math.dist(z[i], z[j]))
        wide.append([(math.dist(z[i], z[j]), labels[j] == labels[i]) for j in order[:searched]])
    near = [row[:k] for row in wide]
    counted = [d for row in near for d, s in row if not (released and s)]
    largest = max(counted, default=1.0)
    intra, inter, gamma = [], [], []
    for row, further in zip(near, wide, strict=True):
        closest = [d for d, s in further if not s]
        same = [d for d, s in row if s]
        other = [d for d, s in row if not s]
        gamma.append(len(same) / k)
        if same:
            ratio = [d / min(closest) for d, _ in row] if closest else [0.0] * k
            top = max(1.0, *ratio)
            intra.append(
                sum(r / top for r, (_, s) in zip(ratio, row, strict=True) if s) / len(same)
            )
        if other:
            inter.append(sum(d / largest for d in other) / len(other))
    compact = 1 - (sum(intra) / len(intra) if intra else 0.0)
    apart = sum(inter) / len(inter) if inter else 1.0
    return ((compact + apart) / 2 + sum(gamma) / n) / 2


def sepclr(views: Array, labels: list[int], width: int, tau: float) -> dict[str, float]:
    n = len(labels)
    c = np.stack([[r[:width] / np.linalg.norm(r[:width]) for r in v] for v in views])
    s = views[:, :, width:]

    def kernel(a: Array, b: Array) -> float:
        return math.exp(-((a - b) @ (a - b)) / (2 * tau))

    def uniform(rows: list[Array]) -> float:
        values = [kernel(rows[i], rows[j]) for i in range(len(rows)) for j in range(i)]
        return math.log(sum(values) / len(values)) if values else 0.0

    def align(rows: Array, which: list[int]) -> float:
        if not which:
            return 0.0
        gaps = [(rows[0][i] - rows[1][i]) @ (rows[0][i] - rows[1][i]) for i in which]
        return sum(gaps) / len(gaps) / (2 * tau)

    target = [i for i in range(n) if labels[i] != 0]
    healthy = [i for i in range(n) if labels[i] == 0]
    nulled = s.copy()  # f_S(x) = s', the null vector, for each background sample
    nulled[:, healthy] = 0.0
    joint = 0.0
    for v in (0, 1):
        for i in range(n):
            each = [kernel(c[v][i], c[v][j]) * kernel(nulled[v][i], nulled[v][j]) for j in range(n)]
            joint += math.log(sum(each) / n) / n / 2
    lengths = [s[v][i] @ s[v][i] / (2 * tau) for v in (0, 1) for i in healthy]
    spread = [2.0 * sum(uniform(list(z[v])) for v in (0, 1)) / 2 for z in (c, nulled)]
    return {
        "common": align(c, list(range(n))) + spread[0],
        "salient": align(s, target) + spread[1],
        "null": sum(lengths) / len(lengths) if lengths else 0.0,
        "joint": joint,
    }


def hydra(
    a: Array, b: Array, gates: Array, labels: list[int], partner: list[int], tau: float
) -> list[float]:
    out = []
    for i in range(len(labels)):
        s = [cosine(gates[i] * a[i], gates[i] * b[j]) / tau for j in range(len(labels))]
        repel = sum(
            math.exp(s[j]) for j in range(len(s)) if labels[j] not in (labels[i], partner[i])
        )
        near = [s[j] for j in range(len(s)) if labels[j] == partner[i]]
        out.append(sum(math.log(math.exp(x) + repel) - x for x in near) / len(near))
    return out


def pamc(views: Array, code: list[int], tau: float) -> float:
    n = len(code)
    z = np.stack([[r / np.linalg.norm(r) for r in v] for v in views])
    centre = {k: sum(z.mean(axis=0)[i] for i in range(n) if code[i] == k) for k in set(code)}
    pull = []
    for i in range(n):
        for a in range(len(z)):
            pull += [z[a][i] @ z[b][i] for b in range(len(z)) if b != a]
    push = []
    for k in centre:
        terms = [math.exp(cosine(centre[k], centre[m]) / tau) for m in centre if m != k]
        push.append(math.log(sum(terms)) if terms else 0.0)
    return -sum(pull) / len(pull) / tau + sum(push) / len(push)


def meow_hard(a: Array, b: Array, codes: list[list[int]], tau: float) -> list[float]:
    n = len(a)
    out = []
    for i in range(n):
        s = [cosine(a[i], b[j]) / tau for j in range(n)]
        total = math.exp(s[i])
        for j in range(n):
            weight = sum(code[i] != code[j] for code in codes)
            total += weight * math.exp(s[j]) if j != i else 0.0
        out.append(math.log(total) - s[i])
    return out


def replay(
    h: Array,
    g: Array,
    labels: list[int],
    rehearsed: list[bool],
    tau: float,
    every: bool = False,
) -> float:
    n, values = len(h), []
    for k in range(n):
        near = [p for p in range(n) if p != k and rehearsed[p] and labels[p] == labels[k]]
        if not rehearsed[k] or not near:
            continue
        away = [i for i in range(n) if i != k and (every or i not in near)]
        push = sum(math.exp(cosine(h[k], h[i]) / tau) for i in away)
        terms = []
        for p in near:
            pull = math.exp(cosine(h[k], g[p]) / tau)
            terms.append(-math.log(pull / (pull + push)))
        values.append(sum(terms) / len(terms))
    return sum(values) / len(values) if values else 0.0
