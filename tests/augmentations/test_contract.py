"""What every registered augmentation must do; a new one needs an entry in NULL only."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tscl.augmentations import AUGMENTATIONS, Augmentation
from tscl.errors import InputError
from tscl.seeding import torch_generator

PARTS = ["jitter", "time_warp"]
# Constructor arguments at which the augmentation changes nothing.
NULL: dict[str, dict[str, Any]] = {
    "band_stop": {"rate": 100.0, "width": 0.0},
    "baseline_wander": {"rate": 100.0, "amplitude": 0.0},
    "channel_dropout": {"ratio": 0.0},
    "ecg": {"strength": 0.0},
    "eeg": {"strength": 0.0},
    "fourier_surrogate": {"strength": 0.0},
    "mains_hum": {"rate": 200.0, "amplitude": 0.0},
    "muscle_noise": {"rate": 100.0, "amplitude": 0.0},
    "polarity": {"ratio": 0.0},
    "speed": {"factor": 1.0},
    "swap_sides": {"ratio": 0.0},
    "time_out": {"longest": 0.0},
    "compose": {"augmentations": [{"name": "jitter", "sigma": 0.0}]},
    "cutout": {"ratio": 0.0},
    "frequency_mask": {"ratio": 0.0},
    "jitter": {"sigma": 0.0},
    "keep_channels": {"channels": None},
    "magnitude_warp": {"sigma": 0.0},
    "permutation": {"max_segments": 1},
    "random_choice": {"augmentations": [{"name": "scaling", "sigma": 0.0}]},
    "scale_shift_jitter": {"sigma": 0.0},
    "scaling": {"sigma": 0.0},
    "shift": {"sigma": 0.0},
    "subsequence": {"ratio": 1.0},
    "time_warp": {"sigma": 0.0},
    "window_slice": {"ratio": 1.0},
    "window_warp": {"ratio": 0.0},
}
BASIC: dict[str, dict[str, Any]] = {
    "band_stop": {"rate": 100.0},
    "baseline_wander": {"rate": 100.0},
    "compose": {"augmentations": PARTS},
    "mains_hum": {"rate": 200.0},
    "muscle_noise": {"rate": 100.0},
    "random_choice": {"augmentations": PARTS},
}
DETERMINISTIC = ("keep_channels", "swap_sides")  # by default; the swap needs to know the channels
NAMES = AUGMENTATIONS.names()


def build(name: str, **params: Any) -> Augmentation:
    return AUGMENTATIONS.build(name, **{**BASIC.get(name, {}), **params})


def series(b: int = 6, t: int = 40, c: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(b, t, c, generator=torch_generator(0, "data"), dtype=dtype)


def view(augmentation: Augmentation, x: Tensor, seed: int = 1) -> Tensor:
    return augmentation(x, torch_generator(seed, "view"))


def test_every_name_has_a_null_setting() -> None:
    assert set(NULL) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, deadline=None)
@given(b=st.integers(1, 5), t=st.integers(1, 33), c=st.integers(1, 4), seed=st.integers(0, 99))
def test_shape_dtype_and_finiteness(name: str, b: int, t: int, c: int, seed: int) -> None:
    x = series(b, t, c)
    before = x.clone()
    out = view(build(name), x, seed)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert torch.isfinite(out).all()
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_dtype_is_kept(name: str, dtype: torch.dtype) -> None:
    assert view(build(name), series(dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("name", [n for n in NAMES if n not in DETERMINISTIC])
def test_seed_decides_the_view(name: str) -> None:
    x, augmentation = series(b=16), build(name)
    first = view(augmentation, x, 1)
    assert torch.equal(first, view(augmentation, x, 1))
    assert not torch.equal(first, view(augmentation, x, 2))
    assert not torch.equal(first, x)


@pytest.mark.parametrize("name", NAMES)
def test_the_global_generator_is_left_alone(name: str) -> None:
    state = torch.get_rng_state()
    view(build(name, p=0.5), series())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=6, deadline=None)
@given(t=st.integers(1, 300))
def test_zero_strength_is_the_identity_to_the_bit(name: str, t: int) -> None:
    x = series(t=t)
    assert torch.equal(view(AUGMENTATIONS.build(name, **NULL[name]), x), x)


@pytest.mark.parametrize("name", NAMES)
def test_probability_zero_and_one_half(name: str) -> None:
    x = series(b=400, t=16, c=1)
    assert torch.equal(view(build(name, p=0.0), x), x)
    if name == "scale_shift_jitter":  # its p is each part's
        return
    changed = (view(build(name, p=0.5), x) != x).any(dim=(1, 2)).float().mean()
    full = (view(build(name), x) != x).any(dim=(1, 2)).float().mean()
    assert abs(float(changed) - 0.5 * float(full)) < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_samples_do_not_mix(name: str) -> None:
    x = series()
    other = x.clone()
    other[0] = 7.0
    assert torch.equal(view(build(name), x)[1:], view(build(name), other)[1:])


@pytest.mark.parametrize("name", NAMES)
def test_channels_do_not_mix(name: str) -> None:
    x = series()
    other = x.clone()
    other[..., 1] = 7.0
    out, changed = view(build(name), x), view(build(name), other)
    assert torch.equal(out[..., 0], changed[..., 0])
    assert torch.equal(out[..., 2], changed[..., 2])
    assert not torch.equal(out[..., 1], changed[..., 1])


@pytest.mark.parametrize("name", NAMES)
def test_one_warp_for_all_channels(name: str) -> None:
    augmentation = build(name)
    if augmentation.form in ("additive", "composite") or name in ("channel_dropout", "scaling"):
        pytest.skip("noise differs by channel on purpose")
    out = view(augmentation, series(c=1).expand(-1, -1, 3))
    assert torch.equal(out[..., 0], out[..., 2])


@pytest.mark.parametrize("name", [n for n in NAMES if "per_channel" in AUGMENTATIONS.parameters(n)])
def test_per_channel_differs_by_channel_and_shared_does_not(name: str) -> None:
    x = series(c=1).expand(-1, -1, 3)
    apart = view(build(name, per_channel=True), x)
    shared = view(build(name, per_channel=False), x)
    assert not torch.equal(apart[..., 0], apart[..., 1])
    assert torch.equal(shared[..., 0], shared[..., 1])


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_in_its_channel_and_place(name: str) -> None:
    x = series()
    x[0, 5:8, 1] = torch.nan
    x[1, :, 2] = torch.nan
    fixed = {"relative": False} if "relative" in AUGMENTATIONS.parameters(name) else {}
    augmentation = build(name, **fixed)  # a channel's deviation is that of the values present
    out, missing = view(augmentation, x), x.isnan()
    clean = ~missing.any(dim=1)
    assert torch.isfinite(out.transpose(1, 2)[clean]).all()
    assert out[1, :, 2].isnan().all()
    if augmentation.form in ("factor", "additive", "linear"):
        assert torch.equal(out.isnan(), missing)
    whole = view(augmentation, torch.nan_to_num(x))
    kept = ~out.isnan()
    assert torch.equal(out[kept], whole[kept])


@pytest.mark.parametrize("name", NAMES)
def test_gradient_by_finite_differences(name: str) -> None:
    x = series(2, 9, 2, torch.float64).requires_grad_()
    augmentation = build(name)
    assert torch.autograd.gradcheck(lambda y: view(augmentation, y), (x,))


@pytest.mark.parametrize("name", NAMES)
def test_linear_forms_are_linear(name: str) -> None:
    augmentation = build(name)
    if augmentation.form not in ("factor", "index", "linear"):
        pytest.skip("adds noise")
    x, y = series(dtype=torch.float64), series(dtype=torch.float64).flip(1)
    left = view(augmentation, 2 * x - y)
    right = 2 * view(augmentation, x) - view(augmentation, y)
    torch.testing.assert_close(left, right)


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_named(name: str) -> None:
    with pytest.raises(InputError, match="x: got"):
        build(name)(torch.randn(5, 4))
    with pytest.raises(InputError, match="float"):
        build(name)(torch.ones(2, 5, 4, dtype=torch.long))
    with pytest.raises(InputError, match="p: got"):
        build(name, p=1.5)
