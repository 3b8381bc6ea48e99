from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_loaders.series.series import load_ett
from data_loaders.series.splits import ForecastSplit, TrainScaler, ett_hourly
from tscl.errors import InputError
from tscl.evaluation.forecasting.baselines import (
    last_value,
    season_of,
    seasonal_naive,
    standard_forecasters,
    train_mean,
    window_ridge,
)

SPLIT = ForecastSplit(slice(0, 120), slice(120, 160), slice(160, 200))


def series(channels: int = 2) -> np.ndarray:
    rng = np.random.default_rng(3)
    steps = np.arange(200)[:, None] + np.arange(channels)
    return (np.sin(steps * 0.7) + rng.normal(0, 0.3, (200, channels))).astype(np.float32)


@pytest.mark.parametrize("horizon", [1, 5, 12])
def test_naive_forecasts_equal_loops(horizon: int) -> None:
    data, season = series(), 5
    errors: dict[str, list[np.ndarray]] = {"last": [], "season": [], "mean": []}
    mean = data[:120].astype(np.float64).mean(axis=0)
    for t in range(160, 200 - horizon):
        for j in range(1, horizon + 1):
            truth = data[t + j].astype(np.float64)
            back = t + j
            while back > t:
                back -= season
            errors["last"].append(data[t] - truth)
            errors["season"].append(data[back] - truth)
            errors["mean"].append(mean - truth)
    got = {
        "last": last_value(data, SPLIT, [horizon], scale=[3.0, 3.0])[0],
        "season": seasonal_naive(data, SPLIT, [horizon], season=season)[0],
        "mean": train_mean(data, SPLIT, [horizon])[0],
    }
    for name, result in got.items():
        np.testing.assert_allclose(result.mse, np.mean(np.square(errors[name])), rtol=1e-6)
        np.testing.assert_allclose(result.mae, np.mean(np.abs(errors[name])), rtol=1e-6)
        assert result.n_test == 40 - horizon
        assert result.alpha is None
    assert got["last"].mse_raw == pytest.approx(9 * got["last"].mse)
    assert got["mean"].mse_raw is None


def test_seasonal_naive_is_exact_on_a_periodic_series() -> None:
    data = np.tile(np.arange(6, dtype=np.float32), 40)[:200, None]
    assert seasonal_naive(data, SPLIT, [13], season=6)[0].mse == 0
    assert last_value(data, SPLIT, [13])[0].mse > 1
    with pytest.raises(InputError, match="season"):
        seasonal_naive(data, SPLIT, [13], season=121)


def test_per_channel_ridge_is_each_channel_alone() -> None:
    data = series()
    both = window_ridge(data, SPLIT, [3], window=8, per_channel=True, drop=0, scale=[1.0, 2.0])[0]
    alone = [window_ridge(data[:, [c]], SPLIT, [3], window=8, drop=0)[0] for c in (0, 1)]
    assert both.mse == pytest.approx(np.mean([r.mse for r in alone]))
    assert both.mse_raw == pytest.approx((alone[0].mse + 4 * alone[1].mse) / 2)
    assert both.alpha == tuple(r.alpha for r in alone)
    joint = window_ridge(data, SPLIT, [3], window=8, drop=0)[0]
    assert joint.mse != both.mse


def test_ridge_finds_a_linear_recursion() -> None:
    data = np.cos(np.arange(200) * 0.3)[:, None].astype(np.float32)
    for residual in (False, True):
        result = window_ridge(
            data, SPLIT, [4], window=6, residual=residual, drop=0, alphas=(1e-6, 1.0)
        )[0]
        assert result.mse < 1e-8


def test_all_standard_rows_share_their_test_rows() -> None:
    rows = standard_forecasters(series(), SPLIT, [2, 9], season=9, window=12, drop=12)
    assert len(rows) == 7
    for results in (row.results() for row in rows.values()):
        assert [r.horizon for r in results] == [2, 9]
        assert [r.n_test for r in results] == [38, 31]
    assert len(standard_forecasters(series(1), SPLIT, [2], season=9, window=12, drop=12)) == 5


@pytest.mark.parametrize(
    ("freq", "season"),
    [("h", 24), ("15min", 96), ("30min", 48), ("10min", 144), ("D", 7), ("W-SUN", 52), ("7D", 52),
     ("MS", 12), ("QS-JAN", 4), ("B", 5), ("3h", 8)],
)  # fmt: skip
def test_season_of_frequency(freq: str, season: int) -> None:
    assert season_of(freq) == season


@pytest.mark.parametrize("freq", [None, "nonsense", "YS"])
def test_no_season(freq: str | None) -> None:
    with pytest.raises(InputError, match="freq"):
        season_of(freq)


def test_etth1_rows_under_the_protocol(shared_data: Path) -> None:
    loaded = load_ett(shared_data / "ETTh1.csv")
    split = ett_hourly(len(loaded))
    data = TrainScaler.fit(loaded.values, split.train).transform(loaded.values)
    horizons = [24, 48, 168, 336, 720]
    measured = [r.mse for r in last_value(data, split, horizons)]
    np.testing.assert_allclose(measured, [0.0343, 0.0502, 0.0872, 0.1133, 0.1292], atol=6e-5)
    naive = [r.mse for r in seasonal_naive(data, split, horizons, season=24)]
    np.testing.assert_allclose(naive, [0.0458, 0.0576, 0.0872, 0.1109, 0.1252], atol=6e-5)
    ridge = window_ridge(data, split, [24, 168], residual=True)
    np.testing.assert_allclose([r.mse for r in ridge], [0.0262, 0.0660], atol=6e-5)


def test_forecasts_of_baselines_have_the_errors_of_their_rows() -> None:
    data = series()
    rows = standard_forecasters(data, SPLIT, [4], season=9, window=12, drop=12)
    assert len(rows) == 7
    for name, row in rows.items():
        errors = [row.forecast(4, t) - data[t + 1 : t + 5] for t in range(160, 196)]
        wanted = row.results()[0].mse
        np.testing.assert_allclose(np.square(errors).mean(), wanted, rtol=1e-4, err_msg=name)
