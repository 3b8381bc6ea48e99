"""Dilated convolution over time-major series as shifted matrix products, and checks it needs.

Series are (T, B, C) here: a shift in time is then a contiguous slice, so every tap is one plain
matrix product over exactly the rows where it meets data. A tap whose shift reaches past the
series costs nothing, which makes a centred convolution with dilation >= T a 1x1 one, exactly.
Each output row is computed from its own inputs alone, hence a causal convolution gives bit-equal
embeddings up to step t whatever comes after t.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from tscl.errors import InputError, is_whole

_ROWS = 8192


def check_dims(**values: int) -> None:
    """Raise InputError unless every named value is an integer of at least 1."""
    for field, value in values.items():
        if not is_whole(value) or value < 1:
            raise InputError(field, value, "choose a whole number of at least 1")


def check_dropout(dropout: float) -> None:
    """Raise InputError unless ``dropout`` is in [0, 1)."""
    if not 0.0 <= dropout < 1.0:
        raise InputError("dropout", dropout, "choose a probability in [0, 1)")


def check_series(x: Tensor, input_dims: int) -> None:
    """Raise InputError unless ``x`` is (B, T, input_dims) with at least one sample and step."""
    if x.ndim != 3:
        raise InputError("x", tuple(x.shape), "pass (n_samples, n_timesteps, n_channels)")
    if x.shape[2] != input_dims:
        raise InputError("x channels", x.shape[2], f"the encoder was built for {input_dims}")
    if x.shape[0] < 1 or x.shape[1] < 1:
        raise InputError("x", tuple(x.shape), "pass at least one sample and one time step")


def _shifts(kernel: int, dilation: int, causal: bool, length: int) -> Iterator[tuple[int, int]]:
    """Tap numbers with their non-zero shifts (input time minus output time) below ``length``."""
    anchor = kernel - 1 if causal else (kernel - 1) // 2
    for tap in range(kernel):
        shift = (tap - anchor) * dilation
        if shift != 0 and abs(shift) < length:
            yield tap, shift


def _rows(x: Tensor, start: int, stop: int) -> Tensor:
    return x[start:stop].reshape(-1, x.shape[-1])


class _ShiftedTaps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, dilation: int, causal: bool
    ) -> Tensor:
        x = x.contiguous()
        length, batch, _ = x.shape
        kernel, _, out_dims = weight.shape
        anchor = kernel - 1 if causal else (kernel - 1) // 2
        y = x.new_empty(length, batch, out_dims)
        # long kernels go block by block in time, so that a block of y stays in cache
        step = max(1, _ROWS // batch) if kernel > 8 else length
        for start in range(0, length, step):
            stop = min(length, start + step)
            torch.addmm(bias, _rows(x, start, stop), weight[anchor], out=_rows(y, start, stop))
            for tap, shift in _shifts(kernel, dilation, causal, length):
                low, high = max(start, -shift), min(stop, length - shift)
                if low < high:
                    _rows(y, low, high).addmm_(_rows(x, low + shift, high + shift), weight[tap])
        ctx.save_for_backward(x, weight)
        ctx.dilation, ctx.causal = dilation, causal
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous()
        length = x.shape[0]
        kernel = weight.shape[0]
        anchor = kernel - 1 if ctx.causal else (kernel - 1) // 2
        taps = [(anchor, 0), *_shifts(kernel, ctx.dilation, ctx.causal, length)]
        need_x, need_w, need_b = ctx.needs_input_grad[:3]
        grad_x = torch.zeros_like(x) if need_x else None
        grad_w = torch.zeros_like(weight) if need_w else None
        for tap, shift in taps:
            low, high = max(0, -shift), min(length, length - shift)
            g = _rows(grad, low, high)
            if grad_x is not None:
                _rows(grad_x, low + shift, high + shift).addmm_(g, weight[tap].t())
            if grad_w is not None:
                torch.mm(_rows(x, low + shift, high + shift).t(), g, out=grad_w[tap])
        grad_b = grad.sum(dim=(0, 1)) if need_b else None
        return grad_x, grad_w, grad_b, None, None


def exporting() -> bool:
    """Whether the encoder is being traced for a file that shall take series of any length."""
    check = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    return bool(check())


def _one_convolution(
    x: Tensor, weight: Tensor, bias: Tensor, dilation: int, causal: bool
) -> Tensor:
    """The same map by torch's convolution, whose form does not depend on the length."""
    reach = (weight.shape[0] - 1) * dilation
    left = reach if causal else reach // 2
    rows = F.pad(x.permute(1, 2, 0), (left, reach - left))
    return F.conv1d(rows, weight.permute(2, 1, 0), bias, dilation=dilation).permute(2, 0, 1)


def shifted_conv(
    x: Tensor, weight: Tensor, bias: Tensor, *, dilation: int = 1, causal: bool = False
) -> Tensor:
    """Zero-padded dilated convolution of a time-major series, of the same length.

    Args:
        x: (T, B, I).
        weight: (kernel, I, O); the last tap meets the current step when ``causal``, else the
            middle one does.
        bias: (O,).
        dilation: steps between taps.
        causal: pad on the left only.

    Returns:
        (T, B, O). First derivatives only.
    """
    if exporting():
        return _one_convolution(x, weight, bias, dilation, causal)
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(weight.dtype)
        out: Tensor = _ShiftedTaps.apply(x, weight, bias, dilation, causal)
        return out


class ShiftedConv(nn.Module):
    """Dilated 1-D convolution on (T, B, C) with the initialisation of ``nn.Conv1d``.

    Args:
        in_dims: input channels.
        out_dims: output channels.
        kernel_size: taps; odd unless ``causal``.
        dilation: steps between taps.
        causal: see :func:`shifted_conv`.
    """

    def __init__(
        self, in_dims: int, out_dims: int, kernel_size: int, dilation: int = 1, causal: bool = False
    ) -> None:
        super().__init__()
        check_dims(in_dims=in_dims, out_dims=out_dims, kernel_size=kernel_size, dilation=dilation)
        if not causal and kernel_size % 2 == 0:
            raise InputError("kernel_size", kernel_size, "choose an odd number, or causal=True")
        self.kernel_size, self.dilation, self.causal = kernel_size, dilation, causal
        bound = 1.0 / math.sqrt(in_dims * kernel_size)
        weight = torch.empty(kernel_size, in_dims, out_dims).uniform_(-bound, bound)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.empty(out_dims).uniform_(-bound, bound))

    def forward(self, x: Tensor, dilation: int | None = None) -> Tensor:
        """Convolve (T, B, I) to (T, B, O); ``dilation`` overrides the layer's own."""
        step = self.dilation if dilation is None else dilation
        return shifted_conv(x, self.weight, self.bias, dilation=step, causal=self.causal)
