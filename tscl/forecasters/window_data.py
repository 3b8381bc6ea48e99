"""Windows of a series, or of several joined, as forecasting heads read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Origins = NDArray[np.int64]
MAX_AHEAD = 200
"""Columns of the calendar a ridge sees; of more steps ahead, evenly spaced ones are taken."""
MAX_KNOWN = 1000
"""The same of other covariates, which may change at every step."""


@dataclass(frozen=True, eq=False)
class WindowData:
    """A series (or several joined) and what heads read of its windows.

    Attributes:
        values: (T, C) float32, scaled.
        marks: (T', K) covariates known ahead, T' >= T + horizon where forecasts start, or None.
        length, horizon: steps of past and future.
        seasons: season lengths in steps, which name the lags boosting sees.
        starts: first steps of the series that are joined.
        n_known: last columns of ``marks`` that are not of the calendar.
    """

    values: Float32
    marks: Float32 | None
    length: int
    horizon: int
    seasons: tuple[int, ...] = ()
    starts: tuple[int, ...] = (0,)
    n_known: int = 0

    def future(self, origins: Origins) -> Float32:
        """The truth (n, H, C) after each origin."""
        return np.asarray(self.values[origins[:, None] + np.arange(1, self.horizon + 1)])

    def past(self, origins: Origins, length: int = 0) -> Float32:
        """The window (n, L, C) up to each origin, or its last ``length`` steps."""
        return np.asarray(self.values[origins[:, None] + np.arange(1 - (length or self.length), 1)])

    def room(self, origins: Origins) -> Origins:
        """Steps of the same series up to each origin, (n,)."""
        starts = np.asarray(self.starts)
        first = starts[np.searchsorted(starts, origins, side="right") - 1]
        return np.asarray(origins - first + 1)

    def between(self, origins: Origins) -> Origins:
        """All steps from the first to the last of the origins in each series."""
        series = np.searchsorted(np.asarray(self.starts), origins, side="right")
        each = [origins[series == i] for i in np.unique(series)]
        return np.concatenate([np.arange(part.min(), part.max() + 1) for part in each])

    def ahead(self, origins: Origins) -> Float32:
        """Covariates (n, F) of the steps forecast, of evenly spaced ones where these are many."""
        parts = [np.zeros((len(origins), 0), np.float32)]
        if self.marks is not None:
            calendar = self.marks.shape[1] - self.n_known
            for columns, limit in (
                (self.marks[:, :calendar], MAX_AHEAD),
                (self.marks[:, calendar:], MAX_KNOWN),
            ):
                most = max(1, min(self.horizon, limit // max(1, columns.shape[1])))
                steps = np.unique(np.linspace(1, self.horizon, most).astype(np.int64))
                parts.append(columns[origins[:, None] + steps].reshape(len(origins), -1))
        return np.concatenate(parts, axis=1)


def thinned(origins: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most ``most`` of the origins, evenly spaced, the last one among them."""
    stride = -(-len(origins) // most) if len(origins) else 1
    return origins[::-1][::stride][::-1]


def shares(errors: Sequence[float], power: float) -> list[float]:
    """Weights that sum to 1, each by the inverse error to a power."""
    least = min(errors)
    ratios = np.array([1.0 if error == least else least / error for error in errors]) ** power
    return [float(share) for share in ratios / ratios.sum()]


def weighted_mean(forecasts: Iterable[NDArray[np.floating]], weights: Sequence[float]) -> Float64:
    """The sum of forecasts by weights, one of them in memory at a time."""
    result: Any = 0.0
    for forecast, weight in zip(forecasts, weights, strict=True):
        result = result + weight * np.asarray(forecast, np.float64)
    return np.asarray(result)
