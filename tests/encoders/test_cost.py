"""The folded mixture is the mean of the separate convolutions: values and gradients."""

from __future__ import annotations

import pytest
import torch

from tests.reference.cost_encoder import PlainCoST, PlainDilated
from tests.rounding import rounding
from tscl.encoders import CoSTEncoder, DilatedConvEncoder, mixture
from tscl.encoders.convolution import shifted_conv
from tscl.encoders.mixture import frequency_conv, separate_convolutions
from tscl.seeding import seeded


def _encoder(dims: int = 12, causal: bool = False) -> CoSTEncoder:
    with seeded(0):
        return CoSTEncoder(3, dims, hidden_dims=8, depth=4, dropout=0.0, causal=causal)


def _series(batch: int, length: int) -> torch.Tensor:
    return torch.randn(batch, length, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [5, 131, 257, 700])
def test_folded_equals_plain_convolutions_in_float64(length: int, causal: bool) -> None:
    encoder = _encoder(causal=causal).double()
    plain = PlainCoST(encoder).double()
    x = _series(3, length).double()
    ramp = torch.linspace(-1, 1, length, dtype=torch.float64)[:, None]
    expected = plain(x)
    (expected * ramp).tanh().sum().backward()
    for kind in ("separate", "folded", "folded_fft"):
        encoder.mixture = kind
        encoder.zero_grad()
        out = encoder(x)
        torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-12)
        (out * ramp).tanh().sum().backward()
        for weight, conv in zip(encoder.weights, plain.convs, strict=True):
            torch.testing.assert_close(
                weight.grad, conv.weight.grad.permute(2, 1, 0), rtol=1e-9, atol=1e-11
            )
        for bias, conv in zip(encoder.biases, plain.convs, strict=True):
            torch.testing.assert_close(bias.grad, conv.bias.grad, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(
            encoder.backbone.blocks[0].conv1.weight.grad,
            plain.backbone.convs[0].weight.grad.permute(2, 1, 0),
            rtol=1e-9,
            atol=1e-11,
        )


@pytest.mark.parametrize("kind", ["folded", "folded_fft"])
@pytest.mark.parametrize("length", [200, 512])
@torch.no_grad()
def test_folded_in_float32_errs_by_rounding_alone(kind: str, length: int) -> None:
    dims, kernels = 64, (1, 2, 4, 8, 16, 32, 64, 128)
    encoder = _encoder(dims=dims)
    h = torch.randn(length, 4, dims, generator=torch.Generator().manual_seed(1))
    taps, bias = encoder.folded()
    exact = separate_convolutions(
        h.double(), [w.double() for w in encoder.weights], [b.double() for b in encoder.biases]
    )
    folding, longest = len(kernels), max(kernels)
    if kind == "folded":
        found = shifted_conv(h, taps, bias, causal=True)
        terms = [folding, longest * dims]
    else:
        found = frequency_conv(h, taps, bias)
        blocks = -(-length // mixture._BLOCK)
        size = -(-length // blocks) + longest - 1
        # there, the taps too, a complex product over the channels, and back
        terms = [folding, size, longest, 2 * dims, 2 * (size // 2 + 1)]
    error = float((found - exact).abs().max())
    assert 0 < error < rounding(terms, exact)
    # the bound is narrow: taps of 16 bits would not keep to it
    coarse = separate_convolutions(h.double(), [taps.bfloat16().double()], [bias.double()])
    assert float((coarse - exact).abs().max()) > rounding(terms, exact)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [3, 40, 201])
def test_dilated_equals_plain_convolutions(length: int, causal: bool) -> None:
    with seeded(0):
        encoder = DilatedConvEncoder(3, 10, 8, depth=6, causal=causal).eval().double()
    plain = PlainDilated(encoder).eval().double()
    x = _series(2, length).double()
    x[:, 1] = torch.nan
    torch.testing.assert_close(encoder(x), plain(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dilation", [1, 3, 9])
def test_gradients_of_shifted_taps(dilation: int, causal: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(7, 2, 3), (3, 3, 4), (4,)]
    inputs = [
        torch.randn(s, dtype=torch.float64, generator=generator, requires_grad=True) for s in shapes
    ]
    assert torch.autograd.gradcheck(
        lambda x, w, b: shifted_conv(x, w, b, dilation=dilation, causal=causal), inputs
    )


@pytest.mark.parametrize("block", [100, 3])
def test_gradients_in_the_frequency_domain(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture, "_BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    shapes = [(8, 2, 3), (4, 3, 2), (2,)]
    inputs = [
        torch.randn(s, dtype=torch.float64, generator=generator, requires_grad=True) for s in shapes
    ]
    assert torch.autograd.gradcheck(frequency_conv, inputs)
    torch.testing.assert_close(frequency_conv(*inputs), shifted_conv(*inputs, causal=True))


def test_long_kernels_by_time_blocks_equal_one_block() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9000, 1, 2, dtype=torch.float64, generator=generator)
    weight = torch.randn(16, 2, 2, dtype=torch.float64, generator=generator)
    bias = torch.zeros(2, dtype=torch.float64)
    expected = frequency_conv(x, weight, bias)
    torch.testing.assert_close(shifted_conv(x, weight, bias, causal=True), expected)


def test_parameter_gradients_do_not_share_memory() -> None:
    encoder = _encoder()
    encoder(_series(4, 200)).sum().backward()
    places = [p.grad.untyped_storage().data_ptr() for p in encoder.weights if p.grad is not None]
    assert len(places) == len(set(places)) == 8


def test_published_size_and_initial_range() -> None:
    encoder = CoSTEncoder(8)
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(26.75e6, rel=2e-3)
    for weight in encoder.weights:
        bound = (320 * weight.shape[0]) ** -0.5
        assert 0.99 * bound < weight.detach().abs().max() <= bound


def test_frequency_route_made_in_inference_mode_still_trains() -> None:
    encoder = _encoder()
    x = _series(4, 143)
    with torch.inference_mode():
        encoder(x)
    encoder(x).sum().backward()
    assert encoder.weights[0].grad is not None
