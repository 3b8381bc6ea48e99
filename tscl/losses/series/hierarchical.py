"""TS2Vec's hierarchical contrastive loss over two views of a series.

Yue et al., "TS2Vec: Towards Universal Representation of Time Series", AAAI 2022, arXiv 2106.10466,
section 3.3. With r_{i,t} and r'_{i,t} the embeddings of sample i at time step t in the two views,
inner products and no temperature,

    temporal  l(i, t) = -log exp(r_{i,t} . r'_{i,t})
                        / sum_{t'} ( exp(r_{i,t} . r'_{i,t'}) + [t' != t] exp(r_{i,t} . r_{i,t'}) )
    instance  l(i, t) = -log exp(r_{i,t} . r'_{i,t})
                        / sum_j ( exp(r_{i,t} . r'_{j,t}) + [j != i] exp(r_{i,t} . r_{j,t}) )

(eqs. 1 and 2, both views as anchors). Both are averaged over samples and steps, weighted, and
averaged over the scales that repeated max-pooling by 2 along time gives, down to one step, where
the temporal term is zero (algorithm 1; the last scale counts in the average, as in the public
code).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.base import plain_gradient, unit
from tscl.losses.series.views import check_series_views, pool_by_two
from tscl.losses.shared.settings import floor_setting, number_setting, whole_setting
from tscl.losses.shared.tiled_pairs import TILE, Axis, accumulate_pairs, plain_pairs


class HierarchicalContrastiveLoss(nn.Module):
    """Temporal and instance contrast at every time scale.

    Views are pooled once for both terms. Logits are held a tile at a time, so memory grows with
    B T D and not with B T^2; the gradient comes with the value. A second derivative holds all
    logits.

    Args:
        alpha: weight of the instance term, in [0, 1]; the temporal one has 1 - alpha.
        temporal_unit: scales with index below this (from 0, the finest) have no temporal term.
        instance_weight: overrides ``alpha``, >= 0.
        temporal_weight: overrides ``1 - alpha``, >= 0.
        normalize: compare unit vectors at every scale.
        tile: most logits held at a time.

    Shape:
        z1, z2: (B, T, D). Returns a scalar; 0 when B = 1 and T = 1.

    Raises:
        InputError: weights out of range, views of different or wrong shape, or not finite.

    Example:
        >>> z1, z2 = torch.zeros(3, 1, 2), torch.zeros(3, 1, 2)
        >>> float(HierarchicalContrastiveLoss(alpha=1.0)(z1, z2))  # log(2 B - 1)
        1.609437...
    """

    def __init__(
        self,
        alpha: float = 0.5,
        temporal_unit: int = 0,
        *,
        instance_weight: float | None = None,
        temporal_weight: float | None = None,
        normalize: bool = False,
        tile: int = TILE,
    ) -> None:
        super().__init__()
        if not 0.0 <= number_setting("alpha", alpha) <= 1.0:
            raise InputError("alpha", alpha, "choose a value in [0, 1]")
        self.instance_weight = alpha if instance_weight is None else instance_weight
        self.temporal_weight = 1.0 - alpha if temporal_weight is None else temporal_weight
        for name in ("instance_weight", "temporal_weight"):
            floor_setting(name, getattr(self, name))
        self.normalize = normalize
        self.temporal_unit = whole_setting("temporal_unit", temporal_unit, 0)
        self.tile = whole_setting("tile", tile)

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        """The weighted sum of both terms."""
        instance, temporal = self.terms(z1, z2)
        return self.instance_weight * instance + self.temporal_weight * temporal

    def terms(self, z1: Tensor, z2: Tensor) -> tuple[Tensor, Tensor]:
        """Instance and temporal term, unweighted, each averaged over the scales.

        A term whose weight is zero is not computed and comes back as zero.
        """
        z1, z2 = check_series_views(z1, z2)
        zero = (z1.sum() + z2.sum()) * 0.0
        instance, temporal = zero, zero
        scale = 0
        with torch.autocast(z1.device.type, enabled=False):
            while True:
                pair = (unit(z1), unit(z2)) if self.normalize else (z1, z2)
                if self.instance_weight and z1.shape[0] > 1:
                    instance = instance + _contrast(*pair, "batch", self.tile)
                if self.temporal_weight and z1.shape[1] > 1 and scale >= self.temporal_unit:
                    temporal = temporal + _contrast(*pair, "time", self.tile)
                scale += 1
                if z1.shape[1] == 1:
                    break
                z1, z2 = pool_by_two(z1), pool_by_two(z2)
        return instance / scale, temporal / scale


class _PairContrast(torch.autograd.Function):
    """Mean contrast of one scale along one axis; value and gradient in one visit."""

    @staticmethod
    def forward(ctx: Any, z1: Tensor, z2: Tensor, axis: Axis, tile: int) -> Tensor:
        grads = None
        if any(ctx.needs_input_grad[:2]):
            grads = (torch.zeros_like(z1), torch.zeros_like(z2))
        value = accumulate_pairs(z1, z2, axis, grads=grads, tile=tile)
        if grads is not None:
            ctx.save_for_backward(z1, z2, *grads)
        ctx.axis = axis
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z1, z2, g1, g2 = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = partial(plain_pairs, axis=ctx.axis)
            return (*plain_gradient(plain, (z1, z2), grad), None, None)
        first, second = ctx.needs_input_grad[:2]
        return (g1 * grad if first else None, g2 * grad if second else None, None, None)


def _contrast(z1: Tensor, z2: Tensor, axis: Axis, tile: int) -> Tensor:
    value: Tensor = _PairContrast.apply(z1.contiguous(), z2.contiguous(), axis, tile)
    return value
