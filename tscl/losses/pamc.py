"""PamC: cluster sums stand for all negatives, at a cost linear in the batch.

Kulatilleke et al., "Efficient block contrastive learning via parameter-free meta-node
approximation", arXiv 2209.14067, carried from graphs to series: neighbours in the graph become
the other views, graph nodes become samples. With unit embeddings, clusters S_1..S_K of the batch
and meta-nodes m_a = sum_{i in S_a} z_i (z_i the mean of its views),

    L = mean_i -s_i / tau  +  mean_a log sum_{b != a} exp( cos(m_a, m_b) / tau )

where s_i is the mean cosine similarity of sample i's views. The negatives cost K^2, the loss B K
instead of B^2. With one sample a cluster it is the decoupled loss over all negatives. As in the
authors' released code, but that a = b does not enter as exp(0) and that the temperature divides.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import LOSSES, ContrastiveLoss, Reduction, unit
from tscl.losses.labelled import class_labels
from tscl.losses.shared.clusters import kmeans
from tscl.losses.shared.settings import whole_setting


@LOSSES.register("pamc")
class PamC(ContrastiveLoss):
    """PamC with clusters from ``labels`` or from k-means on the batch.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per sample, (B,)).
        n_clusters: K; at most B clusters are made.

    ``labels``, when given, are the cluster codes. With one cluster there is no negative and only
    the alignment is left.
    """

    def __init__(
        self, temperature: float = 0.5, reduction: Reduction = "mean", *, n_clusters: int = 8
    ) -> None:
        super().__init__(temperature, reduction)
        self.n_clusters = whole_setting("n_clusters", n_clusters)

    def compute(
        self,
        views: Tensor,
        *,
        labels: Tensor | None,
        ids: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        """Mean over samples; the negatives' term is the same for all."""
        n_views = len(views)
        if n_views < 2:
            raise InputError("views", n_views, "pass at least two views")
        z = unit(views)
        total = z.sum(dim=0)
        pairs = (total.square().sum(-1) - z.square().sum((0, 2))) / (n_views * (n_views - 1))
        mean = total / n_views
        code = kmeans(mean.detach(), self.n_clusters)
        if labels is not None:
            code = torch.unique(class_labels(labels), return_inverse=True)[1]
        k = int(code.max()) + 1
        meta = unit(mean.new_zeros(k, mean.shape[1]).index_add(0, code, mean))
        return self.reduce(self._negatives(meta) - pairs / self.temperature, weights)

    def _negatives(self, meta: Tensor) -> Tensor:
        if len(meta) < 2:
            return meta.sum() * 0.0
        own = torch.eye(len(meta), dtype=torch.bool, device=meta.device)
        logits = (meta @ meta.T / self.temperature).masked_fill(own, -torch.inf)
        return torch.logsumexp(logits, dim=1).mean()
