"""Which epoch's encoder is kept, and when waiting for a better one ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tscl.encoders.base import evaluating
from tscl.errors import InputError, check_choice
from tscl.methods.base import Batch
from tscl.training.callbacks import History
from tscl.training.settings import AverageMode


class WeightAverage:
    """Running average of a module's weights.

    Running figures of batch norms are those of the trained module, which do not fit averaged
    weights: :func:`estimate_norms` measures them anew.

    Args:
        module: the module that is trained; it is never changed.
        mode: ``swa`` averages all steps equally (TS2Vec, COMET and AutoTCL), ``ema`` decays
            exponentially, ``none`` returns the module itself.
        start: number of steps to wait before the first weights enter the average. -1 also counts
            the weights at initialisation, as the papers' code does.
        decay: decay of ``ema``, in (0, 1).
        warmup: after n updates the decay is at most n / (n + warmup).
    """

    def __init__(
        self,
        module: nn.Module,
        mode: AverageMode = "swa",
        start: int = 0,
        decay: float = 0.999,
        warmup: int = 0,
    ) -> None:
        check_choice("averaging", mode, ("none", "swa", "ema"))
        if not 0.0 < decay < 1.0:
            raise InputError("averaging decay", decay, "choose a value in (0, 1)")
        self.source = module
        self.start = start
        self.model: AveragedModel | None = None
        if mode != "none":
            average = _decaying(decay, warmup) if mode == "ema" else None
            self.model = AveragedModel(module, multi_avg_fn=average, use_buffers=False)
            if start < 0:
                self.model.update_parameters(module)

    def update(self, step: int) -> None:
        """Take the weights after ``step`` (from 0) into the average."""
        if self.model is not None and step >= self.start:
            self.model.update_parameters(self.source)

    @property
    def module(self) -> nn.Module:
        """The averaged module; the trained one while nothing has been averaged."""
        if self.model is None or int(self.model.n_averaged) == 0:
            return self.source
        inner: nn.Module = self.model.module
        for mine, theirs in zip(inner.buffers(), self.source.buffers(), strict=True):
            mine.data.copy_(theirs.data)
        return inner


def _decaying(decay: float, warmup: int) -> Callable[[Any, Any, Any], None]:
    """How ``ema`` takes in weights, for AveragedModel."""
    if not warmup:
        steady: Callable[[Any, Any, Any], None] = get_ema_multi_avg_fn(decay)
        return steady

    def update(averaged: list[Tensor], weights: list[Tensor], count: Tensor | int) -> None:
        get_ema_multi_avg_fn(min(decay, int(count) / (int(count) + warmup)))(
            averaged, weights, count
        )

    return update


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """Batch normalisation layers of ``module``, in order."""
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


@torch.no_grad()
def estimate_norms(module: nn.Module, batches: Iterable[Batch]) -> None:
    """Measure the running figures of batch norms again, on ``batches``, as evaluation needs them.

    The figures of averaged weights are neither those of the trained weights nor their average
    (Izmailov et al. 2018, arXiv 1803.05407, section 3.2). Every layer takes the mean over the
    batches; all else is in evaluation mode. Nothing happens without batch norms.

    Args:
        module: an encoder, called with ``batch.x``, or a forecasting network, whose ``forecast``
            also gets the covariates.
        batches: training samples as they come, not augmented.
    """
    norms = [norm for norm in batch_norms(module) if norm.track_running_stats]
    if not norms:
        return
    momentum = [norm.momentum for norm in norms]
    forecast = getattr(module, "forecast", None)
    with ExitStack() as stack:
        stack.enter_context(evaluating(module))
        for norm, before in zip(norms, momentum, strict=True):
            stack.callback(setattr, norm, "momentum", before)
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
            norm.training = True
        for batch in batches:
            if forecast is None:
                module(batch.x)
            else:
                forecast(batch.x, batch.extra.get("past_marks"), batch.extra.get("future_marks"))


class Selection:
    """Scores of the monitor (lower is better) and the weights of the best one.

    Args:
        patience: scores without improvement before :attr:`exhausted`; 0 waits for ever.
        min_delta: an improvement is larger than this.
    """

    def __init__(self, patience: int = 0, min_delta: float = 0.0) -> None:
        self.patience, self.min_delta = patience, min_delta
        self.monitored = History()
        self.best_epoch: int | None = None
        self.best_score = math.inf
        self.best_weights: dict[str, Tensor] | None = None

    def record(self, epoch: int, score: float, encoder: nn.Module) -> None:
        """Take the score of an epoch, with the weights when it is the best.

        Args:
            epoch: from 0.
            score: on the validation part; lower is better.
            encoder: whose weights are kept.
        """
        self.monitored.append({"epoch": epoch, "score": score})
        if score < self.best_score - self.min_delta:
            self.best_epoch, self.best_score = epoch, score
            self.best_weights = {k: v.detach().clone() for k, v in encoder.state_dict().items()}

    @property
    def exhausted(self) -> bool:
        """Whether ``patience`` scores brought no improvement."""
        best = self.best_epoch
        if not self.patience or best is None:
            return False
        return sum(1 for row in self.monitored if row["epoch"] > best) >= self.patience

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        best = {
            "epoch": self.best_epoch,
            "score": self.best_score,
            "weights": self.best_weights or {},
        }
        return {"monitored": self.monitored.state(), "best": best}

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`state`."""
        best = state["best"]
        self.monitored = History.restored(state["monitored"])
        self.best_epoch, self.best_score = best["epoch"], float(best["score"])
        self.best_weights = best["weights"] or None
