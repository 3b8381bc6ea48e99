"""Strong small baselines with the interface of the forecasting network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.errors import InputError
from tscl.forecasters.network import ForecastNetwork
from tscl.registry import constructor_arguments


class WholeForecaster(nn.Module):
    """A network that forecasts from a window at once, with the interface of the forecasting one.

    Subclasses set ``channels``, ``input_length`` and ``_config``.
    """

    channels: int
    input_length: int
    _config: dict[str, Any]

    def config(self) -> dict[str, Any]:
        """Constructor arguments (JSON types) that rebuild this network."""
        return dict(self._config)

    def check_past(self, past: Tensor) -> None:
        """Raise InputError unless ``past`` is (B, L, C)."""
        if past.shape[1:] != (self.input_length, self.channels):
            wanted = (len(past), self.input_length, self.channels)
            raise InputError("past", tuple(past.shape), f"pass {wanted}")

    def forecast(
        self,
        past: Tensor,
        past_marks: Tensor | None = None,
        future_marks: Tensor | None = None,
        *,
        freeze: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """The forecast, and the input as its own representation.

        Args:
            past: (B, T, C) observed steps.
            past_marks: (B, T, M) covariates of these, known in advance.
            future_marks: (B, H, M) those of the steps to forecast.
            freeze: without effect: there is no encoder apart from the forecast.
        """
        result: Tensor = self(past, past_marks, future_marks)
        return result, past


class DLinear(WholeForecaster):
    """Two linear maps over time: one of the moving average, one of the rest.

    Zeng et al. 2023, arXiv 2205.13504, section 4.1. The maps are shared by all channels unless
    ``individual``. Covariates are accepted and ignored.

    Args:
        channels: C, value channels of the input.
        horizon: H, steps to forecast.
        input_length: L, steps of the input.
        targets: which channels are forecast; all when None.
        kernel: steps of the moving average, odd; its edges repeat the end values.
        individual: maps of their own for every target.

    Raises:
        InputError: an argument out of range or an input of another shape.
    """

    def __init__(
        self,
        channels: int,
        horizon: int,
        input_length: int,
        *,
        targets: Sequence[int] | None = None,
        kernel: int = 25,
        individual: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("horizon", horizon), ("input_length", input_length)):
            if value < 1:
                raise InputError(name, value, "choose at least 1")
        if kernel < 1 or kernel % 2 == 0:
            raise InputError("kernel", kernel, "choose an odd number of steps")
        self.targets = list(range(channels)) if targets is None else [int(t) for t in targets]
        self.channels, self.horizon, self.kernel = channels, horizon, kernel
        self.input_length, self.marks = input_length, 0
        self.groups = len(self.targets) if individual else 1
        shape = (2, self.groups, horizon, input_length)
        self.weight = nn.Parameter(torch.full(shape, 1.0 / input_length))
        self.bias = nn.Parameter(torch.zeros(2, self.groups, horizon))
        self._config = constructor_arguments(locals(), targets=self.targets)

    def forward(
        self, past: Tensor, past_marks: Tensor | None = None, future_marks: Tensor | None = None
    ) -> Tensor:
        """Forecast. Arguments as :meth:`ForecastNetwork.forward`."""
        self.check_past(past)
        x = past[:, :, self.targets].transpose(1, 2)
        half = self.kernel // 2
        trend = F.avg_pool1d(F.pad(x, (half, half), mode="replicate"), self.kernel, stride=1)
        parts = torch.stack([x - trend, trend])
        weight = self.weight.expand(-1, x.shape[1], -1, -1)
        bias = self.bias.expand(-1, x.shape[1], -1)
        out = torch.einsum("pbcl,pchl->bch", parts, weight) + bias.sum(dim=0)
        return out.transpose(1, 2)


class NLinear(DLinear):
    """One linear map of the past minus its last value, which the forecast gets back.

    Zeng et al. 2023, arXiv 2205.13504, section 4.1. The map is shared by all channels.

    Args:
        channels: C, value channels, all of which are forecast.
        horizon: H, steps to forecast.
        input_length: L, steps of the input.

    Raises:
        InputError: an argument out of range or an input of another shape.

    Example:
        >>> import torch
        >>> from tscl.forecasters.simple_networks import NLinear
        >>> NLinear(channels=2, horizon=6, input_length=24)(torch.randn(3, 24, 2)).shape
        torch.Size([3, 6, 2])
    """

    def __init__(self, channels: int, horizon: int, input_length: int) -> None:
        super().__init__(channels, horizon, input_length, kernel=1)
        self._config = {"channels": channels, "horizon": horizon, "input_length": input_length}

    def forward(
        self, past: Tensor, past_marks: Tensor | None = None, future_marks: Tensor | None = None
    ) -> Tensor:
        """Forecast (B, H, C) from (B, L, C)."""
        last = past[:, -1:]
        return super().forward(past - last) + last


def patch_transformer(
    channels: int,
    horizon: int,
    input_length: int,
    *,
    marks: int = 0,
    targets: Sequence[int] | None = None,
    patch: int = 16,
    hidden_dims: int = 64,
    depth: int = 2,
    heads: int = 4,
    ffn_dims: int = 128,
    dropout: float = 0.1,
) -> ForecastNetwork:
    """A small PatchTST-like network (Nie et al. 2023, arXiv 2211.14730).

    Channels are independent, patches do not overlap, windows are normalised as in RevIN, the
    head is one linear layer over all tokens. Positions are rotary and layers pre-norm, unlike
    PatchTST's learned positions and batch normalisation.

    Args:
        channels: C, value channels.
        horizon: H, steps to forecast.
        input_length: L, steps of a window.
        marks: K, covariates known ahead.
        targets: channels that are forecast; all when None.
        patch: steps of a token.
        hidden_dims: width.
        depth: layers.
        heads: of the attention.
        ffn_dims: width of the feed-forward part.
        dropout: of the encoder and the head.
    """
    return ForecastNetwork(
        channels,
        horizon,
        marks=marks,
        targets=targets,
        encoder="transformer",
        encoder_params={
            "hidden_dims": hidden_dims,
            "depth": depth,
            "heads": heads,
            "ffn_dims": ffn_dims,
            "dropout": dropout,
        },
        output_dims=hidden_dims,
        dropout=dropout,
        query="reuse",
        instance_norm="standard",
        patch=min(patch, input_length),
        channel_independent=True,
        input_length=input_length,
        flatten=True,
    )
