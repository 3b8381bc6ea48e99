"""SupReMix: supervised contrast for regression with mixed embeddings as hard pairs.

Wu et al., "Mixup Your Own Pairs", arXiv 2309.16633. For anchor i with target y_i:

    hard negatives  anchor-inclusive mixtures  lambda z_i + (1 - lambda) z_j  of the anchor and a
                    negative (y_j != y_i), lambda ~ Beta(a, b), target mixed alike
    hard positives  anchor-exclusive mixtures  lambda z_j + (1 - lambda) z_k  of two negatives
                    whose mixed target is y_i:  y_j < y_i < y_k,
                    lambda = (y_k - y_i) / (y_k - y_j)
    L_i = -1/|P(i)| sum_p log( exp(s_ip/tau) / sum_{a != i} w_ia exp(s_ia/tau) ),
    w_ia = 1 + |y_i - y_a|

over the real samples and the mixtures. The weight w pushes apart what is far apart in the target
(the released loss's ``L1_inv`` form); targets are scaled by ``scale`` first. Compared with the
authors' released loss and mixing line by line; the paper's numbered equations were not to be had.
The release mixes all pairs of a batch, B^3 mixtures, here ``n_mix`` of each kind are drawn for an
anchor; its mixtures carry no gradient and are not scaled to unit length (``released=True``). It
shifts the logits of samples and of mixtures by a maximum each before they share a denominator,
which changes their balance; that is not repeated.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, Extra, Reduction, diagonal, unit
from tscl.losses.labelled import DrawingLoss
from tscl.losses.shared.columns import require
from tscl.losses.shared.settings import pair_setting, positive_setting, whole_setting


@LOSSES.register("supremix")
class SupReMix(DrawingLoss):
    """SupReMix over regression ``targets`` (or ordered class codes in ``labels``).

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (V, B)).
        n_mix: mixtures of each kind an anchor, 0 for none.
        beta: parameters of the Beta distribution of the anchor's share in hard negatives.
        window: hard positives mix targets up to this distance from the anchor's (the release: below
            it); None all.
        weighted: weigh the denominator by target distance (w = 1 without).
        scale: unit of the targets: distances are divided by it, > 0.
        released: mixtures as in the authors' code: constant, and of the length mixing gives them.
        seed: of the draws, see :class:`DrawingLoss`.
        gather: see :class:`ContrastiveLoss`.

    With targets that are all equal nothing is negative and the value is SupCon's. Anchors without
    a positive do not count.

    Example:
        >>> z = torch.eye(4)
        >>> near = SupReMix(temperature=0.5, n_mix=0)(z, z, targets=[20, 21, 22, 23])
        >>> float(near) < float(SupReMix(temperature=0.5, n_mix=0)(z, z, targets=[20, 30, 40, 50]))
        True
    """

    needs = ("targets",)
    min_views = 1

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        n_mix: int = 8,
        beta: tuple[float, float] = (2.0, 8.0),
        window: float | None = None,
        weighted: bool = True,
        scale: float = 1.0,
        released: bool = False,
        seed: int = 0,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, seed, gather=gather)
        self.n_mix = whole_setting("n_mix", n_mix, 0)
        self.beta_parameters = pair_setting("beta", beta)
        self.window = None if window is None else positive_setting("window", window)
        self.weighted = weighted
        self.released = released
        self.scale = positive_setting("scale", scale)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over the anchors of all views that have a positive."""
        n_views, n, _ = views.shape
        z = unit(views).flatten(0, 1)
        y = self._targets(extra["targets"], z.dtype).repeat(n_views)
        own = diagonal(z)
        gap = (y.unsqueeze(0) - y.unsqueeze(1)).abs()
        logits, positive, used = z @ z.T / self.temperature, (gap == 0) & ~own, ~own
        gap = gap.to(z.dtype)
        if self.n_mix:
            call = self.next_draw()
            parts = (self._hard_negatives(z, y, call), self._hard_positives(z, y, call))
            logits = torch.cat((logits, *(p[0] for p in parts)), dim=1)
            gap = torch.cat((gap, *(p[1] for p in parts)), dim=1)
            used = torch.cat((used, *(p[2] for p in parts)), dim=1)
            none = torch.zeros_like(parts[0][2])
            positive = torch.cat((positive, none, parts[1][2]), dim=1)
        weight = torch.log1p(gap) if self.weighted else torch.zeros_like(gap)
        denominator = (logits + weight).masked_fill(~used, -torch.inf).logsumexp(1, keepdim=True)
        cost = (denominator - logits).masked_fill(~positive, 0.0)
        count = positive.sum(dim=1)
        per_anchor = cost.sum(dim=1) / count.clamp_min(1).to(z.dtype)
        shape = (n_views, n)
        return self.reduce(per_anchor.view(shape), extra.weights, (count > 0).view(shape))

    def _targets(self, targets: Tensor, dtype: torch.dtype) -> Tensor:
        """Targets from 0 in units of ``scale``, as exact as they are: large ones stay apart."""
        if targets.is_floating_point():
            y = targets.to(torch.promote_types(targets.dtype, dtype))
        else:
            y = targets.long()
        y = (y - y.min()).to(torch.float64 if y.dtype == torch.int64 else y.dtype) / self.scale
        largest = y.max()
        fits = largest <= torch.finfo(dtype).max
        require(fits, "targets", largest.item, f"they span too much for {dtype}")
        return y

    def _finish(self, mixed: Tensor) -> Tensor:
        """Mixtures as they enter the similarities."""
        return mixed.detach() if self.released else unit(mixed)

    def _hard_negatives(self, z: Tensor, y: Tensor, call: int) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, target distance and validity, (V B, n_mix) each, of anchor-inclusive mixtures."""
        allowed = y.unsqueeze(1) != y.unsqueeze(0)
        other = self.choose(allowed, self.n_mix, call, "negative")
        a, b = self.beta_parameters
        share = self.beta(a, b, tuple(other.shape), z, call).unsqueeze(-1)
        mixed = self._finish(share * z.unsqueeze(1) + (1 - share) * z[other])
        gap = (1 - share.squeeze(-1)) * (y[other] - y.unsqueeze(1)).abs().to(z.dtype)
        valid = allowed.any(dim=1, keepdim=True).expand_as(other)
        return (mixed * z.unsqueeze(1)).sum(-1) / self.temperature, gap, valid

    def _hard_positives(self, z: Tensor, y: Tensor, call: int) -> tuple[Tensor, Tensor, Tensor]:
        """The same of anchor-exclusive mixtures, whose target is the anchor's."""
        ahead = y.unsqueeze(0) - y.unsqueeze(1)
        near = torch.ones_like(ahead, dtype=torch.bool)
        if self.window is not None:
            near = ahead.abs() <= self.window / self.scale
        low, high = (ahead < 0) & near, (ahead > 0) & near
        j = self.choose(low, self.n_mix, call, "low")
        k = self.choose(high, self.n_mix, call, "high")
        valid = (low.any(1) & high.any(1)).unsqueeze(1).expand_as(j)
        width = torch.where(valid, y[k] - y[j], torch.ones_like(y[k]))
        share = ((y[k] - y.unsqueeze(1)) / width).to(z.dtype).unsqueeze(-1)
        mixed = self._finish(share * z[j] + (1 - share) * z[k])
        logits = (mixed * z.unsqueeze(1)).sum(-1) / self.temperature
        return logits, torch.zeros_like(logits), valid
