"""Coverage of forecast intervals, measured on noise whose quantiles are known."""

import numpy as np
import pandas as pd
import pytest

from recipes.forecasting.intervals import coverage


@pytest.mark.parametrize("intervals", ["conformal", "adaptive"])
def test_intervals_of_noise_cover_what_they_say(intervals):
    noise = np.random.default_rng(0).normal(size=(400, 1))
    y = pd.DataFrame(noise, index=pd.date_range("2021-01-01", periods=400, freq="h"))
    share, width = coverage(y, 2, intervals, 0.9)
    assert share == pytest.approx(0.9, abs=0.08)  # two deviations of 80 origins, and more
    assert width == pytest.approx(2 * 1.645, rel=0.25)
