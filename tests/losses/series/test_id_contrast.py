"""Contrast by shared id against pair-by-pair loops, its limits and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import comet as slow
from tscl.errors import ConfigError, InputError
from tscl.losses import IdContrastLoss, same_id
from tscl.seeding import randint, randn, torch_generator

OPTIONS = [
    (normalize, pairs, own)
    for normalize in ("embedding", "time", "batch")
    for pairs in ("all", "public")
    for own in ("denominator", "positive", "exclude")
]


def two(batch: int, length: int, dims: int = 2, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator, like = torch_generator(seed), torch.zeros((), dtype=torch.float64)
    shape = (batch, length, dims)
    return randn(shape, generator, like), randn(shape, generator, like)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 4), st.sampled_from(OPTIONS), st.integers(0, 99))
def test_id_contrast_matches_the_loop(
    batch: int, length: int, options: tuple[str, str, str], seed: int
) -> None:
    z1, z2 = two(batch, length, seed=seed)
    ids = randint(0, 3, (batch,), torch_generator(seed, "ids"))
    normalize, pairs, own = options
    loss = IdContrastLoss(normalize=normalize, pairs=pairs, own_pair=own)  # type: ignore[arg-type]
    told = slow.id_contrast(z1.numpy(), z2.numpy(), ids.tolist(), 0.1, normalize, pairs, own)
    assert float(loss(z1, z2, ids)) == pytest.approx(told, abs=1e-10)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 5),
    st.sampled_from(["max", "mean", "log_std", "max+log_std"]),
    st.sampled_from(["embedding", "batch"]),
    st.integers(0, 99),
)
def test_pooled_contrast_matches_the_loop(
    batch: int, length: int, pool: str, normalize: str, seed: int
) -> None:
    z1, z2 = two(batch, length, seed=seed)
    ids = randint(0, 3, (batch,), torch_generator(seed, "ids"))
    loss = IdContrastLoss(0.5, normalize=normalize, pool=pool)  # type: ignore[arg-type]
    told = slow.id_contrast(z1.numpy(), z2.numpy(), ids.tolist(), 0.5, normalize, pool=pool)
    assert float(loss(z1, z2, ids)) == pytest.approx(told, abs=1e-9)


def test_pooled_contrast_does_not_depend_on_the_order_of_steps_and_the_flat_one_does() -> None:
    z1, z2 = two(5, 8, seed=3)
    shifted = torch.stack([z.roll(k, 0) for k, z in enumerate(z2)])
    ids = torch.tensor([0, 0, 1, 1, 1])
    pooled = IdContrastLoss(pool="max+mean+log_std")
    assert float(pooled(z1, z2, ids)) == pytest.approx(float(pooled(z1, shifted, ids)))
    flat = IdContrastLoss()
    assert float(flat(z1, z2, ids)) != pytest.approx(float(flat(z1, shifted, ids)))


def test_a_pooled_contrast_has_no_time_to_normalise_along() -> None:
    with pytest.raises(InputError, match="normalize"):
        IdContrastLoss(pool="max", normalize="time")
    with pytest.raises(ConfigError, match="log_std"):
        IdContrastLoss(pool="log_sd")


@pytest.mark.parametrize("options", OPTIONS)
def test_id_contrast_gradcheck(options: tuple[str, str, str]) -> None:
    z1, z2 = (z.requires_grad_() for z in two(4, 2, seed=1))
    normalize, pairs, own = options
    loss = IdContrastLoss(0.5, normalize=normalize, pairs=pairs, own_pair=own)  # type: ignore[arg-type]
    ids = torch.tensor([1, 0, 1, 1])
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, ids), (z1, z2))


@pytest.mark.parametrize("own", ["denominator", "exclude"])
@pytest.mark.parametrize("batch", [1, 3])
def test_no_pair_gives_a_differentiable_zero(own: str, batch: int) -> None:
    z1, z2 = (z.requires_grad_() for z in two(batch, 3))
    value = IdContrastLoss(own_pair=own)(z1, z2, torch.arange(batch))  # type: ignore[arg-type]
    assert float(value.detach()) == 0.0
    for gradient in torch.autograd.grad(value, (z1, z2)):
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_only_equality_of_ids_matters() -> None:
    z1, z2 = two(6, 3)
    loss = IdContrastLoss()
    small = torch.tensor([0, 1, 0, 2, 1, 0])
    large = torch.tensor([2**24 + 1, 2**24, 2**24 + 1, -5, 2**24, 2**24 + 1])
    assert torch.equal(loss(z1, z2, small), loss(z1, z2, large))
    assert torch.equal(loss(z1, z2, small), loss(z1, z2, small.to(torch.int32)))


def test_id_contrast_does_not_depend_on_the_order_of_samples() -> None:
    z1, z2 = two(6, 3)
    ids, order = torch.tensor([0, 1, 0, 2, 1, 0]), torch.tensor([4, 2, 0, 5, 1, 3])
    for own in ("denominator", "positive", "exclude"):
        loss = IdContrastLoss(own_pair=own)  # type: ignore[arg-type]
        straight, permuted = loss(z1, z2, ids), loss(z1[order], z2[order], ids[order])
        assert float(straight) == pytest.approx(float(permuted), abs=1e-12)


def test_public_pairs_depend_on_the_order_of_samples() -> None:
    z1, z2 = two(5, 3)
    ids, order = torch.tensor([0, 0, 1, 0, 1]), torch.tensor([4, 3, 2, 1, 0])
    loss = IdContrastLoss(pairs="public")
    a, b = loss(z1, z2, ids), loss(z1[order], z2[order], ids[order])
    assert float(a) != pytest.approx(float(b), abs=1e-6)


def test_identical_embeddings_give_the_log_of_the_batch() -> None:
    z, ids = torch.ones(5, 2, 3).double(), torch.zeros(5, dtype=torch.int64)
    assert float(IdContrastLoss()(z, z, ids)) == pytest.approx(math.log(5), abs=1e-12)
    alone = IdContrastLoss(own_pair="exclude")(z, z, ids)
    assert float(alone) == pytest.approx(math.log(4), abs=1e-12)


def test_orthogonal_patients_have_a_closed_form() -> None:
    """Two patients of two equal samples, orthogonal: log(2 + 2 exp(-1 / tau))."""
    z = torch.eye(2).double().repeat_interleave(2, dim=0)
    ids = torch.tensor([3, 3, 8, 8])
    seen = IdContrastLoss(0.5)(z, z, ids)
    assert float(seen) == pytest.approx(math.log(2 + 2 * math.exp(-2.0)), abs=1e-12)


def test_series_scale_counts_only_without_time_normalisation() -> None:
    z1, z2 = two(5, 4)
    ids = torch.tensor([0, 0, 1, 1, 1])
    scale = torch.tensor([1.0, 9.0], dtype=torch.float64)
    for normalize, same in (("time", True), ("embedding", False)):
        loss = IdContrastLoss(normalize=normalize)  # type: ignore[arg-type]
        plain, scaled = loss(z1, z2, ids), loss(z1 * scale, z2 * scale, ids)
        assert (abs(float(plain) - float(scaled)) < 1e-9) is same


def test_a_zero_embedding_has_a_finite_gradient() -> None:
    z1, z2 = two(3, 2)
    z1[0] = 0.0
    z1.requires_grad_()
    value = IdContrastLoss()(z1, z2, torch.zeros(3, dtype=torch.int64))
    value.backward()
    assert z1.grad is not None
    assert bool(torch.isfinite(z1.grad).all())


def test_same_id_has_the_asked_diagonal() -> None:
    ids = torch.tensor([4, 4, 1])
    assert same_id(ids).tolist() == [
        [False, True, False],
        [True, False, False],
        [False, False, False],
    ]
    assert bool(same_id(ids, own=True).diagonal().all())


def test_bad_arguments_of_id_contrast_are_named() -> None:
    z1, z2 = two(3, 2)
    with pytest.raises(InputError, match="ids"):
        IdContrastLoss()(z1, z2, torch.tensor([0.0, 1.0, 1.0]))
    with pytest.raises(InputError, match="ids"):
        IdContrastLoss()(z1, z2, torch.tensor([0, 1]))
    with pytest.raises(InputError, match="temperature"):
        IdContrastLoss(0.0)
    with pytest.raises(InputError, match="normalize"):
        IdContrastLoss(normalize="channel")  # type: ignore[arg-type]
