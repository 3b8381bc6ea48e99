"""Shapes and types of arguments, settings of a wrong type, and numbers at the ends of the range."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch

from tests.losses.test_contract import NAMES, SETTINGS, build, draw, finite_or_named, value
from tscl.errors import CheckpointError, ConfigError, InputError
from tscl.losses import LOSSES, MoCo, VICReg
from tscl.losses.base import unit
from tscl.losses.series.id_contrast import IdContrastLoss
from tscl.losses.series.views import check_series_views
from tscl.methods.comet_levels import Level, default_levels

IDS = torch.arange(6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", ["labels", "ids", "weights"])
def test_columns_of_another_shape_or_kind_are_named(name: str, field: str) -> None:
    z = draw(seed=1)
    wrong: list[Any] = [torch.ones(6, 1), torch.ones(6, 6), torch.tensor(1.0), [1.0] * 5]
    wrong += [np.ones((6, 1)), ["a"] * 6, [[1, 2], [3]], "abcdef", torch.ones(6) * 1j]
    for bad in wrong:
        with pytest.raises(InputError, match=field):
            value(build(name), z, **{field: bad})


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_a_pair_are_not_broadcast(name: str) -> None:
    with pytest.raises(InputError, match="weights"):
        value(build(name), draw(2, seed=1), weights=torch.ones(2, 1))


@pytest.mark.parametrize("name", NAMES)
def test_lists_and_arrays_are_taken(name: str) -> None:
    z, labels, weights = draw(seed=2), [0, 1, 2, 0, 1, 2], [1.0, 2.0, 0.5, 1.0, 1.0, 3.0]
    want = value(
        build(name), z, labels=torch.tensor(labels), ids=IDS, weights=torch.tensor(weights)
    )
    frozen = np.array(weights, dtype=np.float32)
    frozen.setflags(write=False)
    for make in (list, np.array):
        got = value(build(name), z, labels=make(labels), ids=make(range(6)), weights=frozen)
        assert got == want
    backwards = np.array(labels[::-1], dtype=np.uint16)[::-1]
    got = value(build(name), z, labels=backwards, ids=IDS, weights=weights)
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("name", NAMES)
def test_embeddings_that_are_no_tensors_or_have_no_width(name: str) -> None:
    z = draw(seed=3)
    for first, second, field in ((z[0].numpy(), z[1], "z1"), (z[0], z[1].numpy(), "z2")):
        with pytest.raises(InputError, match=f"^{field}.*torch tensor"):
            build(name)(first, second, labels=IDS % 3, ids=IDS)
    with pytest.raises(InputError, match=r"z1.*dimension"):
        build(name)(torch.zeros(2, 6, 0), None, labels=IDS % 3, ids=IDS)


def test_the_wrong_weight_is_shown() -> None:
    for bad in (math.inf, math.nan, -2.0):
        weights = torch.ones(6)
        weights[3] = bad
        with pytest.raises(InputError, match=f"weights: got {bad}"):
            value(build("infonce"), draw(), weights=weights)


@pytest.mark.parametrize("name", ["pamc", "meow"])
def test_clusterings_without_a_code_are_named(name: str) -> None:
    with pytest.raises(InputError, match="labels"):
        value(build(name), draw(), labels=torch.tensor([0.0, 1, 2, 0, 1, math.nan]))


def _numbers(name: str) -> list[str]:
    """Arguments of a loss whose default is a number or a pair of numbers."""
    known = inspect.signature(LOSSES.get(name).__init__).parameters
    found = []
    for key, parameter in known.items():
        default = parameter.default
        single = isinstance(default, int | float) and not isinstance(default, bool)
        if single or (isinstance(default, tuple) and not isinstance(default[0], str)):
            found.append(key)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_settings_of_a_wrong_type_are_named(name: str) -> None:
    for key in _numbers(name):
        for wrong in ("abc", None, "0.1", math.inf, math.nan, [], True):
            if wrong is None and key in ("factors", "tile"):
                continue  # all factors 1, no tiles
            with pytest.raises(InputError, match=key):
                LOSSES.build(name, **SETTINGS.get(name, {}) | {key: wrong})


@pytest.mark.parametrize(
    ("name", "key", "wrong"),
    [
        ("moco", "queue_size", 16.5),
        ("moco", "dims", "8"),
        ("simsiam", "dims", 8.5),
        ("hydra", "n_classes", "3"),
        ("adaptive_multi_head", "dims", "8"),
        ("individual_temperature", "n_samples", 2.5),
        ("sepclr", "common_dims", "4"),
        ("supremix", "window", "1"),
        ("infonce", "tile", 1.5),
        ("meow", "n_clusters", "48"),
    ],
)
def test_optional_settings_of_a_wrong_type_are_named(name: str, key: str, wrong: Any) -> None:
    with pytest.raises(InputError, match=key):
        LOSSES.build(name, **SETTINGS.get(name, {}) | {key: wrong})


@pytest.mark.parametrize("wrong", ["abc", None, "0.1", math.inf, 0.0])
def test_levels_name_a_temperature_that_is_no_number(wrong: Any) -> None:
    for kind in ("observation", "sample", "id"):
        with pytest.raises(ConfigError, match=r"level x\.params\.temperature"):
            Level("x", kind, params={"temperature": wrong})
    with pytest.raises(ConfigError, match=r"level patient\.params\.temperature"):
        default_levels(id_params={"temperature": wrong})
    with pytest.raises(InputError, match="temperature"):
        Level("x", "infonce", params={"temperature": wrong})
    with pytest.raises(InputError, match="temperature"):
        IdContrastLoss(wrong)


def test_lambdas_and_parameters_of_levels_are_named() -> None:
    for wrong in ("abcd", 1.0, (1, 1, "x", 1), (1, 1, 1, None), (1, 1, 1, math.inf)):
        with pytest.raises(ConfigError, match="lambdas"):
            default_levels(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"level x\.params"):
        Level("x", "id", params=[1])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e8, 1e15, 1e20, 1e30])
def test_large_embeddings_are_finite_or_named(name: str, scale: float) -> None:
    finite_or_named(build(name), draw(seed=4) * scale)


@pytest.mark.parametrize("name", NAMES)
def test_scale_of_the_weights_does_not_matter(name: str) -> None:
    z, weights = draw(seed=5), torch.tensor([1.0, 2.0, 0.0, 1.0, 3.0, 1.0])
    want = value(build(name), z, weights=weights)
    for scale in (1e38, 1e-38):
        got = value(build(name), z, weights=weights * scale)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    wide = value(build(name), z, weights=weights.double() * 1e200)
    torch.testing.assert_close(wide, want, rtol=1e-4, atol=1e-5)


def test_weights_too_large_to_be_added_up_are_named() -> None:
    for reduction in ("sum", "none"):
        with pytest.raises(InputError, match="weights"):
            value(build("infonce", reduction=reduction), draw(), weights=torch.full((6,), 1e38))


def test_unit_vectors_of_long_ones_keep_their_direction() -> None:
    z = draw(seed=6).requires_grad_()
    long = (z.detach() * 1e25).requires_grad_()
    torch.testing.assert_close(unit(long), unit(z))
    unit(long)[..., 0].sum().backward()
    unit(z)[..., 0].sum().backward()
    assert long.grad is not None
    assert z.grad is not None
    torch.testing.assert_close(long.grad * 1e25, z.grad)


def test_long_series_are_named() -> None:
    z = torch.full((2, 3, 4), 1e20)
    with pytest.raises(InputError, match="z1"):
        check_series_views(z, z)


def test_vicreg_leaves_out_samples_of_weight_zero() -> None:
    z = draw(7, seed=7, dtype=torch.float64)
    z.requires_grad_()
    weights = torch.tensor([1.0, 1, 1, 0, 1, 0, 1])
    kept = VICReg()(z[:, weights > 0], None)
    torch.testing.assert_close(VICReg()(z, None, weights=weights), kept)
    finite_or_named(VICReg(), draw(seed=7), weights=torch.eye(6)[2])


def test_a_saved_queue_of_another_size_is_refused() -> None:
    saved = MoCo(queue_size=16, dims=8).state_dict()
    for fresh in (MoCo(queue_size=8), MoCo(queue_size=32, dims=8)):
        with pytest.raises(CheckpointError, match="queue_size=16"):
            fresh.load_state_dict(saved)
    same = MoCo(queue_size=16)
    same.load_state_dict(saved)
    assert torch.equal(same.queue, saved["queue"])
