"""Proto-Triplet and ICNN losses: separable classes from a few labelled samples.

Mendez-Ruiz et al., "SuSana Distancia is all you need", arXiv 2305.09062. The forms below were
compared with the authors' code, line by line; the paper's numbered equations were not to be had.

Proto-Triplet, with prototypes c_k the class means of the support and Euclidean distance d:

    L_i = [ d(q_i, c_{y_i}) - min_{k != y_i} d(q_i, c_k) + margin ]_+

ICNN, from a score in [0, 1] of the k nearest neighbours of each sample (``lambda`` rewards near
neighbours of the same class and far ones of others, ``gamma`` the share of the same class):

    gamma_i = |same_i| / k
    intra_i = mean over same_i of  d_ij / max(1, max_j ...),  d_ij divided by the distance to the
              nearest sample of another class among the neighbours considered
    inter   = mean over other_i of  d_ij / max d
    lambda  = (1 - mean intra_i + mean inter_i) / 2,   score = (lambda + mean gamma_i) / 2
    L       = -log(score)

The authors' code looks for the nearest sample of another class among k + 1 neighbours and divides
in ``inter`` by the largest distance to another class: ``released=True``. It also computes a third
term, of the variances of the distances, which its loss does not use.

Distances are differences of coordinates, exact where embeddings are close, in blocks of rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, unit
from tscl.losses.shared.clusters import label_codes, n_groups
from tscl.losses.shared.columns import relative_weights
from tscl.losses.shared.settings import positive_setting, whole_setting

HELD = 1 << 22
"""Most differences of coordinates held at a time (16 MiB in float32)."""


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Distances of rows that are broadcast, with a finite gradient where they coincide."""
    squared = (a - b).square().sum(dim=-1)
    return (squared + torch.finfo(a.dtype).eps).sqrt()


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (N, M) of rows (N, D) and (M, D).

    More differences than :data:`HELD` go through in blocks, computed again in the backward pass.
    """
    rows = max(1, HELD // max(1, b.numel()))
    if len(a) <= rows:
        return _distances(a.unsqueeze(1), b)
    parts = [
        checkpoint(_distances, part.unsqueeze(1), b, use_reentrant=False) for part in a.split(rows)
    ]
    return torch.cat(parts)


@torch.no_grad()
def nearest(z: Tensor, k: int) -> Tensor:
    """Indices (N, k) of the nearest other rows of ``z`` (N, D), nearest first, k < N."""
    indices = []
    for top in range(0, len(z), max(1, HELD // len(z))):
        part = z[top : top + max(1, HELD // len(z))]
        d = torch.cdist(part, z, compute_mode="donot_use_mm_for_euclid_dist")
        d.diagonal(top).fill_(torch.inf)
        indices.append(d.topk(k, dim=1, largest=False).indices)
    return torch.cat(indices)


@LOSSES.register("proto_triplet")
class ProtoTriplet(ContrastiveLoss):
    """Proto-Triplet loss.

    Args:
        reduction: ``mean``, ``sum`` or ``none`` (per query, (V, B)).
        margin: > 0.
        normalize: L2-normalise embeddings first.
        gather: see :class:`ContrastiveLoss`.

    Each view in turn is the query, its support are the other views (the view itself when there is
    one only). With a single class there is no other prototype and the value is 0.

    Example:
        >>> z = torch.tensor([[0.0, 0.0], [0.0, 0.4]])  # each sample is its class's prototype
        >>> round(float(ProtoTriplet(margin=0.5)(z, z, labels=[0, 1])), 3)
        0.1
    """

    needs = ("labels",)
    min_views = 1
    power = 2

    def __init__(
        self,
        reduction: Reduction = "mean",
        *,
        margin: float = 0.5,
        normalize: bool = False,
        gather: bool = False,
    ) -> None:
        super().__init__(1.0, reduction, gather=gather)
        self.margin = positive_setting("margin", margin)
        self.normalize = normalize

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over the samples of all views."""
        z = unit(views) if self.normalize else views
        code = label_codes(extra["labels"])
        classes = torch.arange(n_groups(code, len(code)), device=z.device)
        member = (code.unsqueeze(1) == classes).to(z.dtype)
        size = member.sum(dim=0)
        terms = []
        for v in range(len(z)):
            others = [u for u in range(len(z)) if u != v] or [v]
            prototypes = member.T @ z[others].mean(dim=0) / size.clamp_min(1.0).unsqueeze(1)
            d = distances(z[v], prototypes)
            own = d.gather(1, code.unsqueeze(1)).squeeze(1)
            closest = d.masked_fill(member.bool() | (size == 0), torch.inf).amin(dim=1)
            terms.append(torch.relu(own - closest + self.margin))
        per_query = torch.stack(terms)
        return self.reduce(per_query, extra.weights, torch.ones_like(per_query, dtype=torch.bool))


def icnn_score(
    z: Tensor,
    labels: Tensor,
    k: int,
    weights: Tensor | None = None,
    *,
    released: bool = False,
) -> Tensor:
    """Inter- and intra-class nearest-neighbour score in [0, 1] of embeddings (N, D), N >= 2.

    Args:
        z: embeddings.
        labels: (N,) class codes.
        k: neighbours looked at, at most N - 1 are.
        weights: (N,) weights of the samples in the means.
        released: see the head of the module.

    A sample without a neighbour of the same class counts in no intra-class mean; without any
    neighbour of another class the inter-class term is 1.
    """
    n = len(z)
    k = min(k, n - 1)
    neighbour = nearest(z, min(k + 1, n - 1) if released else k)
    d = _distances(z.unsqueeze(1), z[neighbour])
    same = labels.unsqueeze(1) == labels[neighbour]
    w = torch.ones_like(d[:, 0]) if weights is None else relative_weights(weights, d.dtype)
    tiny = torch.finfo(d.dtype).tiny

    def mean(values: Tensor, counted: Tensor) -> Tensor:
        share = w * counted.to(d.dtype)
        return (values * share).sum() / share.sum().clamp_min(tiny)

    to_other = d.masked_fill(same, torch.inf).amin(dim=1, keepdim=True)
    d, same = d[:, :k], same[:, :k]
    ratio = torch.where(torch.isinf(to_other), torch.zeros_like(d), d / to_other)
    ratio = ratio / ratio.amax(dim=1, keepdim=True).clamp_min(1.0)
    n_same, n_other = same.sum(dim=1), (~same).sum(dim=1)
    intra_i = (ratio * same).sum(dim=1) / n_same.clamp_min(1)
    largest = d.masked_fill(same, 0.0).amax().clamp_min(tiny) if released else d.amax()
    inter_i = (d / largest * ~same).sum(dim=1) / n_other.clamp_min(1)
    inter = torch.where((n_other > 0).any(), mean(inter_i, n_other > 0), torch.ones_like(w[0]))
    compact = 1 - mean(intra_i, n_same > 0)
    gamma = mean(n_same.to(d.dtype) / k, torch.ones_like(n_same, dtype=torch.bool))
    return ((compact + inter) / 2 + gamma) / 2


@LOSSES.register("icnn")
class ICNN(ContrastiveLoss):
    """ICNN loss: -log of :func:`icnn_score` over the embeddings of all views.

    Args:
        reduction: the loss is one figure a batch: ``mean`` and ``sum`` give it, ``none`` as (1,).
        k: neighbours looked at, >= 1.
        released: the authors' code in two details, see the head of the module.
        gather: see :class:`ContrastiveLoss`.

    ``weights`` weigh samples in the means; all zero they give the score's floor. The share of
    neighbours of the same class has no gradient. Memory grows with the batch, time with its square.

    Example:
        >>> z = torch.tensor([[0.0], [0.0], [9.0], [9.0]])
        >>> abs(float(ICNN(k=1)(z, z, labels=[0, 0, 1, 1]))) < 1e-3  # the best there is
        True
    """

    needs = ("labels",)
    min_views = 1
    power = 2

    def __init__(
        self,
        reduction: Reduction = "mean",
        *,
        k: int = 4,
        released: bool = False,
        gather: bool = False,
    ) -> None:
        super().__init__(1.0, reduction, gather=gather)
        self.k = whole_setting("k", k)
        self.released = released

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """The loss of the batch."""
        n_views = len(views)
        spread = None if extra.weights is None else extra.weights.repeat(n_views)
        codes = extra["labels"].repeat(n_views)
        score = icnn_score(views.flatten(0, 1), codes, self.k, spread, released=self.released)
        value = -torch.log(score.clamp_min(torch.finfo(score.dtype).eps))
        return value.unsqueeze(0) if self.reduction == "none" else value
