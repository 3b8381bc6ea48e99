"""Supervised contrastive loss: all samples of the anchor's class are its positives.

Khosla et al., "Supervised Contrastive Learning", arXiv 2004.11362, eq. 2 (L_out) and eq. 3 (L_in).
Over the V B unit embeddings of all views, A(i) all but i, P(i) those of A(i) with i's label:

    L_out,i = -1/|P(i)| sum_{p in P(i)} log( exp(z_i.z_p/tau) / sum_{a in A(i)} exp(z_i.z_a/tau) )
    L_in,i  = -log( 1/|P(i)| sum_{p in P(i)} exp(z_i.z_p/tau) / sum_{a in A(i)} exp(z_i.z_a/tau) )

With labels that all differ and two views both are NT-Xent. With one label for all, L_out is the
cross entropy between the uniform and the softmax distribution over A(i): finite, at least
log |A(i)|.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, diagonal, unit
from tscl.losses.labelled import same_label
from tscl.losses.shared.settings import choice_setting


@LOSSES.register("supcon")
class SupCon(ContrastiveLoss):
    """SupCon (arXiv 2004.11362). The paper sums over anchors; the default here is the mean.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (V, B)).
        form: ``out`` (eq. 2, the better one in the paper) or ``in`` (eq. 3).
        gather: see :class:`ContrastiveLoss`.

    An anchor without a positive (one view, a label of its own) does not count; a batch of such
    anchors gives 0 with a zero gradient.

    Example:
        >>> z = torch.eye(4)
        >>> float(SupCon(temperature=0.5)(z, z, labels=[0, 1, 2, 3]))  # NT-Xent
        0.5944...
    """

    needs = ("labels",)
    min_views = 1

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        form: Literal["out", "in"] = "out",
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        self.form = choice_setting("form", form, ("out", "in"))

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over the anchors of all views that have a positive."""
        n_views, n, _ = views.shape
        z = unit(views).flatten(0, 1)
        own = diagonal(z)
        positive = same_label(extra["labels"]).repeat(n_views, n_views) & ~own
        logits = (z @ z.T / self.temperature).masked_fill(own, -torch.inf)
        log_share = (logits - torch.logsumexp(logits, dim=1, keepdim=True)).masked_fill(own, 0.0)
        count = positive.sum(dim=1)
        divisor = count.clamp_min(1).to(z.dtype)
        if self.form == "out":
            per_anchor = -(log_share * positive).sum(dim=1) / divisor
        else:
            alone = (count == 0).unsqueeze(1)
            inside = log_share.masked_fill(~positive & ~alone, -torch.inf)
            per_anchor = torch.log(divisor) - torch.logsumexp(inside, dim=1)
        shape = (n_views, n)
        return self.reduce(per_anchor.view(shape), extra.weights, (count > 0).view(shape))
