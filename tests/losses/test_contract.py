"""What holds for every registered loss over (B, D) embeddings, whoever wrote it."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch

from tscl.errors import InputError
from tscl.losses import LOSSES, ContrastiveLoss
from tscl.losses.labelled import DrawingLoss
from tscl.seeding import torch_generator

SETTINGS: dict[str, dict[str, Any]] = {
    "byol": {"dims": 8},
    "hydra": {"n_classes": 6, "dims": 8},
    "simsiam": {"dims": 8},
}
"""Arguments without which a loss cannot be built."""

NAMES = [n for n in LOSSES.names() if issubclass(LOSSES.get(n), ContrastiveLoss)]
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def build(name: str, **params: Any) -> ContrastiveLoss:
    loss = LOSSES.build(name, **SETTINGS.get(name, {}), **params)
    assert isinstance(loss, ContrastiveLoss)
    return loss


def draw(n: int = 6, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(2, n, 8, generator=torch_generator(seed), dtype=torch.float64).to(dtype)


def value(loss: ContrastiveLoss, z: torch.Tensor, **options: Any) -> torch.Tensor:
    options.setdefault("labels", LABELS[: z.shape[1]])
    options.setdefault("ids", torch.arange(z.shape[1]))
    return loss(z[0], z[1], **options)


def finite_or_named(loss: ContrastiveLoss, z: torch.Tensor, **options: Any) -> None:
    """A finite value with a finite gradient, or an InputError."""
    z = z.clone().requires_grad_()
    try:
        got = value(loss, z, **options)
    except InputError:
        return
    assert torch.isfinite(got).all()
    if got.requires_grad:
        got.sum().backward()
        assert z.grad is None or torch.isfinite(z.grad).all()


def test_every_loss_is_covered():
    assert {"infonce", "ntxent", "mmd", "moco", "supcon"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_two_views_give_a_scalar_and_a_gradient(name):
    z = draw(seed=1).requires_grad_()
    got = value(build(name), z)
    assert got.shape == ()
    assert torch.isfinite(got)
    got.backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
    assert z.grad.abs().sum() > 0


@pytest.mark.parametrize("name", NAMES)
def test_views_as_one_tensor_are_the_same(name):
    z = draw(seed=2)
    options = {"labels": LABELS, "ids": torch.arange(6)}
    assert build(name)(z, None, **options) == build(name)(z[0], z[1], **options)


TWO_VIEWS = {"mmd", "sepclr"}
"""Losses that are defined between two views only."""


@pytest.mark.parametrize("name", NAMES)
def test_a_third_view_takes_part_or_is_refused(name):
    options = {"labels": LABELS, "ids": torch.arange(6)}
    z = torch.cat((draw(seed=2), draw(seed=3)[:1])).requires_grad_()
    if name in TWO_VIEWS:
        with pytest.raises(InputError, match="views"):
            build(name)(z, None, **options)
        return
    got = build(name)(z, None, **options)
    (gradient,) = torch.autograd.grad(got, z)
    assert torch.isfinite(gradient).all()
    assert gradient[0].abs().sum() > 0
    assert got != build(name)(z[:2], None, **options)
    if not isinstance(build(name), DrawingLoss):
        torch.testing.assert_close(build(name)(z[[0, 2, 1]], None, **options), got)


@pytest.mark.parametrize("name", NAMES)
def test_degenerate_batches_are_finite_or_named(name):
    finite_or_named(build(name), draw(1, seed=3))
    finite_or_named(build(name), draw(2, seed=3))
    for same in (torch.zeros(6, dtype=torch.int64), torch.arange(6)):
        finite_or_named(build(name), draw(seed=4), labels=same)
    finite_or_named(build(name), torch.zeros(2, 6, 8))
    finite_or_named(build(name), torch.ones(2, 6, 8))
    partly = draw(seed=5)
    partly[0, 2] = 0.0
    finite_or_named(build(name), partly)
    finite_or_named(build(name), draw(seed=5) * 1e-18)
    finite_or_named(build(name), draw(seed=5), weights=torch.zeros(6))
    finite_or_named(build(name), draw(seed=5), weights=torch.eye(6)[0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_embeddings_are_named(name, bad):
    z = draw(seed=6)
    z[1, 3, 2] = bad
    with pytest.raises(InputError, match="NaN or infinity"):
        value(build(name), z)


@pytest.mark.parametrize("name", NAMES)
def test_bad_arguments_are_named(name):
    z = draw(seed=7)
    options = {"labels": LABELS, "ids": torch.arange(6)}
    with pytest.raises(InputError, match="z1, z2"):
        build(name)(z[0], z[1, :4], **options)
    with pytest.raises(InputError, match="z1"):
        build(name)(z[0], None, **options)
    with pytest.raises(InputError, match="floating"):
        build(name)(z[0].long(), z[1].long(), **options)
    with pytest.raises(InputError, match="labels"):
        value(build(name), z, labels=LABELS[:4])
    with pytest.raises(InputError, match="ids"):
        value(build(name), z, ids=torch.arange(5))
    for weights in (-torch.ones(6), torch.full((6,), math.nan), torch.ones(5)):
        with pytest.raises(InputError, match="weights"):
            value(build(name), z, weights=weights)
    accepted = inspect.signature(LOSSES.get(name).__init__).parameters
    if "temperature" in accepted:
        for wrong in (0.0, -1.0, math.nan):
            with pytest.raises(InputError, match="temperature"):
                build(name, temperature=wrong)
    if "reduction" in accepted:
        with pytest.raises(InputError, match="reduction"):
            build(name, reduction="median")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_finite(name, dtype):
    """Finite values at any scale; gradients may leave half's range at a large one, never as NaN."""
    for scale in (1.0, 1e3):
        z = (draw(seed=8) * scale).to(dtype).requires_grad_()
        got = value(build(name), z)
        assert torch.isfinite(got)
        got.backward()
        assert z.grad is not None
        assert not torch.isnan(z.grad).any()
        assert scale > 1 or torch.isfinite(z.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_autocast_does_not_lower_the_precision(name):
    z = draw(seed=8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = value(build(name), z)
    torch.testing.assert_close(lowered, value(build(name), z), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_equal_weights_change_nothing(name):
    z = draw(seed=9, dtype=torch.float64)
    plain = value(build(name).double(), z)
    weighted = value(build(name).double(), z, weights=torch.full((6,), 3.0))
    torch.testing.assert_close(weighted, plain)


@pytest.mark.parametrize("name", NAMES)
def test_order_of_the_samples_does_not_matter(name):
    if isinstance(build(name), DrawingLoss):
        pytest.skip("draws its mixtures by position; the same in distribution only")
    z = draw(seed=10, dtype=torch.float64)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    plain = value(build(name).double(), z)
    shuffled = value(build(name).double(), z[:, order], labels=LABELS[order], ids=order)
    torch.testing.assert_close(shuffled, plain, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_state_round_trip(name):
    first = build(name)
    for step in range(3):
        value(first, draw(seed=20 + step))
    second = build(name)
    second.load_state_dict(first.state_dict())
    for step in range(2):
        z = draw(seed=30 + step)
        assert value(second, z) == value(first, z)
    for key, kept in first.state_dict().items():
        assert torch.equal(kept, second.state_dict()[key])


@pytest.mark.parametrize("name", NAMES)
def test_reductions_agree(name):
    if "reduction" not in inspect.signature(LOSSES.get(name).__init__).parameters:
        pytest.skip("a function of the whole batch; no reduction")
    z = draw(seed=11)
    each = value(build(name, reduction="none"), z)
    assert each.shape[-1] in (6, 1)  # one entry an anchor, or one for an episode
    total = value(build(name, reduction="sum"), z)
    torch.testing.assert_close(each.sum(), total)


@pytest.mark.parametrize("name", NAMES)
def test_gather_in_one_process_changes_nothing(name):
    z = draw(seed=12)
    loss = build(name)
    loss.gather = True
    assert value(loss, z) == value(build(name), z)
