"""Second derivatives: right for every loss, also through ``backward(create_graph=True)``."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.losses.test_contract import NAMES, build, draw
from tscl.errors import InputError
from tscl.losses import (
    HierarchicalContrastiveLoss,
    InfoNCE,
    MannWhitney,
    MoCo,
    NTXent,
    ObservationLoss,
    SampleLoss,
)
from tscl.losses.base import plain_gradient
from tscl.seeding import torch_generator

CONSTANT_PARTS = {"individual_temperature", "mmd", "hsic", "byol", "simsiam"}
"""Their gradient takes weights, bandwidths or targets as constants by definition."""
SETTINGS: dict[str, dict[str, Any]] = {
    "cwcl": {"detach_similarity": False},
    "group_ordering": {"stop_gradient": False},
    "hard_negative_mixing": {"stop_gradient": False},
    "infonce": {"tile": 2},
    "ntxent": {"tile": 2},
}
SMALL = ("labels", torch.tensor([0, 1, 2, 0])), ("index", torch.arange(4))


def smooth(name: str) -> Any:
    loss = build(name, **SETTINGS.get(name, {})).double().eval()
    return lambda z: loss(z, **dict(SMALL))


def draw_small(seed: int) -> torch.Tensor:
    z = torch.randn(2, 4, 8, generator=torch_generator(seed), dtype=torch.float64)
    return z.requires_grad_()


@pytest.mark.parametrize("name", sorted(set(NAMES) - CONSTANT_PARTS))
def test_second_derivatives_are_those_of_the_first(name: str) -> None:
    z = draw_small(3)
    loss = smooth(name)
    if name == "moco":  # keys are constants
        keys = z.detach()[1]
        whole, loss = loss, lambda query: whole(torch.stack((query, keys)))
        z = z.detach()[0].requires_grad_()
    assert torch.autograd.gradgradcheck(loss, (z,), atol=1e-4, rtol=1e-3, fast_mode=True)


@pytest.mark.parametrize("name", ["infonce", "ntxent", "barlow_twins", "contrastive_gap"])
def test_a_gradient_penalty_by_backward_equals_the_whole_matrix(name: str) -> None:
    """backward(create_graph=True) with a plain scalar, where nothing warns of a missing term."""
    values = []
    for options in ({"tile": 2}, {"tile": None}) if name in ("infonce", "ntxent") else ({}, {}):
        z = draw_small(4)
        loss = build(name, **options)
        z.grad = None
        loss(z).backward(create_graph=True)
        penalty = z.grad.square().sum()  # type: ignore[attr-defined]
        values.append(torch.autograd.grad(penalty, z)[0])
    step, fixed = 1e-6, draw(4, seed=5, dtype=torch.float64)

    def penalty_at(x: torch.Tensor) -> torch.Tensor:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(build(name)(x), x)[0].square().sum()

    z = draw_small(4).detach()
    slope = (penalty_at(z + step * fixed) - penalty_at(z - step * fixed)) / (2 * step)
    for value in values:
        assert float((value * fixed).sum()) == pytest.approx(float(slope), rel=1e-4)


@pytest.mark.parametrize(
    "loss",
    [HierarchicalContrastiveLoss(0.4, tile=8), ObservationLoss(0.7), SampleLoss()],
    ids=lambda loss: type(loss).__name__,
)
def test_losses_over_steps_differentiate_twice(loss: torch.nn.Module) -> None:
    z1, z2 = (
        torch.randn(3, 4, 2, generator=torch_generator(seed), dtype=torch.float64).requires_grad_()
        for seed in (1, 2)
    )
    assert torch.autograd.gradgradcheck(loss, (z1, z2), fast_mode=True)


def test_where_there_is_no_second_derivative_it_is_said() -> None:
    z = draw(4, seed=6).requires_grad_()
    moved = MoCo(queue_size=6)(z)
    with pytest.raises(InputError, match="create_graph"):
        torch.autograd.grad(moved, z, create_graph=True)
    large = draw(170, seed=7).requires_grad_()
    with pytest.raises(InputError, match="create_graph"):
        MannWhitney()(large).backward(create_graph=True)


def test_plain_gradient_is_a_gradient() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    (slope,) = plain_gradient(lambda v: v.pow(3).sum(), (x,), torch.tensor(2.0).double())
    assert slope.tolist() == [6.0, 24.0]
    assert InfoNCE(tile=None)(draw(4)) == pytest.approx(float(InfoNCE()(draw(4))), rel=1e-6)
    assert NTXent(tile=None)(draw(4)) == pytest.approx(float(NTXent()(draw(4))), rel=1e-6)
