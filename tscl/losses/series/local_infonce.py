"""AutoTCL's local InfoNCE between neighbouring sub-windows.

Zheng et al., "Parametric Augmentation for Time Series Contrastive Learning", ICLR 2024,
arXiv 2402.10434, section 3.4.
A representation (B, T, D), L2-normalised per step, is cut from a random start into k segments of
floor(T / k) steps, each max-pooled to s_1..s_k. For segment i the positive is the next segment
(the last one takes the previous) and the negatives are the segments of the same instance that are
not neighbours:

    L_i = -log( exp(s_i . s_i+ / tau) / (exp(s_i . s_i+ / tau) + sum_j exp(s_i . s_j / tau)) )
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.base import unit
from tscl.losses.shared.settings import choice_setting, positive_setting, whole_setting
from tscl.seeding import randint


class LocalInfoNCE(nn.Module):
    """Local InfoNCE averaged over the instances of a batch.

    Args:
        n_segments: k, at least 4 so that every segment has a negative.
        temperature: softmax temperature, > 0.
        instances: ``all`` averages over the batch (the paper); ``first`` takes instance 0 only,
            as the public code does.
        equal_negatives: leave out index 2 for the first and k - 3 for the last segment, so that
            all have k - 3 negatives less one, as the public code does.

    Example:
        >>> z = torch.ones(2, 8, 3)
        >>> float(LocalInfoNCE(n_segments=4)(z))  # log(3) at the ends, log(2) between
        0.8958...
    """

    positive: Tensor
    allowed: Tensor

    def __init__(
        self,
        n_segments: int = 16,
        temperature: float = 1.0,
        *,
        instances: Literal["all", "first"] = "all",
        equal_negatives: bool = False,
    ) -> None:
        super().__init__()
        whole_setting("n_segments", n_segments, 4)
        self.n_segments = n_segments
        self.temperature = positive_setting("temperature", temperature)
        self.instances = choice_setting("instances", instances, ("all", "first"))
        index = torch.arange(n_segments)
        positive = torch.where(index < n_segments - 1, index + 1, index - 1)
        allowed = (index[:, None] - index[None, :]).abs() > 1
        if equal_negatives:
            allowed[0, 2] = False
            allowed[-1, -3] = False
        self.register_buffer("positive", positive, persistent=False)
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Loss of representations ``z`` (B, T, D); zero (with a gradient) when T < n_segments."""
        if z.ndim != 3:
            raise InputError("z", tuple(z.shape), "pass (n_samples, n_timesteps, n_dims)")
        length = z.shape[1] // self.n_segments
        if length < 1:
            return z.sum() * 0.0
        if self.instances == "first":
            z = z[:1]
        used = length * self.n_segments
        start = int(randint(0, z.shape[1] - used + 1, (1,), generator)[0])
        z = unit(z[:, start : start + used])
        segments = z.reshape(z.shape[0], self.n_segments, length, z.shape[2]).amax(dim=2)
        similarity = segments @ segments.transpose(1, 2) / self.temperature
        rows = torch.arange(self.n_segments, device=z.device)
        positives = similarity[:, rows, self.positive]
        negatives = similarity.masked_fill(~self.allowed, -torch.inf)
        logits = torch.cat((positives.unsqueeze(-1), negatives), dim=-1)
        return (torch.logsumexp(logits, dim=-1) - positives).mean()
