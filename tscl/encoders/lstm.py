"""Stacked LSTM encoder: causal, with memory of the whole past."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from tscl.encoders.base import ENCODERS, Encoder, input_layer, project_input
from tscl.encoders.convolution import check_dims, check_dropout, check_series
from tscl.errors import InputError
from tscl.registry import constructor_arguments


@ENCODERS.register("lstm")
class LSTMEncoder(Encoder):
    """Linear layer, latent mask, ``depth`` LSTM layers, linear layer.

    Args:
        input_dims: channels C of the series.
        output_dims: embedding dimensions D.
        hidden_dims: width of the layers.
        depth: number of layers.
        dropout: probability of dropout between layers.
        published: one more LSTM, of width ``output_dims``, and ReLU in place of the last linear
            layer, and the input's projection of
            :func:`tscl.encoders.base.input_layer` (public code of arXiv 2306.12086).
        input_dropout: probability of dropout behind the input's projection, when ``published``.

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
        self.receptive_field = None
        self.input_fc = input_layer(input_dims, hidden_dims, published, input_dropout)
        self.lstm = nn.LSTM(
            hidden_dims, hidden_dims, depth, batch_first=True, dropout=dropout if depth > 1 else 0.0
        )
        self.output_lstm: nn.LSTM | None = None
        if published:
            self.output_lstm = nn.LSTM(hidden_dims, output_dims, batch_first=True)
        else:
            self.output_fc = nn.Linear(hidden_dims, output_dims)

    def _hidden(self, x: Tensor, mask: Tensor | None) -> Tensor:
        check_series(x, self.input_dims)
        h: Tensor = self.lstm(project_input(x, self.input_fc, mask))[0]
        return h

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T, D); see :class:`tscl.encoders.base.Encoder`."""
        out: Tensor = self._output(self._hidden(x, mask))[0]
        return out

    def _output(
        self, hidden: Tensor, state: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Embeddings of the last layer's steps, and its state where it has one."""
        if self.output_lstm is None:
            return self.output_fc(hidden), ()
        out, after = self.output_lstm(hidden, state)
        return torch.relu(out), after

    def forward_from(
        self, x: Tensor, state: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Encode the next steps (B, T, C) of series whose past is ``state``.

        Returns:
            Embeddings (B, T, D) and the state after the last step: hidden and cell, (depth, B, H)
            each; in the published form also those of its last LSTM, (1, B, D) each.

        Raises:
            InputError: a state of another shape.
        """
        check_series(x, self.input_dims)
        shapes = [(self.lstm.num_layers, x.shape[0], self.lstm.hidden_size)] * 2
        if self.output_lstm is not None:
            shapes += [(1, x.shape[0], self.output_dims)] * 2
        if state is None:
            state = tuple(x.new_zeros(shape) for shape in shapes)
        if [tuple(part.shape) for part in state] != shapes:
            given = [tuple(part.shape) for part in state]
            raise InputError("state", given, f"pass hidden and cell of shape {shapes[0]}")
        hidden, after = self.lstm(project_input(x, self.input_fc, None), tuple(state[:2]))
        embeddings, last = self._output(hidden, tuple(state[2:]) or None)
        return embeddings, (*after, *last)

    def forward_last(self, x: Tensor) -> Tensor:
        """Embedding of the last step, (B, T, C) to (B, D)."""
        hidden = self._hidden(x, None)
        if self.output_lstm is None:
            hidden = hidden[:, -1:]
        out: Tensor = self._output(hidden)[0][:, -1]
        return out
