"""A signal that runs faster or slower: a heart of another rate, a recorder of another clock."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tscl.augmentations.base import AUGMENTATIONS, Augmentation, Draws, wide
from tscl.augmentations.warp import resample
from tscl.errors import InputError
from tscl.seeding import rand


@AUGMENTATIONS.register("speed")
class Speed(Augmentation):
    """v_t = x at c + f (t - c), with one speed f per sample and c the middle (form ``index``).

    log f is uniform between -log ``factor`` and log ``factor``. Where a faster signal would reach
    beyond its ends it is mirrored there. Values between steps are interpolated linearly.

    Args:
        factor: largest speed, and one over the smallest, >= 1; 1 changes nothing.
        p: probability per sample.

    Example:
        >>> Speed(factor=1.2)(torch.ones(2, 50, 3), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 50, 3])
    """

    form = "index"

    def __init__(self, factor: float = 1.2, p: float = 1.0) -> None:
        super().__init__(p)
        if not 1 <= factor < float("inf"):
            raise InputError("factor", factor, "choose a finite factor of at least 1")
        self.factor = float(factor)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """The positions, (B, T, 1), in steps."""
        like, last = wide(x), x.shape[1] - 1
        exponent = 2 * rand((x.shape[0], 1, 1), generator, like) - 1
        speed = torch.exp(math.log(self.factor) * exponent)
        steps = torch.arange(x.shape[1], dtype=like.dtype, device=x.device)[:, None]
        position = last / 2 + speed * (steps - last / 2)
        if last > 0:
            # a triangle wave folds any place back between the ends
            position = last - (last - position.remainder(2 * last)).abs()
        return {"position": position.clamp(0, last)}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Interpolate at the positions."""
        return resample(x, draws["position"])
