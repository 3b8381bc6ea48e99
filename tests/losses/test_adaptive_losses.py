"""Individual temperatures, adaptive heads, sorting networks, and losses between modalities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import contrastive_losses as slow
from tscl.errors import InputError
from tscl.losses import (
    CWCL,
    AdaptiveMultiHead,
    Combined,
    ContrastiveGap,
    GroupOrdering,
    IndividualTemperature,
    InfoNCE,
    NTXent,
    SupCon,
    VICReg,
    soft_sort,
    uniformity,
)
from tscl.seeding import torch_generator


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch_generator(seed), dtype=torch.float64)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(2, 6), d=st.integers(1, 4), seed=st.integers(0, 50))
def test_adaptive_losses_equal_the_loops(n, d, seed):
    z = draw(2, n, 2 * d, seed=seed)
    x = z.numpy()
    tau = np.full(n, 0.3)
    bounds = {"bounds": (0.2, 1.5), "beta": 0.02}
    cases = [
        (IndividualTemperature(0.3, rho=0.2).double()(z, ids=range(n)), slow.robust(x, tau, 0.2)),
        (AdaptiveMultiHead(2, **bounds)(z), slow.multi_head(x, 2, 0.2, 1.5, 0.02, 0)),
        (
            AdaptiveMultiHead(2, **bounds, negatives="hardest", n_hardest=2)(z),
            slow.multi_head(x, 2, 0.2, 1.5, 0.02, 2),
        ),
        (
            AdaptiveMultiHead(2, **bounds, negatives="hardest", n_hardest=3, released=True)(z),
            slow.multi_head(x, 2, 0.2, 1.5, 0.02, 3, released=True),
        ),
        (GroupOrdering(3, 2.0)(z), slow.group_ordering(x, 3, 2.0)),
        (
            ContrastiveGap(0.3, uniformity=0.5, alignment=2.0, cross=0.7)(z),
            slow.contrastive_gap(x[0], x[1], 0.3, (0.5, 2.0, 0.7)),
        ),
        (CWCL(0.3)(z), slow.cwcl(x[0], x[1], 0.3)),
    ]
    for got, expected in cases:
        assert got.item() == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(
    "loss",
    [
        AdaptiveMultiHead(2),
        AdaptiveMultiHead(2, negatives="hardest", n_hardest=2),
        AdaptiveMultiHead(2, negatives="hardest", n_hardest=2, released=True),
        AdaptiveMultiHead(2, 4, head_dims=3).double(),
        GroupOrdering(2, stop_gradient=False),
        ContrastiveGap(0.3),
        CWCL(0.3, detach_similarity=False, sharpness=2.0),
        Combined(("infonce", "vicreg"), (1.0, 0.1)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_adaptive_losses_pass_gradcheck(loss):
    z = draw(2, 4, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x), (z,), atol=1e-6)


def test_individual_temperature_passes_gradcheck_and_needs_the_index():
    z = draw(2, 4, 4, seed=1).requires_grad_()
    loss = IndividualTemperature(0.3).eval()
    assert torch.autograd.gradcheck(lambda x: loss(x, index=range(4)), (z,), atol=1e-6)
    with pytest.raises(InputError, match="index"):
        loss(z)


def test_individual_temperature_tracks_as_the_algorithm_says():
    options = {"rho": 0.2, "gamma": 0.6, "beta": 0.7, "eta": 0.05}
    loss = IndividualTemperature(0.3, **options, bounds=(0.1, 0.5), clip=0.5).double()
    loop = slow.RobustState(9, 0.3, **options)
    for step, ids in enumerate(([0, 1, 2, 3], [2, 3, 4, 8], [3, 0, 8, 7])):
        z = draw(2, 4, 3, seed=20 + step)
        expected = loop.step(z.numpy(), ids, 0.1, 0.5, 0.5)
        got = loss(z, None, ids=torch.tensor(ids))
        assert got.item() == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(loss.tau[:9].numpy(), loop.tau, rtol=1e-9)
    seen = [i for i, s in enumerate(loop.s) if s is not None]
    np.testing.assert_allclose(loss.log_s[seen].exp(), [loop.s[i] for i in seen], rtol=1e-9)
    assert loss.log_s[5] == -math.inf


def test_individual_temperature_state_is_saved_restored_and_still_in_evaluation():
    loss = IndividualTemperature()
    z = draw(2, 4, 3, seed=2).float()
    ids = torch.tensor([4, 0, 9, 2])
    loss(z, None, ids=ids)
    restored = IndividualTemperature()
    restored.load_state_dict(loss.state_dict())
    assert len(restored.tau) == 10
    loss.eval()
    value = loss(z, None, ids=ids)
    assert loss(z, None, ids=ids) == value
    assert restored(z, None, ids=ids) == value
    torch.testing.assert_close(restored.eval().tau[5], torch.tensor(0.1))
    assert not torch.equal(restored.tau, loss.tau)
    with pytest.raises(InputError, match="0\\.\\.2"):
        IndividualTemperature(n_samples=3)(z, None, ids=ids)
    with pytest.raises(InputError, match="integer"):
        loss(z, None, ids=ids.float())


def test_temperature_follows_the_frequency_of_a_semantic():
    """A sample among many alike ends with a larger temperature than a lone one (the claim)."""
    alone = torch.eye(16, dtype=torch.float64)
    crowd = alone[:1] + 0.05 * draw(5, 16, seed=3)
    z = torch.stack((torch.cat((crowd, alone[1:])),) * 2)
    loss = IndividualTemperature(0.3, eta=0.05, rho=0.3)
    for _ in range(60):
        loss(z, None, ids=torch.arange(20))
    assert loss.tau[:5].min() > 2 * loss.tau[5:].max()


def test_individual_temperature_with_one_id_for_several_rows():
    loss = IndividualTemperature(0.3, eta=0.1).double()
    z = draw(2, 4, 3, seed=4)
    loss(z, None, ids=torch.tensor([0, 0, 1, 1]))
    apart = IndividualTemperature(0.3, eta=0.1).double()
    apart(z, None, ids=torch.arange(4))
    torch.testing.assert_close(loss.velocity[0], apart.velocity[:2].mean())


def test_equal_bounds_give_ntxent_per_head():
    z = draw(2, 5, 6, seed=5)
    fixed = AdaptiveMultiHead(1, bounds=(0.3, 0.3), beta=0.5)
    assert fixed(z).item() == pytest.approx(NTXent(0.3)(z).item())
    two = AdaptiveMultiHead(2, bounds=(0.3, 0.3), beta=0.0)
    parts = NTXent(0.3)(z[..., :3]) + NTXent(0.3)(z[..., 3:])
    assert two(z).item() == pytest.approx(parts.item())


def test_own_heads_learn_and_are_seeded():
    z = draw(2, 5, 6, seed=6).float()
    first, same, other = (AdaptiveMultiHead(2, 6, seed=s) for s in (0, 0, 1))
    assert first(z) == same(z)
    assert first(z) != other(z)
    first(z).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in first.heads.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in first.phi.parameters())
    with pytest.raises(InputError, match="divide"):
        AdaptiveMultiHead(4)(z)
    with pytest.raises(InputError, match="6 dimensions"):
        first(z[..., :5])


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 7), steepness=st.sampled_from([0.5, 3.0, 1e7]), seed=st.integers(0, 99))
def test_sorting_network_equals_the_loop_and_sorts(n, steepness, seed):
    x = draw(n, seed=seed)
    values, p = soft_sort(x, steepness)
    expected, matrix = slow.sorting_network(x.tolist(), steepness)
    np.testing.assert_allclose(values.numpy(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(p.numpy(), matrix, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(p.sum(0), torch.ones(n, dtype=torch.float64))
    torch.testing.assert_close(p.sum(1), torch.ones(n, dtype=torch.float64))
    if steepness > 1e6:
        torch.testing.assert_close(values, x.sort().values, atol=1e-4, rtol=1e-4)


def test_group_ordering_is_zero_in_order_and_large_out_of_order():
    eye = torch.eye(4, dtype=torch.float64)
    right = torch.stack((eye, eye))
    assert GroupOrdering(3, 1e8)(right).item() < 1e-6
    wrong = torch.stack((eye + 1.0, -eye - 1.0))
    assert GroupOrdering(3, 1e8)(wrong).item() > 3.0
    same = torch.ones(2, 2, 3, dtype=torch.float64)
    assert GroupOrdering()(same).item() == pytest.approx(math.log(2))


def test_group_ordering_stops_gradients_of_the_others():
    z = draw(2, 5, 4, seed=7).requires_grad_()
    stopped = torch.autograd.grad(GroupOrdering(2)(z), z)[0]
    free = torch.autograd.grad(GroupOrdering(2, stop_gradient=False)(z), z)[0]
    assert (stopped - free).abs().max() > 1e-5


def test_gap_terms_are_added_to_infonce_and_measured_by_the_diagnostics():
    z = draw(2, 6, 4, seed=8)
    clip = InfoNCE(0.1)(z).item()
    assert ContrastiveGap(uniformity=0, alignment=0, cross=0)(z).item() == pytest.approx(clip)
    uniform = ContrastiveGap(uniformity=1, alignment=0, cross=0)(z).item() - clip
    assert uniform == pytest.approx((uniformity(z[0]) + uniformity(z[1])) / 2)
    same = torch.ones(2, 5, 3, dtype=torch.float64)
    assert ContrastiveGap()(same).item() == pytest.approx(math.log(5))
    three = draw(3, 5, 4, seed=9)
    pairs = [ContrastiveGap()(three[[a, b]]).item() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert ContrastiveGap()(three).item() == pytest.approx(sum(pairs) / 3)


def test_gap_terms_shrink_the_gap_between_two_modalities():
    offset = torch.zeros(8, dtype=torch.float64)
    offset[0] = 3.0
    shared = draw(32, 8, seed=10)
    start = torch.stack((shared + offset, shared - offset)) / 4

    def train(loss: torch.nn.Module) -> float:
        z = start.clone().requires_grad_()
        optimiser = torch.optim.Adam([z], lr=0.05)
        for _ in range(60):
            optimiser.zero_grad()
            loss(z).backward()
            optimiser.step()
        u = torch.nn.functional.normalize(z.detach(), dim=-1)
        return float((u[0].mean(0) - u[1].mean(0)).norm())

    assert train(ContrastiveGap(0.05)) < 0.5 * train(InfoNCE(0.05))


def test_cwcl_limits():
    z = draw(2, 6, 4, seed=12)
    p, q = z
    both = InfoNCE(0.3, "none")(z).mean(1).sum().item()
    assert CWCL(0.3, sharpness=1e4)(p, q).item() == pytest.approx(both)
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    other = draw(2, 2, seed=13)
    expected = InfoNCE(0.3, "none")(opposite, other).mean(1).sum().item()
    assert CWCL(0.3)(opposite, other).item() == pytest.approx(expected)
    alike = CWCL(0.3).likeness(torch.ones(4, 2, dtype=torch.float64))
    torch.testing.assert_close(alike, torch.full_like(alike, 0.25), atol=0.2, rtol=0)
    assert CWCL(0.3)(p, q).item() != pytest.approx(CWCL(0.3)(q, p).item())


def test_combined_adds_up_and_takes_names_and_objects():
    z = draw(2, 6, 4, seed=14)
    loss = Combined(({"name": "infonce", "temperature": 0.3}, VICReg()), (2.0, 0.5))
    expected = 2.0 * InfoNCE(0.3)(z) + 0.5 * VICReg()(z)
    assert loss(z).item() == pytest.approx(expected.item())
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    supervised = Combined((SupCon(), "infonce"), None)
    assert supervised.needs == ("labels",)
    assert loss.needs == ()
    with pytest.raises(InputError, match="labels"):
        supervised(z)
    assert torch.isfinite(supervised(z, None, labels=labels))
    stateful = Combined(("moco",), None)
    stateful(z.float())
    again = Combined(("moco",), None)
    again.load_state_dict(stateful.state_dict())
    assert again(z.float()) == stateful(z.float())


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: IndividualTemperature(0.01), "bounds"),
        (lambda: IndividualTemperature(gamma=0.0), "gamma"),
        (lambda: IndividualTemperature(rho=-1.0), "rho"),
        (lambda: IndividualTemperature(n_samples=0), "n_samples"),
        (lambda: AdaptiveMultiHead(0), "n_heads"),
        (lambda: AdaptiveMultiHead(bounds=(0.5, 0.1)), "bounds"),
        (lambda: AdaptiveMultiHead(beta=-1.0), "beta"),
        (lambda: GroupOrdering(0), "n_negatives"),
        (lambda: GroupOrdering(steepness=0.0), "steepness"),
        (lambda: ContrastiveGap(cross=math.nan), "cross"),
        (lambda: CWCL(sharpness=0.0), "sharpness"),
        (lambda: Combined(()), "terms"),
        (lambda: Combined(("infonce",), (1.0, 2.0)), "factors"),
        (lambda: Combined((InfoNCE(reduction="none"),), None), "terms"),
        (lambda: Combined(({"temperature": 1.0},), None), "terms"),
    ],
)
def test_bad_settings_of_adaptive_losses_are_named(make, field):
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.field == field
