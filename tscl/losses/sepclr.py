"""SepCLR: common factors of healthy and diseased samples apart from salient, diseased-only ones.

Louiset et al., "Separating common from salient patterns with Contrastive Representation
Learning", arXiv 2402.11928. Embeddings are split in a common part c (on the unit sphere) and a
salient part s (Euclidean). Background x (label 0) is healthy, target y (any other label)
diseased. With the Gaussian kernel k(u, v) = exp(-|u - v|^2 / (2 tau)) and two views:

    common    mean |c - c'|^2 / (2 tau)  +  log mean_{i != j} k(c_i, c_j)            x and y
    salient   mean |s - s'|^2 / (2 tau)  +  log mean_{i != j} k(s_i, s_j)            y and a null
    null      mean |s|^2                                                             x
    k-JEM     mean_i log mean_j k(c_i, c_j) k(s_i, s_j)                              y

The first two maximise I(c; x, y) and I(s; y): alignment and uniformity; target embeddings are also
pushed off the information-less null vector s' = 0, to which background embeddings are pulled. The
last is the minimisation of the mutual information between c and s: with H(c) and H(s) kept high by
the uniformity terms, I(c; s) = H(c) + H(s) - H(c, s) falls as the joint entropy rises, estimated by
a kernel density. Terms and kernels as in the authors' released losses; which samples enter k-JEM
(here the target's, as s is constant on the background) is this implementation's reading.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import LOSSES, ContrastiveLoss, Reduction, unit
from tscl.losses.labelled import class_labels
from tscl.losses.shared.columns import relative_weights
from tscl.losses.shared.settings import floor_setting, whole_setting


def squared_distances(z: Tensor) -> Tensor:
    """(N, N) squared Euclidean distances with a finite gradient everywhere."""
    norm = z.square().sum(dim=1)
    squared = norm.unsqueeze(0) + norm.unsqueeze(1) - 2 * z @ z.T
    return squared.clamp_min(0.0)


def log_mean_kernel(z: Tensor, tau: float, weights: Tensor) -> Tensor:
    """log of the weighted mean of k over pairs i != j: the negative uniformity, 0 below 2 rows."""
    n = len(z)
    if n < 2:
        return z.sum() * 0.0
    i, j = torch.triu_indices(n, n, 1, device=z.device)
    logs = weights.log()
    pair = logs[i] + logs[j]
    exponent = -squared_distances(z)[i, j] / (2 * tau)
    return torch.logsumexp(exponent + pair, dim=0) - torch.logsumexp(pair, dim=0)


def joint_entropy_loss(c: Tensor, s: Tensor, tau: float, weights: Tensor) -> Tensor:
    """k-JEM: minus the kernel estimate of H(c, s) of rows (N, Dc), (N, Ds); 0 without rows.

    The i-th log mean includes j = i, so the value lies in [-log N, 0] for equal weights: 0 when
    all rows coincide, -log N when all are far apart.
    """
    if len(c) == 0:
        return c.sum() * 0.0
    exponent = -(squared_distances(c) + squared_distances(s)) / (2 * tau)
    share = weights / weights.sum()
    per_row = torch.logsumexp(exponent + share.log().unsqueeze(0), dim=1)
    return (share * per_row).sum()


@LOSSES.register("sepclr")
class SepCLR(ContrastiveLoss):
    """SepCLR on embeddings whose first ``common_dims`` dimensions are the common space.

    Args:
        temperature: tau > 0 of the kernels.
        reduction: the loss is one figure a batch: ``mean`` and ``sum`` give it, ``none`` as (1,).
        common_dims: width of the common part; None takes half the dimensions (rounded down).
        salient_weight, background_weight, joint_weight: factors >= 0 of the salient, null and
            k-JEM terms; the common term has 1.

    ``labels`` 0 marks background, everything else target. Terms without samples are 0: a batch of
    background only keeps c informative and pulls s to 0, one of target only lacks the null term.
    Samples of weight 0 are dropped; without any left the value is 0.
    """

    needs_labels = True
    power = 2

    def __init__(
        self,
        temperature: float = 0.5,
        reduction: Reduction = "mean",
        *,
        common_dims: int | None = None,
        salient_weight: float = 1.0,
        background_weight: float = 100.0,
        joint_weight: float = 10.0,
    ) -> None:
        super().__init__(temperature, reduction)
        self.common_dims = (
            None if common_dims is None else whole_setting("common_dims", common_dims)
        )
        self.salient_weight = floor_setting("salient_weight", salient_weight)
        self.background_weight = floor_setting("background_weight", background_weight)
        self.joint_weight = floor_setting("joint_weight", joint_weight)

    def compute(
        self,
        views: Tensor,
        *,
        labels: Tensor | None,
        ids: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        """The weighted sum of :meth:`terms`."""
        t = self.terms(views, class_labels(labels), weights)
        value = (
            t["common"]
            + self.salient_weight * t["salient"]
            + self.background_weight * t["null"]
            + self.joint_weight * t["joint"]
        )
        return value.unsqueeze(0) if self.reduction == "none" else value

    def terms(
        self, views: Tensor, labels: Tensor, weights: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The four unweighted terms of ``views`` (2, B, D): common, salient, null, joint.

        Raises:
            InputError: not two views, or fewer dimensions than both parts need.
        """
        n_views, _, dims = views.shape
        if n_views != 2:
            raise InputError("views", n_views, "SepCLR takes two views")
        width = dims // 2 if self.common_dims is None else self.common_dims
        if not 0 < width < dims:
            raise InputError("common_dims", width, f"leave room for both parts in {dims}")
        w = (
            views.new_ones(views.shape[1])
            if weights is None
            else relative_weights(weights, views.dtype)
        )
        kept = w > 0
        views, w, target = views[:, kept], w[kept], labels[kept] != 0
        c, s = unit(views[..., :width]), views[..., width:]
        return {
            "common": self._align(c, w) + self._uniform(c, w),
            "salient": self._align(s[:, target], w[target]) + self._salient_spread(s, w, target),
            "null": self._mean(s[:, ~target].square().sum(-1).mean(0), w[~target]),
            "joint": self._joint(c[:, target], s[:, target], w[target]),
        }

    @staticmethod
    def _mean(values: Tensor, w: Tensor) -> Tensor:
        return (values * w).sum() / w.sum().clamp_min(torch.finfo(values.dtype).tiny)

    def _align(self, z: Tensor, w: Tensor) -> Tensor:
        return self._mean((z[0] - z[1]).square().sum(-1), w) / (2 * self.temperature)

    def _uniform(self, z: Tensor, w: Tensor) -> Tensor:
        return (
            log_mean_kernel(z[0], self.temperature, w) + log_mean_kernel(z[1], self.temperature, w)
        ) / 2

    def _salient_spread(self, s: Tensor, w: Tensor, target: Tensor) -> Tensor:
        if not bool(target.any()):
            return s.sum() * 0.0
        null = s.new_zeros(2, 1, s.shape[-1])
        mean_weight = w[target].mean().unsqueeze(0)
        return self._uniform(
            torch.cat((s[:, target], null), dim=1), torch.cat((w[target], mean_weight))
        )

    def _joint(self, c: Tensor, s: Tensor, w: Tensor) -> Tensor:
        return (
            joint_entropy_loss(c[0], s[0], self.temperature, w)
            + joint_entropy_loss(c[1], s[1], self.temperature, w)
        ) / 2
