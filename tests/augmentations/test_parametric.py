"""The learned augmentation: the gate's distribution, its gradient, and what passes unchanged."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from tests.reference import autotcl as slow
from tscl.augmentations.parametric import ParametricAugmentation, hard_concrete
from tscl.encoders import ENCODERS
from tscl.errors import InputError
from tscl.seeding import rand, randn, seeded, torch_generator


def network(**options) -> ParametricAugmentation:
    with seeded(0):
        embedder = ENCODERS.build(
            "dilated", input_dims=3, output_dims=6, hidden_dims=8, depth=2, dropout=0.0
        )
        return ParametricAugmentation(embedder, **options)


def test_gate_equals_the_formula():
    logits = torch.tensor([-2.0, 0.0, 0.4, 3.0], dtype=torch.float64)
    noise = torch.tensor([0.3, 0.5, 0.9, 0.05], dtype=torch.float64)
    got = hard_concrete(logits, noise, temperature=0.7, gamma=-0.1, zeta=1.1)
    expected = [
        slow.gate(float(w), float(u), 0.7, -0.1, 1.1) for w, u in zip(logits, noise, strict=True)
    ]
    assert got.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("logit", [-1.5, 0.0, 2.0])
def test_gate_is_distributed_as_its_formula(logit):
    """P(h <= s) = sigmoid(temperature * logit((s - gamma) / (zeta - gamma)) - w), u uniform."""
    gamma, zeta, temperature = -0.1, 1.1, 0.6
    noise = rand((20000,), torch_generator(3), torch.zeros(1, dtype=torch.float64))
    h = hard_concrete(
        torch.full((20000,), logit, dtype=torch.float64),
        noise,
        temperature=temperature,
        gamma=gamma,
        zeta=zeta,
    )

    def below(s: float) -> float:
        q = torch.tensor((s - gamma) / (zeta - gamma), dtype=torch.float64)
        return float(torch.sigmoid(temperature * torch.logit(q) - logit))

    # exact binomial intervals, one chance in ten thousand a bound
    for s in (0.0, 0.25, 0.5, 0.75):
        seen = int((h <= s).sum())
        low, high = stats.binom.interval(1 - 1e-4, 20000, below(s))
        assert low <= seen <= high
    assert 0 < int((h == 1.0).sum()) < 20000


def test_without_noise_the_gate_is_its_median():
    logits = torch.linspace(-3, 3, 9, dtype=torch.float64)
    half = torch.full_like(logits, 0.5)
    assert torch.equal(hard_concrete(logits, None), hard_concrete(logits, half))


def test_hard_gate_is_binary_with_the_soft_gradient():
    logits = torch.linspace(-2, 2, 8, dtype=torch.float64, requires_grad=True)
    noise = rand((8,), torch_generator(1), logits.detach())
    hard = hard_concrete(logits, noise, hard=True)
    soft = hard_concrete(logits, noise, hard=False)
    assert set(hard.detach().round(decimals=9).tolist()) <= {0.0, 1.0}
    assert ((hard > 0.5) == (soft > 0.5)).all()
    gradient = torch.autograd.grad(hard.sum(), logits)[0]
    assert torch.allclose(gradient, torch.autograd.grad(soft.sum(), logits)[0])


def test_view_is_the_product_and_both_heads_learn():
    made = network(hard=False)
    x = randn((2, 20, 3), torch_generator(2), torch.zeros(1))
    out = made(x, torch_generator(4))
    assert torch.allclose(out.view, out.g * out.h * x)
    out.view.square().sum().backward()
    for name in ("h_head", "g_head"):
        assert getattr(made, name).weight.grad.abs().sum() > 0
    assert (
        made.embedder.input_projection.weight.grad.abs().sum() > 0
        if hasattr(made.embedder, "input_projection")
        else any(p.grad is not None and p.grad.abs().sum() > 0 for p in made.embedder.parameters())
    )


def test_gradient_of_h_and_g_by_finite_differences():
    made = network(hard=False, temperature=0.8).double()
    x = randn((1, 6, 3), torch_generator(2), torch.zeros(1, dtype=torch.float64))

    def view(h_bias, g_bias):
        saved = made.h_head.bias, made.g_head.bias
        del made.h_head.bias, made.g_head.bias
        made.h_head.bias, made.g_head.bias = h_bias, g_bias
        try:
            return made(x, torch_generator(5)).view
        finally:
            del made.h_head.bias, made.g_head.bias
            made.h_head.bias, made.g_head.bias = saved

    biases = tuple((0.1 * torch.arange(3, dtype=torch.float64)).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(view, biases)


def test_missing_values_stay_missing_with_finite_gradients():
    made = network()
    x = randn((2, 12, 3), torch_generator(2), torch.zeros(1))
    x[0, 3, 1] = torch.nan
    out = made(x, torch_generator(4))
    assert torch.equal(out.view.isnan(), x.isnan())
    torch.nan_to_num(out.view).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.grad is not None)


def test_covariates_pass_and_initial_openness_is_set():
    made = network(fixed_channels=2, h_init=0.9, hard=False)
    with torch.no_grad():
        made.h_head.weight.zero_()
    x = randn((2, 12, 3), torch_generator(2), torch.zeros(1))
    out = made(x, torch_generator(4))
    assert torch.equal(out.view[..., :2], x[..., :2])
    assert out.openness.shape[-1] == 1
    assert torch.allclose(out.openness, torch.tensor(0.9))


def test_the_ablation_without_h_learns_g_alone():
    x = randn((2, 20, 3), torch_generator(2), torch.zeros(1))
    whole, ablated = network(hard=False), network(hard=False, use_h=False)
    ablated.load_state_dict(whole.state_dict())
    out = ablated(x, torch_generator(4))
    assert (out.h == 1).all()
    assert torch.allclose(out.view, out.g * x)
    assert torch.equal(out.g, whole(x, torch_generator(4)).g)
    out.view.square().sum().backward()
    assert ablated.h_head.weight.grad is None or not ablated.h_head.weight.grad.any()
    assert ablated.g_head.weight.grad.abs().sum() > 0


def test_public_logits_keep_at_least_even_odds():
    made = network(h_logits="sigmoid", hard=False)
    with torch.no_grad():
        made.h_head.bias.fill_(-50.0)
    x = randn((2, 12, 3), torch_generator(2), torch.zeros(1))
    closed = made(x, deterministic=True).h
    assert torch.allclose(closed, torch.tensor(0.5), atol=1e-5)


def test_seeds():
    made = network()
    x = randn((2, 30, 3), torch_generator(2), torch.zeros(1))
    again = [made(x, torch_generator(s)).h for s in (1, 1, 2)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"bias": 0.6}, "bias"),
        ({"gamma": 0.1}, "gamma, zeta"),
        ({"temperature": 0.0}, "temperature"),
        ({"h_logits": "double"}, "h_logits"),
        ({"fixed_channels": 3}, "fixed_channels"),
        ({"h_init": 1.0}, "h_init"),
    ],
)
def test_bad_options(options, field):
    with pytest.raises(InputError) as caught:
        network(**options)
    assert caught.value.field == field
