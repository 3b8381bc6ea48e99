"""MW loss: every positive pair should score above every negative pair of the batch.

Sheikholeslami et al., "Optimizing What Matters: AUC-Driven Learning for Robust Neural Retrieval",
arXiv 2510.00137: binary cross entropy over score differences (eq. 2 and Lemma 2),

    L = mean over positives s+ and negatives s- of  log(1 + exp(-(s+ - s-) / tau))

Since log 2 [s+ <= s-] <= log(1 + exp(-(s+ - s-)/tau)), the value over log 2 bounds the area over
the ROC curve, 1 - AUC, the share of the Mann-Whitney statistic that is lost. Unlike InfoNCE it
compares scores of different anchors, so that one threshold separates all of them. For a batch the
paper's eq. 3 writes the mean over positives of the sum over all negatives: a factor, which the
bound does not have. The paper trains with tau = 0.01.

B samples have B^2 scores and up to B^4 / 4 differences. More than :data:`HELD` are not formed: the
scores of a batch are cosines, so the sums over differences come from
:mod:`tscl.losses.score_sums`, exact to rounding, from scores that are computed in blocks of rows
and again in the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tscl.errors import InputError
from tscl.losses.base import (
    LOSSES,
    ContrastiveLoss,
    Extra,
    Reduction,
    off_diagonal,
    unit,
)
from tscl.losses.labelled import same_label
from tscl.losses.score_sums import ScoreSums
from tscl.losses.shared.columns import relative_weights
from tscl.losses.shared.settings import choice_setting, positive_setting

HELD = 1 << 22
"""Most score differences, or scores, held at a time (16 MiB in float32)."""


def _score_differences(positive: Tensor, negative: Tensor, temperature: float = 1.0) -> Tensor:
    """For each of ``positive`` (P,), the mean over ``negative`` (N,) of softplus((s- - s+)/tau).

    Zeros when there is no negative. More differences than :data:`HELD` go through in blocks of
    positives, computed again in the backward pass.
    """
    if len(negative) == 0 or len(positive) == 0:
        return positive * 0.0
    rows = max(1, HELD // len(negative))

    def mean(block: Tensor) -> Tensor:
        return F.softplus((negative - block.unsqueeze(1)) / temperature).mean(dim=1)

    if len(positive) <= rows:
        return mean(positive)
    parts = [checkpoint(mean, block, use_reentrant=False) for block in positive.split(rows)]
    return torch.cat(parts)


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

    Example:
        >>> float(mann_whitney_loss(torch.tensor([1.0, 1.0]), torch.tensor([1, 0])))  # log(2)
        0.6931...
    """
    positive_setting("temperature", temperature)
    if scores.ndim != 1 or targets.shape != scores.shape:
        raise InputError("scores, targets", (tuple(scores.shape), tuple(targets.shape)), "(B,)")
    if not bool(torch.isfinite(scores.detach()).all()):
        raise InputError("scores", "NaN or infinity", "check the model's input and learning rate")
    scores = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
    wanted = targets.bool()
    per_positive = _score_differences(scores[wanted], scores[~wanted], temperature)
    share = torch.ones_like(per_positive)
    if weights is not None:
        share = relative_weights(weights, scores.dtype)[wanted]
    return (per_positive * share).sum() / share.sum().clamp_min(torch.finfo(scores.dtype).tiny)


def one_against_rest(logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    """Mean MW loss over the classes present.

    The score of class k is its log odds, logit_k - logsumexp of the others; for two classes the
    difference of the logits.

    Args:
        logits: (B, K).
        target: (B,) classes.
        temperature: tau > 0 of the score differences.
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
        gather: see :class:`ContrastiveLoss`.

    A positive pair is one sample's two views; with ``labels`` any two samples of one class.
    Everything else is negative. All views count pairwise. Without a negative pair the value is 0.

    The entry of an anchor is the mean over its positive pairs. ``mean`` weighs anchors by how many
    they have, which is the mean over all positive pairs that bounds 1 - AUC whatever the sizes of
    the classes. ``weights`` weigh a positive pair by its anchor.

    Raises:
        InputError: (backward) a second derivative of a batch of more than :data:`HELD` score
            differences.

    Example:
        >>> z = torch.eye(4)
        >>> float(MannWhitney(temperature=0.5)(z, z))  # log(1 + 1 / e^2)
        0.1269...
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
        self.negatives = choice_setting("negatives", negatives, ("mean", "sum"))

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over unordered pairs of views and anchors of the first."""
        z = unit(views)
        n = z.shape[1]
        count = z.new_ones(n) if extra.labels is None else _per_label(extra.labels).to(z.dtype)
        few = n**3 <= HELD if extra.labels is None else n**4 // 4 <= HELD and z.device.type == "cpu"
        factor = n * n - count.sum() if self.negatives == "sum" else 1.0
        terms = []
        for a, b in combinations(range(len(z)), 2):
            if few:
                terms.append(_plain(z[a], z[b], extra.labels, self.temperature, factor))
            else:
                columns = (extra.labels, count, self.temperature)
                each: Tensor = _InBlocks.apply(z[a], z[b], *columns)  # type: ignore[no-untyped-call]
                terms.append(each * factor)
        weights = extra.weights
        if extra.labels is not None and self.reduction == "mean":
            own = 1.0 if weights is None else relative_weights(weights, count.dtype)
            weights = count * own
        per_anchor = torch.stack(terms)
        return self.reduce(per_anchor, weights, torch.ones_like(per_anchor, dtype=torch.bool))


def _per_label(codes: Tensor) -> Tensor:
    """How many samples share each sample's code: (B,)."""
    ordered = codes.sort().values
    return torch.searchsorted(ordered, codes, right=True) - torch.searchsorted(ordered, codes)


def _plain(
    u: Tensor, v: Tensor, labels: Tensor | None, temperature: float, factor: Tensor | float
) -> Tensor:
    """``factor`` times the mean over an anchor's positives, (B,), from all score differences."""
    scores = u @ v.T
    if labels is None:
        negative = off_diagonal(scores).flatten()
        return _score_differences(scores.diagonal(), negative, temperature) * factor
    same = same_label(labels)
    each = _score_differences(scores[same], scores[~same], temperature) * factor
    count = same.sum(dim=1).to(u.dtype)
    return torch.zeros_like(count).index_add(0, same.nonzero()[:, 0], each) / count


class _InBlocks(torch.autograd.Function):
    """What :func:`_plain` gives, from unit rows u, v (B, D), holding a block of scores at a time.

    The scores are visited for the sums over the negatives, for what these give at the positives
    and, in the backward pass, for the sums over the positives and for the slope of every score: of
    a positive by the negatives' sums, of a negative by the positives'. Without labels the positives
    are the diagonal, and two of the visits fall away.
    """

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, v: Tensor, labels: Tensor | None, count: Tensor, temperature: float
    ) -> Tensor:
        sums = ScoreSums(temperature, u)
        n_negative = (len(u) ** 2 - count.sum()).clamp_min(1.0)
        for _, scores, same in _score_blocks(u, v, labels):
            sums.add(scores, ~same)
        above = sums.softplus_above()
        if labels is None:
            out = above((u * v).sum(1))
        else:
            blocks = _score_blocks(u, v, labels)
            out = torch.cat([(above(scores) * same).sum(1) for _, scores, same in blocks])
        ctx.save_for_backward(u, v, labels, count, n_negative)
        ctx.sums, ctx.temperature = sums, temperature
        return out / count / n_negative

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        u, v, labels, count, n_negative = ctx.saved_tensors
        if torch.is_grad_enabled():
            remedy = "a batch of this size has first derivatives only: pass fewer samples"
            raise InputError("create_graph", True, remedy)
        pull = (g / count / n_negative).unsqueeze(1)
        positives, above = ScoreSums(ctx.temperature, u), ctx.sums.sigmoid_above()
        if labels is None:
            own = (u * v).sum(1, keepdim=True)
            positives.add(own, pull)
            own = -above(own) * pull
        else:
            for rows, scores, same in _score_blocks(u, v, labels):
                positives.add(scores, same * pull[rows])
        below = positives.sigmoid_below()
        grad_u, grad_v = torch.empty_like(u), torch.zeros_like(v)
        for rows, scores, same in _score_blocks(u, v, labels):
            up = own[rows] if labels is None else -above(scores) * pull[rows]
            slope = torch.where(same, up, below(scores)) / ctx.temperature
            grad_u[rows] = slope @ v
            grad_v.addmm_(slope.T, u[rows])
        return grad_u, grad_v, None, None, None


def _score_blocks(
    u: Tensor, v: Tensor, labels: Tensor | None
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Rows, their scores (R, B), and which of these are positive."""
    codes = torch.arange(len(u), device=u.device) if labels is None else labels
    step = max(1, HELD // 32 // len(u))
    for top in range(0, len(u), step):
        rows = slice(top, top + step)
        yield rows, u[rows] @ v.T, codes[rows].unsqueeze(1) == codes
