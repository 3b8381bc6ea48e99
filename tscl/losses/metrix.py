"""Metrix: metric learning losses on mixed embeddings with mixed pair labels.

Venkataramanan et al., "It Takes Two to Tango: Mixup for Deep Metric Learning", arXiv 2106.04990.
A pair loss of anchor a over positives P and negatives N with similarity s,

    l(a)  = sp( sum_{p in P} rp(s(a, p)) ) + sn( sum_{n in N} rn(s(a, n)) )

becomes on mixtures v = lambda p + (1 - lambda) n, whose label is y = lambda,

    l~(a) = sp( sum_v y rp(s(a, v)) ) + sn( sum_v (1 - y) rn(s(a, v)) ),    L = l + w l~

With y in {0, 1} the second line is the first. Two pair losses:

    contrastive        rp(s) = -s,  rn(s) = [s - m]_+,  sp, sn identity
    multi_similarity   rp(s) = exp(-b (s - m)),  rn(s) = exp(g (s - m)),
                       sp(x) = log(1 + x)/b,  sn(x) = log(1 + x)/g

The generic form is the paper's as known from its text; its numbered equations were not read. Of the
authors' released code the contrastive part agrees with it (lambda and 1 - lambda weigh the positive
and negative terms of a positive-negative mixture; it works on Euclidean distances d with
rp = d and rn = [.5 - d]_+, here on similarities). Its multi-similarity part adds the mixed to the
clean sum inside one logarithm with the factor .4; here the mixed loss is a term of its own with
weight w. It also mixes positives with positives and the anchor with negatives. Here n_mix
positive-negative pairs are drawn an anchor, lambda ~ Beta(a, a), and mixtures are normalised to
unit length.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, Extra, Reduction, diagonal, unit
from tscl.losses.labelled import DrawingLoss, same_label
from tscl.losses.shared.settings import (
    choice_setting,
    floor_setting,
    number_setting,
    pair_setting,
    positive_setting,
    whole_setting,
)


@LOSSES.register("metrix")
class Metrix(DrawingLoss):
    """Metrix at the embedding level.

    Args:
        temperature: divides the similarities of ``multi_similarity`` (1 is the plain loss).
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (V, B)).
        base: ``contrastive`` or ``multi_similarity``.
        mix_weight: w >= 0 of the mixed term; 0 is the plain pair loss.
        n_mix: mixtures an anchor, >= 1.
        beta: a > 0 of Beta(a, a).
        margin: m.
        sharpness: (b, g) > 0 of multi similarity.
        seed: of the draws, see :class:`DrawingLoss`.
        gather: see :class:`ContrastiveLoss`.

    ``contrastive`` averages over pairs instead of adding them up, so that its value does not grow
    with the batch. Anchors without a positive do not count; an anchor without a negative has no
    mixed term.

    Example:
        >>> z = torch.eye(4)
        >>> loss = Metrix(base="contrastive", mix_weight=0.0)
        >>> float(loss(z, z, labels=[0, 1, 2, 3]))  # -1 for the pairs alike; others are below m
        -1.0
    """

    needs = ("labels",)
    min_views = 1

    def __init__(
        self,
        temperature: float = 1.0,
        reduction: Reduction = "mean",
        *,
        base: Literal["contrastive", "multi_similarity"] = "multi_similarity",
        mix_weight: float = 0.4,
        n_mix: int = 8,
        beta: float = 2.0,
        margin: float = 0.5,
        sharpness: tuple[float, float] = (2.0, 50.0),
        seed: int = 0,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, seed, gather=gather)
        self.base = choice_setting("base", base, ("contrastive", "multi_similarity"))
        self.mix_weight = floor_setting("mix_weight", mix_weight)
        self.n_mix = whole_setting("n_mix", n_mix)
        self.beta_parameter = positive_setting("beta", beta)
        self.margin = number_setting("margin", margin)
        self.sharpness = pair_setting("sharpness", sharpness)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over the anchors of all views that have a positive."""
        n_views, n, _ = views.shape
        z = unit(views).flatten(0, 1)
        same = same_label(extra["labels"]).repeat(n_views, n_views)
        positive = same & ~diagonal(z)
        per_anchor = self._pairs(z @ z.T, positive.to(z.dtype), (~same).to(z.dtype))
        if self.mix_weight:
            call = self.next_draw()
            p = self.choose(positive, self.n_mix, call, "positive")
            q = self.choose(~same, self.n_mix, call, "negative")
            y = self.beta(self.beta_parameter, self.beta_parameter, tuple(p.shape), z, call)
            v = unit(y.unsqueeze(-1) * z[p] + (1 - y).unsqueeze(-1) * z[q])
            both = (positive.any(1) & (~same).any(1)).unsqueeze(1).to(z.dtype)
            similarity = (v * z.unsqueeze(1)).sum(-1)
            per_anchor = per_anchor + self.mix_weight * self._pairs(
                similarity, y * both, (1 - y) * both
            )
        valid = positive.any(dim=1).view(n_views, n)
        return self.reduce(per_anchor.view(n_views, n), extra.weights, valid)

    def _pairs(self, similarity: Tensor, pull: Tensor, push: Tensor) -> Tensor:
        """The pair loss (R,) for similarities (R, K) and pair labels ``pull`` and ``push``."""
        if self.base == "contrastive":
            tiny = torch.finfo(similarity.dtype).tiny
            near = (-similarity * pull).sum(1) / pull.sum(1).clamp_min(tiny)
            far = (torch.relu(similarity - self.margin) * push).sum(1)
            return near + far / push.sum(1).clamp_min(tiny)
        b, g = self.sharpness
        shifted = (similarity - self.margin) / self.temperature
        return _log_one_plus(-b * shifted, pull) / b + _log_one_plus(g * shifted, push) / g


def _log_one_plus(logits: Tensor, weight: Tensor) -> Tensor:
    """log(1 + sum_k weight_k exp(logits_k)) along the last axis, without overflow."""
    weighted = logits + weight.clamp_min(torch.finfo(weight.dtype).tiny).log()
    weighted = weighted.masked_fill(weight <= 0, -torch.inf)
    zero = torch.zeros_like(logits[:, :1])
    return torch.logsumexp(torch.cat((weighted, zero), dim=1), dim=1)
