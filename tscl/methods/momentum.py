"""A copy that follows the encoder slowly, for methods whose targets must not move with it."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from tscl.augmentations import AugmentationSpec
from tscl.encoders.base import EncoderLike
from tscl.errors import InputError, is_whole
from tscl.methods.base import Batch, Losses, Method
from tscl.methods.heads import embed, mlp_head, output_dims
from tscl.methods.instance_views import build_views, check_views, draw_views
from tscl.pooling import check_pooling


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, momentum: float) -> None:
    """Move parameters towards those of another network: m target + (1 - m) source.

    Args:
        target: the network that moves.
        source: the network it follows.
        momentum: m in [0, 1].
    """
    for mine, theirs in zip(target.parameters(), source.parameters(), strict=True):
        mine.lerp_(theirs, 1.0 - momentum)


def momentum_at(step: int, momentum: float, steps: int | None) -> float:
    """Momentum after a step: constant, or up to 1 along half a cosine.

    Grill et al. 2020, arXiv 2006.07733, section 3.3: 1 - (1 - m) (cos(pi k / K) + 1) / 2.

    Args:
        step: k, from 0.
        momentum: m at the start.
        steps: K, of the whole training; None keeps the momentum constant.
    """
    if steps is None:
        return momentum
    return 1.0 - (1.0 - momentum) * (math.cos(math.pi * min(step / steps, 1.0)) + 1.0) / 2.0


class MomentumMethod(Method):
    """Encoder, projector and predictor, and a slow copy of the first two that makes the targets.

    Every view's prediction is compared with the target of every other view, in both directions.
    Views are those of the batch where its source draws them, such as crops of a recording.

    Args:
        encoder: the encoder to train.
        augmentation: name, mapping ``{"name": ..., **parameters}`` or module, of the first view;
            None leaves views as they are.
        augmentation2: the same for all other views; None takes the first again.
        views: views made of a sample when the batch brings none, >= 2.
        momentum: share of the copy kept at each step, in [0, 1].
        momentum_steps: steps over which the momentum rises to 1; None keeps it as it is.
        projection_dims: width of projections and predictions.
        hidden_dims: width inside projector and predictor.
        pooling: over time, of :data:`tscl.pooling.POOLS`, several joined by ``+``.
        mask: latent mask mode of every view.

    Attributes:
        projector_depth: linear layers of the projector.
    """

    projector_depth: ClassVar[int] = 2

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        augmentation: AugmentationSpec | None = "scale_shift_jitter",
        augmentation2: AugmentationSpec | None = None,
        views: int = 2,
        momentum: float = 0.99,
        momentum_steps: int | None = None,
        projection_dims: int = 128,
        hidden_dims: int = 512,
        pooling: str = "max",
        mask: str = "all_true",
    ) -> None:
        super().__init__(encoder)
        if not 0.0 <= momentum <= 1.0:
            raise InputError("momentum", momentum, "choose a value in [0, 1]")
        if momentum_steps is not None and (not is_whole(momentum_steps) or momentum_steps < 1):
            raise InputError("momentum_steps", momentum_steps, "give a number of steps, or None")
        self.momentum, self.momentum_steps = float(momentum), momentum_steps
        self.augmentation, self.augmentation2 = build_views(augmentation, augmentation2)
        self.views = check_views(views)
        self.pooling, self.mask = pooling, mask
        dims = output_dims(self.encoder) * len(check_pooling(pooling))
        self.projector = mlp_head(
            dims, projection_dims, depth=self.projector_depth, width=hidden_dims, batch_norm=True
        )
        self.predictor = mlp_head(
            projection_dims, projection_dims, depth=2, width=hidden_dims, batch_norm=True
        )
        self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)

    @abstractmethod
    def compare(self, prediction: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """The loss of one view against another, a scalar.

        Args:
            prediction: (B, D) of one view.
            target: (B, D) of the other, by the moving copy.
            batch: what both were made of.
        """

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """``loss``: twice the mean over ordered pairs of views; the sum when there are two.

        Raises:
            InputError: fewer than two samples, or views that do not fit the batch.
        """
        predictions, targets = [], []
        augmentations = (self.augmentation, self.augmentation2)
        for view in draw_views(batch, augmentations, self.views, generator):
            pooled = self._embed(self.encoder, view, generator)
            predictions.append(self.predictor(self.projector(pooled)))
            with torch.no_grad():
                pooled = self._embed(self.target_encoder, view, generator)
                targets.append(self.target_projector(pooled))
        pairs = [
            self.compare(prediction, target, batch)
            for a, prediction in enumerate(predictions)
            for b, target in enumerate(targets)
            if a != b
        ]
        return {"loss": 2.0 * torch.stack(pairs).mean()}

    def _embed(self, encoder: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        return embed(encoder, x, pooling=self.pooling, mask=self.mask, generator=generator)

    def after_step(self, step: int) -> None:
        """Move the copy towards encoder and projector."""
        momentum = momentum_at(step, self.momentum, self.momentum_steps)
        follow(self.target_encoder, self.encoder, momentum)
        follow(self.target_projector, self.projector, momentum)
