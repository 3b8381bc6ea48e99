"""Deterministic k-means inside losses: groups of a batch's embeddings, without a gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.losses.shared.settings import whole_setting


@torch.no_grad()
def kmeans(z: Tensor, k: int, iterations: int = 10) -> Tensor:
    """Group codes (N,) in 0..k'-1, k' <= min(k, N), of rows (N, D).

    Starts from the row nearest to the mean, then adds the row farthest from all centres, and so
    on; then Lloyd's steps. The result is a function of the rows alone. Empty groups vanish.

    Raises:
        InputError: k or iterations below 1.
    """
    whole_setting("k", k)
    whole_setting("iterations", iterations)
    gap = torch.cdist(z, z.mean(dim=0, keepdim=True)).squeeze(1)
    centres = [z[gap.argmin()]]
    nearest = torch.cdist(z, centres[0].unsqueeze(0)).squeeze(1)
    while len(centres) < min(k, len(z)) and bool(nearest.max() > 0):
        centres.append(z[nearest.argmax()])
        nearest = torch.minimum(nearest, torch.cdist(z, centres[-1].unsqueeze(0)).squeeze(1))
    points = torch.stack(centres)
    for _ in range(iterations):
        code = torch.cdist(z, points).argmin(dim=1)
        used, code = torch.unique(code, return_inverse=True)
        moved = torch.zeros_like(points[: len(used)]).index_add(0, code, z)
        moved = moved / torch.bincount(code, minlength=len(used)).unsqueeze(1).to(z.dtype)
        if moved.shape == points.shape and torch.equal(moved, points):
            break
        points = moved
    _, code = torch.unique(torch.cdist(z, points).argmin(dim=1), return_inverse=True)
    made: Tensor = code
    return made
