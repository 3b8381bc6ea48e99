"""EEGNet: filters over time, over electrodes, and a separable convolution.

Lawhern et al., "EEGNet: A Compact Convolutional Network for EEG-based Brain-Computer Interfaces",
arXiv 1611.08024.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.encoders.base import ENCODERS, Encoder
from tscl.encoders.convolution import check_dims, check_dropout
from tscl.encoders.strided import (
    Reach,
    average_pool,
    build_norm,
    check_norm,
    embeddings,
    mask_series,
)
from tscl.errors import InputError, is_number
from tscl.registry import constructor_arguments


def _padded(x: Tensor, kernel_size: int) -> Tensor:
    """Zeros on both sides, one more after than before an even kernel."""
    return F.pad(x, ((kernel_size - 1) // 2, kernel_size // 2))


@ENCODERS.register("eegnet")
class EEGNetEncoder(Encoder):
    """EEGNet's features (Lawhern et al. 2018, arXiv 1611.08024, section 2.2.1 and table 2).

    ``filters`` convolutions over time, the same for every electrode; for each of them ``spatial``
    weightings of the electrodes; ELU and a mean over ``pool1`` steps; a separable convolution;
    ELU and a mean over ``pool2``. Masks act after the weighting of the electrodes.

    Args:
        input_dims: electrodes C.
        output_dims: embedding dimensions D; None takes ``filters * spatial``, another number adds
            a linear layer.
        filters: F1, convolutions over time.
        spatial: D of the paper, weightings of the electrodes for each of them.
        kernel_size: taps over time; half the sampling rate in the paper, 64 at 128 Hz.
        separable_kernel: taps of the separable convolution.
        pool1: steps of the first mean.
        pool2: steps of the second mean.
        max_norm: largest norm of an electrode weighting, 1 in the paper; None sets no limit.
        norm: ``batch`` (the paper) or ``group``; see
            :class:`tscl.encoders.resnet1d.ResNet1dEncoder`.
        groups: most groups of the group norm.
        dropout: probability of dropout after each mean.

    Attributes:
        stride: ``pool1 * pool2``.
        receptive_field: with ``batch``; None with ``group``, whose norm is over all steps.

    Raises:
        InputError: an argument out of range, or an input of another shape.
        ConfigError: unknown ``norm``.

    Example:
        >>> encoder = EEGNetEncoder(22)
        >>> encoder.stride, sum(p.numel() for p in encoder.parameters())
        (32, 1456)
        >>> encoder(torch.zeros(3, 256, 22)).shape
        torch.Size([3, 8, 16])
    """

    name: ClassVar[str] = "eegnet"

    def __init__(
        self,
        input_dims: int,
        output_dims: int | None = None,
        filters: int = 8,
        spatial: int = 2,
        kernel_size: int = 64,
        separable_kernel: int = 16,
        pool1: int = 4,
        pool2: int = 8,
        max_norm: float | None = 1.0,
        norm: str = "batch",
        groups: int = 8,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        check_dims(input_dims=input_dims, filters=filters, spatial=spatial)
        check_dims(kernel_size=kernel_size, separable_kernel=separable_kernel)
        check_dims(pool1=pool1, pool2=pool2, groups=groups)
        check_dropout(dropout)
        check_norm(norm)
        if output_dims is not None:
            check_dims(output_dims=output_dims)
        if max_norm is not None and not (is_number(max_norm) and max_norm > 0):
            raise InputError("max_norm", max_norm, "choose a number above 0, or None")
        width = filters * spatial
        self._config = constructor_arguments(locals())
        self.input_dims, self.causal = input_dims, False
        self.output_dims = width if output_dims is None else output_dims
        self.kernel_size, self.separable_kernel = kernel_size, separable_kernel
        self.max_norm = max_norm
        self._width = width
        self.temporal = nn.Conv2d(1, filters, (1, kernel_size), bias=False)
        self.norm1 = build_norm(norm, filters, groups)
        self.spatial = nn.Conv2d(filters, width, (input_dims, 1), groups=filters, bias=False)
        self.norm2 = build_norm(norm, width, groups)
        self.pool1, self.pool2 = average_pool(pool1), average_pool(pool2)
        self.depthwise = nn.Conv2d(width, width, (1, separable_kernel), groups=width, bias=False)
        self.pointwise = nn.Conv2d(width, width, 1, bias=False)
        self.norm3 = build_norm(norm, width, groups)
        self.dropout = nn.Dropout(dropout)
        self.output_fc = nn.Linear(width, output_dims) if output_dims is not None else None
        reach = Reach()
        reach.layer(kernel_size)
        reach.layer(1, pool1, pool=pool1)
        reach.layer(separable_kernel)
        reach.layer(1, pool2, pool=pool2)
        self.stride = reach.stride
        self.receptive_field = reach.width if norm == "batch" else None

    @property
    def latent_dims(self) -> int:
        """Weightings of the electrodes in all."""
        return self._width

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, ceil(T / stride), D); see :class:`tscl.encoders.base.Encoder`."""
        series, keep = mask_series(x, mask, self.input_dims)
        h = self.norm1(self.temporal(_padded(series.transpose(1, 2), self.kernel_size)))
        h = F.conv2d(h, self._weightings(), groups=self.spatial.groups)
        h = self.norm2(h)
        h = self.dropout(self.pool1(F.elu(h * keep.to(h.dtype))))
        h = self.pointwise(self.depthwise(_padded(h, self.separable_kernel)))
        out = embeddings(self.dropout(self.pool2(F.elu(self.norm3(h)))))
        return out if self.output_fc is None else self.output_fc(out)

    def _weightings(self) -> Tensor:
        """Weights of the electrodes (F1 D, 1, C, 1), scaled down to ``max_norm``."""
        weight = self.spatial.weight
        if self.max_norm is None:
            return weight
        size: Tensor = torch.linalg.vector_norm(weight, dim=2, keepdim=True)
        return weight * (self.max_norm / size.clamp_min(self.max_norm))
