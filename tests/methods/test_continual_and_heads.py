"""Projection heads, replay memory, COCONUT, and AutoTCL's view quality."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tscl.encoders import ENCODERS
from tscl.errors import InputError
from tscl.methods import AutoTCLMethod, Coconut, SimCLR
from tscl.methods.base import Batch
from tscl.methods.coconut import ReplayMemory
from tscl.methods.heads import HeadStack, ReweightHead, build_head, mlp_head
from tscl.seeding import seeded, torch_generator


def small_encoder() -> nn.Module:
    with seeded(0):
        return ENCODERS.build("dilated", input_dims=2, output_dims=6, hidden_dims=6, depth=1)


def batch(n: int = 8, seed: int = 0) -> Batch:
    x = torch.randn(n, 12, 2, generator=torch_generator(seed))
    y = torch.arange(n) % 2
    return Batch(x, torch.arange(n), {"patient": torch.arange(n) // 2}, y)


def test_heads_of_every_depth() -> None:
    z = torch.randn(5, 6, generator=torch_generator(1))
    for depth, out in ((0, 6), (1, 3), (2, 3), (4, 3)):
        head = mlp_head(6, 3, depth=depth, width=7, batch_norm=True)
        assert head(z).shape == (5, out)
        assert len(head) == depth
        assert torch.equal(head.kept(z, 0), z)
        head.eval()
        torch.testing.assert_close(head.kept(z, depth), head(z))
    assert mlp_head(6, 3, depth=3, width=7).kept(z, 2).shape == (5, 7)
    with pytest.raises(InputError, match="layers"):
        mlp_head(6, 3).kept(z, 3)
    with pytest.raises(InputError, match="depth"):
        mlp_head(6, 3, depth=-1)
    with pytest.raises(InputError, match="head"):
        build_head("mpl", 6, 3)
    assert isinstance(build_head("none", 6, 3), HeadStack)


def test_reweight_head_is_the_fixed_diagonal() -> None:
    z = torch.ones(1, 4)
    assert ReweightHead(4, 2.0)(z).tolist() == [[1.0, 0.5, 0.25, 0.125]]
    assert torch.equal(ReweightHead(4, 1.0)(z), z)
    assert float(ReweightHead(4, 1e9)(z).min()) == pytest.approx(1e-6)
    assert not list(ReweightHead(4).parameters())
    with pytest.raises(InputError, match="kappa"):
        ReweightHead(4, 0.5)


@pytest.mark.parametrize(
    "head", [{"name": "mlp", "depth": 3, "width": 5}, {"name": "reweight", "kappa": 2.0}, None]
)
def test_simclr_takes_any_head(head: dict | None) -> None:
    method = SimCLR(small_encoder(), head=head, projection_dims=4)
    loss = method.losses(batch(), "encoder", torch_generator(0))["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    if head is not None and head["name"] == "reweight":
        assert isinstance(method.head, ReweightHead)


def test_memory_shares_its_room() -> None:
    memory = ReplayMemory(7)
    x = torch.arange(40.0).view(40, 1, 1)
    memory.add(x[:20], torch.zeros(20).long(), torch_generator(0))
    assert len(memory) == 7
    first = memory.x.flatten().tolist()
    memory.add(x[20:22], torch.ones(2).long())
    memory.add(x[30:], torch.full((10,), 2))
    counts = torch.bincount(memory.y).tolist()
    assert sorted(counts) == [2, 2, 3]
    kept = memory.x.flatten()[memory.y == 0].tolist()
    assert set(kept) <= set(first)
    other = ReplayMemory(7)
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.x, memory.x)
    drawn, codes = other.draw(30, torch_generator(3))
    assert drawn.shape == (30, 1, 1)
    assert set(codes.tolist()) == {0, 1, 2}
    with pytest.raises(InputError, match="capacity"):
        ReplayMemory(0)


def test_coconut_rehearses_after_the_first_task() -> None:
    method = Coconut(small_encoder(), capacity=6, replay=6, projection_dims=4)
    first = method.losses(batch(), "encoder", torch_generator(0))
    assert set(first) == {"loss", "supcon"}
    method.end_task(batch().x, batch().labels, torch_generator(1))
    with torch.no_grad():
        for p in method.encoder.parameters():
            p.add_(0.1)
    second = method.losses(batch(seed=4), "encoder", torch_generator(0))
    assert float(second["replay"].detach()) > 0
    second["loss"].backward()
    assert all(p.grad is None for p in method.teacher_encoder.parameters())
    trained = {id(p) for p in method.groups()["encoder"].parameters}
    assert not trained & {id(p) for p in method.teacher_encoder.parameters()}
    method.train()
    assert not method.teacher_encoder.training
    method.eval()
    second = method.losses(batch(seed=4), "encoder", torch_generator(0))
    twin = Coconut(small_encoder(), capacity=6, replay=6, projection_dims=4)
    twin.load_state_dict(method.state_dict())
    again = twin.eval().losses(batch(seed=4), "encoder", torch_generator(0))
    torch.testing.assert_close(again["loss"], second["loss"])
    by_patient = Coconut(small_encoder(), by="patient")
    assert torch.isfinite(by_patient.losses(batch(), "encoder", torch_generator(0))["loss"])
    with pytest.raises(InputError, match="patient"):
        Coconut(small_encoder(), by="ward").losses(batch(), "encoder", torch_generator(0))


def test_autotcl_weighs_views_by_quality() -> None:
    values = {}
    for gamma in (None, 0.0, 5.0):
        with seeded(1):
            method = AutoTCLMethod(
                small_encoder(), aug_dim=4, aug_hidden=4, aug_depth=1, view_quality=gamma
            )
        method.eval()
        values[gamma] = float(
            method.losses(batch(), "encoder", torch_generator(2))["global"].detach()
        )
    assert values[None] == pytest.approx(values[0.0], rel=1e-5)
    assert values[5.0] != pytest.approx(values[0.0], rel=1e-5)
    with pytest.raises(InputError, match="view_quality"):
        AutoTCLMethod(small_encoder(), view_quality=-1.0)
