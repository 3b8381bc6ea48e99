"""Frequency domain: masking of Fourier components (linear form: A is circulant)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tscl.augmentations.base import AUGMENTATIONS, Augmentation, Draws, check_fraction, wide
from tscl.augmentations.mask import draw_start
from tscl.errors import check_choice
from tscl.seeding import rand


@AUGMENTATIONS.register("frequency_mask")
class FrequencyMask(Augmentation):
    """Fourier components along time are removed (form ``linear``: v = x - F^-1 M F x).

    Missing values count as zero in the transform and are NaN again in the view.

    Args:
        ratio: share of the components removed, in [0, 1]; 0 changes nothing. With ``random``
            each component goes with this probability; with ``band`` one contiguous band of
            round(ratio * components) goes.
        p: probability per sample.
        mode: ``random`` or ``band``.
        per_channel: draw components per channel; False removes the same in all channels.
        keep_mean: never remove the component of frequency zero.

    Example:
        >>> x = torch.ones(1, 8, 1)
        >>> generator = torch.Generator().manual_seed(0)
        >>> FrequencyMask(ratio=1.0)(x, generator).flatten().tolist()  # the mean is kept
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """

    form = "linear"

    def __init__(
        self,
        ratio: float = 0.1,
        p: float = 1.0,
        mode: Literal["random", "band"] = "random",
        per_channel: bool = False,
        keep_mean: bool = True,
    ) -> None:
        super().__init__(p)
        self.ratio = check_fraction("ratio", ratio)
        check_choice("mode", mode, ("random", "band"))
        self.mode = mode
        self.per_channel = per_channel
        self.keep_mean = keep_mean

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """True where a component is removed, (B, T // 2 + 1, C or 1)."""
        n, length, channels = x.shape
        bins = length // 2 + 1
        shape = (n, bins, channels if self.per_channel else 1)
        if self.mode == "random":
            removed = rand(shape, generator, wide(x)) < self.ratio
        else:
            width = round(self.ratio * bins)
            start = draw_start(bins - width, (n, 1, shape[2]), generator, x)
            offset = torch.arange(bins, device=x.device)[None, :, None] - start
            removed = (offset >= 0) & (offset < width)
        if self.keep_mean:
            removed = removed & (torch.arange(bins, device=x.device) > 0)[None, :, None]
        return {"removed": removed}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Subtract the removed components."""
        return remove_components(x, draws["removed"])


def remove_components(x: Tensor, removed: Tensor) -> Tensor:
    """``x`` (B, T, C) without the Fourier components ``removed`` (B, T // 2 + 1, C or 1)."""
    spectrum = torch.fft.rfft(torch.nan_to_num(wide(x), nan=0.0), dim=1)
    part = torch.fft.irfft(spectrum * removed, n=x.shape[1], dim=1)
    result: Tensor = x - part.to(x.dtype)
    return result
