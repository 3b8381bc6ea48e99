"""CoST's encoder: a dilated backbone, then a mixture of causal convolutions.

Woo et al., "CoST: Contrastive Learning of Disentangled Seasonal-Trend Representations for Time
Series Forecasting", ICLR 2022, arXiv 2202.01575.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from tscl.encoders.base import ENCODERS
from tscl.encoders.convolution import check_series
from tscl.encoders.dilated import DilatedConvEncoder
from tscl.encoders.experts import MixtureEncoder
from tscl.registry import constructor_arguments


@ENCODERS.register("cost")
class CoSTEncoder(MixtureEncoder):
    """Dilated backbone and the mean of causal convolutions with kernels 1, 2, 4, ..., 128.

    The trend part of CoST (arXiv 2202.01575, section 3.1), used by AutoTCL (arXiv 2402.10434).
    The kernels are separate parameters, as published, of shape (k, D, D) with ``nn.Conv1d``'s
    initialisation; the forward pass folds them into one convolution of the longest length, which
    is the same map.

    Args:
        input_dims: channels C of the series.
        output_dims: embedding dimensions D, of the backbone and of the mixture.
        hidden_dims: width of the backbone's blocks.
        depth: number of the backbone's hidden blocks.
        kernel_size: taps of the backbone's convolutions.
        dropout: probability of dropout between backbone and mixture.
        causal: make the backbone causal too; False is the published centred backbone, whose
            embedding of step t sees the future of t.
        kernels: lengths of the mixture's convolutions.
        mixture: ``folded_fft`` computes the folded convolution in the frequency domain;
            ``folded`` by shifted products; ``separate`` one kernel after the other. All agree to
            rounding. In evaluation a causal encoder whose input needs no gradient uses shifted
            products instead of frequencies, so that embeddings are bit-equal whatever the future
            is.

    Dropout sits between backbone and mixture; the public AutoTCL code builds that layer but never
    applies it, which is ``dropout=0`` here.

    Raises:
        InputError: an argument out of range.
        ConfigError: unknown ``mixture``.

    Example:
        >>> import torch
        >>> encoder = CoSTEncoder(2, output_dims=16, hidden_dims=8, depth=3, kernels=[1, 4])
        >>> encoder(torch.zeros(3, 50, 2)).shape
        torch.Size([3, 50, 16])
    """

    name: ClassVar[str] = "cost"

    def __init__(
        self,
        input_dims: int,
        output_dims: int = 320,
        hidden_dims: int = 64,
        depth: int = 10,
        kernel_size: int = 3,
        dropout: float = 0.1,
        causal: bool = False,
        kernels: tuple[int, ...] | list[int] = (1, 2, 4, 8, 16, 32, 64, 128),
        mixture: str = "folded_fft",
    ) -> None:
        super().__init__()
        self.backbone = DilatedConvEncoder(
            input_dims, output_dims, hidden_dims, depth, kernel_size, dropout, causal
        )
        self._config = constructor_arguments(locals(), kernels=[int(k) for k in kernels])
        self.input_dims, self.output_dims, self.causal = input_dims, output_dims, causal
        self._build_mixture(output_dims, kernels, mixture)
        backbone_field = self.backbone.receptive_field
        assert backbone_field is not None
        self.receptive_field = backbone_field + self.longest - 1

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T, D); see :class:`tscl.encoders.base.Encoder`."""
        h = self.backbone.features(x, mask)
        y = self._mix(h, x)
        return y.transpose(0, 1).contiguous()

    def forward_last(self, x: Tensor) -> Tensor:
        """Embedding of the last step, (B, T, C) to (B, D): one output of the folded kernel."""
        check_series(x, self.input_dims)
        h = self.backbone.features(x, last=self.longest)
        taps, bias = self.folded()
        steps, batch, dims = h.shape
        rows = h.transpose(0, 1).reshape(batch, steps * dims)
        return torch.addmm(bias, rows, taps[-steps:].reshape(steps * dims, -1))
