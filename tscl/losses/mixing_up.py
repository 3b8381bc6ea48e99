"""Mixup contrast: predict which two series were mixed, and how much of each.

Wickstrøm et al., "Mixing Up Contrastive Learning: Self-Supervised Representation Learning for Time
Series", arXiv 2203.09270, eq. 2 (MNT-Xent). With z~_i the embedding of lambda x1_i + (1 - lambda)
x2_i, cosine similarity D and temperature tau,

    l_i = -      lambda  log exp(D(z~_i, z1_i) / tau) / S_i
          - (1 - lambda) log exp(D(z~_i, z2_i) / tau) / S_i
    S_i = sum_k exp(D(z~_i, z1_k) / tau) + exp(D(z~_i, z2_k) / tau)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.base import stack_views, unit
from tscl.losses.shared.columns import require
from tscl.losses.shared.settings import positive_setting


class MixupContrast(nn.Module):
    """MNT-Xent.

    Args:
        temperature: tau > 0.

    Shape:
        mixed, z1, z2: (B, D); weight: lambda in [0, 1], () or (B,). Returns a scalar.

    Raises:
        InputError: temperature, shapes or lambda that do not fit, non-finite embeddings.

    Example:
        >>> z = torch.ones(4, 3)
        >>> float(MixupContrast()(z, z, z, torch.tensor(0.3)))  # log(2 B)
        2.0794...
    """

    def __init__(self, temperature: float = 0.5) -> None:
        super().__init__()
        self.temperature = positive_setting("temperature", temperature)

    def forward(self, mixed: Tensor, z1: Tensor, z2: Tensor, weight: Tensor) -> Tensor:
        """Mean of l_i over the batch.

        Args:
            mixed: (B, D) embeddings of the mixed series.
            z1: (B, D) of the first series.
            z2: (B, D) of the second.
            weight: lambda in [0, 1] of the first, one or (B,).
        """
        first, second = stack_views(z1, z2)
        (mixed,) = stack_views(mixed.unsqueeze(0), None)
        if mixed.shape != first.shape:
            raise InputError("mixed", tuple(mixed.shape), f"pass {tuple(first.shape)}")
        n = len(mixed)
        weight = weight.to(mixed)
        if weight.ndim > 1 or (weight.ndim == 1 and len(weight) != n):
            raise InputError("weight", tuple(weight.shape), f"pass one lambda or ({n},)")
        ok = ((weight >= 0) & (weight <= 1)).all()
        require(ok, "weight", weight.tolist, "lambda must lie in [0, 1]")
        logits = unit(mixed) @ unit(torch.cat((first, second))).T / self.temperature
        cost = torch.logsumexp(logits, dim=1, keepdim=True) - logits
        own, other = cost[:, :n].diagonal(), cost[:, n:].diagonal()
        return (weight * own + (1 - weight) * other).mean()
