"""Widths of prediction intervals that follow the errors, and how often they cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

Float64 = NDArray[np.float64]
RATE = 0.05
"""Share of the largest recent score by which a width moves."""
MEMORY = 100
"""Scores among which the largest is looked for."""


def calibrated(scores: NDArray[np.floating], coverage: float) -> Float64:
    """The ceil((n + 1) coverage)-th smallest score of n along the first axis (1st to n-th).

    Split conformal prediction (Vovk et al. 2005; Lei et al. 2018, arXiv 1604.04173, algorithm 2).
    """
    n = len(scores)
    rank = min(n, max(1, int(np.ceil((n + 1) * coverage - 1e-9))))
    result: Float64 = np.sort(scores, axis=0)[rank - 1].astype(np.float64)
    return result


def window_spread(past: NDArray[np.floating]) -> Float64:
    """Deviation of every variable within its window (n, L, C), (n, C), none near zero."""
    spread = past.std(axis=1, dtype=np.float64)
    return np.asarray(np.maximum(spread, 0.1 * np.median(spread, axis=0) + 1e-6))


def tracked_widths(
    held: NDArray[np.floating],
    later: NDArray[np.floating],
    coverage: float,
    *,
    stride: int = 1,
    rate: float = RATE,
    memory: int = MEMORY,
) -> Float64:
    """Widths (n + 1, H, C) for each of n windows in turn, and for the one after them.

    The first one is the conformal quantile of the held-out scores. The width of a step then grows
    when the truth lay outside and shrinks when it did not, as soon as it is known:

        q' = q + rate max(recent scores) (outside - (1 - coverage))

    (quantile tracking, Angelopoulos et al. 2023, arXiv 2307.16895, section 2.1: adaptive conformal
    inference, arXiv 2106.00170, on the width in place of the level, so that no interval is
    infinite). Errors far ahead are known late. So q outside of which the truth lay is today's, not
    that of the interval given then, or every miss of a long delay would widen it once more; and a
    width has grown at least as much as those of the nearer steps on average. Neither is in the
    paper.

    Args:
        held: (m, H, C) absolute errors of held-out windows, over the spread of their window.
        later: (n, H, C) the same of the windows that follow, in order; NaN is not known yet.
        coverage: share of the truth to cover.
        stride: steps from one of the later windows to the next.
        rate: of the moves.
        memory: scores before each that the largest is taken of.
    """
    held, later = np.asarray(held, np.float64), np.asarray(later, np.float64)
    first = np.maximum(calibrated(held, coverage), 1e-12)
    before = held[-memory:]
    scores = np.nan_to_num(np.concatenate([before, later]), nan=0.0)
    size = min(memory, len(scores))
    largest = maximum_filter1d(scores, size, axis=0, origin=(size - 1) // 2, mode="constant")
    largest = largest[len(before) :]
    n, horizon = later.shape[:2]
    delay = -(-np.arange(1, horizon + 1) // stride)
    count = np.arange(1, horizon + 1)[:, None]
    own, widths = first.copy(), np.empty((n + 1, *first.shape))
    for i in range(n + 1):
        steps = np.flatnonzero(delay <= i)
        at = (i - delay[steps], steps)
        moves = rate * largest[at] * ((later[at] > own[steps]) - (1.0 - coverage))
        own[steps] = np.maximum(own[steps] + np.where(np.isnan(later[at]), 0.0, moves), 0.0)
        growth = own / first
        widths[i] = first * np.maximum(growth, growth.cumsum(axis=0) / count)
    return widths


@dataclass(frozen=True, eq=False)
class KeptErrors:
    """Errors of some windows of a part, in order of time.

    Attributes:
        errors: (n, H, C) forecast minus truth. spread: (n, C) deviation of the past of each.
        stride: steps from one window to the next.
    """

    errors: NDArray[np.float32]
    spread: Float64
    stride: int = 1


def interval_score(valid: KeptErrors, test: KeptErrors, coverage: float) -> tuple[float, float]:
    """Share of the truth inside intervals of :func:`tracked_widths`, and their mean width.

    Args:
        valid: what the widths begin with.
        test: what they are scored on, and follow.
        coverage: share that is asked for.
    """
    least = 0.1 * np.median(valid.spread, axis=0) + 1e-6
    held = np.abs(valid.errors) / np.maximum(valid.spread, least)[:, None]
    unit = np.maximum(test.spread, least)[:, None]
    scores = np.abs(test.errors) / unit
    widths = tracked_widths(held, scores, coverage, stride=test.stride)[:-1]
    return float(np.mean(scores <= widths)), float(np.mean(2.0 * widths * unit))
