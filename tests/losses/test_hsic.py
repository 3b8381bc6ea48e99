"""HSIC against a slow float64 version, its gradient, and a planted site that is unlearned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tscl.encoders import ENCODERS
from tscl.evaluation.clinical.evaluate import pooled_embeddings
from tscl.losses import HSIC
from tscl.methods import METHODS
from tscl.seeding import seeded
from tscl.training.data import ArraySource, RandomSampler
from tscl.training.settings import TrainSettings
from tscl.training.trainer import Trainer


def bandwidth(z: np.ndarray, kernels: int = 5) -> float:
    n = len(z)
    total = sum(float(((a - b) ** 2).sum()) for a in z for b in z)
    return total / (n * n - n) / 2.0 ** (kernels // 2)


def slow_hsic(
    z: np.ndarray, scale: float, group: list[int], weights: list[float], kernels: int = 5
) -> float:
    """Double loops over centred kernels."""
    n, total = len(z), sum(weights)
    far = [[float(((a - b) ** 2).sum()) for b in z] for a in z]
    cells = [(i, j) for i in range(n) for j in range(n)]

    def k(i: int, j: int) -> float:
        return sum(math.exp(-far[i][j] / (scale * 2.0**m)) for m in range(kernels)) / kernels

    def same(i: int, j: int) -> float:
        return float(group[i] == group[j])

    w = [value / total for value in weights]

    def dependence(a: Any, b: Any) -> float:
        value = 0.0
        for i, j in cells:
            centred = [
                f(i, j)
                - sum(w[m] * (f(i, m) + f(m, j)) for m in range(n))
                + sum(w[p] * w[q] * f(p, q) for p, q in cells)
                for f in (a, b)
            ]
            value += w[i] * w[j] * centred[0] * centred[1]
        return value

    return dependence(k, same) / dependence(same, same)


def test_value_and_gradient() -> None:
    rng = np.random.default_rng(0)
    z, group = rng.normal(size=(2, 7, 3)), [0, 1, 2, 0, 1, 0, 0]
    weights = [1.0, 2.0, 0.5, 1.0, 0.0, 1.0, 1.0]
    views = torch.tensor(z, requires_grad=True)
    value = HSIC()(views[0], views[1], labels=torch.tensor(group), weights=torch.tensor(weights))
    w = np.array(weights)[:, None] / sum(weights)
    level = (w * z).sum(axis=1, keepdims=True)
    spread = np.sqrt((w * (z - level) ** 2).sum(axis=1, keepdims=True))
    z = (z - level) / spread
    scales = [bandwidth(one) for one in z]
    slow = [slow_hsic(one, scale, group, weights) for one, scale in zip(z, scales, strict=True)]
    assert value.item() == pytest.approx(np.mean(slow), rel=1e-9)
    (gradient,) = torch.autograd.grad(value, views)
    for place in ((0, 1), (3, 2), (6, 0)):  # bandwidths and spreads are kept
        ends = []
        for step in (1e-5, -1e-5):
            moved = z[0].copy()
            moved[place] += step / spread[0, 0, place[1]]
            ends.append(slow_hsic(moved, scales[0], group, weights) / 2)
        assert gradient[0][place].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


def ward(seed: int, n: int = 160) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Series (n, 24, 2) of two sites and two classes, independent of one another.

    The class is the frequency of the first channel; a site adds hum to the second and a gain.
    """
    rng = np.random.default_rng(seed)
    site, label = rng.integers(0, 2, n), rng.integers(0, 2, n)
    t = np.arange(24)
    speed = np.where(label == 1, 0.9, 0.35)[:, None]
    x = 0.5 * rng.normal(size=(n, 24, 2))
    x[:, :, 0] += np.sin(speed * t + rng.uniform(0, 6, (n, 1)))
    x[:, :, 1] += 1.2 * site[:, None] * np.sin(2.2 * t + rng.uniform(0, 6, (n, 1)))
    return x.astype(np.float32), site, label


def areas(weight: float) -> tuple[float, float]:
    """AUROC of a linear probe for the site and for the class, on series never seen."""
    x, site, _ = ward(0)
    with seeded(0, "weights"):
        encoder = ENCODERS.build("dilated", input_dims=2, output_dims=12, hidden_dims=8, depth=2)
        levels = [
            {"name": "views", "loss": "ntxent", "mask": "binomial"},
            {"name": "site", "loss": "hsic", "weight": weight},
        ]
        method = METHODS.build("comet", encoder=encoder, levels=levels)
    source = ArraySource(x, ids={"site": site.astype(np.int64)})
    settings = TrainSettings(max_epochs=200, max_steps=200, lr=1e-2)
    trained = Trainer(settings).fit(method, source, RandomSampler(len(x), 64)).encoder
    fit, test = ward(1), ward(2)
    z = [pooled_embeddings(trained, part[0]) for part in (fit, test)]
    found = []
    for which in (1, 2):
        probe = make_pipeline(StandardScaler(), LogisticRegression()).fit(z[0], fit[which])
        found.append(float(roc_auc_score(test[which], probe.predict_proba(z[1])[:, 1])))
    return found[0], found[1]


def test_a_planted_site_is_unlearned_and_the_class_stays() -> None:
    without, harmonised = areas(0.0), areas(20.0)
    assert without[0] > 0.95
    assert harmonised[0] < without[0] - 0.1
    assert harmonised[1] > without[1] - 0.05
    assert without[1] > 0.8
