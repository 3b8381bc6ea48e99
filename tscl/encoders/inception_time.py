"""InceptionTime: parallel convolutions of several lengths, with residuals.

Ismail Fawaz et al., "InceptionTime: Finding AlexNet for Time Series Classification", arXiv
1909.04939.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    conv,
    embeddings,
    mask_series,
    per_stage,
)
from tscl.errors import InputError
from tscl.registry import constructor_arguments


class _InceptionModule(nn.Module):
    """1x1 bottleneck, convolutions of several lengths beside a max-pool, norm, ReLU."""

    def __init__(
        self, in_dims: int, filters: int, kernels: Sequence[int], norm: str, groups: int
    ) -> None:
        super().__init__()
        self.bottleneck = conv(in_dims, filters, 1)
        self.convs = nn.ModuleList(conv(filters, filters, kernel) for kernel in kernels)
        self.pool = nn.MaxPool2d((1, 3), (1, 1), (0, 1))
        self.pool_conv = conv(in_dims, filters, 1)
        self.norm = build_norm(norm, filters * (len(kernels) + 1), groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_dims, 1, T) to (B, filters * (kernels + 1), 1, T)."""
        narrow = self.bottleneck(x)
        parts = [convolution(narrow) for convolution in self.convs]
        return F.relu(self.norm(torch.cat([*parts, self.pool_conv(self.pool(x))], dim=1)))


@ENCODERS.register("inception_time")
class InceptionTimeEncoder(Encoder):
    """InceptionTime's network (Ismail Fawaz et al. 2020, arXiv 1909.04939, section 3).

    A linear layer takes each step to the latent that masks act on; the published network starts
    with its first module. Every third module is followed by a residual.

    Args:
        input_dims: channels C of the series.
        output_dims: embedding dimensions D; None takes those of the modules,
            ``filters * (len(kernels) + 1)``, another number adds a linear layer.
        filters: channels of every convolution; 32 in the paper.
        depth: modules; 6 in the paper.
        kernels: lengths of the parallel convolutions, odd; the paper has 10, 20 and 40.
        stem_stride: steps averaged before the first module; 1 is the published network.
        norm: ``batch`` (the paper) or ``group``; see
            :class:`tscl.encoders.resnet1d.ResNet1dEncoder`.
        groups: most groups of the group norm.
        dropout: probability of dropout after every module; none in the paper.

    Attributes:
        stride: ``stem_stride``.
        receptive_field: with ``batch``; None with ``group``, whose norm is over all steps.

    Raises:
        InputError: an argument out of range, or an input of another shape.
        ConfigError: unknown ``norm``.

    Example:
        >>> encoder = InceptionTimeEncoder(2, filters=4, depth=3, stem_stride=4)
        >>> encoder.stride, encoder.output_dims
        (4, 16)
        >>> encoder(torch.zeros(3, 101, 2)).shape
        torch.Size([3, 26, 16])
    """

    name: ClassVar[str] = "inception_time"

    def __init__(
        self,
        input_dims: int,
        output_dims: int | None = None,
        filters: int = 32,
        depth: int = 6,
        kernels: Sequence[int] = (9, 19, 39),
        stem_stride: int = 1,
        norm: str = "batch",
        groups: int = 8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_dims(input_dims=input_dims, filters=filters, depth=depth, stem_stride=stem_stride)
        check_dropout(dropout)
        if not kernels:
            raise InputError("kernels", kernels, "give at least one length")
        if output_dims is not None:
            check_dims(output_dims=output_dims)
        check_dims(groups=groups)
        lengths = per_stage("kernels", kernels, len(kernels))
        width = filters * (len(lengths) + 1)
        self._config = constructor_arguments(locals(), kernels=lengths)
        self.input_dims, self.causal = input_dims, False
        self.output_dims = width if output_dims is None else output_dims
        self.stride = self.latent_stride = stem_stride
        self._filters = filters
        self.pool = average_pool(stem_stride) if stem_stride > 1 else nn.Identity()
        self.stem = nn.Conv2d(input_dims, filters, 1)
        self.blocks = nn.ModuleList(
            _InceptionModule(width if i else filters, filters, lengths, norm, groups)
            for i in range(depth)
        )
        self.shortcuts = nn.ModuleList(
            nn.Sequential(conv(width if i else filters, width, 1), build_norm(norm, width, groups))
            for i in range(depth // 3)
        )
        self.dropout = nn.Dropout(dropout)
        self.output_fc = nn.Linear(width, output_dims) if output_dims is not None else None
        reach = Reach()
        reach.layer(1, stem_stride, pool=stem_stride)
        for _ in range(depth):
            reach.layer(max(*lengths, 3))
        self.receptive_field = reach.width if norm == "batch" else None

    @property
    def latent_dims(self) -> int:
        """Channels of the linear layer."""
        return self._filters

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, ceil(T / stride), D); see :class:`tscl.encoders.base.Encoder`."""
        series, keep = mask_series(x, mask, self.input_dims, self.latent_stride)
        h = self.stem(self.pool(series))
        h = h * keep.to(h.dtype)
        before = h
        for number, block in enumerate(self.blocks):
            h = self.dropout(block(h))
            if number % 3 == 2:
                h = F.relu(h + self.shortcuts[number // 3](before))
                before = h
        out = embeddings(h)
        return out if self.output_fc is None else self.output_fc(out)
