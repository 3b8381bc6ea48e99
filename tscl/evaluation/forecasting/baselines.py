"""Forecasts without a learned representation, scored on the same rows as the representations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pandas.tseries.frequencies import to_offset

from tscl.errors import InputError
from tscl.evaluation.forecasting.head import TS2VEC_ALPHAS
from tscl.evaluation.forecasting.protocol import forecast_protocol, predict_last
from tscl.evaluation.forecasting.scores import (
    ErrorSums,
    Float64,
    HorizonResult,
    Predictor,
    SplitLike,
    check_finite,
    check_matrix,
    check_scale,
    check_split,
    make_result,
    score,
)

Float32 = NDArray[np.float32]


def season_of(freq: str | None) -> int:
    """Steps of the usual season of a pandas frequency.

    A day for steps below a day (24 for "h", 96 for "15min"), a week for days (7; 5 for business
    days), a year for weeks (52), months (12) and quarters (4).

    Raises:
        InputError: no frequency, or one without a usual season.
    """
    if freq is None:
        raise InputError("freq", freq, "pass the season in steps")
    try:
        offset = to_offset(freq)
    except ValueError:
        raise InputError("freq", freq, "pass a pandas frequency such as 'h'") from None
    name = offset.rule_code.split("-")[0]
    named = {"B": 5, "W": 52, "MS": 12, "ME": 12, "M": 12, "QS": 4, "QE": 4, "Q": 4}
    if name in named and offset.n == 1:
        return named[name]
    try:
        step = pd.Timedelta(offset)  # type: ignore[arg-type]
    except ValueError:
        raise InputError("freq", freq, "pass the season in steps") from None
    day, week = pd.Timedelta(days=1), pd.Timedelta(days=7)
    for season, limit in ((day, day), (week, week), (52 * week, 52 * week)):
        if step < limit:
            return max(1, round(season / step))
    raise InputError("freq", freq, "pass the season in steps")


def season_or_step(freq: str | None) -> int:
    """:func:`season_of`, or 1 where no season is usual."""
    try:
        return season_of(freq)
    except InputError:
        return 1


def last_value(
    data: ArrayLike, split: SplitLike, horizons: Sequence[int], *, scale: ArrayLike | None = None
) -> list[HorizonResult]:
    """Every future value is the current one.

    Args:
        data: (T, C) targets, scaled.
        split: training, validation and test part.
        horizons: steps ahead, one result each.
        scale: (C,) deviations, for errors in original units too.
    """
    return _score_all(_last, data, split, horizons, scale)


def _last(values: Float32, horizon: int) -> Predictor:
    return lambda start, stop: np.repeat(
        values[start:stop, None, :].astype(np.float64), horizon, axis=1
    )


def seasonal_naive(
    data: ArrayLike,
    split: SplitLike,
    horizons: Sequence[int],
    *,
    season: int,
    scale: ArrayLike | None = None,
) -> list[HorizonResult]:
    """Every future value is the latest known one at the same place of the season.

    Args:
        season: steps of a season; see :func:`season_of`.

    Raises:
        InputError: a season below one step or longer than the training part.
    """
    if not 1 <= season <= split.train.stop - split.train.start:
        raise InputError("season", season, "use 1 up to the length of the training part")
    return _score_all(partial(_seasonal, season=season), data, split, horizons, scale)


def _seasonal(values: Float32, horizon: int, *, season: int) -> Predictor:
    ahead = np.arange(1, horizon + 1)
    offsets = ahead - season * -(-ahead // season)

    def predict(start: int, stop: int) -> Float64:
        rows = np.arange(start, stop)[:, None] + offsets
        return values[rows].astype(np.float64)

    return predict


def train_mean(
    data: ArrayLike, split: SplitLike, horizons: Sequence[int], *, scale: ArrayLike | None = None
) -> list[HorizonResult]:
    """Every future value is the mean of the training part.

    Arguments as :func:`last_value`.
    """
    return _score_all(partial(_mean, train=split.train), data, split, horizons, scale)


def _mean(values: Float32, horizon: int, *, train: slice) -> Predictor:
    mean = values[train].astype(np.float64).mean(axis=0)
    return lambda start, stop: np.broadcast_to(mean, (stop - start, horizon, len(mean)))


def window_ridge(
    data: ArrayLike,
    split: SplitLike,
    horizons: Sequence[int],
    *,
    window: int = 200,
    residual: bool = False,
    per_channel: bool = False,
    extra_features: ArrayLike | None = None,
    drop: int = 200,
    alphas: Sequence[float] = TS2VEC_ALPHAS,
    scale: ArrayLike | None = None,
) -> list[HorizonResult]:
    """Ridge on the last raw values, penalty chosen on validation.

    Arguments and errors as :func:`tscl.evaluation.forecasting.protocol.forecast_protocol`, and
    those below.

    Args:
        window: how many values of each channel, the current one included.
        residual: predict the difference to the current value from a window relative to it, so
            that a shift of the level shifts the forecast by as much.
        per_channel: one ridge per channel on its own window, each with its own penalty.
        extra_features: (T, E) features known at the step, such as the calendar.
    """
    values = check_matrix("data", data)
    deviations = check_scale(scale, values.shape[1])

    def run(columns: slice) -> list[HorizonResult]:
        return forecast_protocol(
            None,
            values[:, columns],
            split,
            horizons,
            drop=drop,
            alphas=alphas,
            extra_features=extra_features,
            residual=residual,
            window_features=window,
            relative_window=residual,
            scale=None if deviations is None else deviations[columns],
        )

    if not per_channel:
        return run(slice(None))
    channels = [run(slice(c, c + 1)) for c in range(values.shape[1])]
    return [_average(results) for results in zip(*channels, strict=True)]


@dataclass(frozen=True)
class Baseline:
    """A forecaster of every table.

    Attributes:
        results: gives its rows. forecast: gives (H, C) by horizon and the step forecast from.
    """

    results: Callable[[], list[HorizonResult]]
    forecast: Callable[[int, int], Float64]


def standard_forecasters(
    data: ArrayLike,
    split: SplitLike,
    horizons: Sequence[int],
    *,
    season: int,
    window: int = 200,
    drop: int = 200,
    scale: ArrayLike | None = None,
) -> dict[str, Baseline]:
    """The rows every forecasting table carries, by name, before they are computed.

    With several channels the ridge on raw windows is given jointly and per channel.

    Args:
        data: (T, C) targets, scaled by the training part.
        split: slices ``train``, ``valid``, ``test`` of the T steps.
        horizons: steps ahead, one result each.
        season: steps of a season of the seasonal naive forecast.
        window: how many of the last values the ridges see.
        drop: steps at the start of training the ridges leave out.
        scale: (C,) training deviations, for errors in the original unit.
    """
    values = check_matrix("data", data)
    plain = (data, split, horizons)

    def naive(forecaster: Callable[[Float32, int], Predictor]) -> Callable[[int, int], Float64]:
        return lambda horizon, origin: forecaster(values, horizon)(origin, origin + 1)[0]

    rows = {
        "last value": Baseline(partial(last_value, *plain, scale=scale), naive(_last)),
        "seasonal naive": Baseline(
            partial(seasonal_naive, *plain, season=season, scale=scale),
            naive(partial(_seasonal, season=season)),
        ),
        "training mean": Baseline(
            partial(train_mean, *plain, scale=scale), naive(partial(_mean, train=split.train))
        ),
    }
    several = values.shape[1] > 1
    for residual in (False, True):
        for per_channel in (False, True) if several else (False,):
            name = "raw-window ridge" + (", residual" if residual else "")
            name += ", per channel" if per_channel else ""
            options: dict[str, Any] = {"window": window, "residual": residual, "drop": drop}
            options["per_channel"] = per_channel
            rows[name] = Baseline(
                partial(window_ridge, *plain, **options, scale=scale),
                partial(_ridge_forecast, values, split, options),
            )
    return rows


def _ridge_forecast(
    values: Float32, split: SplitLike, options: dict[str, Any], horizon: int, origin: int
) -> Float64:
    """Forecast (H, C) of the ridge on raw windows from step ``origin``."""
    width = values.shape[1]
    parts = [[c] for c in range(width)] if options["per_channel"] else [list(range(width))]
    forecasts = [
        predict_last(
            None,
            values[:, columns],
            split,
            horizon,
            origins=[origin],
            drop=options["drop"],
            residual=options["residual"],
            window_features=options["window"],
            relative_window=options["residual"],
        ).forecast[0]
        for columns in parts
    ]
    return np.concatenate(forecasts, axis=1).astype(np.float64)


def _score_all(
    forecaster: Callable[[Float32, int], Predictor],
    data: ArrayLike,
    split: SplitLike,
    horizons: Sequence[int],
    scale: ArrayLike | None,
) -> list[HorizonResult]:
    values = check_matrix("data", data)
    check_split(split, len(values), tuple(horizons))
    check_finite("data", values, split.train.start)
    deviations = check_scale(scale, values.shape[1])
    results = []
    for horizon in horizons:
        predict = forecaster(values, horizon)
        valid: ErrorSums = score(predict, values, split.valid, horizon)
        test = score(predict, values, split.test, horizon)
        results.append(make_result(horizon, test, valid, split, deviations))
    return results


MEANS = ("mse", "mae", "mse_raw", "mae_raw", "valid_mse", "valid_mae", "coverage", "width")


def _average(results: Sequence[HorizonResult]) -> HorizonResult:
    """Mean over channels of results on the same rows."""
    each = {name: [getattr(result, name) for result in results] for name in MEANS}
    means: dict[str, Any] = {k: float(np.mean(v)) for k, v in each.items() if None not in v}
    return replace(
        results[0],
        alpha=tuple(r.alpha for r in results if isinstance(r.alpha, float)),
        variables=tuple(v for r in results for v in r.variables),
        **means,
    )
