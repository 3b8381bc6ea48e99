"""ProbSparse attention against its definition, and its one result in evaluation."""

from __future__ import annotations

import math

import pytest
import torch

from tscl.encoders import ENCODERS, InformerEncoder, TransformerEncoder
from tscl.encoders.informer import ProbSparseAttention
from tscl.errors import InputError
from tscl.seeding import seeded, torch_generator

SIZE = {"output_dims": 6, "hidden_dims": 8, "depth": 2, "heads": 2, "ffn_dims": 8}


def qkv(length=40, seed=0):
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, 3, length, 4, generator=g, dtype=torch.float64) for _ in range(3))


def slow(q, k, v, drawn, n):
    """Loops over queries; activity by the sampled keys, the rest get the mean of the values."""
    out = torch.empty_like(v)
    length, dims = q.shape[-2:]
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            measure = []
            for i in range(length):
                scores = [float(q[b, h, i] @ k[b, h, j]) / math.sqrt(dims) for j in drawn[i]]
                measure.append(max(scores) - sum(scores) / length)
            chosen = sorted(range(length), key=lambda i: -measure[i])[:n]
            for i in range(length):
                if i in chosen:
                    weights = [
                        math.exp(float(q[b, h, i] @ k[b, h, j]) / math.sqrt(dims))
                        for j in range(length)
                    ]
                    total = sum(weights)
                    out[b, h, i] = sum(w / total * v[b, h, j] for j, w in enumerate(weights))
                else:
                    out[b, h, i] = v[b, h].mean(dim=0)
    return out


def test_probsparse_against_loops():
    q, k, v = qkv()
    attention = ProbSparseAttention(factor=2, seed=5, layer=1).eval()
    n = 2 * math.ceil(math.log(40))
    drawn = torch.randint(40, (40, n), generator=torch_generator(5, "probsparse", 1, 40))
    torch.testing.assert_close(attention(q, k, v), slow(q, k, v, drawn.tolist(), n))
    assert torch.autograd.gradcheck(attention, tuple(t.requires_grad_() for t in qkv(9)))


@pytest.mark.parametrize("training", [False, True])
def test_a_large_factor_is_full_attention(training):
    with seeded(0):
        sparse = InformerEncoder(3, **SIZE, dropout=0.0, factor=50).train(training)
    full = TransformerEncoder(3, **SIZE, dropout=0.0).train(training)
    full.load_state_dict(sparse.state_dict())
    x = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(sparse(x), full(x))
    with seeded(0):
        few = InformerEncoder(3, **SIZE, dropout=0.0, factor=1).train(training)
    assert (few(x) - full(x)).abs().max() > 1e-3


def test_selected_over_all_queries_equals_full_attention():
    # the selecting route itself, not the short cut: n just below T leaves out a single query
    q, k, v = qkv(7)
    attention = ProbSparseAttention(factor=3).eval()
    made, full = attention(q, k, v), torch.nn.functional.scaled_dot_product_attention(q, k, v)
    differ = ((made - full).abs().amax(dim=-1) > 1e-9).sum(dim=-1)
    assert (differ == 1).all()


def test_evaluation_has_one_result_and_training_draws_anew():
    with seeded(0):
        encoder = ENCODERS.build("informer", input_dims=3, **SIZE, dropout=0.0, factor=1)
    x = torch.randn(2, 30, 3, generator=torch.Generator().manual_seed(1))
    encoder.eval()
    state = torch.get_rng_state()
    one = encoder(x)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, encoder(x))
    torch.testing.assert_close(one[:1], encoder(x[:1]))
    encoder.train()
    with seeded(1):
        first, second = encoder(x), encoder(x)
    with seeded(1):
        again = encoder(x)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    twin = InformerEncoder(**{**encoder.config(), "sample_seed": 9}).eval()
    twin.load_state_dict(encoder.state_dict())
    assert not torch.equal(twin(x), one)
    with pytest.raises(InputError, match="factor"):
        InformerEncoder(3, factor=0)
