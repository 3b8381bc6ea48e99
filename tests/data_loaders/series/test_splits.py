from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from data_loaders.series.splits import (
    ForecastSplit,
    TrainScaler,
    ett_hourly,
    ett_minute,
    ratio_split,
)
from data_loaders.series.time_axis import CALENDAR_NAMES, calendar_features, calendar_fields
from tscl.errors import DataError, InputError, LeakageError


def test_ett_parts() -> None:
    assert ett_hourly(17420).bounds == {
        "train": (0, 8640),
        "valid": (8640, 11520),
        "test": (11520, 14400),
    }
    assert ett_minute(69680).bounds["test"] == (46080, 57600)
    with pytest.raises(DataError, match="14399 steps"):
        ett_hourly(14399)


def test_ratio_rounds_down_despite_float_sums() -> None:
    assert ratio_split(10000, 0.7, 0.1, 0.2).bounds == {
        "train": (0, 7000),
        "valid": (7000, 8000),
        "test": (8000, 10000),
    }


@settings(max_examples=30, deadline=None)
@given(n=st.integers(20, 5000), which=st.sampled_from([(0.6, 0.2, 0.2), (0.7, 0.1, 0.2)]))
def test_ratio_uses_every_step_once(n: int, which: tuple[float, float, float]) -> None:
    split = ratio_split(n, *which)
    steps = np.concatenate([np.arange(n)[part] for _, part in split.parts()])
    np.testing.assert_array_equal(steps, np.arange(n))


def test_bad_splits() -> None:
    with pytest.raises(LeakageError):
        ForecastSplit(slice(0, 10), slice(9, 12), slice(12, 15))
    with pytest.raises(InputError):
        ForecastSplit(slice(0, 10), slice(10, 10), slice(12, 15))
    with pytest.raises(InputError):
        ForecastSplit(slice(None, 10), slice(10, 12), slice(12, 15))
    with pytest.raises(InputError, match="positive shares"):
        ratio_split(100, 0.9, 0.2, 0.2)
    with pytest.raises(DataError, match="too short"):
        ratio_split(2, 0.6, 0.2, 0.2)
    split = ratio_split(100)
    split.check_horizons([1, 19])
    with pytest.raises(InputError, match="valid part has 20"):
        split.check_horizons([20])


def test_scaler_knows_the_training_part_only() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, (50, 2))
    changed = values.copy()
    changed[30:] += 100
    scaler = TrainScaler.fit(values, slice(0, 30))
    again = TrainScaler.fit(changed, slice(0, 30))
    np.testing.assert_array_equal(scaler.mean, again.mean)
    reference = StandardScaler().fit(values[:30])
    np.testing.assert_allclose(scaler.transform(values), reference.transform(values), rtol=1e-5)
    np.testing.assert_allclose(scaler.inverse(scaler.transform(values)), values, rtol=1e-5)
    values[:30, 1] = 7.0
    with pytest.raises(DataError, match="price: got constant in the training part"):
        TrainScaler.fit(values, slice(0, 30), ["load", "price"])


def test_calendar_fields_of_known_times() -> None:
    times = pd.DatetimeIndex(["2016-07-01 13:45", "2021-01-01 00:00"])
    fields = dict(zip(CALENDAR_NAMES, calendar_fields(times).T, strict=True))
    expected = {
        "minute": [45, 0],
        "hour": [13, 0],
        "day_of_week": [4, 4],
        "day_of_month": [1, 1],
        "day_of_year": [183, 1],
        "month": [7, 1],
        "iso_week": [26, 53],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(fields[name], values)


def test_calendar_statistics_come_from_training_unless_asked() -> None:
    times = pd.date_range("2016-07-01", periods=2000, freq="h")
    train = slice(0, 1000)
    early = calendar_features(times[:1200], train)
    np.testing.assert_array_equal(early, calendar_features(times, train)[:1200])
    scaled = calendar_features(times, train)
    assert (scaled[:, 0] == 0).all()
    np.testing.assert_allclose(scaled[train, 1:].mean(axis=0, dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(scaled[train, 1:].std(axis=0, dtype=np.float64), 1, atol=1e-5)
    public = calendar_features(times, fit_on="all")
    expected = StandardScaler().fit_transform(calendar_fields(times))
    np.testing.assert_allclose(public, expected, atol=1e-5)
    assert not np.allclose(public, scaled)


def test_calendar_field_without_variation_in_training_is_zero() -> None:
    times = pd.date_range("2016-07-01", periods=24 * 40, freq="h")
    features = calendar_features(times, slice(0, 24 * 10))
    month = CALENDAR_NAMES.index("month")
    assert (features[:, month] == 0).all()
    with pytest.raises(InputError):
        calendar_features(times)
    with pytest.raises(InputError):
        calendar_features(times, slice(0, 5), fit_on="test")  # type: ignore[arg-type]
