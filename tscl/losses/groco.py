"""Group ordering constraints by a differentiable sorting network (GroCo).

Shvetsova et al., "Learning by Sorting: Self-supervised Learning with Group Ordering Constraints",
arXiv 2301.02009. For an anchor, the similarities to its k hardest negatives (same view) and to its
positives (other views) are put in the order in which they should come out, each group sorted, and
sent through a relaxed odd-even sorting network. A comparator that should put a below b swaps by

    alpha = 1/2 + arctan(steepness (b - a)) / pi,   a' = alpha a + (1 - alpha) b,  b' = a + b - a'

(Petersen et al., diffsort; the Cauchy relaxation the authors use), which gives a doubly stochastic
matrix P, P_ij the share of input i that ends at rank j. Only the group must be right:

    L = -mean_i log sum_{j in group(i)} P_ij,

the binary cross-entropy of the authors' code (ninatu/learning_by_sorting): its terms for positive
and negative ranks are equal, since the rows of P sum to 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, diagonal, unit
from tscl.losses.shared.settings import positive_setting, whole_setting


def soft_sort(x: Tensor, steepness: float) -> tuple[Tensor, Tensor]:
    """Relaxed ascending sort of the last axis of ``x`` (..., n) by an odd-even network.

    Args:
        x: values.
        steepness: > 0; large values approach the exact sort where values differ.

    Returns:
        The relaxed sorted values (..., n), and P (..., n, n) with ``sorted = x @ P``.
    """
    n = x.shape[-1]
    p = torch.eye(n, dtype=x.dtype, device=x.device).expand(*x.shape, n)
    for layer in range(n):
        first = layer % 2
        pairs = (n - first) // 2
        if pairs == 0:
            continue
        head, tail = slice(0, first), slice(first + 2 * pairs, n)
        a, b = x[..., first : first + 2 * pairs].unflatten(-1, (pairs, 2)).unbind(-1)
        alpha = 0.5 + torch.atan(steepness * (b - a)) / math.pi
        low, high = alpha * a + (1 - alpha) * b, (1 - alpha) * a + alpha * b
        middle = torch.stack((low, high), dim=-1).flatten(-2)
        x = torch.cat((x[..., head], middle, x[..., tail]), dim=-1)
        c, d = p[..., first : first + 2 * pairs].unflatten(-1, (pairs, 2)).unbind(-1)
        alpha = alpha.unsqueeze(-2)
        moved = torch.stack((alpha * c + (1 - alpha) * d, (1 - alpha) * c + alpha * d), dim=-1)
        p = torch.cat((p[..., head], moved.flatten(-2), p[..., tail]), dim=-1)
    return x, p


@LOSSES.register("group_ordering")
class GroupOrdering(ContrastiveLoss):
    """GroCo: every positive should be more similar to the anchor than every negative.

    Args:
        n_negatives: k, hardest negatives an anchor is compared with (at most B - 1 are there).
        steepness: of the comparators, > 0.
        stop_gradient: gradient through the anchor only, as in the authors' code.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (V, B)).
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(4)
        >>> round(float(GroupOrdering(steepness=1e6)(z, z)), 3)  # positives before negatives
        0.0
    """

    def __init__(
        self,
        n_negatives: int = 10,
        steepness: float = 1.0,
        *,
        stop_gradient: bool = True,
        reduction: Reduction = "mean",
        gather: bool = False,
    ) -> None:
        steepness = positive_setting("steepness", steepness)
        super().__init__(1.0 / steepness, reduction, gather=gather)
        self.n_negatives = whole_setting("n_negatives", n_negatives)
        self.steepness = steepness
        self.stop_gradient = stop_gradient

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over views and anchors."""
        z = unit(views)
        v, n, _ = z.shape
        fixed = z.detach() if self.stop_gradient else z
        eye = diagonal(z[0])
        k = min(self.n_negatives, n - 1)
        terms = []
        for a in range(v):
            near = torch.stack([(z[a] * fixed[b]).sum(-1) for b in range(v) if b != a], dim=1)
            far = (z[a] @ fixed[a].T).masked_fill(eye, -math.inf).topk(k, dim=1).values
            values = torch.cat((far.flip(1), near.sort(dim=1).values), dim=1)
            _, p = soft_sort(values, self.steepness)
            right = torch.cat((p[:, :k, :k].sum(2), p[:, k:, k:].sum(2)), dim=1)
            terms.append(-right.clamp(torch.finfo(p.dtype).tiny, 1.0).log().mean(1))
        return self.reduce(torch.stack(terms), extra.weights)
