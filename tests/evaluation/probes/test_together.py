"""The mean of several probes: by a loop, and worth more than each of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tscl.evaluation.probes.together import mean_of_probes


def proba(generator, n, k):
    return generator.dirichlet(np.ones(k), size=n)


def by_loop(parts):
    """Classes, one recording at a time."""
    result, spreads, all_values = [], [], []
    for train, asked in parts:
        flat = [math.log(p) - sum(map(math.log, row)) / len(row) for row in train for p in row]
        mean = sum(flat) / len(flat)
        spreads.append(math.sqrt(sum((v - mean) ** 2 for v in flat) / len(flat)))
        values = [[math.log(p) - sum(map(math.log, row)) / len(row) for p in row] for row in asked]
        all_values.append(values)
    for row in range(len(parts[0][1])):
        scores = []
        for k in range(parts[0][1].shape[1]):
            each = [v[row][k] / s for v, s in zip(all_values, spreads, strict=True)]
            scores.append(sum(each) / len(each) * sum(spreads) / len(spreads))
        total = sum(math.exp(score) for score in scores)
        result.append([math.exp(score) / total for score in scores])
    return np.array(result)


def test_classes_by_a_loop():
    generator = np.random.default_rng(0)
    parts = [(proba(generator, 9, 3), proba(generator, 5, 3)) for _ in range(3)]
    result = mean_of_probes(parts, "classes")
    np.testing.assert_allclose(result, by_loop(parts), rtol=1e-12)
    alone = mean_of_probes(parts[:1], "classes")
    np.testing.assert_allclose(alone, parts[0][1], rtol=1e-9)  # one probe stays what it was


def test_numbers_and_labels():
    generator = np.random.default_rng(0)
    a, b = generator.random((2, 6, 2))
    np.testing.assert_allclose(mean_of_probes([(a, a), (b, b)], "target"), (a + b) / 2)
    np.testing.assert_allclose(mean_of_probes([(a, b)], "multilabel"), b, rtol=1e-9)


@pytest.mark.parametrize("spread", [1.0, 50.0])
def test_two_views_of_a_disease_tell_more_than_one_whatever_their_spread(spread):
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 400)
    scores = [y + generator.normal(size=400), spread * (y + generator.normal(size=400))]
    both = [np.stack([1 / (1 + np.exp(s)), 1 / (1 + np.exp(-s))], axis=1) for s in scores]
    result = mean_of_probes([(p[:200], p[200:]) for p in both], "classes")[:, 1]
    alone = [roc_auc_score(y[200:], p[200:, 1]) for p in both]
    assert roc_auc_score(y[200:], result) > max(alone) + 0.03
