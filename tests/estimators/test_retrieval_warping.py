"""Patients ranked again by warping: a loop's distances, and an order that pooling cannot see."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tests.estimators.tiny import transformer
from tscl.errors import InputError, MissingExtraError
from tscl.estimators import PatientRetrieval
from tscl.estimators.retrieval import PARTS

pytest.importorskip("dtaidistance")


def bumps(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A wide bump up and one down at wandering places: up comes first in class 0."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    t = np.arange(96)
    first, second = rng.uniform(15, 35, n), rng.uniform(55, 80, n)
    one = np.exp(-(((t - first[:, None]) / 5) ** 2))
    two = np.exp(-(((t - second[:, None]) / 5) ** 2))
    x = np.where(y[:, None] == 0, one - two, two - one) + 0.05 * rng.normal(size=(n, 96))
    return x[..., None].astype(np.float32), y


X, Y = bumps(60, 0)
PATIENT = np.arange(60)


def index(rerank: int) -> PatientRetrieval:
    small = {"output_dims": 6, "hidden_dims": 6, "depth": 1}
    base = transformer("simclr", encoder_params=small, pooling="mean")
    return PatientRetrieval(base, rerank=rerank).fit(X, patient=PATIENT)


def warped(a: np.ndarray, b: np.ndarray) -> float:
    cost = np.full((len(a) + 1, len(b) + 1), np.inf)
    cost[0, 0] = 0.0
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            near = min(cost[i - 1, j], cost[i, j - 1], cost[i - 1, j - 1])
            cost[i, j] = ((a[i - 1] - b[j - 1]) ** 2).sum() + near
    return float(np.sqrt(cost[-1, -1]))


def test_the_order_in_time_is_found_that_pooled_embeddings_do_not_hold():
    fresh, truth = bumps(40, 1)
    shares = {}
    for rerank in (0, 60):
        found = index(rerank).query(fresh, patient=None, n_patients=5)
        shares[rerank] = float((Y[found["sample"]] == np.repeat(truth, 5)).mean())
    assert shares[60] > 0.95
    assert shares[0] < 0.75


def test_only_the_nearest_are_ranked_again_by_distances_of_a_loop():
    model, plain = index(8), index(0)
    fresh, _ = bumps(3, 2)
    fresh[1, 70:] = np.nan
    near = plain.query(fresh, patient=None, n_patients=8)
    found = model.query(fresh, patient=None, n_patients=4)
    assert len(found) == 12
    embedded = model.transformer_.encode(fresh)
    for query in range(3):
        steps = embedded[query][~np.isnan(embedded[query]).any(axis=1)].astype(np.float64)
        parts = np.array_split(steps, min(PARTS, len(steps)))
        one = np.array([part.mean(axis=0) for part in parts]) / model.step_scale_
        candidates = near[near["query"] == query]["sample"]
        away = {k: warped(one, model.steps_[k].astype(np.float64)) for k in candidates}
        part = found[found["query"] == query]
        assert part["sample"].tolist() == sorted(away, key=away.__getitem__)[:4]
        np.testing.assert_allclose(part["distance"], sorted(away.values())[:4], rtol=1e-5)


def test_it_is_saved_and_bad_settings_are_named(tmp_path, monkeypatch):
    model = index(8)
    loaded = PatientRetrieval.load(model.save(tmp_path / "index"))
    one, two = (m.query(X[:3], patient=PATIENT[:3], n_patients=4) for m in (model, loaded))
    assert one.equals(two)
    with pytest.raises(InputError, match="rerank"):
        PatientRetrieval(rerank=-1).fit(X, patient=PATIENT)
    monkeypatch.setitem(sys.modules, "dtaidistance", None)
    with pytest.raises(MissingExtraError, match=r"tscl\[dtw\]"):
        PatientRetrieval(rerank=5).fit(X, patient=PATIENT)
