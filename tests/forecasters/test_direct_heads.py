"""Heads on lags, calendar and embedding: planted signals, choices on held-out windows, rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tscl.forecasters.direct_heads import (
    STOPPED,
    BoostedForecast,
    Head,
    Ridge,
    RidgeChoice,
    RidgeForecast,
)
from tscl.forecasters.window_data import WindowData, thinned

HORIZON, LENGTH, SEASON = 3, 12, 6
TRAIN, HELD, TEST = np.arange(12, 500), np.arange(505, 600), np.arange(605, 795)


class LastValue(nn.Module):
    """A network that repeats the last value and represents a window by it."""

    horizon, input_length = HORIZON, LENGTH

    def forward(self, past: Tensor, *marks: Tensor | None) -> Tensor:
        return past[:, -1:].expand(-1, HORIZON, -1)

    def represent(self, past: Tensor, marks: Tensor | None = None) -> Tensor:
        return past


def series(kind: str) -> WindowData:
    """Two variables: a ``wave``, a random ``walk``, or the ``square`` of a covariate."""
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.normal(size=(800, 2))
    wave = np.sin(2 * np.pi * np.arange(800) / SEASON + np.arange(2)[:, None]).T
    marks = None
    values = wave + noise
    if kind == "walk":
        values = np.cumsum(10 * noise, axis=0)
    if kind == "square":
        marks = rng.normal(size=(800 + HORIZON, 1)).astype(np.float32)
        values = noise + marks[:800] ** 2
    return WindowData(values.astype(np.float32), marks, LENGTH, HORIZON, (SEASON,))


def nothing(*parts: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.zeros((len(part), 0)) for part in parts)


def error(forecasts: np.ndarray, data: WindowData, origins: np.ndarray) -> float:
    return float(np.square(forecasts - data.future(origins)).mean())


def test_ridge_is_the_least_squares_solution_written_out():
    data = series("wave")
    ridge = Ridge(RidgeChoice("last", alpha=2.0)).fit(data, TRAIN, *nothing(TRAIN))
    made = ridge.predict(data, TEST, *nothing(TEST))
    for c in range(2):
        y = data.values[:, c].astype(np.float64)
        x = np.array([y[o - 11 : o + 1] - y[o] for o in TRAIN])
        future = np.array([y[o + 1 : o + 4] - y[o] for o in TRAIN])
        mean_x, mean_y = x.mean(axis=0), future.mean(axis=0)
        gram = (x - mean_x).T @ (x - mean_x) + 2.0 * np.eye(LENGTH)
        weights = np.linalg.solve(gram, (x - mean_x).T @ (future - mean_y))
        o = TEST[7]
        wanted = (y[o - 11 : o + 1] - y[o] - mean_x) @ weights + mean_y + y[o]
        np.testing.assert_allclose(made[7, :, c], wanted, atol=1e-6)


def test_the_level_of_a_random_walk_is_taken_out_and_a_covariate_is_kept():
    rise = np.linspace(0, 90, 800)[:, None].astype(np.float32)
    away = WindowData(series("walk").values + rise, None, 4, HORIZON)
    chosen = RidgeForecast().choose(away, TRAIN, HELD, nothing(TRAIN, HELD)).choice
    assert chosen.level != "none"
    rng = np.random.default_rng(1)
    marks = rng.normal(size=(803, 1)).astype(np.float32)
    driven = WindowData(series("wave").values + marks[:800], marks, LENGTH, HORIZON)
    ridge = RidgeForecast().choose(driven, TRAIN, HELD, nothing(TRAIN, HELD))
    assert ridge.choice.calendar
    blind = RidgeForecast().choose(
        WindowData(driven.values, None, LENGTH, HORIZON), TRAIN, HELD, nothing(TRAIN, HELD)
    )
    # what is left: noise, and two coefficients of the wave from twelve values of deviation 1
    assert error(ridge.predict(driven, TEST, *nothing(TEST)), driven, TEST) < 2 / 12 + 0.1
    # the covariate's own variance is 1
    assert error(blind.predict(driven, TEST, *nothing(TEST)), driven, TEST) > 0.9


def test_boosting_finds_a_square_that_the_ridge_cannot():
    data = series("square")
    embedded = nothing(TRAIN, HELD)
    ridge = RidgeForecast().choose(data, TRAIN, HELD, embedded)
    boosted = BoostedForecast(ridge)
    boosted.choose(data, TRAIN, HELD, embedded)
    boosted.fit(data, TRAIN, embedded[0])
    linear = error(ridge.predict(data, TEST, *nothing(TEST)), data, TEST)
    assert error(boosted.predict(data, TEST, *nothing(TEST)), data, TEST) < 0.5 * linear


def test_rows_read_no_step_after_the_origin_nor_before_the_window():
    data = series("square")
    origins = np.array([40, 41])
    base, scale = np.zeros((2, HORIZON, 2)), np.ones((2, 2))
    rows = BoostedForecast(None)._rows(data, origins, np.zeros((2, 0)), base, scale)
    assert rows.shape[0] == 2 * HORIZON * 2
    changed = data.values.copy()
    changed[42:] += 5.0
    changed[: 41 - LENGTH] += 5.0
    other = WindowData(changed, data.marks, LENGTH, HORIZON, (SEASON,))
    again = BoostedForecast(None)._rows(other, origins, np.zeros((2, 0)), base, scale)
    np.testing.assert_allclose(again, rows, atol=1e-5)
    # the value a season before the step, without the last one
    wanted = data.values[40 + 2 - SEASON, 1] - data.values[40, 1]
    row = rows[1 * 2 + 1]  # first window, second step, second variable
    assert np.isclose(row, wanted, atol=1e-6).any()


@pytest.mark.parametrize(("kind", "best"), [("walk", "naive"), ("square", "boosting")])
def test_auto_is_the_mean_of_heads_weighted_by_their_held_out_errors(kind, best):
    data, network = series(kind), LastValue()
    head, forecasts = Head.choose("auto", network, data, TRAIN, HELD, pasts=(6, LENGTH))
    assert set(head.members) == {"network", "linear", "ridge", "boosting", "trees", "naive"}
    assert sum(head.members.values()) == pytest.approx(1)
    counted = {n: e * (STOPPED if n == "network" else 1) for n, e in head.errors.items()}
    for name, share in head.members.items():
        ratio = counted[best] / counted[name]
        assert share == pytest.approx(head.members[best] * ratio**2)
    assert error(forecasts, data, HELD) == pytest.approx(head.errors[head.kind], rel=1e-4)
    by_weight = sum(share * head.errors[name] for name, share in head.members.items())
    assert head.errors[head.kind] < by_weight  # of a mean, less than the mean of errors
    worst = max(("network", "ridge", "boosting"), key=head.errors.__getitem__)
    assert best != worst
    wrong, _ = Head.choose(worst, network, data, TRAIN, HELD)
    made = head.forecast(network, data, TEST)
    assert error(made, data, TEST) < error(wrong.forecast(network, data, TEST), data, TEST)
    facts = head.facts()
    assert facts["weights"][best] == max(facts["weights"].values())
    assert facts["ridges"] == 2 * 5  # of each past and level


def test_ridges_are_averaged_by_the_fourth_power_of_their_errors():
    data = series("wave")
    several = RidgeForecast()
    several.choose(data, TRAIN, HELD, nothing(TRAIN, HELD), (3, LENGTH), several=True)
    assert {ridge.choice.past for ridge in several.ridges} == {3, LENGTH}
    errors = np.array([ridge.error for ridge in several.ridges])
    np.testing.assert_allclose(several.weights, errors**-4.0 / (errors**-4.0).sum(), rtol=1e-9)
    each = [ridge.predict(data, TEST, *nothing(TEST)) for ridge in several.ridges]
    mean = np.einsum("i,inhc->nhc", several.weights, np.array(each))
    np.testing.assert_allclose(several.predict(data, TEST, *nothing(TEST)), mean, atol=1e-9)


def test_series_that_are_joined_are_not_read_across():
    """A ridge of a longer past leaves out origins whose window would reach into another series."""
    wave = series("wave").values
    joined = WindowData(np.concatenate([wave, 100 + wave]), None, LENGTH, HORIZON, (), (0, 800))
    origins = np.concatenate([np.arange(3, 700), np.arange(803, 1500)])
    np.testing.assert_array_equal(joined.room(np.array([3, 799, 800, 803])), [4, 800, 1, 4])
    np.testing.assert_array_equal(
        joined.between(np.array([3, 6, 805, 803])), [3, 4, 5, 6, 803, 804, 805]
    )
    inside = origins[joined.room(origins) >= LENGTH]
    choice = RidgeChoice("last", past=LENGTH)
    ridges = [Ridge(choice).fit(joined, o, *nothing(o)) for o in (origins, inside)]
    results = [ridge.predict(joined, TEST, *nothing(TEST)) for ridge in ridges]
    np.testing.assert_array_equal(*results)


def test_heads_without_held_out_windows_and_thinning():
    data, network = series("wave"), LastValue()
    none = np.zeros(0, np.int64)
    for kind in ("ridge", "boosting"):
        head, forecasts = Head.choose(kind, network, data, TRAIN, none)
        assert head.kind == kind
        assert forecasts.shape[0] == 0
        naive = error(network(torch.from_numpy(data.past(TEST))).numpy(), data, TEST)
        assert error(head.forecast(network, data, TEST), data, TEST) < 0.2 * naive
    assert Head.choose("auto", network, data, TRAIN, none)[0].kind == "network"
    np.testing.assert_array_equal(thinned(np.arange(10), 4), [0, 3, 6, 9])
    np.testing.assert_array_equal(thinned(np.arange(3), 4), [0, 1, 2])
