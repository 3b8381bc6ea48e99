"""PamC: cluster sums stand for all negatives, at a cost linear in the batch.

Kulatilleke et al., "Efficient block contrastive learning via parameter-free meta-node
approximation", arXiv 2209.14067, carried from graphs to series: neighbours in the graph become
the other views, graph nodes become samples. With unit embeddings, clusters S_1..S_K of the batch
and meta-nodes m_a = sum_{i in S_a} z_i (z_i the mean of its views),

    L = mean_i -s_i / tau  +  mean_a log sum_{b != a} exp( cos(m_a, m_b) / tau )

where s_i is the mean cosine similarity of sample i's views. The negatives cost K^2, the loss B K
instead of B^2. With one sample a cluster it is the decoupled loss over all negatives. As in the
authors' released code, but that a = b does not enter as exp(0), that the temperature divides, and
that a sample's positives are averaged: the release takes the logarithm of the sum of their
exponentials, which is the same for the one positive of two views.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, diagonal, unit
from tscl.losses.shared.clusters import group_sums, kmeans, label_codes, n_groups
from tscl.losses.shared.settings import whole_setting


@LOSSES.register("pamc")
class PamC(ContrastiveLoss):
    """PamC with clusters from ``labels`` or from k-means on the batch.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per sample, (B,)).
        n_clusters: K >= 2; at most B clusters are made.
        gather: see :class:`ContrastiveLoss`.

    ``labels``, when given, are the cluster codes. Where these, or embeddings that coincide, leave
    one cluster there is no negative and only the alignment is left.

    Example:
        >>> z = torch.eye(4)
        >>> float(PamC(temperature=0.5)(z, z, labels=[0, 0, 1, 1]))  # two clusters at right angles
        -2.0
    """

    def __init__(
        self,
        temperature: float = 0.5,
        reduction: Reduction = "mean",
        *,
        n_clusters: int = 8,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        self.n_clusters = whole_setting("n_clusters", n_clusters, 2)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over samples; the negatives' term is the same for all."""
        n_views, n, _ = views.shape
        z = unit(views)
        total = z.sum(dim=0)
        pairs = (total.square().sum(-1) - z.square().sum((0, 2))) / (n_views * (n_views - 1))
        mean = total / n_views
        if extra.labels is None:
            code, most = kmeans(mean.detach(), self.n_clusters), min(self.n_clusters, n)
        else:
            code, most = label_codes(extra.labels), n
        meta, filled = group_sums(mean, code, n_groups(code, most))
        negatives = self._negatives(unit(meta), filled)
        return self.reduce(negatives - pairs / self.temperature, extra.weights)

    def _negatives(self, meta: Tensor, filled: Tensor) -> Tensor:
        """Mean over the filled clusters; 0 when there is one only."""
        logits = meta @ meta.T / self.temperature
        negative = filled & ~diagonal(meta)
        some = negative.any(dim=1) & filled
        spread = logits.masked_fill(~negative & some.unsqueeze(1), -torch.inf).logsumexp(dim=1)
        return (spread * some).sum() / some.sum().clamp_min(1)
