"""What an encoder is: a module from series to embeddings, one a time step or a few steps.

To add an encoder, write one file with a subclass of :class:`Encoder`, decorate it with
``@ENCODERS.register("name")`` and export it from ``tscl/encoders/__init__.py``. The contract
suite in ``tests/encoders/test_contract.py`` then runs on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from tscl.errors import InputError, is_whole
from tscl.registry import Registry, python_values


@runtime_checkable
class EncoderLike(Protocol):
    """Structural form of the contract, for user modules that do not subclass Encoder.

    Attributes:
        input_dims: number of input channels C.
        output_dims: number of embedding dimensions D.
        causal: True when the output at step t depends on steps <= t only.
        receptive_field: for a causal encoder, how many steps (t included) the output at t may
            depend on; for a centred one the width of the whole window; None when unbounded.

    A module may also have:

    * ``stride``: input steps an embedding stands for (:func:`stride_of`); 1 where it is missing.
    * ``output_length(T)``: embeddings of T steps, where that is not ``ceil(T / stride)``.
    """

    input_dims: int
    output_dims: int
    causal: bool
    receptive_field: int | None

    def __call__(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T', D), T' = T unless the module has a ``stride``."""
        ...


class Encoder(nn.Module, ABC):
    """Base class of the encoders here; see :class:`EncoderLike` for the attributes.

    ``forward(x, mask=None)`` takes ``x`` of shape (B, T, C) and an optional boolean ``mask``, True
    where the step is kept: (B, T), or (B, T, H) for a mask per latent channel. Masking acts on the
    latent after the input projection, as in TS2Vec (arXiv 2106.10466, section 3.2). It returns
    (B, T', D) with T' = ``output_length(T)``.

    A missing value (NaN) counts as zero, the mean of standardised data, so one lost channel is
    masked alone; a step that misses all its channels is as a masked one.

    Attributes:
        stride: input steps an embedding stands for. Forecasting and streams need 1.
        latent_stride: input steps a latent step stands for; above 1 where the stem is strided.
            A mask may then also come at the latent's rate, (B, T'') or (B, T'', H) with
            T'' = ``ceil(T / latent_stride)``. Either way a latent step is zero when all its
            input steps are hidden or missing, and hidden input steps count as zero.
        latent_dims: width H of the latent; None where masks per latent channel are unknown.
    """

    input_dims: int
    output_dims: int
    causal: bool
    receptive_field: int | None
    stride: int = 1
    latent_stride: int = 1

    @property
    def latent_dims(self) -> int | None:
        """Width H of the latent that masks act on."""
        dims = self.config().get("hidden_dims", getattr(self, "hidden_dims", None))
        return dims if isinstance(dims, int) else None

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T', D)."""

    def output_length(self, length: int) -> int:
        """Embeddings T' of a series of ``length`` steps: ``ceil(length / stride)``."""
        return -(-length // self.stride)

    def forward_last(self, x: Tensor) -> Tensor:
        """Last embedding only, (B, T, C) to (B, D).

        Subclasses override this when the last step is cheaper than all steps. A causal encoder
        of unbounded memory that carries a state of fixed size also has
        ``forward_from(x, state) -> (embeddings, state)``, so that it can follow a stream.
        """
        out: Tensor = self.forward(x)[:, -1]
        return out

    def config(self) -> dict[str, Any]:
        """Constructor arguments (JSON types) that rebuild this encoder by name."""
        return dict(python_values(getattr(self, "_config", {})))


ENCODERS: Registry[Encoder] = Registry("encoder")


def stride_of(encoder: object) -> int:
    """Input steps an embedding of ``encoder`` stands for; 1 where it has no ``stride``.

    Raises:
        InputError: a stride that is no whole number of at least 1.
    """
    stride = getattr(encoder, "stride", 1)
    if not is_whole(stride) or stride < 1:
        raise InputError("encoder.stride", stride, "give a whole number of at least 1")
    return int(stride)


def output_length(encoder: object, length: int) -> int:
    """Embeddings ``encoder`` gives of a series of ``length`` steps."""
    own = getattr(encoder, "output_length", None)
    return -(-length // stride_of(encoder)) if own is None else int(own(length))


def latent_length(encoder: object, length: int) -> int:
    """Latent steps of a series of ``length`` steps, which masks are drawn for."""
    return -(-length // int(getattr(encoder, "latent_stride", 1)))


def require_every_step(encoder: object, use: str) -> None:
    """Raise InputError unless ``encoder`` gives an embedding of every step, which ``use`` needs."""
    stride = stride_of(encoder)
    if stride != 1:
        raise InputError(
            "encoder.stride", stride, f"{use} needs an embedding of every step: take stride 1"
        )


def input_layer(
    input_dims: int, hidden_dims: int, published: bool = False, dropout: float = 0.0
) -> nn.Module:
    """The linear layer before an encoder's own layers.

    Args:
        input_dims: channels of the series.
        hidden_dims: width of the latent.
        published: weights from N(0, 0.01) and dropout behind the layer, as in the public code of
            the end-to-end study (arXiv 2306.12086).
        dropout: probability of that dropout.
    """
    layer = nn.Linear(input_dims, hidden_dims)
    if not published:
        return layer
    nn.init.normal_(layer.weight, std=0.01)
    return nn.Sequential(layer, nn.Dropout(dropout))


def project_input(x: Tensor, projection: nn.Module, mask: Tensor | None) -> Tensor:
    """Project (B, T, C) to the latent (B, T, H), zeroing masked steps and steps without values.

    A missing channel counts as zero and leaves the others of its step as they are: zero is the
    mean of standardised data, and what dropping a channel in training shows the encoder. The
    present channels are not scaled up, since one of 16 would then count sixteenfold. A step that
    misses all channels is zero in the latent, whatever the mask.

    Args:
        x: (B, T, C) series, NaN where a value is missing.
        projection: maps (B, T, C) to (B, T, H).
        mask: True where a step is kept, (B, T), or (B, T, H) by latent channel; None keeps all.

    Raises:
        InputError: ``x`` is not 3-D, or ``mask`` does not fit it.
    """
    if x.ndim != 3:
        raise InputError("x", tuple(x.shape), "pass (n_samples, n_timesteps, n_channels)")
    missing = x.isnan().all(dim=-1)
    x = torch.nan_to_num(x, nan=0.0, posinf=None, neginf=None)
    latent: Tensor = projection(x)
    keep = ~missing
    if mask is not None:
        if mask.shape[:2] != x.shape[:2] or mask.ndim not in (2, 3):
            raise InputError("mask", tuple(mask.shape), f"pass (B, T) = {tuple(x.shape[:2])}")
        if mask.ndim == 3:
            return latent * (mask & keep.unsqueeze(-1)).to(latent.dtype)
        keep = keep & mask
    return latent * keep.unsqueeze(-1).to(latent.dtype)


@contextmanager
def evaluating(module: EncoderLike | nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout) inside the block; every submodule's mode is put back after."""
    modules = list(module.modules()) if isinstance(module, nn.Module) else []
    training = [m.training for m in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, flag in zip(modules, training, strict=True):
            module.training = flag
