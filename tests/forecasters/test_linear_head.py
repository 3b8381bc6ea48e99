"""A linear map trained by steps: a planted wave, the maps written out, series that are joined."""

from __future__ import annotations

import numpy as np
import torch

from tscl.forecasters.linear_head import LinearForecast
from tscl.forecasters.simple_networks import NLinear
from tscl.forecasters.window_data import WindowData

HORIZON, LENGTH = 3, 12
TRAIN, HELD, TEST = np.arange(11, 500), np.arange(505, 600), np.arange(605, 795)


def wave() -> WindowData:
    rng = np.random.default_rng(0)
    values = np.sin(2 * np.pi * np.arange(800) / 6 + np.arange(2)[:, None]).T
    values = values + 5 * np.arange(2) + 0.1 * rng.normal(size=(800, 2))
    return WindowData(values.astype(np.float32), None, LENGTH, HORIZON)


def test_a_wave_is_found_at_any_level():
    data = wave()
    head = LinearForecast()
    held = head.choose(data, TRAIN, HELD, (6, LENGTH))
    assert held.shape == (len(HELD), HORIZON, 2)
    assert len(head.maps) == 4  # of each past and rate
    assert abs(sum(head.weights) - 1) < 1e-9
    error = np.square(head.predict(data, TEST) - data.future(TEST)).mean()
    last = np.square(data.values[TEST][:, None] - data.future(TEST)).mean()
    assert error < 0.1 * last
    moved = WindowData(data.values + 100, None, LENGTH, HORIZON)
    np.testing.assert_allclose(head.predict(moved, TEST), head.predict(data, TEST) + 100, atol=1e-3)


def test_maps_forecast_what_the_network_does():
    data = wave()
    network = NLinear(2, HORIZON, LENGTH)
    torch.nn.init.normal_(network.weight)
    torch.nn.init.normal_(network.bias)
    head = LinearForecast(
        [network.weight[1, 0].detach().numpy()],
        [network.bias[:, 0].sum(dim=0).detach().numpy()],
        [1.0],
    )
    with torch.no_grad():
        expected = network(torch.from_numpy(data.past(TEST))).numpy()
    np.testing.assert_allclose(head.predict(data, TEST), expected, atol=1e-4)


def test_windows_do_not_reach_into_another_series():
    data = wave()
    joined = WindowData(
        np.concatenate([data.values, 1e3 + 0 * data.values]), None, LENGTH, HORIZON, (), (0, 800)
    )
    across = np.concatenate([TRAIN, 800 + np.arange(2, 8)])
    results = []
    for train in (TRAIN, across):
        head = LinearForecast()
        results.append(head.choose(joined, train, HELD, (LENGTH,)))
    np.testing.assert_array_equal(*results)
