"""Calibration slope and intercept against scikit-learn's unpenalised logistic regression."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression

from tscl.errors import InputError
from tscl.evaluation.metrics.calibration import calibration_line


def test_slope_and_intercept_are_the_maximum_likelihood_ones() -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, 800)
    p = 1 / (1 + np.exp(-logit))
    y = (rng.uniform(size=800) < 1 / (1 + np.exp(-(0.7 + 0.5 * logit)))).astype(int)
    weights = rng.integers(0, 3, (3, 800))
    slope, intercept = calibration_line(y, p, weights)
    for row, w in enumerate(weights):
        fit = LogisticRegression(C=np.inf, tol=1e-10).fit(logit[:, None], y, sample_weight=w)
        assert slope[row] == pytest.approx(fit.coef_[0, 0], abs=1e-5)
        slow = brentq(lambda a, w=w: (w * (y - 1 / (1 + np.exp(-(a + logit))))).sum(), -5, 5)
        assert intercept[row] == pytest.approx(slow, abs=1e-8)
    assert 0.3 < slope[0] < 0.7
    assert intercept[0] > 0.3


def test_fits_without_a_maximum_are_not_a_number() -> None:
    p = np.array([0.1, 0.2, 0.8, 0.9])
    assert np.isnan(calibration_line([0, 0, 1, 1], p)[0][0])
    assert np.isnan(calibration_line([1, 1, 1, 1], p)[1][0])
    with pytest.raises(InputError, match="0 or 1"):
        calibration_line([0, 2, 1, 1], p)
