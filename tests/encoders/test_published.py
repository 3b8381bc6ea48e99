"""The networks of the end-to-end study's public code, written plainly as it writes them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.encoders import ENCODERS, LSTMEncoder
from tscl.encoders.base import Encoder
from tscl.errors import InputError
from tscl.forecasters import ForecastNetwork
from tscl.seeding import seeded

COUNTS = {"lstm": 660_992, "tcn": 515_392, "informer": 458_240, "dilated": 514_112}
"""Parameters of their encoders, the input's projection of seven columns included."""


def build(name: str, **params: Any) -> Encoder:
    with seeded(0):
        encoder: Encoder = ENCODERS.build(name, input_dims=7, published=True, **params)
    return encoder


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_initialisation(name: str) -> None:
    encoder = build(name, depth=5)
    assert sum(p.numel() for p in encoder.parameters()) == COUNTS[name]
    weight = encoder.input_fc[0].weight  # type: ignore[index]
    assert float(weight.std()) == pytest.approx(0.01, rel=0.15)
    network = ForecastNetwork(7, 24, encoder=name, encoder_params={"depth": 5}, published=True)
    head = 320 * 320 + 320 + 320 * 7 + 7
    assert sum(p.numel() for p in network.parameters()) == COUNTS[name] + head
    first, relu, last = network.decoder  # type: ignore[misc]
    assert isinstance(relu, nn.ReLU)
    for layer in (first, last):
        bound = math.sqrt(6 / (layer.in_features + layer.out_features))
        assert float(layer.weight.abs().max()) == pytest.approx(bound, rel=0.02)
        assert not layer.bias.any()


def in_projection(encoder: Encoder, x: Tensor) -> Tensor:
    """What comes into the network proper, without dropout."""
    linear = encoder.input_fc[0]  # type: ignore[index]
    return F.linear(x, linear.weight, linear.bias)


def plain_lstm(encoder: Any, x: Tensor) -> Tensor:
    hidden, _ = encoder.lstm(in_projection(encoder, x))
    return torch.relu(encoder.output_lstm(hidden)[0])


def plain_tcn(encoder: Any, x: Tensor) -> Tensor:
    """Weight norm by its formula, left padding, Conv1d channels first."""
    h = in_projection(encoder, x).transpose(1, 2)
    for number, block in enumerate(encoder.blocks):
        out = h
        for conv in block.convs:
            length, direction = conv.parametrizations.weight.parameters()
            flat = direction.permute(2, 1, 0)  # out, in, taps
            weight = length.reshape(-1, 1, 1) * flat / flat.flatten(1).norm(dim=1)[:, None, None]
            padded = F.pad(out, (2 * 2**number, 0))
            out = torch.relu(F.conv1d(padded, weight, conv.bias, dilation=2**number))
        if block.projector is not None:
            h = F.conv1d(h, block.projector.weight[..., None], block.projector.bias)
        h = torch.relu(out + h)
    assert block.projector is not None
    assert number == 3
    return h.transpose(1, 2)


def plain_informer(encoder: Any, x: Tensor) -> Tensor:
    """Post-norm layers of full attention, which ProbSparse is on short series, no positions."""
    h = in_projection(encoder, x)
    batch, steps, dims = h.shape
    for layer in encoder.layers:
        q, k, v = (
            part.view(batch, steps, layer.heads, -1).transpose(1, 2)
            for part in layer.qkv(h).chunk(3, dim=-1)
        )
        scores = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1) @ v
        h = layer.norm1(h + layer.out(scores.transpose(1, 2).reshape(batch, steps, dims)))
        first, _, _, second = layer.ffn
        h = layer.norm2(h + second(F.gelu(first(h))))
    return encoder.output_fc(encoder.norm(h))


@pytest.mark.parametrize(
    ("name", "plain", "params"),
    [
        ("lstm", plain_lstm, {"hidden_dims": 8, "depth": 2}),
        ("tcn", plain_tcn, {"hidden_dims": 8, "depth": 3}),
        ("informer", plain_informer, {"hidden_dims": 16, "heads": 2, "depth": 2}),
    ],
)
def test_against_the_plain_network(name: str, plain: Any, params: dict[str, Any]) -> None:
    encoder = build(name, output_dims=12, **params).eval()
    with torch.no_grad():
        for weight in encoder.parameters():  # as drawn they are so small that all is near zero
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) / 3)
        x = torch.randn(2, 9, 7, generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(encoder(x), plain(encoder, x), atol=1e-5, rtol=1e-4)
        if name == "informer":
            order = torch.randperm(9)
            torch.testing.assert_close(encoder(x[:, order]), encoder(x)[:, order])


def test_a_published_lstm_goes_on_from_its_state() -> None:
    encoder = build("lstm", output_dims=6, hidden_dims=4, depth=2).eval()
    assert isinstance(encoder, LSTMEncoder)
    x = torch.randn(2, 9, 7)
    with torch.no_grad():
        start, state = encoder.forward_from(x[:, :4])
        end, _ = encoder.forward_from(x[:, 4:], state)
        torch.testing.assert_close(torch.cat([start, end], dim=1), encoder(x))
        torch.testing.assert_close(encoder.forward_last(x), encoder(x)[:, -1])
    assert [tuple(part.shape) for part in state] == [(2, 2, 4)] * 2 + [(1, 2, 6)] * 2
    with pytest.raises(InputError, match="state"):
        encoder.forward_from(x, state[:2])


def test_the_forecast_is_the_last_outputs() -> None:
    params = {"hidden_dims": 4, "depth": 1}
    network = ForecastNetwork(
        3, 5, encoder="tcn", encoder_params=params, output_dims=6, decoder_dims=6, published=True
    ).eval()
    x = torch.randn(2, 8, 3)
    embeddings = network.encoder(x)
    torch.testing.assert_close(network(x), network.decoder(embeddings)[:, -5:])
    torch.testing.assert_close(network.represent(x), embeddings)
    assert ForecastNetwork(**network.config()).config() == network.config()
    with pytest.raises(InputError, match="last outputs"):
        network(x[:, :4])
    for wrong in ({"marks": 1}, {"patch": 2}, {"query": "append"}, {"decoder_dims": 0}):
        with pytest.raises(InputError, match="published"):
            ForecastNetwork(3, 5, encoder="tcn", published=True, **wrong)  # type: ignore[arg-type]
