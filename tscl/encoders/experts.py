"""Mixture of autoregressive experts over any encoder's embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tscl.encoders.base import ENCODERS, Encoder
from tscl.encoders.convolution import check_dims, exporting, shifted_conv
from tscl.encoders.mixture import fold_kernels, frequency_conv, separate_convolutions
from tscl.errors import ConfigError, InputError, check_choice
from tscl.registry import constructor_arguments

MIXTURES = ("folded_fft", "folded", "separate")
_FEW_ROWS = 512


class MixtureEncoder(Encoder):
    """Base of encoders that end in the mean of causal convolutions of several lengths.

    The trend part of CoST (arXiv 2202.01575, section 3.1). The kernels are parameters of shape
    (k, D, D) with ``nn.Conv1d``'s initialisation; all are folded into one convolution of the
    longest length, which is the same map.
    """

    mixture: str

    def _build_mixture(self, dims: int, kernels: Sequence[int], mixture: str) -> None:
        """Make the kernels.

        Raises:
            InputError: no length, or one below 1.
            ConfigError: unknown ``mixture``.
        """
        check_choice("mixture", mixture, MIXTURES, error=ConfigError)
        if len(kernels) == 0:
            raise InputError("kernels", kernels, "give at least one length")
        weights, biases = [], []
        for length in kernels:
            check_dims(kernels=length)
            bound = 1.0 / math.sqrt(dims * length)
            shape = (length, dims, dims)
            weights.append(nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))
            biases.append(nn.Parameter(torch.empty(dims).uniform_(-bound, bound)))
        self.mixture = mixture
        self.weights = nn.ParameterList(weights)
        self.biases = nn.ParameterList(biases)
        self.longest = max(kernels)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Taps (K, D, D), last tap = current step, and bias (D,) of the folded convolution."""
        bias = torch.stack(list(self.biases)).mean(dim=0)
        return fold_kernels(list(self.weights)), bias

    def _mix(self, h: Tensor, x: Tensor) -> Tensor:
        """Embeddings (T, B, D) mixed; bit-equal whatever follows where that can matter.

        That is in evaluation of a causal encoder whose input ``x`` needs no gradient.
        """
        if self.mixture == "separate":
            return separate_convolutions(h, list(self.weights), list(self.biases))
        exact = self.causal and not self.training and not x.requires_grad
        taps, bias = self.folded()
        fast = self.mixture == "folded_fft" and not exact and not exporting()
        if fast and h.shape[0] * h.shape[1] > _FEW_ROWS:
            return frequency_conv(h, taps, bias)
        return shifted_conv(h, taps, bias, causal=True)


@ENCODERS.register("experts")
class ExpertsEncoder(MixtureEncoder):
    """Any registered encoder, then a mixture of autoregressive experts on its embeddings.

    Expert k predicts the step from the last ``kernels[k]`` embeddings; the output is their mean.

    Args:
        input_dims: channels C of the series.
        output_dims: embedding dimensions D, of the backbone and of the mixture.
        backbone: name of a registered encoder.
        backbone_params: its other arguments.
        kernels: lengths of the experts.
        mixture: ``folded_fft``, ``folded`` or ``separate``; see
            :class:`tscl.encoders.cost.CoSTEncoder`.

    Attributes:
        causal: as the backbone.
        stride: as the backbone; experts then see the backbone's coarse embeddings.
        receptive_field: the backbone's and ``max(kernels) - 1`` embeddings more.

    Raises:
        InputError: an argument out of range.
        ConfigError: unknown backbone or parameter.

    Example:
        >>> import tscl.encoders  # registers the backbones
        >>> encoder = ExpertsEncoder(2, 16, backbone="lstm", backbone_params={"depth": 1})
        >>> encoder.causal
        True
        >>> encoder(torch.zeros(3, 50, 2)).shape
        torch.Size([3, 50, 16])
    """

    name: ClassVar[str] = "experts"

    def __init__(
        self,
        input_dims: int,
        output_dims: int = 320,
        backbone: str = "transformer",
        backbone_params: dict[str, Any] | None = None,
        kernels: tuple[int, ...] | list[int] = (1, 2, 4, 8, 16, 32),
        mixture: str = "folded_fft",
    ) -> None:
        super().__init__()
        params = dict(backbone_params or {})
        self.backbone = ENCODERS.build(
            backbone, input_dims=input_dims, output_dims=output_dims, **params
        )
        self._config = constructor_arguments(
            locals(), backbone_params=params, kernels=[int(k) for k in kernels]
        )
        self.input_dims, self.output_dims = input_dims, output_dims
        self.causal = self.backbone.causal
        self._build_mixture(output_dims, kernels, mixture)
        field = self.backbone.receptive_field
        self.stride, self.latent_stride = self.backbone.stride, self.backbone.latent_stride
        longest = (self.longest - 1) * self.stride
        self.receptive_field = None if field is None else field + longest

    @property
    def latent_dims(self) -> int | None:
        """The backbone's."""
        return self.backbone.latent_dims

    def output_length(self, length: int) -> int:
        """The backbone's."""
        return self.backbone.output_length(length)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T, D); see :class:`tscl.encoders.base.Encoder`."""
        h = self.backbone(x, mask).transpose(0, 1).contiguous()
        return self._mix(h, x).transpose(0, 1).contiguous()
