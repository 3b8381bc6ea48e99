"""InfoNCE and its symmetric, both-view (NT-Xent) and one-way forms.

For unit embeddings u, v of two views and temperature tau,

    L_i = -log( exp(u_i . v_i / tau) / sum_j exp(u_i . v_j / tau) )

(van den Oord et al. 2018, arXiv 1807.03748, eq. 4; NT-Xent: Chen et al. 2020, arXiv 2002.05709,
eq. 1, whose denominator also holds the anchor's own view without the anchor itself).

Similarities are computed in blocks of ``tile`` and, with more than one block, again in the backward
pass (:mod:`tscl.losses.shared.tiled_infonce`), so that memory grows with the batch and not its
square.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import LOSSES, ContrastiveLoss, Reduction, unit
from tscl.losses.shared.tiled_infonce import check_tile, own_lse, pair_lse

TILE = 1024
"""Default block: 4 MiB in float32; larger batches go through in several blocks."""

Negatives = Literal["cross", "both"]


@LOSSES.register("infonce")
class InfoNCE(ContrastiveLoss):
    """InfoNCE over instance embeddings; all views pairwise when there are more than two.

    Args:
        temperature: softmax temperature, > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, shape (pairs, B)).
        symmetric: use both views as anchors; False takes the first view's anchors only.
        negatives: ``cross`` contrasts with the other view only; ``both`` also with the anchor's
            own view (NT-Xent).
        normalize: L2-normalise embeddings first (cosine similarity); False uses inner products.
        tile: rows and columns of the blocks the similarities are computed in; exact, and
            differentiable once. None holds the whole (B, B) matrix, differentiable any number of
            times.
        gather: contrast with the samples of all processes, see :class:`ContrastiveLoss`.

    Shape:
        z1, z2: (B, D); or z1: (V, B, D). Returns a scalar (``reduction="none"``: (pairs, B)).
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        symmetric: bool = True,
        negatives: Negatives = "cross",
        normalize: bool = True,
        tile: int | None = TILE,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        if negatives not in ("cross", "both"):
            raise InputError("negatives", negatives, "choose cross or both")
        if tile is not None:
            check_tile(tile)
        self.symmetric = symmetric
        self.negatives = negatives
        self.normalize = normalize
        self.power = 0 if normalize else 2
        self.tile = tile

    def compute(
        self,
        views: Tensor,
        *,
        labels: Tensor | None,
        ids: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        """Mean over ordered pairs of views of the one-way loss."""
        z = (unit(views) if self.normalize else views).unbind()
        n_views = len(z)
        if n_views < 2:
            raise InputError("views", n_views, "InfoNCE needs at least two views")
        own = [self._own(v) for v in z] if self.negatives == "both" else None
        terms: dict[tuple[int, int], Tensor] = {}
        for a, b in combinations(range(n_views), 2):
            forward, backward = self._across(z[a], z[b])
            positive = (z[a] * z[b]).sum(-1) / self.temperature
            if own is not None:
                forward = torch.logaddexp(forward, own[a])
                backward = torch.logaddexp(backward, own[b])
            terms[a, b] = forward - positive
            terms[b, a] = backward - positive
        used = [terms[pair] for pair in sorted(terms) if self.symmetric or pair[0] < pair[1]]
        return self.reduce(torch.stack(used), weights)

    def _across(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Log-sum-exp of a's rows over b and of b's rows over a; the second may go unused."""
        if self.tile is not None:
            return pair_lse(a, b, self.temperature, self.tile)
        logits = a @ b.T / self.temperature
        return logits.logsumexp(1), logits.logsumexp(0) if self.symmetric else a.new_zeros(len(b))

    def _own(self, z: Tensor) -> Tensor:
        """Log-sum-exp of each row over the other rows of its view."""
        if self.tile is not None:
            return own_lse(z, self.temperature, self.tile)
        logits = z @ z.T / self.temperature
        eye = torch.eye(len(z), dtype=torch.bool, device=z.device)
        return logits.masked_fill(eye, -math.inf).logsumexp(1)


@LOSSES.register("ntxent")
class NTXent(InfoNCE):
    """NT-Xent of SimCLR (arXiv 2002.05709, eq. 1): symmetric InfoNCE with both views' negatives."""

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        tile: int | None = TILE,
        gather: bool = False,
    ) -> None:
        super().__init__(
            temperature, reduction, symmetric=True, negatives="both", tile=tile, gather=gather
        )
