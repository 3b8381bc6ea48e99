"""CLIP's loss with uniformity and alignment terms against the gap between two modalities.

Fahim et al., "It's Not a Modality Gap: Characterizing and Addressing the Contrastive Gap", arXiv
2405.18570. Embeddings x, y (unit, paired) of two encoders:

    uniformity  = 1/2 [log mean_{j != k} exp(-2 |x_j - x_k|^2) + the same for y]
    cross       = log mean_{j != k} exp(-2 |x_j - y_k|^2)
    alignment   = mean_j |x_j - y_j|^2
    L_CUA       = InfoNCE (both directions) + uniformity + alignment
    L_CUAXU     = L_CUA + cross

Names, terms, t = 2 and the factors of 1 are those of the authors' code: all are means over pairs
j != k, as in Wang & Isola (arXiv 2005.10242), for ``cross`` too. (A fork of open_clip that adds the
terms sums over k before the mean, which adds log(B - 1), and keeps j = k within a modality.)
"""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, diagonal, unit
from tscl.losses.infonce import InfoNCE
from tscl.losses.shared.columns import relative_weights
from tscl.losses.shared.settings import floor_setting


@LOSSES.register("contrastive_gap")
class ContrastiveGap(ContrastiveLoss):
    """L_CUAXU, or parts of it; each view is a modality.

    Args:
        temperature: of InfoNCE, > 0.
        uniformity: factor >= 0 of the uniformity within modalities.
        alignment: factor >= 0.
        cross: factor >= 0 of the uniformity across modalities; 0 gives L_CUA.
        gather: see :class:`ContrastiveLoss`.

    Shape:
        z1, z2: (B, D); or z1: (V, B, D), V >= 2: mean over pairs of modalities. B >= 2.

    Example:
        >>> z = torch.ones(4, 3)
        >>> float(ContrastiveGap()(z, z))  # log(4) of InfoNCE; nothing spreads or is misaligned
        1.3862...
    """

    def __init__(
        self,
        temperature: float = 0.1,
        *,
        uniformity: float = 1.0,
        alignment: float = 1.0,
        cross: float = 1.0,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, "mean", gather=gather)
        self.uniformity = floor_setting("uniformity", uniformity)
        self.alignment = floor_setting("alignment", alignment)
        self.cross = floor_setting("cross", cross)
        self.contrast = InfoNCE(temperature)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """The weighted sum; ``weights`` weigh anchors, pairs j, k by their product."""
        z = unit(views)
        weights = extra.weights
        total = self.contrast.compute(views, extra)
        if self.uniformity:
            spread = torch.stack([_potential(x, x, weights) for x in z]).mean()
            total = total + self.uniformity * spread
        for a, b in combinations(range(len(z)), 2):
            share = 2.0 / (len(z) * (len(z) - 1))
            distance = (z[a] - z[b]).square().sum(-1)
            total = total + self.alignment * share * self.reduce(distance, weights)
            if self.cross:
                total = total + self.cross * share * _potential(z[a], z[b], weights)
        return total


def _potential(x: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    """Log of the (weighted) mean of exp(-2 |x_j - y_k|^2) over j != k; 0 without weight."""
    squared = x.square().sum(1)[:, None] + y.square().sum(1) - 2.0 * x @ y.T
    logits = -2.0 * squared
    eye = diagonal(x)
    if weights is None:
        return logits.masked_fill(eye, -math.inf).logsumexp((0, 1)) - math.log(
            len(x) * (len(x) - 1)
        )
    share = relative_weights(weights, logits.dtype)
    pairs = (share[:, None] * share).masked_fill(eye, 0.0)
    some = pairs.sum() > 0
    pairs = torch.where(some, pairs, torch.ones_like(pairs))
    log_pairs = pairs.log().masked_fill(pairs == 0, -math.inf)
    return ((logits + log_pairs).logsumexp((0, 1)) - pairs.sum().log()) * some
