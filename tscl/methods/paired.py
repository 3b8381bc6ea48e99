"""Contrast of two modalities: lead groups of a recording, or a series with what is known beside it.

CLIP's scheme (Radford et al., "Learning Transferable Visual Models From Natural Language
Supervision", arXiv 2103.00020, section 2.3) with any loss over pairs: both modalities are embedded,
projected to one space and contrasted, with a learned temperature. The losses made for it are
``cwcl`` (arXiv 2309.14580), ``m3col`` (arXiv 2409.17777) and ``contrastive_gap`` (arXiv
2405.18570); ``infonce`` is CLIP's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tscl.encoders.base import EncoderLike
from tscl.errors import ConfigError, InputError
from tscl.losses.base import ContrastiveLoss
from tscl.losses.cwcl import CWCL
from tscl.losses.infonce import InfoNCE
from tscl.losses.m3col import M3Co
from tscl.methods.base import METHODS, Batch, Losses, Method
from tscl.methods.heads import check_batch, embed, output_dims
from tscl.methods.instance_loss import build_loss, loss_inputs, loss_needs

LEARNABLE = (InfoNCE, CWCL, M3Co)
WARMEST, COLDEST = math.log(1.0), math.log(100.0)
"""Range of log(1 / temperature): CLIP cuts the logits' scale at 100."""


@METHODS.register("paired")
class Paired(Method):
    """Series and the other modality of the same sample come together.

    The other modality is ``batch.extra["paired"]``: vectors (B, dims), such as of a report, or
    series (B, T, C) for an encoder of its own. A batch without it is split: the first modality is
    the series without the channels of the second group, the second the series with those alone,
    both through one encoder, which takes missing channels.

    Args:
        encoder: the encoder to train, of the first modality.
        dims: width of paired vectors; None where there are none.
        second: encoder of paired series; it is trained too.
        channel_groups: two lists of channels, where a batch brings no pair; None takes halves.
        loss: name from :data:`tscl.losses.LOSSES` or a module.
        loss_params: its arguments when given by name.
        learn_temperature: train the temperature, between 0.01 and 1, from that of the loss.
        projection_dims: width of the shared space.
        pooling: over time, of :data:`tscl.pooling.POOLS`, several joined by ``+``.

    Raises:
        InputError: groups that do not fit, or a pair of another form than announced.
        ConfigError: a temperature to learn in a loss that has none to learn.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> encoder = ENCODERS.build("dilated", input_dims=4, output_dims=8, hidden_dims=8, depth=1)
        >>> batch = Batch(torch.randn(6, 20, 4), torch.arange(6), extra={"paired": torch.eye(6)})
        >>> sorted(Paired(encoder, dims=6).losses(batch, "encoder", torch.Generator()))
        ['loss', 'temperature']
    """

    title = "Paired modalities"

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        dims: int | None = None,
        second: EncoderLike | nn.Module | None = None,
        channel_groups: Sequence[Sequence[int]] | None = None,
        loss: str | nn.Module = "infonce",
        loss_params: Mapping[str, Any] | None = None,
        learn_temperature: bool = True,
        projection_dims: int = 32,
        pooling: str = "max",
    ) -> None:
        super().__init__(encoder)
        if channel_groups is not None and (len(channel_groups) != 2 or not all(channel_groups)):
            raise InputError("channel_groups", channel_groups, "name the channels of two groups")
        self.pooling = pooling
        self.channel_groups = channel_groups
        self.loss = build_loss(loss, loss_params, projection_dims)
        self.needs = loss_needs(self.loss)
        self.dims = dims
        assert second is None or isinstance(second, nn.Module)
        self.second = second
        width = output_dims(self.encoder, pooling)
        other = dims or (width if second is None else output_dims(second, pooling))
        self.head = nn.Linear(width, projection_dims)
        self.other_head = nn.Linear(other, projection_dims)
        self.scale: nn.Parameter | None = None
        if learn_temperature:
            if not isinstance(self.loss, LEARNABLE):
                names = "infonce, ntxent, cwcl, m3col"
                remedy = f"only {names} have one to learn; set it to false"
                raise ConfigError("learn_temperature", learn_temperature, remedy)
            if isinstance(self.loss, InfoNCE):
                self.loss.tile = None  # blocks keep no gradient of the temperature
            start = -math.log(self.loss.temperature)
            self.scale = nn.Parameter(torch.tensor(min(max(start, WARMEST), COLDEST)))

    def project(self, x: Tensor) -> Tensor:
        """The first modality (B, T, C) in the shared space, (B, projection_dims)."""
        out: Tensor = self.head(embed(self.encoder, x, pooling=self.pooling))
        return out

    def project_other(self, other: Tensor) -> Tensor:
        """Vectors (B, dims) or series (B, T, C) of the second modality in the shared space."""
        if self.dims is not None or self.second is not None:
            rank = 2 if self.second is None else 3
            if other.ndim != rank or (self.dims is not None and other.shape[-1] != self.dims):
                wanted = f"(B, {self.dims})" if self.second is None else "(B, T, C)"
                raise InputError("paired", tuple(other.shape), f"pass {wanted}")
        if other.ndim == 3:
            other = embed(self.second or self.encoder, other, pooling=self.pooling)
        out: Tensor = self.other_head(other.to(self.other_head.weight.dtype))
        return out

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """The loss of the pairs, and the temperature where it is learned."""
        x = check_batch(batch, samples=2)
        if "paired" in batch.extra:
            if self.dims is None and self.second is None:
                remedy = "build the method with dims (of vectors) or second (an encoder of series)"
                raise InputError("dims", None, remedy)
            other = batch.extra["paired"]
        else:
            x, other = self._split(x)
        z1, z2 = self.project(x), self.project_other(other)
        known = loss_inputs(self.loss, batch)
        if self.scale is None:
            return {"loss": self.loss(z1, z2, **known)}
        assert isinstance(self.loss, ContrastiveLoss)
        fixed, temperature = self.loss.temperature, self.scale.clamp(WARMEST, COLDEST).neg().exp()
        try:
            self.loss.temperature = temperature  # type: ignore[assignment]
            value = self.loss(z1, z2, **known)
        finally:
            self.loss.temperature = fixed
        return {"loss": value, "temperature": temperature.detach()}

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Series without the channels of the second group, and series of those alone."""
        channels = x.shape[2]
        if self.dims is not None or self.second is not None:
            raise InputError("paired", None, "the batch brings no second modality")
        if channels < 2:
            raise InputError(
                "channel_groups", self.channel_groups, "a series of one channel has no two groups"
            )
        groups = self.channel_groups or (range(channels // 2), range(channels // 2, channels))
        parts = []
        for group in groups:
            if min(group) < 0 or max(group) >= channels:
                raise InputError(
                    "channel_groups", list(group), f"name channels 0 to {channels - 1}"
                )
            missing = torch.ones(channels, dtype=torch.bool, device=x.device)
            missing[list(group)] = False
            parts.append(x.masked_fill(missing, torch.nan))
        return parts[0], parts[1]
