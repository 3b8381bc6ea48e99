"""MEOW: negatives weighted by how surely they are negatives, and prototypes.

Yu et al., "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Adaptively
Weighted Negative Samples", arXiv 2212.13847, carried from graph nodes to series. Two ways to weigh
a negative j of anchor i:

    hard (MEOW)      w_ij = number of clusterings that put i and j in different clusters
    soft (AdaMEOW)   w_ij = sigmoid( MLP(z_i + z_j) )

    L_i = -s_ii + log( exp(s_ii) + sum_{j != i} w_ij exp(s_ij) ),   s_ij = z_i . z'_j / tau

plus, for each clustering with prototypes c and i in cluster k(i), ProtoNCE

    P_i = -z_i . c_k(i) / tau_p + log mean_k exp(z_i . c_k / tau_p)

Weights as in the authors' released code. Deviations: the positive stays in the denominator (the
release leaves it out, which is unbounded when no weight is left); soft weights are divided by
their mean over an anchor's negatives, as the network could else shrink the loss by shrinking all
of them; prototypes share the temperature tau_p instead of a density each and pass gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, diagonal, unit
from tscl.losses.shared.clusters import group_sums, kmeans, label_codes, n_groups
from tscl.losses.shared.settings import (
    choice_setting,
    floor_setting,
    positive_setting,
    whole_setting,
)
from tscl.seeding import seeded


@LOSSES.register("meow")
class Meow(ContrastiveLoss):
    """MEOW (hard weights) and AdaMEOW (soft weights).

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (pairs, B)).
        weighting: ``hard`` or ``soft``.
        n_clusters: sizes of the clusterings, each >= 2: one cluster has no negatives.
        prototype_weight: factor >= 0 of ProtoNCE.
        prototype_temperature: tau_p > 0.
        dims: dimensions of the embeddings, needed for ``soft``.
        hidden: width of the weighting network.
        seed: of its initial parameters.
        gather: see :class:`ContrastiveLoss`.

    ``labels``, when given, are one more clustering. Where all embeddings coincide there is one
    cluster, hard weights are zero and the contrast is 0.

    Example:
        >>> z = torch.eye(4)
        >>> loss = Meow(0.5, n_clusters=(4,), prototype_weight=0.0)
        >>> float(loss(z, z))  # a cluster a sample: InfoNCE
        0.3407...
    """

    def __init__(
        self,
        temperature: float = 0.5,
        reduction: Reduction = "mean",
        *,
        weighting: Literal["hard", "soft"] = "hard",
        n_clusters: tuple[int, ...] = (4, 8),
        prototype_weight: float = 0.5,
        prototype_temperature: float = 0.5,
        dims: int | None = None,
        hidden: int = 16,
        seed: int = 0,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        choice_setting("weighting", weighting, ("hard", "soft"))
        if isinstance(n_clusters, str) or not isinstance(n_clusters, Sequence) or not n_clusters:
            raise InputError("n_clusters", n_clusters, "name one clustering or more, sizes >= 2")
        self.n_clusters = tuple(whole_setting("n_clusters", k, 2) for k in n_clusters)
        self.prototype_weight = floor_setting("prototype_weight", prototype_weight)
        self.prototype_temperature = positive_setting(
            "prototype_temperature", prototype_temperature
        )
        whole_setting("hidden", hidden)
        whole_setting("seed", seed, 0)
        self.network: nn.Module | None = None
        if weighting == "soft":
            if dims is None:
                raise InputError("dims", dims, "soft weights need the embeddings' dimensions")
            whole_setting("dims", dims)
            with seeded(seed, "meow"):
                self.network = nn.Sequential(
                    nn.Linear(dims, hidden), nn.Tanh(), nn.Linear(hidden, 1)
                )

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over ordered pairs of views and anchors."""
        n_views = len(views)
        z = unit(views)
        mean = z.mean(dim=0)
        codes = [kmeans(mean.detach(), k) for k in self.n_clusters]
        if extra.labels is not None:
            codes.append(label_codes(extra.labels))
        terms = []
        for a in range(n_views):
            pull = self.prototype_weight * self._prototypes(z[a], mean, codes)
            for b in range(n_views):
                if a != b:
                    terms.append(self._contrast(z[a], z[b], codes) + pull)
        return self.reduce(torch.stack(terms), extra.weights)

    def _contrast(self, anchor: Tensor, other: Tensor, codes: list[Tensor]) -> Tensor:
        logits = anchor @ other.T / self.temperature
        own = diagonal(logits)
        if self.network is None:
            differing = torch.stack([c.unsqueeze(1) != c.unsqueeze(0) for c in codes]).sum(dim=0)
            weight = differing.to(logits.dtype)
        else:
            raw = self.network(anchor.unsqueeze(1) + other.unsqueeze(0)).squeeze(-1)
            weight = torch.sigmoid(raw).masked_fill(own, 0.0)
            weight = weight * (len(weight) - 1) / weight.sum(dim=1, keepdim=True)
        weight = weight.masked_fill(own, 1.0)
        logs = weight.clamp_min(torch.finfo(weight.dtype).tiny).log()
        logs = logs.masked_fill(weight <= 0, -torch.inf)
        return torch.logsumexp(logits + logs, dim=1) - logits.diagonal()

    def _prototypes(self, anchor: Tensor, mean: Tensor, codes: list[Tensor]) -> Tensor:
        """ProtoNCE (B,), mean over clusterings."""
        total = torch.zeros_like(anchor[:, 0])
        for code in codes:
            centre, filled = group_sums(mean, code, n_groups(code, len(code)))
            logits = anchor @ unit(centre).T / self.prototype_temperature
            own = logits.gather(1, code.unsqueeze(1)).squeeze(1)
            spread = filled.sum().to(logits.dtype).log()
            every = logits.masked_fill(~filled, -torch.inf).logsumexp(dim=1)
            total = total + every - spread - own
        return total / len(codes)
