"""Samples of all processes, with gradients, for losses that contrast across the whole batch.

Every process computes the same loss of the same gathered rows, so the gradient of a process's own
rows is known without another exchange. It is multiplied by the number of processes: wrappers that
average gradients over processes (DDP, Lightning Fabric) then arrive at the gradient of one process
holding all rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed

from tscl.errors import InputError


def processes() -> int:
    """Number of processes of the default group; 1 when none is initialised."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 1
    return distributed.get_world_size()


def gather_rows(x: Tensor, dim: int = 0) -> Tensor:
    """Rows of all processes along ``dim``, in the order of the ranks; batches may differ in size.

    Args:
        x: this process's tensor; all other dimensions equal those of the other processes.
        dim: dimension of the samples.
    """
    if processes() == 1:
        return x
    rows = x.movedim(dim, 0).contiguous()
    gathered: Tensor = _Gather.apply(rows)
    return gathered.movedim(0, dim)


class _Gather(torch.autograd.Function):
    """Padded all-gather; its backward keeps this process's rows, times the number of processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        world, rank = processes(), distributed.get_rank()
        own = torch.tensor([len(rows)], dtype=torch.int64, device=rows.device)
        counts = [torch.zeros_like(own) for _ in range(world)]
        distributed.all_gather(counts, own)
        sizes = [int(c) for c in counts]
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(world)]
        distributed.all_gather(parts, padded)
        ctx.own = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        ctx.world = world
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            remedy = "second derivatives stop at the process: use gather=False"
            raise InputError("create_graph", True, remedy)
        own_rows: Tensor = gradient[ctx.own] * ctx.world
        return own_rows
