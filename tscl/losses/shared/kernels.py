"""Kernels over embeddings that the discrepancy and the dependence between sets are made of."""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_kernels(z: Tensor, n_kernels: int, spacing: float) -> Tensor:
    """Sum of Gaussian kernels of all pairs of rows, (N, N).

    Args:
        z: (N, D) rows.
        n_kernels: number of kernels.
        spacing: ratio of neighbouring bandwidths, around the mean squared distance of all pairs,
            which carries no gradient.
    """
    n = len(z)
    gram = z @ z.T
    norms = gram.diagonal()
    squared = (norms[:, None] + norms[None, :] - 2.0 * gram).clamp_min(0.0)
    squared = squared * (1.0 - torch.eye(n, dtype=squared.dtype, device=squared.device))
    bandwidth = squared.detach().sum() / (n * n - n)
    bandwidth = torch.where(bandwidth > 0, bandwidth, torch.ones_like(bandwidth))
    bandwidth = bandwidth / spacing ** (n_kernels // 2)
    kernel = torch.zeros_like(squared)
    for i in range(n_kernels):
        kernel = kernel + torch.exp(-squared / (bandwidth * spacing**i))
    return kernel
