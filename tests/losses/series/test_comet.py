"""Observation and sample level against loops, their limits, gradients and tiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import comet as slow
from tscl.errors import InputError
from tscl.losses import ObservationLoss, PairTerm, SampleLoss, hierarchical_contrast, same_id
from tscl.losses.shared.tiled_pairs import TILE
from tscl.seeding import randn, torch_generator


def views(batch: int, length: int, dims: int = 3, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator, like = torch_generator(seed), torch.zeros((), dtype=torch.float64)
    shape = (batch, length, dims)
    return randn(shape, generator, like), randn(shape, generator, like)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 9),
    st.sampled_from([1, 7, 40, TILE]),
    st.sampled_from([1.0, 0.3]),
)
def test_levels_match_the_loops(batch: int, length: int, tile: int, temperature: float) -> None:
    z1, z2 = views(batch, length, seed=batch * 10 + length)
    a, b = z1.numpy(), z2.numpy()
    seen = ObservationLoss(temperature, tile=tile)(z1, z2)
    told = slow.hierarchical(slow.observation, a, b, temperature=temperature)
    assert float(seen) == pytest.approx(told, abs=1e-12)
    seen = SampleLoss(temperature, tile=tile)(z1, z2)
    told = slow.hierarchical(slow.sample, a, b, temperature=temperature)
    assert float(seen) == pytest.approx(told, abs=1e-12)


def test_levels_without_hierarchy_use_one_scale() -> None:
    z1, z2 = views(3, 6)
    told = slow.observation(z1.numpy(), z2.numpy())
    assert float(ObservationLoss(hierarchical=False)(z1, z2)) == pytest.approx(told, abs=1e-12)
    assert float(ObservationLoss()(z1, z2)) != pytest.approx(told, abs=1e-6)


def test_sample_level_leaves_out_negatives_of_the_same_trial() -> None:
    z1, z2 = views(5, 4, seed=3)
    ids = torch.tensor([7, 7, 9, 9, 2])
    told = slow.hierarchical(slow.sample, z1.numpy(), z2.numpy(), groups=ids.numpy())
    for tile in (1, 12, TILE):
        seen = SampleLoss(tile=tile)(z1, z2, exclude=same_id(ids))
        assert float(seen) == pytest.approx(told, abs=1e-12)
    everyone = torch.ones(5, 5, dtype=torch.bool)
    assert float(SampleLoss()(z1, z2, exclude=everyone)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("tile", [1, 30, TILE])
@pytest.mark.parametrize("shape", [(3, 1), (1, 5), (3, 7)])
def test_levels_gradcheck(shape: tuple[int, int], tile: int) -> None:
    z1, z2 = (z.requires_grad_() for z in views(*shape, dims=2, seed=5))
    exclude = same_id(torch.arange(shape[0]) // 2)
    terms = [
        PairTerm("time", 0.7, temperature=0.8),
        PairTerm("batch", 0.2),
        PairTerm("batch", 1.3, exclude),
    ]
    assert torch.autograd.gradcheck(
        lambda a, b: hierarchical_contrast(a, b, terms, tile=tile)[0], (z1, z2)
    )


def test_gradient_of_one_view_only() -> None:
    z1, z2 = views(3, 4)
    z1.requires_grad_()
    loss = ObservationLoss()(z1, z2)
    (only,) = torch.autograd.grad(3.0 * loss, z1)
    z2.requires_grad_()
    both = torch.autograd.grad(ObservationLoss()(z1, z2), (z1, z2))
    assert torch.allclose(only, 3.0 * both[0])


def test_pooled_once_equals_each_level_alone() -> None:
    z1, z2 = (z.requires_grad_() for z in views(4, 9, seed=8))
    total, values = hierarchical_contrast(z1, z2, [PairTerm("time", 0.3), PairTerm("batch", 0.0)])
    alone = ObservationLoss()(z1, z2)
    assert float(values[0]) == pytest.approx(float(alone.detach()))
    assert float(values[1]) == pytest.approx(float(SampleLoss()(z1, z2).detach()))
    seen = torch.autograd.grad(total, (z1, z2))
    told = torch.autograd.grad(0.3 * alone, (z1, z2))
    assert all(torch.allclose(s, t) for s, t in zip(seen, told, strict=True))


def test_orthogonal_steps_have_a_closed_form() -> None:
    """Unit rows, orthogonal across steps and equal across views: log(1 + (n - 2) / e)."""
    z = torch.eye(3, dtype=torch.float64).unsqueeze(0)
    told = math.log(1 + 4 / math.e)
    seen = ObservationLoss(hierarchical=False)(z, z)
    assert float(seen) == pytest.approx(told, abs=1e-12)
    seen = SampleLoss(hierarchical=False)(z.transpose(0, 1), z.transpose(0, 1))
    assert float(seen) == pytest.approx(told, abs=1e-12)


def test_constant_embeddings_give_the_log_of_the_candidates() -> None:
    z = torch.ones(4, 2, 3, dtype=torch.float64)
    assert float(ObservationLoss()(z, z)) == pytest.approx(math.log(3), abs=1e-12)
    assert float(SampleLoss()(z, z)) == pytest.approx(math.log(7), abs=1e-12)


def test_one_step_or_one_sample_gives_a_differentiable_zero() -> None:
    z1, z2 = (z.requires_grad_() for z in views(4, 1))
    loss = ObservationLoss()(z1, z2)
    assert float(loss.detach()) == 0.0
    assert torch.autograd.grad(loss, z1)[0].abs().max() == 0.0
    z1, z2 = (z.requires_grad_() for z in views(1, 5))
    loss = SampleLoss()(z1, z2)
    assert float(loss.detach()) == 0.0
    assert torch.autograd.grad(loss, z1)[0].abs().max() == 0.0


def test_levels_do_not_depend_on_the_order_of_samples() -> None:
    z1, z2 = (z.requires_grad_() for z in views(5, 6))
    order = torch.tensor([3, 0, 4, 1, 2])
    for module in (ObservationLoss(), SampleLoss()):
        straight = module(z1, z2)
        permuted = module(z1[order], z2[order])
        assert float(straight.detach()) == pytest.approx(float(permuted.detach()), abs=1e-12)
        g, h = (torch.autograd.grad(loss, z1)[0] for loss in (straight, permuted))
        assert torch.allclose(g, h, atol=1e-12)


def test_large_logits_stay_finite_in_float32() -> None:
    z1, z2 = (100 * z.float() for z in views(3, 8))
    told = slow.hierarchical(slow.observation, z1.double().numpy(), z2.double().numpy())
    assert float(ObservationLoss()(z1, z2)) == pytest.approx(told, rel=1e-5)


def test_half_precision_is_raised() -> None:
    z1, z2 = views(3, 8)
    seen = SampleLoss()(z1.bfloat16(), z2.bfloat16())
    assert seen.dtype == torch.float32
    assert bool(torch.isfinite(seen))


def test_nothing_of_size_n_by_n_is_kept_for_backward() -> None:
    kept: list[int] = []

    def note(t: torch.Tensor) -> torch.Tensor:
        kept.append(t.numel())
        return t

    z1, z2 = (z.requires_grad_() for z in views(2, 64, dims=2))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        hierarchical_contrast(z1, z2, [PairTerm("time"), PairTerm("batch")])
    assert kept
    assert max(kept) <= z1.numel()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_embeddings_are_refused(bad: float) -> None:
    z1, z2 = views(2, 4)
    z2[0, 1, 2] = bad
    with pytest.raises(InputError, match="z2"):
        ObservationLoss()(z1, z2)


def test_bad_arguments_of_the_levels_are_named() -> None:
    z1, z2 = views(3, 4)
    with pytest.raises(InputError, match="shape"):
        SampleLoss()(z1, z2[:2])
    with pytest.raises(InputError, match="temperature"):
        SampleLoss(0.0)(z1, z2)
    with pytest.raises(InputError, match="exclude"):
        SampleLoss()(z1, z2, exclude=torch.ones(2, 2, dtype=torch.bool))
    with pytest.raises(InputError, match="weight"):
        hierarchical_contrast(z1, z2, [PairTerm("time", -1.0)])
    with pytest.raises(InputError, match="floating"):
        SampleLoss()(z1.long(), z2.long())


def test_reference_pooling_is_a_maximum() -> None:
    series = np.array([[[1.0], [3.0], [2.0], [0.0], [9.0]]])
    assert slow.pooled(series).ravel().tolist() == [3.0, 2.0]
