"""Sites one after the other: rehearsal forgets less, patients are forgotten, errors."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.estimators.tiny import waves
from tscl.errors import InputError
from tscl.estimators import ContinualTransformer
from tscl.evaluation.metrics.continual import ContinualScores, forgetting

SITES = ((0, 1), (2, 3), (4, 5))
SMALL = {"output_dims": 8, "hidden_dims": 8, "depth": 1}


def tones(n: int, classes: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy waves whose frequency is the class, at a random phase."""
    rng = np.random.default_rng(seed)
    y = np.repeat(classes, n)
    angle = (1 + y[:, None]) * np.arange(24) / 24 * 2 * np.pi + rng.uniform(0, 6.3, (len(y), 1))
    x = np.stack((np.sin(angle), np.cos(angle)), axis=-1)
    return (x + 0.9 * rng.normal(size=x.shape)).astype(np.float32), np.array(list("abcdef"))[y]


def model(seed: int = 0, **params: float) -> ContinualTransformer:
    return ContinualTransformer(
        method_params={"replay": 16, "projection_dims": 8, **params},
        encoder_params=SMALL,
        max_epochs=40,
        batch_size=32,
        lr=5e-3,
        scale="none",
        random_state=seed,
    )


def scores(seed: int, **params: float) -> ContinualScores:
    matrix = np.full((3, 3), np.nan)
    learner = model(seed, **params)
    for i, classes in enumerate(SITES):
        learner.partial_fit(*tones(16, classes, i))
        for j in range(i + 1):
            (x, y), (new, truth) = tones(16, SITES[j], j), tones(40, SITES[j], 100 + j)
            probe = LogisticRegression(max_iter=500).fit(learner.transform(x), y)
            matrix[i, j] = probe.score(learner.transform(new), truth)
    return forgetting(matrix)


def test_backward_transfer_over_three_sites_is_better_with_rehearsal():
    pairs = [
        (scores(seed, capacity=48), scores(seed, capacity=1, replay_weight=0.0))
        for seed in (0, 1, 2)
    ]
    transfer = [[one.backward_transfer for one in pair] for pair in pairs]
    with_it, without = np.mean(transfer, axis=0)
    assert with_it > without + 0.02


def test_labels_of_all_sites_have_one_code_and_the_first_sites_scale_stays():
    one = model(capacity=20).set_params(scale="train", max_epochs=1)
    x, y = tones(8, (1, 2), 0)
    one.partial_fit(x, y)
    mean = one.mean_.copy()
    one.partial_fit(x + 5, np.where(y == "b", "z", y))
    assert one.classes_ == ["b", "c", "z"]
    assert one.sites_ == 2
    np.testing.assert_array_equal(one.mean_, mean)
    assert sorted(set(one.method_.memory.y.tolist())) == [0, 1, 2]
    again = model(capacity=20).set_params(scale="train", max_epochs=1).fit(x, y)
    again.fit(x, y)
    assert again.classes_ == ["b", "c"]


def test_forgotten_patients_leave_the_memory_and_the_attack():
    x, y = waves(40, steps=30, channels=1, seed=0)
    patient = np.repeat(np.arange(10), 4)
    unseen, _ = waves(40, steps=30, channels=1, seed=1)
    learner = model(capacity=40).set_params(max_epochs=20).fit(x, y)
    kept = learner.transform(x)
    result = learner.forget(x, patient, [0, 1], others=unseen, epochs=3, lr=1e-3)
    assert result.removed == 8
    assert len(learner.method_.memory) == 32
    moved = np.abs(learner.transform(x) - kept).mean(axis=1)
    assert moved[:8].mean() > moved[8:].mean()
    assert 0 <= result.after.auc <= 1
    assert len(result.before.members) == 8
    learner.partial_fit(x[8:], y[8:])


def test_what_cannot_be_is_named_and_the_model_stays(tmp_path):
    x, y = tones(8, (1, 2), 0)
    one = model().set_params(max_epochs=1).fit(x, y)
    before = one.transform(x)
    for given, message in [
        ((x, None), "pass labels"),
        ((x, y[:3]), "give one a series, 16"),
        ((x[:, :20], y), "the memory has"),
    ]:
        with pytest.raises(InputError, match=message):
            one.partial_fit(*given)
        np.testing.assert_array_equal(one.transform(x), before)
    with pytest.raises(InputError, match="max_train_length"):
        model().set_params(max_train_length=10).fit(x, y)
    with pytest.raises(InputError, match="by coconut"):
        model().set_params(method="simclr", method_params=None).fit(x, y)
    with pytest.raises(InputError, match="fit it anew"):
        ContinualTransformer.load(one.save(tmp_path / "m")).partial_fit(x, y)
