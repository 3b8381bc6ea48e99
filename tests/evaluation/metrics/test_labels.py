"""Scores of several labels and of numbers against scikit-learn and SciPy on the drawn rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score

from tscl.errors import InputError
from tscl.evaluation.metrics.bootstrap import draw_patients
from tscl.evaluation.metrics.labels import label_replicates, label_scores


def several(n: int = 90):
    rng = np.random.default_rng(0)
    y = (rng.random((n, 3)) < [0.5, 0.3, 0.2]).astype(float)
    p = np.clip(0.4 * y + 0.6 * rng.random((n, 3)), 0, 1).round(2)  # with ties
    y[rng.random((n, 3)) < 0.2] = np.nan
    return y, p, np.repeat(np.arange(n // 3), 3)


def numbers(n: int = 90):
    rng = np.random.default_rng(1)
    y = rng.integers(20, 80, n).astype(float)
    return y, (0.5 * y + rng.normal(0, 8, n)).round()[:, None], np.repeat(np.arange(n // 3), 3)


def test_unknown_labels_are_left_out_label_by_label():
    y, p, _ = several()
    known = ~np.isnan(y)
    each = [roc_auc_score(y[known[:, k], k], p[known[:, k], k]) for k in range(3)]
    scores = label_scores(y, p, ["a", "b", "c"])
    assert scores["auroc"] == pytest.approx(np.mean(each))
    assert [scores[f"auroc {name}"] for name in "abc"] == pytest.approx(each)
    y[:, 2] = np.where(y[:, 2] == 1, np.nan, y[:, 2])  # nobody has the third: it cannot be scored
    scores = label_scores(y, p, ["a", "b", "c"])
    assert scores["auroc"] == pytest.approx(np.mean(each[:2]))
    assert np.isnan(scores["auroc c"])


def test_scores_of_numbers():
    y, p, _ = numbers()
    scores = label_scores(y, p)
    assert scores["mae"] == pytest.approx(mean_absolute_error(y, p))
    assert scores["r2"] == pytest.approx(r2_score(y, p))
    assert scores["spearman"] == pytest.approx(spearmanr(y, p[:, 0]).statistic)
    assert np.isnan(label_scores(y, np.full_like(p, 3.0))["spearman"])


@pytest.mark.parametrize("data", [several, numbers])
def test_a_replicate_is_the_score_of_the_drawn_rows(data):
    y, p, patient = data()
    names = ["a", "b", "c"] if y.ndim == 2 else []
    drawn = label_replicates(y, p, patient, names=names, n_replicates=6, seed=3)
    for r, counts in enumerate(draw_patients(patient.max() + 1, 6, 3)):
        rows = np.repeat(np.arange(len(y)), counts[patient])
        expected = label_scores(y[rows], p[rows], names)
        assert set(expected) == set(drawn)
        for name, value in expected.items():
            assert drawn[name][r] == pytest.approx(value), name


@pytest.mark.parametrize(
    ("y", "p", "field"),
    [
        ([[0.0, 1.0]], [[0.5]], "predicted"),
        ([[0.0, 1.0]], [[0.5, 1.5]], "predicted"),
        ([[0.0, 1.0]], [[0.5, np.nan]], "predicted"),
        ([1.5, np.nan], [[1.0], [2.0]], "y_true"),
        ([1.5, 2.0], [1.0, 2.0], "predicted"),
    ],
)
def test_predictions_that_do_not_fit_are_named(y, p, field):
    with pytest.raises(InputError) as caught:
        label_scores(y, p)
    assert caught.value.field == field
