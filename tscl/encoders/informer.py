"""Informer's encoder: a Transformer whose layers attend from the most active queries only.

Zhou et al., "Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting",
arXiv 2012.07436.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.encoders.base import ENCODERS, input_layer
from tscl.encoders.convolution import check_dims, check_dropout
from tscl.encoders.transformer import AttentionLayer, TransformerEncoder
from tscl.errors import InputError
from tscl.registry import constructor_arguments
from tscl.seeding import torch_generator


class ProbSparseAttention(nn.Module):
    """ProbSparse self-attention (Zhou et al. 2021, arXiv 2012.07436, eq. 3 and algorithm 1).

    A query's activity is measured on ``n = factor * ceil(ln T)`` keys drawn at random for it,

        M(q_i) = max_j s_ij - (1 / T) sum_j s_ij,      s_ij = q_i k_j / sqrt(d)

    and only the ``n`` queries with the largest M attend, to all keys; the output of every other
    query is the mean of the values. With ``n >= T`` this is full attention.

    Keys are drawn from torch's default generator in training (which the engine seeds for every
    step) and from ``seed``, ``layer`` and T in evaluation, so evaluation has one result.

    Args:
        factor: see above.
        seed: of the draws in evaluation.
        layer: number of the layer.
    """

    def __init__(self, factor: int, seed: int = 0, layer: int = 0) -> None:
        super().__init__()
        self.factor, self.seed, self.layer = factor, seed, layer

    def active(self, q: Tensor, k: Tensor) -> Tensor:
        """Positions (B, heads, n) of the most active queries."""
        length, dims = q.shape[-2:]
        n = max(1, self.factor * math.ceil(math.log(length)))
        generator = None
        if not self.training:
            generator = torch_generator(self.seed, "probsparse", self.layer, length)
        drawn = torch.randint(length, (length, min(n, length)), generator=generator).to(q.device)
        with torch.no_grad():
            sampled = k[..., drawn, :]  # (B, heads, T, n, d)
            scores = torch.matmul(sampled, q.unsqueeze(-1)).squeeze(-1) / math.sqrt(dims)
            measure = scores.amax(dim=-1) - scores.sum(dim=-1) / length
            return measure.topk(min(n, length), dim=-1).indices

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The attended values, (B, heads, T, d).

        Args:
            q: (B, heads, T, d) queries.
            k: (B, heads, T, d) keys.
            v: (B, heads, T, d) values.
        """
        length, dims = q.shape[-2:]
        if self.factor * math.ceil(math.log(length)) >= length:
            return F.scaled_dot_product_attention(q, k, v)
        index = self.active(q, k).unsqueeze(-1).expand(-1, -1, -1, dims)
        attended = F.scaled_dot_product_attention(q.gather(-2, index), k, v)
        return v.mean(dim=-2, keepdim=True).expand_as(v).scatter(-2, index, attended)


@ENCODERS.register("informer")
class InformerEncoder(TransformerEncoder):
    """Transformer encoder with ProbSparse attention in every layer; never causal.

    Which queries attend is chosen over the whole input, so no causal form can be exact and none
    is offered. Informer's distilling, which halves the length between layers, is left out: every
    step keeps its representation.

    Args:
        input_dims: channels C of the series.
        output_dims: embedding dimensions D.
        hidden_dims: width of the layers; ``hidden_dims / heads`` must be an even whole number.
        depth: number of layers.
        heads: attention heads.
        ffn_dims: width of the feed-forward part.
        dropout: probability of dropout on both branches.
        factor: of :class:`ProbSparseAttention`; 3 in the end-to-end study.
        sample_seed: of the keys drawn in evaluation.
        published: norms behind the residuals, no positions, and the input's projection of
            :func:`tscl.encoders.base.input_layer` (public code of arXiv 2306.12086).
        input_dropout: probability of dropout behind the input's projection, when ``published``.

    Raises:
        InputError: an argument out of range, or an input of another shape.

    Example:
        >>> encoder = InformerEncoder(2, output_dims=16, hidden_dims=8, depth=1, heads=2)
        >>> encoder(torch.zeros(3, 50, 2)).shape
        torch.Size([3, 50, 16])
    """

    name: ClassVar[str] = "informer"

    def __init__(
        self,
        input_dims: int,
        output_dims: int = 320,
        hidden_dims: int = 128,
        depth: int = 5,
        heads: int = 8,
        ffn_dims: int = 64,
        dropout: float = 0.05,
        factor: int = 3,
        sample_seed: int = 0,
        published: bool = False,
        input_dropout: float = 0.05,
    ) -> None:
        super().__init__(input_dims, output_dims, hidden_dims, depth, heads, ffn_dims, dropout)
        check_dims(factor=factor)
        if sample_seed < 0:
            raise InputError("sample_seed", sample_seed, "use 0 or more")
        check_dropout(input_dropout)
        self._config = constructor_arguments(locals())
        if published:
            self.positions = False
            self.input_fc = input_layer(input_dims, hidden_dims, published, input_dropout)
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, AttentionLayer)
            layer.attention = ProbSparseAttention(factor, sample_seed, number)
            layer.post = published
