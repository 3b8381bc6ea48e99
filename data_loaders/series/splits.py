"""Where training, validation and test parts of a series begin and end, and scaling by training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tscl.errors import DataError, InputError, LeakageError

DAYS_A_MONTH = 30


@dataclass(frozen=True)
class ForecastSplit:
    """Three consecutive parts of a time axis: ``train``, ``valid``, ``test`` slices.

    Raises:
        InputError: a slice with a step, without bounds, or empty.
        LeakageError: parts that overlap or stand in the wrong order.
    """

    train: slice
    valid: slice
    test: slice

    def __post_init__(self) -> None:
        for name, part in self.parts():
            if part.start is None or part.stop is None or part.step not in (None, 1):
                raise InputError(f"split.{name}", part, "use slice(start, stop)")
            if part.start < 0 or part.stop <= part.start:
                raise InputError(f"split.{name}", part, "a part needs at least one step")
        if self.valid.start < self.train.stop or self.test.start < self.valid.stop:
            raise LeakageError("split", self.bounds, "train, valid and test must follow in time")

    def parts(self) -> Iterator[tuple[str, slice]]:
        """The three parts with their names, in time order."""
        yield from (("train", self.train), ("valid", self.valid), ("test", self.test))

    @property
    def bounds(self) -> dict[str, tuple[int, int]]:
        """First step and end of each part, for tables and run records."""
        return {name: (part.start, part.stop) for name, part in self.parts()}

    def check_horizons(self, horizons: Sequence[int]) -> None:
        """Raise InputError when a horizon leaves no row in one of the parts."""
        for horizon in horizons:
            for name, part in self.parts():
                length = part.stop - part.start
                if not 1 <= horizon < length:
                    most = f"use 1..{length - 1}" if length > 1 else "give a longer series"
                    remedy = f"the {name} part has {length} steps; {most}"
                    raise InputError("horizon", horizon, remedy)


def _from_lengths(n_steps: int, train: int, valid: int, test: int) -> ForecastSplit:
    """Consecutive parts of given lengths from the start of a series of ``n_steps``.

    Raises:
        DataError: the series is shorter than the three parts together.
    """
    if n_steps < train + valid + test:
        raise DataError(
            "series", f"{n_steps} steps", f"this split needs {train + valid + test}; use a ratio"
        )
    a, b = train, train + valid
    return ForecastSplit(slice(0, a), slice(a, b), slice(b, b + test))


def ett_hourly(n_steps: int) -> ForecastSplit:
    """12/4/4 months of 30 days of hourly steps (arXiv 2012.07436): 8640/2880/2880."""
    month = DAYS_A_MONTH * 24
    return _from_lengths(n_steps, 12 * month, 4 * month, 4 * month)


def ett_minute(n_steps: int) -> ForecastSplit:
    """12/4/4 months of 30 days of 15-minute steps: 34560/11520/11520."""
    month = DAYS_A_MONTH * 24 * 4
    return _from_lengths(n_steps, 12 * month, 4 * month, 4 * month)


def ratio_split(
    n_steps: int, train: float = 0.6, valid: float = 0.2, test: float = 0.2
) -> ForecastSplit:
    """Parts by share: boundaries at ``floor(n * train)`` and ``floor(n * (train + valid))``.

    (.6, .2, .2) is TS2Vec's split (arXiv 2106.10466), (.7, .1, .2) the one common in end-to-end
    forecasting. Shares that sum to 1 use every step.

    Args:
        n_steps: T.
        train: share of the training part, > 0.
        valid: share of the validation part, > 0.
        test: share of the test part, > 0.

    Raises:
        InputError: a share that is not positive, or shares that sum to more than 1.
        DataError: a part without steps.
    """
    shares = (train, valid, test)
    if min(shares) <= 0 or sum(shares) > 1 + 1e-9:
        raise InputError("ratio", shares, "use three positive shares that sum to at most 1")
    edges = [int(np.floor(n_steps * share + 1e-6)) for share in np.cumsum(shares)]
    if edges[0] < 1 or edges[1] <= edges[0] or edges[2] <= edges[1]:
        raise DataError("series", f"{n_steps} steps", f"too short for the shares {shares}")
    return ForecastSplit(slice(0, edges[0]), slice(edges[0], edges[1]), slice(edges[1], edges[2]))


@dataclass(frozen=True, eq=False)
class TrainScaler:
    """Zero mean and unit deviation by the statistics of the training part only.

    Attributes:
        mean: (C,) float64.
        scale: (C,) float64, the population standard deviation.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(
        cls, values: ArrayLike, train: slice, columns: Sequence[str] | None = None
    ) -> TrainScaler:
        """Statistics of ``values[train]``, ignoring NaN.

        Args:
            values: (T, C).
            train: the training part.
            columns: names of the C columns, for errors.

        Raises:
            DataError: a column that is constant or empty in the training part.
        """
        part = np.asarray(values, dtype=np.float64)[train]
        if part.ndim != 2 or len(part) == 0:
            raise DataError(
                "values", part.shape, "pass (n_timesteps, n_channels) and a filled part"
            )
        for col in range(part.shape[1]):
            seen = part[~np.isnan(part[:, col]), col]
            if seen.size == 0 or np.ptp(seen) == 0:
                name = columns[col] if columns is not None else f"column {col}"
                raise DataError(name, "constant in the training part", "drop it or move the split")
        return cls(np.nanmean(part, axis=0), np.nanstd(part, axis=0))

    def transform(self, values: ArrayLike) -> NDArray[np.float32]:
        """Scale (T, C) values of the original unit to float32."""
        return ((np.asarray(values, np.float64) - self.mean) / self.scale).astype(np.float32)

    def inverse(self, values: ArrayLike) -> NDArray[np.float32]:
        """Bring scaled values (..., C) back to the original unit."""
        return (np.asarray(values, np.float64) * self.scale + self.mean).astype(np.float32)
