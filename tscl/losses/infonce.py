"""InfoNCE and its symmetric, both-view (NT-Xent) and one-way forms.

For unit embeddings u, v of two views and temperature tau,

    L_i = -log( exp(u_i . v_i / tau) / sum_j exp(u_i . v_j / tau) )

(van den Oord et al., "Representation Learning with Contrastive Predictive Coding", arXiv
1807.03748, eq. 4; NT-Xent: Chen et al., "A Simple Framework for Contrastive Learning of Visual
Representations", arXiv 2002.05709, eq. 1, whose denominator also holds the anchor's own view
without the anchor itself).

Similarities are computed in blocks of ``tile`` and, with more than one block, again in the backward
pass (:mod:`tscl.losses.shared.tiled_infonce`), so that memory grows with the batch and not its
square.
"""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, unit
from tscl.losses.shared.settings import choice_setting, whole_setting
from tscl.losses.shared.tiled_infonce import own_lse, pair_lse

TILE = 1024
"""Default block: 4 MiB in float32; larger batches go through in several blocks."""


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
        tile: rows and columns of the blocks the similarities are computed in, which is exact. None
            holds the whole (B, B) matrix, as second derivatives do with any ``tile``.
        gather: contrast with the samples of all processes, see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(4)
        >>> float(InfoNCE(temperature=0.5)(z, z))  # log(1 + 3 / e^2)
        0.3407...
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        symmetric: bool = True,
        negatives: Literal["cross", "both"] = "cross",
        normalize: bool = True,
        tile: int | None = TILE,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        self.negatives = choice_setting("negatives", negatives, ("cross", "both"))
        self.tile = None if tile is None else whole_setting("tile", tile)
        self.symmetric = symmetric
        self.normalize = normalize
        self.power = 0 if normalize else 2

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over ordered pairs of views of the one-way loss."""
        z = (unit(views) if self.normalize else views).unbind()
        options = (self.temperature, self.tile, 1.0 if self.normalize else None)
        own = [own_lse(v, *options) for v in z] if self.negatives == "both" else None
        terms: dict[tuple[int, int], Tensor] = {}
        for a, b in combinations(range(len(z)), 2):
            forward, backward = pair_lse(z[a], z[b], *options)
            positive = (z[a] * z[b]).sum(-1) / self.temperature
            if own is not None:
                forward = torch.logaddexp(forward, own[a])
                backward = torch.logaddexp(backward, own[b])
            terms[a, b] = forward - positive
            terms[b, a] = backward - positive
        used = [terms[pair] for pair in sorted(terms) if self.symmetric or pair[0] < pair[1]]
        return self.reduce(torch.stack(used), extra.weights)


@LOSSES.register("ntxent")
class NTXent(InfoNCE):
    """NT-Xent of SimCLR (arXiv 2002.05709, eq. 1): symmetric InfoNCE with both views' negatives.

    Args:
        temperature: see :class:`InfoNCE`.
        reduction: see :class:`InfoNCE`.
        tile: see :class:`InfoNCE`.
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(4)
        >>> float(NTXent(temperature=0.5)(z, z))  # log(1 + 6 / e^2)
        0.5944...
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        tile: int | None = TILE,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, negatives="both", tile=tile, gather=gather)
