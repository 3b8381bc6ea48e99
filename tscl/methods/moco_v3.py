"""MoCo v3 on series: predictions of one view find their sample among a slow copy's targets.

Chen et al., "An Empirical Study of Training Self-Supervised Vision Transformers", arXiv 2104.02057,
algorithm 1: no queue, the negatives are the batch's others.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tscl.encoders.base import EncoderLike
from tscl.errors import InputError
from tscl.losses.base import unit
from tscl.methods.base import METHODS, Batch
from tscl.methods.instance_loss import batch_column
from tscl.methods.momentum import MomentumMethod


@METHODS.register("moco_v3")
class MoCoV3(MomentumMethod):
    """MoCo v3 around any encoder.

    Args:
        encoder: the encoder to train.
        temperature: softmax temperature tau, > 0; the loss is multiplied by tau, as in the paper.
        ids: level of ``batch.ids`` whose samples are no negatives of one another, such as
            ``patient``; None: all others of the batch are.
        **options: of :class:`tscl.methods.momentum.MomentumMethod`.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> from tscl.methods.base import Batch
        >>> x = torch.randn(8, 60, 2, generator=torch.Generator().manual_seed(0))
        >>> encoder = ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4, depth=2)
        >>> batch = Batch(x, torch.arange(8))
        >>> method = MoCoV3(encoder)
        >>> sorted(method.losses(batch, method.phases(0)[0], torch.Generator().manual_seed(0)))
        ['loss']
    """

    projector_depth = 3

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        temperature: float = 0.2,
        ids: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(encoder, **options)
        if not 0 < temperature < float("inf"):
            raise InputError("temperature", temperature, "choose a finite value above 0")
        self.temperature, self.ids = float(temperature), ids

    def compare(self, prediction: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """tau times twice the cross-entropy of finding the own target; half of it a direction."""
        logits = unit(prediction).float() @ unit(target).float().T / self.temperature
        own = torch.arange(len(logits), device=logits.device)
        if self.ids is not None:
            group = batch_column(batch, self.ids)
            alike = group[:, None] == group
            alike[own, own] = False
            logits = logits.masked_fill(alike, -torch.inf)
        return 2.0 * self.temperature * cross_entropy(logits, own)
