"""Hiding a stretch of time: cutout (factor form, zero inside the hidden blocks)."""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.augmentations.base import (
    AUGMENTATIONS,
    Augmentation,
    Draws,
    check_count,
    check_fraction,
    wide,
)
from tscl.seeding import rand


@AUGMENTATIONS.register("cutout")
class Cutout(Augmentation):
    """v = f * x with f = 0 in ``n_blocks`` blocks of ``ratio * T`` steps and 1 elsewhere.

    Blocks start at uniform places and may overlap (form ``factor``). NaN stays NaN.

    Args:
        ratio: length of a block over the series' length, in [0, 1]; 0 hides nothing.
        p: probability per sample.
        n_blocks: blocks per sample, >= 1.
        per_channel: draw places per channel; False hides the same steps in all channels.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> Cutout(ratio=0.5)(torch.ones(1, 6, 1), generator).flatten().tolist()
        [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    """

    form = "factor"

    def __init__(
        self, ratio: float = 0.1, p: float = 1.0, n_blocks: int = 1, per_channel: bool = False
    ) -> None:
        super().__init__(p)
        self.ratio = check_fraction("ratio", ratio)
        self.n_blocks = check_count("n_blocks", n_blocks)
        self.per_channel = per_channel

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """First and one-past-last hidden step of each block, (B, n_blocks, C or 1) integers."""
        length = x.shape[1]
        width = _width(self.ratio, length)
        shape = (x.shape[0], self.n_blocks, x.shape[2] if self.per_channel else 1)
        start = draw_start(length - width, shape, generator, x)
        return {"start": start, "stop": start + width}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Multiply by the factor of the blocks."""
        return x * ~blocks(x.shape[1], draws["start"], draws["stop"])


def blocks(length: int, start: Tensor, stop: Tensor) -> Tensor:
    """True at the steps in any of the blocks [start, stop), (B, length, C').

    Args:
        length: steps T.
        start: (B, n, C') first step of each of n blocks.
        stop: (B, n, C') the step after each block.
    """
    steps = torch.arange(length, device=start.device)[None, :, None, None]
    inside = (steps >= start.unsqueeze(1)) & (steps < stop.unsqueeze(1))
    return inside.any(dim=2)


def draw_start(
    last: int, shape: tuple[int, ...], generator: torch.Generator | None, like: Tensor
) -> Tensor:
    """Uniform integers in [0, last].

    Args:
        last: the largest.
        shape: of the result.
        generator: source of the draws; None for torch's own.
        like: a tensor on the device of the result.
    """
    drawn = rand(shape, generator, wide(like)) * (last + 1)
    return drawn.long().clamp_max(last)


def _width(ratio: float, length: int) -> int:
    return 0 if ratio == 0 else min(length, max(1, round(ratio * length)))
