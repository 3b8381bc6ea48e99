"""Training of the sktime forecaster: windows of one or several series, held-out ends, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tscl.estimators.sktime.frames import Stretch
from tscl.evaluation.forecasting.coverage import window_spread
from tscl.forecasters.choices import head_origins
from tscl.forecasters.direct_heads import Head
from tscl.forecasters.intervals import (
    LEVELS,
    AdaptiveIntervals,
    ConformalIntervals,
    Intervals,
    QuantileIntervals,
    fit_quantile_head,
    window_embeddings,
)
from tscl.forecasters.training import train_forecaster
from tscl.forecasters.window_data import WindowData, thinned
from tscl.training.callbacks import ProgressBar
from tscl.training.settings import TrainSettings


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gives: the network, the head on it, and intervals."""

    network: nn.Module
    head: Head
    intervals: Intervals


def joined_data(
    stretches: Sequence[Stretch],
    length: int,
    horizon: int,
    seasons: tuple[int, ...] = (),
    n_known: int = 0,
) -> WindowData:
    """The series one after the other; origins of :func:`held_out` stay within each.

    Args:
        stretches: values (T_i, C) and covariates (T_i, K) of each series.
        length: steps of the past.
        horizon: steps of the future.
        seasons: lengths of the seasons in steps.
        n_known: last columns of the covariates that are not of the calendar.
    """
    known = np.concatenate([m for _, m in stretches])
    values = np.concatenate([v for v, _ in stretches])
    starts = np.cumsum([0, *(len(v) for v, _ in stretches[:-1])])
    known_or_none = known if known.shape[1] else None
    return WindowData(
        values, known_or_none, length, horizon, seasons, tuple(starts.tolist()), n_known
    )


def train_network(
    network: nn.Module, stretches: Sequence[Stretch], epochs: int, options: Mapping[str, Any]
) -> Trained:
    """Train on the windows of all series but the held-out ones, which choose epoch and head.

    The same held-out windows calibrate the intervals.

    Args:
        network: with ``horizon`` and ``input_length``.
        stretches: scaled values and covariates of every series.
        epochs: at most so many.
        options: ``valid_share``, ``valid_blocks``, ``batch_size``, ``stride``, ``max_steps``,
            ``weight``, ``contrast``, ``contrast_params``, ``lr``, ``patience``, ``verbose``,
            ``head``, ``pasts`` (lengths the head may see; the network's when empty), ``device``,
            ``seasons``, ``n_known``, ``intervals``, ``quantile_levels`` and ``seed_``.
    """
    horizon = int(network.horizon)  # type: ignore[arg-type]
    length = int(network.input_length)  # type: ignore[arg-type]
    seed = int(options["seed_"])
    pasts = options["pasts"] or (length,)
    longest = max(length, *pasts)
    data = joined_data(stretches, longest, horizon, options["seasons"], options["n_known"])
    lengths = [len(v) for v, _ in stretches]
    share, blocks = options["valid_share"], options["valid_blocks"]
    train, held = head_origins(lengths, (length, longest), horizon, share, blocks)
    trained = _train(network, data, train, thinned(held, 500), epochs, options)
    held = thinned(held, 1500)
    head, forecasts = Head.choose(
        options["head"], trained, data, train, held, seed=seed, pasts=pasts
    )
    calibration = held
    if not len(held):
        calibration = thinned(train[data.room(train) >= longest], 1500)
        forecasts = head.forecast(trained, data, calibration)
    errors = data.future(calibration) - forecasts
    if options["intervals"] == "conformal":
        return Trained(trained, head, ConformalIntervals(errors))
    if options["intervals"] == "adaptive":
        spread = window_spread(data.past(calibration))
        return Trained(trained, head, AdaptiveIntervals(errors, spread))
    train = thinned(train, 5000)
    levels = options["quantile_levels"]
    quantiles = fit_quantile_head(
        window_embeddings(trained, data.values, train, length, marks=data.marks),
        data.future(train) - head.forecast(trained, data, train),
        LEVELS if levels is None else levels,
        seed=seed,
    )
    embeddings = window_embeddings(trained, data.values, calibration, length, marks=data.marks)
    return Trained(trained, head, QuantileIntervals.calibrate(quantiles, embeddings, errors))


def _train(
    network: nn.Module,
    data: WindowData,
    train: NDArray[np.int64],
    held: NDArray[np.int64],
    epochs: int,
    options: Mapping[str, Any],
) -> nn.Module:
    """The network of the epoch with the least error on the held-out windows."""
    settings = TrainSettings(
        max_epochs=epochs,
        max_steps=options["max_steps"],
        lr=options["lr"],
        weight_decay=0.0,
        averaging="none",
        patience=options["patience"],
        seed=int(options["seed_"]),
        accelerator=options["device"],
    )
    trained: nn.Module = train_forecaster(
        network,
        data,
        train[::-1][:: options["stride"]][::-1],
        held,
        options["batch_size"],
        settings,
        contrast={name: options[name] for name in ("weight", "contrast", "contrast_params")},
        progress=ProgressBar() if options["verbose"] else None,
    )
    return trained
