"""Contrast of all views at once: MV-InfoNCE and MV-DHEL.

Koromilas et al., "A Principled Framework for Multi-View Contrastive Learning", arXiv 2507.06979;
the forms below are those of the authors' code (pakoromilas/Multi-View-CL). For unit embeddings
u_{i,l} of sample i in view l and e(u, v) = exp(u . v / tau),

    MV-InfoNCE  L_i = -log( sum_{l != m} e(u_il, u_im)
                            / sum_l sum_{(j, m) != (i, l)} e(u_il, u_jm) )
    MV-DHEL     L_i = -log( sum_{l < m} e(u_il, u_im) / prod_l sum_{j != i} e(u_il, u_jl) )

Both have one term a sample, however many views there are. With two views MV-DHEL is the two-view
DHEL, -u_i1 . u_i2 / tau + log sum_{j != i} e(u_i1, u_j1) + log sum_{j != i} e(u_i2, u_j2), and
MV-InfoNCE is NT-Xent whose two anchors share one ratio, -log( 2 e(u_i1, u_i2) / (S_i1 + S_i2) ),
with S the two denominators of NT-Xent; it equals NT-Xent where S_i1 = S_i2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, diagonal, unit


class _MultiView(ContrastiveLoss):
    """What both share: the default temperature and the positives."""

    def __init__(
        self, temperature: float = 0.2, reduction: Reduction = "mean", *, gather: bool = False
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)

    def positives(self, z: Tensor) -> Tensor:
        """Log of the sum of e over the unordered pairs of views of each sample: (B,)."""
        v = len(z)
        within = torch.einsum("lnd,mnd->nlm", z, z) / self.temperature
        upper = torch.triu_indices(v, v, 1, device=z.device)
        return within[:, upper[0], upper[1]].logsumexp(1)


@LOSSES.register("mv_infonce")
class MVInfoNCE(_MultiView):
    """MV-InfoNCE: one softmax a sample over all pairs of views and samples.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per sample, (B,)).
        gather: see :class:`ContrastiveLoss`.

    (V B, V B) logits are held.

    Example:
        >>> z = torch.eye(4)
        >>> float(MVInfoNCE(temperature=0.5)(torch.stack((z, z, z))))  # log(1 + 4.5 / e^2)
        0.4756...
    """

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over samples."""
        z = unit(views)
        v, n, d = z.shape
        positive = self.positives(z) + math.log(2.0)
        every = z.reshape(v * n, d)
        logits = every @ every.T / self.temperature
        rows = logits.masked_fill(diagonal(every), -math.inf).logsumexp(1).reshape(v, n)
        return self.reduce(rows.logsumexp(0) - positive, extra.weights)


@LOSSES.register("mv_dhel")
class MVDHEL(_MultiView):
    """MV-DHEL: alignment over all pairs of views, uniformity within each view.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per sample, (B,)).
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(4)
        >>> float(MVDHEL(temperature=0.5)(z, z))  # 2 log(3) - 2
        0.1972...
    """

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over samples."""
        z = unit(views)
        positive = self.positives(z)
        logits = z @ z.transpose(1, 2) / self.temperature
        spread = logits.masked_fill(diagonal(z[0]), -math.inf).logsumexp(2).sum(0)
        return self.reduce(spread - positive, extra.weights)
