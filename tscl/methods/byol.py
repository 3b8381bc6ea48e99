"""BYOL on series: one view's projection is predicted from another's; no negatives.

Grill et al., "Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning", arXiv
2006.07733. The targets come from a slow copy of the network, without which predictor and encoder
agree on a constant.
"""

from __future__ import annotations

from torch import Tensor, nn

from tscl.augmentations import AugmentationSpec
from tscl.encoders.base import EncoderLike
from tscl.losses.base import unit
from tscl.methods.base import METHODS, Batch
from tscl.methods.momentum import MomentumMethod


@METHODS.register("byol")
class BYOL(MomentumMethod):
    """BYOL around any encoder; eq. 2 in both directions, |q - z|^2 of unit vectors.

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

    Example:
        >>> import torch
        >>> from tscl.encoders import ENCODERS
        >>> from tscl.methods.base import Batch
        >>> x = torch.randn(8, 60, 2, generator=torch.Generator().manual_seed(0))
        >>> encoder = ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4, depth=2)
        >>> batch = Batch(x, torch.arange(8))
        >>> method = BYOL(encoder)
        >>> sorted(method.losses(batch, method.phases(0)[0], torch.Generator().manual_seed(0)))
        ['loss']
    """

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
        super().__init__(
            encoder,
            augmentation=augmentation,
            augmentation2=augmentation2,
            views=views,
            momentum=momentum,
            momentum_steps=momentum_steps,
            projection_dims=projection_dims,
            hidden_dims=hidden_dims,
            projector_depth=2,
            pooling=pooling,
            mask=mask,
        )

    def compare(self, prediction: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """2 - 2 cos, from 0 (predicted) to 4."""
        return (2.0 - 2.0 * (unit(prediction) * unit(target)).sum(dim=-1)).mean()
