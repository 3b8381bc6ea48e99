"""End-to-end contrastive forecasting in its most direct form: the yardstick of the benchmark.

It does what the public code of arXiv 2306.12086 does, in own words: windows of float64 cut one by
one in Python, a mask drawn by numpy on the processor in every step, attention with its matrix of
weights and dropout on it, one pass of the encoder for the forecast and one for a masked view that
is compared with it, every step decoded, the hierarchical loss over whole similarity matrices, and
after an epoch both held-out parts in training's batches with the graph of every loss kept. What it
leaves out: ProbSparse attention and the search for anomalies in every backward pass
(``torch.autograd.set_detect_anomaly``), which the public code's script turns on.
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
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(hidden, heads, ffn, dropout) for _ in range(depth))
        self.norm, self.output = nn.LayerNorm(hidden), nn.Linear(hidden, output)
        self.decoder = nn.Sequential(
            nn.Linear(output + marks, output),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(output, channels),
        )

    def encode(self, h: Tensor) -> Tensor:
        for layer in self.layers:
            h = layer(h)
        return self.output(self.norm(h))

    def losses(
        self,
        past: Tensor,
        future: Tensor,
        past_marks: Tensor,
        future_marks: Tensor,
        *,
        contrast: bool,
    ) -> tuple[Tensor, Tensor]:
        """Forecast error and contrast."""
        steps = torch.cat([past, past_marks, torch.zeros_like(past[..., :1])], dim=-1)
        h = self.dropout(self.input(steps))
        embeddings = self.encode(h)
        rest = embeddings[:, : -self.horizon]
        known = torch.cat([past_marks[:, : rest.shape[1]], future_marks], dim=1)
        made = self.decoder(torch.cat([embeddings, known], dim=-1))
        mse = F.mse_loss(made[:, -self.horizon :], future)
        if not contrast:
            return mse, mse.new_zeros(())
        drawn = np.random.binomial(1, 1.0 - self.mask_rate, size=h.shape[:2])  # noqa: NPY002
        keep = torch.from_numpy(drawn).to(torch.bool).to(h.device)
        hidden = h.clone()
        hidden[~keep] = 0.0
        return mse, hierarchical(embeddings, self.encode(hidden))

    def loss(self, *batch: Tensor, weight: float) -> Tensor:
        """The loss of a batch (past, future, past_marks, future_marks)."""
        mse, contrast = self.losses(*(part.float() for part in batch), contrast=weight > 0.0)
        return (1.0 - weight) * mse + weight * contrast


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
