"""Informer as encoder and decoder, and its stack (Zhou et al. 2021, arXiv 2012.07436).

The decoder reads the last known steps and a step of zeros for each step of the horizon, and writes
the whole horizon at once (section 4.3). Between the encoder's layers a convolution and max-pooling
halve the length (distilling, eq. 5); the stack runs encoders of different depth on the whole input,
its last half, quarter, and so on, and hands all their outputs to the decoder. The form is that of
the public code, which the end-to-end study (arXiv 2306.12086) takes over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.encoders.convolution import check_dims, check_dropout
from tscl.encoders.informer import ProbSparseAttention
from tscl.encoders.transformer import AttentionLayer
from tscl.errors import InputError
from tscl.forecasters.simple_networks import WholeForecaster
from tscl.registry import constructor_arguments


class _StepEmbedding(nn.Module):
    """Circular convolution of the values, sinusoids of the place, a linear map of the marks."""

    def __init__(self, channels: int, marks: int, dims: int, dropout: float) -> None:
        super().__init__()
        self.values = nn.Conv1d(channels, dims, 3, padding=1, padding_mode="circular", bias=True)
        nn.init.kaiming_normal_(self.values.weight, nonlinearity="leaky_relu")
        self.marks = nn.Linear(marks, dims) if marks else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, marks: Tensor | None) -> Tensor:
        """(B, T, C) with marks (B, T, K) to (B, T, dims)."""
        h = self.values(x.transpose(1, 2)).transpose(1, 2)
        steps = torch.arange(h.shape[1], device=x.device, dtype=h.dtype)
        rates = torch.arange(0, h.shape[2], 2, device=x.device, dtype=h.dtype) / h.shape[2]
        angle = torch.outer(steps, torch.exp(-math.log(10_000.0) * rates))
        h = h + torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
        if self.marks is not None:
            h = h + self.marks(marks)
        out: Tensor = self.dropout(h)
        return out


class Distil(nn.Module):
    """Convolution, batch norm, ELU and max-pooling by two along time (eq. 5)."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(dims, dims, 3, padding=1, padding_mode="circular")
        self.norm = nn.BatchNorm1d(dims)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, dims) to (B, ceil(T / 2), dims)."""
        h = F.elu(self.norm(self.conv(x.transpose(1, 2))))
        return F.max_pool1d(h, 3, stride=2, padding=1).transpose(1, 2)


class DecoderLayer(nn.Module):
    """Masked ProbSparse self-attention, attention to the encoder, feed-forward; norms behind.

    Args:
        dims: width of the steps.
        heads: of the attention.
        ffn_dims: width inside the feed-forward network.
        dropout: share in [0, 1).
        factor: of the ProbSparse attention.
        mix: lay the heads of the self-attention out before its steps, as in the public code.
    """

    def __init__(
        self, dims: int, heads: int, ffn_dims: int, dropout: float, factor: int, mix: bool
    ) -> None:
        super().__init__()
        self.heads, self.factor, self.mix = heads, factor, mix
        self.qkv, self.out = nn.Linear(dims, 3 * dims), nn.Linear(dims, dims)
        self.chosen = ProbSparseAttention(factor)
        self.cross = nn.MultiheadAttention(dims, heads, dropout=dropout, batch_first=True)
        self.ffn = nn.Sequential(
            nn.Linear(dims, ffn_dims), nn.GELU(), nn.Dropout(dropout), nn.Linear(ffn_dims, dims)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dims) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """(B, T, dims) and the encoder's (B, S, dims) to (B, T, dims)."""
        batch, length, dims = x.shape
        parts = self.qkv(x).view(batch, length, 3, self.heads, dims // self.heads)
        attended = self._masked(*parts.permute(2, 0, 3, 1, 4))
        if not self.mix:
            attended = attended.transpose(1, 2)
        x = self.norms[0](x + self.dropout(self.out(attended.reshape(batch, length, dims))))
        x = self.norms[1](x + self.dropout(self.cross(x, memory, memory, need_weights=False)[0]))
        out: Tensor = self.norms[2](x + self.dropout(self.ffn(x)))
        return out

    def _masked(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The most active queries attend to steps up to their own; others get the sum of those."""
        length, dims = q.shape[-2:]
        if self.factor * math.ceil(math.log(max(length, 2))) >= length:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        index = self.chosen.active(q, k)
        allowed = torch.arange(length, device=q.device) <= index.unsqueeze(-1)
        rows = index.unsqueeze(-1).expand(-1, -1, -1, dims)
        attended = F.scaled_dot_product_attention(q.gather(-2, rows), k, v, allowed)
        return v.cumsum(dim=-2).scatter(-2, rows, attended)


class InformerForecaster(WholeForecaster):
    """Encoder and decoder with the interface of the forecasting network.

    Args:
        channels: C, value channels of the input.
        horizon: H, steps to forecast.
        input_length: L, steps of the input.
        marks: K, covariates known in past and future.
        targets: which channels are forecast; all when None.
        label_length: known steps the decoder reads; None takes half of the input.
        layers: of the encoder; of several numbers an encoder each, the stack.
        decoder_layers: of the decoder.
        hidden_dims: width, an even multiple of ``heads``.
        heads: attention heads.
        ffn_dims: width of the feed-forward parts.
        factor: of ProbSparse attention.
        dropout: everywhere.
        distil: halve the length between the encoder's layers.
        mix: see :class:`DecoderLayer`.

    Raises:
        InputError: an argument out of range or inputs of another shape.

    Example:
        >>> network = InformerForecaster(2, 3, 8, hidden_dims=8, heads=2, ffn_dims=8, layers=[2, 1])
        >>> network(torch.zeros(4, 8, 2)).shape
        torch.Size([4, 3, 2])
    """

    def __init__(
        self,
        channels: int,
        horizon: int,
        input_length: int,
        *,
        marks: int = 0,
        targets: Sequence[int] | None = None,
        label_length: int | None = None,
        layers: int | Sequence[int] = 5,
        decoder_layers: int = 1,
        hidden_dims: int = 320,
        heads: int = 8,
        ffn_dims: int = 2048,
        factor: int = 3,
        dropout: float = 0.05,
        distil: bool = True,
        mix: bool = True,
    ) -> None:
        super().__init__()
        depths = [layers] if isinstance(layers, int) else list(layers)
        label = max(1, input_length // 2) if label_length is None else label_length
        check_dims(
            **{"channels": channels, "horizon": horizon, "input_length": input_length},
            **{"label_length": label, "decoder_layers": decoder_layers, "factor": factor},
            **{"hidden_dims": hidden_dims, "heads": heads, "ffn_dims": ffn_dims},
            **{f"layers[{number}]": depth for number, depth in enumerate(depths)},
        )
        check_dropout(dropout)
        if hidden_dims % (2 * heads):
            raise InputError("hidden_dims", hidden_dims, f"choose a multiple of {2 * heads}")
        if label > input_length or not depths or input_length < 2 ** (len(depths) - 1):
            lengths = (input_length, label, depths)
            remedy = "the decoder reads known steps, and every encoder of the stack needs one"
            raise InputError("input_length, label_length, layers", lengths, remedy)
        self.targets = list(range(channels)) if targets is None else [int(t) for t in targets]
        self.channels, self.horizon, self.marks = channels, horizon, marks
        self.input_length, self.label = input_length, label
        self._config = constructor_arguments(locals(), targets=self.targets, label_length=label)
        self.past_embedding = _StepEmbedding(channels, marks, hidden_dims, dropout)
        self.future_embedding = _StepEmbedding(channels, marks, hidden_dims, dropout)
        sizes = (hidden_dims, heads, ffn_dims, dropout, factor)
        self.encoders = nn.ModuleList()
        for depth in depths:
            parts: list[nn.Module] = []
            for number in range(depth):
                parts += [Distil(hidden_dims)] if distil and number else []
                layer = AttentionLayer(*sizes[:-1], causal=False, context=None)
                layer.attention, layer.post = ProbSparseAttention(factor, layer=number), True
                parts.append(layer)
            self.encoders.append(nn.ModuleList([*parts, nn.LayerNorm(hidden_dims)]))
        self.decoder = nn.ModuleList(DecoderLayer(*sizes, mix) for _ in range(decoder_layers))
        self.norm = nn.LayerNorm(hidden_dims)
        self.projection = nn.Linear(hidden_dims, len(self.targets))

    def memory(self, past: Tensor, past_marks: Tensor | None) -> Tensor:
        """What the decoder attends to: the outputs of all encoders, one after the other."""
        h = self.past_embedding(past, past_marks)
        outputs = []
        for number, encoder in enumerate(self.encoders):
            part = h[:, -(h.shape[1] // 2**number) :]
            assert isinstance(encoder, nn.ModuleList)
            for layer in encoder:
                part = layer(part, None) if isinstance(layer, AttentionLayer) else layer(part)
            outputs.append(part)
        return torch.cat(outputs, dim=1)

    def forward(
        self, past: Tensor, past_marks: Tensor | None = None, future_marks: Tensor | None = None
    ) -> Tensor:
        """Forecast. Arguments as :meth:`ForecastNetwork.forward`."""
        self.check_past(past)
        known = past[:, -self.label :]
        zeros = past.new_zeros(len(past), self.horizon, self.channels)
        marks = None
        if self.marks:
            if past_marks is None or future_marks is None:
                raise InputError("past_marks, future_marks", None, f"pass {self.marks} covariates")
            marks = torch.cat([past_marks[:, -self.label :], future_marks], dim=1)
        h = self.future_embedding(torch.cat([known, zeros], dim=1), marks)
        memory = self.memory(past, past_marks)
        for layer in self.decoder:
            h = layer(h, memory)
        out: Tensor = self.projection(self.norm(h[:, -self.horizon :]))
        return out
