"""Negative-student positive-teacher contrast on rehearsed samples.

Cappellazzo et al., "Continual Contrastive Spoken Language Understanding" (COCONUT), arXiv
2310.02699. With student embeddings h, those of the frozen previous model g, the rehearsed samples
R of a batch and P(k) the rehearsed samples of k's class without k,

    L_k = -1/|P(k)| sum_{p in P(k)} log( exp(h_k . g_p / tau)
                                         / (exp(h_k . g_p / tau) + sum_i exp(h_k . h_i / tau)) )

for k in R: what is kept pulls towards where the old model put it, what is new repels where the new
model puts it. The paper's numbered equation and code were not to be had; from its text and its
reviews: positives are the teacher's, negatives the student's, anchors the rehearsed samples, and
the denominator of eq. 5 runs over all samples of the batch. ``repel="all"`` takes all i != k, as
that says; ``others`` leaves the positives' student embeddings out, so that nothing pushes a class
apart. That the pulled-to positive joins the denominator is of this library: with it the loss is
bounded below by 0, without it by nothing.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.base import diagonal, stack_views, unit
from tscl.losses.labelled import class_labels, same_label
from tscl.losses.shared.settings import choice_setting, positive_setting


class ReplayContrast(nn.Module):
    """NSPT loss; a scalar, the mean over rehearsed samples that have a positive.

    Args:
        temperature: tau > 0.
        repel: ``others`` or ``all``, see the head of the module.

    Without such a sample the value is 0 with a zero gradient.

    Example:
        >>> z = torch.eye(4)
        >>> new = torch.tensor([False] * 4)
        >>> float(ReplayContrast()(z, z, torch.tensor([0, 0, 1, 1]), new))  # nothing rehearsed
        0.0
    """

    def __init__(
        self, temperature: float = 0.1, *, repel: Literal["others", "all"] = "others"
    ) -> None:
        super().__init__()
        self.temperature = positive_setting("temperature", temperature)
        self.repel = choice_setting("repel", repel, ("others", "all"))

    def forward(
        self, student: Tensor, teacher: Tensor, labels: Tensor, rehearsed: Tensor
    ) -> Tensor:
        """The loss.

        Args:
            student: (B, D) embeddings of the model in training, new and rehearsed samples.
            teacher: (B, D) embeddings of the same samples by the previous model; no gradient.
            labels: (B,) class (or patient) codes.
            rehearsed: (B,) boolean, True for samples from the memory.

        Raises:
            InputError: shapes that do not fit, non-finite embeddings.
        """
        h = unit(stack_views(student.unsqueeze(0), None)[0])
        g = unit(stack_views(teacher.detach().unsqueeze(0), None)[0]).to(h.dtype)
        n = len(h)
        if student.ndim != 2 or h.shape != g.shape:
            raise InputError(
                "student, teacher", (tuple(h.shape), tuple(g.shape)), "both must have one shape"
            )
        if labels.shape != (n,) or rehearsed.shape != (n,) or rehearsed.dtype != torch.bool:
            raise InputError(
                "labels, rehearsed", (tuple(labels.shape), tuple(rehearsed.shape)), f"pass ({n},)"
            )
        own = diagonal(h)
        both = rehearsed.unsqueeze(0) & rehearsed.unsqueeze(1)
        positive = same_label(class_labels(labels)) & both & ~own
        pull = h @ g.T / self.temperature
        hidden = own if self.repel == "all" else own | positive
        push = (h @ h.T / self.temperature).masked_fill(hidden, -torch.inf)
        floor = torch.full_like(push[:, :1], -1e30)
        repel = torch.cat((push, floor), dim=1).logsumexp(dim=1, keepdim=True)
        count = positive.sum(dim=1)
        cost = nn.functional.softplus(repel - pull) * positive
        per_anchor = cost.sum(dim=1) / count.clamp_min(1).to(h.dtype)
        return per_anchor.sum() / (count > 0).sum().clamp_min(1)
