"""Two-view softmax contrast inside many groups at once, in tiles that do not grow with the data.

A group holds m rows of view 1 and the m matching rows of view 2, stacked to r_1 .. r_n, n = 2m.
With logits s_ij = r_i . r_j / tau and p(i) the other view's row of the same item,

    l_i = -log( exp(s_{i p(i)}) / sum_{j != i} exp(s_ij) )

(the form of TS2Vec, arXiv 2106.10466, eqs. 1 and 2, which COMET, arXiv 2310.14017, takes over for
its observation and sample levels). The (groups, n, n) logits are built a tile at a time. The
gradient of a tile's terms is known as soon as its softmax is, so it is accumulated in the same
visit: nothing of size n x n is kept for the backward pass and no tile is computed twice.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Axis = Literal["time", "batch"]
TILE = 1 << 21
"""Most logits held at a time (8 MiB in float32); small groups go through in quarters of it."""


def accumulate_pairs(
    z1: Tensor,
    z2: Tensor,
    axis: Axis,
    *,
    grads: tuple[Tensor, Tensor] | None = None,
    coefficient: float = 1.0,
    temperature: float = 1.0,
    exclude: Tensor | None = None,
    tile: int = TILE,
) -> Tensor:
    """Mean of l_i over all rows of all groups, as a plain number without a graph.

    Args:
        z1: (B, T, D) embeddings of view 1.
        z2: (B, T, D) embeddings of view 2.
        axis: ``time`` contrasts the T steps of each sample (B groups of 2T rows); ``batch``
            contrasts the B samples at each step (T groups of 2B rows).
        grads: buffers shaped like ``z1`` and ``z2``; ``coefficient`` times the gradient of the
            mean is added to them in place. None computes the value only.
        coefficient: factor of the gradient.
        temperature: tau > 0.
        exclude: (m, m) boolean, True where item j must not be a negative of item i in either
            view, with m = T or B after ``axis``. The positive is never left out.
        tile: how many logits to hold at a time; at least one row of a group is held.
    """
    m = z1.shape[1] if axis == "time" else z1.shape[0]
    groups = z1.shape[0] if axis == "time" else z1.shape[1]
    n = 2 * m
    hidden = None if exclude is None else _hidden(exclude.to(z1.device))
    whole = n * n <= tile
    rows = n if whole else max(1, tile // n)
    chunk = max(1, tile // 4 // (n * n)) if whole else 1
    total = z1.new_zeros(())
    factor = coefficient / (groups * n * temperature)
    for first in range(0, groups, chunk):
        part = slice(first, min(first + chunk, groups))
        z = _gather(z1, z2, axis, part)
        gradient = torch.zeros_like(z) if grads is not None and not whole else None
        for top in range(0, n, rows):
            span = slice(top, min(top + rows, n))
            item = torch.arange(span.start, span.stop, device=z.device)
            other = (item - top, (item + m) % n)
            log_p = torch.bmm(z[:, span], z.transpose(1, 2)).div_(temperature)
            if hidden is None:
                log_p.diagonal(top, 1, 2).fill_(-torch.inf)
            else:
                log_p.masked_fill_(hidden[span], -torch.inf)
            log_p = log_p.log_softmax(-1)
            total += log_p[:, other[0], other[1]].sum()
            if grads is None:
                continue
            slope = log_p.exp_()
            slope[:, other[0], other[1]] -= 1.0
            if gradient is None:
                gradient = torch.bmm(slope + slope.transpose(1, 2), z)
            else:
                gradient[:, span] += torch.bmm(slope, z)
                gradient += torch.bmm(slope.transpose(1, 2), z[:, span])
        if grads is not None and gradient is not None:
            _scatter(gradient, grads, axis, part, factor)
    return -total / (groups * n)


def plain_pairs(
    z1: Tensor,
    z2: Tensor,
    axis: Axis,
    *,
    temperature: float = 1.0,
    exclude: Tensor | None = None,
) -> Tensor:
    """What :func:`accumulate_pairs` gives, with a graph, from all (groups, n, n) logits at once.

    Arguments as :func:`accumulate_pairs`.
    """
    z = _gather(z1, z2, axis, slice(None))
    n = z.shape[1]
    if exclude is None:
        exclude = torch.zeros(n // 2, n // 2, dtype=torch.bool)
    hidden = _hidden(exclude.to(z.device))
    log_p = (z @ z.transpose(1, 2) / temperature).masked_fill(hidden, -torch.inf).log_softmax(-1)
    item = torch.arange(n, device=z.device)
    return -log_p[:, item, (item + n // 2) % n].mean()


def _hidden(exclude: Tensor) -> Tensor:
    """(n, n) boolean of logits that count nowhere: the row itself and excluded negatives."""
    eye = torch.eye(len(exclude), dtype=torch.bool, device=exclude.device)
    across = exclude & ~eye
    within = exclude | eye
    return torch.cat((torch.cat((within, across), dim=1), torch.cat((across, within), dim=1)))


def _gather(z1: Tensor, z2: Tensor, axis: Axis, part: slice) -> Tensor:
    """The rows of both views of the groups in ``part``: (groups, n, D)."""
    if axis == "time":
        return torch.cat((z1[part], z2[part]), dim=1)
    return torch.cat((z1[:, part], z2[:, part]), dim=0).transpose(0, 1)


def _scatter(
    gradient: Tensor, grads: tuple[Tensor, Tensor], axis: Axis, part: slice, factor: float
) -> None:
    """Add ``factor`` times the (groups, n, D) gradient to the two views' buffers."""
    m = gradient.shape[1] // 2
    for buffer, half in zip(grads, (gradient[:, :m], gradient[:, m:]), strict=True):
        if axis == "time":
            buffer[part].add_(half, alpha=factor)
        else:
            buffer[:, part].add_(half.transpose(0, 1), alpha=factor)
