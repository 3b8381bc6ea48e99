"""Core-tuning's loss: focal supervised contrast with mixtures as hard pairs.

Zhang et al., "Unleashing the Power of Contrastive Self-Supervised Visual Models via
Contrast-Regularized Fine-Tuning", arXiv 2102.06605. With l_ij the softmax share of j for anchor i
(over all other samples and mixtures) and P(i) the samples with i's label,

    L_i = -1/|P(i)| sum_{j in P(i)} (1 - l_ij) log l_ij

so that pairs which are close already count little. For each sample two mixtures are added before
the projection:

    hard positive  lambda f_p + (1 - lambda) f_n  of its least similar positive p and most similar
                   negative n, lambda ~ Beta(a, a); the label is mixed alike
    hard negative  (1 - lambda) f_i + lambda f_k  of itself and a random k, lambda clipped to at
                   least 0.8

The classifier is trained on the same mixtures with soft labels, which smooths its boundary. The
focal factor and both mixtures follow the authors' released code, which calls two mixtures of one
class only when all their soft labels agree; that is kept: a mixture is a positive of what has the
same label vector, else a negative. Not kept: sums divided by the batch instead of by |P(i)|, the
index 0 taken for "no positive", and a random k that is not always a negative (here it is).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, diagonal, unit
from tscl.losses.labelled import class_labels, same_label
from tscl.losses.shared.settings import positive_setting


class HardPairs(NamedTuple):
    """Mixtures and their soft labels.

    Attributes:
        features: (R, D), R = 2 B or fewer.
        labels: (R, n_classes), rows add up to 1.
    """

    features: Tensor
    labels: Tensor


def hard_pairs(
    features: Tensor, labels: Tensor, n_classes: int, share: Tensor, pick: Tensor
) -> HardPairs:
    """Hard positive and hard negative mixtures of ``features``.

    Args:
        features: (B, D).
        labels: (B,) class codes.
        n_classes: number of classes.
        share: (2, B) draws of lambda for positives and negatives; the second is clipped to 0.8.
        pick: (B,) uniform draws in [0, 1) that choose the random negative.

    Returns:
        Mixtures of the samples that have the partners needed: none for a batch of one class.
    """
    codes = class_labels(labels, n_classes)
    one_hot = F.one_hot(codes, n_classes).to(features.dtype)
    z = unit(features.detach())
    similarity = z @ z.T
    same = same_label(codes)
    negative = ~same
    positive = same & ~diagonal(z)
    has_negative = negative.any(dim=1)
    both = positive.any(dim=1) & has_negative
    p = similarity.masked_fill(~positive, torch.inf).argmin(dim=1)
    n = similarity.masked_fill(~negative, -torch.inf).argmax(dim=1)
    rank = (pick * negative.sum(dim=1)).long() + 1
    k = torch.searchsorted(negative.cumsum(dim=1), rank.unsqueeze(1)).squeeze(1)
    k = k.clamp_max(len(z) - 1)
    share = share.to(features.dtype).unsqueeze(-1)
    first, second = share[0], share[1].clamp_min(0.8)

    def mix(x: Tensor) -> tuple[Tensor, Tensor]:
        return first * x[p] + (1 - first) * x[n], (1 - second) * x + second * x[k]

    mixed = tuple(zip(mix(features), mix(one_hot), strict=True))
    kept = (both, has_negative)
    return HardPairs(
        torch.cat([m[0][rows] for m, rows in zip(mixed, kept, strict=True)]),
        torch.cat([m[1][rows] for m, rows in zip(mixed, kept, strict=True)]),
    )


def _focal_contrast(z: Tensor, same: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Focal supervised contrast (R,) of unit embeddings (R, D), and which anchors count (R,)."""
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    positive = same & ~own
    logits = (z @ z.T / temperature).masked_fill(own, -torch.inf)
    log_share = (logits - torch.logsumexp(logits, dim=1, keepdim=True)).masked_fill(own, 0.0)
    focal = -torch.expm1(log_share) * log_share
    count = positive.sum(dim=1)
    return -(focal * positive).sum(dim=1) / count.clamp_min(1).to(z.dtype), count > 0


@LOSSES.register("focal_supcon")
class FocalSupCon(ContrastiveLoss):
    """The focal supervised contrast without mixtures, over all views.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (V, B)).

    Anchors without a positive do not count. With mixtures it is part of
    ``tscl.evaluation.clinical.core_tuning.CoreTuner``.

    Example:
        >>> z = torch.eye(4)
        >>> y = [0, 1, 2, 3]
        >>> float(FocalSupCon(0.5)(z, z, labels=y))  # (1 - l) (-log l), l = 1 / (1 + 6 / e^2)
        0.2663...
    """

    needs = ("labels",)
    min_views = 1

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over the anchors of all views that have a positive."""
        n_views, n, _ = views.shape
        same = same_label(extra["labels"]).repeat(n_views, n_views)
        per_anchor, valid = _focal_contrast(unit(views).flatten(0, 1), same, self.temperature)
        shape = (n_views, n)
        return self.reduce(per_anchor.view(shape), extra.weights, valid.view(shape))


def core_contrast(
    projected: Tensor, labels: Tensor, mixed: Tensor, mixed_labels: Tensor, temperature: float
) -> Tensor:
    """Mean focal contrast of samples together with their mixtures.

    Args:
        projected: (B, D) projected samples, before normalisation.
        labels: (B, n_classes) one-hot labels.
        mixed: (R, D) projected mixtures, before normalisation.
        mixed_labels: (R, n_classes) soft labels.
        temperature: tau > 0.
    """
    positive_setting("temperature", temperature)
    y = torch.cat((labels, mixed_labels))
    same = torch.cdist(y, y, p=torch.inf) < 1e-6
    per_anchor, valid = _focal_contrast(unit(torch.cat((projected, mixed))), same, temperature)
    return per_anchor.masked_fill(~valid, 0.0).sum() / valid.sum().clamp_min(1)
