"""InfoNCE with synthetic hard negatives mixed from the hardest ones and from the anchor (MoCHi).

Kalantidis et al., "Hard Negative Mixing for Contrastive Learning", arXiv 2010.01028. Let n_1 .. n_N
be the N negatives most similar to an anchor q. Negatives are added for each anchor, projected back
to the unit sphere:

    mixed    h_k = a n_i + (1 - a) n_j,    a uniform in (0, 1),    i, j random among the N hardest
    harder   h_k = b q + (1 - b) n_j,      b uniform in (0, 0.5),  j random among the N hardest

In the paper the negatives come from a queue of a momentum encoder and carry no gradient; here they
are the other samples of the batch in the other view, and synthetic ones carry none unless told.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, Extra, Reduction, unit
from tscl.losses.labelled import DrawingLoss
from tscl.losses.shared.settings import whole_setting
from tscl.seeding import derive_seed


@LOSSES.register("hard_negative_mixing")
class HardNegativeMixing(DrawingLoss):
    """InfoNCE over real and synthetic negatives, both views as anchors.

    Draws depend on ``seed`` and on how often the loss was called (the saved counter ``draws``).

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (pairs, B)).
        n_hardest: N >= 1, how many hardest negatives are mixed (at most B - 1 are there).
        n_mixed: synthetic negatives >= 0 mixed of two hard ones.
        n_harder: synthetic negatives >= 0 mixed of a hard one and the anchor.
        stop_gradient: synthetic negatives carry no gradient.
        seed: of the draws.
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(4)
        >>> plain = HardNegativeMixing(0.5, n_mixed=0, n_harder=0)(z, z)  # InfoNCE
        >>> bool(HardNegativeMixing(0.5)(z, z) > plain)
        True
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        n_hardest: int = 64,
        n_mixed: int = 16,
        n_harder: int = 8,
        stop_gradient: bool = True,
        seed: int = 0,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, seed, gather=gather)
        self.n_hardest = whole_setting("n_hardest", n_hardest)
        self.n_mixed = whole_setting("n_mixed", n_mixed, 0)
        self.n_harder = whole_setting("n_harder", n_harder, 0)
        self.stop_gradient = stop_gradient

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over ordered pairs of views and anchors."""
        z = unit(views)
        v, n = z.shape[:2]
        call = self.next_draw()
        terms = []
        for a in range(v):
            for b in (b for b in range(v) if b != a):
                logits = z[a] @ z[b].T
                mixed = self.synthesise(z[a], z[b], logits, call, a * v + b)
                logits = torch.cat((logits, torch.einsum("nd,nkd->nk", z[a], mixed)), dim=1)
                logits = logits / self.temperature
                terms.append(logits.logsumexp(1) - logits[:, :n].diagonal())
        return self.reduce(torch.stack(terms), extra.weights)

    def synthesise(
        self, query: Tensor, other: Tensor, similarity: Tensor, call: int, pair: int
    ) -> Tensor:
        """Synthetic negatives (B, n_mixed + n_harder, D) of unit length for each query.

        Args:
            query: (B, D) unit anchors.
            other: (B, D) unit embeddings of the other view; row i is the positive of query i.
            similarity: (B, B) inner products of the two.
            call: number of the call of the loss.
            pair: number of the pair of views within the call.
        """
        if self.stop_gradient:
            query, other, similarity = query.detach(), other.detach(), similarity.detach()
        n = len(query)
        generator = torch.Generator().manual_seed(
            derive_seed(self.seed, "hard negative mixing", call, pair)
        )
        hidden = similarity.detach().clone()
        hidden.fill_diagonal_(-math.inf)
        hardest = hidden.topk(min(self.n_hardest, n - 1), dim=1).indices
        total = 2 * self.n_mixed + self.n_harder
        picks = torch.randint(hardest.shape[1], (n, total), generator=generator)
        share = torch.rand((n, self.n_mixed + self.n_harder, 1), generator=generator)
        share = share.to(query, non_blocking=True)
        chosen = other[hardest.gather(1, picks.to(hardest.device, non_blocking=True))]
        first, second, third = chosen.split((self.n_mixed, self.n_mixed, self.n_harder), dim=1)
        mix = share[:, : self.n_mixed]
        pull = 0.5 * share[:, self.n_mixed :]
        mixed = mix * first + (1.0 - mix) * second
        harder = pull * query.unsqueeze(1) + (1.0 - pull) * third
        return unit(torch.cat((mixed, harder), dim=1))
