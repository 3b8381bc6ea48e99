"""InfoNCE in tiles equals the whole matrix; against loops; across processes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import multiprocessing

from tests.losses.gather_worker import LOSSES_TO_GATHER, build, views_of, worker
from tests.reference import contrastive_losses as slow
from tscl.errors import InputError
from tscl.losses import InfoNCE, NTXent
from tscl.losses.shared.tiled_infonce import own_lse, pair_lse
from tscl.seeding import torch_generator


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch_generator(seed), dtype=dtype)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 9),
    tile=st.integers(1, 11),
    temperature=st.sampled_from([0.001, 0.05, 1.0]),
    negatives=st.sampled_from(["cross", "both"]),
    symmetric=st.booleans(),
    n_views=st.integers(2, 3),
)
def test_tiles_change_neither_value_nor_gradient(
    n, tile, temperature, negatives, symmetric, n_views
):
    z = draw(n_views, n, 4, seed=n).requires_grad_()
    options = {"negatives": negatives, "symmetric": symmetric}
    whole = InfoNCE(temperature, "none", tile=None, **options)(z)
    tiled = InfoNCE(temperature, "none", tile=tile, **options)(z)
    torch.testing.assert_close(tiled, whole, rtol=1e-9, atol=1e-9)
    weight = draw(*whole.shape, seed=3)
    expected = torch.autograd.grad((whole * weight).sum(), z)[0]
    got = torch.autograd.grad((tiled * weight).sum(), z)[0]
    torch.testing.assert_close(got, expected, rtol=1e-7, atol=1e-8)


def test_ntxent_equals_the_loop_with_and_without_tiles():
    z = draw(2, 6, 3, seed=5)
    expected = slow.ntxent(z.numpy(), 0.3)
    assert float(NTXent(0.3, tile=None)(z)) == pytest.approx(expected, rel=1e-10)
    assert float(NTXent(0.3, tile=4)(z)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("tile", [2, 8])
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_gradcheck_of_all_routes(scale, tile):
    """Scale 40 leaves the range in which one exponential serves; tile 8 keeps one block."""
    a, b = draw(4, 3, seed=1), draw(5, 3, seed=2)
    a, b = (x.mul(scale).requires_grad_() for x in (a, b))
    assert torch.autograd.gradcheck(lambda x, y: pair_lse(x, y, 1.0, tile), (a, b))
    assert torch.autograd.gradcheck(lambda x: own_lse(x, 1.0, tile), (a,))
    row, column = pair_lse(a, b, 1.0, tile)
    torch.testing.assert_close(row, (a @ b.T).logsumexp(1))
    torch.testing.assert_close(column, (a @ b.T).logsumexp(0))


def test_float32_tiles_stay_close_at_a_small_temperature():
    z = draw(2, 300, 16, seed=6, dtype=torch.float32).requires_grad_()
    for tau in (0.02, 0.1):
        exact = z.detach().double().requires_grad_()
        loss, reference = NTXent(tau, tile=64)(z), NTXent(tau, tile=None)(exact)
        assert loss.item() == pytest.approx(reference.item(), rel=1e-5)
        got, expected = torch.autograd.grad(loss, z)[0], torch.autograd.grad(reference, exact)[0]
        assert (got - expected).norm() < 1e-4 * expected.norm()


def test_tiles_hold_no_matrix_of_the_batch():
    """What autograd keeps between the passes grows with the batch, not with its square."""
    kept: list[int] = []

    def record(x: torch.Tensor) -> torch.Tensor:
        kept.append(x.numel())
        return x

    z = draw(2, 200, 4, seed=7).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(record, lambda x: x):
        NTXent(0.1, tile=32)(z)
        assert max(kept) <= 2 * 200 * 4
        NTXent(0.1, tile=None)(z)
        assert max(kept) >= 200 * 200


def test_closed_form_and_bad_tiles():
    same = torch.ones(2, 6, 3, dtype=torch.float64)
    assert float(InfoNCE(0.5, tile=4)(same)) == pytest.approx(math.log(6))
    assert float(NTXent(0.5, tile=4)(same)) == pytest.approx(math.log(11))
    with pytest.raises(InputError) as caught:
        InfoNCE(tile=0)
    assert caught.value.field == "tile"


def test_two_processes_equal_one(tmp_path):
    """Loss and mean gradient of two processes with unequal batches are those of one process."""
    multiprocessing.spawn(worker, args=(2, str(tmp_path)), nprocs=2, join=True)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for name in LOSSES_TO_GATHER:
        weight = torch.eye(4, dtype=torch.float64).requires_grad_()
        z, ids, weights = views_of(None)
        loss = build(name)(z @ weight, None, labels=ids % 2, ids=ids, weights=weights)
        loss.backward()
        for part in parts:
            assert part[name][0] == pytest.approx(loss.item(), rel=1e-9), name
        mean = (parts[0][name][1] + parts[1][name][1]) / 2
        torch.testing.assert_close(mean, weight.grad, rtol=1e-8, atol=1e-9)
        lone = build(name)
        lone.gather = False
        half, ids, weights = views_of(0)
        apart = lone(half, None, labels=ids % 2, ids=ids, weights=weights)
        assert abs(apart.item() - loss.item()) > 1e-6
