"""Two encoders side by side, one of the series and one of its amplitude spectrum: TF-C's pair."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from tscl.encoders.base import ENCODERS, Encoder
from tscl.errors import InputError
from tscl.registry import constructor_arguments


@ENCODERS.register("time_frequency")
class TimeFrequencyEncoder(Encoder):
    """Embeddings of each step and, beside them, of the spectrum (TF-C, arXiv 2206.08496).

    The spectrum's embeddings are pooled by the maximum over frequency and stand at every step, so
    that pooled embeddings are h_T and h_F side by side. As the encoder of the method ``tf_c`` both
    halves are trained, kept and probed.

    Args:
        input_dims: channels C of the series.
        output_dims: embedding dimensions D, even; each half has D / 2.
        backbone: name of a registered encoder that keeps all steps.
        backbone_params: its other arguments.

    Raises:
        InputError: odd dimensions, or a backbone coarser than its input.
        ConfigError: unknown backbone or parameter.

    Example:
        >>> import tscl.encoders  # registers the backbones
        >>> encoder = TimeFrequencyEncoder(2, 8, backbone_params={"hidden_dims": 4, "depth": 2})
        >>> encoder(torch.zeros(3, 50, 2)).shape
        torch.Size([3, 50, 8])
    """

    name: ClassVar[str] = "time_frequency"
    causal = False
    receptive_field = None

    def __init__(
        self,
        input_dims: int,
        output_dims: int = 320,
        backbone: str = "dilated",
        backbone_params: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        params = dict(backbone_params or {})
        self._config = constructor_arguments(locals(), backbone_params=params)
        if output_dims < 2 or output_dims % 2:
            raise InputError("output_dims", output_dims, "use an even number: half for each")
        sizes = {"input_dims": input_dims, "output_dims": output_dims // 2}
        self.time = ENCODERS.build(backbone, **sizes, **params)
        self.frequency = ENCODERS.build(backbone, **sizes, **params)
        if self.time.stride != 1:
            raise InputError("backbone", backbone, "use one that keeps all steps")
        self.input_dims, self.output_dims = input_dims, output_dims

    @property
    def latent_dims(self) -> int | None:
        """The backbone's."""
        return self.time.latent_dims

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T, D); see :class:`tscl.encoders.base.Encoder`."""
        z = self.time(x, mask)
        if mask is not None:
            kept = mask if mask.ndim == 2 else mask.any(dim=2)
            x = x.masked_fill(~kept.unsqueeze(-1), 0.0)
        h: Tensor = self.frequency(amplitude_spectrum(x)).amax(dim=1, keepdim=True)
        return torch.cat([z, h.expand(-1, z.shape[1], -1)], dim=2)


def amplitude_spectrum(x: Tensor) -> Tensor:
    """Amplitudes of the Fourier components along time, (B, T, C) to (B, T // 2 + 1, C).

    Orthonormal, so that amplitudes do not grow with T. Missing values count as zero; half
    precision is computed in single precision.
    """
    filled = torch.nan_to_num(x.float() if x.dtype in (torch.float16, torch.bfloat16) else x)
    result: Tensor = torch.fft.rfft(filled, dim=1, norm="ortho").abs().to(x.dtype)
    return result
