"""Training of the sktime forecaster: windows of one or several series, held-out ends, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tscl.estimators.sktime.frames import Stretch
from tscl.forecasters.intervals import (
    LEVELS,
    ConformalIntervals,
    Intervals,
    QuantileIntervals,
    fit_quantile_head,
    window_codes,
)
from tscl.forecasters.windows import EpochSampler, WindowSource, window_forecasts
from tscl.methods.end_to_end.method import EndToEnd
from tscl.seeding import seeded
from tscl.training.callbacks import ProgressBar, ProgressReporter, Silent
from tscl.training.trainer import Trainer, TrainSettings


def train_network(
    network: nn.Module, stretches: Sequence[Stretch], epochs: int, options: Mapping[str, Any]
) -> tuple[nn.Module, Intervals]:
    """Train on the windows of all series but the last ones, which choose the epoch.

    The same held-out windows calibrate the intervals.

    Args:
        network: with ``horizon`` and ``input_length``.
        stretches: scaled values and covariates of every series.
        epochs: at most so many.
        options: ``valid_share``, ``batch_size``, ``weight``, ``contrast``, ``contrast_params``,
            ``lr``, ``patience``, ``verbose``, ``intervals``, ``quantile_levels`` and ``seed_``
            of the forecaster.

    Returns:
        The trained network and its intervals.
    """
    horizon = int(network.horizon)  # type: ignore[arg-type]
    length = int(network.input_length)  # type: ignore[arg-type]
    seed = int(options["seed_"])
    values = np.concatenate([v for v, _ in stretches])
    known = np.concatenate([m for _, m in stretches])
    marks = known if known.shape[1] else None
    lengths = [len(v) for v, _ in stretches]
    train, held = held_out(lengths, length, horizon, options["valid_share"])
    source = WindowSource(values, train, length, horizon, marks=marks)

    def missed(net: nn.Module, origins: NDArray[np.int64]) -> NDArray[np.float32]:
        made = window_forecasts(net, values, origins, length, marks=marks)
        truth = values[origins[:, None] + np.arange(1, horizon + 1)]
        return np.asarray(truth - made, dtype=np.float32)

    sampler = EpochSampler(len(source), options["batch_size"])
    with seeded(seed, "method"):
        method = EndToEnd(
            network,
            weight=options["weight"],
            contrast=options["contrast"],
            contrast_params=options["contrast_params"],
        )
    settings = TrainSettings(
        max_epochs=epochs,
        lr=options["lr"],
        weight_decay=0.0,
        averaging="none",
        patience=options["patience"],
        seed=seed,
    )
    progress: ProgressReporter = ProgressBar() if options["verbose"] else Silent()

    def error(net: nn.Module) -> float:
        return float(np.square(missed(net, held)).mean())

    trainer = Trainer(settings, progress=progress, monitor=error if len(held) else None)
    trained = trainer.fit(method, source, sampler).encoder
    calibration = held if len(held) else train
    errors = missed(trained, calibration)
    if options["intervals"] == "conformal":
        return trained, ConformalIntervals(errors)
    levels = options["quantile_levels"]
    head = fit_quantile_head(
        window_codes(trained, values, train, length, marks=marks),
        missed(trained, train),
        LEVELS if levels is None else levels,
        seed=seed,
    )
    codes = window_codes(trained, values, calibration, length, marks=marks)
    return trained, QuantileIntervals.calibrate(head, codes, errors)


def held_out(
    lengths: Sequence[int], length: int, horizon: int, share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Origins of training windows, and of the last windows of every series, over joined series.

    Windows whose future reaches into the held-out ones' are in neither part. Fewer than ten
    held-out windows are too few to choose or calibrate by: all are then for training.
    """
    train, held, every, first = [], [], [], 0
    for n in lengths:
        origins = WindowSource.inside(slice(first, first + n), length, horizon)
        n_valid = int(len(origins) * share)
        cut = len(origins) - n_valid
        every.append(origins)
        held.append(origins[cut:])
        train.append(origins[: max(0, cut - horizon + 1)] if n_valid else origins)
        first += n
    parts = np.concatenate(train), np.concatenate(held)
    if len(parts[1]) < 10 or not len(parts[0]):
        return np.concatenate(every), parts[1][:0]
    return parts
