"""Contrastive attraction and contrastive repulsion: positives and negatives compared among
themselves.

Zheng et al., "Contrastive Attraction and Contrastive Repulsion for Representation Learning", arXiv
2105.03746, with the cost (squared Euclidean distance of unit embeddings) and the conditional
weights of the authors' code (JegZheng/CACR-SSL). For an anchor x with positives x+ (its other
views) and negatives x- (other samples in another view),

    attraction = sum_k softmax_k( t+ |x - x_k+|^2) |x - x_k+|^2     farther positives pull harder
    repulsion  = sum_k softmax_k(-t- |x - x_k-|^2) |x - x_k-|^2     closer negatives push harder
    L = alpha attraction - beta repulsion

t = 0 weighs all alike. With two views there is one positive and attraction is its squared distance.
The public code takes each pair of views in one direction for the negatives; here both count. The
value lies in [-4 beta, 4 alpha].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, diagonal, unit
from tscl.losses.shared.settings import floor_setting


@LOSSES.register("cacr")
class CACR(ContrastiveLoss):
    """Contrastive attraction and contrastive repulsion.

    Args:
        t_positive: t+ >= 0, how much farther positives count more.
        t_negative: t- >= 0, how much closer negatives count more.
        alpha: factor >= 0 of the attraction.
        beta: factor >= 0 of the repulsion.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (V, B)).
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(4)
        >>> float(CACR()(z, z))  # views alike; others at squared distance 2
        -2.0
    """

    def __init__(
        self,
        t_positive: float = 1.0,
        t_negative: float = 2.0,
        *,
        alpha: float = 1.0,
        beta: float = 1.0,
        reduction: Reduction = "mean",
        gather: bool = False,
    ) -> None:
        super().__init__(1.0, reduction, gather=gather)
        self.t_positive = floor_setting("t_positive", t_positive)
        self.t_negative = floor_setting("t_negative", t_negative)
        self.alpha = floor_setting("alpha", alpha)
        self.beta = floor_setting("beta", beta)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Attraction minus repulsion, averaged over anchors of all views."""
        z = unit(views)
        v = len(z)
        norms = z.square().sum(-1)
        eye = diagonal(z[0])
        per_view = []
        for a in range(v):
            pulls, pushes = [], []
            for b in (b for b in range(v) if b != a):
                pulls.append((z[a] - z[b]).square().sum(-1))
                cost = norms[a][:, None] + norms[b] - 2.0 * z[a] @ z[b].T
                logits = (-self.t_negative * cost).masked_fill(eye, -math.inf)
                pushes.append((logits.softmax(1) * cost).sum(1))
            pull = torch.stack(pulls)
            attraction = ((self.t_positive * pull).softmax(0) * pull).sum(0)
            repulsion = torch.stack(pushes).mean(0)
            per_view.append(self.alpha * attraction - self.beta * repulsion)
        return self.reduce(torch.stack(per_view), extra.weights)
