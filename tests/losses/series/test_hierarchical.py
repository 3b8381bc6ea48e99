"""TS2Vec's hierarchical loss against slow loops, its limits and its gradient."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import baseline_losses as slow
from tscl.errors import InputError
from tscl.losses import HierarchicalContrastiveLoss
from tscl.losses.series.views import pool_by_two
from tscl.seeding import torch_generator


def views(b: int, t: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    both = torch.randn(2, b, t, d, generator=torch_generator(seed), dtype=torch.float64)
    return both[0], both[1]


@settings(max_examples=25, deadline=None)
@given(
    b=st.integers(1, 4),
    t=st.integers(1, 9),
    d=st.integers(1, 3),
    alpha=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    unit=st.integers(0, 3),
)
def test_equals_the_slow_loops(b: int, t: int, d: int, alpha: float, unit: int) -> None:
    z1, z2 = views(b, t, d)
    ours = HierarchicalContrastiveLoss(alpha, unit)(z1, z2)
    expected = slow.ts2vec_hierarchical(z1.numpy(), z2.numpy(), alpha, unit)
    assert float(ours) == pytest.approx(expected, abs=1e-10)


def test_terms_are_unweighted_and_weights_override_alpha() -> None:
    z1, z2 = views(3, 8, 4)
    instance, temporal = HierarchicalContrastiveLoss(0.9).terms(z1, z2)
    loss = HierarchicalContrastiveLoss(instance_weight=2.0, temporal_weight=3.0)(z1, z2)
    torch.testing.assert_close(loss, 2 * instance + 3 * temporal)
    only = HierarchicalContrastiveLoss(instance_weight=0.0).terms(z1, z2)
    assert float(only[0]) == 0.0


@pytest.mark.parametrize("tile", [1, 30, 1 << 20])
def test_gradient_by_finite_differences_for_any_tile(tile: int) -> None:
    z1, z2 = (z.requires_grad_() for z in views(3, 5, 2))
    loss = HierarchicalContrastiveLoss(tile=tile)
    assert torch.autograd.gradcheck(loss, (z1, z2))


def test_equal_embeddings_give_the_closed_form() -> None:
    z = torch.zeros(3, 4, 2, dtype=torch.float64)
    instance, temporal = HierarchicalContrastiveLoss().terms(z, z)
    assert float(instance) == pytest.approx(math.log(5))
    assert float(temporal) == pytest.approx((math.log(7) + math.log(3)) / 3)


def test_views_can_be_exchanged() -> None:
    z1, z2 = views(3, 6, 2)
    loss = HierarchicalContrastiveLoss()
    torch.testing.assert_close(loss(z1, z2), loss(z2, z1))


def test_one_sample_of_one_step_is_a_differentiable_zero() -> None:
    z = torch.randn(1, 1, 3, requires_grad=True)
    loss = HierarchicalContrastiveLoss()(z, z * 2)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(z.grad, torch.zeros_like(z))


def test_pooling_is_torchs_max_pool() -> None:
    z = views(2, 7, 3)[0]
    expected = torch.nn.functional.max_pool1d(z.transpose(1, 2), 2).transpose(1, 2)
    assert torch.equal(pool_by_two(z), expected)


def test_half_precision_is_computed_in_single() -> None:
    z1, z2 = views(2, 4, 3)
    out = HierarchicalContrastiveLoss()(z1.bfloat16() * 30, z2.bfloat16() * 30)
    assert out.dtype == torch.float32
    assert torch.isfinite(out)


def test_bad_input_is_named_in_hierarchical_loss() -> None:
    loss = HierarchicalContrastiveLoss()
    z = torch.zeros(2, 3, 4)
    for bad in ((z, z[:1]), (z[0], z[0]), (z.long(), z.long())):
        with pytest.raises(InputError, match="z1, z2"):
            loss(*bad)
    with pytest.raises(InputError, match="z2: got NaN"):
        loss(z, z * torch.nan)
    for params in ({"alpha": 2.0}, {"temporal_unit": -1}, {"instance_weight": -1.0}, {"tile": 0}):
        with pytest.raises(InputError, match=next(iter(params))):
            HierarchicalContrastiveLoss(**params)


def test_unit_vectors_at_every_scale() -> None:
    z1, z2 = (2.0 * z for z in views(2, 5, 3))

    def of_units(r: Tensor, s: Tensor) -> float:
        terms = []
        while True:
            a, b = (z / z.norm(dim=-1, keepdim=True) for z in (r, s))
            instance = slow.ts2vec_instance(a.numpy(), b.numpy())
            terms.append(0.3 * instance + 0.7 * slow.ts2vec_temporal(a.numpy(), b.numpy()))
            if r.shape[1] == 1:
                return sum(terms) / len(terms)
            r, s = pool_by_two(r), pool_by_two(s)

    loss = HierarchicalContrastiveLoss(0.3, normalize=True)
    assert float(loss(z1, z2)) == pytest.approx(of_units(z1, z2), abs=1e-10)
    assert float(loss(z1, z2)) != pytest.approx(float(HierarchicalContrastiveLoss(0.3)(z1, z2)))
    assert torch.autograd.gradcheck(loss, (z1.requires_grad_(), z2.requires_grad_()))
