"""SimCLR on series: two augmented views, pooled, projected, contrasted.

Chen et al. 2020, arXiv 2002.05709, section 2: NT-Xent (eq. 1) on a projection head that is thrown
away after training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tscl.augmentations import AugmentationSpec, build_augmentation
from tscl.encoders.base import EncoderLike
from tscl.methods.base import METHODS, Batch, Losses, Method
from tscl.methods.heads import (
    ProjectionHead,
    build_head,
    check_batch,
    embed,
    output_dims,
)
from tscl.methods.instance_loss import build_loss, loss_inputs, loss_needs
from tscl.pooling import check_one_pooling


@METHODS.register("simclr")
class SimCLR(Method):
    """SimCLR around any encoder, any augmentation and any loss over (B, D) embeddings.

    Args:
        encoder: the encoder to train.
        augmentation: name, mapping ``{"name": ..., **parameters}`` or module, for the first view.
        augmentation2: the same for the second view; None draws again from the first.
        loss: name from :data:`tscl.losses.LOSSES` or a module called as
            ``loss(z1, z2, labels=..., ids=...)``.
        loss_params: its arguments when given by name.
        projection_dims: output of the projection head; 0 leaves the head out.
        hidden_dims: width of the head; None takes the encoder's output dimensions.
        batch_norm: batch normalisation in the head.
        head: a module (B, D) to (B, any), or a mapping ``{"name": "mlp"|"reweight"|"none",
            **parameters}`` for :func:`tscl.methods.heads.build_head`; it takes the place of
            the head described by the three arguments before.
        pooling: over time, one of :data:`tscl.pooling.POOLS`.
        mask: latent mask mode of both views.
        ids: level of ``batch.ids`` handed to the loss, or ``index`` for the sample's position in
            its source; None hands over none.
        one_pass: encode both views in one pass where they have one shape, which is quicker for
            small models. Masks and dropout are drawn alike but for both views at once, so the
            figures differ from two passes as those of another seed do.
    """

    title = "SimCLR"

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        augmentation: AugmentationSpec = "scale_shift_jitter",
        augmentation2: AugmentationSpec | None = None,
        loss: str | nn.Module = "ntxent",
        loss_params: dict[str, Any] | None = None,
        projection_dims: int = 128,
        hidden_dims: int | None = None,
        batch_norm: bool = False,
        head: nn.Module | dict[str, Any] | None = None,
        pooling: str = "max",
        mask: str = "all_true",
        ids: str | None = None,
        one_pass: bool = False,
    ) -> None:
        super().__init__(encoder)
        dims = output_dims(self.encoder)
        self.augmentation = build_augmentation(augmentation)
        self.augmentation2 = None if augmentation2 is None else build_augmentation(augmentation2)
        self.head: nn.Module = nn.Identity()
        if projection_dims:
            self.head = ProjectionHead(dims, hidden_dims or dims, projection_dims, batch_norm)
        if isinstance(head, nn.Module):
            self.head = head
        elif head is not None:
            self.head = build_head(in_dims=dims, out_dims=projection_dims or dims, **head)
        self.loss = build_loss(loss, loss_params)
        self.pooling = check_one_pooling(pooling)
        self.mask = mask
        self.ids = ids
        self.needs = loss_needs(self.loss, ids)
        self.one_pass = one_pass

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """``loss`` of the two projected views.

        Raises:
            InputError: fewer than two samples, or no ids of the level ``ids`` in the batch.
        """
        x = check_batch(batch, samples=2)
        views = (self.augmentation, self.augmentation2 or self.augmentation)
        if self.one_pass:
            seen = [view(x, generator) for view in views]
            if seen[0].shape == seen[1].shape:
                codes = self._embed(torch.cat(seen), generator).chunk(2)
            else:
                codes = tuple(self._embed(one, generator) for one in seen)
        else:
            codes = tuple(self._embed(view(x, generator), generator) for view in views)
        z1, z2 = (self.head(code) for code in codes)
        return {"loss": self.loss(z1, z2, **loss_inputs(self.loss, batch, self.ids))}

    def _embed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Pooled codes (B, D) of a view."""
        return embed(self.encoder, x, pooling=self.pooling, mask=self.mask, generator=generator)
