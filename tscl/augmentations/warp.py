"""Warps: of time (index form) and of magnitude (factor form), by smooth random curves.

Um et al. 2017, arXiv 1706.00527, section 3 (time and magnitude warping); Le Guennec et al. 2016
(window warping). One warp per sample, the same for all its channels, unless ``per_channel``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.augmentations.base import (
    AUGMENTATIONS,
    Augmentation,
    Draws,
    check_count,
    check_fraction,
    check_sigma,
    wide,
)
from tscl.augmentations.spline import smooth_curves
from tscl.errors import InputError
from tscl.seeding import rand, randn


class SmoothWarp(Augmentation):
    """A warp by natural cubic splines through random knots.

    Args:
        sigma: strength, >= 0.
        p: probability per sample.
        n_knots: knots inside the series, >= 1 (one more at each end).
        per_channel: draw a curve per channel.
    """

    def __init__(
        self, sigma: float = 0.2, p: float = 1.0, n_knots: int = 4, per_channel: bool = False
    ) -> None:
        super().__init__(p)
        self.sigma = check_sigma("sigma", sigma)
        self.n_knots = check_count("n_knots", n_knots)
        self.per_channel = per_channel

    def knots(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Standard normal knots (B, n_knots + 2, C or 1)."""
        shape = (x.shape[0], self.n_knots + 2, x.shape[2] if self.per_channel else 1)
        return randn(shape, generator, wide(x))


@AUGMENTATIONS.register("magnitude_warp")
class MagnitudeWarp(SmoothWarp):
    """v = f * x with f a natural cubic spline through knots ~ N(1, sigma^2) (form ``factor``).

    ``sigma`` is the standard deviation of the knots; see :class:`SmoothWarp`.

    Example:
        >>> MagnitudeWarp(sigma=0.1)(torch.ones(2, 50, 3), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 50, 3])
    """

    form = "factor"

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """The factor's deviation from one, (B, T, C or 1)."""
        return {"curve": smooth_curves(self.sigma * self.knots(x, generator), x.shape[1])}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Multiply by one plus the curve."""
        return x * (1 + draws["curve"]).to(x.dtype)


@AUGMENTATIONS.register("time_warp")
class TimeWarp(SmoothWarp):
    """v_t = x at tau(t), tau smooth, increasing, onto the whole series (form ``index``).

    The speed of tau is exp(sigma * s) with s a natural cubic spline through standard normal
    knots, so tau always increases and no step is visited backwards; tau(0) = 0 and
    tau(T - 1) = T - 1. Values between steps are interpolated linearly.

    ``sigma`` is the standard deviation of the log speed at the knots; see :class:`SmoothWarp`.

    Example:
        >>> TimeWarp(sigma=0.2)(torch.ones(2, 50, 3), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 50, 3])
    """

    form = "index"

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """The positions tau, (B, T, C or 1), in steps."""
        log_speed = self.sigma * smooth_curves(self.knots(x, generator), x.shape[1])
        speed = log_speed.exp()
        travelled = (speed[:, 1:] + speed[:, :-1]).cumsum(dim=1) / 2
        start = torch.zeros_like(speed[:, :1])
        position = torch.cat((start, travelled), dim=1)
        last = x.shape[1] - 1
        if last > 0:
            # Tensor over tensor: a number over a tensor is a product with the rounded inverse.
            whole = position[:, -1:]
            position = (position * (torch.full_like(whole, last) / whole)).clamp(0, last)
        return {"position": position}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Interpolate at the positions."""
        return resample(x, draws["position"])


@AUGMENTATIONS.register("window_warp")
class WindowWarp(Augmentation):
    """A window of the series is slowed down or sped up, the whole brought back to T steps.

    v_t = x at tau(t), tau piecewise linear (form ``index``).

    Args:
        ratio: length of the window over the series' length, in [0, 1]; 0 changes nothing.
        p: probability per sample.
        scales: the window's new length over its old one; one is drawn per sample.

    Example:
        >>> WindowWarp()(torch.ones(2, 50, 3), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 50, 3])
    """

    form = "index"

    def __init__(
        self, ratio: float = 0.1, p: float = 1.0, scales: tuple[float, ...] = (0.5, 2.0)
    ) -> None:
        super().__init__(p)
        self.ratio = check_fraction("ratio", ratio)
        if len(scales) == 0 or min(scales) <= 0:
            raise InputError("scales", scales, "pass at least one scale above 0")
        self.scales = tuple(float(s) for s in scales)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """The positions tau, (B, T, 1), in steps."""
        like, shape = wide(x), (x.shape[0], 1, 1)
        span = float(x.shape[1] - 1)
        width = self.ratio * span
        start = (span - width) * rand(shape, generator, like)
        pick = (rand(shape, generator, like) * len(self.scales)).long()
        scales = torch.tensor(self.scales, dtype=like.dtype, device=x.device)
        scale = scales[pick.clamp_max(len(self.scales) - 1)]
        total = span - width + scale * width
        steps = torch.arange(x.shape[1], dtype=like.dtype, device=x.device)[None, :, None]
        warped = steps * (total / torch.full_like(total, max(span, 1.0)))
        inside = start + (warped - start) / scale
        after = warped - scale * width + width
        position = torch.where(warped < start, warped, after)
        in_window = (warped >= start) & (warped < start + scale * width)
        return {"position": torch.where(in_window, inside, position).clamp(0, span)}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Interpolate at the positions."""
        return resample(x, draws["position"])


def resample(x: Tensor, position: Tensor) -> Tensor:
    """``x`` (B, T, C) at fractional ``position`` (B, L, C or 1), interpolated linearly: (B, L, C).

    A position on a step gives that step's value exactly; between a NaN step and another the
    result is NaN.
    """
    n, _, channels = x.shape
    low = position.floor().clamp(0, x.shape[1] - 1)
    weight = (position - low).to(x.dtype).expand(-1, -1, channels)
    index = low.long().expand(n, -1, channels)
    left = x.gather(1, index)
    right = x.gather(1, (index + 1).clamp_max(x.shape[1] - 1))
    return torch.where(weight == 0, left, left + weight * (right - left))
