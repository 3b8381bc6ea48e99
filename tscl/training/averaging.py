"""Average of encoder weights over training steps (stochastic weight averaging)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tscl.batch import Batch
from tscl.encoders.base import evaluating
from tscl.errors import InputError

AverageMode = Literal["none", "swa", "ema"]


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
    """

    def __init__(
        self, module: nn.Module, mode: AverageMode = "swa", start: int = 0, decay: float = 0.999
    ) -> None:
        if mode not in ("none", "swa", "ema"):
            raise InputError("averaging", mode, "choose none, swa or ema")
        if not 0.0 < decay < 1.0:
            raise InputError("averaging decay", decay, "choose a value in (0, 1)")
        self.source = module
        self.start = start
        self.model: AveragedModel | None = None
        if mode != "none":
            average = get_ema_multi_avg_fn(decay) if mode == "ema" else None
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
