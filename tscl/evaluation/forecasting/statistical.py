"""Exponential smoothing, Theta and ARIMA a variable, by statsforecast, on the rows of tables."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tscl.errors import ConfigError, InputError, MissingExtraError, check_choice
from tscl.evaluation.forecasting.scores import (
    ErrorSums,
    Float64,
    HorizonResult,
    SplitLike,
    check_finite,
    check_matrix,
    check_scale,
    check_split,
    make_result,
    score,
)

STATISTICAL = ("auto_ets", "auto_theta", "auto_arima")
# the exact likelihood of every candidate order takes minutes a variable at season 24; a drift
# counts steps from the start of the fit, so a window of the past could not be run through it
DEFAULTS: dict[str, dict[str, Any]] = {
    "auto_ets": {},
    "auto_theta": {},
    "auto_arima": {"approximation": True, "allowdrift": False},
}


def statistical_baseline(
    name: str,
    data: ArrayLike,
    split: SplitLike,
    horizons: Sequence[int],
    *,
    season: int,
    fit_steps: int | None = None,
    context: int | None = None,
    params: dict[str, Any] | None = None,
    scale: ArrayLike | None = None,
) -> list[HorizonResult]:
    """AutoETS, AutoTheta or AutoARIMA, one model a variable, scored on every row of the test part.

    The model's form and parameters are fitted once, on the last ``fit_steps`` steps before the
    test part (validation included: nothing else is chosen by it). For every origin the fitted
    model is run, without refitting, over the values up to it, and forecasts the longest horizon;
    shorter ones are its beginning. AutoETS and AutoTheta run from the start of the fit on, to which
    their states belong; AutoARIMA over the last ``context`` values, as it costs far more a step.

    AutoETS has no seasonal form above 24 steps a season and goes without one there.

    Args:
        name: ``auto_ets``, ``auto_theta`` or ``auto_arima``.
        data: (T, C) targets, scaled.
        split: slices ``train``, ``valid``, ``test``.
        horizons: steps ahead, one result each.
        season: steps of a season; 1 for none.
        fit_steps: 20 seasons when None, at least 200 steps, as far as there are any.
        context: values an origin sees with ``auto_arima``; 10 seasons when None, at least 100,
            at most ``fit_steps``.
        params: further arguments of the model, such as ``{"approximation": False}``.
        scale: (C,) training deviations, for errors in the original unit.

    Returns:
        One result a horizon; the validation errors are NaN, as they are not computed.

    Raises:
        ConfigError: unknown name or parameter. MissingExtraError: statsforecast is missing.
        InputError: a length below two seasons, non-finite values, a horizon that does not fit.
    """
    check_choice("statistical", name, STATISTICAL, error=ConfigError)
    values = check_matrix("data", data)
    check_split(split, len(values), tuple(horizons))
    check_finite("data", values, split.train.start)
    deviations = check_scale(scale, values.shape[1])
    known = split.test.start - split.train.start
    fitted = min(known, fit_steps or max(200, 20 * season))
    seen = min(fitted, context or max(100, 10 * season))
    if season < 1:
        raise InputError("season", season, "use 1 for none")
    for field, steps in (("fit_steps", fitted), ("context", seen)):
        if steps < max(10, 2 * season):
            raise InputError(field, steps, f"give at least {max(10, 2 * season)} steps")
    longest = max(horizons)
    if (params or {}).get("allowdrift"):
        raise ConfigError("statistical.allowdrift", True, "a drift cannot be run from an origin")
    start, stop = split.test.start, split.test.stop - min(horizons)
    output = np.empty((stop - start, longest, values.shape[1]), np.float32)
    for column in range(values.shape[1]):
        series = values[:, column].astype(np.float64)
        model = build_model(name, season, params)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one line for every order that does not converge
            model.fit(series[start - fitted : start])
            for row, origin in enumerate(range(start, stop)):
                first = start - fitted if name != "auto_arima" else origin + 1 - seen
                past = series[first : origin + 1]
                output[row, :, column] = _forecast(model, past, longest)
    results = []
    for horizon in horizons:

        def predict(first: int, last: int, horizon: int = horizon) -> Float64:
            return output[first - start : last - start, :horizon].astype(np.float64)

        sums: ErrorSums = score(predict, values, split.test, horizon)
        result = make_result(horizon, sums, sums, split, deviations, n_train=fitted)
        results.append(replace(result, valid_mse=np.nan, valid_mae=np.nan, n_valid=0))
    return results


def build_model(name: str, season: int, params: dict[str, Any] | None = None) -> Any:
    """A model of statsforecast.

    Args:
        name: ``auto_ets``, ``auto_theta`` or ``auto_arima``.
        season: steps of a season.
        params: further arguments of the model.

    Raises:
        MissingExtraError: statsforecast is not installed. ConfigError: an unknown parameter.
    """
    try:
        from statsforecast import models
    except ImportError:
        raise MissingExtraError("statsforecast", "stats") from None
    kind = {"auto_ets": "AutoETS", "auto_theta": "AutoTheta", "auto_arima": "AutoARIMA"}[name]
    if name == "auto_ets" and season > 24:
        season = 1
    try:
        return getattr(models, kind)(season_length=season, **DEFAULTS[name] | (params or {}))
    except TypeError as error:
        raise ConfigError(f"statistical.{name}", params, str(error)) from None


def _forecast(model: Any, past: Float64, steps: int) -> NDArray[np.floating]:
    """The fitted model's forecast; a constant past is carried on (no model can be run on it)."""
    if np.ptp(past) == 0.0:
        return np.full(steps, past[-1])
    forecast: NDArray[np.floating] = model.forward(past, h=steps)["mean"]
    return forecast
