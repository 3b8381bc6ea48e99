"""Time axes, units and covariates as they come from files, in the sktime forecaster."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sktime.transformations.hierarchical.aggregate import Aggregator

from data_loaders.series.time_axis import describe_gaps, regular_freq, usual_step
from tscl.errors import InputError
from tscl.estimators.sktime.forecaster import SSCLForecaster

TIMES = pd.date_range("2000", periods=100, freq="h")
AHEAD = pd.date_range(TIMES[-1], periods=6, freq="h")[1:]


def tiny(**changes):
    settings = {
        "context_length": 12,
        "horizon": 4,
        "encoder": "tcn",
        "encoder_params": {"hidden_dims": 4, "depth": 2},
        "network_params": {"output_dims": 8, "decoder_dims": 8},
        "max_epochs": 1,
        "batch_size": 32,
        "weight": 0.1,
    }
    return SSCLForecaster(**settings | changes)


def wave(index=TIMES, unit=1.0):
    n = len(index)
    noise = 0.1 * np.random.default_rng(0).standard_normal(n)
    return pd.Series(unit * (np.sin(np.arange(n) / 3) + noise), index=index, name="y")


def prices(n=100):
    times = pd.date_range("2000", periods=n, freq="h")
    return pd.DataFrame({"price": np.cos(np.arange(n))}, index=times)


def from_file(panel):
    """A panel whose times were read as text: no level has a frequency."""
    table = panel.reset_index()
    table["time"] = pd.to_datetime(table["time"].astype(str))
    read = table.set_index(list(panel.index.names))
    assert read.index.levels[-1].freq is None
    return read


def panel(skipped=0):
    series = {"a": wave().to_frame(), "b": wave().iloc[skipped:].to_frame() * 2}
    return from_file(pd.concat(series, names=["id", "time"]))


def test_after_an_update_with_the_past_the_window_ends_at_the_cutoff():
    y, X = wave(), prices(105)
    model = tiny().fit(y)
    moved = model.update(y[-20:-10], update_params=False).predict([1, 2])
    assert moved.index[0] == y.index[-10]
    later = y.copy()
    later.iloc[-10:] = 100.0  # what comes after the cutoff plays no part
    model.update(later[-10:], update_params=False).update(y[-20:-10], update_params=False)
    np.testing.assert_array_equal(model.predict([1, 2]), moved)
    with_x = tiny().fit(y, X=X).update(y[-20:-10], X=X[80:90], update_params=False)
    assert with_x.predict([1, 2], X=X).index[0] == y.index[-10]
    pooled = tiny(pooled=True).fit(panel())
    past = panel().groupby(level=0).head(90).groupby(level=0).tail(5)
    made = pooled.update(past, update_params=False).predict([1])
    assert set(made.index.get_level_values(-1)) == {y.index[-10]}


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_future_covariates_that_cannot_be_used_are_named(bad):
    model = tiny().fit(wave(), X=prices())
    future = pd.DataFrame({"price": [1.0, bad, 2.0, 3.0, 4.0]}, index=AHEAD)
    with pytest.raises(InputError, match=r"X\['price'\]: got (inf|nan); at 2000-01-05 05:00"):
        model.predict([1, 2, 3], X=future)
    if np.isinf(bad):  # a row that is not read does not matter
        assert np.isfinite(model.predict([1], X=future)).all()
    huge = future.replace(bad, 1e300)
    with pytest.raises(InputError, match=r"X\['price'\]: got 1e\+300; .*check its unit"):
        model.predict([1, 2, 3], X=huge)


@pytest.mark.parametrize("unit", [1e-308, 1e-14, 1e155, 1e300])
def test_forecasts_do_not_depend_on_the_unit(unit):
    plain = tiny().fit(wave())
    other = tiny().fit(wave(unit=unit))
    np.testing.assert_allclose(other.predict([1, 5]) / unit, plain.predict([1, 5]), rtol=1e-4)
    bands = other.predict_interval([1, 5]) / unit
    np.testing.assert_allclose(bands, plain.predict_interval([1, 5]), rtol=1e-4)


def test_constant_series_and_series_too_large():
    for level in (0.0, 0.1, 1e6):
        made = tiny().fit(wave() * 0 + level).predict([1, 2])
        assert (np.abs(made - level) < 2).all()
    with pytest.raises(InputError, match="larger unit"):
        tiny().fit(wave() * 0 + 1e307)


@pytest.mark.parametrize("skipped", [0, 20])
def test_pooled_panels_need_no_frequency(skipped):
    y = panel(skipped)
    for model in (tiny(pooled=True).fit(y), tiny(pooled=True).fit(y, fh=[1, 2])):
        made = model.predict([1, 2])
        assert list(made.index.get_level_values(-1)) == [*AHEAD[:2], *AHEAD[:2]]
        np.testing.assert_array_equal(model.predict(pd.DatetimeIndex(list(AHEAD[:2]))), made)
        assert model.predict_interval([1, 2]).shape == (4, 2)
    both = Aggregator().fit_transform(y)
    assert len(tiny(pooled=True).fit(both).predict([1])) == 3
    last = y.index.get_level_values(-1) == TIMES[-1]
    later = tiny(pooled=True).fit(y[~last]).update(y[last], update_params=False)
    assert later.predict([1]).index[0][-1] == AHEAD[0]


def test_one_new_row_without_a_frequency_keeps_that_of_fit():
    y = wave(pd.DatetimeIndex(list(TIMES)))
    assert y.index.freq is None
    made = tiny().fit(y[:-1]).update(y[-1:], update_params=False).predict([1])
    assert made.index[0] == AHEAD[0]


def test_covariates_longer_than_the_series_are_cut():
    y, X = wave(), prices(105)
    exact = tiny().fit(y, X=X[:100]).predict([1, 2], X=X[100:])
    cut = tiny().fit(y, X=X)
    np.testing.assert_array_equal(cut.predict([1, 2], X=X), exact)
    late = tiny().fit(y[10:], X=X)
    assert late.marks_.scaler.center[0] == pytest.approx(X["price"][10:100].mean())
    with pytest.raises(InputError, match=r"X.index: got no row at 2000-01-03 02:00"):
        tiny().fit(y, X=X[:50])


def test_an_update_without_the_covariates_of_fit_names_them():
    y, X = wave(), prices(105)
    for params in (True, False):
        model = tiny().fit(y[:90], X=X[:90])
        with pytest.raises(InputError, match=r"^X: got None; fitted with \['price'\]"):
            model.update(y[90:], update_params=params)
    known = tiny().fit(y[:90], X=X)  # those of the new rows are there already
    assert len(known.update(y[90:], update_params=False).predict([1], X=X)) == 1
    without = tiny().fit(y[:90]).update(y[90:], X=X[90:100])
    assert len(without.predict([1])) == 1


def test_time_zones_are_regular_in_elapsed_time():
    hours = pd.date_range("2021-03-20", periods=300, freq="h", tz="Europe/Berlin")
    berlin = pd.DatetimeIndex(list(hours))
    y = wave(berlin)
    assert y.index.freq is None
    model = tiny().fit(y[:-5])
    again = model.update(y[-5:], update_params=False)
    assert again.predict([1]).index[0] == berlin[-1] + pd.Timedelta("1h")
    # steps named by their times count elapsed hours, over the change of the clock too
    before = tiny().fit(y[:190])
    assert berlin[189].utcoffset() != berlin[199].utcoffset()
    np.testing.assert_array_equal(before.predict(berlin[190:200]), before.predict(range(1, 11)))
    days = pd.date_range("2021-01-01", periods=120, freq="D", tz="Europe/Berlin")
    made = tiny().fit(wave(pd.DatetimeIndex(list(days)))).predict([1])
    assert made.index[0] == days[-1] + pd.offsets.Day()
    with pytest.raises(InputError, match=r"1 irregular steps where 0 days 01:00:00 is usual"):
        tiny().fit(y.drop(y.index[50]))
    utc = pd.date_range("2021-03-20", periods=300, freq="h", tz="UTC").delete(50)
    with pytest.raises(InputError, match=r"0 days 02:00:00 after 2021-03-22 01:00:00\+00:00"):
        tiny().fit(wave(utc))


def test_gaps_of_an_axis_with_a_time_zone():
    utc = pd.date_range("2021-10-30", periods=60, freq="h", tz="UTC")
    berlin = pd.DatetimeIndex(list(utc.tz_convert("Europe/Berlin")))
    assert usual_step(berlin) == pd.Timedelta("1h")
    assert regular_freq(berlin) == "h"
    double = berlin[(berlin.hour != 2) | (berlin.strftime("%z") == "+0200")]
    once = double[(double > "2021-10-31 00:30") & (double < "2021-10-31 23:30")]
    assert regular_freq(once) is None  # even on the clock, but an hour is missing
    assert describe_gaps(once).startswith("1 irregular steps where 0 days 01:00:00")
    months = pd.date_range("2021-01-01", periods=9, freq="MS", tz="Europe/Berlin")
    assert regular_freq(pd.DatetimeIndex(list(months))) == "MS"


def test_missing_values_of_the_series_are_named():
    y = wave()
    y.iloc[3] = np.nan
    with pytest.raises(InputError, match=r"y\['y'\]: got nan; at 2000-01-01 03:00"):
        tiny().fit(y)
    text = pd.DataFrame({"price": ["high"] * 100}, index=y.index)
    with pytest.raises(TypeError, match="turn them into numbers"):
        tiny().fit(wave(), X=text)


@pytest.mark.parametrize("kind", ["datetime", "period", "pooled", "panel"])
def test_horizons_of_durations(kind):
    durations = pd.timedelta_range("1h", periods=3, freq="h")
    y = {
        "datetime": wave(),
        "period": wave(TIMES.to_period()),
        "pooled": panel(),
        "panel": panel(),
    }[kind]
    model = tiny(pooled=kind == "pooled").fit(y)
    np.testing.assert_array_equal(model.predict(durations), model.predict([1, 2, 3]))
    assert model.predict_interval(durations).equals(model.predict_interval([1, 2, 3]))


def test_horizons_of_durations_in_fit_and_off_the_grid():
    durations = pd.timedelta_range("1h", periods=3, freq="h")
    model = tiny(horizon=None).fit(wave(), fh=durations)
    assert model.horizon_ == 3
    assert len(model.predict()) == 3
    with pytest.raises(InputError, match="fh: got 2000-01-05 04:30"):
        model.predict(pd.TimedeltaIndex(["90min"]))
    with pytest.raises(InputError, match="fh: got 0 days 01:00:00; the series has no times"):
        tiny().fit(wave().reset_index(drop=True)).predict(durations)
    months = tiny().fit(wave(pd.period_range("2000", periods=100, freq="M")))
    with pytest.raises(InputError, match="fh: got 0 days 01:00:00; the step is M"):
        months.predict(durations)


@pytest.mark.parametrize("freq", ["2h", "3M", "7D"])
def test_periods_of_several_units(freq):
    times = pd.period_range("2000-01", periods=80, freq=freq)
    y = wave(times)
    model = tiny().fit(y[:70]).update(y[70:], update_params=False)
    made = model.predict([1, 2, 5])
    assert list(made.index) == [times[-1] + k for k in (1, 2, 5)]
    later = pd.period_range(times[-1] + 1, periods=2, freq=freq)
    np.testing.assert_array_equal(model.predict(later), made[:2])
    with pytest.raises(InputError, match=re.escape(f"an uneven step after {times[29]}")):
        tiny().fit(y.drop(times[30]))


@pytest.mark.parametrize(
    "offset",
    [
        pd.offsets.CustomBusinessDay(holidays=["2020-04-10", "2020-04-13"]),
        pd.offsets.BusinessHour(start="10:00", end="15:00"),
        pd.DateOffset(months=1),
    ],
    ids=repr,
)
def test_a_frequency_whose_name_loses_something_is_refused_and_its_remedy_helps(offset):
    index = pd.date_range("2020-01-15 10:00", periods=60, freq=offset)
    with pytest.raises(InputError, match=r"timestamps\.freq: .*reset_index\(drop=True\)"):
        tiny().fit(wave(index), fh=[1, 2])
    y = wave(index).reset_index(drop=True)
    assert tiny().fit(y, fh=[1, 2]).predict().index.tolist() == [60, 61]


@pytest.mark.parametrize("freq", ["MS", "QS", "B", "YE"])
def test_an_update_that_leaves_calendar_steps_out_names_them(freq):
    y = wave(pd.date_range("2000-01-01", periods=60, freq=freq))
    model = tiny().fit(y[:48], fh=[1, 2])
    with pytest.raises(InputError, match="1 irregular steps where") as caught:
        model.update(y[50:55], update_params=False)
    assert f"({y.index[48]} is missing)" in str(caught.value)
