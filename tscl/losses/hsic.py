"""Dependence of embeddings on a group, such as the site, to be trained away (harmonisation).

The Hilbert-Schmidt independence criterion of Ma et al., "The HSIC Bottleneck: Deep Learning without
Back-Propagation", arXiv 1908.01580, eq. 3, between embeddings z and group codes s,

    HSIC = mean_ij K~(z_i, z_j) L~(s_i, s_j),    ~: centred in rows and columns,
    K a mean of Gaussian kernels, L(s, s') = 1 where s = s'

is 0 when z tells nothing of s and grows with what it tells. Here z is standardised over the batch,
as a probe would do, so that a narrow direction counts as much as a wide one; and the value is
divided by HSIC(s, s), so that neither the number of groups nor their sizes matter.
For two groups it is a maximum mean discrepancy.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra
from tscl.losses.shared.columns import relative_weights
from tscl.losses.shared.kernels import gaussian_kernels
from tscl.losses.shared.settings import positive_setting, whole_setting


@LOSSES.register("hsic")
class HSIC(ContrastiveLoss):
    """How much embeddings depend on a group, a mean over views; 0 in a batch of one group.

    Minimised beside a contrastive loss it keeps the group, such as site or device, out of the
    embeddings. Where groups differ in their classes it takes some of the class with it.

    Args:
        n_kernels: number of bandwidths.
        spacing: ratio of neighbouring bandwidths.
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(2).repeat(4, 1)
        >>> loss = HSIC()
        >>> told, hidden = torch.arange(8) % 2, torch.arange(8) // 4
        >>> float(loss(z, z, labels=told)) > 0.3 > 1e-6 > float(loss(z, z, labels=hidden))
        True
    """

    needs = ("labels",)
    power = 2

    def __init__(self, n_kernels: int = 5, spacing: float = 2.0, *, gather: bool = False) -> None:
        super().__init__(1.0, "mean", gather=gather)
        self.n_kernels = whole_setting("n_kernels", n_kernels)
        self.spacing = positive_setting("spacing", spacing)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """HSIC of each view with ``labels``, which hold the group, over that of the group."""
        n, group = views.shape[1], extra["labels"]
        share = torch.full((n,), 1.0 / n, dtype=views.dtype, device=views.device)
        if extra.weights is not None:
            share = relative_weights(extra.weights, views.dtype)
            share = share / share.sum().clamp_min(torch.finfo(share.dtype).tiny)
        pairs = share[:, None] * share[None, :]
        same = _centred((group[:, None] == group[None, :]).to(views.dtype), share)
        own = (pairs * same * same).sum()
        level = (share[:, None] * views.detach()).sum(dim=1, keepdim=True)
        spread = (share[:, None] * (views.detach() - level) ** 2).sum(dim=1, keepdim=True).sqrt()
        scaled = (views - level) / torch.where(spread > 1e-12, spread, torch.ones_like(spread))
        kernels = [gaussian_kernels(z, self.n_kernels, self.spacing) for z in scaled]
        values = [(pairs * same * _centred(kernel, share)).sum() for kernel in kernels]
        total = torch.stack(values).mean() / self.n_kernels
        return torch.where(own > 1e-9, total / own.clamp_min(1e-9), total * 0.0)  # of one group: 0


def _centred(kernel: Tensor, share: Tensor) -> Tensor:
    """``kernel`` (N, N) less the means of rows and columns, weighted by ``share`` (sum 1)."""
    mean = kernel @ share
    return kernel - mean[:, None] - mean[None, :] + share @ mean
