"""What an embedding or a temperature does: alignment, uniformity, tolerance, penalties by hardness.

For unit embeddings u of samples x and their second views v:

    alignment   = mean ||u - v||^alpha                    (Wang & Isola, arXiv 2005.10242)
    uniformity  = log mean_{i != j} exp(-t ||u_i - u_j||^2)    (the same)
    tolerance   = mean of u_i . u_j over pairs of one class    (Wang & Liu, arXiv 2012.09740)

Wang & Liu also show that the gradient of InfoNCE on a negative of similarity s_ij, relative to the
gradient on the positive, is

    r_ij = exp(s_ij / tau) / sum_{k != i} exp(s_ik / tau),

so that a small temperature spends the gradient on the hardest negatives and a large one spreads it.
All figures are plain numbers without a graph; embeddings are normalised first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import stack_views, unit

ROWS = 1024
"""Rows of a similarity matrix held at a time."""


@dataclass(frozen=True)
class Penalty:
    """What InfoNCE at one temperature does to the negatives of an average anchor.

    Attributes:
        temperature: tau.
        hardest_share: share of the negative gradient that falls on the hardest negatives.
        effective_negatives: exp of the entropy of r_i: how many negatives receive gradient,
            from 1 (the hardest only) to B - 1 (all alike).
        positive_gradient: mean of 1 - p_i, the size of the gradient on the positive (in units
            of 1 / tau), with p_i the softmax probability of the positive.
    """

    temperature: float
    hardest_share: float
    effective_negatives: float
    positive_gradient: float


@torch.no_grad()
def alignment(z1: Tensor, z2: Tensor, alpha: float = 2.0) -> float:
    """Mean ``alpha``-th power of the distance of two views' embeddings; >= 0.

    Args:
        z1: (B, D).
        z2: (B, D).
        alpha: the power.
    """
    u, v = unit(stack_views(z1, z2))
    if not alpha > 0:
        raise InputError("alpha", alpha, "choose a power above 0")
    return float((u - v).norm(dim=-1).pow(alpha).mean())


@torch.no_grad()
def uniformity(z: Tensor, t: float = 2.0) -> float:
    """Log mean Gaussian potential of all pairs of ``z`` (B, D), B >= 2; in [-4 t, 0], low is even.

    Zero when all embeddings coincide.
    """
    u = _checked(z)
    if not t > 0:
        raise InputError("t", t, "choose a value above 0")
    n = len(u)
    if n < 2:
        raise InputError("batch size", n, "uniformity compares pairs; pass at least two")
    parts = []
    norms = u.square().sum(1)
    for top in range(0, n, ROWS):
        rows = u[top : top + ROWS]
        squared = (norms[top : top + ROWS, None] + norms - 2.0 * rows @ u.T).clamp_min(0.0)
        logits = -t * squared
        logits.diagonal(top).fill_(-math.inf)
        parts.append(logits.logsumexp(1))
    return float(torch.cat(parts).logsumexp(0) - math.log(n) - math.log(n - 1))


@torch.no_grad()
def tolerance(z: Tensor, labels: Tensor) -> float:
    """Mean similarity of two different samples of one class; ``z`` (B, D), ``labels`` (B,).

    In [-1, 1]; NaN is never returned: without a pair of one class it is an error. (The paper
    writes the mean over all pairs with the other pairs set to zero, which also measures how
    many classes there are; multiply by :func:`same_class_share` for that figure.)

    Raises:
        InputError: labels that do not fit, or no two samples of one class.
    """
    u = _checked(z)
    total, pairs = 0.0, 0
    for top in range(0, len(u), ROWS):
        same = _same(labels, len(u), top)
        total += float((u[top : top + ROWS] @ u.T).masked_fill(~same, 0.0).sum())
        pairs += int(same.sum())
    if pairs == 0:
        raise InputError("labels", "no class with two samples", "tolerance needs pairs of a class")
    return total / pairs


@torch.no_grad()
def same_class_share(labels: Tensor) -> float:
    """Share of the ordered pairs i != j that are of one class; ``labels`` (B,), B >= 2."""
    n = len(labels)
    if n < 2:
        raise InputError("labels", n, "pass at least two")
    pairs = sum(int(_same(labels, n, top).sum()) for top in range(0, n, ROWS))
    return pairs / (n * (n - 1))


@torch.no_grad()
def negative_penalties(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """r_ij of view 1's anchors over view 2's negatives: (B, B) with rows of sum 1, diagonal 0.

    Args:
        z1: (B, D).
        z2: (B, D).
        temperature: > 0.
    """
    if not temperature > 0:
        raise InputError("temperature", temperature, "choose a value above 0")
    u, v = unit(stack_views(z1, z2))
    if len(u) < 2:
        raise InputError("batch size", len(u), "pass at least two samples")
    logits = u @ v.T / temperature
    logits.fill_diagonal_(-math.inf)
    result: Tensor = logits.softmax(dim=1)
    return result


@torch.no_grad()
def temperature_profile(
    z1: Tensor,
    z2: Tensor,
    temperatures: Sequence[float] = (0.05, 0.1, 0.2, 0.5, 1.0),
    hardest: float = 0.1,
) -> list[Penalty]:
    """How InfoNCE treats the same embeddings at several temperatures.

    Args:
        z1: (B, D) embeddings of view 1.
        z2: (B, D) embeddings of view 2.
        temperatures: the temperatures to try, each > 0.
        hardest: share of the negatives counted as the hardest, in (0, 1]; at least one is.
    """
    if not 0 < hardest <= 1:
        raise InputError("hardest", hardest, "choose a share in (0, 1]")
    u, v = unit(stack_views(z1, z2))
    n = len(u)
    out = []
    for tau in temperatures:
        r = negative_penalties(u, v, tau)
        top = max(1, round(hardest * (n - 1)))
        entropy = -torch.special.xlogy(r, r).sum(1)
        p = (u @ v.T / tau).softmax(dim=1).diagonal()
        out.append(
            Penalty(
                temperature=float(tau),
                hardest_share=float(r.topk(top, dim=1).values.sum(1).mean()),
                effective_negatives=float(entropy.exp().mean()),
                positive_gradient=float((1.0 - p).mean()),
            )
        )
    return out


def _checked(z: Tensor) -> Tensor:
    if z.ndim != 2:
        raise InputError("z", tuple(z.shape), "pass embeddings (B, D)")
    return unit(stack_views(z.unsqueeze(0), None)[0])


def _same(labels: Tensor, n: int, top: int) -> Tensor:
    """(rows, n) boolean from row ``top`` on: other sample of the same class."""
    if labels.ndim != 1 or len(labels) != n:
        raise InputError("labels", tuple(labels.shape), f"pass one label per sample, ({n},)")
    same = labels[top : top + ROWS].unsqueeze(1) == labels
    same.diagonal(top).fill_(False)
    return same
