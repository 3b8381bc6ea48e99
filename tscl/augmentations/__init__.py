"""Fixed and learned augmentations: batched torch, randomness from a generator.

See ``base`` for the contract and how to add one.
"""

from tscl.augmentations.base import (
    AUGMENTATIONS,
    Augmentation,
    AugmentationSpec,
    build_augmentation,
)
from tscl.augmentations.channels import KeepChannels
from tscl.augmentations.compose import Compose, RandomChoice, ScaleShiftJitter
from tscl.augmentations.crop import Subsequence, WindowSlice
from tscl.augmentations.electrodes import ChannelDropout, Polarity, SwapSides, mirrored
from tscl.augmentations.frequency import FrequencyMask
from tscl.augmentations.interference import BaselineWander, MainsHum, MuscleNoise
from tscl.augmentations.mask import Cutout
from tscl.augmentations.noise import Jitter, Scaling, Shift
from tscl.augmentations.order import Permutation
from tscl.augmentations.policies import ECGPolicy, EEGPolicy
from tscl.augmentations.spectrum import BandStop, FourierSurrogate
from tscl.augmentations.speed import Speed
from tscl.augmentations.time_out import TimeOut
from tscl.augmentations.warp import MagnitudeWarp, TimeWarp, WindowWarp

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "AugmentationSpec",
    "BandStop",
    "BaselineWander",
    "ChannelDropout",
    "Compose",
    "Cutout",
    "ECGPolicy",
    "EEGPolicy",
    "FourierSurrogate",
    "FrequencyMask",
    "Jitter",
    "KeepChannels",
    "MagnitudeWarp",
    "MainsHum",
    "MuscleNoise",
    "Permutation",
    "Polarity",
    "RandomChoice",
    "ScaleShiftJitter",
    "Scaling",
    "Shift",
    "Speed",
    "Subsequence",
    "SwapSides",
    "TimeOut",
    "TimeWarp",
    "WindowSlice",
    "WindowWarp",
    "build_augmentation",
    "mirrored",
]
