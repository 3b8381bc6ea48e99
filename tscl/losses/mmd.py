"""Maximum mean discrepancy between two sets of embeddings, with a sum of Gaussian kernels.

    MMD(P, Q) = mean k(p, p') + mean k(q, q') - 2 mean k(p, q),
    k(a, b) = sum_i exp(-|a - b|^2 / s_i)

with five bandwidths s_i spaced by 2 around the mean squared distance of all pairs. See Gretton
et al., "A Kernel Two-Sample Test", JMLR 2012, arXiv 0805.2368; AutoTCL (arXiv 2402.10434,
section 3.3) uses it as the discrepancy of the principle of relevant information.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra
from tscl.losses.shared.columns import relative_weights
from tscl.losses.shared.kernels import gaussian_kernels
from tscl.losses.shared.settings import positive_setting, whole_setting


@LOSSES.register("mmd")
class MMD(ContrastiveLoss):
    """Biased (V-statistic) MMD of the first two views; zero when both sets are equal.

    Args:
        n_kernels: number of bandwidths.
        spacing: ratio of neighbouring bandwidths.
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(4)
        >>> abs(float(MMD()(z, z.flip(0)))) < 1e-6  # the same set in another order
        True
    """

    power = 2
    max_views = 2

    def __init__(self, n_kernels: int = 5, spacing: float = 2.0, *, gather: bool = False) -> None:
        super().__init__(1.0, "mean", gather=gather)
        self.n_kernels = whole_setting("n_kernels", n_kernels)
        self.spacing = positive_setting("spacing", spacing)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """MMD between view 0 and view 1, each sample weighted by ``weights``."""
        n = views.shape[1]
        every = views.reshape(2 * n, -1)
        kernel = gaussian_kernels(every, self.n_kernels, self.spacing)
        share = torch.full((n,), 1.0 / n, dtype=kernel.dtype, device=kernel.device)
        if extra.weights is not None:
            share = relative_weights(extra.weights, kernel.dtype)
            share = share / share.sum().clamp_min(torch.finfo(share.dtype).tiny)
        sign = torch.cat((share, -share))
        return sign @ kernel @ sign
