"""TF-C: time and frequency views of one series should have close embeddings.

Zhang et al., "Self-Supervised Contrastive Pre-Training For Time Series via Time-Frequency
Consistency", arXiv 2206.08496, sections 4.1 to 4.4. A time encoder gives h_T of the series, a
frequency encoder h_F of its amplitude spectrum, projections z_T and z_F meet in one space; ~ marks
augmented input. With L the NT-Xent loss of a pair of embeddings,

    L_T = L(h_T, h~_T)    L_F = L(h_F, h~_F)    L_TF = L(z_T, z_F)
    direct   lambda (L_T + L_F) + L_TF                               (the public code)
    margin   lambda (L_T + L_F) + (1 - lambda) sum_pairs max(0, L_TF - L_pair + delta)   (eq. 3)

over the pairs (z_T, z~_F), (z~_T, z_F), (z~_T, z~_F). The public code adds to every L its
polynomial term (Leng et al., "PolyLoss", arXiv 2204.12511, with epsilon = B and the probability
averaged over all entries of the 2B rows of 2B - 1), where p_i = exp(-l_i) is the probability of an
anchor's positive and l_i its NT-Xent:

    L = mean_i l_i + 1 - B / (2B - 1) mean_i p_i
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tscl.augmentations import AugmentationSpec, build_augmentation
from tscl.augmentations.base import check_fraction
from tscl.encoders.base import EncoderLike
from tscl.errors import check_choice
from tscl.losses import NTXent
from tscl.methods.base import METHODS, Batch, Losses, Method
from tscl.methods.heads import (
    ProjectionHead,
    check_batch,
    embed,
    fresh_copy,
    output_dims,
)
from tscl.seeding import rand


@METHODS.register("tf_c")
class TFC(Method):
    """TF-C around any encoder.

    Args:
        encoder: the time encoder; what is evaluated. :meth:`embed` gives z_T and z_F instead.
        frequency_encoder: encoder of the spectrum, of the same input channels; None takes a
            newly initialised copy of ``encoder``.
        augmentation: of the series.
        perturb: share of spectrum components removed, and of those raised, in [0, 1].
        level: raised components get this share of the largest amplitude, in [0, 1].
        consistency: ``direct`` or ``margin``, see the module docstring.
        weight: lambda, in [0, 1].
        delta: margin.
        temperature: of NT-Xent.
        polynomial: add the public code's polynomial term.
        projection_dims: dimensions of z.
        hidden_dims: width of the projections.
        pooling: ``max`` or ``mean`` over time and over frequency.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> from tscl.methods.base import Batch
        >>> x = torch.randn(8, 60, 2, generator=torch.Generator().manual_seed(0))
        >>> encoder = ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4, depth=2)
        >>> batch = Batch(x, torch.arange(8))
        >>> method = TFC(encoder)
        >>> sorted(method.losses(batch, method.phases(0)[0], torch.Generator().manual_seed(0)))
        ['consistency', 'frequency', 'loss', 'time']
    """

    title = "TF-C"

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        frequency_encoder: EncoderLike | nn.Module | None = None,
        augmentation: AugmentationSpec = "jitter",
        perturb: float = 0.1,
        level: float = 0.5,
        consistency: Literal["direct", "margin"] = "direct",
        weight: float = 0.2,
        delta: float = 1.0,
        temperature: float = 0.2,
        polynomial: bool = False,
        projection_dims: int = 128,
        hidden_dims: int = 256,
        pooling: str = "max",
    ) -> None:
        super().__init__(encoder)
        check_choice("consistency", consistency, ("direct", "margin"))
        if frequency_encoder is None:
            frequency_encoder = fresh_copy(self.encoder)
        assert isinstance(frequency_encoder, nn.Module)
        self.frequency_encoder: nn.Module = frequency_encoder
        self.augmentation = build_augmentation(augmentation)
        self.time_head = ProjectionHead(
            output_dims(self.encoder, pooling), hidden_dims, projection_dims
        )
        self.frequency_head = ProjectionHead(
            output_dims(frequency_encoder, pooling), hidden_dims, projection_dims
        )
        self.each = NTXent(temperature, "none")
        self.polynomial = polynomial
        self.perturb = check_fraction("perturb", perturb)
        self.level = check_fraction("level", level)
        self.weight = check_fraction("weight", weight)
        self.consistency = consistency
        self.delta = delta
        self.pooling = pooling

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """``loss`` and its terms ``time``, ``frequency``, ``consistency``.

        Raises:
            InputError: fewer than two samples.
        """
        x = check_batch(batch, samples=2)
        spectrum = amplitude_spectrum(x)
        noisy = perturb_spectrum(spectrum, self.perturb, self.level, generator)
        h_t = embed(self.encoder, x, pooling=self.pooling)
        h_t2 = embed(self.encoder, self.augmentation(x, generator), pooling=self.pooling)
        h_f = embed(self.frequency_encoder, spectrum, pooling=self.pooling)
        h_f2 = embed(self.frequency_encoder, noisy, pooling=self.pooling)
        time, frequency = self.contrast(h_t, h_t2), self.contrast(h_f, h_f2)
        z_t, z_f = self.time_head(h_t), self.frequency_head(h_f)
        consistency = self.contrast(z_t, z_f)
        total = self.weight * (time + frequency)
        if self.consistency == "direct":
            total = total + consistency
        else:
            z_t2, z_f2 = self.time_head(h_t2), self.frequency_head(h_f2)
            pairs = ((z_t, z_f2), (z_t2, z_f), (z_t2, z_f2))
            others = torch.stack([self.contrast(a, b) for a, b in pairs])
            consistency = torch.relu(consistency - others + self.delta).sum()
            total = total + (1 - self.weight) * consistency
        return {
            "loss": total,
            "time": time,
            "frequency": frequency,
            "consistency": consistency,
        }

    def contrast(self, a: Tensor, b: Tensor) -> Tensor:
        """L of two views (B, D)."""
        each: Tensor = self.each(a, b)
        if not self.polynomial:
            return each.mean()
        return each.mean() + 1 - len(a) / (2 * len(a) - 1) * torch.exp(-each).mean()

    def embed(self, x: Tensor) -> Tensor:
        """z_T and z_F of ``x`` (B, T, C) side by side, (B, 2 projection_dims)."""
        h_t = embed(self.encoder, x, pooling=self.pooling)
        h_f = embed(self.frequency_encoder, amplitude_spectrum(x), pooling=self.pooling)
        return torch.cat((self.time_head(h_t), self.frequency_head(h_f)), dim=1)


def amplitude_spectrum(x: Tensor) -> Tensor:
    """Amplitudes of the Fourier components along time, (B, T, C) to (B, T // 2 + 1, C).

    Orthonormal, so that amplitudes do not grow with T. Missing values count as zero; half
    precision is computed in single precision.
    """
    filled = torch.nan_to_num(x.float() if x.dtype in (torch.float16, torch.bfloat16) else x)
    result: Tensor = torch.fft.rfft(filled, dim=1, norm="ortho").abs().to(x.dtype)
    return result


def perturb_spectrum(
    amplitude: Tensor, ratio: float, level: float, generator: torch.Generator | None
) -> Tensor:
    """A spectrum with components removed and others raised (section 4.2 of the paper).

    Each component is set to zero with probability ``ratio``; each, independently and afterwards,
    is raised to at least ``level`` times its sample's and channel's largest amplitude with
    probability ``ratio``.

    Args:
        amplitude: (B, F, C), not negative.
        ratio: probability, in [0, 1].
        level: share of the largest amplitude, in [0, 1].
        generator: source of randomness.
    """
    shape = tuple(amplitude.shape)
    removed = rand(shape, generator, amplitude) < ratio
    raised = rand(shape, generator, amplitude) < ratio
    largest = amplitude.amax(dim=1, keepdim=True)
    out = amplitude.masked_fill(removed, 0.0)
    return torch.where(raised, torch.maximum(out, level * largest), out)
