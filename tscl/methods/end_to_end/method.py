"""End-to-end contrastive forecasting: one loss of forecast error and contrast.

Zhang et al., "What Constitutes Good Contrastive Learning in Time-Series Forecasting?",
arXiv 2306.12086: with lambda in [0, 1],

    L = (1 - lambda) MSE + lambda L_contrast

lambda 0 is supervised training, 1 is contrastive pretraining.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from tscl.errors import ConfigError, InputError, check_choice
from tscl.methods.base import METHODS, Batch, Losses, Method, ParameterGroup
from tscl.methods.end_to_end.momentum import BYOLTerm, CoSTTerm, MoCoTerm
from tscl.methods.end_to_end.terms import Windows, build_contrast

Schedule = Literal["constant", "linear"]
__all__ = ["BYOLTerm", "CoSTTerm", "EndToEnd", "MoCoTerm"]


@METHODS.register("e2e")
class EndToEnd(Method):
    """Forecast error and contrast of one network.

    Args:
        encoder: the forecasting network, such as
            :class:`tscl.forecasters.network.ForecastNetwork`: ``forecast(past, past_marks,
            future_marks)`` and, for lambda > 0, ``represent``. Batches carry ``future`` and, with
            covariates, ``past_marks`` and ``future_marks`` in ``extra``.
        weight: lambda at the start, in [0, 1].
        contrast: name of a term (``hierarchical``, ``moco``, ``cost``, ``simclr``, ``byol``) or
            of a registered loss, or a module; not built while ``weight`` is 0.
        contrast_params: its arguments when given by name.
        schedule: ``constant``, or ``linear``: lambda falls by ``decay`` an epoch, to 0 at least.
        decay: fall an epoch.
        steps_per_epoch: optimiser steps of an epoch; needed for ``linear``.
        freeze_encoder: train all but the encoder inside (the decoder, a linear path); that one
            stays in evaluation mode.

    Raises:
        InputError, ConfigError: an argument out of range, a module that cannot forecast.

    Example:
        >>> from tscl.forecasters import ForecastNetwork
        >>> network = ForecastNetwork(2, horizon=4, encoder="dilated", output_dims=8)
        >>> method = EndToEnd(network, weight=0.1)
        >>> future = {"future": torch.zeros(8, 4, 2)}
        >>> batch = Batch(torch.zeros(8, 24, 2), torch.arange(8), extra=future)
        >>> sorted(method.losses(batch, "main", torch.Generator().manual_seed(0)))
        ['contrast', 'instance', 'loss', 'mse', 'temporal']
    """

    title = "end to end"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        weight: float = 0.5,
        contrast: str | nn.Module = "hierarchical",
        contrast_params: dict[str, Any] | None = None,
        schedule: Schedule = "constant",
        decay: float = 0.1,
        steps_per_epoch: int | None = None,
        freeze_encoder: bool = False,
    ) -> None:
        super().__init__(encoder)
        if not callable(getattr(encoder, "forecast", None)):
            raise ConfigError(
                "encoder", type(encoder).__name__, "e2e trains a ForecastNetwork, not an encoder"
            )
        if not 0.0 <= weight <= 1.0:
            raise InputError("weight", weight, "choose lambda in [0, 1]")
        check_choice("schedule", schedule, ("constant", "linear"), error=ConfigError)
        if decay < 0:
            raise InputError("decay", decay, "use 0 or more")
        if schedule == "linear" and (steps_per_epoch is None or steps_per_epoch < 1):
            raise InputError("steps_per_epoch", steps_per_epoch, "linear decay needs it")
        if freeze_encoder and weight > 0:
            raise InputError("weight", weight, "a frozen encoder is trained by no contrast; use 0")
        self.weight, self.schedule, self.decay = weight, schedule, decay
        self.steps_per_epoch = steps_per_epoch
        self.freeze_encoder = freeze_encoder
        self.step = 0
        self.contrast = None
        if weight > 0:
            if not callable(getattr(encoder, "represent", None)):
                raise ConfigError(
                    "encoder", type(encoder).__name__, "it has no representation; use weight=0"
                )
            self.contrast = build_contrast(contrast, contrast_params)
            self.contrast.attach(encoder)

    def current_weight(self) -> float:
        """Lambda at the current step."""
        if self.schedule == "constant":
            return self.weight
        assert self.steps_per_epoch is not None
        return max(0.0, self.weight - self.decay * (self.step // self.steps_per_epoch))

    def phases(self, step: int) -> tuple[str, ...]:
        """One update of everything a step."""
        self.step = step
        return ("encoder",)

    def groups(self) -> dict[str, ParameterGroup]:
        """All trainable parameters, or those outside the inner encoder when it is frozen."""
        if not self.freeze_encoder:
            return super().groups()
        named = self.encoder.named_parameters()
        return {"encoder": ParameterGroup([p for n, p in named if not n.startswith("encoder.")])}

    def train(self, mode: bool = True) -> Self:
        """Training mode, but for a frozen encoder."""
        super().train(mode)
        if self.freeze_encoder:
            inner = self.encoder.encoder
            assert isinstance(inner, nn.Module)
            inner.eval()
        return self

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """``loss``, ``mse`` (lambda < 1), ``contrast`` and its parts (lambda > 0).

        Raises:
            InputError: no ``future`` in the batch, or one of another shape than the forecast.
        """
        weight = self.current_weight()
        marks = batch.extra.get("past_marks")
        embeddings: Tensor | None = None
        terms: dict[str, Tensor] = {}
        loss: Tensor = batch.x.new_zeros(())
        if weight < 1.0:
            if "future" not in batch.extra:
                raise InputError("batch.extra", sorted(batch.extra), "forecasting needs 'future'")
            forecast, embeddings = self.encoder.forecast(  # type: ignore[operator]
                batch.x, marks, batch.extra.get("future_marks"), freeze=self.freeze_encoder
            )
            future = batch.extra["future"]
            if future.shape != forecast.shape:
                raise InputError("future", tuple(future.shape), f"pass {tuple(forecast.shape)}")
            mse = (forecast - future).square().mean()
            terms["mse"] = mse
            loss = loss + (1.0 - weight) * mse
        if weight > 0.0 and self.contrast is not None:
            windows = Windows(self.encoder, batch.x, marks, embeddings)
            parts = self.contrast(windows, generator)
            terms |= parts
            loss = loss + weight * parts["contrast"]
        return {"loss": loss, **terms}

    def after_step(self, step: int) -> None:
        """Momentum copies and queues."""
        if self.contrast is not None:
            self.contrast.after_step(self.encoder)
