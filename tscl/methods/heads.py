"""Small parts that instance-level methods share: pooling, projection heads, batch checks."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from tscl.encoders.base import latent_length
from tscl.errors import ConfigError, InputError, nearest
from tscl.masking import draw_mask
from tscl.methods.base import Batch
from tscl.pooling import check_pooling, pool_time


class HeadStack(nn.Sequential):
    """Layers of a head, (B, D) to (B, out_dims), that can be kept in part.

    Each child is one layer: a linear map with what follows it up to the next linear map.
    """

    def kept(self, z: Tensor, layers: int) -> Tensor:
        """Output after the first ``layers`` layers: 0 discards the whole head.

        Raises:
            InputError: more layers than there are.
        """
        if not 0 <= layers <= len(self):
            raise InputError("layers", layers, f"the head has {len(self)}")
        for layer in list(self)[:layers]:
            z = layer(z)
        return z


class ReweightHead(nn.Module):
    """Multiplies feature i by kappa^-i; no parameters, any number of features.

    Weights below ``floor`` are raised to it, so that no feature is lost to rounding.

    Args:
        dims: number of features D.
        kappa: > 1; 1 is the identity.
        floor: smallest weight, in (0, 1].
    """

    weight: Tensor

    def __init__(self, dims: int, kappa: float = 1.05, floor: float = 1e-6) -> None:
        super().__init__()
        if dims < 1:
            raise InputError("dims", dims, "use 1 or more")
        if not kappa >= 1:
            raise InputError("kappa", kappa, "use 1 or more")
        if not 0 < floor <= 1:
            raise InputError("floor", floor, "use a weight in (0, 1]")
        powers = torch.tensor(float(kappa), dtype=torch.float64) ** -torch.arange(float(dims))
        self.register_buffer("weight", powers.clamp_min(floor).float())

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) to (B, D)."""
        return z * self.weight.to(z.dtype)


def mlp_head(
    in_dims: int,
    out_dims: int,
    *,
    depth: int = 2,
    width: int | None = None,
    batch_norm: bool = False,
) -> HeadStack:
    """A head of ``depth`` linear layers with ReLU between them.

    Args:
        in_dims: dimensions of the pooled embedding.
        out_dims: dimensions the loss sees.
        depth: linear layers; 0 is the identity, 1 a linear map, 2 SimCLR's head.
        width: of the layers between; None takes ``in_dims``.
        batch_norm: batch normalisation before each ReLU.
    """
    hidden = in_dims if width is None else width
    for name, value in (("in_dims", in_dims), ("out_dims", out_dims), ("width", hidden)):
        if value < 1:
            raise InputError(name, value, "use 1 or more")
    if depth < 0:
        raise InputError("depth", depth, "use 0 or more layers")
    sizes = [in_dims, *[hidden] * (depth - 1), out_dims][: depth + 1]
    layers: list[nn.Module] = []
    for k in range(depth):
        parts: list[nn.Module] = [nn.Linear(sizes[k], sizes[k + 1])]
        if k < depth - 1:
            parts += [nn.BatchNorm1d(sizes[k + 1])] if batch_norm else []
            parts.append(nn.ReLU())
        layers.append(nn.Sequential(*parts))
    return HeadStack(*layers)


def build_head(name: str, in_dims: int, out_dims: int, **params: Any) -> nn.Module:
    """A head by name.

    Args:
        name: ``mlp`` (:func:`mlp_head`), ``reweight`` (:class:`ReweightHead`) or ``none``.
        in_dims: width of the embeddings.
        out_dims: width of the projection, read by ``mlp``.
        **params: further arguments of the head.

    Raises:
        ConfigError: unknown name.
    """
    if name == "mlp":
        return mlp_head(in_dims, out_dims, **params)
    if name == "reweight":
        return ReweightHead(in_dims, **params)
    if name == "none":
        return HeadStack()
    raise ConfigError("head", name, nearest(name, ("mlp", "reweight", "none")))


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
        pooling: over time, of :data:`tscl.pooling.POOLS`, several joined by ``+``.
        mask: latent mask mode (:data:`tscl.masking.MASK_MODES`).
        generator: source of the mask.
    """
    return pool_time(encode(encoder, x, mask, generator), pooling)


def encode(encoder: nn.Module, x: Tensor, mask: str, generator: torch.Generator | None) -> Tensor:
    """Embeddings (B, T', D) under a drawn latent mask.

    Args:
        encoder: follows the encoder contract.
        x: (B, T, C) series.
        mask: mode of :func:`tscl.masking.draw_mask`; none is drawn for ``all_true``.
        generator: source of the mask.
    """
    if mask == "all_true":
        out: Tensor = encoder(x)
        return out
    masked: Tensor = encoder(x, draw_latent_mask(encoder, mask, x, generator))
    return masked


def draw_latent_mask(
    encoder: nn.Module, mask: str, x: Tensor, generator: torch.Generator | None
) -> Tensor:
    """A mask for the encoder, at the rate of its latent.

    Args:
        encoder: follows the encoder contract.
        mask: mode of :func:`tscl.masking.draw_mask`; ``channel`` needs the encoder's
            ``latent_dims`` (or, of a user's module, ``hidden_dims``).
        x: (B, T, C) series.
        generator: source of the mask.
    """
    return draw_mask(
        mask,
        x.shape[0],
        latent_length(encoder, x.shape[1]),
        generator=generator,
        device=x.device,
        channels=getattr(encoder, "latent_dims", getattr(encoder, "hidden_dims", None)),
    )


def output_dims(encoder: nn.Module, pooling: str = "max") -> int:
    """Dimensions of the encoder's embeddings once they are pooled over time.

    Raises:
        InputError: the module does not say.
        ConfigError: an unknown pooling.
    """
    dims = getattr(encoder, "output_dims", None)
    if not isinstance(dims, int):
        raise InputError("encoder.output_dims", dims, "give the encoder an integer output_dims")
    return dims * len(check_pooling(pooling))


def check_batch(batch: Batch, samples: int = 1, steps: int = 1) -> Tensor:
    """The batch's series, when there are enough of them.

    Args:
        batch: of series (B, T, C).
        samples: least B.
        steps: least T.

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
