"""Channels of one modality: the view a loss between pairs of modalities compares."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tscl.augmentations.base import AUGMENTATIONS, Augmentation, Draws
from tscl.errors import InputError


@AUGMENTATIONS.register("keep_channels")
class KeepChannels(Augmentation):
    """v = f * x with f = 1 on the listed channels and 0 on all others (form ``factor``).

    One encoder then sees two lead groups, or any two modalities that share a time axis, as two
    views (0 is the mean of standardised data). Missing values stay missing.

    Args:
        channels: positions that are kept, from 0; None keeps all.
        p: probability per sample.

    Raises:
        InputError: no channel, a repeated one, or (when called) one the series does not have.

    Example:
        >>> KeepChannels([1])(torch.ones(1, 2, 3))[0].tolist()
        [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    """

    form = "factor"

    def __init__(self, channels: Sequence[int] | None = None, p: float = 1.0) -> None:
        super().__init__(p)
        self.channels = None if channels is None else tuple(int(c) for c in channels)
        if self.channels is not None and (
            not self.channels
            or min(self.channels) < 0
            or len(set(self.channels)) < len(self.channels)
        ):
            raise InputError("channels", self.channels, "name each channel to keep once, from 0")

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """Nothing random."""
        return {}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Zero the other channels."""
        if self.channels is None:
            return x * 1.0
        if max(self.channels) >= x.shape[2]:
            raise InputError("channels", self.channels, f"the series has {x.shape[2]} channels")
        kept = torch.zeros(x.shape[2], dtype=x.dtype, device=x.device)
        kept[list(self.channels)] = 1.0
        return x * kept
