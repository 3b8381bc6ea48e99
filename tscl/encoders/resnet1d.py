"""Strided residual network over time, with the tweaks of xresnet.

He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385; He et al., "Bag of
Tricks for Image Classification with Convolutional Neural Networks", arXiv 1812.01187.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from tscl.encoders.base import ENCODERS, Encoder
from tscl.encoders.convolution import check_dims, check_dropout
from tscl.encoders.strided import (
    Reach,
    average_pool,
    build_norm,
    check_norm,
    conv,
    embeddings,
    mask_series,
    per_stage,
)
from tscl.errors import InputError
from tscl.registry import constructor_arguments


class _Norms:
    """Makes the normalisation layers of one network."""

    def __init__(self, norm: str, groups: int) -> None:
        check_norm(norm)
        check_dims(groups=groups)
        self.norm, self.groups = norm, groups

    def __call__(self, dims: int, zero: bool = False) -> nn.Module:
        return build_norm(self.norm, dims, self.groups, zero)


class _ResidualBlock1d(nn.Module):
    """Convolution, norm, ReLU, dropout, convolution, norm; plus the shortcut, then ReLU.

    The last norm starts at zero. The shortcut averages over the stride before its 1x1
    convolution, so that it drops no step.
    """

    def __init__(
        self,
        in_dims: int,
        out_dims: int,
        kernel_size: int,
        stride: int,
        dropout: float,
        norms: _Norms,
    ) -> None:
        super().__init__()
        self.conv1 = conv(in_dims, out_dims, kernel_size, stride)
        self.norm1 = norms(out_dims)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = conv(out_dims, out_dims, kernel_size)
        self.norm2 = norms(out_dims, zero=True)
        shortcut: list[nn.Module] = [average_pool(stride)] if stride > 1 else []
        if in_dims != out_dims:
            shortcut += [conv(in_dims, out_dims, 1), norms(out_dims)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_dims, 1, T) to (B, out_dims, 1, ceil(T / stride))."""
        h = self.dropout(F.relu(self.norm1(self.conv1(x)), inplace=True))
        h = self.norm2(self.conv2(h)) + self.shortcut(x)
        return F.relu(h, inplace=True)


@ENCODERS.register("resnet1d")
class ResNet1dEncoder(Encoder):
    """Strided residual network: a stem, then stages of residual blocks.

    ResNet (He et al., arXiv 1512.03385) over time with three tweaks of xresnet (He et al., arXiv
    1812.01187, section 4): a stem of several convolutions if asked for, shortcuts that average
    over the stride, and a last norm of every block that starts at zero.

    Args:
        input_dims: channels C of the series.
        output_dims: embedding dimensions D; None takes those of the last stage, another number
            adds a linear layer.
        widths: channels of the stages.
        depths: blocks of every stage, or one number for all.
        strides: stride of every stage's first block, or one number for all.
        kernel_size: taps of the convolutions of every stage, or one number for all; odd.
        stem_layers: convolutions of the stem, 1 or 3.
        stem_dims: channels of the stem, the latent that masks act on; None takes ``widths[0]``.
        stem_kernel: taps of the stem's first convolution; odd. The others have 3.
        stem_stride: stride of the stem.
        norm: ``batch`` or ``group``. Batch statistics mix the samples of a training batch, so
            gradient caching refuses them; evaluation uses running figures of training.
        groups: most groups of the group norm.
        dropout: probability of dropout inside the blocks.

    Attributes:
        stride: ``stem_stride`` times all ``strides``; 32 by default.
        receptive_field: with ``batch``; None with ``group``, whose norm is over all steps.

    Raises:
        InputError: an argument out of range, or an input of another shape.
        ConfigError: unknown ``norm``.

    Example:
        >>> import torch
        >>> encoder = ResNet1dEncoder(2, widths=[8, 16], strides=[1, 2])
        >>> encoder.stride, encoder.output_length(101), encoder.receptive_field
        (4, 26, 47)
        >>> encoder(torch.zeros(3, 101, 2)).shape
        torch.Size([3, 26, 16])
    """

    name: ClassVar[str] = "resnet1d"

    def __init__(
        self,
        input_dims: int,
        output_dims: int | None = None,
        widths: Sequence[int] = (24, 32, 64, 96, 128),
        depths: int | Sequence[int] = 1,
        strides: int | Sequence[int] = (1, 2, 2, 2, 2),
        kernel_size: int | Sequence[int] = 5,
        stem_layers: int = 1,
        stem_dims: int | None = None,
        stem_kernel: int = 7,
        stem_stride: int = 2,
        norm: str = "batch",
        groups: int = 8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_dims(input_dims=input_dims, stem_kernel=stem_kernel, stem_stride=stem_stride)
        check_dropout(dropout)
        if not widths:
            raise InputError("widths", widths, "give at least one stage")
        if stem_layers not in (1, 3):
            raise InputError("stem_layers", stem_layers, "choose 1 or 3")
        if output_dims is not None:
            check_dims(output_dims=output_dims)
        stages = per_stage("widths", widths, len(widths))
        blocks = per_stage("depths", depths, len(stages))
        steps = per_stage("strides", strides, len(stages))
        kernels = per_stage("kernel_size", kernel_size, len(stages))
        stem = stages[0] if stem_dims is None else stem_dims
        check_dims(stem_dims=stem)
        self._config = constructor_arguments(
            locals(), widths=stages, depths=blocks, strides=steps, kernel_size=kernels
        )
        self.input_dims, self.causal = input_dims, False
        self.output_dims = stages[-1] if output_dims is None else output_dims
        self.latent_stride = stem_stride
        self._stem_dims = stem
        norms = _Norms(norm, groups)
        reach = Reach()
        self.stem = _stem(input_dims, stem, stem_layers, stem_kernel, stem_stride, norms, reach)
        self.blocks = nn.Sequential()
        width = stem
        for out, depth, stride, kernel in zip(stages, blocks, steps, kernels, strict=True):
            for number in range(depth):
                step = stride if number == 0 else 1
                self.blocks.append(_ResidualBlock1d(width, out, kernel, step, dropout, norms))
                reach.layer(kernel, step, pool=step)
                reach.layer(kernel)
                width = out
        self.output_fc = nn.Linear(width, output_dims) if output_dims is not None else None
        self.stride = reach.stride
        self.receptive_field = reach.width if norm == "batch" else None

    @property
    def latent_dims(self) -> int:
        """Channels of the stem."""
        return self._stem_dims

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, ceil(T / stride), D); see :class:`tscl.encoders.base.Encoder`."""
        series, keep = mask_series(x, mask, self.input_dims, self.latent_stride)
        h = self.stem(series)
        out = embeddings(self.blocks(h * keep.to(h.dtype)))
        return out if self.output_fc is None else self.output_fc(out)


def _stem(
    in_dims: int, dims: int, layers: int, kernel: int, stride: int, norms: _Norms, reach: Reach
) -> nn.Sequential:
    """Convolutions with norm and ReLU, the first of which is strided."""
    stem = nn.Sequential()
    for number in range(layers):
        taps, step = (kernel, stride) if number == 0 else (3, 1)
        stem.extend([conv(in_dims, dims, taps, step), norms(dims), nn.ReLU(inplace=True)])
        reach.layer(taps, step)
        in_dims = dims
    return stem
