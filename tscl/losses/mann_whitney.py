"""MW loss: every positive pair should score above every negative pair of the batch.

Sheikholeslami et al., "Optimizing What Matters: AUC-Driven Learning for Robust Neural Retrieval",
arXiv 2510.00137: binary cross entropy over score differences (eq. 2 and Lemma 2),

    L = mean over positives s+ and negatives s- of  log(1 + exp(-(s+ - s-) / tau))

Since log 2 [s+ <= s-] <= log(1 + exp(-(s+ - s-)/tau)), the value over log 2 bounds the area over
the ROC curve, 1 - AUC, the share of the Mann-Whitney statistic that is lost. Unlike InfoNCE it
compares scores of different anchors, so that one threshold separates all of them. For a batch the
paper's eq. 3 writes the mean over positives of the sum over all negatives: a factor, which the
bound does not have. The paper trains with tau = 0.01.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tscl.errors import InputError
from tscl.losses.base import LOSSES, ContrastiveLoss, Reduction, unit
from tscl.losses.labelled import class_labels, reduce_valid, same_label
from tscl.losses.shared.columns import relative_weights
from tscl.losses.shared.settings import positive_setting

CHUNK = 1 << 22


def score_differences(positive: Tensor, negative: Tensor, temperature: float = 1.0) -> Tensor:
    """For each of ``positive`` (P,), the mean over ``negative`` (N,) of softplus((s- - s+)/tau).

    Zeros when there is no negative. Memory is bounded by working through blocks of positives.
    """
    if len(negative) == 0:
        return positive * 0.0
    rows = max(1, CHUNK // len(negative))
    parts = [
        F.softplus((negative.unsqueeze(0) - block.unsqueeze(1)) / temperature).mean(dim=1)
        for block in positive.split(rows)
    ]
    return torch.cat(parts) if parts else positive


def mann_whitney_loss(
    scores: Tensor, targets: Tensor, temperature: float = 1.0, weights: Tensor | None = None
) -> Tensor:
    """MW loss of a classifier: scores (B,) against binary targets (B,); a scalar.

    A batch of one class has no pair: the value is 0 with a zero gradient.

    Args:
        scores: any real scores, such as logits.
        targets: 1 (or True) for the class that should score high.
        temperature: tau > 0.
        weights: (B,) non-negative weights; those of the positives are used.

    Raises:
        InputError: shapes that do not fit, scores that are not finite, temperature <= 0.
    """
    positive_setting("temperature", temperature)
    if scores.ndim != 1 or targets.shape != scores.shape:
        raise InputError("scores, targets", (tuple(scores.shape), tuple(targets.shape)), "(B,)")
    if not bool(torch.isfinite(scores.detach()).all()):
        raise InputError("scores", "NaN or infinity", "check the model's input and learning rate")
    scores = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
    wanted = targets.bool()
    per_positive = score_differences(scores[wanted], scores[~wanted], temperature)
    share = torch.ones_like(per_positive)
    if weights is not None:
        share = relative_weights(weights, scores.dtype)[wanted]
    return (per_positive * share).sum() / share.sum().clamp_min(torch.finfo(scores.dtype).tiny)


def one_against_rest(logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    """Mean MW loss over the classes present, of logits (B, K) and codes (B,).

    The score of class k is its log odds, logit_k - logsumexp of the others; for two classes the
    difference of the logits.
    """
    eye = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    others = logits.unsqueeze(1).masked_fill(eye, -torch.inf).logsumexp(dim=2)
    scores = logits - others
    present = torch.unique(target)
    if logits.shape[1] == 2:
        present = torch.ones(1, dtype=target.dtype, device=target.device)
    terms = [mann_whitney_loss(scores[:, int(k)], target == k, temperature) for k in present]
    return torch.stack(terms).mean()


@LOSSES.register("mann_whitney")
class MannWhitney(ContrastiveLoss):
    """MW loss over pairs of two views.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (pairs, B)).
        negatives: ``mean`` over the negatives (eq. 2, bounds 1 - AUC) or their ``sum`` (eq. 3).

    A positive pair is one sample's two views; with ``labels`` any two samples of one class.
    Everything else is negative. All views count pairwise. Without a negative pair the value is 0.

    The entry of an anchor is the mean over its positive pairs. ``mean`` weighs anchors by how many
    they have, which is the mean over all positive pairs that bounds 1 - AUC whatever the sizes of
    the classes. ``weights`` weigh a positive pair by its anchor.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        negatives: Literal["mean", "sum"] = "mean",
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        if negatives not in ("mean", "sum"):
            raise InputError("negatives", negatives, "choose mean or sum")
        self.negatives = negatives

    def compute(
        self,
        views: Tensor,
        *,
        labels: Tensor | None,
        ids: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        """Mean over unordered pairs of views and anchors of the first."""
        n_views, n, _ = views.shape
        if n_views < 2:
            raise InputError("views", n_views, "pass at least two views")
        z = unit(views)
        same = torch.eye(n, dtype=torch.bool, device=z.device)
        if labels is not None:
            same = same_label(class_labels(labels))
        count = same.sum(dim=1).to(z.dtype)
        rows = same.nonzero()[:, 0]
        terms = []
        for a in range(n_views):
            for b in range(a + 1, n_views):
                scores = z[a] @ z[b].T
                negative = scores[~same]
                each = score_differences(scores[same], negative, self.temperature)
                if self.negatives == "sum":
                    each = each * len(negative)
                terms.append(torch.zeros_like(count).index_add(0, rows, each) / count)
        per_anchor = torch.stack(terms)
        every = torch.ones_like(per_anchor, dtype=torch.bool)
        if labels is not None and self.reduction == "mean":
            own = 1.0 if weights is None else relative_weights(weights, count.dtype)
            weights = count * own
        return reduce_valid(self, per_anchor, every, weights)
