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
from tscl.augmentations.frequency import FrequencyMask
from tscl.augmentations.mask import Cutout
from tscl.augmentations.noise import Jitter, Scaling, Shift
from tscl.augmentations.order import Permutation
from tscl.augmentations.warp import MagnitudeWarp, TimeWarp, WindowWarp

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "AugmentationSpec",
    "Compose",
    "Cutout",
    "FrequencyMask",
    "Jitter",
    "KeepChannels",
    "MagnitudeWarp",
    "Permutation",
    "RandomChoice",
    "ScaleShiftJitter",
    "Scaling",
    "Shift",
    "Subsequence",
    "TimeWarp",
    "WindowSlice",
    "WindowWarp",
    "build_augmentation",
]
