"""Log-sum-exp over rows and columns of a similarity matrix that is never held as a whole.

For a (n, D), b (m, D) and temperature tau, with s_ij = a_i . b_j / tau,

    r_i = log sum_j exp(s_ij),    c_j = log sum_i exp(s_ij)

are what InfoNCE in both directions needs beside the positives. s is built in blocks of ``tile`` by
``tile`` entries, each visited once in the forward pass (running maxima and sums) and once in the
backward pass, where its entries are computed again (a batch of one block keeps it instead). Memory
beside the inputs and their gradients: a few blocks and O(n + m). For one set of embeddings against
itself (NT-Xent's own view) only the blocks on and above the diagonal are visited and s_ii is left
out. A second derivative, and ``torch.compile``, take the matrix as a whole (``plain_...``).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import diagonal, plain_gradient
from tscl.losses.shared.settings import whole_setting

HELD = 1 << 19
"""Similarities with constant keys held at a time (2 MiB in float32)."""
SAFE = 60.0
"""Largest range of float32 logits whose exponentials stay well inside float32 (1e-38 to 3e38)."""


def pair_lse(
    a: Tensor, b: Tensor, temperature: float, tile: int | None, longest: float | None = None
) -> tuple[Tensor, Tensor]:
    """Row and column log-sum-exp of a . b / temperature: (n,) and (m,).

    Args:
        a: (n, D).
        b: (m, D).
        temperature: tau > 0.
        tile: rows and columns of a block, >= 1; None takes the matrix as a whole.
        longest: a bound of the lengths of the rows, where it is known beforehand.
    """
    if tile is None or torch.compiler.is_compiling():
        return _plain_pair_lse(a, b, temperature)
    rows, columns = _PairLSE.apply(a, b, temperature, whole_setting("tile", tile), longest)
    return rows, columns


def own_lse(
    z: Tensor, temperature: float, tile: int | None, longest: float | None = None
) -> Tensor:
    """Log-sum-exp over j != i of z_i . z_j / temperature, (n,); see :func:`pair_lse`.

    Args:
        z: (n, D) embeddings, n >= 2.
        temperature: tau > 0.
        tile: rows of the similarities held at a time; None for all.
        longest: bound of the rows' lengths, where it is known.
    """
    if tile is None or torch.compiler.is_compiling():
        return plain_own_lse(z, temperature)
    out: Tensor = _OwnLSE.apply(z, temperature, whole_setting("tile", tile), longest)
    return out


def key_lse(
    queries: Tensor, keys: Tensor, temperature: float, longest: float | None = None
) -> Tensor:
    """Log-sum-exp over constant keys of q_i . k_j / temperature: (n,).

    The gradient by the queries is computed with the value, so each similarity is built once and
    the keys may change before the backward pass.

    Args:
        queries: (n, D).
        keys: (m, D), m >= 1; no gradient reaches them.
        temperature: tau > 0.
        longest: see :func:`pair_lse`.

    Raises:
        InputError: (backward) a second derivative after the keys have changed.
    """
    if torch.compiler.is_compiling():
        return _plain_pair_lse(queries, keys.detach(), temperature)[0]
    out: Tensor = _KeyLSE.apply(queries, keys.detach(), temperature, longest)
    return out


def _plain_pair_lse(a: Tensor, b: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """:func:`pair_lse` of the whole matrix."""
    logits = a @ b.T / temperature
    return logits.logsumexp(1), logits.logsumexp(0)


def plain_own_lse(z: Tensor, temperature: float) -> Tensor:
    """:func:`own_lse` of the whole matrix."""
    return (z @ z.T / temperature).masked_fill(diagonal(z), -math.inf).logsumexp(1)


class _Running:
    """Running log-sum-exp of n entries, fed block by block, for logits of any range."""

    def __init__(self, n: int, like: Tensor) -> None:
        self.peak = like.new_full((n,), -math.inf)
        self.total = like.new_zeros(n)

    def add(self, part: slice, logits: Tensor, dim: int) -> None:
        """Add the entries of a block along ``dim`` to the sums of ``part``."""
        peak = torch.maximum(self.peak[part], logits.amax(dim))
        # -inf - -inf is NaN: a block can hold nothing but the left-out diagonal
        safe = torch.where(peak > -math.inf, peak, torch.zeros_like(peak))
        scaled = torch.exp(logits - safe.unsqueeze(dim)).sum(dim)
        self.total[part] = self.total[part] * torch.exp(self.peak[part] - safe) + scaled
        self.peak[part] = peak

    def value(self) -> Tensor:
        return self.peak + self.total.log()


def _bound(a: Tensor, b: Tensor, temperature: float, longest: float | None) -> float:
    """Bound of |a_i . b_j| / temperature by Cauchy-Schwarz; infinity when it is not safe.

    A finite bound stands in for the maxima, so that one exponential serves rows and columns. On a
    GPU it is what is known of the lengths: measuring them would wait for the device.
    """
    if a.device.type != "cpu":
        bound = math.inf if longest is None else longest**2 / temperature * 1.001
    else:
        largest = a.square().sum(1).amax().sqrt() * b.square().sum(1).amax().sqrt()
        bound = float(largest) / temperature * 1.001
    return bound if 2 * bound <= SAFE else math.inf


def _blocks(n: int, tile: int, start: int = 0) -> list[slice]:
    return [slice(i, min(i + tile, n)) for i in range(start, n, tile)]


class _PairLSE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, temperature: float, tile: int, longest: float | None
    ) -> tuple[Tensor, Tensor]:
        n, m = len(a), len(b)
        bound = _bound(a, b, temperature, longest)
        scaled = a / temperature
        kept: list[Tensor] = []
        if bound < math.inf:
            rows, columns = a.new_zeros(n), a.new_zeros(m)
            for i in _blocks(n, tile):
                for j in _blocks(m, tile):
                    block = (scaled[i] @ b[j].T).sub_(bound).exp_()
                    rows[i] += block.sum(1)
                    columns[j] += block.sum(0)
            lse = (rows.log_().add_(bound), columns.log_().add_(bound))
            if max(n, m) <= tile:
                kept = [block]
        else:
            across, down = _Running(n, a), _Running(m, a)
            for i in _blocks(n, tile):
                for j in _blocks(m, tile):
                    block = scaled[i] @ b[j].T
                    across.add(i, block, 1)
                    down.add(j, block, 0)
            lse = (across.value(), down.value())
        ctx.save_for_backward(a, b, *lse, *kept)
        ctx.temperature, ctx.tile, ctx.bound = temperature, tile, bound
        return lse

    @staticmethod
    def backward(ctx: Any, g_rows: Tensor, g_columns: Tensor) -> tuple[Tensor | None, ...]:
        a, b, rows, columns, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = partial(_plain_pair_lse, temperature=ctx.temperature)
            return (*plain_gradient(plain, (a, b), (g_rows, g_columns)), None, None, None)
        scaled = a / ctx.temperature
        if ctx.bound < math.inf:
            # exp(s - r_i) and exp(s - c_j) differ by factors of row and column: one exponential
            by_row = (g_rows * torch.exp(ctx.bound - rows)).unsqueeze(1)
            by_column = g_columns * torch.exp(ctx.bound - columns)
            if kept:
                slope = kept[0] * (by_row + by_column)
                return (slope @ b).div_(ctx.temperature), slope.T @ scaled, None, None, None
        grad_a, grad_b = torch.zeros_like(a), torch.zeros_like(b)
        for i in _blocks(len(a), ctx.tile):
            for j in _blocks(len(b), ctx.tile):
                block = scaled[i] @ b[j].T
                if ctx.bound < math.inf:
                    slope = block.sub_(ctx.bound).exp_().mul_(by_row[i] + by_column[j])
                else:
                    slope = torch.exp(block - rows[i].unsqueeze(1)) * g_rows[i].unsqueeze(1)
                    slope += block.sub_(columns[j]).exp_() * g_columns[j]
                grad_a[i].addmm_(slope, b[j])
                grad_b[j].addmm_(slope.T, scaled[i])
        return grad_a.div_(ctx.temperature), grad_b, None, None, None


class _KeyLSE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, temperature: float, longest: float | None
    ) -> Tensor:
        bound = _bound(queries, keys, temperature, longest)
        scaled = queries / temperature
        lse = queries.new_empty((len(queries), 1))
        pull = torch.empty_like(queries) if ctx.needs_input_grad[0] else None
        for i in _blocks(len(queries), max(1, HELD // len(keys))):
            block = scaled[i] @ keys.T
            peak = bound if bound < math.inf else block.amax(1, keepdim=True)
            total = block.sub_(peak).exp_().sum(1, keepdim=True)
            lse[i] = total.log() + peak
            if pull is not None:
                torch.mm(block, keys, out=pull[i])
                pull[i] /= total * temperature
        ctx.save_for_backward(queries, keys)
        # neither input nor output, and wanted when the keys have changed
        ctx.pull, ctx.temperature = pull, temperature
        return lse.squeeze(1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        if not torch.is_grad_enabled():
            return ctx.pull * g.unsqueeze(1), None, None, None
        try:
            queries, keys = ctx.saved_tensors
        except RuntimeError as error:
            remedy = "the keys have changed since: for second derivatives put the loss in eval mode"
            raise InputError("create_graph", True, remedy) from error
        plain = partial(_plain_pair_lse, b=keys, temperature=ctx.temperature)
        both = (g, torch.zeros_like(keys[:, 0]))
        return (*plain_gradient(plain, (queries,), both), None, None, None)


class _OwnLSE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, temperature: float, tile: int, longest: float | None
    ) -> Tensor:
        n = len(z)
        scaled = z / temperature
        bound = _bound(z, z, temperature, longest)
        sums = z.new_zeros(n)
        running = _Running(n, z)
        kept: list[Tensor] = []
        for i in _blocks(n, tile):
            for j in _blocks(n, tile, i.start):
                block = scaled[i] @ z[j].T
                if bound < math.inf:
                    block.sub_(bound).exp_()
                    if i == j:
                        block.fill_diagonal_(0.0)
                    sums[i] += block.sum(1)
                    if i != j:
                        sums[j] += block.sum(0)
                else:
                    if i == j:
                        block.fill_diagonal_(-math.inf)
                    running.add(i, block, 1)
                    if i != j:
                        running.add(j, block, 0)
        if bound < math.inf:
            lse = sums.log_().add_(bound)
            if n <= tile:
                kept = [block]
        else:
            lse = running.value()
        ctx.save_for_backward(z, lse, *kept)
        ctx.temperature, ctx.tile, ctx.bound = temperature, tile, bound
        return lse

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        z, lse, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = partial(plain_own_lse, temperature=ctx.temperature)
            return (*plain_gradient(plain, (z,), g), None, None, None)
        scaled = z / ctx.temperature
        if ctx.bound < math.inf:
            factor = g * torch.exp(ctx.bound - lse)
            if kept:
                return (kept[0] * (factor.unsqueeze(1) + factor)) @ scaled, None, None, None
        grad = torch.zeros_like(z)
        for i in _blocks(len(z), ctx.tile):
            for j in _blocks(len(z), ctx.tile, i.start):
                block = scaled[i] @ z[j].T
                if ctx.bound < math.inf:
                    slope = block.sub_(ctx.bound).exp_().mul_(factor[i].unsqueeze(1) + factor[j])
                else:
                    slope = torch.exp(block - lse[i].unsqueeze(1)) * g[i].unsqueeze(1)
                    slope += block.sub_(lse[j]).exp_() * g[j]
                if i == j:
                    slope.fill_diagonal_(0.0)
                grad[i].addmm_(slope, scaled[j])
                if i != j:
                    grad[j].addmm_(slope.T, scaled[i])
        return grad, None, None, None
