"""BYOL on series: one view's projection is predicted from another's; no negatives.

Grill et al., "Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning", arXiv
2006.07733. The targets come from a slow copy of the network, without which predictor and encoder
agree on a constant.
"""

from __future__ import annotations

from torch import Tensor

from tscl.losses.base import unit
from tscl.methods.base import METHODS, Batch
from tscl.methods.momentum import MomentumMethod


@METHODS.register("byol")
class BYOL(MomentumMethod):
    """BYOL around any encoder; eq. 2 in both directions, |q - z|^2 of unit vectors.

    Its arguments are those of :class:`tscl.methods.momentum.MomentumMethod`.

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

    def compare(self, prediction: Tensor, target: Tensor, batch: Batch) -> Tensor:
        """2 - 2 cos, from 0 (predicted) to 4."""
        return (2.0 - 2.0 * (unit(prediction) * unit(target)).sum(dim=-1)).mean()
