"""Forecasting network: any encoder, then an MLP applied to the outputs of the last steps.

The architecture of the end-to-end study (arXiv 2306.12086): an encoder maps every step to 320
dimensions, an MLP maps each step's representation to the variables, and the last ``horizon``
outputs are the forecast. Added here: positions (of the encoders of this library), steps for a
horizon longer than the input, the calendar of the future, patches, instance normalisation, a
linear path beside the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from numbers import Real
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from tscl.encoders import ENCODERS
from tscl.encoders.base import require_every_step
from tscl.errors import ConfigError, InputError, check_choice, is_whole, nearest
from tscl.forecasters.normalize import InstanceNorm, window_scale
from tscl.registry import constructor_arguments

Query = Literal["auto", "append", "reuse"]
Skip = Literal["none", "linear"]


class ForecastNetwork(nn.Module):
    """Direct forecasts of all steps of a horizon.

    ``forward(past, past_marks, future_marks)`` takes values (B, L, C), covariates known for the
    past (B, L, K) and those known for the future (B, H, K), K possibly 0, and returns
    (B, H, len(targets)).

    Args:
        channels: C, value channels of the input.
        horizon: H, steps to forecast.
        marks: K, covariates known in past and future (calendar, exogenous columns).
        targets: which value channels are forecast; all when None.
        encoder: registered encoder name.
        encoder_params: its other arguments, without ``input_dims`` and ``output_dims``.
        output_dims: dimensions of a step's representation.
        decoder_dims: width of the MLP decoder; 0 for a linear one.
        dropout: in the decoder.
        query: where the forecast is read. ``reuse``: at the last outputs of the input's own
            steps, as in the paper; only a horizon longer than the input gets extra steps.
            ``append``: at extra steps after the input, which carry the future covariates and a
            flag. ``auto``: append for causal encoders (whose outputs at earlier steps have not
            seen the whole input), reuse otherwise.
        instance_norm: ``none``, ``standard`` (RevIN without affine) or ``last``.
        patch: steps a token holds; 1 for one token per step.
        channel_independent: treat every target channel as a series of its own (PatchTST).
        input_length: L, only needed (and then checked) for ``flatten`` and ``skip``.
        flatten: decode all tokens at once by one linear layer to all steps (PatchTST's head)
            instead of the MLP per step.
        skip: ``linear`` adds one linear map over time from the (normalised) past of a target to
            its forecast, the same for all targets and zero at the start, so that the network
            learns what a linear forecast leaves over; ``none`` adds nothing.
        published: the network of the study's public code: the encoder in its published form
            (``lstm``, ``tcn``, ``informer`` or ``dilated``), which sees the values alone, with
            ``dropout`` behind the input's projection, and a decoder of ReLU, Xavier's weights and
            no dropout whose last outputs are the forecast. Then ``query`` is ``reuse`` and the
            horizon at most the input.

    Attributes:
        encoder: the encoder. output_dims: D. horizon: H. skip: the linear map, or None.

    Raises:
        InputError: an argument out of range or inputs of another shape.
        ConfigError: unknown encoder or encoder parameter.
    """

    def __init__(
        self,
        channels: int,
        horizon: int,
        *,
        marks: int = 0,
        targets: Sequence[int] | None = None,
        encoder: str = "transformer",
        encoder_params: dict[str, Any] | None = None,
        output_dims: int = 320,
        decoder_dims: int = 320,
        dropout: float = 0.05,
        query: Query = "auto",
        instance_norm: InstanceNorm = "none",
        patch: int = 1,
        channel_independent: bool = False,
        input_length: int | None = None,
        flatten: bool = False,
        skip: Skip = "none",
        published: bool = False,
    ) -> None:
        super().__init__()
        sizes = {"channels": channels, "horizon": horizon, "patch": patch}
        sizes["output_dims"] = output_dims
        _check_numbers(sizes | {"marks": marks, "decoder_dims": decoder_dims}, dropout)
        for name, value in sizes.items():
            if value < 1:
                raise InputError(name, value, "choose at least 1")
        if marks < 0 or decoder_dims < 0:
            raise InputError("marks, decoder_dims", (marks, decoder_dims), "use 0 or more")
        check_choice("query", query, get_args(Query))
        check_choice("skip", skip, get_args(Skip))
        if published and (marks or query == "append" or patch > 1 or flatten or not decoder_dims):
            remedy = "it takes no covariates, patches, appended steps or other decoder"
            raise InputError("published", published, remedy)
        if (flatten or skip == "linear") and input_length is None:
            raise InputError("input_length", None, "flatten and skip need the input length")
        self.targets = list(range(channels)) if targets is None else [int(t) for t in targets]
        if not self.targets or not all(0 <= t < channels for t in self.targets):
            raise InputError("targets", self.targets, f"name channels in 0..{channels - 1}")
        if len(set(self.targets)) != len(self.targets):
            raise InputError("targets", self.targets, "name each channel once")
        self.channels, self.horizon, self.marks, self.patch = channels, horizon, marks, patch
        self.instance_norm: InstanceNorm = instance_norm
        self.channel_independent, self.flatten = channel_independent, flatten
        self.input_length = input_length
        self.fixed_length = flatten or skip == "linear"
        self.output_dims = output_dims
        self._config = constructor_arguments(
            locals(), targets=self.targets, encoder_params=dict(encoder_params or {})
        )
        inner = 1 if channel_independent else channels
        self._outputs = 1 if channel_independent else len(self.targets)
        self.published = published
        check_encoder_params(encoder_params or {})
        own = {"published": True, "input_dropout": dropout} if published else {}
        self.encoder = ENCODERS.build(
            encoder,
            input_dims=patch * (inner + marks + (0 if published else 1)),
            output_dims=output_dims,
            **{**own, **(encoder_params or {})},
        )
        require_every_step(self.encoder, "a forecasting network")
        auto = query == "auto" and self.encoder.causal and not published
        self.append = query == "append" or auto
        self.decoder: nn.Module
        width = output_dims + patch * marks
        if flatten:
            assert input_length is not None
            tokens = -(-input_length // patch)
            self.decoder = nn.Sequential(
                nn.Dropout(dropout), nn.Linear(tokens * output_dims, horizon * self._outputs)
            )
        elif published:
            self.decoder = _published_decoder(output_dims, decoder_dims, self._outputs)
        elif decoder_dims:
            self.decoder = nn.Sequential(
                nn.Linear(width, decoder_dims),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(decoder_dims, patch * self._outputs),
            )
        else:
            self.decoder = nn.Linear(width, patch * self._outputs)
        self.skip: nn.Linear | None = None
        if skip == "linear":
            assert input_length is not None
            self.skip = nn.Linear(input_length, horizon)
            nn.init.zeros_(self.skip.weight)
            nn.init.zeros_(self.skip.bias)

    def config(self) -> dict[str, Any]:
        """Constructor arguments (JSON types) that rebuild this network."""
        return dict(self._config)

    def forward(
        self, past: Tensor, past_marks: Tensor | None = None, future_marks: Tensor | None = None
    ) -> Tensor:
        """Forecast (B, H, len(targets)).

        Args:
            past: (B, L, C) values.
            past_marks: (B, L, K) covariates of the past.
            future_marks: (B, H, K) covariates of the future.
        """
        return self.forecast(past, past_marks, future_marks)[0]

    def forecast(
        self,
        past: Tensor,
        past_marks: Tensor | None = None,
        future_marks: Tensor | None = None,
        *,
        freeze: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """The forecast and the representation (B', N, D) of the input's own tokens.

        ``B'`` is B, or B times the number of targets when channels are independent.

        Args:
            past: (B, L, C).
            past_marks: (B, L, K) covariates.
            future_marks: (B, H, K) covariates.
            freeze: compute the representation without gradients.
        """
        self._check(past, past_marks, future_marks)
        scale = window_scale(past, self.instance_norm)
        values = past if scale is None else scale.apply(past)
        linear = None
        if self.skip is not None:
            linear = self.skip(values[:, :, self.targets].transpose(1, 2)).transpose(1, 2)
        values, past_marks = self._per_channel(values, past_marks)
        future_marks = self._spread(future_marks)
        tokens = self._tokens(values, past_marks)
        n_past = tokens.shape[1]
        n_out = -(-self.horizon // self.patch)
        n_query = 0 if self.flatten else n_out if self.append else max(0, n_out - n_past)
        if n_query and self.published:
            remedy = f"the published network reads its last outputs: pass {n_out} steps or more"
            raise InputError("past", tuple(past.shape), remedy)
        if n_query:
            tokens = torch.cat([tokens, self._queries(values, future_marks, n_query)], dim=1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not freeze):
            embeddings = self.encoder(tokens)
        flat = self._decode(embeddings, future_marks, n_out)
        out = self._join(flat, len(past))
        if linear is not None:
            out = out + linear
        return (out if scale is None else scale.undo(out, self.targets)), embeddings[:, :n_past]

    def represent(
        self, past: Tensor, past_marks: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Representation (B', N, D) of the input's tokens.

        Args:
            past: (B, L, C).
            past_marks: (B, L, K) covariates.
            mask: latent mask (B', N); None hides nothing.
        """
        self._check(past, past_marks, None, future=False)
        scale = window_scale(past, self.instance_norm)
        values, past_marks = self._per_channel(
            past if scale is None else scale.apply(past), past_marks
        )
        out: Tensor = self.encoder(self._tokens(values, past_marks), mask)
        return out

    def token_shape(self, past: Tensor) -> tuple[int, int]:
        """(B', N) of :meth:`represent` for ``past``: what a latent mask must have."""
        rows = len(past) * (len(self.targets) if self.channel_independent else 1)
        return rows, -(-past.shape[1] // self.patch)

    def _check(
        self,
        past: Tensor,
        past_marks: Tensor | None,
        future_marks: Tensor | None,
        *,
        future: bool = True,
    ) -> None:
        if past.ndim != 3 or past.shape[2] != self.channels or past.shape[1] < 1:
            raise InputError("past", tuple(past.shape), f"pass (B, L, {self.channels})")
        if self.fixed_length and past.shape[1] != self.input_length:
            raise InputError("past", tuple(past.shape), f"pass {self.input_length} steps")
        if not self.marks:
            return
        wanted = [("past_marks", past_marks, past.shape[1])]
        if future:
            wanted.append(("future_marks", future_marks, self.horizon))
        for name, value, steps in wanted:
            shape = (len(past), steps, self.marks)
            if value is None or tuple(value.shape) != shape:
                shown = None if value is None else tuple(value.shape)
                raise InputError(name, shown, f"pass {shape}")

    def _per_channel(self, values: Tensor, marks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if not self.channel_independent:
            return values, marks if self.marks else None
        chosen = values[:, :, self.targets].transpose(1, 2).reshape(-1, values.shape[1], 1)
        return chosen, self._spread(marks)

    def _spread(self, marks: Tensor | None) -> Tensor | None:
        if marks is None or not self.marks:
            return None
        if not self.channel_independent:
            return marks
        return marks.repeat_interleave(len(self.targets), dim=0)

    def _tokens(self, values: Tensor, marks: Tensor | None) -> Tensor:
        """(B, L, C) with marks to (B, N, patch * (C + K + 1)); the front is filled up."""
        flag = torch.zeros_like(values[..., :1])
        steps = values
        if not self.published:
            steps = torch.cat([values, flag] if marks is None else [values, marks, flag], dim=-1)
        lack = -values.shape[1] % self.patch
        if lack:
            steps = torch.cat([steps[:, :1].expand(-1, lack, -1), steps], dim=1)
        return steps.reshape(len(steps), -1, self.patch * steps.shape[2])

    def _queries(self, values: Tensor, future_marks: Tensor | None, n_query: int) -> Tensor:
        """Tokens after the input: no values, the covariates of their steps, and the flag."""
        n_steps = n_query * self.patch
        empty = values.new_zeros(len(values), n_steps, values.shape[2])
        flag = values.new_ones(len(values), n_steps, 1)
        if future_marks is None:
            steps = torch.cat([empty, flag], dim=-1)
        else:
            # append: the steps t+1.. ; filling up: the last outputs are the whole forecast
            marks = self._future(future_marks, n_steps if self.append else None)[:, -n_steps:]
            steps = torch.cat([empty, marks, flag], dim=-1)
        return steps.reshape(len(steps), n_query, -1)

    def _future(self, marks: Tensor, n_steps: int | None) -> Tensor:
        """Future marks for whole tokens; the last step is repeated where there are too few."""
        wanted = n_steps or -(-self.horizon // self.patch) * self.patch
        lack = wanted - marks.shape[1]
        if lack > 0:
            marks = torch.cat([marks, marks[:, -1:].expand(-1, lack, -1)], dim=1)
        return marks[:, :wanted]

    def _decode(self, embeddings: Tensor, future_marks: Tensor | None, n_out: int) -> Tensor:
        rows = len(embeddings)
        if self.flatten:
            out: Tensor = self.decoder(embeddings.flatten(1))
            return out.view(rows, self.horizon, self._outputs)
        last = embeddings[:, -n_out:]
        if future_marks is not None:
            marks = self._future(future_marks, None).reshape(rows, n_out, -1)
            last = torch.cat([last, marks], dim=-1)
        decoded: Tensor = self.decoder(last)
        return decoded.reshape(rows, n_out * self.patch, self._outputs)[:, : self.horizon]

    def _join(self, flat: Tensor, n: int) -> Tensor:
        if not self.channel_independent:
            return flat
        return flat.reshape(n, len(self.targets), self.horizon).transpose(1, 2)


def _published_decoder(width: int, middle: int, outputs: int) -> nn.Module:
    """The MLP of the study's code; ReLU between weights drawn as Xavier's, biases zero."""
    layers = nn.Linear(width, middle), nn.Linear(middle, outputs)
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])


def _check_numbers(sizes: Mapping[str, Any], dropout: Any) -> None:
    for name, value in sizes.items():
        if not is_whole(value):
            raise InputError(name, repr(value), "choose a whole number")
    if not isinstance(dropout, Real) or not 0 <= float(dropout) <= 1:
        raise InputError("dropout", repr(dropout), "choose a share in [0, 1]")


OWN = ("channels", "horizon", "marks", "targets", "encoder", "encoder_params", "input_length")
"""Arguments that whoever builds the network sets itself."""


def check_encoder_params(params: Mapping[str, Any]) -> None:
    """Raise ConfigError for an argument of the encoder that the network sets."""
    for name in ("input_dims", "output_dims"):
        if name in params:
            remedy = "leave it out: the network sets it (network_params.output_dims)"
            raise ConfigError(f"encoder_params.{name}", params[name], remedy)


def check_network_params(params: Mapping[str, Any], own: Sequence[str] = OWN) -> None:
    """Raise ConfigError for the first name that is no free argument of the network."""
    known = [k for k in signature(ForecastNetwork).parameters if k not in own]
    for name in params:
        if name not in known:
            raise ConfigError(f"network_params.{name}", params[name], nearest(name, known))
