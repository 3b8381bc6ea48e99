"""Changes of a signal's spectrum: a stopped band, and surrogates with other phases (linear form).

Missing values count as zero in the transform and are NaN again in the view.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tscl.augmentations.base import (
    AUGMENTATIONS,
    Augmentation,
    Draws,
    check_fraction,
    check_rate,
    check_sigma,
    wide,
)
from tscl.augmentations.frequency import remove_components
from tscl.errors import InputError
from tscl.seeding import rand


@AUGMENTATIONS.register("band_stop")
class BandStop(Augmentation):
    """A band of frequencies is removed, the same in all channels of a sample.

    The band's centre is uniform between ``low`` and ``high``, its width uniform up to ``width``.
    The mean always stays.

    Args:
        rate: sampling rate in Hz.
        width: largest width in Hz, >= 0; 0 removes nothing.
        low: lowest centre in Hz, >= 0.
        high: highest centre in Hz; None: half the rate.
        p: probability per sample.

    Example:
        >>> x = torch.sin(torch.arange(200.0)).view(1, 200, 1)
        >>> BandStop(rate=100.0, width=10.0, low=5.0)(x, torch.Generator().manual_seed(0)).shape
        torch.Size([1, 200, 1])
    """

    form = "linear"

    def __init__(
        self,
        rate: float,
        width: float = 5.0,
        low: float = 0.0,
        high: float | None = None,
        p: float = 1.0,
    ) -> None:
        super().__init__(p)
        self.rate, self.width = check_rate(rate), check_sigma("width", width)
        top = self.rate / 2 if high is None else float(high)
        if not 0 <= low <= top <= self.rate / 2:
            remedy = f"need 0 <= low <= high <= {self.rate / 2:g} Hz"
            raise InputError("low, high", (low, high), remedy)
        self.low, self.high = float(low), top

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """True where a component is removed, (B, T // 2 + 1, 1)."""
        like, shape = wide(x), (x.shape[0], 1, 1)
        centre = self.low + (self.high - self.low) * rand(shape, generator, like)
        half = self.width / 2 * rand(shape, generator, like)
        bins = torch.arange(x.shape[1] // 2 + 1, dtype=like.dtype, device=x.device)[:, None]
        inside = (bins * (self.rate / x.shape[1]) - centre).abs() < half
        return {"removed": inside & (bins > 0)}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Subtract the band."""
        return remove_components(x, draws["removed"])


@AUGMENTATIONS.register("fourier_surrogate")
class FourierSurrogate(Augmentation):
    """A random angle is added to the phase of every Fourier component; the spectrum stays.

    Schwabedal et al. 2018, arXiv 1806.08675. With the same angles in all channels the
    cross-spectra stay too.

    Args:
        strength: largest angle over pi, in [0, 1]; 0 changes nothing, 1 forgets the phases.
        p: probability per sample.
        per_channel: draw angles per channel.

    Example:
        >>> x = torch.sin(torch.arange(64.0)).view(1, 64, 1)
        >>> v = FourierSurrogate()(x, torch.Generator().manual_seed(0))
        >>> before, after = (torch.fft.rfft(s, dim=1).abs() for s in (x, v))
        >>> torch.allclose(before, after, atol=1e-4)
        True
    """

    form = "linear"

    def __init__(self, strength: float = 1.0, p: float = 1.0, per_channel: bool = False) -> None:
        super().__init__(p)
        self.strength = check_fraction("strength", strength)
        self.per_channel = per_channel

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """The angles, (B, T // 2 + 1, C or 1); 0 for the components that must stay real."""
        n, length, channels = x.shape
        shape = (n, length // 2 + 1, channels if self.per_channel else 1)
        angle = math.pi * self.strength * (2 * rand(shape, generator, wide(x)) - 1)
        angle[:, 0] = 0.0
        if length % 2 == 0:
            angle[:, -1] = 0.0
        return {"angle": angle}

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Add the difference that the turned phases make."""
        angle = draws["angle"]
        spectrum = torch.fft.rfft(torch.nan_to_num(wide(x), nan=0.0), dim=1)
        change = torch.complex(angle.cos() - 1, angle.sin())
        result: Tensor = x + torch.fft.irfft(spectrum * change, n=x.shape[1], dim=1).to(x.dtype)
        return result
