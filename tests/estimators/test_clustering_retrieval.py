"""Clusters and nearest patients: a planted signal, plain baselines that miss it, and the rules."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from tests.estimators.tiny import LEARN, clusterer, retrieval, waves
from tscl.errors import ConfigError, InputError

X, Y = waves(160, steps=80, channels=1, seed=2)
# 40 patients of four series each; even patients rise, odd ones fall
PATIENT = np.empty(160, np.int64)
PATIENT[Y == 0] = np.repeat(np.arange(0, 40, 2), 4)
PATIENT[Y == 1] = np.repeat(np.arange(1, 40, 2), 4)


@pytest.fixture(scope="module")
def index():
    return retrieval(**LEARN).fit(X, patient=PATIENT)


def test_clusters_are_the_planted_classes():
    model = clusterer(2, **LEARN)
    labels = model.fit_predict(X)
    np.testing.assert_array_equal(labels, model.predict(X))
    assert adjusted_rand_score(Y, labels) > 0.9
    fresh, truth = waves(60, steps=80, channels=1, seed=9)
    assert adjusted_rand_score(truth, model.predict(fresh)) > 0.8
    plain = KMeans(2, n_init=10, random_state=0).fit_predict(X.reshape(160, -1))
    assert adjusted_rand_score(Y, plain) < 0.1
    assert model.cluster_centers_.shape == (2, 16)


def test_nearest_patients_share_the_planted_class(index):
    found = index.query(X, patient=PATIENT, n_patients=5)
    assert len(found) == 160 * 5
    right = (found["patient"] % 2).to_numpy() == np.repeat(Y, 5)
    assert right.mean() > 0.95
    flat = X.reshape(160, -1)
    rows = NearestNeighbors(n_neighbors=20).fit(flat).kneighbors(flat, return_distance=False)
    other = [[r for r in row if PATIENT[r] != PATIENT[i]][:5] for i, row in enumerate(rows)]
    assert (Y[np.array(other)] == Y[:, None]).mean() < 0.75


def test_the_own_patient_is_never_found_unless_asked(index):
    found = index.query(X, patient=PATIENT, n_patients=39)
    assert (found["patient"].to_numpy() != np.repeat(PATIENT, 39)).all()
    assert found.groupby("query")["patient"].nunique().eq(39).all()
    own = index.query(X[:3], patient=PATIENT[:3], n_patients=2, include_own=True)
    first = own[own["rank"] == 1]
    assert first["patient"].tolist() == PATIENT[:3].tolist()
    assert first["distance"].max() < 1e-5
    assert first["sample"].tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="equals one of patient"):
        index.query(X[5:6], patient=None)
    fresh = waves(2, steps=80, channels=1, seed=11)[0]
    assert len(index.query(fresh, patient=None, n_patients=3)) == 6


def test_distances_are_those_of_a_plain_loop(index):
    fresh = waves(4, steps=80, channels=1, seed=12)[0]
    found = index.query(fresh, patient=[0, 1, 777, 3], n_patients=6)
    embeddings = (index.transformer_.transform(fresh) - index.code_mean_) / index.code_scale_
    for i, own in enumerate([0, 1, 777, 3]):
        best = {}
        for patient, code in zip(PATIENT, index.embeddings_, strict=True):
            away = float(np.sqrt(((embeddings[i] - code) ** 2).sum()))
            if patient != own:
                best[patient] = min(away, best.get(patient, np.inf))
        expected = sorted(best.items(), key=lambda one: one[1])[:6]
        part = found[found["query"] == i]
        assert part["patient"].tolist() == [patient for patient, _ in expected]
        np.testing.assert_allclose(part["distance"], [d for _, d in expected], rtol=1e-6)
        assert part["rank"].tolist() == [1, 2, 3, 4, 5, 6]


def test_ids_of_any_kind_go_to_disk_and_back(tmp_path):
    trial = np.array([f"2024/{i}" for i in range(20)])
    names = np.array([f"p{i // 2}" for i in range(20)])
    model = retrieval(scale="sample").fit(X[:20], patient=names, trial=trial)
    loaded = type(model).load(model.save(tmp_path / "index"))
    assert loaded.patient_.tolist() == names.tolist()
    one, two = (m.query(X[:4], patient=names[:4], n_patients=4) for m in (model, loaded))
    assert one.equals(two)
    assert set(one["trial"]) <= set(trial)


def test_queries_that_cannot_be_are_named(index):
    with pytest.raises(InputError, match="1 to 39"):
        index.query(X[:1], patient=[0], n_patients=40)
    with pytest.raises(InputError, match="whole numbers"):
        index.query(X[:1], patient=["p0"])
    with pytest.raises(InputError, match="give 2 ids"):
        index.query(X[:2], patient=[1])
    with pytest.raises(ConfigError, match="cosine"):
        retrieval().set_params(metric="cosinus").fit(X, patient=PATIENT)
    with pytest.raises(ValueError, match="n_clusters=30"):
        clusterer(30).fit(X[:10])
