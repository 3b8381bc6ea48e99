"""End-to-end contrastive forecasting in its most direct form: the yardstick of the benchmark.

Windows cut one by one in Python, masks drawn by numpy on the processor in every step, attention
with its matrix of weights, one pass of the encoder for the forecast and one for either view, the
hierarchical loss over whole similarity matrices.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset


class Windows(Dataset):
    """Sample i: past and future values and their covariates from step i on."""

    def __init__(self, values: np.ndarray, marks: np.ndarray, length: int, horizon: int) -> None:
        self.values, self.marks = values, marks
        self.length, self.horizon = length, horizon

    def __len__(self) -> int:
        return len(self.values) - self.length - self.horizon + 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        middle = index + self.length
        end = middle + self.horizon
        return (
            self.values[index:middle],
            self.values[middle:end],
            self.marks[index:middle],
            self.marks[middle:end],
        )


class Attention(nn.Module):
    """Attention whose weights (B, heads, T, T) are written out."""

    def __init__(self, dims: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(dims, dims), nn.Linear(dims, dims)
        self.value, self.out = nn.Linear(dims, dims), nn.Linear(dims, dims)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dims = x.shape
        shape = (batch, length, self.heads, dims // self.heads)
        q, k, v = (layer(x).view(shape) for layer in (self.query, self.key, self.value))
        scores = torch.einsum("blhd,bshd->bhls", q, k)
        weights = self.dropout(torch.softmax(scores / math.sqrt(dims // self.heads), dim=-1))
        mixed = torch.einsum("bhls,bshd->blhd", weights, v).contiguous()
        return self.out(mixed.view(batch, length, dims))


class Layer(nn.Module):
    """Attention and feed-forward part, the norm after each sum."""

    def __init__(self, dims: int, heads: int, ffn_dims: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(dims, heads, dropout)
        self.conv1, self.conv2 = nn.Conv1d(dims, ffn_dims, 1), nn.Conv1d(ffn_dims, dims, 1)
        self.norm1, self.norm2 = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.dropout(self.attention(x)))
        y = self.dropout(F.gelu(self.conv1(x.transpose(1, 2))))
        return self.norm2(x + self.dropout(self.conv2(y).transpose(1, 2)))


class PlainForecaster(nn.Module):
    """Encoder and decoder of the end-to-end study."""

    def __init__(
        self,
        channels: int,
        marks: int,
        horizon: int,
        *,
        hidden: int = 128,
        depth: int = 5,
        heads: int = 8,
        ffn: int = 64,
        output: int = 320,
        dropout: float = 0.05,
        mask_rate: float = 0.3,
    ) -> None:
        super().__init__()
        self.horizon, self.mask_rate = horizon, mask_rate
        self.input = nn.Linear(channels + marks + 1, hidden)
        self.layers = nn.ModuleList(Layer(hidden, heads, ffn, dropout) for _ in range(depth))
        self.norm, self.output = nn.LayerNorm(hidden), nn.Linear(hidden, output)
        self.decoder = nn.Sequential(
            nn.Linear(output + marks, output),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(output, channels),
        )

    def encode(self, past: Tensor, marks: Tensor, *, hide: bool) -> Tensor:
        steps = torch.cat([past, marks, torch.zeros_like(past[..., :1])], dim=-1)
        missing = steps.isnan().any(dim=-1)
        steps[missing] = 0.0
        h = self.input(steps)
        if hide:
            drawn = np.random.binomial(1, 1.0 - self.mask_rate, size=h.shape[:2])  # noqa: NPY002
            keep = torch.from_numpy(drawn).to(torch.bool).to(h.device)
        else:
            keep = torch.ones(h.shape[:2], dtype=torch.bool)
        keep &= ~missing
        h[~keep] = 0.0
        for layer in self.layers:
            h = layer(h)
        return self.output(self.norm(h))

    def loss(
        self, past: Tensor, future: Tensor, past_marks: Tensor, future_marks: Tensor, weight: float
    ) -> Tensor:
        codes = self.encode(past, past_marks, hide=False)
        read = torch.cat([codes[:, -self.horizon :], future_marks], dim=-1)
        mse = F.mse_loss(self.decoder(read), future)
        if weight == 0.0:
            return mse
        z1 = self.encode(past, past_marks, hide=True)
        z2 = self.encode(past, past_marks, hide=True)
        return (1.0 - weight) * mse + weight * hierarchical(z1, z2)


def hierarchical(z1: Tensor, z2: Tensor) -> Tensor:
    """Instance and temporal contrast at every scale of max-pooling, whole matrices at once."""
    total, scales = z1.new_zeros(()), 0
    while z1.shape[1] > 1:
        total = total + 0.5 * across(z1.transpose(0, 1), z2.transpose(0, 1))
        total = total + 0.5 * across(z1, z2)
        scales += 1
        z1, z2 = (F.max_pool1d(z.transpose(1, 2), 2).transpose(1, 2) for z in (z1, z2))
    total = total + 0.5 * across(z1.transpose(0, 1), z2.transpose(0, 1))
    return total / (scales + 1)


def across(z1: Tensor, z2: Tensor) -> Tensor:
    """Row i of either view against all others of both, (G, N, D) each."""
    n = z1.shape[1]
    z = torch.cat([z1, z2], dim=1)
    similarity = torch.matmul(z, z.transpose(1, 2))
    logits = torch.tril(similarity, diagonal=-1)[:, :, :-1]
    logits = logits + torch.triu(similarity, diagonal=1)[:, :, 1:]
    logs = -F.log_softmax(logits, dim=-1)
    i = torch.arange(n)
    return (logs[:, i, n + i - 1].mean() + logs[:, n + i, i].mean()) / 2
