"""Keeping a group of channels."""

from __future__ import annotations

import pytest
import torch

from tscl.augmentations import Compose, KeepChannels
from tscl.errors import InputError
from tscl.seeding import torch_generator


def test_only_the_listed_channels_are_left() -> None:
    x = torch.randn(3, 5, 4, generator=torch_generator(0))
    x[0, 2, 1] = torch.nan
    out = KeepChannels([3, 0])(x)
    assert torch.equal(out[..., [0, 3]], x[..., [0, 3]])
    assert torch.isnan(out[0, 2, 1])
    assert not out[1:, :, 1:3].any()
    both = Compose([{"name": "jitter", "sigma": 0.1}, KeepChannels([1])])(x, torch_generator(1))
    assert not both[1:, :, [0, 2, 3]].any()


@pytest.mark.parametrize("channels", [[], [0, 0], [-1], [4]])
def test_bad_channels_are_named(channels: list[int]) -> None:
    with pytest.raises(InputError, match="channels"):
        KeepChannels(channels)(torch.zeros(1, 2, 4))
