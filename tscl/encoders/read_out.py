"""One embedding a series: those of a backbone, pooled, and a linear read-out of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from tscl.encoders.base import ENCODERS, Encoder
from tscl.encoders.convolution import check_dims
from tscl.encoders.strided import BatchNorm
from tscl.errors import InputError, check_choice
from tscl.pooling import check_pooling, pool_time
from tscl.registry import constructor_arguments

Output = Literal["pooled", "read_out", "both"]
WHOLE = 2**31
"""Stride of an embedding that stands for a whole series: more steps than any has."""


@ENCODERS.register("read_out")
class ReadOutEncoder(Encoder):
    """Pooled embeddings of a backbone beside what a linear layer reads out of them.

    The read-out is trained to predict figures of the series, by
    :class:`tscl.methods.knowledge.KnowledgeDistillation`; as part of the encoder it is saved with
    it. The pooled vector passes a batch norm before it.

    Args:
        input_dims: channels C of the series.
        output_dims: figures that are read out, K.
        output: what an embedding is: the ``pooled`` vector, the ``read_out``, or ``both`` side by
            side, which is wider than ``output_dims``.
        backbone: registered name of the encoder of steps, or such a module (which can be trained
            and used, but only a registered one can be saved).
        backbone_params: its arguments besides ``input_dims``; None takes its defaults.
        pooling: over time, names of :data:`tscl.pooling.POOLS` joined by ``+``.

    Attributes:
        stride: more than any series has steps, so that there is one embedding of each.
        output_dims: width of an embedding, pooled and read out.
        backbone: the encoder of steps.

    Raises:
        InputError: a size below 1, an unknown ``output``, or arguments beside a module.
        ConfigError: an unknown backbone or pooling.

    Example:
        >>> encoder = ReadOutEncoder(1, 5, "both", pooling="mean+max")
        >>> encoder(torch.zeros(3, 500, 1)).shape
        torch.Size([3, 1, 261])
    """

    name: ClassVar[str] = "read_out"

    def __init__(
        self,
        input_dims: int,
        output_dims: int = 64,
        output: Output = "read_out",
        backbone: str | nn.Module = "resnet1d",
        backbone_params: Mapping[str, Any] | None = None,
        pooling: str = "mean+std+max",
    ) -> None:
        super().__init__()
        check_dims(input_dims=input_dims, output_dims=output_dims)
        check_choice("output", output, get_args(Output))
        self.backbone: nn.Module
        if isinstance(backbone, nn.Module):
            if backbone_params:
                raise InputError("backbone_params", dict(backbone_params), "leave them out")
            self.backbone, name = backbone, getattr(backbone, "name", type(backbone).__name__)
            described = backbone.config() if isinstance(backbone, Encoder) else {}
            params = {key: value for key, value in described.items() if key != "input_dims"}
        else:
            name, params = backbone, dict(backbone_params or {})
            self.backbone = ENCODERS.build(name, input_dims=input_dims, **params)
        self._config = constructor_arguments(locals(), backbone=name, backbone_params=params)
        dims = int(self.backbone.output_dims) * len(check_pooling(pooling))  # type: ignore[arg-type]
        self.output, self.pooling, self.pooled_dims = output, pooling, dims
        self.norm = BatchNorm(dims)
        self.linear = nn.Linear(dims, output_dims)
        self.input_dims, self.causal, self.receptive_field = input_dims, False, None
        both = dims + output_dims
        self.output_dims = {"pooled": dims, "read_out": output_dims, "both": both}[output]
        self.stride = WHOLE
        self.latent_stride = int(getattr(self.backbone, "latent_stride", 1))

    @property
    def latent_dims(self) -> int | None:
        """Of the backbone."""
        dims = getattr(self.backbone, "latent_dims", None)
        return dims if isinstance(dims, int) else None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, 1, D); see :class:`tscl.encoders.base.Encoder`."""
        steps = self.backbone(x) if mask is None else self.backbone(x, mask)
        pooled, _, figures = self.read(steps)
        parts = {"pooled": [pooled], "read_out": [figures], "both": [pooled, figures]}
        return torch.cat(parts[self.output], dim=1).unsqueeze(1)

    def read(self, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The pooled vector, the same after the norm, and the figures read out of it.

        In float32 at least, also under autocast: variances and figures do not bear less.

        Args:
            steps: embeddings (B, T', H) of the backbone.

        Returns:
            (B, P), (B, P) and (B, K).
        """
        with torch.autocast(steps.device.type, enabled=False):
            wide = torch.promote_types(steps.dtype, torch.float32)
            pooled = pool_time(steps.to(wide), self.pooling)
            normed = self.norm(pooled[:, :, None, None]).flatten(1)
            return pooled, normed, self.linear(normed)
