"""What recordings of the body pick up: baseline wander, mains hum, muscle noise (additive form).

Strengths are fractions of each channel's standard deviation in the sample or, with
``relative=False``, amounts in the units of the data, such as millivolts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tscl.augmentations.base import (
    AUGMENTATIONS,
    Augmentation,
    Draws,
    check_count,
    check_rate,
    check_sigma,
    wide,
)
from tscl.errors import InputError
from tscl.seeding import rand, randn


class Interference(Augmentation):
    """v = x + s a e: a curve e of about unit size, a strength a per sample, the channel's size s.

    Args:
        amplitude: largest strength, >= 0; one is drawn uniformly per sample.
        rate: sampling rate in Hz.
        relative: strengths are fractions of each channel's standard deviation over the values
            present; False takes them in data units.
        p: probability per sample.
    """

    form = "additive"

    def __init__(self, amplitude: float, rate: float, relative: bool, p: float) -> None:
        super().__init__(p)
        self.amplitude = check_sigma("amplitude", amplitude)
        self.rate = check_rate(rate)
        self.relative = relative

    def strength(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Uniform in [0, amplitude], (B, 1, 1)."""
        return self.amplitude * rand((x.shape[0], 1, 1), generator, wide(x))

    def transform(self, x: Tensor, draws: Draws) -> Tensor:
        """Add the curve, times the channels' standard deviations when ``relative``."""
        curve = draws["strength"] * draws["curve"]
        if self.relative:
            curve = curve * standard_deviation(x)
        return x + curve.to(x.dtype)


@AUGMENTATIONS.register("baseline_wander")
class BaselineWander(Interference):
    """Slow waves of random frequencies, as breathing and moving electrodes cause.

    The waves have the same frequencies in all channels, each with its own size and phase.

    Args:
        rate: sampling rate in Hz.
        amplitude: largest standard deviation of the wander, >= 0.
        low: lowest frequency in Hz, > 0.
        high: highest frequency in Hz.
        n_waves: waves that are added up, >= 1.
        relative: see :class:`Interference`.
        p: probability per sample.

    Example:
        >>> x = torch.zeros(1, 500, 2)
        >>> v = BaselineWander(rate=100.0, relative=False)(x, torch.Generator().manual_seed(0))
        >>> v.shape, bool(v.abs().max() > 0)
        (torch.Size([1, 500, 2]), True)
    """

    def __init__(
        self,
        rate: float,
        amplitude: float = 0.5,
        low: float = 0.05,
        high: float = 0.5,
        n_waves: int = 3,
        relative: bool = True,
        p: float = 1.0,
    ) -> None:
        super().__init__(amplitude, rate, relative, p)
        if not 0 < low <= high < rate / 2:
            raise InputError("low, high", (low, high), f"need 0 < low <= high < {rate / 2:g} Hz")
        self.low, self.high = float(low), float(high)
        self.n_waves = check_count("n_waves", n_waves)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """``strength`` (B, 1, 1) and ``curve`` (B, T, C)."""
        like = wide(x)
        shape = (x.shape[0], 1, self.n_waves)
        frequency = self.low + (self.high - self.low) * rand(shape, generator, like)
        sizes = randn((x.shape[0], 2 * self.n_waves, x.shape[2]), generator, like)
        curve = waves(frequency, sizes / math.sqrt(self.n_waves), x.shape[1], self.rate)
        return {"strength": self.strength(x, generator), "curve": curve}


@AUGMENTATIONS.register("mains_hum")
class MainsHum(Interference):
    """A sine of the mains frequency, with its own size and phase in each channel.

    Args:
        rate: sampling rate in Hz, more than twice the lowest of ``frequencies``.
        amplitude: largest standard deviation of the hum, >= 0.
        frequencies: in Hz; one is drawn per sample among those below half the rate. Higher ones
            do not pass the filter of a recorder or resampler.
        relative: see :class:`Interference`.
        p: probability per sample.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> hum = MainsHum(rate=500.0, frequencies=(50.0,), relative=False)
        >>> v = hum(torch.zeros(1, 500, 1), generator)
        >>> int(torch.fft.rfft(v[0, :, 0]).abs().argmax())  # Hz, in a second
        50
    """

    def __init__(
        self,
        rate: float,
        amplitude: float = 0.3,
        frequencies: Sequence[float] = (50.0, 60.0),
        relative: bool = True,
        p: float = 1.0,
    ) -> None:
        super().__init__(amplitude, rate, relative, p)
        self.frequencies = tuple(float(f) for f in frequencies if 0 < f < rate / 2)
        if not self.frequencies:
            remedy = f"none is below half the rate, {rate / 2:g} Hz: leave the hum out"
            raise InputError("frequencies", tuple(frequencies), remedy)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """``strength`` (B, 1, 1) and ``curve`` (B, T, C)."""
        like = wide(x)
        known = torch.tensor(self.frequencies, dtype=like.dtype, device=x.device)
        choice = (rand((x.shape[0], 1, 1), generator, like) * len(known)).long()
        frequency = known[choice.clamp_max(len(known) - 1)]
        sizes = randn((x.shape[0], 2, x.shape[2]), generator, like)
        curve = waves(frequency, sizes, x.shape[1], self.rate)
        return {"strength": self.strength(x, generator), "curve": curve}


@AUGMENTATIONS.register("muscle_noise")
class MuscleNoise(Interference):
    """Noise above ``low`` Hz that swells and fades once, as a tensed muscle makes.

    White noise of the frequencies from ``low`` to half the rate, times exp(-(t - c)^2 / 2 w^2)
    with c anywhere and w between ``shortest`` and the whole length. Each channel has its own.

    Args:
        rate: sampling rate in Hz.
        amplitude: largest standard deviation at the height of the burst, >= 0.
        low: lowest frequency in Hz, in [0, rate / 2).
        shortest: smallest width w of a burst over the length, in (0, 1].
        relative: see :class:`Interference`.
        p: probability per sample.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> MuscleNoise(rate=250.0, relative=False)(torch.zeros(2, 250, 3), generator).shape
        torch.Size([2, 250, 3])
    """

    def __init__(
        self,
        rate: float,
        amplitude: float = 0.3,
        low: float = 20.0,
        shortest: float = 0.1,
        relative: bool = True,
        p: float = 1.0,
    ) -> None:
        super().__init__(amplitude, rate, relative, p)
        if not 0 <= low < rate / 2:
            raise InputError("low", low, f"choose a frequency in [0, {rate / 2:g}) Hz")
        if not 0 < shortest <= 1:
            raise InputError("shortest", shortest, "choose a share in (0, 1]")
        self.low, self.shortest = float(low), float(shortest)

    def draw(self, x: Tensor, generator: torch.Generator | None) -> Draws:
        """``strength`` (B, 1, 1) and ``curve`` (B, T, C)."""
        like = wide(x)
        n, length, channels = x.shape
        parts = randn((n, 2, length // 2 + 1, channels), generator, like)
        high = torch.arange(length // 2 + 1, device=x.device) * self.rate / length >= self.low
        high = high & (torch.arange(len(high), device=x.device) > 0)
        # a bin below half the rate gives 2 / length^2 of variance for each of its two parts
        size = length / math.sqrt(4.0 * max(int(high.sum()), 1))
        spectrum = torch.complex(parts[:, 0], parts[:, 1]) * (size * high)[:, None]
        noise = torch.fft.irfft(spectrum, n=length, dim=1)
        steps = torch.linspace(0, 1, length, dtype=like.dtype, device=x.device)[:, None]
        centre = rand((n, 1, 1), generator, like)
        width = self.shortest + (1 - self.shortest) * rand((n, 1, 1), generator, like)
        burst = torch.exp(-0.5 * ((steps - centre) / width).square())
        return {"strength": self.strength(x, generator), "curve": noise * burst}


def waves(frequency: Tensor, sizes: Tensor, length: int, rate: float) -> Tensor:
    """Sums of sines and cosines, (B, length, C).

    Args:
        frequency: (B, 1, W) of the waves, Hz.
        sizes: (B, 2 W, C) amplitudes, first of the sines, then of the cosines; standard normal ones
            give each wave unit variance.
        length: steps T.
        rate: steps a second, Hz.
    """
    time = torch.arange(length, dtype=frequency.dtype, device=frequency.device)[:, None] / rate
    angle = 2 * math.pi * frequency * time
    return torch.cat((angle.sin(), angle.cos()), dim=2) @ sizes


def standard_deviation(x: Tensor) -> Tensor:
    """Of each sample and channel over the values present, (B, 1, C), at least single precision."""
    values = wide(x)
    present = ~values.isnan()
    count = present.sum(dim=1, keepdim=True).clamp_min(1)
    values = values.masked_fill(~present, 0.0)
    mean = values.sum(dim=1, keepdim=True) / count
    square = ((values - mean) * present).square().sum(dim=1, keepdim=True) / count
    return square.clamp_min(torch.finfo(values.dtype).tiny).sqrt()
