"""What a method is: an encoder, the views it draws of a batch, and the losses over them.

To add a method, write one file with a subclass of :class:`Method`, decorate it with
``@METHODS.register("name")`` and export it from ``tscl/methods/__init__.py``::

    @METHODS.register("mine")
    class Mine(Method):
        def __init__(self, encoder: EncoderLike, *, strength: float = 0.1) -> None:
            super().__init__(encoder)
            self.strength = strength

        def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
            noisy = batch.x + self.strength * randn(batch.x.shape, generator, batch.x)
            z1, z2 = self.encoder(batch.x), self.encoder(noisy)
            return {"loss": InfoNCE()(z1.amax(1), z2.amax(1))}

The trainer (``tscl.training.trainer``) owns optimisers, averaging, precision, checkpoints, resume,
progress and seeds. ``tscl pretrain --set method.name=mine`` then works.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tscl.encoders.base import EncoderLike
from tscl.errors import ConfigError
from tscl.registry import Registry


@dataclass(frozen=True)
class Batch:
    """Samples of one optimisation step, on the training device.

    Attributes:
        x: series, (B, T, C) float; NaN marks missing values.
        index: position of each sample in its source, (B,) int64.
        ids: integer codes per sample by level, such as ``{"patient": (B,), "trial": (B,)}``.
        labels: class codes (B,) int64 or targets (B, ...) float, when the source has them.
        extra: further tensors with a leading dimension B (forecast targets, calendar, ...).
        views: series that the source drew as views of one another, such as crops of one recording:
            none, or two and more (B, L, C) of which the first is ``x``; row i of all is sample i.
    """

    x: Tensor
    index: Tensor
    ids: dict[str, Tensor] = field(default_factory=dict)
    labels: Tensor | None = None
    extra: dict[str, Tensor] = field(default_factory=dict)
    views: tuple[Tensor, ...] = ()


Losses = Mapping[str, Tensor]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters of one optimiser.

    Attributes:
        parameters: what the optimiser updates.
        lr: learning rate; None takes the trainer's.
        weight_decay: AdamW weight decay; None takes the trainer's.
    """

    parameters: Iterable[nn.Parameter]
    lr: float | None = None
    weight_decay: float | None = None


class Method(nn.Module, ABC):
    """Base class of methods.

    Args:
        encoder: module that follows :class:`tscl.encoders.base.EncoderLike`.

    Attributes:
        title: what tables and reports call it; the registered name when empty.
        needs: what it reads of a batch beside the series: ``labels``, and names of ``Batch.ids``
            such as ``patient``. A class says what all its objects read, an object may say more.
    """

    title: ClassVar[str] = ""
    needs: Collection[str] = ()
    encoder: nn.Module

    def __init__(self, encoder: EncoderLike | nn.Module) -> None:
        super().__init__()
        assert isinstance(encoder, nn.Module)
        self.encoder = encoder

    @abstractmethod
    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """Named scalar terms for ``batch`` in ``phase``; the one called ``loss`` is minimised.

        The other terms are logged as they are.

        Args:
            batch: samples, and the labels and ids the method needs.
            phase: one that :meth:`phases` names.
            generator: of every random draw.
        """

    def groups(self) -> dict[str, ParameterGroup]:
        """One optimiser per named group. Default: ``encoder`` with all trainable parameters."""
        return {"encoder": ParameterGroup([p for p in self.parameters() if p.requires_grad])}

    def phases(self, step: int) -> tuple[str, ...]:
        """Names of the groups updated at ``step`` (from 0), in order, one update each."""
        return ("encoder",)

    def after_step(self, step: int) -> None:
        """Update state after all phases of ``step``: momentum encoders, queues, schedules."""

    def learned_mask(self, x: Tensor) -> Tensor | None:
        """Probability that a learned augmentation keeps each value of ``x``, (B, T, C), if any."""
        return None

    @classmethod
    def check_params(cls, params: Mapping[str, Any]) -> None:
        """Check values that need no encoder and no data, before anything is read.

        Raises:
            InputError: names the argument.
        """

    @classmethod
    def keep_levels(cls, params: Mapping[str, Any], levels: Sequence[str]) -> dict[str, Any]:
        """``params`` with the weight of all levels of contrast but ``levels`` at zero.

        Raises:
            ConfigError: the method has no levels, or none of such a name.
        """
        raise ConfigError("levels", list(levels), f"{cls.title or cls.__name__} has no levels")


METHODS: Registry[Method] = Registry("method")


def method_title(name: str) -> str:
    """What tables call the method registered as ``name``; other names stay as they are."""
    return (METHODS.get(name).title if name in METHODS.names() else "") or name
