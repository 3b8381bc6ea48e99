"""Small generated clinical data and encoders for the tests of clinical evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass
class Cohort:
    X: np.ndarray
    label: np.ndarray
    patient: np.ndarray
    trial: np.ndarray
    sampling_rate: np.ndarray
    label_names: tuple[str, ...] = ("healthy", "ill")
    name: str = "cohort"


def cohort(
    n_patients: int = 18,
    trials: int = 3,
    samples: int = 4,
    steps: int = 32,
    channels: int = 2,
    effect: float = 2.0,
    seed: int = 0,
) -> Cohort:
    """Ill patients carry a slow wave of height ``effect`` in channel 0; every patient an offset."""
    rng = np.random.default_rng(seed)
    n = n_patients * trials * samples
    patient = np.repeat(np.arange(n_patients), trials * samples)
    trial = np.repeat(np.arange(n_patients * trials), samples)
    label = patient % 2
    X = rng.standard_normal((n, steps, channels))
    wave = np.sin(2 * np.pi * np.arange(steps) / steps * 2)
    X[..., 0] += effect * label[:, None] * wave
    X += 0.3 * rng.standard_normal((n_patients, 1, channels))[patient]
    return Cohort(X.astype(np.float32), label, patient, trial, np.full(n, 32.0))


def thirds(data: Cohort) -> dict[str, np.ndarray]:
    """Split by patient: the first half trains, then a quarter each."""
    n = data.patient.max() + 1
    cut, end = n // 2, n // 2 + n // 4
    return {
        "train": np.flatnonzero(data.patient < cut),
        "valid": np.flatnonzero((data.patient >= cut) & (data.patient < end)),
        "test": np.flatnonzero(data.patient >= end),
    }


class TinyEncoder(nn.Module):
    """One convolution and dropout, (B, T, C) to (B, T, D)."""

    def __init__(self, input_dims: int = 2, output_dims: int = 12, dropout: float = 0.1) -> None:
        super().__init__()
        self.input_dims, self.output_dims = input_dims, output_dims
        self.causal, self.receptive_field = False, 9
        self.conv = nn.Conv1d(input_dims, output_dims, 9, padding=4)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.dropout(torch.relu(self.conv(x.transpose(1, 2)).transpose(1, 2)))
