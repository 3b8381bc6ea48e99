"""Instance normalisation of a window that is undone on its forecast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from tscl.errors import check_choice

InstanceNorm = Literal["none", "standard", "last"]


@dataclass(frozen=True)
class WindowScale:
    """Centre and scale of every channel of every window, (B, 1, C) each."""

    center: Tensor
    scale: Tensor

    def apply(self, x: Tensor) -> Tensor:
        """Bring (B, T, C) to the window's own scale."""
        return (x - self.center) / self.scale

    def undo(self, forecast: Tensor, channels: list[int]) -> Tensor:
        """Bring a forecast (B, H, len(channels)) back."""
        return forecast * self.scale[..., channels] + self.center[..., channels]


def window_scale(x: Tensor, kind: InstanceNorm) -> WindowScale | None:
    """The scale of the windows ``x`` (B, T, C); None for ``none``.

    ``standard`` is RevIN without its affine part (Kim et al. 2022, "Reversible instance
    normalization for accurate time-series forecasting against distribution shift", eq. 2):
    mean and deviation over the window, no gradient through them. ``last`` subtracts the last
    value (NLinear, arXiv 2205.13504, section 4.1). NaN steps are left out.

    Raises:
        InputError: unknown kind.
    """
    check_choice("instance_norm", kind, get_args(InstanceNorm))
    if kind == "none":
        return None
    with torch.no_grad():
        if kind == "last":
            center = torch.nan_to_num(x[:, -1:])
            return WindowScale(center, torch.ones_like(center))
        center = torch.nan_to_num(x.nanmean(dim=1, keepdim=True))
        variance = torch.nan_to_num((x - center).square().nanmean(dim=1, keepdim=True))
        return WindowScale(center, (variance + 1e-5).sqrt())
