"""Heads chosen before the test part: what they find, what they must not see, what is reported."""

from __future__ import annotations

import numpy as np
import pytest

from data_loaders.series.splits import ratio_split
from tscl.errors import InputError
from tscl.forecasters import direct_heads
from tscl.forecasters.direct_heads import (
    Head,
    Ridge,
    RidgeChoice,
    naive_forecast,
)
from tscl.forecasters.direct_protocol import direct_protocol
from tscl.forecasters.window_data import WindowData

N, SEASON = 900, 6
SPLIT = ratio_split(N)
NOTHING = np.zeros((N, 0))


def driven() -> tuple[np.ndarray, np.ndarray]:
    """A series whose next step a vector known at the step tells, and that vector."""
    rng = np.random.default_rng(0)
    known = rng.normal(size=(N, 4)).astype(np.float32)
    wave = np.sin(2 * np.pi * np.arange(N) / SEASON)
    values = wave + 0.1 * rng.normal(size=N)
    values[1:] += known[:-1, 0]
    return values[:, None].astype(np.float32), known


def test_an_embedding_that_tells_the_future_is_found_and_used():
    values, known = driven()
    alone = direct_protocol(None, values, SPLIT, [1], seasons=(SEASON,), head="ridge")[0]
    row = direct_protocol(known, values, SPLIT, [1], seasons=(SEASON,), head="ridge")[0]
    assert alone.result.mse > 0.8  # the vector's own variance is 1
    assert row.result.mse < 0.1
    assert row.facts["ridge"]["embedding"] > 0
    assert row.facts["past"] in (6, 12)
    assert row.result.n_test == 180 - 1


def test_a_series_too_short_to_hold_windows_out_is_forecast_all_the_same():
    values = np.sin(2 * np.pi * np.arange(42.0) / SEASON)[:, None]
    for head in ("auto", "ridge"):
        (row,) = direct_protocol(None, values, ratio_split(42), [3], head=head, seasons=(SEASON,))
        assert row.result.mse < 0.1  # its variance is .5
        assert (row.result.n_valid, row.result.coverage) == (0, None)
        assert np.isnan(row.result.valid_mse)


def test_nothing_of_the_test_part_is_seen():
    values, known = driven()
    changed = values.copy()
    changed[SPLIT.test] = np.random.default_rng(1).normal(size=(180, 1))
    rows = [
        direct_protocol(known, v, SPLIT, [3], seasons=(SEASON,), seed=3)[0]
        for v in (values, changed)
    ]
    assert rows[0].facts == rows[1].facts
    origins = np.array([SPLIT.test.start - 1])
    same = [row.head.forecast(None, row.data, origins) for row in rows]
    np.testing.assert_array_equal(*same)
    assert rows[0].result.mse != rows[1].result.mse


def test_steps_without_an_embedding_are_dropped():
    values, known = driven()
    known[:20] = np.nan
    with pytest.raises(InputError, match="embeddings"):
        direct_protocol(known, values, SPLIT, [1], past=6, head="ridge")
    row = direct_protocol(known, values, SPLIT, [1], past=6, head="ridge", drop=20)[0]
    assert row.result.mse < 0.2


@pytest.mark.parametrize(
    ("level", "shift", "factor"),
    [("last", 7, 1), ("mean", 7, 1), ("none", 0, 3), ("standard", 7, 3), ("scaled", 7, 3)],
)
def test_forecasts_move_and_stretch_with_the_window(level, shift, factor, monkeypatch):
    monkeypatch.setattr(direct_heads, "LEAST_SCALE", 1e-9)
    values, _ = driven()
    origins = np.arange(20, 700)
    data, moved = (WindowData(v, None, 12, 3) for v in (values, factor * values + shift))
    ridge = Ridge(RidgeChoice(level, alpha=1e-6)).fit(data, origins, NOTHING[origins])
    result = ridge.predict(moved, origins[:5], NOTHING[:5])
    expected = factor * ridge.predict(data, origins[:5], NOTHING[:5]) + shift
    if level == "none":  # all but the intercept
        intercept = ridge.predict(WindowData(0 * values, None, 12, 3), origins[:5], NOTHING[:5])
        expected -= (factor - 1) * intercept
    np.testing.assert_allclose(result, expected, atol=1e-3)
    other = ridge.predict(WindowData(2 * values + 1, None, 12, 3), origins[:5], NOTHING[:5])
    same = 2 * ridge.predict(data, origins[:5], NOTHING[:5]) + 1
    assert np.allclose(other, same, atol=1e-3) == (level in ("standard", "scaled"))


def test_a_season_that_only_repeats_is_left_to_the_naive_forecast():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=(1, 50)), 18, axis=0).reshape(-1, 1).astype(np.float32)
    data = WindowData(values, None, 50, 7, (50,))
    head, _ = Head.choose("auto", None, data, np.arange(60, 90), np.arange(100, 140))
    assert head.members == {"naive": 1.0}
    assert head.facts()["head"] == "naive"
    assert head.season == 50
    np.testing.assert_array_equal(
        naive_forecast(data, np.array([60]), 50)[0], values[61 - 50 : 68 - 50]
    )


def test_covariates_have_a_penalty_of_their_own():
    """At weight .1 it is a hundred times that of the lags: the normal equations written out."""
    values, known = driven()
    marks = np.concatenate([known, known[:1]])
    data, origins = WindowData(values, marks, 6, 1), np.arange(20, 300)
    choice = RidgeChoice("none", calendar=0.1, alpha=2.0)
    ridge = Ridge(choice).fit(data, origins, NOTHING[origins])
    x = np.array([[*values[o - 5 : o + 1, 0], *marks[o + 1]] for o in origins], np.float64)
    y = values[origins + 1].astype(np.float64)
    penalty = np.diag([2.0] * 6 + [200.0] * 4)
    centred = x - x.mean(axis=0)
    weights = np.linalg.solve(centred.T @ centred + penalty, centred.T @ (y - y.mean(axis=0)))
    result = ridge.predict(data, origins, NOTHING[origins])[:, 0]
    np.testing.assert_allclose(result, centred @ weights + y.mean(axis=0), atol=1e-6)


def test_bad_input_is_named():
    values, known = driven()
    with pytest.raises(InputError, match="marks"):
        direct_protocol(None, values, SPLIT, [1], marks=known[:100])
    with pytest.raises(InputError, match="past"):
        direct_protocol(None, values, SPLIT, [5], past=719)
    with pytest.raises(InputError, match="horizon"):
        direct_protocol(None, values, SPLIT, [180])
