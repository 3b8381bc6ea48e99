"""Decoupled contrastive learning: InfoNCE without the positive in its own denominator.

Yeh et al., "Decoupled Contrastive Learning", arXiv 2110.06848. For unit embeddings u, v of two
views and temperature tau,

    N_i = sum_{j != i} [exp(u_i . v_j / tau) + exp(u_i . u_j / tau)]
    DCL:   L_i = -     u_i . v_i / tau + log N_i
    DCLW:  L_i = - w_i u_i . v_i / tau + log N_i
           w_i = 2 - exp(u_i . v_i / sigma) / mean_j exp(u_j . v_j / sigma)

In InfoNCE the gradient carries the factor 1 - p_i, which vanishes for small batches and easy
positives; leaving the positive out removes it. w (a negative von Mises-Fisher weight, mean 1) gives
more weight to positives that are still apart. Both views are anchors. The values can be negative.
"""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, diagonal, unit
from tscl.losses.shared.settings import positive_setting


@LOSSES.register("dcl")
class DCL(ContrastiveLoss):
    """Decoupled contrastive loss; all views pairwise when there are more than two.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (pairs, B)).
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(4)
        >>> float(DCL(temperature=0.5)(z, z))  # log(6) - 2
        -0.2082...
    """

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over ordered pairs of views and anchors."""
        z = unit(views).unbind()
        eye, tau = diagonal(z[0]), self.temperature

        def negatives(a: Tensor, b: Tensor) -> Tensor:
            return (a @ b.T / tau).masked_fill(eye, -math.inf)

        own = [negatives(v, v).logsumexp(1) for v in z]
        terms = []
        for a, b in combinations(range(len(z)), 2):
            cosine = (z[a] * z[b]).sum(-1)
            positive = self.positive_weights(cosine) * cosine / tau
            cross = negatives(z[a], z[b])
            terms.append(torch.logaddexp(cross.logsumexp(1), own[a]) - positive)
            terms.append(torch.logaddexp(cross.logsumexp(0), own[b]) - positive)
        return self.reduce(torch.stack(terms), extra.weights)

    def positive_weights(self, cosine: Tensor) -> Tensor:
        """w (B,) of positives with the given cosine similarities (B,)."""
        return torch.ones_like(cosine)


@LOSSES.register("dclw")
class DCLW(DCL):
    """DCL whose positives carry a negative von Mises-Fisher weight.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none``.
        sigma: width of the weights, > 0; large values give DCL back.
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(4)
        >>> float(DCLW(temperature=0.5)(z, z))  # positives alike weigh alike: DCL
        -0.2082...
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        sigma: float = 0.5,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        self.sigma = positive_setting("sigma", sigma)

    def positive_weights(self, cosine: Tensor) -> Tensor:
        """2 - B softmax(cosine / sigma), (B,); in (2 - B, 2), of mean 1."""
        return 2.0 - len(cosine) * (cosine / self.sigma).softmax(dim=0)
