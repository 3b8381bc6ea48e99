"""What the sktime forecaster takes for settings left open: by length, frequency, validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tscl.forecasters.direct_heads import RidgeForecast, WindowData, thinned

SHORT = 1000
"""Shorter series get the small network."""
SECONDS = {"day": 86_400, "year": 365.25 * 86_400}
NORMS = {"last": "last", "none": "none", "mean": "standard"}
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
    candidates: Sequence[int], data: WindowData, train: NDArray[np.int64], held: NDArray[np.int64]
) -> tuple[int, str, dict[int, float]]:
    """Length of the past and level of the window by a ridge on lags, on the held-out windows.

    The shortest length within 1 % of the least error.

    Args:
        candidates: lengths, all of which fit before the first origin.
        data: of any length. train, held: origins.

    Returns:
        The length, the instance normalisation, and the error of every length.
    """
    errors, levels = {}, {}
    train, held = thinned(train, 4000), thinned(held, 1000)
    nothing = np.zeros((len(train), 0)), np.zeros((len(held), 0))
    for length in candidates:
        lags = WindowData(data.values, None, length, data.horizon)
        ridge = RidgeForecast().choose(lags, train, held, nothing)
        errors[length], levels[length] = ridge.error, NORMS[ridge.choice.level]
    least = min(errors.values())
    length = next(past for past in sorted(errors) if errors[past] <= 1.01 * least)
    return length, levels[length], errors


def network_settings(length: int, horizon: int, n_steps: int) -> dict[str, Any]:
    """A small network: dilated convolutions over patches beside a linear map of the past.

    Args:
        length, horizon: steps of past and future. n_steps: of all series together.
    """
    width = 16 if n_steps < SHORT else 32
    most = min(horizon, max(1, length // 12))
    patch = max(p for p in (1, 2, 3, 4, 6, 8, 12) if p <= most)
    return {
        "encoder": "dilated",
        "encoder_params": {"hidden_dims": width, "depth": 1 if n_steps < SHORT else 2},
        "network_params": {
            "output_dims": width,
            "decoder_dims": 0 if n_steps < SHORT else width,
            "patch": patch,
            "skip": "linear",
        },
    }


def training_settings(n_windows: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Batch size, stride between windows, epochs and steps: a bounded number of steps.

    Args:
        n_windows: for training, at a stride of 1.
        options: settings of the forecaster; those that are None are chosen.
    """
    batch = options["batch_size"] or (16 if n_windows < SHORT else 64)
    stride = options["stride"] or max(1, n_windows // (100 * batch))
    epochs = options["max_epochs"]
    steps = options["max_steps"]
    if epochs is None:
        epochs = 20 if n_windows < SHORT else 8
        steps = steps or 800
    return {"batch_size": batch, "stride": stride, "max_epochs": epochs, "max_steps": steps}


def describe(settings: Mapping[str, Any]) -> str:
    """The choices in a line."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())
