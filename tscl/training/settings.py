"""How to train, and what training gives."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

from torch import nn

from tscl.errors import InputError, TSCLError, is_whole, nearest

AverageMode = Literal["none", "swa", "ema"]


Monitor = Callable[[nn.Module], float]
Precision = Literal["32-true", "32", "bf16-mixed", "16-mixed"]
Schedule = Literal["constant", "cosine", "linear", "step", "one_cycle"]
LoggerName = Literal["tensorboard", "mlflow"]


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Attributes:
        max_epochs: passes over the source. max_steps: stop earlier after so many steps.
        lr, weight_decay: AdamW of the encoder (a method's groups may set their own).
        schedule: ``constant``; ``cosine`` or ``linear`` down to the share ``final_lr`` of the rate
            at the end of the run; ``step`` multiplies it by ``decay_factor`` every
            ``decay_epochs``. The first ``warmup`` steps rise linearly. ``one_cycle`` rises in half
            a cosine from 1/25 of the rate over ``warmup`` steps (0: a quarter of the run) and
            falls in half a cosine to ``final_lr`` (Smith and Topin 2018, arXiv 1708.07120).
        clip_norm: gradient clipping by norm, or None.
        accumulate: parts a batch is cut into, between trials where it has them; one part is in
            memory at a time and there is one optimiser step a batch. The gradient is the mean over
            the parts, weighted by size: that of the whole batch for losses that are means over
            samples. A contrastive loss sees the samples of one part only, as does a batch norm.
        cache_gradients: the whole batch enters the loss all the same; the encoder takes one of
            the ``accumulate`` parts at a time and computes it again in the backward pass. Result
            of the whole batch, memory of one part, one more forward pass (gradient caching, Gao et
            al. 2021, arXiv 2101.06983). For encoders that treat samples independently, hence not
            for batch norm; dropout is drawn part by part.
        averaging: ``swa``, ``ema`` or ``none``; the running figures of batch norms are measured
            again for averaged weights, on up to 2,048 samples of the source; average_start: steps
            before averaging begins (-1 also counts the initial weights, as the papers' code does);
            ema_decay; ema_warmup: after n steps the decay is at most n / (n + ema_warmup), so
            that the first weights are soon forgotten; 0 for the same decay from the first step.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed`` (with loss scaling).
        accelerator: ``cpu``, ``cuda``, ``mps`` or ``auto``, of Lightning Fabric.
        devices: processes, one a device. More than one are started and ended by ``fit``;
            under ``torchrun`` those of torchrun are used.
        gather: losses see the batch of all processes: every process draws the same batch and
            views, encodes its share of the rows and gathers the embeddings with their gradient,
            so that the result is that of one process. False gives each process its own part of the
            batch, cut between trials, with a loss of its own. Batch norms need False here, or to
            be synchronised by the user on GPUs.
        checkpoint_seconds: time between checkpoints, when a folder is given.
        monitor_every: epochs between calls of the monitor; patience: stop after so many calls
            without an improvement of more than ``min_delta`` (0: never). keep: the encoder that
            training gives is the ``best`` by the monitor, or the ``last`` (the monitor then only
            draws a curve).
        loggers: ``tensorboard`` and ``mlflow``, written below the trainer's ``logs`` folder.
        seed: of everything random.

    Raises:
        InputError: a value that cannot be used.
    """

    max_epochs: int = 10
    max_steps: int | None = None
    lr: float = 1e-3
    weight_decay: float = 1e-2
    schedule: Schedule = "constant"
    warmup: int = 0
    final_lr: float = 0.0
    decay_epochs: int = 10
    decay_factor: float = 0.1
    clip_norm: float | None = None
    accumulate: int = 1
    cache_gradients: bool = False
    averaging: AverageMode = "swa"
    average_start: int = 0
    ema_decay: float = 0.999
    ema_warmup: int = 0
    precision: Precision = "32-true"
    accelerator: str = "cpu"
    devices: int = 1
    gather: bool = True
    checkpoint_seconds: float = 60.0
    monitor_every: int = 1
    patience: int = 0
    min_delta: float = 0.0
    keep: Literal["best", "last"] = "best"
    loggers: tuple[LoggerName, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (
            ("max_epochs", 0),
            ("warmup", 0),
            ("ema_warmup", 0),
            ("patience", 0),
            ("accumulate", 1),
            ("devices", 1),
            ("decay_epochs", 1),
            ("monitor_every", 1),
        ):
            number = getattr(self, name)
            if not is_whole(number) or number < low:
                raise InputError(name, number, f"use a whole number, {low} or more")
        if self.min_delta < 0:
            raise InputError("min_delta", self.min_delta, "use 0 or more")
        if not isinstance(self.lr, numbers.Real) or not 0 < self.lr < math.inf:
            raise InputError("lr", self.lr, "choose a learning rate above 0")
        for name in ("final_lr", "decay_factor"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(name, getattr(self, name), "choose a share in [0, 1]")
        for name, kind in (("schedule", Schedule), ("precision", Precision)):
            if getattr(self, name) not in get_args(kind):
                value = str(getattr(self, name))
                raise InputError(name, value, nearest(value, get_args(kind)))
        for logger in self.loggers:
            if logger not in get_args(LoggerName):
                raise InputError("loggers", logger, nearest(str(logger), get_args(LoggerName)))


@dataclass
class TrainResult:
    """What training gave.

    Attributes:
        encoder: the encoder to use: averaged, or the best one by the monitor.
        history: one row a step: step, epoch and the mean of each loss term.
        steps: optimiser steps taken. best_epoch, best_score: by the monitor, when there is one.
        monitored: one row (epoch, score) a call of the monitor.
    """

    encoder: nn.Module
    history: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    best_epoch: int | None = None
    best_score: float = math.inf
    monitored: list[dict[str, float]] = field(default_factory=list)


class TrainingDiverged(TSCLError, ArithmeticError):
    """A loss or gradient became NaN or infinite."""
