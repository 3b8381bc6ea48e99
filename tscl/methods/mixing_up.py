"""Mixing-up: tell which two series were mixed and how much of each.

Wickstrøm et al., "Mixing Up Contrastive Learning: Self-Supervised Representation Learning for Time
Series", arXiv 2203.09270, section 3: x~ = lambda x1 + (1 - lambda) x2 with lambda ~ Beta(alpha,
alpha) for two mini-batches x1, x2; the loss is :class:`tscl.losses.MixupContrast`.
"""

from __future__ import annotations

from typing import Literal

import torch
from scipy import special
from torch import Tensor, nn

from tscl.encoders.base import EncoderLike
from tscl.errors import InputError, check_choice
from tscl.losses.mixing_up import MixupContrast
from tscl.methods.base import METHODS, Batch, Losses, Method
from tscl.methods.heads import (
    ProjectionHead,
    check_batch,
    embed,
    output_dims,
)
from tscl.seeding import rand


@METHODS.register("mixing_up")
class MixingUp(Method):
    """Mixup contrast around any encoder. A mixture is missing where either series is.

    Args:
        encoder: the encoder to train.
        alpha: both parameters of the Beta distribution, > 0.
        temperature: of the loss.
        per_sample: draw a lambda per mixture; False draws one per batch, as the paper does.
        pairing: ``halves`` mixes a random half of the batch with the other half, two disjoint
            mini-batches as in the paper; ``shuffle`` mixes the batch with itself in another
            order, as the public code does, where every series is also its own negative.
        projection_dims: the projection head's output.
        hidden_dims: its width.
        pooling: over time, of :data:`tscl.pooling.POOLS`, several joined by ``+``.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> from tscl.methods.base import Batch
        >>> x = torch.randn(8, 60, 2, generator=torch.Generator().manual_seed(0))
        >>> encoder = ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4, depth=2)
        >>> batch = Batch(x, torch.arange(8))
        >>> method = MixingUp(encoder)
        >>> sorted(method.losses(batch, method.phases(0)[0], torch.Generator().manual_seed(0)))
        ['loss']
    """

    title = "Mixing-up"

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        alpha: float = 1.0,
        temperature: float = 0.5,
        per_sample: bool = False,
        pairing: Literal["halves", "shuffle"] = "halves",
        projection_dims: int = 128,
        hidden_dims: int = 128,
        pooling: str = "max",
    ) -> None:
        super().__init__(encoder)
        if not 0 < alpha < float("inf"):
            raise InputError("alpha", alpha, "choose a finite value above 0")
        check_choice("pairing", pairing, ("halves", "shuffle"))
        self.head = ProjectionHead(output_dims(self.encoder, pooling), hidden_dims, projection_dims)
        self.loss = MixupContrast(temperature)
        self.alpha = float(alpha)
        self.per_sample = per_sample
        self.pairing = pairing
        self.pooling = pooling

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """``loss``; an odd batch leaves one sample out with ``halves``.

        Raises:
            InputError: fewer than four samples with ``halves``, two with ``shuffle``.
        """
        x = check_batch(batch, samples=4 if self.pairing == "halves" else 2)
        order = rand((len(x),), generator, x.float()).argsort()
        n = len(x) // 2 if self.pairing == "halves" else len(x)
        first, second = x, x[order]
        if self.pairing == "halves":
            first, second = x[order[:n]], x[order[n : 2 * n]]
        weight = draw_beta(self.alpha, n if self.per_sample else 1, generator, x)
        mixed = weight[:, None, None] * first + (1 - weight[:, None, None]) * second
        z1, z2, z = (
            self.head(embed(self.encoder, part, pooling=self.pooling))
            for part in (first, second, mixed)
        )
        return {"loss": self.loss(z, z1, z2, weight if self.per_sample else weight[0])}


def draw_beta(alpha: float, n: int, generator: torch.Generator | None, like: Tensor) -> Tensor:
    """Draws of Beta(alpha, alpha) by inverting its distribution at uniform numbers, (n,).

    Args:
        alpha: shape, > 0.
        n: draws.
        generator: source of the uniform numbers.
        like: a tensor of the result's dtype and device.
    """
    uniform = rand((n,), generator, torch.zeros((), dtype=torch.float64, device=like.device))
    drawn = special.betaincinv(alpha, alpha, uniform.cpu().numpy())
    return torch.as_tensor(drawn, dtype=torch.float64).clamp(0.0, 1.0).to(like)
