"""Length of the past, season and level of windows, by the series and by windows held out of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tscl.forecasters.direct_heads import RidgeForecast
from tscl.forecasters.window_data import WindowData, thinned

SHORT = 1000
"""Shorter series get a small network."""
SECONDS = {"day": 86_400, "year": 365.25 * 86_400}
NORMS = {
    "last": "last",
    "scaled": "last",
    "none": "none",
    "mean": "standard",
    "standard": "standard",
}
"""Instance normalisation of the network for what the ridge subtracts from a window."""


def season_lengths(index: pd.Index, values: NDArray[np.floating]) -> tuple[int, ...]:
    """Steps of a day, a week and a year, as far as they are 2 to 400 steps and the series has two.

    Series without times: the lag above 1 with the largest autocorrelation of the differences, if
    that is above .3.

    Args:
        index: of the series. values: (T, C).
    """
    step = _step_seconds(index)
    if step is None:
        lag = _correlated_lag(values)
        return () if lag is None else (lag,)
    days_a_week = 5 if getattr(index, "freqstr", None) == "B" else 7
    year = SECONDS["year"] * days_a_week / 7
    lengths = [SECONDS["day"] / step, days_a_week * SECONDS["day"] / step, year / step]
    whole = [round(length) for length in lengths]
    return tuple(s for s in dict.fromkeys(whole) if 2 <= s <= min(400, len(values) // 2))


def _step_seconds(index: pd.Index) -> float | None:
    """Mean seconds of a step; None for an index that holds no times."""
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if not isinstance(index, pd.DatetimeIndex) or len(index) < 2:
        return None
    if index.freqstr == "B":
        return float(SECONDS["day"])
    return float((index[-1] - index[0]).total_seconds() / (len(index) - 1))


def _correlated_lag(values: NDArray[np.floating]) -> int | None:
    """The season of a series without times, or None."""
    change = np.diff(values[-4000:].astype(np.float64), axis=0)
    change -= change.mean(axis=0)
    n = len(change)
    if n < 12 or not np.square(change).sum() > 0:
        return None
    power = np.square(np.abs(np.fft.rfft(change, 2 * n, axis=0))).sum(axis=1)
    correlation = np.fft.irfft(power)[: min(400, n // 2)]
    correlation /= correlation[0]
    best = 2 + int(np.argmax(correlation[2:]))
    return best if correlation[best] > 0.3 else None


def past_candidates(seasons: Sequence[int], n_steps: int, horizon: int) -> list[int]:
    """Lengths of the past worth trying: one and two of every season, a third of the series at most.

    Args:
        seasons: as of :func:`season_lengths`. n_steps: of the shortest series.
    """
    most = max(1, min((n_steps - horizon) // 3, 512))
    wanted = [k * s for s in seasons for k in (1, 2)] or [max(24, 2 * horizon), 96]
    return sorted({min(length, most) for length in wanted})


def choose_past(
    candidates: Sequence[int],
    data: WindowData,
    lengths: Sequence[int],
    share: float,
    blocks: int | None = None,
) -> tuple[int, str, dict[int, float]]:
    """Length of the past and level of the window by a ridge on lags, on held-out windows.

    All lengths are compared on the same windows, and each is fitted on all that fit it: of a short
    series a long past costs many.

    Args:
        candidates: lengths of the past.
        data: of any length; series of ``lengths`` steps one after the other.
        lengths: as of :func:`held_out`.
        share: as of :func:`held_out`.
        blocks: as of :func:`held_out`.

    Returns:
        The length, the instance normalisation, and the error of every length; no errors, and the
        shortest length, where too few windows are left to hold out.
    """
    held = held_out(lengths, max(candidates), data.horizon, share, blocks)[1]
    if not len(held):
        return min(candidates), "last", {}
    some, errors, levels = thinned(held, 1000), {}, {}
    for length in candidates:
        train = thinned(held_out(lengths, length, data.horizon, share, blocks)[0], 4000)
        lags = WindowData(data.values, None, length, data.horizon)
        nothing = np.zeros((len(train), 0)), np.zeros((len(some), 0))
        ridge = RidgeForecast().choose(lags, train, some, nothing)
        errors[length], levels[length] = ridge.ridges[0].error, NORMS[ridge.choice.level]
    length = min(errors, key=errors.__getitem__)
    return length, levels[length], errors


def held_out(
    lengths: Sequence[int],
    length: int,
    horizon: int,
    share: float,
    blocks: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Origins of training windows, and of held-out ones, over joined series.

    Every series is cut into parts, and the end of each is held out: the last windows alone are one
    season of the year, and what is chosen on a summer is wrong in winter. Windows whose future
    reaches into that of a held-out one are in neither part. Fewer than ten held-out windows are too
    few to choose or calibrate by: all are then for training.

    Args:
        lengths: steps of each series, which stand one after the other.
        length: steps of the past.
        horizon: steps of the future.
        share: of the windows that is held out.
        blocks: parts of a series; None for up to five, each of at least two horizons.
    """
    train, held, every, first = [], [], [], 0
    for n in lengths:
        # of the steps, not of the windows: another length of the past has the same held-out windows
        steps = np.arange(first, first + n - horizon)
        start = first + length - 1
        every.append(steps[length - 1 :])
        n_valid = int(len(steps) * share)
        parts = blocks or max(1, min(5, n_valid // (2 * horizon)))
        gap = 0  # after the held-out windows of the part before
        for part in np.array_split(steps, parts):
            cut = len(part) - int(len(part) * share)
            some = part[gap : max(gap, cut - horizon + 1)] if cut < len(part) else part
            held.append(part[cut:][part[cut:] >= start])
            train.append(some[some >= start])
            gap = horizon - 1
        first += n
    result = np.concatenate(train), np.concatenate(held)
    if len(result[1]) < 10 or not len(result[0]):
        return np.concatenate(every), result[1][:0]
    return result


def head_origins(
    lengths: Sequence[int],
    pasts: Sequence[int],
    horizon: int,
    share: float,
    blocks: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Origins that have the shortest past, for training, and held-out ones that have the longest.

    Arguments as for :func:`held_out`.
    """
    held = held_out(lengths, max(pasts), horizon, share, blocks)[1]
    return held_out(lengths, min(pasts), horizon, share if len(held) else 0.0, blocks)[0], held
