"""Names of lines are moved apart as little as possible."""

from __future__ import annotations

import numpy as np

from tscl.runs.label_efficiency.figures import spread


def test_names_that_are_apart_stay():
    np.testing.assert_allclose(spread(np.array([0.1, 0.5, 0.9]), 0.1), [0.1, 0.5, 0.9])


def test_names_that_touch_stand_around_their_mean():
    placed = spread(np.array([0.5, 0.5, 0.52, 2.0]), 0.1)
    np.testing.assert_allclose(np.diff(placed)[:2], 0.1)
    np.testing.assert_allclose(placed[:3].mean(), np.mean([0.5, 0.5, 0.52]))
    assert placed[3] == 2.0
