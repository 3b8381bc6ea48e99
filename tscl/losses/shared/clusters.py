"""Groups inside losses: deterministic k-means of a batch, codes of labels, sums of groups.

None of it reads a value back from a GPU, where groups that stay empty take the place of a number
of groups that is not known.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.losses.shared.settings import whole_setting


@torch.no_grad()
def kmeans(z: Tensor, k: int, iterations: int = 10) -> Tensor:
    """Group codes (N,) in 0..k'-1, k' <= min(k, N), of rows (N, D).

    Starts from the row nearest to the mean, then adds the row farthest from all centres, and so
    on; then Lloyd's steps. The result is a function of the rows alone. Empty groups vanish.

    Args:
        z: the rows.
        k: most groups.
        iterations: Lloyd's steps.

    Raises:
        InputError: k or iterations below 1.
    """
    whole_setting("k", k)
    whole_setting("iterations", iterations)
    chosen = torch.cdist(z, z.mean(dim=0, keepdim=True)).squeeze(1).argmin().reshape(1)
    nearest = torch.cdist(z, z[chosen]).squeeze(1)
    while len(chosen) < min(k, len(z)):
        further = nearest.argmax().reshape(1)
        chosen = torch.cat((chosen, further))
        nearest = torch.minimum(nearest, torch.cdist(z, z[further]).squeeze(1))
    points = z[chosen]
    empty = torch.zeros(len(points), dtype=torch.bool, device=z.device)
    for step in range(iterations + 1):
        code = torch.cdist(z, points).masked_fill(empty, torch.inf).argmin(dim=1)
        if step == iterations:
            break
        points, filled = group_sums(z, code, len(points))
        size = points.new_zeros(len(points)).index_add(0, code, torch.ones_like(z[:, 0]))
        points = points / size.clamp_min(1.0).unsqueeze(1)
        empty = ~filled
    return _numbered(code, len(points))


def _numbered(code: Tensor, most: int) -> Tensor:
    """Codes without the numbers that do not occur."""
    used = torch.zeros(most, dtype=torch.int64, device=code.device).scatter(0, code, 1)
    return (used.cumsum(0) - 1)[code]


def label_codes(labels: Tensor) -> Tensor:
    """Codes (N,) 0, 1, ... of labels (N,) in the order of the labels."""
    ordered, order = labels.sort(stable=True)
    step = torch.zeros_like(order)
    step[1:] = ordered[1:] != ordered[:-1]
    return torch.empty_like(order).scatter(0, order, step.cumsum(0))


def n_groups(code: Tensor, most: int) -> int:
    """Room for the groups of ``code``: their number, on a GPU the ``most`` there can be."""
    return most if code.device.type != "cpu" else int(code.max()) + 1


def group_sums(z: Tensor, code: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Sums of each group's rows, (k, D), and which groups have a row, (k,) boolean.

    Args:
        z: (N, D) rows.
        code: (N,) group of each, below k.
        k: groups.
    """
    sums = z.new_zeros(k, z.shape[1]).index_add(0, code, z)
    filled = torch.zeros(k, dtype=torch.bool, device=z.device)
    return sums, filled.scatter(0, code, torch.ones_like(code, dtype=torch.bool))
