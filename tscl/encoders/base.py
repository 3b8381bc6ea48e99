"""What an encoder is: a module from series to one embedding per time step.

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

from tscl.errors import InputError
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
    """

    input_dims: int
    output_dims: int
    causal: bool
    receptive_field: int | None

    def __call__(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T, D)."""
        ...


class Encoder(nn.Module, ABC):
    """Base class of the encoders here; see :class:`EncoderLike` for the attributes.

    ``forward(x, mask=None)`` takes ``x`` of shape (B, T, C), possibly with NaN, and an optional
    boolean ``mask``, True where the step is kept: (B, T), or (B, T, H) for a mask per latent
    channel. Masking acts on the latent after the input projection, as in TS2Vec
    (arXiv 2106.10466, section 3.2). It returns (B, T, D).
    """

    input_dims: int
    output_dims: int
    causal: bool
    receptive_field: int | None

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, T, C) to (B, T, D)."""

    def forward_last(self, x: Tensor) -> Tensor:
        """Embedding of the last time step only, (B, T, C) to (B, D).

        Subclasses override this when the last step is cheaper than all steps. A causal encoder
        of unbounded memory that carries a state of fixed size also has
        ``forward_from(x, state) -> (codes, state)``, so that it can follow a stream.
        """
        out: Tensor = self.forward(x)[:, -1]
        return out

    def config(self) -> dict[str, Any]:
        """Constructor arguments (JSON types) that rebuild this encoder by name."""
        return dict(python_values(getattr(self, "_config", {})))


ENCODERS: Registry[Encoder] = Registry("encoder")


def project_input(x: Tensor, projection: nn.Module, mask: Tensor | None) -> Tensor:
    """Project (B, T, C) to the latent (B, T, H), zeroing NaN steps and masked steps.

    A step with any NaN channel contributes nothing and is zero in the latent, whatever the mask.

    Raises:
        InputError: ``x`` is not 3-D, or ``mask`` does not fit it.
    """
    if x.ndim != 3:
        raise InputError("x", tuple(x.shape), "pass (n_samples, n_timesteps, n_channels)")
    missing = x.isnan().any(dim=-1)
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
        for one in modules:
            one.training = False
        yield
    finally:
        for one, flag in zip(modules, training, strict=True):
            one.training = flag
