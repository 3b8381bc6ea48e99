"""Rows of the forecasting protocol: features at a step, targets after it, errors over both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from data_loaders.splits.leakage import assert_parts_disjoint
from tscl.errors import InputError
from tscl.evaluation.forecasting.coverage import KeptErrors, interval_score

Float64 = NDArray[np.float64]
Predictor = Callable[[int, int], Float64]
"""Called with (start, stop): forecasts (stop - start, horizon, C) from those steps."""

BLOCK_BYTES = 1 << 25
KEPT_WINDOWS, KEPT_BYTES = 300, 1 << 26
"""Windows of a part whose errors are kept for intervals, and their bytes, at most."""
COVERAGE = 0.9
"""Coverage that the intervals of tables are made for."""


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

    Args:
        split: training, validation and test part.
        n_steps: T of the series.
        horizons: steps ahead.

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
            length = part.stop - part.start
            if not 1 <= horizon < length:
                most = f"use 1..{length - 1}" if length > 1 else "give a longer series"
                raise InputError("horizon", horizon, f"the {name} part has {length} steps; {most}")


def check_matrix(name: str, values: ArrayLike, n_steps: int | None = None) -> NDArray[np.float32]:
    """A matrix (T, columns) as float32; InputError on another rank or length.

    Args:
        name: of the matrix, for the error.
        values: the matrix.
        n_steps: T that it must have; None for any.
    """
    array = np.asarray(values, dtype=np.float32)
    if array.ndim != 2:
        raise InputError(name, array.shape, "pass (n_timesteps, n_columns)")
    if n_steps is not None and len(array) != n_steps:
        raise InputError(name, f"{len(array)} steps", f"the series has {n_steps}")
    return array


def check_finite(name: str, values: NDArray[np.float32], first: int = 0) -> None:
    """Raise InputError with count and first place of NaN or infinity.

    Args:
        name: of the matrix, for the error.
        values: (T, columns).
        first: row to begin at.
    """
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
    """Bounds of blocks of rows that hold about BLOCK_BYTES of float64.

    Args:
        start: first row.
        stop: the row after the last.
        row_width: values a row.
    """
    size = max(1, BLOCK_BYTES // (8 * max(1, row_width)))
    for first in range(start, stop, size):
        yield first, min(first + size, stop)


def future(data: NDArray[np.float32], start: int, stop: int, horizon: int) -> Float64:
    """Targets ``y[t+1 .. t+horizon]`` of every row t, (stop - start, horizon, C).

    Args:
        data: (T, C) targets.
        start: first t.
        stop: the t after the last.
        horizon: steps ahead.
    """
    windows = sliding_window_view(data, horizon, axis=0)[start + 1 : stop + 1]
    return windows.transpose(0, 2, 1).astype(np.float64)


@dataclass
class ErrorSums:
    """Squared and absolute errors per channel, summed over rows and horizon steps."""

    squared: Float64 = field(default_factory=lambda: np.zeros(1))
    absolute: Float64 = field(default_factory=lambda: np.zeros(1))
    count: int = 0
    kept: KeptErrors | None = None

    def add(self, forecast: Float64, truth: Float64) -> None:
        """Add a block of forecasts and truths, (b, horizon, C) each."""
        error = forecast - truth
        self.squared = self.squared + np.einsum("bhc,bhc->c", error, error)
        self.absolute = self.absolute + np.abs(error).sum(axis=(0, 1))
        self.count += error.shape[0] * error.shape[1]

    @classmethod
    def joined(cls, each: Sequence[ErrorSums]) -> ErrorSums:
        """The channels of several series of one length as one."""
        squared, absolute = (
            np.concatenate([getattr(sums, name) for sums in each])
            for name in ("squared", "absolute")
        )
        return cls(squared, absolute, each[0].count)

    def keep(
        self, data: NDArray[np.float32], rows: NDArray[np.int64], errors: Float64, stride: int = 1
    ) -> None:
        """Keep the errors of further windows.

        Args:
            data: (T, C) targets.
            rows: (n,) last steps of the windows' past.
            errors: (n, H, C) forecast minus truth.
            stride: steps from one window to the next.
        """
        back = np.arange(1 - max(48, errors.shape[1]), 1)
        spread = data[np.maximum(rows[:, None] + back, 0)].std(axis=1, dtype=np.float64)
        part = KeptErrors(errors.astype(np.float32), spread, stride)
        if self.kept is not None:
            part = KeptErrors(
                np.concatenate([self.kept.errors, part.errors]),
                np.concatenate([self.kept.spread, spread]),
                stride,
            )
        self.kept = part

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
    """Errors over all rows of a part whose targets lie inside that part.

    Args:
        predict: forecasts (stop - start, horizon, C) of the rows [start, stop).
        data: (T, C) targets.
        part: of the series.
        horizon: steps ahead.
        width: values a row that ``predict`` holds beside its outputs, for the size of a block.
    """
    sums = ErrorSums()
    outputs = horizon * data.shape[1]
    most = max(20, min(KEPT_WINDOWS, KEPT_BYTES // (4 * outputs)))
    stride = max(1, -(-(part.stop - horizon - part.start) // most))
    for start, stop in row_blocks(part.start, part.stop - horizon, outputs + width):
        forecast, truth = predict(start, stop), future(data, start, stop, horizon)
        sums.add(forecast, truth)
        rows = np.arange(start + (part.start - start) % stride, stop, stride)
        if len(rows):
            sums.keep(data, rows, forecast[rows - start] - truth[rows - start], stride)
    return sums


@dataclass(frozen=True)
class HorizonResult:
    """Errors of one forecaster at one horizon; scaled unless the name ends in ``_raw``.

    Attributes:
        horizon: number of steps ahead.
        mse: mean squared error over test rows, steps and channels.
        mae: mean absolute error of the same.
        mse_raw: mean squared error in the original unit, when the scale was given.
        mae_raw: mean absolute error in the original unit.
        alpha: penalty chosen on validation; one per channel for per-channel ridges.
        valid_mse: mean squared error on the validation part (what choices may look at).
        valid_mae: mean absolute error on the validation part.
        n_train: training rows (0 for forecasters that fit nothing).
        n_valid: validation rows.
        n_test: test rows.
        variables: test MSE and MAE of every target, scaled, in the order of the channels.
        coverage: share of the truth in 90 % intervals that begin with the validation errors and
            follow those of the test part (:func:`tscl.evaluation.forecasting.coverage.
            tracked_widths`), over some 300 windows; None without validation errors.
        width: mean width of these intervals, scaled.
        mase: MAE over the mean absolute change by a season in the training part, mean over
            channels (Hyndman and Koehler 2006); None where no season was given.
    """

    horizon: int
    mse: float
    mae: float
    mse_raw: float | None
    mae_raw: float | None
    alpha: float | tuple[float, ...] | None
    valid_mse: float
    valid_mae: float
    n_train: int
    n_valid: int
    n_test: int
    variables: tuple[tuple[float, float], ...] = ()
    coverage: float | None = None
    width: float | None = None
    mase: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON types, without the single variables."""
        return {k: v for k, v in asdict(self).items() if k != "variables"}

    def with_mase(self, change: Float64) -> HorizonResult:
        """The result with ``mase``; ``change`` (C,) is of :func:`seasonal_change`."""
        errors = np.array([mae for _, mae in self.variables])
        return replace(self, mase=float(np.mean(errors / change)))


def make_result(
    horizon: int,
    test: ErrorSums,
    valid: ErrorSums,
    split: SplitLike,
    scale: Float64 | None,
    *,
    alpha: float | tuple[float, ...] | None = None,
    n_train: int = 0,
) -> HorizonResult:
    """A row of the table from the error sums of one horizon.

    Args:
        horizon: steps ahead.
        test: errors on the test part.
        valid: errors on the validation part; ``test`` itself for a model without one.
        split: training, validation and test part.
        scale: (C,) deviations, for errors in original units.
        alpha: penalty in use, one or one a channel.
        n_train: rows the model was fitted on.
    """
    covered: tuple[float | None, float | None] = (None, None)
    if valid.kept is not None and test.kept is not None and valid is not test:
        covered = interval_score(valid.kept, test.kept, COVERAGE)
    return HorizonResult(
        horizon=horizon,
        mse=test.mse(),
        mae=test.mae(),
        mse_raw=None if scale is None else test.mse(scale),
        mae_raw=None if scale is None else test.mae(scale),
        alpha=alpha,
        valid_mse=valid.mse(),
        valid_mae=valid.mae(),
        n_train=n_train,
        n_valid=split.valid.stop - split.valid.start - horizon,
        n_test=split.test.stop - split.test.start - horizon,
        variables=test.by_variable(),
        coverage=covered[0],
        width=covered[1],
    )


def seasonal_change(data: ArrayLike, train: slice, season: int) -> Float64:
    """Mean absolute change by a season in the training part, (C,), not 0.

    Args:
        data: (T, C) targets.
        train: the training part.
        season: steps of a season.
    """
    part = check_matrix("data", data)[train].astype(np.float64)
    season = min(season, len(part) - 1)
    return np.asarray(np.maximum(np.abs(part[season:] - part[:-season]).mean(axis=0), 1e-12))


def check_scale(scale: ArrayLike | None, n_channels: int) -> Float64 | None:
    """``scale`` as (C,) float64; InputError when it does not fit."""
    if scale is None:
        return None
    values = np.atleast_1d(np.asarray(scale, dtype=np.float64))
    if values.shape != (n_channels,):
        raise InputError("scale", values.shape, f"pass one deviation for each of {n_channels}")
    return values
