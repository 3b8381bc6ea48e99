from __future__ import annotations

import numpy as np
import pytest

from tscl.errors import InputError
from tscl.evaluation.metrics.bootstrap import (
    bootstrap_replicates,
    draw_patients,
    percentile_interval,
)
from tscl.evaluation.metrics.classification import METRICS, classification_metrics


def _predictions(n_patients: int, per: int, k: int, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients) * 3 + 1, per)
    y = np.repeat(rng.integers(0, k, n_patients), per)
    p = rng.dirichlet(np.ones(k), len(y)).round(1) + 0.05  # many ties
    return y, p / p.sum(axis=1, keepdims=True), patient


@pytest.mark.parametrize("k", [2, 3])
def test_bootstrap_replicates_equal_metrics_of_the_drawn_rows(k: int) -> None:
    y, p, patient = _predictions(9, 4, k, k)
    found = bootstrap_replicates(y, p, patient, n_replicates=25, seed=4)
    code = np.unique(patient, return_inverse=True)[1]
    for r, counts in enumerate(draw_patients(9, 25, 4)):
        rows = np.repeat(np.arange(len(y)), counts[code])
        if len(set(y[rows])) < 2:
            assert all(np.isnan(found[name][r]) for name in METRICS)
            continue
        expected = classification_metrics(y[rows], p[rows]).as_dict()
        for name in METRICS:
            assert found[name][r] == pytest.approx(expected[name], abs=1e-9), name


def test_bootstrap_leaves_out_replicates_of_one_class() -> None:
    y, patient = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    p = np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    drawn = bootstrap_replicates(y, p, patient, n_replicates=400, seed=1)["auroc"]
    draws = draw_patients(2, 400, 1)
    assert np.isnan(drawn).sum() == (draws == 2).any(axis=1).sum() > 100
    assert percentile_interval(drawn) == (1.0, 1.0)
    alone = bootstrap_replicates(np.ones(4, int), p, patient, n_replicates=10)["accuracy"]
    assert np.isnan(alone).all()
    assert np.isnan(percentile_interval(alone)[0])


def test_bootstrap_is_a_function_of_the_seed_and_of_patients_not_names() -> None:
    y, p, patient = _predictions(6, 3, 2, 1)
    first = bootstrap_replicates(y, p, patient, n_replicates=20, seed=3)
    again = bootstrap_replicates(y, p, [f"p{i:03d}" for i in patient], n_replicates=20, seed=3)
    other = bootstrap_replicates(y, p, patient, n_replicates=20, seed=4)
    backwards = bootstrap_replicates(y, p, 100 - patient, n_replicates=20, seed=3)
    np.testing.assert_array_equal(first["auroc"], again["auroc"])
    np.testing.assert_array_equal(first["auroc"], backwards["auroc"])
    assert not np.array_equal(first["accuracy"], other["accuracy"])


def test_bootstrap_covers_the_true_accuracy_where_sample_resampling_does_not() -> None:
    """Samples of a patient are all right or all wrong; accuracy over patients is 0.7."""
    rng = np.random.default_rng(0)
    hits = {"patient": 0, "sample": 0}
    repeats = 100
    for repeat in range(repeats):
        right = np.repeat(rng.random(40) < 0.7, 10)
        y = np.repeat(np.arange(40) % 2, 10)
        p1 = np.where(right == (y == 1), 0.8, 0.2)
        p = np.stack([1 - p1, p1], axis=1)
        for unit, ids in (("patient", np.repeat(np.arange(40), 10)), ("sample", np.arange(400))):
            drawn = bootstrap_replicates(y, p, ids, n_replicates=120, seed=repeat)["accuracy"]
            low, high = percentile_interval(drawn)
            hits[unit] += low <= 0.7 <= high
    assert 0.88 <= hits["patient"] / repeats <= 0.99
    assert hits["sample"] / repeats < 0.6


def test_bootstrap_bad_input() -> None:
    p = np.full((2, 2), 0.5)
    with pytest.raises(InputError, match="patient"):
        bootstrap_replicates([0, 1], p, [0])
    with pytest.raises(InputError, match="1 missing ids"):
        bootstrap_replicates([0, 1], p, [0, np.nan])
    with pytest.raises(InputError, match="n_replicates"):
        bootstrap_replicates([0, 1], p, [0, 1], n_replicates=0)
    with pytest.raises(InputError, match="level"):
        percentile_interval(np.ones(3), 95)
