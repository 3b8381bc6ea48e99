"""Pooling over time against loops, its limits and gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.comet import pooled_over_time
from tscl.errors import ConfigError, InputError
from tscl.pooling import POOLS, check_one_pooling, check_pooling, pool_multiscale, pool_time
from tscl.seeding import randn, torch_generator


def series(batch: int, length: int, dims: int, seed: int = 0) -> torch.Tensor:
    like = torch.zeros((), dtype=torch.float64)
    return randn((batch, length, dims), torch_generator(seed), like)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(1, 3),
    st.lists(st.sampled_from(POOLS), min_size=1, max_size=4, unique=True),
)
def test_pooling_matches_the_loop(batch: int, length: int, dims: int, names: list[str]) -> None:
    z = series(batch, length, dims)
    how = "+".join(names)
    told = [pooled_over_time(one, how) for one in z.numpy()]
    np.testing.assert_allclose(pool_time(z, how).numpy(), told, atol=1e-12)


@pytest.mark.parametrize("length", [1, 4])
def test_a_constant_code_has_a_finite_log_power_and_gradient(length: int) -> None:
    z = torch.ones(2, length, 3, dtype=torch.float64, requires_grad=True)
    value = pool_time(z, "log_std")
    assert value.detach().numpy() == pytest.approx(np.log(1e-3))
    assert torch.isfinite(torch.autograd.grad(value.sum(), z)[0]).all()


def test_pooling_gradcheck() -> None:
    z = series(2, 5, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: pool_time(v, "max+mean+log_std+std"), (z,))


def test_log_power_tells_rhythms_apart_that_mean_and_order_do_not() -> None:
    t = torch.arange(64, dtype=torch.float64)
    slow = torch.stack([torch.sin(2 * np.pi * t / 16 + phase) for phase in (0.0, 1.0, 2.0)])
    z = torch.cat([slow, 2 * slow]).unsqueeze(2)
    power = pool_time(z, "log_std").squeeze(1)
    torch.testing.assert_close(
        power[3:] - power[:3], torch.full_like(power[3:], np.log(2.0)), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(pool_time(z, "mean").squeeze(1), torch.zeros(6, dtype=z.dtype))


@pytest.mark.parametrize("how", ["median", "max+", "max+max", ""])
def test_unknown_poolings_are_named(how: str) -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.pooling"):
        check_pooling(how, "evaluate.pooling")


def test_where_the_width_must_stay_one_name_is_taken() -> None:
    assert check_one_pooling("log_std") == "log_std"
    assert check_one_pooling("random", more=("random",)) == "random"
    for how in ("max+mean", "random", "maximum"):
        with pytest.raises(ConfigError, match=r"pooling.*known: last, log_std, max, mean"):
            check_one_pooling(how)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(3, 40), st.integers(1, 3))
def test_every_scale_matches_the_loop(batch: int, length: int, dims: int) -> None:
    z = series(batch, length, dims)
    scales = [p for p in range(9) if 2**p + 1 < length]
    expected = np.empty((batch, length, len(scales), dims))
    for p in scales:
        for t in range(length):
            around = z[:, max(0, t - 2**p) : t + 2**p + 1]
            expected[:, t, p] = around.amax(dim=1).numpy()
    found = pool_multiscale(z)
    np.testing.assert_array_equal(found.numpy(), expected.reshape(batch, length, -1))


def test_two_steps_have_no_scale() -> None:
    with pytest.raises(InputError, match="three steps"):
        pool_multiscale(series(1, 2, 1))
