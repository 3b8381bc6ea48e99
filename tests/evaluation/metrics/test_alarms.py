"""The delay protocol by hand and against a loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from tscl.errors import InputError
from tscl.evaluation.metrics.alarms import adjust_by_delay, delay_scores, on_grid


def test_by_hand():
    truth = [0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1]
    alarm = [1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0]
    assert adjust_by_delay(truth, alarm, 2).tolist() == [1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0]
    assert adjust_by_delay(truth, alarm, 1).tolist() == [1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0]
    assert adjust_by_delay(truth, alarm, 0).tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]
    scores = delay_scores(truth, alarm, 2)
    assert scores == {"precision": 6 / 8, "recall": 6 / 7, "f1": pytest.approx(12 / 15)}


def loop(truth: list[int], alarm: list[int], delay: int) -> list[int]:
    out, t = list(alarm), 0
    while t < len(truth):
        if truth[t] == 0:
            t += 1
            continue
        end = t
        while end < len(truth) and truth[end] == 1:
            end += 1
        hit = int(any(alarm[k] == 1 for k in range(t, end) if k - t <= delay))
        for k in range(t, end):
            out[k] = hit
        t = end
    return out


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1), st.integers(0, 5))
def test_against_a_loop(pairs, delay):
    truth, alarm = [a for a, _ in pairs], [b for _, b in pairs]
    assert adjust_by_delay(truth, alarm, delay).tolist() == loop(truth, alarm, delay)


def test_series_are_counted_together_and_segments_do_not_span_two():
    truth, alarm = [np.array([0, 1, 1]), np.array([1, 1, 0])], [np.array([0, 0, 1]), np.zeros(3)]
    expected = f1_score([0, 1, 1, 1, 1, 0], [0, 1, 1, 0, 0, 0])
    assert delay_scores(truth, alarm, 1)["f1"] == pytest.approx(expected)
    assert delay_scores([0, 1], [0, 0], 3) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_bad_input_is_named():
    for truth, alarm, delay, match in (
        ([0, 2], [0, 1], 1, "0 and 1"),
        ([0, 1], [0, 1, 1], 1, "one a step"),
        ([0, 1], [0, 1], -1, "0 or more"),
        ([[0, 1]], [[0, 1], [1, 1]], 1, "give 1"),
        ([], [], 1, "one series"),
    ):
        with pytest.raises(InputError, match=match):
            delay_scores(truth, alarm, delay)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True), st.data())
def test_grid_by_a_loop(steps: list[int], data: st.DataObject) -> None:
    flags = [data.draw(st.integers(0, 1)) for _ in steps]
    known = dict(zip(steps, flags, strict=True))
    apart = min((abs(a - b) for a in steps for b in steps if a != b), default=1)
    if any((step - min(steps)) % apart for step in steps):
        return
    grid = range(min(steps), max(steps) + 1, apart)
    times = [1501475700 + 60 * step for step in steps]
    assert on_grid(times, flags).tolist() == [known.get(step, 0) for step in grid]


def test_a_missing_step_parts_an_anomaly() -> None:
    """The alarm on its last step finds the second part alone."""
    truth, alarm, times = [0, 1, 1, 1, 1], [0, 0, 0, 0, 1], [0, 60, 120, 240, 300]
    assert delay_scores(truth, alarm, 1, times)["recall"] == 2 / 4
    assert delay_scores(truth, alarm, 3)["recall"] == 1.0
    assert delay_scores([truth], [alarm], 1, [times])["recall"] == 2 / 4
    for wrong in ([0, 1, 2], [0, 60, 60, 120, 180], [0.5, 1.5, 2.5, 3.5, 4.5]):
        with pytest.raises(InputError, match="times"):
            delay_scores(truth, alarm, 1, wrong)
