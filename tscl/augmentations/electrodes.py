"""Electrodes that come off, are swapped by polarity, or stand on the other side of the head."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from tscl.augmentations.base import AUGMENTATIONS, Augmentation, Draws, check_fraction, wide
from tscl.errors import InputError
from tscl.seeding import rand


@AUGMENTATIONS.register("channel_dropout")
class ChannelDropout(Augmentation):
    """v = f * x with f = 0 in channels drawn with probability ``ratio`` and 1 elsewhere.

    One channel of every sample is always kept. NaN stays NaN (form ``factor``). Known as lead
    masking in ECG work and as channels dropout in EEG work.

    Args:
        ratio: probability of each channel, in [0, 1]; 0 drops nothing.
        p: probability per sample.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> ChannelDropout(ratio=0.5)(torch.ones(1, 2, 4), generator)[0, 0].tolist()
        [0.0, 1.0, 0.0, 0.0]
    """

    form = "factor"

    def __init__(self, ratio: float = 0.2, p: float = 1.0) -> None:
        super().__init__(p)
        self.ratio = check_fraction("ratio", ratio)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """True where a channel is kept, (B, 1, C)."""
        drawn = rand((x.shape[0], 1, x.shape[2]), generator, wide(x))
        return {"kept": (drawn >= self.ratio) | (drawn == drawn.amax(dim=2, keepdim=True))}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Zero the channels that are not kept."""
        return x * draws["kept"]


@AUGMENTATIONS.register("polarity")
class Polarity(Augmentation):
    """v = -x of samples drawn with probability ``ratio``, all their channels (form ``factor``).

    Args:
        ratio: probability that a sample is turned over, in [0, 1]; 0 changes nothing.
        p: probability per sample that it is drawn for at all.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> Polarity(ratio=1.0)(torch.ones(1, 1, 2), generator).flatten().tolist()
        [-1.0, -1.0]
    """

    form = "factor"

    def __init__(self, ratio: float = 0.5, p: float = 1.0) -> None:
        super().__init__(p)
        self.ratio = check_fraction("ratio", ratio)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """1 or -1, (B, 1, 1)."""
        turned = rand((x.shape[0], 1, 1), generator, wide(x)) < self.ratio
        return {"factor": 1.0 - 2.0 * turned}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Multiply by the sign."""
        return x * draws["factor"].to(x.dtype)


@AUGMENTATIONS.register("swap_sides")
class SwapSides(Augmentation):
    """Channels of the left and the right half of the head are exchanged (form ``index``).

    Args:
        channels: names of the channels in their order, such as ``["F3", "Fz", "F4"]``, from which
            :func:`mirrored` takes who stands opposite whom; or the position that each channel
            takes its values from. None changes nothing.
        ratio: probability that a sample is swapped, in [0, 1].
        p: probability per sample that it is drawn for at all.

    Raises:
        InputError: positions that are no order of the channels, or (when called) another number
            of channels.

    Example:
        >>> x = torch.tensor([[[1.0, 2.0, 3.0]]])
        >>> generator = torch.Generator().manual_seed(0)
        >>> SwapSides(["C3", "Cz", "C4"], ratio=1.0)(x, generator).flatten().tolist()
        [3.0, 2.0, 1.0]
    """

    form = "index"

    def __init__(
        self,
        channels: Sequence[str] | Sequence[int] | None = None,
        ratio: float = 0.5,
        p: float = 1.0,
    ) -> None:
        super().__init__(p)
        self.ratio = check_fraction("ratio", ratio)
        self.order: tuple[int, ...] | None = None
        if channels is not None and all(isinstance(name, str) for name in channels):
            self.order = mirrored([str(name) for name in channels])
        elif channels is not None:
            self.order = tuple(int(name) for name in channels)
        if self.order is not None and sorted(self.order) != list(range(len(self.order))):
            raise InputError("channels", self.order, "name each position once, from 0")

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """True where a sample is swapped, (B, 1, 1)."""
        return {"swapped": rand((x.shape[0], 1, 1), generator, wide(x)) < self.ratio}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Exchange the channels of the drawn samples."""
        if self.order is None:
            return x * 1.0
        if len(self.order) != x.shape[2]:
            raise InputError("channels", len(self.order), f"the series has {x.shape[2]} channels")
        order = torch.tensor(self.order, device=x.device)
        return torch.where(draws["swapped"], x.index_select(2, order), x)


def mirrored(names: Sequence[str]) -> tuple[int, ...]:
    """Position of the channel opposite to each, by the 10-20 system's names (odd: left).

    A channel on the midline, or one whose opposite is not among ``names``, is its own. Bipolar
    names such as ``F3-C3`` are mirrored on both sides of the hyphen; case does not matter.

    Raises:
        InputError: no name has an opposite.

    Example:
        >>> mirrored(["Fp1", "Fp2", "Cz", "T7", "T8"])
        (1, 0, 2, 4, 3)
    """

    def across(number: re.Match[str]) -> str:
        value = int(number.group())
        return str(value + 1 if value % 2 else value - 1)

    place = {name.strip().lower(): k for k, name in enumerate(names)}
    order = tuple(
        place.get(re.sub(r"\d+", across, name.strip().lower()), k) for k, name in enumerate(names)
    )
    if order == tuple(range(len(names))):
        raise InputError("channels", tuple(names), "no two stand opposite: give positions instead")
    return order
