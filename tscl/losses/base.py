"""What a loss is: a scalar over embeddings of two or more views; it knows no model and no data.

To add a loss over instance embeddings, write one file with a subclass of
:class:`ContrastiveLoss`, decorate it with ``@LOSSES.register("name")``, implement ``compute``
and export it from ``tscl/losses/__init__.py``. The contract suite in
``tests/losses/test_contract.py`` then runs on it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.gathering import gather_optional, gather_rows, processes
from tscl.registry import Registry

Reduction = Literal["mean", "sum", "none"]


class ContrastiveLoss(nn.Module, ABC):
    """Base class: ``loss(z1, z2, *, labels=None, ids=None, weights=None)`` gives a scalar.

    ``z1`` and ``z2`` are (B, D) embeddings of two views, row i of both from sample i. More views
    come as one tensor ``z1`` of shape (V, B, D) with ``z2=None``. ``labels`` (B,) are classes or
    targets for supervised losses, ``ids`` (B,) group codes, ``weights`` (B,) non-negative sample
    weights of a weighted mean. State (queues, temperatures) lives in buffers and parameters, so
    that it is saved with the method.

    Args:
        temperature: softmax temperature, > 0.
        reduction: ``mean`` (weighted mean over anchors), ``sum`` or ``none`` (per anchor).
        gather: compute the loss of the samples of all processes when ``torch.distributed`` runs
            more than one; the mean over processes of the gradients is then the gradient of a
            single process that holds the whole batch. ``loss.gather = True`` does the same for
            a loss whose constructor has no such argument.

    Raises:
        InputError: temperature <= 0, shapes that do not fit, non-finite embeddings, negative or
            non-finite weights, or fewer samples than the loss needs (``min_batch``, over all
            processes when gathered).
    """

    min_batch: ClassVar[int] = 2
    needs_labels: ClassVar[bool] = False

    def __init__(
        self, temperature: float = 0.1, reduction: Reduction = "mean", *, gather: bool = False
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise InputError("temperature", temperature, "choose a value above 0")
        if reduction not in ("mean", "sum", "none"):
            raise InputError("reduction", reduction, "choose mean, sum or none")
        self.temperature = float(temperature)
        self.reduction = reduction
        self.gather = gather

    def forward(
        self,
        z1: Tensor,
        z2: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        ids: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Check the inputs, stack the views to (V, B, D) and return the reduced loss.

        Computed in float32 at least, under autocast too.
        """
        views = stack_views(z1, z2)
        n = views.shape[1]
        for name, value in (("labels", labels), ("ids", ids), ("weights", weights)):
            if value is not None and value.shape[0] != n:
                raise InputError(name, tuple(value.shape), f"pass one entry per sample, ({n},)")
        if self.needs_labels and labels is None:
            raise InputError("labels", None, "this loss is supervised; pass labels of shape (B,)")
        if weights is not None and not bool((torch.isfinite(weights) & (weights >= 0)).all()):
            raise InputError(
                "weights", float(weights.min()), "weights must be finite and not negative"
            )
        if self.gather and processes() > 1:
            views = gather_rows(views, dim=1)
            labels, ids, weights = (gather_optional(x) for x in (labels, ids, weights))
            n = views.shape[1]
        if n < self.min_batch:
            raise InputError("batch size", n, f"this loss needs at least {self.min_batch} samples")
        with torch.autocast(views.device.type, enabled=False):
            return self.compute(views, labels=labels, ids=ids, weights=weights)

    @abstractmethod
    def compute(
        self,
        views: Tensor,
        *,
        labels: Tensor | None,
        ids: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        """The loss for checked ``views`` of shape (V, B, D)."""

    def reduce(self, per_anchor: Tensor, weights: Tensor | None = None) -> Tensor:
        """Reduce per-anchor losses (..., B) by ``reduction``, weighted along the last axis."""
        if self.reduction == "none":
            return per_anchor if weights is None else per_anchor * weights
        if weights is None:
            return per_anchor.mean() if self.reduction == "mean" else per_anchor.sum()
        weighted = per_anchor * weights.to(per_anchor.dtype)
        if self.reduction == "sum":
            return weighted.sum()
        total = weights.to(per_anchor.dtype).expand_as(per_anchor).sum()
        return weighted.sum() / total.clamp_min(torch.finfo(per_anchor.dtype).tiny)


LOSSES: Registry[nn.Module] = Registry("loss")


def stack_views(z1: Tensor, z2: Tensor | None) -> Tensor:
    """Two (B, D) views, or one (V, B, D) tensor, as (V, B, D); checks shape and finiteness.

    Half-precision input is computed in float32, so that logits stay finite.
    """
    if z2 is None:
        if z1.ndim != 3 or z1.shape[0] < 1:
            raise InputError("z1", tuple(z1.shape), "pass z1 and z2 (B, D), or z1 (views, B, D)")
        views = z1
    else:
        if z1.shape != z2.shape or z1.ndim != 2:
            raise InputError(
                "z1, z2", (tuple(z1.shape), tuple(z2.shape)), "both must have one shape (B, D)"
            )
        views = torch.stack((z1, z2))
    if not torch.is_floating_point(views):
        raise InputError("z1", views.dtype, "pass floating point embeddings")
    if views.dtype in (torch.float16, torch.bfloat16):
        views = views.float()
    if not _finite(views.detach()):
        raise InputError("z1, z2", "NaN or infinity", "check the encoder's input and learning rate")
    return views


def _finite(x: Tensor) -> bool:
    """Whether all entries are finite: one sum, and the extremes only when that overflows."""
    if x.numel() == 0 or math.isfinite(x.sum().item()):
        return True
    return all(math.isfinite(end.item()) for end in x.aminmax())


def unit(z: Tensor) -> Tensor:
    """L2-normalise along the last axis; a zero vector stays zero, with a finite gradient.

    Differentiable any number of times.
    """
    found, _ = _Unit.apply(z)  # type: ignore[no-untyped-call]
    made: Tensor = found
    return made


class _Unit(torch.autograd.Function):
    """Unit vectors u and lengths, with the gradient of u in closed form: (g - u (u . g)) / length.

    Lengths are bounded below, by the square root of which a product of two stays a normal number;
    below the bound u is a fixed multiple of z. Both are outputs, so that the gradient can be
    differentiated again.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> tuple[Tensor, Tensor]:
        length = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
        length.clamp_(min=torch.finfo(z.dtype).eps)
        u = z / length
        ctx.save_for_backward(u, length)
        ctx.set_materialize_grads(False)
        return u, length

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, along: Tensor | None) -> Tensor | None:
        u, length = ctx.saved_tensors
        free = length > torch.finfo(length.dtype).eps
        made = None
        if g is not None:
            pull = (u * g).sum(-1, keepdim=True) * free
            made = torch.addcmul(g, u, pull, value=-1.0) / length
        if along is not None:
            stretch = u * (along * free)
            made = stretch if made is None else made + stretch
        return made
