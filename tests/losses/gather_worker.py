"""What each process of the gathering test runs; in a module of its own, so that spawn finds it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import distributed

from tscl.losses import LOSSES, ContrastiveLoss
from tscl.seeding import torch_generator

LOSSES_TO_GATHER = {
    "infonce": {"tile": 2, "gather": True},
    "ntxent": {"gather": True},
    "mv_dhel": {"gather": True},
    "barlow_twins": {"gather": True},
    "individual_temperature": {"gather": True},
    "supcon": {},
    "moco": {"queue_size": 6},
    "simsiam": {"dims": 4},
}
SPLIT = (5, 3)


def build(name: str) -> ContrastiveLoss:
    loss = LOSSES.build(name, **LOSSES_TO_GATHER[name])
    assert isinstance(loss, ContrastiveLoss)
    loss.gather = True
    return loss.double()  # type: ignore[no-any-return]


def views_of(rank: int | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Views (2, B, 4), sample indices and weights of one rank, or of all."""
    z = torch.randn(2, sum(SPLIT), 4, generator=torch_generator(11), dtype=torch.float64)
    ids = torch.arange(sum(SPLIT))
    weights = 0.5 + torch.rand(sum(SPLIT), generator=torch_generator(12), dtype=torch.float64)
    if rank is None:
        return z, ids, weights
    part = slice(0, SPLIT[0]) if rank == 0 else slice(SPLIT[0], None)
    return z[:, part], ids[part], weights[part]


def worker(rank: int, world: int, folder: str) -> None:
    """Loss and gradient of a shared weight, of each loss, saved for the parent."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world
    )
    out: dict[str, tuple[float, torch.Tensor | None]] = {}
    for name in LOSSES_TO_GATHER:
        weight = torch.eye(4, dtype=torch.float64).requires_grad_()
        z, ids, weights = views_of(rank)
        loss = build(name)(z @ weight, None, labels=ids % 2, ids=ids, weights=weights)
        loss.backward()
        out[name] = (loss.item(), weight.grad)
    torch.save(out, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()
