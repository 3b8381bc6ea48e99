"""Temporal convolutional network: causal by construction.

Bai et al., "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence
Modeling", arXiv 1803.01271.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from tscl.encoders.base import ENCODERS, Encoder, input_layer, project_input
from tscl.encoders.convolution import ShiftedConv, check_dims, check_dropout, check_series
from tscl.registry import constructor_arguments


class _TemporalBlock(nn.Module):
    """Twice weight-normalised causal convolution, ReLU, dropout; plus the input, then ReLU.

    The input is projected where it has another width. ``published`` draws weights, and the lengths
    of the weights, from N(0, 0.01).
    """

    def __init__(
        self,
        dims: int,
        kernel_size: int,
        dilation: int,
        dropout: float,
        *,
        out_dims: int | None = None,
        published: bool = False,
    ) -> None:
        super().__init__()
        out = dims if out_dims is None else out_dims
        convs = [
            ShiftedConv(inner, out, kernel_size, dilation, causal=True) for inner in (dims, out)
        ]
        # one norm per output channel, which is the last axis of (kernel, in, out)
        self.convs = nn.ModuleList(weight_norm(conv, dim=2) for conv in convs)
        self.dropout = nn.Dropout(dropout)
        self.projector = nn.Linear(dims, out) if out != dims else None
        if published:
            parts = [*self.convs.named_parameters()]
            parts += [] if self.projector is None else [*self.projector.named_parameters()]
            for name, weight in parts:
                if not name.endswith("bias"):
                    nn.init.normal_(weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, dims) to (T, B, out_dims)."""
        residual = x if self.projector is None else self.projector(x)
        h = x
        for conv in self.convs:
            h = self.dropout(F.relu(conv(h)))
        return F.relu(h + residual)


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
        published: one more block, of width ``output_dims`` and dilation ``2**depth``, in place of
            the last linear layer, and weights from N(0, 0.01) (public code of arXiv 2306.12086).
        input_dropout: probability of dropout behind the input's projection, when ``published``.

    Attributes:
        receptive_field: ``1 + 2 (kernel_size - 1) (2**depth - 1)`` steps, t included; of
            ``depth + 1`` when ``published``.

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
        published: bool = False,
        input_dropout: float = 0.05,
    ) -> None:
        super().__init__()
        check_dims(
            input_dims=input_dims, output_dims=output_dims, hidden_dims=hidden_dims, depth=depth
        )
        check_dropout(dropout)
        check_dropout(input_dropout)
        self._config = constructor_arguments(locals())
        self.input_dims, self.output_dims, self.causal = input_dims, output_dims, True
        count = depth + published
        self.receptive_field = 1 + 2 * (kernel_size - 1) * (2**count - 1)
        self.input_fc = input_layer(input_dims, hidden_dims, published, input_dropout)
        self.blocks = nn.Sequential(
            *(
                _TemporalBlock(
                    hidden_dims,
                    kernel_size,
                    2**i,
                    dropout,
                    out_dims=output_dims if i == depth else None,
                    published=published,
                )
                for i in range(count)
            )
        )
        self.output_fc = nn.Identity() if published else nn.Linear(hidden_dims, output_dims)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T, D); see :class:`tscl.encoders.base.Encoder`."""
        check_series(x, self.input_dims)
        h = project_input(x, self.input_fc, mask).transpose(0, 1).contiguous()
        out: Tensor = self.output_fc(self.blocks(h)).transpose(0, 1).contiguous()
        return out
