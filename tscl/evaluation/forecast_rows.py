"""Rows of the forecasting protocol: features at a step, targets after it, errors over both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from tscl.errors import InputError
from tscl.evaluation.leakage import assert_parts_disjoint

Float64 = NDArray[np.float64]
Predictor = Callable[[int, int], Float64]
"""Called with (start, stop): forecasts (stop - start, horizon, C) from those steps."""

BLOCK_BYTES = 1 << 25


class SplitLike(Protocol):
    """Three slices of a time axis with explicit start and stop."""

    @property
    def train(self) -> slice: ...  # noqa: D102
    @property
    def valid(self) -> slice: ...  # noqa: D102
    @property
    def test(self) -> slice: ...  # noqa: D102


def check_split(split: SplitLike, n_steps: int, horizons: tuple[int, ...]) -> None:
    """Raise before any work when a split or a horizon cannot be scored.

    Raises:
        LeakageError: the parts share a step.
        InputError: a part beyond the series, or a horizon without a row in some part.
    """
    parts = {"train": split.train, "valid": split.valid, "test": split.test}
    assert_parts_disjoint("time step", **parts)
    if not horizons:
        raise InputError("horizons", horizons, "pass at least one horizon")
    for name, part in parts.items():
        if part.stop > n_steps or part.start < 0:
            raise InputError(f"split.{name}", part, f"the series has {n_steps} steps")
        for horizon in horizons:
            if not 1 <= horizon < part.stop - part.start:
                raise InputError(
                    "horizon",
                    horizon,
                    f"the {name} part has {part.stop - part.start} steps, "
                    f"so use 1..{part.stop - part.start - 1}",
                )


def check_matrix(name: str, values: ArrayLike, n_steps: int | None = None) -> NDArray[np.float32]:
    """``values`` as (T, columns) float32; InputError on another rank or length."""
    array = np.asarray(values, dtype=np.float32)
    if array.ndim != 2:
        raise InputError(name, array.shape, "pass (n_timesteps, n_columns)")
    if n_steps is not None and len(array) != n_steps:
        raise InputError(name, f"{len(array)} steps", f"the series has {n_steps}")
    return array


def check_finite(name: str, values: NDArray[np.float32], first: int = 0) -> None:
    """Raise InputError with count and first place when rows from ``first`` on hold NaN or Inf."""
    bad = ~np.isfinite(values[first:])
    if bad.any():
        row, col = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            name,
            f"{int(bad.sum())} NaN or infinite values, the first at step {first + row}, "
            f"column {col}",
            "fill the gaps, or drop more steps at the start",
        )


def row_blocks(start: int, stop: int, row_width: int) -> Iterator[tuple[int, int]]:
    """Bounds of blocks of rows that hold about BLOCK_BYTES of float64."""
    size = max(1, BLOCK_BYTES // (8 * max(1, row_width)))
    for first in range(start, stop, size):
        yield first, min(first + size, stop)


def future(data: NDArray[np.float32], start: int, stop: int, horizon: int) -> Float64:
    """Targets ``y[t+1 .. t+horizon]`` for t in [start, stop): (stop - start, horizon, C)."""
    windows = sliding_window_view(data, horizon, axis=0)[start + 1 : stop + 1]
    return windows.transpose(0, 2, 1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """Features of each step, built block by block from parts known at that step.

    Attributes:
        data: (T, C) scaled targets, the source of windows.
        codes: (T, D) representations, or None.
        extra: (T, E) further features known at the step (calendar, ...), or None.
        window: how many of the last values, the current included, to append; 0 for none.
        relative: subtract the current value from the window (leaves window - 1 columns a channel).
    """

    data: NDArray[np.float32]
    codes: NDArray[np.float32] | None = None
    extra: NDArray[np.float32] | None = None
    window: int = 0
    relative: bool = True

    @property
    def width(self) -> int:
        """Number of feature columns."""
        columns = sum(a.shape[1] for a in (self.codes, self.extra) if a is not None)
        made: int = columns + max(0, self.window - int(self.relative)) * self.data.shape[1]
        return made

    @property
    def first(self) -> int:
        """First step that has a full window."""
        return max(0, self.window - 1)

    def block(self, start: int, stop: int) -> Float64:
        """Features of the steps [start, stop), (stop - start, width) float64."""
        parts = [
            a[start:stop].astype(np.float64) for a in (self.codes, self.extra) if a is not None
        ]
        if self.window:
            past = self.data[start - self.window + 1 : stop].astype(np.float64)
            view = sliding_window_view(past, self.window, axis=0)
            if self.relative:
                view = view[:, :, :-1] - view[:, :, -1:]
            parts.append(view.reshape(stop - start, -1))
        return np.concatenate(parts, axis=1)


@dataclass
class ErrorSums:
    """Squared and absolute errors per channel, summed over rows and horizon steps."""

    squared: Float64 = field(default_factory=lambda: np.zeros(1))
    absolute: Float64 = field(default_factory=lambda: np.zeros(1))
    count: int = 0

    def add(self, forecast: Float64, truth: Float64) -> None:
        """Add a block of forecasts and truths, (b, horizon, C) each."""
        error = forecast - truth
        self.squared = self.squared + np.einsum("bhc,bhc->c", error, error)
        self.absolute = self.absolute + np.abs(error).sum(axis=(0, 1))
        self.count += error.shape[0] * error.shape[1]

    def by_variable(self) -> tuple[tuple[float, float], ...]:
        """Mean squared and mean absolute error of every channel."""
        pairs = zip(self.squared / self.count, self.absolute / self.count, strict=True)
        return tuple((float(a), float(b)) for a, b in pairs)

    def mse(self, scale: Float64 | None = None) -> float:
        """Mean squared error over channels, in the original unit when ``scale`` (C,) is given."""
        weight = 1.0 if scale is None else np.square(scale)
        return float(np.mean(self.squared * weight) / self.count)

    def mae(self, scale: Float64 | None = None) -> float:
        """Mean absolute error over channels, in the original unit when ``scale`` is given."""
        return float(np.mean(self.absolute * (1.0 if scale is None else scale)) / self.count)


def score(
    predict: Predictor, data: NDArray[np.float32], part: slice, horizon: int, width: int = 0
) -> ErrorSums:
    """Errors of ``predict`` over all rows of a part whose targets lie inside that part."""
    sums = ErrorSums()
    outputs = horizon * data.shape[1]
    for start, stop in row_blocks(part.start, part.stop - horizon, outputs + width):
        sums.add(predict(start, stop), future(data, start, stop, horizon))
    return sums
