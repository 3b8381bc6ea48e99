"""Two views of a series (B, T, D): checks and pooling that the hierarchical losses share."""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import check_size


def check_series_views(z1: Tensor, z2: Tensor) -> tuple[Tensor, Tensor]:
    """Two (B, T, D) views of one shape, finite; half precision is raised to float32."""
    if z1.shape != z2.shape or z1.ndim != 3 or min(z1.shape) < 1:
        raise InputError(
            "z1, z2", (tuple(z1.shape), tuple(z2.shape)), "both must have one shape (B, T, D)"
        )
    if not (torch.is_floating_point(z1) and z1.dtype == z2.dtype):
        raise InputError("z1, z2", (z1.dtype, z2.dtype), "pass floating point of one type")
    if z1.dtype in (torch.float16, torch.bfloat16):
        z1, z2 = z1.float(), z2.float()
    for name, z in (("z1", z1), ("z2", z2)):
        check_size(z, name, 2)
    return z1, z2


def pool_by_two(z: Tensor) -> Tensor:
    """Maximum over pairs of successive steps, (B, T, D) to (B, T // 2, D); a last odd one goes."""
    even = z.shape[1] // 2 * 2
    return torch.maximum(z[:, 0:even:2], z[:, 1:even:2])
