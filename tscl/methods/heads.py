"""Small parts that instance-level methods share: pooling, projection heads, batch checks."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from tscl.batch import Batch
from tscl.encoders.base import latent_length
from tscl.errors import InputError
from tscl.masking import draw_mask
from tscl.pooling import pool_time


class ProjectionHead(nn.Sequential):
    """Linear, batch normalisation (optional), ReLU, linear: (B, D) to (B, out_dims).

    Args:
        in_dims: dimensions of the pooled embedding.
        hidden_dims: width of the middle.
        out_dims: dimensions the loss sees.
        batch_norm: normalise the middle over the batch (which then needs two samples).
    """

    def __init__(
        self, in_dims: int, hidden_dims: int, out_dims: int, batch_norm: bool = True
    ) -> None:
        for name, value in (("hidden_dims", hidden_dims), ("out_dims", out_dims)):
            if value < 1:
                raise InputError(name, value, "choose at least 1")
        middle: list[nn.Module] = [nn.BatchNorm1d(hidden_dims)] if batch_norm else []
        super().__init__(
            nn.Linear(in_dims, hidden_dims), *middle, nn.ReLU(), nn.Linear(hidden_dims, out_dims)
        )


def embed(
    encoder: nn.Module,
    x: Tensor,
    *,
    pooling: str = "max",
    mask: str = "all_true",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Instance embedding of ``x`` (B, T, C): encoded under a drawn mask, pooled over time, (B, D).

    Args:
        encoder: follows the encoder contract.
        x: the series.
        pooling: over time, one of :data:`tscl.pooling.POOLS`.
        mask: latent mask mode (:data:`tscl.masking.MASK_MODES`).
        generator: source of the mask.
    """
    return pool_time(encode(encoder, x, mask, generator), pooling)


def encode(encoder: nn.Module, x: Tensor, mask: str, generator: torch.Generator | None) -> Tensor:
    """Embeddings (B, T', D) of ``x`` under a drawn latent mask; none is drawn for ``all_true``."""
    if mask == "all_true":
        out: Tensor = encoder(x)
        return out
    masked: Tensor = encoder(x, draw_latent_mask(encoder, mask, x, generator))
    return masked


def draw_latent_mask(
    encoder: nn.Module, mask: str, x: Tensor, generator: torch.Generator | None
) -> Tensor:
    """A mask for ``encoder`` and series ``x`` (B, T, C), at the rate of the encoder's latent.

    Args:
        encoder: follows the encoder contract.
        mask: mode of :func:`tscl.masking.draw_mask`; ``channel`` needs the encoder's
            ``latent_dims`` (or, of a user's module, ``hidden_dims``).
        x: the series. generator: source of the mask.
    """
    return draw_mask(
        mask,
        x.shape[0],
        latent_length(encoder, x.shape[1]),
        generator=generator,
        device=x.device,
        channels=getattr(encoder, "latent_dims", getattr(encoder, "hidden_dims", None)),
    )


def output_dims(encoder: nn.Module) -> int:
    """The encoder's embedding dimensions D.

    Raises:
        InputError: the module does not say.
    """
    dims = getattr(encoder, "output_dims", None)
    if not isinstance(dims, int):
        raise InputError("encoder.output_dims", dims, "give the encoder an integer output_dims")
    return dims


def check_batch(batch: Batch, samples: int = 1, steps: int = 1) -> Tensor:
    """The batch's series, (B, T, C) with at least ``samples`` samples and ``steps`` steps.

    Raises:
        InputError: wrong rank, too few samples or steps.
    """
    x = batch.x
    if x.ndim != 3:
        raise InputError("batch.x", tuple(x.shape), "pass (n_samples, n_timesteps, n_channels)")
    if x.shape[0] < samples:
        raise InputError("batch size", x.shape[0], f"this method needs at least {samples} samples")
    if x.shape[1] < steps:
        raise InputError("series length", x.shape[1], f"this method needs at least {steps} steps")
    return x


def fresh_copy(module: nn.Module) -> nn.Module:
    """A copy of ``module`` whose layers with ``reset_parameters`` are initialised anew.

    Parameters that no layer can reset keep the copied values. Draws from torch's default
    generator, as layers do when they are built.
    """
    twin = copy.deepcopy(module)
    for part in twin.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
    return twin
