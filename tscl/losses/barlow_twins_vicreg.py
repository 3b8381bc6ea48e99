"""Losses on moments of the embeddings, without negatives: Barlow Twins and VICReg.

Zbontar et al., "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", arXiv 2103.03230:
with C the correlation matrix across the batch of the dimensions of two views,

    L = sum_i (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2.

Bardes et al., "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
arXiv 2105.04906: with batch covariance Cov (divisor B - 1) of a view,

    invariance = mean_i |z_i - z'_i|^2 / D
    variance   = mean_d relu(1 - sqrt(Cov_dd + eps)),      covariance = sum_{d != e} Cov_de^2 / D
    L = 25 invariance + 25 [variance(Z) + variance(Z')] + 1 [covariance(Z) + covariance(Z')].

That is the paper's sum; the authors' code and libraries after it take half of the variance terms.

Neither loss normalises embeddings to unit length. Both are functions of the whole batch, so there
is no ``reduction``; ``weights`` give weighted moments (divisor 1 - sum_i share_i^2 of the shares of
samples, which is (B - 1) / B for equal weights).
"""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, plain_gradient
from tscl.losses.shared.columns import relative_weights
from tscl.losses.shared.settings import floor_setting, positive_setting


@LOSSES.register("barlow_twins")
class BarlowTwins(ContrastiveLoss):
    """Barlow Twins; mean over pairs of views.

    Args:
        off_diagonal: lambda >= 0.
        eps: added to the variances; a constant dimension has correlation 0, not NaN.
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
        >>> float(BarlowTwins(off_diagonal=0.5)(z, z))  # both dimensions say the same: 2 lambda
        0.9999...
    """

    power = 2

    def __init__(
        self, off_diagonal: float = 0.005, *, eps: float = 1e-5, gather: bool = False
    ) -> None:
        super().__init__(1.0, "mean", gather=gather)
        self.off_diagonal = floor_setting("off_diagonal", off_diagonal)
        self.eps = positive_setting("eps", eps)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over the pairs of views."""
        share = None if extra.weights is None else _shares(views, extra.weights)
        options = (share, self.off_diagonal, self.eps)
        if torch.compiler.is_compiling():
            return _plain(views, *options)
        value: Tensor = _CrossCorrelation.apply(views, *options)
        return value


def _plain(views: Tensor, share: Tensor | None, off_diagonal: float, eps: float) -> Tensor:
    """Barlow Twins by plain operations."""
    _, n, d = views.shape
    column = (views.new_full((n,), 1.0 / n) if share is None else share).unsqueeze(1)
    centred = views - (column * views).sum(1, keepdim=True)
    u = centred * torch.rsqrt((column * centred.square()).sum(1, keepdim=True) + eps)
    eye = torch.eye(d, dtype=views.dtype, device=views.device)
    weight = eye + off_diagonal * (1.0 - eye)
    terms = [
        (((u[a] * column).T @ u[b] - eye).square() * weight).sum()
        for a, b in combinations(range(len(u)), 2)
    ]
    return torch.stack(terms).mean()


class _CrossCorrelation(torch.autograd.Function):
    """Barlow Twins of (V, B, D) views, with the gradient in closed form.

    With u the standardised view, r the inverse deviations and G the derivative by C, that of a
    view is r (share u' G' - share u diag(C G')): its sum over samples vanishes, since u is
    centred, so the backward pass is one product and one pass over the embeddings.
    """

    @staticmethod
    def forward(
        ctx: Any, views: Tensor, share: Tensor | None, off_diagonal: float, eps: float
    ) -> Tensor:
        u, scale = _standardise(views, share, eps)
        n, d = views.shape[1:]
        # twice the weight of an entry of C - 1 in the sum of squares
        weight = views.new_full((d, d), 2.0 * off_diagonal)
        weight.fill_diagonal_(2.0)
        slopes, drawn, values = [], [], []
        for a, b in combinations(range(len(u)), 2):
            if share is None:
                correlation = (u[a].T @ u[b]).div_(n)
            else:
                correlation = (u[a] * share.unsqueeze(1)).T @ u[b]
            correlation.diagonal().sub_(1.0)
            slope = correlation * weight
            rows = correlation.mul_(slope).sum(1)
            values.append(rows.sum())
            # C G' needs C itself, not C - 1
            own = slope.diagonal()
            slopes.append(slope)
            drawn += [rows.add_(own), correlation.sum(0).add_(own)]
        column = None if share is None else share.unsqueeze(1)
        ctx.save_for_backward(views, *u, *scale, *slopes, *drawn)
        ctx.size, ctx.column = (len(u), len(slopes), n), column
        ctx.options = {"share": share, "off_diagonal": off_diagonal, "eps": eps}
        return sum(values[1:], values[0]) / (2 * len(slopes))

    @staticmethod
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        views, *saved = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = partial(_plain, **ctx.options)
            return (*plain_gradient(plain, (views,), factor), None, None, None)
        n_views, n_pairs, n = ctx.size
        u, scale, slopes, drawn = (
            [saved.pop(0) for _ in range(k)] for k in (n_views, n_views, n_pairs, 2 * n_pairs)
        )
        share = factor / (n_pairs if ctx.column is not None else n_pairs * n)
        scale = [r * share for r in scale]
        gradient = torch.empty((n_views, *u[0].shape), dtype=u[0].dtype, device=u[0].device)
        parts = gradient.unbind()
        pull: list[Tensor | None] = [None] * n_views
        for (a, b), slope in zip(combinations(range(n_views), 2), slopes, strict=True):
            for view, other, by in ((a, b, slope.T), (b, a, slope)):
                more, before = drawn.pop(0), pull[view]
                pull[view] = more if before is None else before + more
                beta = 0.0 if before is None else 1.0
                parts[view].addmm_(u[other], by * scale[view], beta=beta)
        for part, standard, r, factors in zip(parts, u, scale, pull, strict=True):
            if factors is not None:
                part.addcmul_(standard, r * factors, value=-1.0)
        if ctx.column is not None:
            gradient *= ctx.column
        return gradient, None, None, None


def _standardise(
    views: Tensor, share: Tensor | None, eps: float
) -> tuple[list[Tensor], list[Tensor]]:
    """Views (B, D) with mean 0 and variance 1 over samples, and the factors (D,) of each."""
    if share is None:
        normed = [torch.native_batch_norm(v, None, None, None, None, True, 0.0, eps) for v in views]
        return [u for u, _, _ in normed], [scale for _, _, scale in normed]
    column = share.unsqueeze(1)
    centred = views - (column * views).sum(1, keepdim=True)
    scale = torch.rsqrt((column * centred.square()).sum(1) + eps)
    return list(centred.mul_(scale.unsqueeze(1))), list(scale)


@LOSSES.register("vicreg")
class VICReg(ContrastiveLoss):
    """VICReg; with more than two views, invariance is averaged over pairs and the rest doubled
    from the mean over views, so that two views give the paper's sum.

    Args:
        invariance: factor >= 0.
        variance: factor >= 0.
        covariance: factor >= 0.
        eps: added to the variances inside the root, > 0.
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.tensor([[2.0, 2.0], [-2.0, 2.0], [2.0, -2.0], [-2.0, -2.0]])
        >>> float(VICReg()(z, z))  # spread enough, not correlated, views alike
        0.0
    """

    power = 4  # squared covariances

    def __init__(
        self,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        *,
        eps: float = 1e-4,
        gather: bool = False,
    ) -> None:
        super().__init__(1.0, "mean", gather=gather)
        self.invariance = floor_setting("invariance", invariance)
        self.variance = floor_setting("variance", variance)
        self.covariance = floor_setting("covariance", covariance)
        self.eps = positive_setting("eps", eps)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """The weighted sum of the three terms."""
        v, n, d = views.shape
        share = _shares(views, extra.weights)
        distances = [
            (share * (views[a] - views[b]).square().mean(1)).sum()
            for a, b in combinations(range(v), 2)
        ]
        centred = views - (share.unsqueeze(1) * views).sum(1, keepdim=True)
        moments = centred.transpose(1, 2) @ (centred * share.unsqueeze(1))
        moments = moments * (n / (n - 1) if extra.weights is None else _unbiased(share))
        own = moments.diagonal(dim1=1, dim2=2)
        hinge = (1.0 - torch.sqrt(own + self.eps)).relu().mean(1)
        off = (moments.square().sum((1, 2)) - own.square().sum(1)) / d
        return (
            self.invariance * torch.stack(distances).mean()
            + self.variance * 2.0 * hinge.mean()
            + self.covariance * 2.0 * off.mean()
        )


def _unbiased(share: Tensor) -> Tensor:
    """n / (n - 1) for n equal shares, whatever samples of share 0 are there too."""
    return (share * (1.0 - share)).sum().clamp_min(torch.finfo(share.dtype).eps).reciprocal()


def _shares(views: Tensor, weights: Tensor | None) -> Tensor:
    """Share of each sample in the moments, (B,), of sum 1 (0 when all weights are 0)."""
    n = views.shape[1]
    if weights is None:
        return views.new_full((n,), 1.0 / n)
    w = relative_weights(weights, views.dtype)
    return w / w.sum().clamp_min(torch.finfo(w.dtype).tiny)
