from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tscl.errors import InputError
from tscl.evaluation.metrics.calibration import expected_calibration_error, reliability_bins
from tscl.evaluation.metrics.classification import METRICS, classification_metrics


def _random(n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, k, n), rng.dirichlet(np.ones(k), n)


def test_metrics_by_hand_two_classes() -> None:
    y = [0, 0, 1, 1]
    p1 = np.array([0.1, 0.6, 0.4, 0.9])
    found = classification_metrics(y, np.stack([1 - p1, p1], axis=1))
    assert found.accuracy == 0.5
    assert found.precision == found.recall == found.f1 == 0.5
    assert found.auroc == 0.75  # three of four pairs in order
    assert found.auprc == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found.confusion.tolist() == [[1, 1], [1, 1]]
    assert found.ece == pytest.approx((2 * (1 - 0.9) + 2 * 0.6) / 4)
    assert tuple(found.as_dict()) == METRICS
    assert found.n == 4


def test_metrics_macro_against_sklearn_three_classes() -> None:
    y, p = _random(80, 3)
    found = classification_metrics(y, p)
    assert found.auroc == pytest.approx(roc_auc_score(y, p, multi_class="ovr", average="macro"))
    onehot = np.eye(3)[y]
    assert found.auprc == pytest.approx(average_precision_score(onehot, p, average="macro"))
    f1 = []
    for k in range(3):
        hit = ((p.argmax(1) == k) & (y == k)).sum()
        f1.append(2 * hit / ((p.argmax(1) == k).sum() + (y == k).sum()))
    assert found.f1 == pytest.approx(np.mean(f1))


def test_metrics_one_class_present_gives_nan_areas_only() -> None:
    found = classification_metrics([1, 1, 1], [[0.2, 0.8], [0.6, 0.4], [0.1, 0.9]])
    assert np.isnan([found.auroc, found.auprc, found.auprc_macro]).all()
    assert found.accuracy == pytest.approx(2 / 3)


def test_metrics_absent_class_is_left_out_of_the_macro_area() -> None:
    y, p = _random(60, 2, 3)
    three = np.concatenate([p, np.zeros((60, 1))], axis=1)
    assert classification_metrics(y, three).auroc == pytest.approx(roc_auc_score(y, p[:, 1]))
    assert classification_metrics(y, three).recall == classification_metrics(y, p).recall


@pytest.mark.parametrize(
    ("y", "p", "field"),
    [
        ([0, 1], [[0.5, 0.5]], "y_true"),
        ([0, 1], [0.5, 0.5], "proba"),
        ([0], [[1.0]], "proba"),
        ([0, 2], [[0.5, 0.5]] * 2, "y_true"),
        ([-1, 1], [[0.5, 0.5]] * 2, "y_true"),
        ([0.0, 1.0], [[0.5, 0.5]] * 2, "y_true"),
        ([0, 1], [[0.5, np.nan]] * 2, "proba"),
        ([0, 1], [[1.2, -0.2]] * 2, "proba"),
        ([0, 1], [[0.5, 0.5], [0.9, 0.3]], "proba"),
        ([], np.zeros((0, 2)), "y_true"),
    ],
)
def test_metrics_bad_input_names_the_field(y: list, p: list, field: str) -> None:
    with pytest.raises(InputError) as error:
        classification_metrics(y, p)
    assert error.value.field == field


def test_ece_against_a_loop() -> None:
    y, p = _random(200, 3, 5)
    for n_bins in (1, 7, 15):
        total = 0.0
        for b in range(n_bins):
            low, high = b / n_bins, (b + 1) / n_bins
            rows = [i for i in range(200) if low < p[i].max() <= high]
            if rows:
                right = np.mean([p[i].argmax() == y[i] for i in rows])
                total += len(rows) * abs(right - np.mean([p[i].max() for i in rows]))
        assert expected_calibration_error(y, p, n_bins) == pytest.approx(total / 200)


def test_ece_limits_and_bins() -> None:
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert expected_calibration_error([0, 1], sure) == 0.0
    assert expected_calibration_error([1, 0], sure) == 1.0
    bins = reliability_bins([0, 1], sure, 4)
    assert bins.count.tolist() == [0, 0, 0, 2]
    assert np.isnan(bins.accuracy[:3]).all()
    with pytest.raises(InputError, match="n_bins"):
        reliability_bins([0, 1], sure, 0)
