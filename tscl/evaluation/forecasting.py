"""Forecasting from frozen representations: ridge per horizon, penalty chosen on validation.

The protocol of TS2Vec (arXiv 2106.10466, section 4.2), which AutoTCL (arXiv 2402.10434) follows.
For horizon H, the row of step t has the representation of step t as features and the values of
steps t+1..t+H as targets, and belongs to a part when all of them lie inside that part. The
representations come from one causal pass over the whole series, so a row of the test part may
use earlier steps of the validation part, never later ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tscl.errors import InputError
from tscl.evaluation.forecast_rows import (
    ErrorSums,
    FeatureRows,
    Float64,
    SplitLike,
    check_finite,
    check_matrix,
    check_split,
    future,
    row_blocks,
    score,
)
from tscl.evaluation.ridge import RidgePath

TS2VEC_ALPHAS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


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

    @property
    def valid_score(self) -> float:
        """RMSE + MAE on validation, by which TS2Vec chooses the penalty."""
        return float(np.sqrt(self.valid_mse)) + self.valid_mae

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON types, without the single variables."""
        return {k: v for k, v in asdict(self).items() if k != "variables"}


@dataclass(frozen=True)
class HeadSettings:
    """How the ridge head is fitted; defaults are TS2Vec's.

    Attributes:
        drop: steps at the start of training left out, for want of history.
        alphas: penalties to choose from.
        residual: predict the difference to the current value, so the head also sees that value.
        window: append the last ``window`` target values to the features; 0 for none.
        relative_window: subtract the current value from the appended window.
        standardise: scale features by mean and deviation over the training rows.
    """

    drop: int = 200
    alphas: tuple[float, ...] = TS2VEC_ALPHAS
    residual: bool = False
    window: int = 0
    relative_window: bool = True
    standardise: bool = False

    def __post_init__(self) -> None:
        if self.drop < 0:
            raise InputError("drop", self.drop, "use 0 or more")
        if self.window < 0:
            raise InputError("window_features", self.window, "use 0 (none) or more")
        RidgePath(self.alphas)


class ForecastHead:
    """A ridge for one horizon, with the penalty that does best on validation.

    Use :func:`forecast_protocol` for tables; this class is for forecasts from chosen steps.

    Args:
        rows: features of every step.
        split: training, validation and test slices.
        horizon: steps ahead.
        settings: how to fit.
    """

    def __init__(
        self, rows: FeatureRows, split: SplitLike, horizon: int, settings: HeadSettings
    ) -> None:
        self.rows = rows
        self.horizon = horizon
        self.residual = settings.residual
        self._data = rows.data
        self._start = max(split.train.start + settings.drop, rows.first)
        self._stop = split.train.stop - horizon
        self.n_train = self._stop - self._start
        self._center, self._scale = np.zeros(rows.width), np.ones(rows.width)
        if settings.standardise:
            self._standardise()
        self._model = RidgePath(settings.alphas).fit_blocks(self._training_blocks)
        self.alpha, self.valid = self._choose(split.valid)

    def predict(self, start: int, stop: int) -> Float64:
        """Forecasts (stop - start, horizon, C) from the steps [start, stop)."""
        flat = self._model.predict(self._features(start, stop), self.alpha)
        return self._restore(flat, start, stop)

    def _features(self, start: int, stop: int) -> Float64:
        return (self.rows.block(start, stop) - self._center) / self._scale

    def _blocks(self, start: int, stop: int) -> list[tuple[int, int]]:
        width = self.rows.width + self.horizon * self._data.shape[1]
        return list(row_blocks(start, stop, width))

    def _standardise(self) -> None:
        blocks = self._blocks(self._start, self._stop)
        center = sum(self.rows.block(*b).sum(axis=0) for b in blocks) / self.n_train
        spread = sum(np.square(self.rows.block(*b) - center).sum(axis=0) for b in blocks)
        deviation = np.sqrt(spread / self.n_train)
        self._center = np.asarray(center)
        self._scale = np.where(deviation > 1e-12, deviation, 1.0)

    def _training_blocks(self) -> Iterator[tuple[Float64, Float64]]:
        for start, stop in self._blocks(self._start, self._stop):
            target = future(self._data, start, stop, self.horizon)
            if self.residual:
                target -= self._data[start:stop, None, :]
            yield self._features(start, stop), target.reshape(stop - start, -1)

    def _restore(self, flat: Float64, start: int, stop: int) -> Float64:
        out = flat.reshape(stop - start, self.horizon, self._data.shape[1])
        return out + self._data[start:stop, None, :] if self.residual else out

    def _choose(self, part: slice) -> tuple[float, ErrorSums]:
        """The penalty with the least RMSE + MAE over the rows of ``part``, and its errors."""
        sums = {alpha: ErrorSums() for alpha in self._model.alphas}
        for start, stop in self._blocks(part.start, part.stop - self.horizon):
            truth = future(self._data, start, stop, self.horizon)
            for alpha, flat in self._model.predict_path(self._features(start, stop)):
                sums[alpha].add(self._restore(flat, start, stop), truth)
        return min(sums.items(), key=lambda item: np.sqrt(item[1].mse()) + item[1].mae())


def forecast_protocol(
    codes: ArrayLike | None,
    data: ArrayLike,
    split: SplitLike,
    horizons: Sequence[int],
    *,
    drop: int = 200,
    alphas: Sequence[float] = TS2VEC_ALPHAS,
    extra_features: ArrayLike | None = None,
    residual: bool = False,
    window_features: int = 0,
    relative_window: bool = True,
    standardise: bool = False,
    scale: ArrayLike | None = None,
) -> list[HorizonResult]:
    """Score representations by ridge forecasts at several horizons.

    Args:
        codes: (T, D) representations, each of what is known at its step; None for none.
        data: (T, C) targets, scaled by the training part.
        split: slices ``train``, ``valid``, ``test`` of the T steps.
        horizons: steps ahead, one result each.
        drop: steps at the start of training left out; their codes may be NaN.
        alphas: penalties to choose from on validation, by RMSE + MAE.
        extra_features: (T, E) further features known at the step, such as the calendar.
        residual: predict the difference to the current value.
        window_features: append this many of the last target values (0: none).
        relative_window: subtract the current value from the appended window.
        standardise: scale features by the training rows.
        scale: (C,) training deviations of the unscaled data, for errors in the original unit.

    Returns:
        One :class:`HorizonResult` per horizon, in the order given.

    Raises:
        InputError: wrong shapes, non-finite values, a horizon too long for some part (before
            anything is computed).
        LeakageError: parts that share a time step.
    """
    settings = HeadSettings(
        drop, tuple(alphas), residual, window_features, relative_window, standardise
    )
    rows = _prepare(codes, data, split, tuple(horizons), settings, extra_features)
    deviations = check_scale(scale, rows.data.shape[1])
    results = []
    for horizon in horizons:
        head = ForecastHead(rows, split, horizon, settings)
        test = score(head.predict, rows.data, split.test, horizon, rows.width)
        results.append(
            make_result(
                horizon, test, head.valid, split, deviations, alpha=head.alpha, n_train=head.n_train
            )
        )
    return results


@dataclass(frozen=True, eq=False)
class OriginForecast:
    """Forecasts from chosen steps beside what came.

    Attributes:
        origins: (n,) the steps forecast from; step ``origin + 1`` is the first one forecast.
        forecast: (n, horizon, C) float32, scaled as the data.
        truth: (n, horizon, C) float32; NaN after the end of the series.
        alpha: the penalty chosen on validation.
    """

    origins: NDArray[np.int64]
    forecast: NDArray[np.float32]
    truth: NDArray[np.float32]
    alpha: float


def predict_last(
    codes: ArrayLike | None,
    data: ArrayLike,
    split: SplitLike,
    horizon: int,
    *,
    origins: Sequence[int] | None = None,
    drop: int = 200,
    alphas: Sequence[float] = TS2VEC_ALPHAS,
    extra_features: ArrayLike | None = None,
    residual: bool = False,
    window_features: int = 0,
    relative_window: bool = True,
    standardise: bool = False,
) -> OriginForecast:
    """Forecast from chosen steps with the head that :func:`forecast_protocol` scores.

    Args:
        origins: steps to forecast from; None for the last test step whose truth is complete.
            The last step of the series forecasts beyond it (the truth is then NaN).

    The other arguments and the errors are those of :func:`forecast_protocol`.
    """
    settings = HeadSettings(
        drop, tuple(alphas), residual, window_features, relative_window, standardise
    )
    rows = _prepare(codes, data, split, (horizon,), settings, extra_features)
    n_steps = len(rows.data)
    steps = [split.test.stop - horizon - 1] if origins is None else [int(o) for o in origins]
    for step in steps:
        if not rows.first <= step < n_steps:
            raise InputError("origins", step, f"use steps {rows.first}..{n_steps - 1}")
    head = ForecastHead(rows, split, horizon, settings)
    truth = np.full((len(steps), horizon, rows.data.shape[1]), np.nan, dtype=np.float32)
    for i, step in enumerate(steps):
        known = rows.data[step + 1 : step + 1 + horizon]
        truth[i, : len(known)] = known
    forecast = [head.predict(step, step + 1)[0] for step in steps]
    return OriginForecast(
        np.asarray(steps, np.int64), np.asarray(forecast, np.float32), truth, head.alpha
    )


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
    """Collect the error sums of one horizon into a row of the table."""
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
    )


def check_scale(scale: ArrayLike | None, n_channels: int) -> Float64 | None:
    """``scale`` as (C,) float64; InputError when it does not fit."""
    if scale is None:
        return None
    values = np.atleast_1d(np.asarray(scale, dtype=np.float64))
    if values.shape != (n_channels,):
        raise InputError("scale", values.shape, f"pass one deviation for each of {n_channels}")
    return values


def _prepare(
    codes: ArrayLike | None,
    data: ArrayLike,
    split: SplitLike,
    horizons: tuple[int, ...],
    settings: HeadSettings,
    extra: ArrayLike | None,
) -> FeatureRows:
    values = check_matrix("data", data)
    n_steps = len(values)
    check_split(split, n_steps, horizons)
    parts = {
        name: None if part is None else check_matrix(name, part, n_steps)
        for name, part in (("codes", codes), ("extra_features", extra))
    }
    rows = FeatureRows(
        values, parts["codes"], parts["extra_features"], settings.window, settings.relative_window
    )
    if rows.width == 0:
        raise InputError("codes", "no features", "pass codes, extra features or a window")
    start = max(split.train.start + settings.drop, rows.first)
    longest = max(horizons)
    if split.train.stop - longest - start < 2:
        raise InputError(
            "horizon",
            longest,
            f"no training rows are left of {split.train.stop - split.train.start} steps "
            f"after dropping {start}",
        )
    if split.valid.start < rows.first:
        raise InputError("window_features", settings.window, "shorter than the training part")
    check_finite("data", values, split.train.start)
    for name, part in parts.items():
        if part is not None:
            check_finite(name, part, start)
    return rows


def validation_score(
    codes: ArrayLike | None,
    data: ArrayLike,
    split: SplitLike,
    horizons: Sequence[int],
    *,
    settings: HeadSettings | None = None,
) -> float:
    """Mean over horizons of RMSE + MAE on the validation part; nothing after it is read.

    Args:
        codes: (T, D) representations of at least the training and validation steps.
        data: (T, C) targets, scaled.
        split: only ``train`` and ``valid`` are used.
        horizons: steps ahead.
        settings: of the ridge head.
    """
    settings = settings or HeadSettings()
    stop = split.valid.stop
    values = check_matrix("data", data)[:stop]
    features = None if codes is None else check_matrix("codes", codes)[:stop]
    rows = FeatureRows(values, features, None, settings.window, settings.relative_window)
    scores = []
    for horizon in horizons:
        valid = ForecastHead(rows, split, horizon, settings).valid
        scores.append(float(np.sqrt(valid.mse())) + valid.mae())
    return float(np.mean(scores))
