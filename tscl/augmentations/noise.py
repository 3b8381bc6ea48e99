"""Noise and level changes: jitter, shift (additive form) and scaling (factor form).

Um et al. 2017, arXiv 1706.00527, section 3; CoST, arXiv 2202.01575, appendix on augmentations.
Strengths are in units of the data, which are standardised in the usual pipeline.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.augmentations.base import AUGMENTATIONS, Augmentation, Draws, check_sigma
from tscl.seeding import randn


@AUGMENTATIONS.register("jitter")
class Jitter(Augmentation):
    """v = x + e with e ~ N(0, sigma^2) for every step and channel (form ``additive``).

    Args:
        sigma: standard deviation of the noise, in data units, >= 0.
        p: probability per sample.

    Example:
        >>> v = Jitter(sigma=0.1)(torch.zeros(1, 1000, 1), torch.Generator().manual_seed(0))
        >>> f"{float(v.std()):.1f}"
        '0.1'
    """

    form = "additive"

    def __init__(self, sigma: float = 0.03, p: float = 1.0) -> None:
        super().__init__(p)
        self.sigma = check_sigma("sigma", sigma)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """The noise, (B, T, C)."""
        return {"noise": self.sigma * randn(tuple(x.shape), generator, x)}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Add the noise."""
        return x + draws["noise"]


@AUGMENTATIONS.register("shift")
class Shift(Augmentation):
    """v = x + e with one e ~ N(0, sigma^2) per sample and channel (form ``additive``).

    Args:
        sigma: standard deviation of the offset, in data units, >= 0.
        p: probability per sample.
        per_channel: draw an offset per channel; False shares one over a sample's channels.

    Example:
        >>> v = Shift(sigma=0.5)(torch.zeros(1, 3, 1), torch.Generator().manual_seed(0))
        >>> bool((v == v[:, :1]).all())  # one shift a channel
        True
    """

    form = "additive"

    def __init__(self, sigma: float = 0.5, p: float = 1.0, per_channel: bool = True) -> None:
        super().__init__(p)
        self.sigma = check_sigma("sigma", sigma)
        self.per_channel = per_channel

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """The offset, (B, 1, C) or (B, 1, 1)."""
        return {"noise": self.sigma * _per_sample(x, generator, self.per_channel)}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Add the offset."""
        return x + draws["noise"]


@AUGMENTATIONS.register("scaling")
class Scaling(Augmentation):
    """v = f * x with one f ~ N(mean, sigma^2) per sample and channel (form ``factor``).

    Args:
        sigma: standard deviation of the factor, >= 0.
        p: probability per sample.
        mean: mean of the factor; 1 keeps the level (TS-TCC's public code uses 2).
        per_channel: draw a factor per channel; False shares one over a sample's channels.

    Example:
        >>> v = Scaling(sigma=0.1)(torch.ones(1, 3, 1), torch.Generator().manual_seed(0))
        >>> bool((v == v[:, :1]).all())  # one factor a channel
        True
    """

    form = "factor"

    def __init__(
        self, sigma: float = 0.1, p: float = 1.0, mean: float = 1.0, per_channel: bool = True
    ) -> None:
        super().__init__(p)
        self.sigma = check_sigma("sigma", sigma)
        self.mean = float(mean)
        self.per_channel = per_channel

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """The factor, (B, 1, C) or (B, 1, 1)."""
        return {"factor": self.mean + self.sigma * _per_sample(x, generator, self.per_channel)}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Multiply by the factor."""
        return draws["factor"] * x


def _per_sample(x: Tensor, generator: torch.Generator | None, per_channel: bool) -> Tensor:
    return randn((x.shape[0], 1, x.shape[2] if per_channel else 1), generator, x)
