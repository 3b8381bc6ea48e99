"""Stack of residual dilated convolutions, centred or causal.

Yue et al., "TS2Vec: Towards Universal Representation of Time Series", AAAI 2022, arXiv 2106.10466.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from tscl.encoders.base import ENCODERS, Encoder, input_layer, project_input
from tscl.encoders.convolution import ShiftedConv, check_dims, check_dropout, check_series
from tscl.registry import constructor_arguments


class _ResidualBlock(nn.Module):
    """GELU, convolution, GELU, convolution, plus the input (projected when ``project``)."""

    def __init__(
        self,
        in_dims: int,
        out_dims: int,
        kernel_size: int,
        dilation: int,
        causal: bool,
        project: bool,
    ) -> None:
        super().__init__()
        self.dilation = dilation
        self.conv1 = ShiftedConv(in_dims, out_dims, kernel_size, dilation, causal)
        self.conv2 = ShiftedConv(out_dims, out_dims, kernel_size, dilation, causal)
        self.projector = nn.Linear(in_dims, out_dims) if project else None

    def forward(self, x: Tensor, dilation: int | None = None) -> Tensor:
        """(T, B, in_dims) to (T, B, out_dims); ``dilation`` overrides the block's own."""
        residual = x if self.projector is None else self.projector(x)
        h = self.conv1(F.gelu(x), dilation)
        h = self.conv2(F.gelu(h), dilation)
        result: Tensor = h + residual
        return result


@ENCODERS.register("dilated")
class DilatedConvEncoder(Encoder):
    """Linear layer, latent mask, ``depth + 1`` residual dilated blocks, dropout.

    Block i has dilation ``2**i``; the last one (i = depth) maps to ``output_dims`` with a
    projected residual. The backbone of TS2Vec (arXiv 2106.10466, section 3.1), CoST and AutoTCL.

    Args:
        input_dims: channels C of the series.
        output_dims: embedding dimensions D.
        hidden_dims: width of the blocks.
        depth: number of blocks of width ``hidden_dims``, before the last one.
        kernel_size: taps of every convolution; odd unless ``causal``.
        dropout: probability of dropout on the output.
        causal: pad on the left only, so that step t sees steps <= t.
        published: the input's projection of :func:`tscl.encoders.base.input_layer` (public code
            of arXiv 2306.12086).
        input_dropout: probability of dropout behind the input's projection, when ``published``.

    Attributes:
        receptive_field: ``1 + 2 (kernel_size - 1) (2**(depth + 1) - 1)`` steps: all of them past
            (t included) when causal, else centred on t.

    Raises:
        InputError: an argument out of range, or an input of another shape.

    Example:
        >>> import torch
        >>> encoder = DilatedConvEncoder(2, output_dims=16, hidden_dims=8, depth=3, causal=True)
        >>> encoder.causal, encoder.receptive_field
        (True, 61)
        >>> encoder(torch.zeros(3, 50, 2)).shape
        torch.Size([3, 50, 16])
    """

    name: ClassVar[str] = "dilated"

    def __init__(
        self,
        input_dims: int,
        output_dims: int = 320,
        hidden_dims: int = 64,
        depth: int = 10,
        kernel_size: int = 3,
        dropout: float = 0.1,
        causal: bool = False,
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
        self.input_dims, self.output_dims, self.causal = input_dims, output_dims, causal
        self.input_fc = input_layer(input_dims, hidden_dims, published, input_dropout)
        blocks = [
            _ResidualBlock(
                hidden_dims,
                output_dims if i == depth else hidden_dims,
                kernel_size,
                2**i,
                causal,
                project=i == depth,
            )
            for i in range(depth + 1)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout(dropout)
        self.receptive_field = 1 + 2 * (kernel_size - 1) * (2 ** (depth + 1) - 1)

    def features(self, x: Tensor, mask: Tensor | None = None, last: int | None = None) -> Tensor:
        """Time-major embeddings (T, B, D).

        Blocks whose dilation reaches past the series work on single steps, so with ``last`` they
        are applied to those steps alone.

        Args:
            x: (B, T, C).
            mask: (B, T), False where the latent step is hidden.
            last: give only so many last steps.
        """
        out: Tensor = self.dropout(self._trunk(x, mask, last))
        return out

    def _trunk(self, x: Tensor, mask: Tensor | None = None, last: int | None = None) -> Tensor:
        """What :meth:`features` gives before dropout."""
        check_series(x, self.input_dims)
        length = x.shape[1]
        h = project_input(x, self.input_fc, mask).transpose(0, 1).contiguous()
        for block in self.blocks:
            assert isinstance(block, _ResidualBlock)
            if last is not None and block.dilation >= length:
                h = h[-last:]
            h = block(h)
        return h if last is None else h[-last:]

    def dropout_views(
        self, x: Tensor, n_views: int, mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """What ``n_views`` calls of ``forward`` give, to the bit, for one pass of the blocks.

        Dropout acts on the output only, so views that differ by nothing else share the rest.

        Args:
            x: (B, T, C).
            n_views: how many.
            mask: (B, T), as in ``forward``.
        """
        h = self._trunk(x, mask)
        return tuple(self.dropout(h).transpose(0, 1).contiguous() for _ in range(n_views))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T, D); see :class:`tscl.encoders.base.Encoder`."""
        return self.features(x, mask).transpose(0, 1).contiguous()

    def forward_last(self, x: Tensor) -> Tensor:
        """Embedding of the last step, (B, T, C) to (B, D), from the positions it needs only.

        Block i and its successors reach the last step through every ``2**i``-th step alone, so
        half of the steps is dropped after each block: about 2T positions in all instead of
        (depth + 1) T.
        """
        check_series(x, self.input_dims)
        h = project_input(x, self.input_fc, None).transpose(0, 1).contiguous()
        for block in self.blocks:
            h = block(h, 1)
            h = h[(h.shape[0] - 1) % 2 :: 2]
        out: Tensor = self.dropout(h[-1])
        return out
