"""The detector: planted values that only their past gives away, its formula, its rules."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tests.estimators.tiny import transformer
from tscl.errors import DataError, InputError
from tscl.estimators import ContrastiveAnomalyDetector, ContrastiveTransformer
from tscl.evaluation.metrics.alarms import delay_scores

CUT = 650


def series(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """A noisy sine of period 25; after step 700 it is turned over at some steps.

    The values stay in the range they had. ``point``: ten single steps near the crests.
    ``segment``: eight stretches of eight steps.
    """
    rng = np.random.default_rng(0)
    t = np.arange(1200)
    x = np.sin(2 * np.pi * t / 25) + 0.05 * rng.normal(size=1200)
    y = np.zeros(1200, np.int64)
    if kind == "point":
        crests = 706 + 25 * np.arange(1, 19) // 2 * 2
        y[rng.choice(crests, 10, replace=False)] = 1
    else:
        for start in 700 + np.arange(8) * 60 + rng.integers(0, 25, 8):
            y[start : start + 8] = 1
    x[y == 1] *= -1
    return x, y


def ts2vec(epochs: int) -> ContrastiveAnomalyDetector:
    base = ContrastiveTransformer(
        encoder="tcn",
        encoder_params={"output_dims": 16, "hidden_dims": 16, "depth": 4},
        max_epochs=epochs,
        max_train_length=100,
        batch_size=8,
        lr=3e-3,
    )
    return ContrastiveAnomalyDetector(base, window=60, quiet=7).fit(series("point")[0][:CUT])


@pytest.fixture(scope="module")
def trained() -> ContrastiveAnomalyDetector:
    return ts2vec(150)


@pytest.fixture(scope="module")
def untrained() -> ContrastiveAnomalyDetector:
    return ts2vec(0)


def test_scores_rank_values_that_only_the_past_gives_away(trained, untrained):
    x, y = series("point")
    assert np.array_equal(x[:CUT], series("segment")[0][:CUT])
    area = [
        roc_auc_score(y[CUT:], model.adjusted_scores(x[CUT:], past=x[:CUT]))
        for model in (trained, untrained)
    ]
    assert area[0] > 0.9
    assert area[1] < 0.8
    assert roc_auc_score(y[CUT:], np.abs(x[CUT:] - x[:CUT].mean())) < area[0] - 0.05


def test_alarms_fall_on_turned_stretches_within_the_range_of_the_series(trained, untrained):
    """Four deviations are a strict threshold: some stretches are missed, few alarms are false."""
    x, y = series("segment")
    found = delay_scores(y[CUT:], trained.predict(x[CUT:], past=x[:CUT]), delay=7)
    assert found["precision"] > 0.8
    assert found["recall"] >= 0.25
    fresh = untrained.predict(x[CUT:], past=x[:CUT])
    assert delay_scores(y[CUT:], fresh, delay=7)["recall"] == 0.0
    plain = (np.abs(x[CUT:] - x[:CUT].mean()) > 4 * x[:CUT].std()).astype(int)
    assert delay_scores(y[CUT:], plain, delay=7)["recall"] == 0.0


def fitted(**settings) -> tuple[ContrastiveAnomalyDetector, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(4, 80, 2)).astype(np.float32)
    settings = {"window": 12, "average": 6, "beta": 1.0} | settings
    return ContrastiveAnomalyDetector(transformer(), **settings).fit(x), x


def test_adjustment_and_threshold_by_a_loop():
    detector, x = fitted(quiet=2)
    raw, adjusted = detector.scores(x), detector.adjusted_scores(x)
    for i in range(4):
        for t in range(80):
            if t < 6:
                assert np.isnan(adjusted[i, t])
                continue
            before = raw[i, t - 6 : t].mean()
            assert adjusted[i, t] == pytest.approx((raw[i, t] - before) / before)
    known = adjusted[:, 6:]
    assert detector.threshold_ == pytest.approx(known.mean() + known.std())
    for i, alarms in enumerate(detector.predict(x)):
        last = -9
        for t in range(80):
            high = adjusted[i, t] > detector.threshold_ and t - last > 2
            assert alarms[t] == high
            last = t if high else last
    assert detector.predict(x).sum() > 4


def test_the_past_is_context_and_each_step_knows_only_its_past():
    detector, x = fitted()
    whole = detector.adjusted_scores(x)
    np.testing.assert_allclose(
        detector.adjusted_scores(x[:, 40:], past=x[:, :40]), whole[:, 40:], rtol=1e-4, atol=1e-5
    )
    changed = x.copy()
    changed[:, 50:] = 3.0
    np.testing.assert_allclose(detector.scores(changed)[:, :50], detector.scores(x)[:, :50])


def test_forms_of_input_and_missing_steps():
    detector, x = fitted()
    one = detector.scores(x[:1])[0]
    np.testing.assert_array_equal(detector.scores(x[0]), one)
    frame = pd.DataFrame(x[0], index=pd.date_range("2024", periods=80, freq="min"))
    np.testing.assert_array_equal(detector.scores(frame), one)
    gap = x[0].copy()
    gap[30:35] = np.nan
    assert np.isnan(detector.scores(gap)[30:35]).all()
    assert detector.predict(gap)[30:35].sum() == 0
    assert np.isfinite(detector.adjusted_scores(gap)[38:]).all()
    flat = np.ones((80, 2), np.float32)
    assert detector.predict(flat).shape == (80,)


def test_calibrate_moves_the_threshold_only():
    detector, x = fitted()
    before, weights = detector.threshold_, detector.transformer_
    assert detector.calibrate(x[0]) is detector
    assert detector.threshold_ != before
    assert detector.transformer_ is weights


def test_settings_and_input_are_named():
    x = np.random.default_rng(0).normal(size=(4, 20, 2))
    with pytest.raises(DataError, match="longer than average"):
        ContrastiveAnomalyDetector(transformer()).fit(x)
    with pytest.raises(InputError, match="average"):
        ContrastiveAnomalyDetector(transformer(), average=0).fit(x)
    with pytest.raises(InputError, match="quiet"):
        ContrastiveAnomalyDetector(transformer(), quiet=-1).fit(x)
    with pytest.raises(InputError, match="window"):
        ContrastiveAnomalyDetector(transformer(), window=0, average=5).fit(x)
    detector, x = fitted()
    with pytest.raises(DataError, match="give one for each of 4"):
        detector.scores(x, past=x[:2])
