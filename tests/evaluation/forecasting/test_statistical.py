"""AutoETS and AutoARIMA as rows of the tables."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from data_loaders.series.splits import ratio_split
from tscl.errors import ConfigError, InputError, MissingExtraError
from tscl.evaluation.forecasting.baselines import last_value, seasonal_naive
from tscl.evaluation.forecasting.statistical import build_model, statistical_baseline

SPLIT = ratio_split(300)
SMALL = {"season": 6, "fit_steps": 120, "context": 60}


def series() -> np.ndarray:
    """A period of 6 steps on a trend, and a slowly reverting walk."""
    rng = np.random.default_rng(0)
    t = np.arange(300)
    wave = np.sin(2 * np.pi * t / 6) + 0.01 * t + 0.2 * rng.normal(size=300)
    walk = np.zeros(300)
    for i in range(1, 300):
        walk[i] = 0.7 * walk[i - 1] + rng.normal()
    return np.stack([wave, walk], axis=1).astype(np.float32)


@pytest.mark.parametrize("name", ["auto_ets", "auto_arima"])
def test_models_find_season_and_reversion(name):
    pytest.importorskip("statsforecast")
    data, horizons = series(), [2, 8]
    more = {"max_p": 2, "max_q": 1, "max_P": 1, "max_Q": 1} if name == "auto_arima" else {}
    made = statistical_baseline(name, data, SPLIT, horizons, params=more, scale=[2.0, 1.0], **SMALL)
    naive = last_value(data, SPLIT, horizons)
    seasonal = seasonal_naive(data, SPLIT, horizons, season=6)
    for mine, last, season in zip(made, naive, seasonal, strict=True):
        assert mine.n_test == last.n_test
        assert mine.variables[0][0] < 0.8 * min(last.variables[0][0], season.variables[0][0])
        # smoothing knows no reversion to a mean, so it can only weigh the level better
        assert mine.variables[1][0] < (0.9 if name == "auto_arima" else 1.0) * min(
            last.variables[1][0], season.variables[1][0]
        )
        assert mine.mse == pytest.approx(np.mean([v[0] for v in mine.variables]))
        raw = (4 * mine.variables[0][0] + mine.variables[1][0]) / 2
        assert mine.mse_raw == pytest.approx(raw)
        assert np.isnan(mine.valid_mse)
    # what comes after the test part does not reach its forecasts
    early = ratio_split(280, 180 / 280, 60 / 280, 40 / 280)
    changed = np.concatenate([data[:280], data[280:] + 5.0])
    one, two = (
        statistical_baseline(name, v, early, [2], params=more, **SMALL)[0]
        for v in (data[:280], changed)
    )
    assert one.mse == pytest.approx(two.mse)


def test_missing_package_and_bad_arguments_are_named(monkeypatch):
    data = series()
    with pytest.raises(ConfigError, match="auto_ets"):
        statistical_baseline("auto_est", data, SPLIT, [2], season=6)
    with pytest.raises(InputError, match="context"):
        statistical_baseline("auto_ets", data, SPLIT, [2], season=60, context=50)
    with pytest.raises(InputError, match="horizon"):
        statistical_baseline("auto_ets", data, SPLIT, [80], season=6)
    known = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("statsforecast"):
            raise ImportError(name)
        return known(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"tscl\[stats\]"):
        statistical_baseline("auto_ets", data, SPLIT, [2], **SMALL)


def test_model_arguments_are_checked():
    pytest.importorskip("statsforecast")
    with pytest.raises(ConfigError, match="max_pp"):
        build_model("auto_arima", 6, {"max_pp": 2})
    with pytest.raises(ConfigError, match="drift"):
        drift = {"allowdrift": True}
        statistical_baseline("auto_arima", series(), SPLIT, [2], params=drift, **SMALL)
    assert build_model("auto_ets", 96).season_length == 1
    assert build_model("auto_arima", 96).season_length == 96
