"""Continuously weighted contrastive loss between two modalities (CWCL).

Srinivasa et al., "CWCL: Cross-Modal Transfer with Continuously Weighted Contrastive Loss", arXiv
2309.14580. p are unit embeddings of the trained-on (often frozen) modality, q of the other:

    w_ij  = <p_i, p_j> / 2 + 1/2                                    similarity within p, in [0, 1]
    L_pq  = -mean_i 1 / (sum_j w_ij) sum_j w_ij log softmax_j(<p_i, q_j> / tau)
    L_qp  = -mean_i log softmax_j(<q_i, p_j> / tau)_i               the usual one
    L     = L_pq + L_qp

Samples whose p are alike share the positive instead of repelling each other. The paper's numbered
equations and code were not to be had; weights, the two directions and their sum follow a later
paper that takes the loss over (CellCLIP, arXiv 2506.06290) and its code, where the rows of w are
divided by their sum as here. Pairs can be two lead groups,
ECG and EEG, or a signal and vectors of a report.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, diagonal, unit
from tscl.losses.shared.settings import positive_setting


@LOSSES.register("cwcl")
class CWCL(ContrastiveLoss):
    """Continuously weighted contrastive loss; view 0 is the modality p.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (2 (V - 1), B)). Mean and sum add up
            the two directions.
        detach_similarity: w carries no gradient (p frozen in the paper).
        sharpness: w is raised to this power, > 0; 1 is the paper's, large values approach InfoNCE.
        gather: see :class:`ContrastiveLoss`.

    Shape:
        z1 (p), z2 (q): (B, D); or z1: (V, B, D), view 0 against each other view, averaged. B >= 2.

    Example:
        >>> z = torch.ones(4, 3)
        >>> float(CWCL()(z, z))  # nothing to tell samples apart by: 2 log(4)
        2.7725...
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        detach_similarity: bool = True,
        sharpness: float = 1.0,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        self.detach_similarity = detach_similarity
        self.sharpness = positive_setting("sharpness", sharpness)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Sum of the two directions, mean over the other views and anchors."""
        z = unit(views)
        p = z[0]
        likeness = self.likeness(p)
        terms = []
        for q in z[1:]:
            logits = p @ q.T / self.temperature
            terms.append(-(likeness * logits.log_softmax(1)).sum(1))
            terms.append(-logits.log_softmax(0).diagonal())
        out = self.reduce(torch.stack(terms), extra.weights)
        return 2.0 * out if self.reduction == "mean" else out

    def likeness(self, p: Tensor) -> Tensor:
        """w of unit embeddings p (B, D), rows scaled to sum 1: (B, B). w_ii counts 1."""
        source = p.detach() if self.detach_similarity else p
        w = (0.5 * (source @ source.T) + 0.5).clamp_min(0.0)
        w = w.masked_fill(diagonal(p), 1.0)
        if self.sharpness != 1.0:
            w = w.clamp_min(torch.finfo(w.dtype).tiny).pow(self.sharpness)
        return w / w.sum(1, keepdim=True)
