"""Windows of the series: slice (stretched back, index form) and subsequence (factor form)."""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.augmentations.base import (
    AUGMENTATIONS,
    Augmentation,
    Draws,
    check_fraction,
    wide,
)
from tscl.augmentations.mask import blocks, draw_start
from tscl.augmentations.warp import resample
from tscl.errors import InputError
from tscl.seeding import rand


@AUGMENTATIONS.register("window_slice")
class WindowSlice(Augmentation):
    """A random window of ``ratio`` of the series, stretched back to T steps (form ``index``).

    Le Guennec et al. 2016. Values between steps are interpolated linearly.

    Args:
        ratio: length of the window over the series' length, in (0, 1]; 1 changes nothing.
        p: probability per sample.

    Example:
        >>> WindowSlice(ratio=0.8)(torch.ones(2, 50, 3), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 50, 3])
    """

    form = "index"

    def __init__(self, ratio: float = 0.9, p: float = 1.0) -> None:
        super().__init__(p)
        self.ratio = _check_window(ratio)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """The positions, (B, T, 1), in steps."""
        like, span = wide(x), x.shape[1] - 1
        start = span * (1 - self.ratio) * rand((x.shape[0], 1, 1), generator, like)
        steps = torch.arange(x.shape[1], dtype=like.dtype, device=x.device)[None, :, None]
        return {"position": (start + self.ratio * steps).clamp(0, span)}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Interpolate at the positions."""
        return resample(x, draws["position"])


@AUGMENTATIONS.register("subsequence")
class Subsequence(Augmentation):
    """A random window of ``ratio`` of the series, left where it is, zero around it.

    v = f * x with f = 1 in the window (form ``factor``); NaN stays NaN. With ``crop=True`` only
    the window is returned, of shape (B, max(1, round(ratio * T)), C).

    Args:
        ratio: length of the window over the series' length, in (0, 1]; 1 changes nothing.
        p: probability per sample; must be 1 with ``crop``.
        crop: return the window alone.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> Subsequence(ratio=0.5, crop=True)(torch.ones(2, 50, 3), generator).shape
        torch.Size([2, 25, 3])
    """

    form = "factor"

    def __init__(self, ratio: float = 0.5, p: float = 1.0, crop: bool = False) -> None:
        super().__init__(p)
        self.ratio = _check_window(ratio)
        if crop and p != 1.0:
            raise InputError("p", p, "a cropped batch has one length, so p must be 1 with crop")
        self.crop = crop

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """First and one-past-last step of the window, (B, 1, 1) integers."""
        width = max(1, round(self.ratio * x.shape[1]))
        start = draw_start(x.shape[1] - width, (x.shape[0], 1, 1), generator, x)
        return {"start": start, "stop": start + width}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Zero the steps around the window, or cut it out."""
        if self.crop:
            width = max(1, round(self.ratio * x.shape[1]))
            return take_windows(x, draws["start"].flatten(), width)
        return x * blocks(x.shape[1], draws["start"], draws["stop"])


def take_windows(x: Tensor, start: Tensor, width: int) -> Tensor:
    """One window of each sample, (B, width, C).

    Args:
        x: (B, T, C) series.
        start: (B,) first step of each sample's window.
        width: steps of a window.

    Raises:
        InputError: a window leaves the series.
    """
    if bool((start < 0).any()) or bool((start + width > x.shape[1]).any()):
        raise InputError("start", start.tolist(), f"windows of {width} must lie in {x.shape[1]}")
    steps = start.unsqueeze(1) + torch.arange(width, device=x.device)
    return x.gather(1, steps.unsqueeze(-1).expand(-1, -1, x.shape[2]))


def _check_window(ratio: float) -> float:
    check_fraction("ratio", ratio)
    if ratio == 0:
        raise InputError("ratio", ratio, "choose a value in (0, 1]")
    return float(ratio)
