"""SimCLR on series: two augmented views or more, pooled, projected, contrasted.

Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", arXiv
2002.05709, section 2: NT-Xent (eq. 1) on a projection head that is thrown away after training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tscl.augmentations import AugmentationSpec
from tscl.encoders.base import EncoderLike
from tscl.methods.base import METHODS, Batch, Losses, Method
from tscl.methods.heads import (
    ProjectionHead,
    build_head,
    embed,
    output_dims,
)
from tscl.methods.instance_loss import build_loss, loss_inputs, loss_needs
from tscl.methods.instance_views import build_views, check_views, draw_views
from tscl.pooling import check_pooling


@METHODS.register("simclr")
class SimCLR(Method):
    """SimCLR around any encoder, any augmentation and any loss over (B, D) embeddings.

    Views are those of the batch where its source draws them, such as crops of a recording, each
    augmented; otherwise augmented copies of the series. More than two go to the loss as one
    (V, B, D) tensor, which MV-InfoNCE, MV-DHEL and CACR are made for.

    Args:
        encoder: the encoder to train.
        augmentation: name, mapping ``{"name": ..., **parameters}`` or module, for the first view;
            None leaves views as they are.
        augmentation2: the same for all other views; None draws again from the first.
        views: views made of a sample when the batch brings none, >= 2.
        loss: name from :data:`tscl.losses.LOSSES` or a module called as
            ``loss(z1, z2, labels=..., ids=...)``, or ``loss(z, ...)`` for more than two views.
        loss_params: its arguments when given by name.
        projection_dims: output of the projection head; 0 leaves the head out.
        hidden_dims: width of the head; None takes the encoder's output dimensions.
        batch_norm: batch normalisation in the head.
        head: a module (B, D) to (B, any), or a mapping ``{"name": "mlp"|"reweight"|"none",
            **parameters}`` for :func:`tscl.methods.heads.build_head`; it takes the place of
            the head described by the three arguments before.
        pooling: over time, of :data:`tscl.pooling.POOLS`, several joined by ``+``.
        mask: latent mask mode of every view.
        ids: level of ``batch.ids`` handed to the loss, or ``index`` for the sample's position in
            its source; None hands over none.
        one_pass: encode all views in one pass where they have one shape, which is quicker for
            small models. Masks and dropout are drawn alike but for all views at once, so the
            figures differ from two passes as those of another seed do.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> from tscl.methods.base import Batch
        >>> x = torch.randn(8, 60, 2, generator=torch.Generator().manual_seed(0))
        >>> encoder = ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4, depth=2)
        >>> batch = Batch(x, torch.arange(8))
        >>> method = SimCLR(encoder)
        >>> sorted(method.losses(batch, method.phases(0)[0], torch.Generator().manual_seed(0)))
        ['loss']
    """

    title = "SimCLR"

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        augmentation: AugmentationSpec | None = "scale_shift_jitter",
        augmentation2: AugmentationSpec | None = None,
        views: int = 2,
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
        dims = output_dims(self.encoder) * len(check_pooling(pooling))
        self.augmentation, self.augmentation2 = build_views(augmentation, augmentation2)
        self.views = check_views(views)
        self.head: nn.Module = nn.Identity()
        if projection_dims:
            self.head = ProjectionHead(dims, hidden_dims or dims, projection_dims, batch_norm)
        if isinstance(head, nn.Module):
            self.head = head
        elif head is not None:
            self.head = build_head(in_dims=dims, out_dims=projection_dims or dims, **head)
        self.loss = build_loss(loss, loss_params, projection_dims or dims)
        self.pooling = pooling
        self.mask = mask
        self.ids = ids
        self.needs = loss_needs(self.loss, ids)
        self.one_pass = one_pass

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """``loss`` of the projected views.

        Raises:
            InputError: fewer than two samples, views that do not fit the batch, or no ids of the
                level ``ids`` in it.
        """
        augmentations = (self.augmentation, self.augmentation2)
        drawn = draw_views(batch, augmentations, self.views, generator)
        if self.one_pass:
            seen = list(drawn)
            if len({view.shape for view in seen}) == 1:
                embeddings = self._embed(torch.cat(seen), generator).chunk(len(seen))
            else:
                embeddings = tuple(self._embed(view, generator) for view in seen)
        else:
            embeddings = tuple(self._embed(view, generator) for view in drawn)
        z = [self.head(embedding) for embedding in embeddings]
        given = (z[0], z[1]) if len(z) == 2 else (torch.stack(z),)
        return {"loss": self.loss(*given, **loss_inputs(self.loss, batch, self.ids))}

    def _embed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Pooled embeddings (B, D) of a view."""
        return embed(self.encoder, x, pooling=self.pooling, mask=self.mask, generator=generator)
