"""Forecasting from frozen representations: ridge per horizon, penalty chosen on validation.

The protocol of TS2Vec (arXiv 2106.10466, section 4.2), which AutoTCL (arXiv 2402.10434) follows.
For horizon H, the row of step t has the representation of step t as features and the values of
steps t+1..t+H as targets, and belongs to a part when all of them lie inside that part. The
representations come from one causal pass over the whole series, so a row of the test part may
use earlier steps of the validation part, never later ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tscl.errors import InputError
from tscl.evaluation.forecasting.head import (
    FeatureRows,
    ForecastHead,
    HeadSettings,
)
from tscl.evaluation.forecasting.scores import (
    HorizonResult,
    SplitLike,
    check_finite,
    check_matrix,
    check_scale,
    check_split,
    make_result,
    score,
)


def forecast_protocol(
    embeddings: ArrayLike | None,
    data: ArrayLike,
    split: SplitLike,
    horizons: Sequence[int],
    *,
    extra_features: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    **head: Any,
) -> list[HorizonResult]:
    """Score representations by ridge forecasts at several horizons.

    Args:
        embeddings: (T, D) representations, each of what is known at its step; None for none. With
            (C, T, D) series c forecasts column c of ``data``, and one ridge serves them all
            (TS2Vec's protocol for electricity).
        data: (T, C) targets, scaled by the training part.
        split: slices ``train``, ``valid``, ``test`` of the T steps.
        horizons: steps ahead, one result each.
        extra_features: (T, E) further features known at the step, such as the calendar.
        scale: (C,) training deviations of the unscaled data, for errors in the original unit.
        **head: how the ridge is fitted, see :class:`tscl.evaluation.forecasting.head.HeadSettings`.

    Returns:
        One :class:`HorizonResult` per horizon, in the order given.

    Raises:
        InputError: wrong shapes, non-finite values, a horizon too long for some part (before
            anything is computed).
        LeakageError: parts that share a time step.
    """
    settings = HeadSettings(**head)
    rows = _prepare(embeddings, data, split, tuple(horizons), settings, extra_features)
    values = check_matrix("data", data)
    deviations = check_scale(scale, values.shape[1])
    results = []
    for horizon in horizons:
        fitted = ForecastHead(rows, split, horizon, settings)
        width = rows[0].width * len(rows)
        test = score(fitted.predict, values, split.test, horizon, width)
        kept = score(fitted.predict, values, split.valid, horizon, width).kept
        valid = replace(fitted.valid, kept=kept)
        results.append(
            make_result(
                horizon, test, valid, split, deviations, alpha=fitted.alpha, n_train=fitted.n_train
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
    embeddings: ArrayLike | None,
    data: ArrayLike,
    split: SplitLike,
    horizon: int,
    *,
    origins: Sequence[int] | None = None,
    extra_features: ArrayLike | None = None,
    **head: Any,
) -> OriginForecast:
    """Forecast from chosen steps with the head that :func:`forecast_protocol` scores.

    Arguments and errors as :func:`forecast_protocol`, and those below.

    Args:
        origins: steps to forecast from; None for the last test step whose truth is complete.
            The last step of the series forecasts beyond it (the truth is then NaN).
    """
    settings = HeadSettings(**head)
    rows = _prepare(embeddings, data, split, (horizon,), settings, extra_features)
    values = check_matrix("data", data)
    n_steps = len(values)
    steps = [split.test.stop - horizon - 1] if origins is None else [int(o) for o in origins]
    for step in steps:
        if not rows[0].first <= step < n_steps:
            raise InputError("origins", step, f"use steps {rows[0].first}..{n_steps - 1}")
    fitted = ForecastHead(rows, split, horizon, settings)
    truth = np.full((len(steps), horizon, values.shape[1]), np.nan, dtype=np.float32)
    for i, step in enumerate(steps):
        known = values[step + 1 : step + 1 + horizon]
        truth[i, : len(known)] = known
    forecast = [fitted.predict(step, step + 1)[0] for step in steps]
    return OriginForecast(
        np.asarray(steps, np.int64), np.asarray(forecast, np.float32), truth, fitted.alpha
    )


def _prepare(
    embeddings: ArrayLike | None,
    data: ArrayLike,
    split: SplitLike,
    horizons: tuple[int, ...],
    settings: HeadSettings,
    extra: ArrayLike | None,
) -> list[FeatureRows]:
    """Features of the one series, or of a series a column."""
    values = check_matrix("data", data)
    n_steps = len(values)
    check_split(split, n_steps, horizons)
    more = None if extra is None else check_matrix("extra_features", extra, n_steps)
    each = _series(embeddings, values)
    parts = [
        None if given is None else check_matrix("embeddings", given, n_steps) for _, given in each
    ]
    rows = [
        FeatureRows(targets, part, more, settings.window_features, settings.relative_window)
        for (targets, _), part in zip(each, parts, strict=True)
    ]
    first = rows[0]
    if first.width == 0:
        raise InputError("embeddings", "no features", "pass embeddings, extra features or a window")
    start = max(split.train.start + settings.drop, first.first)
    longest = max(horizons)
    if split.train.stop - longest - start < 2:
        raise InputError(
            "horizon",
            longest,
            f"no training rows are left of {split.train.stop - split.train.start} steps "
            f"after dropping {start}",
        )
    if split.valid.start < first.first:
        raise InputError(
            "window_features", settings.window_features, "shorter than the training part"
        )
    check_finite("data", values, split.train.start)
    for name, part in [*(("embeddings", matrix) for matrix in parts), ("extra_features", more)]:
        if part is not None:
            check_finite(name, part, start)
    return rows


def _series(
    embeddings: ArrayLike | None, values: NDArray[np.float32]
) -> list[tuple[NDArray[np.float32], ArrayLike | None]]:
    """Targets and embeddings of the one series, or, for (C, T, D), of a series a column."""
    array = None if embeddings is None else np.asarray(embeddings)
    if array is None or array.ndim != 3:
        return [(values, array)]
    if len(array) != values.shape[1]:
        raise InputError(
            "embeddings", array.shape, f"pass one series for each of {values.shape[1]}"
        )
    return [(values[:, [i]], own) for i, own in enumerate(array)]


def validation_score(
    embeddings: ArrayLike | None,
    data: ArrayLike,
    split: SplitLike,
    horizons: Sequence[int],
    **head: Any,
) -> float:
    """Mean over horizons of RMSE + MAE on the validation part; nothing after it is read.

    Args:
        embeddings: (T, D) representations of at least the training and validation steps.
        data: (T, C) targets, scaled.
        split: only ``train`` and ``valid`` are used.
        horizons: steps ahead.
        **head: see :func:`forecast_protocol`.
    """
    settings = HeadSettings(**head)
    stop = split.valid.stop
    values = check_matrix("data", data)[:stop]
    rows = [
        FeatureRows(
            targets,
            None if part is None else check_matrix("embeddings", part)[:stop],
            None,
            settings.window_features,
            settings.relative_window,
        )
        for targets, part in _series(embeddings, values)
    ]
    scores = []
    for horizon in horizons:
        valid = ForecastHead(rows, split, horizon, settings).valid
        scores.append(float(np.sqrt(valid.mse())) + valid.mae())
    return float(np.mean(scores))
