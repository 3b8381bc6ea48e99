"""The mean of several causal convolutions as one, by shifted products or in the frequency domain.

The mean over kernels of lengths k of zero-padded causal convolutions is itself one causal
convolution whose taps are the mean of the zero-padded kernels (the map is linear), so the sum of
the lengths in taps shrinks to the longest length. In the frequency domain the convolution becomes
one matrix product per frequency. Series are time-major, (T, B, C).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_BLOCK = 320


class _Fold(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *kernels: Tensor) -> Tensor:
        ctx.lengths = [k.shape[0] for k in kernels]
        longest = max(ctx.lengths)
        taps = kernels[0].new_zeros(longest, *kernels[0].shape[1:])
        for kernel in kernels:
            taps[longest - kernel.shape[0] :] += kernel
        return taps.div_(len(kernels))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        grad = grad / len(ctx.lengths)
        # clones: parameters must not share the memory of their gradients
        return tuple(grad[grad.shape[0] - length :].clone() for length in ctx.lengths)


def fold_kernels(kernels: Sequence[Tensor]) -> Tensor:
    """Mean of causal kernels (k_i, I, O), zero-padded in front to the longest, (K, I, O)."""
    taps: Tensor = _Fold.apply(*kernels)
    return taps


def separate_convolutions(x: Tensor, kernels: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """Mean of the causal convolutions one by one, (T, B, O): the plain definition.

    Args:
        x: (T, B, I) series, time first.
        kernels: of each convolution, (K, I, O) with K of its own.
        biases: (O,) of each.
    """
    channels_first = x.permute(1, 2, 0)
    outputs = []
    for kernel, bias in zip(kernels, biases, strict=True):
        padded = F.pad(channels_first, (kernel.shape[0] - 1, 0))
        outputs.append(F.conv1d(padded, kernel.permute(2, 1, 0), bias))
    return torch.stack(outputs).mean(dim=0).permute(2, 0, 1)


@lru_cache(maxsize=16)
def _dft(size: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Real DFT as a matrix (F, 2, size) of real and imaginary rows, and its inverse's factors.

    ``inverse = (factors * dft).reshape(2F, size).T``.
    """
    with torch.inference_mode(False):  # cached, so it must serve training as well
        n_freq = size // 2 + 1
        turns = torch.outer(torch.arange(n_freq), torch.arange(size)) % size
        angle = turns.to(torch.float64) * (2.0 * math.pi / size)
        matrix = torch.stack([angle.cos(), -angle.sin()], dim=1)
        factors = torch.full((n_freq, 1, 1), 2.0 / size, dtype=torch.float64)
        factors[0] = 1.0 / size
        if size % 2 == 0:
            factors[-1] = 1.0 / size
        return matrix.to(device, dtype), (matrix * factors).to(device, dtype)


def _blocks(x: Tensor, n_blocks: int, size: int, step: int) -> Tensor:
    """Overlapping windows in time, (T, B, C) to (size, n_blocks * B, C)."""
    if n_blocks == 1:
        return x
    windows = x.unfold(0, size, step).permute(3, 0, 1, 2)
    return windows.reshape(size, -1, x.shape[2])


def _rotate(x: Tensor) -> Tensor:
    """Multiply by i: (F, 2, R, C) with parts (re, im) to (-im, re)."""
    return torch.stack([-x[:, 1], x[:, 0]], dim=1)


class _FrequencyConv(torch.autograd.Function):
    """Overlap-save with real arithmetic: spectra hold real and imaginary rows side by side."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
        length, batch, in_dims = x.shape
        kernel, _, out_dims = taps.shape
        n_blocks = -(-length // _BLOCK)
        step = -(-length // n_blocks)
        size = step + kernel - 1
        dft, inverse = _dft(size, x.dtype, x.device)
        if n_blocks == 1:
            window, windows = dft[..., kernel - 1 :], x.contiguous()
        else:
            tail = n_blocks * step - length
            padded = F.pad(x, (0, 0, 0, 0, kernel - 1, tail))
            window, windows = dft, _blocks(padded, n_blocks, size, step)
        n_freq, rows = dft.shape[0], n_blocks * batch
        window = window.reshape(2 * n_freq, -1)
        spectrum = (window @ windows.reshape(windows.shape[0], -1)).view(n_freq, 2, rows, in_dims)
        # last tap = lag 0, hence the flip; parts first, so that each is contiguous
        lags = dft[..., :kernel].flip(-1).transpose(0, 1).reshape(2 * n_freq, kernel)
        filters = (lags @ taps.reshape(kernel, -1)).view(2, n_freq, in_dims, out_dims)
        flat = (n_freq, 2 * rows, in_dims)
        out = torch.bmm(spectrum.view(flat), filters[0])
        out.baddbmm_(_rotate(spectrum).view(flat), filters[1])
        valid = inverse[..., kernel - 1 :].reshape(2 * n_freq, step)
        y = (valid.t() @ out.view(2 * n_freq, -1)).view(step, n_blocks, batch, out_dims)
        y += bias
        ctx.save_for_backward(spectrum, filters, window, lags, valid)
        ctx.sizes = (length, batch, n_blocks, step, kernel)
        if n_blocks == 1:
            return y.view(step, batch, out_dims)
        return y.transpose(0, 1).reshape(-1, batch, out_dims)[:length].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        spectrum, filters, window, lags, valid = ctx.saved_tensors
        length, batch, n_blocks, step, kernel = ctx.sizes
        n_freq, _, rows, in_dims = spectrum.shape
        out_dims = grad.shape[2]
        need_x, need_taps, need_bias = ctx.needs_input_grad
        grad_bias = grad.sum(dim=(0, 1)) if need_bias else None
        if n_blocks > 1:
            grad = F.pad(grad, (0, 0, 0, 0, 0, n_blocks * step - length))
            grad = grad.view(n_blocks, step, batch, out_dims).transpose(0, 1)
        outer = (valid @ grad.reshape(step, -1)).view(n_freq, 2, rows, out_dims)
        flat = outer.view(n_freq, 2 * rows, out_dims)
        grad_x = grad_taps = None
        if need_x:
            inner = torch.bmm(flat, filters[0].transpose(1, 2))
            turned = _rotate(outer).neg_().view(flat.shape)
            inner.baddbmm_(turned, filters[1].transpose(1, 2))
            windows = window.t() @ inner.view(2 * n_freq, -1)
            grad_x = _overlap_add(windows.view(-1, n_blocks, batch, in_dims), step)
            if n_blocks > 1:
                grad_x = grad_x[kernel - 1 : kernel - 1 + length].contiguous()
        if need_taps:
            rows_t = spectrum.view(n_freq, 2 * rows, in_dims).transpose(1, 2)
            turned_t = _rotate(spectrum).view(n_freq, 2 * rows, in_dims).transpose(1, 2)
            filters_grad = torch.empty_like(filters)
            torch.bmm(rows_t, flat, out=filters_grad[0])
            torch.bmm(turned_t, flat, out=filters_grad[1])
            grad_taps = (lags.t() @ filters_grad.view(2 * n_freq, -1)).view(
                kernel, in_dims, out_dims
            )
        return grad_x, grad_taps, grad_bias


def _overlap_add(windows: Tensor, step: int) -> Tensor:
    """Sum windows (size, n_blocks, B, C) placed ``step`` apart into (T', B, C)."""
    size, n_blocks, batch, dims = windows.shape
    if n_blocks == 1:
        return windows[:, 0]
    total = windows.new_zeros((n_blocks - 1) * step + size, batch, dims)
    for i in range(n_blocks):
        total[i * step : i * step + size] += windows[:, i]
    return total


def frequency_conv(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """Causal convolution in the frequency domain, (T, B, O).

    Equal to :func:`tscl.encoders.convolution.shifted_conv` with ``causal=True`` to rounding, at a
    cost that hardly depends on K. The short transforms (blocks of at most 320 steps plus K - 1) are
    matrix products too, which beat strided transforms on CPU. Rounding mixes the times of a block,
    so outputs are NOT bit-equal under changes of the future. First derivatives only.

    Args:
        x: (T, B, I) series, time first.
        taps: (K, I, O) kernel.
        bias: (O,).
    """
    with torch.autocast(x.device.type, enabled=False):
        out: Tensor = _FrequencyConv.apply(x.to(taps.dtype), taps, bias)
        return out
