"""Transformer encoder with relative positions, optionally causal and of limited context."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.encoders.base import ENCODERS, Encoder, project_input
from tscl.encoders.convolution import check_dims, check_dropout, check_series
from tscl.errors import InputError
from tscl.registry import constructor_arguments

Turns = tuple[Tensor, Tensor]
"""Cosine and sine (T, d / 2) of the angles of rotary positions."""


def _turns(length: int, dims: int, like: Tensor) -> Turns:
    """Angles of rotary positions (RoFormer, arXiv 2104.09864, eq. 34) for ``dims`` a head."""
    rates = 10000.0 ** (-torch.arange(0, dims, 2, dtype=torch.float64, device=like.device) / dims)
    angle = torch.outer(torch.arange(length, dtype=torch.float64, device=like.device), rates)
    return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


def _rotate(x: Tensor, turns: Turns) -> Tensor:
    """Rotary positions on (..., T, d)."""
    cos, sin = turns
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class AttentionLayer(nn.Module):
    """Self-attention and feed-forward, each with a residual, after a norm or (``post``) before.

    Args:
        dims: width D of the steps (B, T, D).
        heads: of the attention; they divide ``dims``.
        ffn_dims: width inside the feed-forward network.
        dropout: share in [0, 1) of both branches.
        causal: attend to the step itself and earlier ones.
        context: attend to fewer than so many steps away; None for all.
    """

    def __init__(
        self,
        dims: int,
        heads: int,
        ffn_dims: int,
        dropout: float,
        causal: bool,
        context: int | None,
    ) -> None:
        super().__init__()
        self.heads, self.causal, self.context = heads, causal, context
        self.norm1, self.norm2 = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.qkv = nn.Linear(dims, 3 * dims)
        self.out = nn.Linear(dims, dims)
        self.ffn = nn.Sequential(
            nn.Linear(dims, ffn_dims), nn.GELU(), nn.Dropout(dropout), nn.Linear(ffn_dims, dims)
        )
        self.dropout = nn.Dropout(dropout)
        self.attention: nn.Module | None = None  # what attends instead of the default
        self.post = False

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.attention is not None:
            result: Tensor = self.attention(q, k, v)
            return result
        if self.context is None:
            return F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        length, context = q.shape[-2], self.context
        block = max(context, 256)
        outputs = []
        for start in range(0, length, block):
            stop = min(length, start + block)
            low = max(0, start - context + 1)
            high = stop if self.causal else min(length, stop + context - 1)
            lag = torch.arange(start, stop, device=q.device).unsqueeze(1) - torch.arange(
                low, high, device=q.device
            )
            allowed = (lag >= 0) & (lag < context) if self.causal else lag.abs() < context
            outputs.append(
                F.scaled_dot_product_attention(
                    q[..., start:stop, :], k[..., low:high, :], v[..., low:high, :], allowed
                )
            )
        return torch.cat(outputs, dim=-2)

    def forward(self, x: Tensor, turns: Turns | None) -> Tensor:
        """(B, T, dims) to (B, T, dims), with the angles of the positions; None has none."""
        batch, length, dims = x.shape
        seen = x if self.post else self.norm1(x)
        qkv = self.qkv(seen).view(batch, length, 3, self.heads, dims // self.heads)
        qk, v = qkv.permute(2, 0, 3, 1, 4).split((2, 1))
        q, k = qk if turns is None else _rotate(qk, turns)
        attended = self._attend(q, k, v[0]).transpose(1, 2)
        x = x + self.dropout(self.out(attended.reshape(batch, length, dims)))
        if self.post:
            x = self.norm1(x)
            last: Tensor = self.norm2(x + self.dropout(self.ffn(x)))
            return last
        out: Tensor = x + self.dropout(self.ffn(self.norm2(x)))
        return out


@ENCODERS.register("transformer")
class TransformerEncoder(Encoder):
    """Linear layer, latent mask, ``depth`` pre-norm attention layers, norm, linear layer.

    Positions enter as rotations of queries and keys, so that only differences of time matter and
    a chunk of a series encodes as it does inside the series.

    Args:
        input_dims: channels C of the series.
        output_dims: embedding dimensions D.
        hidden_dims: width of the layers; ``hidden_dims / heads`` must be an even whole number.
        depth: number of layers.
        heads: attention heads.
        ffn_dims: width of the feed-forward part.
        dropout: probability of dropout on both branches.
        causal: attend to steps <= t only.
        context: attend to fewer than ``context`` steps away (the step itself counts as one); None
            is unlimited.

    Attributes:
        receptive_field: ``depth * (context - 1) + 1`` when causal, ``2 * depth * (context - 1)
            + 1`` when not, None without ``context``.

    Raises:
        InputError: an argument out of range, or an input of another shape.

    Example:
        >>> encoder = TransformerEncoder(2, 16, hidden_dims=8, depth=2, heads=2, context=10)
        >>> encoder.causal, encoder.receptive_field
        (False, 37)
        >>> encoder(torch.zeros(3, 50, 2)).shape
        torch.Size([3, 50, 16])
    """

    name: ClassVar[str] = "transformer"

    def __init__(
        self,
        input_dims: int,
        output_dims: int = 320,
        hidden_dims: int = 128,
        depth: int = 5,
        heads: int = 8,
        ffn_dims: int = 64,
        dropout: float = 0.05,
        causal: bool = False,
        context: int | None = None,
    ) -> None:
        super().__init__()
        check_dims(
            input_dims=input_dims,
            output_dims=output_dims,
            hidden_dims=hidden_dims,
            depth=depth,
            heads=heads,
            ffn_dims=ffn_dims,
        )
        check_dropout(dropout)
        if context is not None:
            check_dims(context=context)
        if hidden_dims % (2 * heads) != 0:
            raise InputError(
                "hidden_dims", hidden_dims, f"choose a multiple of 2 * heads = {2 * heads}"
            )
        self._config = constructor_arguments(locals())
        self.input_dims, self.output_dims, self.causal = input_dims, output_dims, causal
        self.head_dims, self.positions = hidden_dims // heads, True
        self.receptive_field = None
        if context is not None:
            self.receptive_field = depth * (context - 1) * (1 if causal else 2) + 1
        self.input_fc: nn.Module = nn.Linear(input_dims, hidden_dims)
        self.layers = nn.ModuleList(
            AttentionLayer(hidden_dims, heads, ffn_dims, dropout, causal, context)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(hidden_dims)
        self.output_fc = nn.Linear(hidden_dims, output_dims)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T, D); see :class:`tscl.encoders.base.Encoder`."""
        check_series(x, self.input_dims)
        h = project_input(x, self.input_fc, mask)
        turns = _turns(h.shape[1], self.head_dims, h) if self.positions else None
        for layer in self.layers:
            h = layer(h, turns)
        out: Tensor = self.output_fc(self.norm(h))
        return out
