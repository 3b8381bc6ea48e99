"""Augmentations of one kind of signal in a row, by name: ``ecg`` and ``eeg``."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from tscl.augmentations.base import AUGMENTATIONS, check_rate, check_sigma
from tscl.augmentations.compose import Compose
from tscl.augmentations.electrodes import ChannelDropout, Polarity, SwapSides
from tscl.augmentations.interference import BaselineWander, MainsHum, MuscleNoise
from tscl.augmentations.noise import Scaling
from tscl.augmentations.spectrum import BandStop, FourierSurrogate
from tscl.augmentations.speed import Speed
from tscl.augmentations.time_out import TimeOut

MAINS = 50.0


def _part(strength: float, value: float, most: float = 1.0) -> float:
    """``value`` times ``strength``, at most ``most``."""
    return min(most, value * strength)


class _Policy(Compose):
    """What the policies share: their arguments and the parts every recorder adds."""

    def __init__(self, parts: Sequence[nn.Module], rate: float, strength: float, p: float) -> None:
        super().__init__(parts, p)
        self.rate, self.strength = rate, strength


def _interference(rate: float, strength: float, relative: bool) -> list[nn.Module]:
    """Muscle noise and mains hum as far as the rate lets them through."""
    parts: list[nn.Module] = []
    if rate > 2 * 20.0:
        parts.append(MuscleNoise(rate, 0.3 * strength, relative=relative, p=0.5))
    if rate > 2 * MAINS:
        parts.append(MainsHum(rate, 0.2 * strength, relative=relative, p=0.3))
    return parts


@AUGMENTATIONS.register("ecg")
class ECGPolicy(_Policy):
    """For ECG: size, baseline wander, muscle noise, mains hum, polarity, time-out, lost leads.

    Args:
        rate: sampling rate in Hz; interference that it does not let through is left out.
        strength: times the strength (or the share of samples) of every part, >= 0; 0 changes
            nothing.
        polarity: share of samples that are turned over. Single leads are often put on the wrong
            way round; 0 where the sign of a lead carries the diagnosis.
        speed: largest change of the heart rate, a factor >= 1; 1 leaves it out.
        relative: see :class:`Interference`.
        p: probability per sample that any is applied.

    Example:
        >>> import torch
        >>> policy = ECGPolicy(rate=100.0)
        >>> policy(torch.randn(4, 1000, 1), torch.Generator().manual_seed(0)).shape
        torch.Size([4, 1000, 1])
    """

    def __init__(
        self,
        rate: float = 100.0,
        strength: float = 1.0,
        polarity: float = 0.5,
        speed: float = 1.0,
        relative: bool = True,
        p: float = 1.0,
    ) -> None:
        rate, strength = check_rate(rate), check_sigma("strength", strength)
        parts: list[nn.Module] = [Speed(speed)] if speed != 1 and strength else []
        parts += [
            Scaling(0.2 * strength, per_channel=False),
            BaselineWander(rate, 0.3 * strength, relative=relative, p=0.5),
            *_interference(rate, strength, relative),
            Polarity(_part(strength, polarity)),
            ChannelDropout(_part(strength, 0.1)),
            TimeOut(_part(strength, 0.4), p=0.5),
        ]
        super().__init__(parts, rate, strength, p)


@AUGMENTATIONS.register("eeg")
class EEGPolicy(_Policy):
    """For EEG: size, stopped band, phases, muscle noise, hum, swapped sides, lost channels.

    Args:
        rate: sampling rate in Hz; interference that it does not let through is left out.
        strength: times the strength (or the share of samples) of every part, >= 0; 0 changes
            nothing.
        channels: see :class:`SwapSides`; None leaves the swap out.
        relative: see :class:`Interference`.
        p: probability per sample that any is applied.

    Example:
        >>> import torch
        >>> x = torch.randn(2, 200, 3, generator=torch.Generator().manual_seed(0))
        >>> EEGPolicy(rate=100.0)(x, torch.Generator().manual_seed(0)).shape
        torch.Size([2, 200, 3])
    """

    def __init__(
        self,
        rate: float = 100.0,
        strength: float = 1.0,
        channels: Sequence[str] | Sequence[int] | None = None,
        relative: bool = True,
        p: float = 1.0,
    ) -> None:
        rate, strength = check_rate(rate), check_sigma("strength", strength)
        parts: list[nn.Module] = [
            Scaling(0.2 * strength, per_channel=False),
            FourierSurrogate(_part(strength, 0.3), p=0.3),
            BandStop(rate, 5.0 * strength, p=0.3),
            *_interference(rate, strength, relative),
        ]
        if channels is not None:
            parts.append(SwapSides(channels, _part(strength, 0.5)))
        parts += [ChannelDropout(_part(strength, 0.2)), TimeOut(_part(strength, 0.3), p=0.5)]
        super().__init__(parts, rate, strength, p)
