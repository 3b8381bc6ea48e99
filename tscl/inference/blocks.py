"""How many series go through an encoder at a time, so that a series' embedding is its own.

The library under a matrix product picks its kernel, and with it the order of the sums, by the
sizes of the matrices. So the same series encoded alone and among others differs in the last digits,
and a standardised embedding in many more when it hardly varies. Blocks of one size, the last one
filled up, keep the sizes the same however many series are encoded together.
"""

from __future__ import annotations

import torch
from torch import Tensor

# on an accelerator small blocks leave most of it idle
_ACCELERATED = 32


def block_rows(length: int, device: torch.device, most: int) -> int:
    """Series of ``length`` steps a block: a matter of length and device, never of their number.

    A block of 2,048 to 8,192 steps is within a third of the fastest size for most encoders; longer
    series fill a block alone and are never filled up. All sizes are powers of two, so that no
    series lands in the remainder of a kernel's tile.

    Args:
        length: steps of a series.
        device: where the encoder lives; blocks on an accelerator are 32 times as large.
        most: series that fit in memory at a time.
    """
    rows = 16 if length <= 128 else 8 if length <= 1024 else 1
    if device.type != "cpu":
        rows *= _ACCELERATED
    return min(rows, 1 << max(0, most.bit_length() - 1))


def filled(x: Tensor, rows: int) -> Tensor:
    """``x`` (n, ...) with its last row repeated up to ``rows``; ``x`` itself when it is full."""
    missing = rows - x.shape[0]
    if missing <= 0:
        return x
    return torch.cat([x, x[-1:].expand(missing, *x.shape[1:])])
