"""What the forecaster chooses by itself, what stays as set, and steps up to the cutoff."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tscl.errors import InputError
from tscl.estimators.sktime.forecaster import SSCLForecaster
from tscl.estimators.sktime.frames import Marks
from tscl.forecasters.choices import held_out, past_candidates, season_lengths

OLD = {
    "context_length": 48,
    "encoder": "transformer",
    "encoder_params": {"hidden_dims": 4, "depth": 1, "heads": 1, "ffn_dims": 4},
    "network_params": {"output_dims": 4, "decoder_dims": 4},
    "instance_norm": "standard",
    "batch_size": 100,
    "stride": 9,
    "max_epochs": 1,
    "max_steps": 1,
}


def weeks(n: int = 420) -> pd.Series:
    """A yearly wave on a rise, weekly."""
    t = np.arange(n)
    noise = 0.1 * np.random.default_rng(0).normal(size=n)
    times = pd.date_range("2010-01-03", periods=n, freq="W")
    return pd.Series(np.sin(2 * np.pi * t / 52) + t / 100 + noise, index=times, name="flu")


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        (pd.date_range("2020", periods=3000, freq="h"), (24, 168)),
        (pd.date_range("2020", periods=3000, freq="30min"), (48, 336)),
        (pd.date_range("2020", periods=300, freq="D"), (7,)),
        (pd.date_range("2020", periods=900, freq="B"), (5, 261)),
        (pd.date_range("2010-01-03", periods=300, freq="W"), (52,)),
        (pd.date_range("2010", periods=90, freq="MS"), (12,)),
        (pd.period_range("2010", periods=90, freq="Q"), (4,)),
        (pd.date_range("1900", periods=90, freq="YS"), ()),
    ],
)
def test_seasons_by_frequency(index, wanted):
    found = season_lengths(index, np.zeros((len(index), 1)))
    assert found == wanted


def test_seasons_without_times_are_those_of_the_values():
    rng = np.random.default_rng(0)
    t = np.arange(400)
    wave = np.maximum(0, np.sin(2 * np.pi * t / 17)) ** 3 + 0.02 * rng.normal(size=400)
    assert season_lengths(pd.RangeIndex(400), wave[:, None]) == (17,)
    assert season_lengths(pd.RangeIndex(400), rng.normal(size=(400, 1)).cumsum(axis=0)) == ()
    assert season_lengths(pd.RangeIndex(400), np.ones((400, 1))) == ()
    assert past_candidates((24, 168), 10_000, 24) == [24, 48, 168, 336]
    assert past_candidates((52,), 120, 12) == [36]  # a third of the series


def test_held_out_blocks_keep_their_future_apart():
    train, held = held_out([600], 20, 5, 0.2)
    assert len(np.flatnonzero(np.diff(held) > 1)) == 4  # five blocks
    assert len(held) == pytest.approx(0.2 * 595, abs=5)
    ahead = {int(o) + h for o in held for h in range(1, 6)}
    assert not ahead & {int(o) + h for o in train for h in range(1, 6)}
    longer = held_out([600], 60, 5, 0.2)[1]
    np.testing.assert_array_equal(longer, held)  # errors of two lengths can be compared
    one, last = held_out([600], 20, 5, 0.2, blocks=1)
    assert last.min() == 595 - 119
    assert one.max() + 5 <= last.min()


def test_short_weekly_series_choose_a_year_and_a_small_network(capsys):
    y = weeks()
    model = SSCLForecaster(verbose=True).fit(y[:-12], fh=np.arange(1, 13))
    chosen = model.settings_
    assert chosen["seasons"] == (52,)
    assert chosen["context_length"] in (52, 104)
    assert chosen["horizon"] == 12
    assert sum(p.numel() for p in model.network_.parameters()) < 20_000
    assert f"context_length {chosen['context_length']}" in capsys.readouterr().err
    assert chosen["head"] == "mean of boosting, linear, naive, network, ridge, trees"
    assert chosen["errors"][chosen["head"]] < chosen["errors"]["naive"]
    assert chosen["pasts"] == (52, 104)
    naive = y[-64:-52].to_numpy()
    forecast = model.predict().to_numpy()
    assert np.square(forecast - y[-12:]).mean() < 0.2 * np.square(naive - y[-12:]).mean()


def test_what_is_set_stays_set():
    model = SSCLForecaster(**OLD, head="network", horizon=3, valid_blocks=1).fit(weeks(120))
    for name, value in OLD.items():
        assert model.settings_[name] == value
    assert model.settings_["head"] == "network"
    assert model.network_.config()["encoder_params"] == OLD["encoder_params"]
    assert model.network_.config()["skip"] == "none"


@pytest.mark.parametrize("covariate", [False, True])
def test_steps_up_to_the_cutoff_are_forecast_from_what_came_before(covariate):
    y = weeks(200)
    X = pd.DataFrame({"x": np.arange(200.0) % 5}, index=y.index) if covariate else None
    quick = OLD | {"context_length": 30, "stride": 1, "batch_size": 32, "max_steps": 4}
    model = SSCLForecaster(**quick, horizon=3, head="ridge").fit(y, X=X)
    past = model.predict(fh=np.arange(-199, 1), X=X)
    assert past.index.equals(y.index)
    left = model.predict_residuals(y=y, X=X)
    np.testing.assert_allclose(left, y - past, atol=1e-6)
    assert np.abs(left[30:]).mean() < np.abs(y.diff()[30:]).mean()
    # the window before a step, and nothing after it: the same as a forecast made back then
    again = SSCLForecaster(**quick, horizon=3, head="ridge").fit(y, X=X)
    again._y, again._cutoff = y[:150].to_frame(), y.index[149:150]
    ahead = again.predict(fh=[1, 2, 3], X=None if X is None else X[150:153])
    np.testing.assert_allclose(ahead.iloc[0], past.iloc[150], rtol=1e-5)
    with pytest.raises(InputError, match="200 steps"):
        model.predict(fh=[-200], X=X)


def test_a_step_that_stands_twice_is_named():
    y = weeks(100)
    twice = pd.concat([y[:50], y[49:]])
    with pytest.raises(InputError, match="stands twice"):
        SSCLForecaster(**OLD, horizon=3).fit(twice)


def test_a_field_of_the_calendar_that_has_not_come_round_is_left_out():
    """Five months of an hourly series: hour and day of the week are kept, the year is a trend."""
    times = pd.date_range("2021-01-01", periods=24 * 150, freq="h")
    hour, weekday, month_day, year_day, month, week = range(1, 7)
    late = pd.date_range("2021-11-01", periods=30, freq="h")
    fields = Marks.fit(times, None, calendar=True).make(late, None)
    assert (fields[:, [year_day, month, week]] == 0).all()
    assert (fields[:, [hour, weekday, month_day]] != 0).any(axis=0).all()
    years = pd.date_range("2019-01-01", periods=800, freq="D")
    assert (Marks.fit(years, None, calendar=True).make(late, None)[:, year_day] != 0).all()
