"""Training of a forecasting network on windows, stopped by the error on held-out ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from tscl.forecasters.window_data import Origins, WindowData
from tscl.forecasters.windows import EpochSampler, WindowSource, window_forecasts
from tscl.methods.end_to_end.method import EndToEnd
from tscl.seeding import seeded
from tscl.training.callbacks import ProgressReporter, Silent
from tscl.training.settings import TrainSettings
from tscl.training.trainer import Trainer


def train_forecaster(
    network: nn.Module,
    data: WindowData,
    train: Origins,
    held: Origins,
    batch_size: int,
    settings: TrainSettings,
    *,
    contrast: dict[str, Any] | None = None,
    progress: ProgressReporter | None = None,
) -> Any:
    """The network of the epoch with the least error on the held-out windows, on the CPU.

    Args:
        network: with ``forecast`` and ``input_length``.
        data: series.
        train: origins of windows to train on.
        held: origins to stop by; without any, the last epoch's network.
        batch_size: windows of a step.
        settings: of the training, with its seed.
        contrast: arguments of :class:`EndToEnd`; None trains on the error alone.
        progress: where progress is shown.
    """
    length = window_length(network, data)
    source = WindowSource(data.values, train, length, data.horizon, marks=data.marks)
    sampler = EpochSampler(len(source), batch_size)
    with seeded(settings.seed, "method"):
        method = EndToEnd(network, **({"weight": 0.0} if contrast is None else contrast))

    def error(net: nn.Module) -> float:
        forecasts = window_forecasts(net, data.values, held, length, marks=data.marks)
        return float(np.square(data.future(held) - forecasts).mean())

    monitor = error if len(held) else None
    trainer = Trainer(settings, progress=progress or Silent(), monitor=monitor)
    return trainer.fit(method, source, sampler).encoder.cpu()


def window_length(network: nn.Module, data: WindowData) -> int:
    """Steps of the past a network reads; the whole window where it does not say."""
    return int(getattr(network, "input_length", None) or data.length)
