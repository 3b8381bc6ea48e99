"""Core-tuning and rank tuning learn a planted signal; forgetting figures by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tests.evaluation.clinical.clinical_parts import TinyEncoder, cohort, thirds
from tscl.errors import InputError
from tscl.evaluation.clinical.core_tuning import CoreTuner, RankTuner
from tscl.evaluation.metrics.continual import forgetting


def _parts() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    data = cohort(12, 2, 4)
    split = thirds(data)
    return tuple((data.X[split[k]], data.label[split[k]]) for k in ("train", "valid", "test"))


def _encoder() -> TinyEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TinyEncoder()


def test_core_tuning_learns_and_repeats() -> None:
    train, valid, test = _parts()
    fits = [
        CoreTuner(_encoder(), 2, epochs=15, lr=3e-3, batch_size=16).fit(*train, valid)
        for _ in range(2)
    ]
    assert fits[0].score(*test) > 0.9
    np.testing.assert_array_equal(fits[0].predict_proba(test[0]), fits[1].predict_proba(test[0]))
    fits[0].fit(*train, valid)
    np.testing.assert_array_equal(fits[0].predict_proba(test[0]), fits[1].predict_proba(test[0]))
    plain = CoreTuner(_encoder(), 2, epochs=2, lr=3e-3, batch_size=16, contrast_weight=0.0)
    with_contrast = CoreTuner(_encoder(), 2, epochs=2, lr=3e-3, batch_size=16)
    first = plain.fit(*train).history_[0]["loss"]
    assert with_contrast.fit(*train).history_[0]["loss"] > first
    with pytest.raises(InputError, match="temperature"):
        CoreTuner(_encoder(), 2, temperature=0.0).fit(*train)


def test_rank_tuning_orders_rare_positives() -> None:
    train, _, test = _parts()
    rare = np.r_[np.flatnonzero(train[1] == 0), np.flatnonzero(train[1] == 1)[:3]]
    tuner = RankTuner(_encoder(), 2, epochs=15, lr=3e-3, batch_size=8)
    tuner.fit(train[0][rare], train[1][rare])
    assert roc_auc_score(test[1], tuner.predict_proba(test[0])[:, 1]) > 0.9
    one_class = RankTuner(_encoder(), 2, epochs=1, rank_weight=1.0)
    healthy = train[1] == 0
    assert one_class.fit(train[0][healthy], train[1][healthy]).history_[0]["loss"] == 0.0
    with pytest.raises(InputError, match="rank_weight"):
        RankTuner(_encoder(), 2, rank_weight=2.0).fit(*train)


def test_forgetting_by_hand() -> None:
    nan = np.nan
    got = forgetting([[0.9, nan, nan], [0.7, 0.8, nan], [0.6, 0.85, 0.5]])
    assert got.per_task == pytest.approx((0.3, -0.05))
    assert got.forgetting == pytest.approx(0.125)
    assert got.backward_transfer == pytest.approx(-0.125)
    assert got.average == pytest.approx(0.65)
    assert forgetting([[0.4]]).forgetting == 0.0
    with pytest.raises(InputError, match="scores"):
        forgetting([[0.9, nan], [nan, 0.8]])
    with pytest.raises(InputError, match="one row"):
        forgetting([0.9, 0.8])
