"""Temporal convolutional network (Bai et al., arXiv 1803.01271): causal by construction."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from tscl.encoders.base import ENCODERS, Encoder, project_input
from tscl.encoders.convolution import ShiftedConv, check_dims, check_dropout, check_series


class TemporalBlock(nn.Module):
    """Twice weight-normalised causal convolution, ReLU, dropout; plus the input, then ReLU."""

    def __init__(self, dims: int, kernel_size: int, dilation: int, dropout: float) -> None:
        super().__init__()
        convs = [ShiftedConv(dims, dims, kernel_size, dilation, causal=True) for _ in range(2)]
        # one norm per output channel, which is the last axis of (kernel, in, out)
        self.convs = nn.ModuleList(weight_norm(conv, dim=2) for conv in convs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, dims) to (T, B, dims)."""
        h = x
        for conv in self.convs:
            h = self.dropout(F.relu(conv(h)))
        return F.relu(h + x)


@ENCODERS.register("tcn")
class TCNEncoder(Encoder):
    """Linear layer, latent mask, ``depth`` causal blocks of dilation ``2**i``, linear layer.

    Blocks as in arXiv 1803.01271, section 3.3 and figure 1(b).

    Args:
        input_dims: channels C of the series.
        output_dims: embedding dimensions D.
        hidden_dims: width of the blocks.
        depth: number of blocks.
        kernel_size: taps of every convolution.
        dropout: probability of dropout after every convolution.

    Attributes:
        receptive_field: ``1 + 2 (kernel_size - 1) (2**depth - 1)`` steps, t included.

    Raises:
        InputError: an argument out of range, or an input of another shape.

    Example:
        >>> import torch
        >>> encoder = TCNEncoder(2, output_dims=16, hidden_dims=8, depth=3)
        >>> encoder.causal, encoder.receptive_field
        (True, 29)
        >>> encoder(torch.zeros(3, 50, 2)).shape
        torch.Size([3, 50, 16])
    """

    name: ClassVar[str] = "tcn"

    def __init__(
        self,
        input_dims: int,
        output_dims: int = 320,
        hidden_dims: int = 64,
        depth: int = 5,
        kernel_size: int = 3,
        dropout: float = 0.05,
    ) -> None:
        super().__init__()
        check_dims(
            input_dims=input_dims, output_dims=output_dims, hidden_dims=hidden_dims, depth=depth
        )
        check_dropout(dropout)
        self._config = {
            "input_dims": input_dims,
            "output_dims": output_dims,
            "hidden_dims": hidden_dims,
            "depth": depth,
            "kernel_size": kernel_size,
            "dropout": dropout,
        }
        self.input_dims, self.output_dims, self.causal = input_dims, output_dims, True
        self.receptive_field = 1 + 2 * (kernel_size - 1) * (2**depth - 1)
        self.input_fc = nn.Linear(input_dims, hidden_dims)
        self.blocks = nn.Sequential(
            *(TemporalBlock(hidden_dims, kernel_size, 2**i, dropout) for i in range(depth))
        )
        self.output_fc = nn.Linear(hidden_dims, output_dims)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T, D); see :class:`tscl.encoders.base.Encoder`."""
        check_series(x, self.input_dims)
        h = project_input(x, self.input_fc, mask).transpose(0, 1).contiguous()
        out: Tensor = self.output_fc(self.blocks(h)).transpose(0, 1).contiguous()
        return out
