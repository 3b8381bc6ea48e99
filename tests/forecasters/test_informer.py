"""Informer as encoder and decoder."""

from __future__ import annotations

import math

import pytest
import torch

from tscl.errors import InputError
from tscl.forecasters import InformerForecaster
from tscl.forecasters.informer import DecoderLayer
from tscl.seeding import seeded

SMALL = {"hidden_dims": 8, "heads": 2, "ffn_dims": 16, "dropout": 0.0}


def build(**more):
    with seeded(0, "weights"):
        return InformerForecaster(3, 5, 16, **{**SMALL, "layers": [3, 2], **more}).eval()


def test_masked_attention_against_loops():
    """Chosen queries attend to what is before them, the others have the sum of the values."""
    with seeded(1, "layer"):
        layer = DecoderLayer(8, 2, 8, 0.0, 1, mix=True).eval()
        q, k, v = torch.randn(3, 2, 2, 40, 4)
    found = layer._masked(q, k, v)
    chosen = layer.chosen.active(q, k)
    assert chosen.shape[-1] == math.ceil(math.log(40))
    for b in range(2):
        for h in range(2):
            active = set(chosen[b, h].tolist())
            for t in range(40):
                want = v[b, h, : t + 1].sum(dim=0)
                if t in active:
                    scores = k[b, h, : t + 1] @ q[b, h, t] / 2.0
                    want = torch.softmax(scores, dim=0) @ v[b, h, : t + 1]
                torch.testing.assert_close(found[b, h, t], want, atol=1e-5, rtol=1e-4)
    with seeded(1, "layer"):
        full = DecoderLayer(8, 2, 8, 0.0, 50, mix=True).eval()
    wanted = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(full._masked(q, k, v), wanted)


def test_the_stack_hands_over_all_its_encoders():
    network = build(layers=[3, 2, 1])
    x = torch.randn(2, 16, 3)
    assert network.memory(x, None).shape == (2, 4 + 4 + 4, 8)  # 16, 8 and 4 steps, distilled
    last = network.memory(torch.cat([torch.randn(2, 8, 3), x[:, 8:]], dim=1), None)
    assert not torch.equal(last[:, :4], network.memory(x, None)[:, :4])
    assert build(layers=2, distil=False).memory(x, None).shape == (2, 16, 8)
    twin = InformerForecaster(**network.config())
    twin.load_state_dict(network.state_dict())
    torch.testing.assert_close(twin.eval()(x), network(x))
    assert network(x).shape == (2, 5, 3)


def test_marks_and_targets():
    network = build(marks=2, targets=[1], label_length=4)
    x, past, future = torch.randn(2, 16, 3), torch.randn(2, 16, 2), torch.randn(2, 5, 2)
    out = network(x, past, future)
    assert out.shape == (2, 5, 1)
    assert not torch.allclose(out, network(x, past, future + 1))
    with pytest.raises(InputError, match="marks"):
        network(x)
    with pytest.raises(InputError, match="past"):
        network(x[:, :9], past, future)


@pytest.mark.parametrize(
    "wrong",
    [{"label_length": 17}, {"layers": []}, {"layers": [1] * 6}, {"hidden_dims": 6}, {"layers": 0}],
)
def test_arguments_that_cannot_be(wrong):
    with pytest.raises(InputError):
        build(**wrong)
