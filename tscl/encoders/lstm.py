"""Stacked LSTM encoder: causal, with memory of the whole past."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from tscl.encoders.base import ENCODERS, Encoder, project_input
from tscl.encoders.convolution import check_dims, check_dropout, check_series
from tscl.errors import InputError


@ENCODERS.register("lstm")
class LSTMEncoder(Encoder):
    """Linear layer, latent mask, ``depth`` LSTM layers, linear layer.

    Args:
        input_dims: channels C of the series.
        output_dims: embedding dimensions D.
        hidden_dims: width of the layers.
        depth: number of layers.
        dropout: probability of dropout between layers.

    Attributes:
        receptive_field: None, since step t depends on every step before it.

    Raises:
        InputError: an argument out of range, or an input of another shape.

    Example:
        >>> import torch
        >>> encoder = LSTMEncoder(2, output_dims=16, hidden_dims=8, depth=1)
        >>> encoder(torch.zeros(3, 50, 2)).shape
        torch.Size([3, 50, 16])
    """

    name: ClassVar[str] = "lstm"

    def __init__(
        self,
        input_dims: int,
        output_dims: int = 320,
        hidden_dims: int = 64,
        depth: int = 5,
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
            "dropout": dropout,
        }
        self.input_dims, self.output_dims, self.causal = input_dims, output_dims, True
        self.receptive_field = None
        self.input_fc = nn.Linear(input_dims, hidden_dims)
        self.lstm = nn.LSTM(
            hidden_dims, hidden_dims, depth, batch_first=True, dropout=dropout if depth > 1 else 0.0
        )
        self.output_fc = nn.Linear(hidden_dims, output_dims)

    def _hidden(self, x: Tensor, mask: Tensor | None) -> Tensor:
        check_series(x, self.input_dims)
        h: Tensor = self.lstm(project_input(x, self.input_fc, mask))[0]
        return h

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T, D); see :class:`tscl.encoders.base.Encoder`."""
        out: Tensor = self.output_fc(self._hidden(x, mask))
        return out

    def forward_from(
        self, x: Tensor, state: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Encode the next steps (B, T, C) of series whose past is ``state``.

        Returns:
            Embeddings (B, T, D) and the state after the last step: hidden and cell, (depth, B, H)
            each.

        Raises:
            InputError: a state of another shape.
        """
        check_series(x, self.input_dims)
        shape = (self.lstm.num_layers, x.shape[0], self.lstm.hidden_size)
        if state is None:
            state = (x.new_zeros(shape), x.new_zeros(shape))
        if len(state) != 2 or any(tuple(part.shape) != shape for part in state):
            value = [tuple(part.shape) for part in state]
            raise InputError("state", value, f"pass hidden and cell of shape {shape}")
        hidden, after = self.lstm(project_input(x, self.input_fc, None), tuple(state))
        return self.output_fc(hidden), after

    def forward_last(self, x: Tensor) -> Tensor:
        """Embedding of the last step, (B, T, C) to (B, D)."""
        out: Tensor = self.output_fc(self._hidden(x, None)[:, -1])
        return out
