"""SepCLR: common factors of healthy and diseased samples apart from salient, diseased-only ones.

Louiset et al., "Separating common from salient patterns with Contrastive Representation
Learning", arXiv 2402.11928. Embeddings are split in a common part c (on the unit sphere) and a
salient part s (Euclidean). Background x is healthy, target y diseased; s' is s with the null vector
in the place of each background sample. With the Gaussian kernel k(u, v) = exp(-|u - v|^2 / (2 tau))
and two views:

    common    mean |c - c'|^2 / (2 tau)  +  2 log mean_{i != j} k(c_i, c_j)          x and y
    salient   mean |s - s'|^2 / (2 tau)  of y  +  2 log mean_{i != j} k(s'_i, s'_j)  x and y
    null      mean |s|^2 / (2 tau)                                                   x
    k-JEM     mean_i log mean_j k(c_i, c_j) k(s'_i, s'_j)                            x and y

The first two maximise I(c; x, y) and I(s; y): alignment and uniformity; target embeddings are also
pushed off the information-less null vector, to which background embeddings are pulled. The last is
the minimisation of the mutual information between c and s: with H(c) and H(s) kept high by the
uniformity terms, I(c; s) = H(c) + H(s) - H(c, s) falls as the joint entropy rises, estimated by a
kernel density. Terms, kernels and factors are those of the authors' released training scripts; the
factors of the terms differ by data set there (salient 1 to 1000, null 100 or 1000, k-JEM 10).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, unit
from tscl.losses.shared.columns import relative_weights
from tscl.losses.shared.settings import floor_setting, whole_setting


def squared_distances(z: Tensor) -> Tensor:
    """(N, N) squared Euclidean distances with a finite gradient everywhere."""
    norm = z.square().sum(dim=1)
    squared = norm.unsqueeze(0) + norm.unsqueeze(1) - 2 * z @ z.T
    return squared.clamp_min(0.0)


def _log_mean_kernel(z: Tensor, tau: float, log_weights: Tensor) -> Tensor:
    """Log of the weighted mean of k over pairs i != j of rows (N, D), N >= 2."""
    i, j = torch.triu_indices(len(z), len(z), 1, device=z.device)
    pair = log_weights[i] + log_weights[j]
    exponent = -squared_distances(z)[i, j] / (2 * tau)
    return torch.logsumexp(exponent + pair, dim=0) - torch.logsumexp(pair, dim=0)


def _joint_entropy_loss(c: Tensor, s: Tensor, tau: float, log_weights: Tensor) -> Tensor:
    """k-JEM: minus the kernel estimate of H(c, s) of rows (N, Dc), (N, Ds).

    The i-th log mean includes j = i, so the value lies in [-log N, 0] for equal weights: 0 when
    all rows coincide, -log N when all are far apart.
    """
    exponent = -(squared_distances(c) + squared_distances(s)) / (2 * tau)
    share = log_weights.softmax(0)
    per_row = torch.logsumexp(exponent + log_weights.log_softmax(0), dim=1)
    return (share * per_row).sum()


@LOSSES.register("sepclr")
class SepCLR(ContrastiveLoss):
    """SepCLR on embeddings whose first ``common_dims`` dimensions are the common space.

    Args:
        temperature: tau > 0 of the kernels.
        reduction: the loss is one figure a batch: ``mean`` and ``sum`` give it, ``none`` as (1,).
        common_dims: width of the common part; None takes half the dimensions (rounded down).
        salient_weight: factor >= 0 of the salient term; the common term has 1.
        background_weight: factor >= 0 of the null term.
        joint_weight: factor >= 0 of the k-JEM term.
        gather: see :class:`ContrastiveLoss`.

    ``background`` marks the background samples; of ``labels`` alone 0 does. A term without samples
    is 0: a batch of background only keeps c informative and pulls s to 0, one of target only lacks
    the null term. Samples of weight 0 do not count; without any that does the value is 0.

    Example:
        >>> z = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 3.0]])  # one common dimension
        >>> terms = SepCLR(0.5, common_dims=1).terms(torch.stack((z, z)), torch.tensor([1, 0]) > 0)
        >>> {name: round(float(value), 2) for name, value in terms.items()}
        {'common': 0.0, 'salient': -18.0, 'null': 0.0, 'joint': -0.69}
    """

    needs = ("background",)
    max_views = 2
    power = 2
    parts = ("common", "salient")

    def __init__(
        self,
        temperature: float = 0.5,
        reduction: Reduction = "mean",
        *,
        common_dims: int | None = None,
        salient_weight: float = 1.0,
        background_weight: float = 100.0,
        joint_weight: float = 10.0,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        self.common_dims = (
            None if common_dims is None else whole_setting("common_dims", common_dims)
        )
        self.salient_weight = floor_setting("salient_weight", salient_weight)
        self.background_weight = floor_setting("background_weight", background_weight)
        self.joint_weight = floor_setting("joint_weight", joint_weight)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """The weighted sum of :meth:`terms`."""
        t = self.terms(views, extra["background"].bool(), extra.weights)
        value = (
            t["common"]
            + self.salient_weight * t["salient"]
            + self.background_weight * t["null"]
            + self.joint_weight * t["joint"]
        )
        return value.unsqueeze(0) if self.reduction == "none" else value

    def part_widths(self, dims: int) -> dict[str, int]:
        """Dimensions of the common and the salient part.

        Raises:
            InputError: fewer dimensions than both parts need.
        """
        width = dims // 2 if self.common_dims is None else self.common_dims
        if not 0 < width < dims:
            raise InputError("common_dims", width, f"leave room for both parts in {dims}")
        return {"common": width, "salient": dims - width}

    def terms(
        self, views: Tensor, background: Tensor, weights: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The four unweighted terms: common, salient, null, joint.

        Args:
            views: (2, B, D) embeddings.
            background: (B,) boolean, True for background.
            weights: (B,) weights of the samples.

        Raises:
            InputError: fewer dimensions than both parts need.
        """
        width = self.part_widths(views.shape[2])["common"]
        w = views.new_ones(views.shape[1])
        if weights is not None:
            w = relative_weights(weights, views.dtype)
        # a sample of weight 0 is as good as absent: its logarithm stays finite
        logs = w.clamp_min(torch.finfo(w.dtype).tiny).log()
        c, s = unit(views[..., :width]), views[..., width:]
        nulled = s.masked_fill(background.unsqueeze(1), 0.0)
        healthy, target = w * background, w * ~background
        half = 2 * self.temperature
        pairs = (w > 0).sum() > 1  # without a pair of samples nothing is spread
        spread = [
            sum(_log_mean_kernel(part, self.temperature, logs) for part in z) * pairs
            for z in (c, nulled)
        ]
        joint = [
            _joint_entropy_loss(*parts, self.temperature, logs)
            for parts in zip(c, nulled, strict=True)
        ]
        return {
            "common": self._mean((c[0] - c[1]).square().sum(-1), w) / half + spread[0],
            "salient": self._mean((s[0] - s[1]).square().sum(-1), target) / half + spread[1],
            "null": self._mean(s.square().sum(-1).mean(0), healthy) / half,
            "joint": torch.stack(joint).mean() * (w > 0).any(),
        }

    @staticmethod
    def _mean(values: Tensor, w: Tensor) -> Tensor:
        total = w.sum()
        return (values * w).sum() / total.where(total > 0, torch.ones_like(total))
