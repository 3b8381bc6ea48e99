"""A stretch of random length in which nothing is recorded."""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.augmentations.base import AUGMENTATIONS, Augmentation, Draws, check_fraction, wide
from tscl.augmentations.mask import blocks
from tscl.seeding import rand


@AUGMENTATIONS.register("time_out")
class TimeOut(Augmentation):
    """v = f * x with f = 0 in one stretch of all channels and 1 elsewhere (form ``factor``).

    The stretch's length is uniform up to ``longest`` of the series and it starts anywhere, so
    that it may reach beyond the end. NaN stays NaN. :class:`Cutout` hides blocks of fixed length.

    Args:
        longest: largest length over the series' length, in [0, 1]; 0 hides nothing.
        p: probability per sample.

    Example:
        >>> v = TimeOut(longest=0.5)(torch.ones(1, 100, 2), torch.Generator().manual_seed(0))
        >>> bool((v == 0).any()), float(v.max())
        (True, 1.0)
    """

    form = "factor"

    def __init__(self, longest: float = 0.5, p: float = 1.0) -> None:
        super().__init__(p)
        self.longest = check_fraction("longest", longest)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """First and one-past-last hidden step, (B, 1, 1)."""
        like, shape = wide(x), (x.shape[0], 1, 1)
        start = x.shape[1] * rand(shape, generator, like)
        width = self.longest * x.shape[1] * rand(shape, generator, like)
        return {"start": start.floor(), "stop": start.floor() + width.round()}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Zero the stretch."""
        return x * ~blocks(x.shape[1], draws["start"], draws["stop"])
