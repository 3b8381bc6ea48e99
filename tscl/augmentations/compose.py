"""Augmentations made of others: in a row, one at random, and CoST's scale-shift-jitter."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tscl.augmentations.base import (
    AUGMENTATIONS,
    Augmentation,
    AugmentationSpec,
    Draws,
    build_augmentations,
    wide,
)
from tscl.augmentations.noise import Jitter, Scaling, Shift
from tscl.errors import InputError
from tscl.seeding import rand


class _Container(Augmentation):
    """Holds parts and runs them with the one generator; see the subclasses."""

    form = "composite"

    def __init__(self, augmentations: Sequence[AugmentationSpec], p: float = 1.0) -> None:
        super().__init__(p)
        self.parts = build_augmentations(augmentations)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Nothing: each part draws for itself, in order, since its input may differ in shape."""
        return {}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Not available: a container has no draws of its own.

        Raises:
            InputError: always; call the container instead.
        """
        raise InputError(
            "transform", type(self).__name__, "call it: view = augmentation(x, generator)"
        )


@AUGMENTATIONS.register("compose")
class Compose(_Container):
    """Augmentations one after the other (form ``composite``).

    Args:
        augmentations: names, mappings ``{"name": ..., **parameters}`` or modules, at least one.
        p: probability per sample that the whole row is applied.

    Example:
        >>> view = Compose(["jitter", {"name": "cutout", "ratio": 0.2}])(torch.randn(2, 50, 3))
        >>> view.shape
        torch.Size([2, 50, 3])
    """

    def view(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """The parts in order."""
        for part in self.parts:
            x = part(x, generator)
        return x


@AUGMENTATIONS.register("random_choice")
class RandomChoice(_Container):
    """One of several augmentations per sample, drawn uniformly (form ``composite``).

    Args:
        augmentations: names, mappings or modules that keep the shape, at least one.
        p: probability per sample that any is applied.

    Example:
        >>> choice = RandomChoice(["jitter", {"name": "polarity", "ratio": 1.0}])
        >>> choice(torch.ones(4, 10, 1), torch.Generator().manual_seed(0)).shape
        torch.Size([4, 10, 1])
    """

    def view(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Every part's view, and of each sample the drawn one."""
        drawn = rand((x.shape[0], 1, 1), generator, wide(x)) * len(self.parts)
        choice = drawn.long().clamp_max(len(self.parts) - 1)
        out = x
        for i, part in enumerate(self.parts):
            view = part(x, generator)
            if view.shape != x.shape:
                raise InputError("augmentations", type(part).__name__, "use parts that keep shape")
            out = torch.where(choice == i, view, out)
        return out


@AUGMENTATIONS.register("scale_shift_jitter")
class ScaleShiftJitter(Compose):
    """CoST's augmentation (arXiv 2202.01575): scaling, shift and jitter, each with its own coin.

    Args:
        sigma: standard deviation of the factor (around 1), the offset and the noise, >= 0.
        p: probability per sample of EACH of the three (not of the whole).

    Example:
        >>> ScaleShiftJitter()(torch.ones(2, 50, 3), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 50, 3])
    """

    def __init__(self, sigma: float = 0.5, p: float = 0.5) -> None:
        super().__init__([Scaling(sigma, p), Shift(sigma, p), Jitter(sigma, p)])
        self.sigma = float(sigma)
        self.part_p = float(p)
