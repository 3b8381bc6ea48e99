"""AutoTCL's learned augmentation: v = g(x) * h(x) * x (arXiv 2402.10434, section 3).

The input is read as x = x* + noise, where x* = h(x) * x is the informative part; g transforms it.
Both factors come from one small encoder with a linear head each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tscl.errors import InputError, check_choice
from tscl.seeding import rand


@dataclass(frozen=True)
class AugmentedView:
    """A learned view and its factors, each (B, T, C).

    Attributes:
        view: g * h * x, NaN where x is NaN.
        h: mask in [0, 1]; 0 or 1 exactly when hard.
        g: transform factor in (0, 1).
        openness: sigmoid of the mask's logits, what sparsity and smoothness act on.
    """

    view: Tensor
    h: Tensor
    g: Tensor
    openness: Tensor


def hard_concrete(
    logits: Tensor,
    noise: Tensor | None,
    *,
    temperature: float = 1.0,
    gamma: float = -0.05,
    zeta: float = 1.05,
    hard: bool = False,
) -> Tensor:
    """Stretched and clipped Gumbel-sigmoid gate (Louizos et al. 2018, arXiv 1712.01312, eq. 10-11).

    ``clip(sigmoid((log u - log(1 - u) + logits) / temperature) * (zeta - gamma) + gamma, 0, 1)``.

    Args:
        logits: log-odds of keeping, any shape.
        noise: u in (0, 1) of the same shape; None means u = 1/2, the deterministic gate.
        temperature: > 0; towards 0 the gate becomes a coin toss with odds ``exp(logits)``.
        gamma: lower stretch limit, <= 0.
        zeta: upper stretch limit, >= 1.
        hard: forward 1 where the gate exceeds 1/2 and 0 elsewhere, backward the soft gate.
    """
    shift = logits if noise is None else logits + torch.log(noise) - torch.log1p(-noise)
    soft = (torch.sigmoid(shift / temperature) * (zeta - gamma) + gamma).clamp(0.0, 1.0)
    if not hard:
        return soft
    return (soft > 0.5).to(soft.dtype) + soft - soft.detach()


class ParametricAugmentation(nn.Module):
    """The augmentation network: a shared small encoder, a mask head h and a transform head g.

    Args:
        embedder: encoder (B, T, C) -> (B, T, aug_dim), following the encoder contract, stride 1.
        bias: noise u is drawn from U(bias, 1 - bias), 0 < bias < 1/2.
        gamma: lower stretch limit of the gate, <= 0.
        zeta: upper stretch limit, >= 1 (the public code uses 1).
        temperature: of the gate, > 0.
        hard: straight-through zero-one mask.
        h_logits: ``linear`` feeds the head's output to the gate; ``sigmoid`` its sigmoid, as the
            public code does, so that the mask's odds never fall below one to one.
        h_init: probability of keeping at initialisation (sets the head's bias), or None.
        use_g: False fixes g = 1.
        use_h: False fixes h = 1 (the paper's ablation without the mask).
        fixed_channels: this many leading channels (calendar covariates) pass unchanged.
    """

    def __init__(
        self,
        embedder: nn.Module,
        *,
        bias: float = 0.05,
        gamma: float = -0.05,
        zeta: float = 1.05,
        temperature: float = 1.0,
        hard: bool = True,
        h_logits: Literal["linear", "sigmoid"] = "linear",
        h_init: float | None = None,
        use_g: bool = True,
        use_h: bool = True,
        fixed_channels: int = 0,
    ) -> None:
        super().__init__()
        if getattr(embedder, "stride", 1) != 1:
            remedy = "the learned mask needs an embedding of every step: take stride 1"
            raise InputError("embedder.stride", embedder.stride, remedy)
        channels, dims = int(embedder.input_dims), int(embedder.output_dims)  # type: ignore[arg-type]
        if not 0.0 < bias < 0.5:
            raise InputError("bias", bias, "noise is drawn from (bias, 1 - bias); 0 < bias < 0.5")
        if gamma > 0.0 or zeta < 1.0:
            raise InputError("gamma, zeta", (gamma, zeta), "need gamma <= 0 and zeta >= 1")
        if not temperature > 0.0:
            raise InputError("temperature", temperature, "choose a value above 0")
        check_choice("h_logits", h_logits, ("linear", "sigmoid"))
        if h_init is not None and not 0.0 < h_init < 1.0:
            raise InputError("h_init", h_init, "choose a probability inside (0, 1)")
        if not 0 <= fixed_channels < channels:
            raise InputError("fixed_channels", fixed_channels, f"need 0 <= n < {channels} channels")
        self.embedder = embedder
        self.h_head = nn.Linear(dims, channels)
        self.g_head = nn.Linear(dims, channels)
        self.bias = bias
        self.gamma = gamma
        self.zeta = zeta
        self.temperature = temperature
        self.hard = hard
        self.h_logits = h_logits
        self.use_g = use_g
        self.use_h = use_h
        self.fixed_channels = fixed_channels
        if h_init is not None:
            nn.init.constant_(self.h_head.bias, math.log(h_init / (1.0 - h_init)))

    def forward(
        self,
        x: Tensor,
        generator: torch.Generator | None = None,
        *,
        mask: Tensor | None = None,
        deterministic: bool = False,
    ) -> AugmentedView:
        """The view of ``x``, with its mask h and its openness.

        Args:
            x: (B, T, C) series, NaN where nothing was measured.
            generator: source of the noise of h.
            mask: (B, T) latent mask of the embedder, None for none.
            deterministic: without noise.
        """
        missing = x.isnan()
        clean = x.masked_fill(missing, 0.0)
        embedding = self.embedder(x, mask)
        raw = self.h_head(embedding)
        openness = torch.sigmoid(raw)
        logits = raw if self.h_logits == "linear" else openness
        noise = None
        if not deterministic:
            noise = self.bias + (1.0 - 2.0 * self.bias) * rand(tuple(raw.shape), generator, raw)
        h = hard_concrete(
            logits,
            noise,
            temperature=self.temperature,
            gamma=self.gamma,
            zeta=self.zeta,
            hard=self.hard,
        )
        if not self.use_h:
            h, openness = torch.ones_like(h), torch.ones_like(openness)
        g = torch.sigmoid(self.g_head(embedding)) if self.use_g else torch.ones_like(h)
        if self.fixed_channels:
            kept = torch.ones_like(h[..., : self.fixed_channels])
            h = torch.cat((kept, h[..., self.fixed_channels :]), dim=-1)
            g = torch.cat((kept, g[..., self.fixed_channels :]), dim=-1)
            openness = openness[..., self.fixed_channels :]
        view = (g * h * clean).masked_fill(missing, torch.nan)
        return AugmentedView(view=view, h=h, g=g, openness=openness)
