"""Barlow Twins, VICReg, SimSiam, BYOL and MoCo against loops, limits and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import contrastive_losses as slow
from tscl.errors import InputError
from tscl.losses import BYOL, BarlowTwins, InfoNCE, MoCo, SimSiam, VICReg
from tscl.losses.base import unit
from tscl.seeding import torch_generator


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch_generator(seed), dtype=torch.float64)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(2, 7), d=st.integers(1, 5))
def test_comparison_losses_equal_the_loops(n, d):
    z = draw(2, n, d, seed=n * 10 + d)
    x = z.numpy()
    u = slow.units(x)
    cosine = sum(slow.dot(u[0, i], u[1, i]) for i in range(n)) / n
    queue = MoCo(0.3, queue_size=6).double()
    queue(z[:1].expand(2, -1, -1))
    held = queue.queue.numpy().copy()
    cases = [
        (BarlowTwins(0.02)(z), slow.barlow_twins(x[0], x[1], 0.02, 1e-5)),
        (VICReg(3.0, 2.0, 0.5)(z), slow.vicreg(x[0], x[1], (3.0, 2.0, 0.5), 1e-4)),
        (SimSiam(None).between(z, z), -cosine),
        (BYOL(None).between(z, z), 2.0 - 2.0 * cosine),
        (queue(z), slow.moco(x[0], x[1], held, 0.3)),
    ]
    for got, expected in cases:
        assert got.item() == pytest.approx(expected, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("loss", [BarlowTwins(), VICReg()], ids=lambda x: type(x).__name__)
def test_moment_losses_pass_gradcheck(loss):
    z = draw(3, 5, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x), (z,), atol=1e-5)


@pytest.mark.parametrize("loss", [BarlowTwins(0.3), VICReg()], ids=lambda x: type(x).__name__)
def test_weighted_moment_losses_pass_gradcheck(loss):
    z = draw(3, 5, 3, seed=11).requires_grad_()
    weights = torch.tensor([2.0, 1.0, 0.0, 0.5, 3.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x, weights=weights), (z,), atol=1e-5)


def test_prediction_gradient_reaches_the_predicting_side_only():
    z = draw(2, 4, 3, seed=2).requires_grad_()
    for loss in (SimSiam(None), BYOL(None)):
        targets = draw(2, 4, 3, seed=3).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda p, t=targets, loss=loss: loss.between(p, t), (z,), atol=1e-6
        )
        value = loss.between(z, targets)
        assert torch.autograd.grad(value, targets, allow_unused=True)[0] is None
    query = draw(4, 3, seed=4).requires_grad_()
    key = draw(4, 3, seed=5).requires_grad_()
    moco = MoCo(0.3, queue_size=5, dims=3).double().eval()
    assert torch.autograd.gradcheck(lambda q: moco(q, key.detach()), (query,), atol=1e-6)
    gradient = torch.autograd.grad(moco(query, key), key, allow_unused=True)[0]
    assert gradient is None or not gradient.any()


def test_moment_losses_at_their_minimum_and_at_collapse():
    n = 64
    t = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    waves = math.sqrt(2) * torch.stack([f(k * t) for k in (1, 2) for f in (torch.sin, torch.cos)])
    z = waves.T
    assert BarlowTwins()(z, z).item() == pytest.approx(0.0, abs=1e-8)
    assert VICReg()(z, z).item() == pytest.approx(0.0, abs=1e-8)
    flat = torch.ones(8, 4, dtype=torch.float64)
    assert BarlowTwins()(flat, flat).item() == pytest.approx(4.0)
    assert VICReg()(flat, flat).item() == pytest.approx(2 * 25 * (1 - 0.01))
    assert BarlowTwins(1.0)(z, -z).item() == pytest.approx(16.0, rel=1e-4)


def test_moment_losses_take_weights_as_repeats():
    z = draw(2, 4, 3, seed=6)
    weights = torch.tensor([2.0, 1.0, 1.0, 2.0], dtype=torch.float64)
    repeated = z[:, [0, 0, 1, 2, 3, 3]]
    assert BarlowTwins()(z, None, weights=weights).item() == pytest.approx(
        BarlowTwins()(repeated).item()
    )
    near = VICReg(1.0, 0.0, 0.0)
    assert near(z, None, weights=weights).item() == pytest.approx(near(repeated).item())


def test_more_views_average_the_pairs():
    z = draw(3, 5, 3, seed=7)
    for loss in (BarlowTwins(), VICReg(), SimSiam(3).double(), BYOL(3).double()):
        pairs = [loss(z[[a, b]]).item() for a, b in ((0, 1), (0, 2), (1, 2))]
        assert loss(z).item() == pytest.approx(sum(pairs) / 3)


def test_predictor_is_part_of_the_loss():
    z = draw(2, 5, 6, seed=8).float()
    first, same, other = (BYOL(6, seed=s) for s in (0, 0, 1))
    assert first(z) == same(z)
    assert first(z) != other(z)
    first(z).backward()
    assert all(p.grad is not None for p in first.parameters())
    assert -1.0 <= SimSiam(6)(z[:, :1]) <= 1.0
    assert 0.0 <= first(z) <= 4.0
    with pytest.raises(InputError, match="one shape"):
        first.between(z, z[:, :3])
    for lacking in (BYOL(None), SimSiam(5)):
        with pytest.raises(InputError, match="dims=6"):
            lacking(z)


def test_moco_equals_its_plain_form_at_any_range_and_may_enqueue_before_backward():
    """Value and gradient against autograd over the whole similarity matrix; the queue moves on."""
    for temperature in (0.5, 0.002):  # within and beyond the range of one exponential
        moco = MoCo(temperature, "none", queue_size=7, dims=4).double()
        z = draw(2, 5, 4, seed=12).requires_grad_()
        held = moco.queue.clone()
        got = moco(z)
        assert not torch.equal(moco.queue, held)
        u = z / z.norm(dim=-1, keepdim=True)
        logits = torch.cat(((u[0] * u[1].detach()).sum(-1, keepdim=True), u[0] @ held.T), 1)
        want = -(logits / temperature).log_softmax(1)[:, 0]
        torch.testing.assert_close(got[0], want)
        slopes = draw(5, seed=13)
        found = torch.autograd.grad((got[0] * slopes).sum(), z)[0]
        torch.testing.assert_close(found, torch.autograd.grad((want * slopes).sum(), z)[0])


def test_moco_works_through_its_queue_in_blocks(monkeypatch):
    z = draw(2, 9, 4, seed=14)
    whole = MoCo(0.3, queue_size=6, dims=4).double().eval()(z)
    monkeypatch.setattr("tscl.losses.shared.tiled_infonce.HELD", 12)
    torch.testing.assert_close(MoCo(0.3, queue_size=6, dims=4).double().eval()(z), whole)


def test_pairs_of_many_views_keep_their_order():
    """Per-anchor losses come by predicting view, then by predicted view."""
    z, t = draw(4, 3, 5, seed=15), draw(4, 3, 5, seed=16)
    got = BYOL(None, reduction="none").between(z, t)
    u, v = z / z.norm(dim=-1, keepdim=True), t / t.norm(dim=-1, keepdim=True)
    pairs = [(a, b) for a in range(4) for b in range(4) if a != b]
    want = torch.stack([2 - 2 * (u[a] * v[b]).sum(-1) for a, b in pairs])
    torch.testing.assert_close(got, want)


def test_unit_vectors_differentiate_twice_and_rest_at_zero():
    z = draw(3, 4, seed=17).requires_grad_()
    assert torch.autograd.gradcheck(unit, (z,))
    assert torch.autograd.gradgradcheck(unit, (z,))
    edges = torch.tensor([[0.0, 0.0], [3e-320, 0.0], [1e200, 0.0]], dtype=torch.float64)
    edges.requires_grad_()
    u = unit(edges)
    u.sum().backward()
    assert bool(torch.isfinite(u).all())
    assert bool(torch.isfinite(edges.grad).all())
    assert float(u[0].abs().sum()) == 0.0


def test_large_finite_embeddings_are_not_taken_for_infinite_ones():
    z = torch.full((2, 4, 3), 3e38)
    assert bool(torch.isfinite(InfoNCE()(z)))
    z[0, 0, 0] = math.inf
    z[1, 0, 0] = -math.inf
    with pytest.raises(InputError, match="NaN or infinity"):
        InfoNCE()(z)


def test_moco_with_an_empty_share_of_others_approaches_infonce():
    """A queue that holds exactly the other keys makes the one-way InfoNCE of the batch."""
    z = draw(2, 2, 3, seed=9)
    moco = MoCo(0.3, queue_size=1, dims=3).double().eval()
    moco.queue.copy_(unit(z[1, 1:]))
    one = moco(z[0, :1], z[1, :1]).item()
    expected = InfoNCE(0.3, "none", symmetric=False)(z[0], z[1])[0, 0].item()
    assert one == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), capacity=st.integers(1, 6))
def test_queue_keeps_the_newest_keys_in_order(sizes, capacity):
    moco = MoCo(queue_size=capacity, dims=2).double()
    fed: list[torch.Tensor] = list(moco.queue.clone())
    for k, size in enumerate(sizes):
        z = draw(2, size, 2, seed=k)
        moco(z)
        fed += list(unit(z[1]))
    start = int(moco.position)
    in_order = moco.queue.roll(-start, 0)
    # a batch larger than the queue leaves its last keys; age order is kept within the queue
    expected = torch.stack(fed[-capacity:])
    torch.testing.assert_close(in_order.sort(0).values, expected.sort(0).values)
    if max(sizes) <= capacity:
        torch.testing.assert_close(in_order, expected)


def test_moco_state_round_trip_and_evaluation():
    z = draw(2, 5, 3, seed=10).float()
    moco = MoCo(queue_size=7)
    moco(z)
    before = moco.queue.clone()
    moco.eval()
    moco(z)
    assert torch.equal(moco.queue, before)
    restored = MoCo(queue_size=7)
    restored.load_state_dict(moco.state_dict())
    assert torch.equal(restored.queue, before)
    assert int(restored.position) == 5
    assert restored.eval()(z) == moco(z)
    with pytest.raises(InputError, match="queue holds 3"):
        restored(torch.zeros(2, 4, 5))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: BarlowTwins(-1.0), "off_diagonal"),
        (lambda: BarlowTwins(eps=0.0), "eps"),
        (lambda: VICReg(variance=math.inf), "variance"),
        (lambda: VICReg(eps=0.0), "eps"),
        (lambda: SimSiam(0), "dims"),
        (lambda: MoCo(queue_size=0), "queue_size"),
        (lambda: MoCo()(torch.zeros(1, 3, 2)), "views"),
        (lambda: VICReg()(torch.zeros(1, 3, 2)), "views"),
    ],
)
def test_bad_settings_of_comparison_losses_are_named(make, field):
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.field == field
