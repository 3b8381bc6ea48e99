"""Boolean masks over time steps or latent channels: batched, on the device, from a generator.

True keeps a step, False hides it. Modes follow TS2Vec (arXiv 2106.10466, section 3.2), AutoTCL
(arXiv 2402.10434) and COMET (arXiv 2310.14017).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from tscl.errors import ConfigError, InputError, check_choice

MaskMode = Literal["binomial", "continuous", "last", "all_true", "all_false", "channel"]
MASK_MODES: tuple[str, ...] = get_args(MaskMode)


def draw_mask(
    mode: str,
    batch: int,
    length: int,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
    keep: float = 0.5,
    n_blocks: int = 5,
    block_ratio: float = 0.1,
    channels: int | None = None,
) -> Tensor:
    """Draw a mask of shape (batch, length), or (batch, length, channels) for ``channel``.

    Args:
        mode: ``binomial`` keeps each step with probability ``keep``; ``continuous`` hides
            ``n_blocks`` blocks of ``block_ratio * length`` steps at uniform places;
            ``last`` hides only the last step; ``all_true`` / ``all_false`` keep or hide
            everything; ``channel`` keeps each latent channel of a sample with probability
            ``keep``, for all its steps.
        batch: number of samples.
        length: number of time steps.
        generator: source of randomness; None uses torch's default generator.
        device: where the mask is returned.
        keep: probability of keeping a step or a channel, in [0, 1].
        n_blocks: number of hidden blocks (``continuous``).
        block_ratio: length of a hidden block over ``length`` (``continuous``), in [0, 1].
        channels: number of latent channels (``channel``).

    Raises:
        ConfigError: unknown mode. InputError: a number out of range.
    """
    check_choice("mask mode", mode, MASK_MODES, error=ConfigError)
    if batch < 1 or length < 1:
        raise InputError("mask shape", (batch, length), "both must be at least 1")
    if not 0.0 <= keep <= 1.0:
        raise InputError("keep", keep, "choose a probability in [0, 1]")
    where = device if generator is None else generator.device
    if mode == "all_true":
        return torch.ones(batch, length, dtype=torch.bool, device=device)
    if mode == "all_false":
        return torch.zeros(batch, length, dtype=torch.bool, device=device)
    if mode == "last":
        mask = torch.ones(batch, length, dtype=torch.bool, device=device)
        mask[:, -1] = False
        return mask
    if mode == "binomial":
        draws = torch.rand(batch, length, generator=generator, device=where)
        return (draws < keep).to(device)
    if mode == "channel":
        if channels is None or channels < 1:
            raise InputError("channels", channels, "give the number of latent channels")
        draws = torch.rand(batch, 1, channels, generator=generator, device=where)
        return (draws < keep).expand(batch, length, channels).to(device)
    if n_blocks < 0 or not 0.0 <= block_ratio <= 1.0:
        raise InputError(
            "n_blocks, block_ratio", (n_blocks, block_ratio), "need n >= 0 and ratio in [0, 1]"
        )
    width = min(length, max(1, int(block_ratio * length)))
    starts = torch.randint(
        0, length - width + 1, (batch, n_blocks), generator=generator, device=where
    ).to(device)
    steps = torch.arange(length, device=device)
    offset = steps - starts.unsqueeze(-1)
    hidden = ((offset >= 0) & (offset < width)).any(dim=1)
    return ~hidden
