"""Class-pair gates: any two classes may be positives, in a subspace of their own.

Wu et al., "Rethinking Positive Pairs in Contrastive Learning", arXiv
2410.18200 (Hydra, later SimLAP). A gate for a pair of classes (a, b), learned with the encoder,

    g(a, b) = sigmoid( MLP( (e_a + e_b) / 2 ) ) in (0, 1)^D

filters both embeddings. Anchor i of class a is given a partner class b; the positives are the
samples j of class b, the negatives those of neither class, with cosine similarity in the subspace
S_ij = cos(g z_i, g z'_j):

    L_i = mean_{j in b}  log( exp(S_ij/tau) + sum_{n not in a, b} exp(S_in/tau) ) - S_ij/tau

Gate, masks and loss as in the authors' released code, without its batch normalisation and its
cross entropy beside the contrast. An anchor's positives are averaged and then the anchors, as in
one of its files; the others take one mean over all positive pairs of the batch, in which anchors
with many positives weigh more.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.base import LOSSES, Extra, Reduction, diagonal
from tscl.losses.labelled import DrawingLoss, class_labels, same_label
from tscl.losses.shared.settings import choice_setting, whole_setting
from tscl.seeding import seeded


class PairGate(nn.Module):
    """Gates of class pairs, symmetric in the two classes.

    Args:
        n_classes: number of classes.
        dims: dimensions of the embeddings.
        hidden: width of class embeddings and of the hidden layer.
        seed: of the initial parameters.
    """

    def __init__(self, n_classes: int, dims: int, hidden: int = 64, seed: int = 0) -> None:
        super().__init__()
        for name, value in (("n_classes", n_classes), ("dims", dims), ("hidden", hidden)):
            whole_setting(name, value)
        whole_setting("seed", seed, 0)
        with seeded(seed, "pair gate"):
            self.classes = nn.Embedding(n_classes, hidden)
            self.network = nn.Sequential(
                nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, dims)
            )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Gates (B, D) in (0, 1) of class codes a and b, (B,) each."""
        pair = (self.classes(a) + self.classes(b)) / 2
        out: Tensor = torch.sigmoid(self.network(pair))
        return out


@LOSSES.register("hydra")
class Hydra(DrawingLoss):
    """Hydra between the views of a labelled batch.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (pairs, B)).
        n_classes: labels are codes 0..n_classes-1.
        dims: dimensions D of the embeddings.
        pairs: partner class of an anchor: ``arbitrary`` (that of a random sample of the batch),
            ``identical`` (its own), ``distinct`` (the next class present in the batch).
        hidden: width inside the gate.
        seed: of the gate's parameters and of the partner draws, see :class:`DrawingLoss`.
        gather: see :class:`ContrastiveLoss`.

    Without negatives (a batch of the pair's classes only) the value is 0.

    Example:
        >>> z = torch.eye(4)
        >>> float(Hydra(n_classes=2, dims=4)(z, z, labels=[0, 0, 0, 0]))  # no other class to repel
        0.0
    """

    needs = ("labels",)
    min_views = 1
    power = 2

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        n_classes: int,
        dims: int,
        pairs: Literal["arbitrary", "identical", "distinct"] = "arbitrary",
        hidden: int = 64,
        seed: int = 0,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, seed, gather=gather)
        self.n_classes = n_classes
        self.dims = dims
        self.pairs = choice_setting("pairs", pairs, ("arbitrary", "identical", "distinct"))
        self.gate = PairGate(n_classes, dims, hidden, seed)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over ordered pairs of views (the view itself when there is one) and anchors."""
        n_views, _, dims = views.shape
        if dims != self.dims:
            raise InputError("z1", tuple(views.shape), f"the gates have {self.dims} dimensions")
        mine = class_labels(extra["labels"], self.n_classes)
        partner = self._partners(mine)
        gate = self.gate(mine, partner).to(views.dtype)
        near = partner.unsqueeze(1) == mine.unsqueeze(0)
        far = ~near & ~same_label(mine)
        order = [(a, b) for a in range(n_views) for b in range(n_views) if a != b] or [(0, 0)]
        terms, valid = [], []
        for a, b in order:
            positive = near & ~diagonal(near) if a == b else near
            logits = gated_cosine(views[a], views[b], gate) / self.temperature
            repel = logits.masked_fill(~far, -torch.inf)
            repel = torch.cat((repel, torch.full_like(repel[:, :1], -1e30)), dim=1)
            cost = torch.nn.functional.softplus(repel.logsumexp(dim=1, keepdim=True) - logits)
            count = positive.sum(dim=1)
            terms.append((cost * positive).sum(dim=1) / count.clamp_min(1).to(cost.dtype))
            valid.append(count > 0)
        return self.reduce(torch.stack(terms), extra.weights, torch.stack(valid))

    def _partners(self, labels: Tensor) -> Tensor:
        call = self.next_draw()
        if self.pairs == "identical":
            return labels
        if self.pairs == "distinct":
            beyond = labels.where(labels > labels.unsqueeze(1), self.n_classes).amin(1)
            return beyond.where(beyond < self.n_classes, labels.min())
        return labels[self.permutation(len(labels), call).to(labels.device, non_blocking=True)]


def gated_cosine(a: Tensor, b: Tensor, gate: Tensor) -> Tensor:
    """cos(g_i a_i, g_i b_j) for all i, j, (B, B), without a (B, B, D) tensor.

    Args:
        a: (B, D).
        b: (B, D).
        gate: (B, D) factors g of the dimensions, one row an ``a``.
    """
    squared = gate.square()
    eps = torch.finfo(a.dtype).eps ** 2
    own = (squared * a.square()).sum(dim=1, keepdim=True).clamp_min(eps)
    other = (squared @ b.square().T).clamp_min(eps)
    return (squared * a) @ b.T * torch.rsqrt(own) * torch.rsqrt(other)
