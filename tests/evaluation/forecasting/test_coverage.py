"""Rows of tables say how often their intervals cover and what the error is worth."""

from __future__ import annotations

import numpy as np
import pytest

from data_loaders.series.splits import ForecastSplit
from tscl.evaluation.forecasting.baselines import last_value, season_or_step
from tscl.evaluation.forecasting.scores import seasonal_change

SPLIT = ForecastSplit(slice(0, 400), slice(400, 800), slice(800, 1600))


def noise(growth: float) -> np.ndarray:
    """Noise (1600, 2) whose deviation grows by ``growth`` in the test part."""
    size = np.where(np.arange(1600) < 800, 1.0, growth)[:, None]
    return (size * np.random.default_rng(0).normal(size=(1600, 2))).astype(np.float32)


@pytest.mark.parametrize("growth", [1.0, 3.0])
def test_intervals_of_a_row_cover_and_widen_with_the_noise(growth):
    result = last_value(noise(growth), SPLIT, [3])[0]
    assert 0.84 < result.coverage < 0.95
    # 2 x 1.645 deviations of the difference of two values
    assert result.width == pytest.approx(growth * 2 * 1.645 * np.sqrt(2), rel=0.2)


def test_mase_is_the_error_over_that_of_the_season_in_training():
    data = noise(1.0).cumsum(axis=0)
    result = last_value(data, SPLIT, [1])[0]
    change = seasonal_change(data, SPLIT.train, 7)
    loops = [np.mean([abs(data[t, c] - data[t - 7, c]) for t in range(7, 400)]) for c in (0, 1)]
    np.testing.assert_allclose(change, loops, rtol=1e-5)
    wanted = np.mean([mae / loop for (_, mae), loop in zip(result.variables, loops, strict=True)])
    assert result.with_mase(change).mase == pytest.approx(wanted, rel=1e-5)
    assert (season_or_step("h"), season_or_step("YE"), season_or_step(None)) == (24, 1, 1)
