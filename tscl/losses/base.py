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
from tscl.losses.shared.columns import check_weights, relative_weights, sample_column
from tscl.losses.shared.gathering import gather_optional, gather_rows, processes
from tscl.losses.shared.settings import positive_setting
from tscl.registry import Registry


def is_instance_loss(name: str) -> bool:
    """Whether ``name`` is a registered loss over (B, D) embeddings."""
    return name in LOSSES.names() and issubclass(LOSSES.get(name), ContrastiveLoss)


Reduction = Literal["mean", "sum", "none"]
Column = Any
"""One entry a sample: a tensor, a list or an array (n,)."""


class ContrastiveLoss(nn.Module, ABC):
    """Base class: ``loss(z1, z2, *, labels=None, ids=None, weights=None)`` gives a scalar.

    ``z1`` and ``z2`` are (B, D) embeddings of two views, row i of both from sample i. More views
    come as one tensor ``z1`` of shape (V, B, D) with ``z2=None``. ``labels`` (B,) are classes or
    targets for supervised losses, ``ids`` (B,) group codes, ``weights`` (B,) non-negative sample
    weights of a weighted mean; lists and arrays are taken as tensors. State (queues, temperatures)
    lives in buffers and parameters, so that it is saved with the method.

    Args:
        temperature: softmax temperature, > 0 and finite.
        reduction: ``mean`` (weighted mean over anchors), ``sum`` or ``none`` (per anchor).
        gather: compute the loss of the samples of all processes when ``torch.distributed`` runs
            more than one; the mean over processes of the gradients is then the gradient of a
            single process that holds the whole batch. ``loss.gather = True`` does the same for
            a loss whose constructor has no such argument.

    Raises:
        InputError: temperature <= 0 or infinite, shapes that do not fit, embeddings that are not
            finite or too large for the loss (``power``), negative or non-finite weights, or fewer
            samples than the loss needs (``min_batch``, over all processes when gathered).

    Attributes:
        power: highest power of embeddings that the loss forms: those whose powers would leave the
            range of their type are refused. 0 for one that brings them to unit length first.
    """

    min_batch: ClassVar[int] = 2
    power: int = 0
    needs_labels: ClassVar[bool] = False

    def __init__(
        self, temperature: float = 0.1, reduction: Reduction = "mean", *, gather: bool = False
    ) -> None:
        super().__init__()
        self.temperature = positive_setting("temperature", temperature)
        if reduction not in ("mean", "sum", "none"):
            raise InputError("reduction", reduction, "choose mean, sum or none")
        self.reduction = reduction
        self.gather = gather

    def forward(
        self,
        z1: Tensor,
        z2: Tensor | None = None,
        *,
        labels: Column | None = None,
        ids: Column | None = None,
        weights: Column | None = None,
    ) -> Tensor:
        """Check the inputs, stack the views to (V, B, D) and return the reduced loss.

        Computed in float32 at least, under autocast too.
        """
        views = stack_views(z1, z2, self.power)
        n = views.shape[1]
        labels, ids, weights = (
            None if value is None else sample_column(name, value, n, views.device)
            for name, value in (("labels", labels), ("ids", ids), ("weights", weights))
        )
        if self.needs_labels and labels is None:
            raise InputError("labels", None, "this loss is supervised; pass labels of shape (B,)")
        if weights is not None:
            weights = check_weights(weights, views.dtype, relative=self.reduction == "mean")
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
        if self.reduction == "sum":
            return (per_anchor * weights.to(per_anchor.dtype)).sum()
        share = relative_weights(weights, per_anchor.dtype)
        total = share.expand_as(per_anchor).sum()
        return (per_anchor * share).sum() / total.clamp_min(torch.finfo(per_anchor.dtype).tiny)


LOSSES: Registry[nn.Module] = Registry("loss")


def stack_views(z1: Tensor, z2: Tensor | None, power: int = 0) -> Tensor:
    """Two (B, D) views, or one (V, B, D) tensor, as (V, B, D); checks shape, finiteness and size.

    Half-precision input is computed in float32, so that logits stay finite.

    Args:
        z1, z2: the views.
        power: see :attr:`ContrastiveLoss.power`.
    """
    for name, z in (("z1", z1), ("z2", z1 if z2 is None else z2)):
        if not isinstance(z, Tensor):
            raise InputError(name, type(z).__name__, "pass a torch tensor: torch.as_tensor(...)")
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
    if views.shape[-1] < 1:
        raise InputError("z1", tuple(views.shape), "embeddings need at least one dimension")
    if not torch.is_floating_point(views):
        raise InputError("z1", views.dtype, "pass floating point embeddings")
    if views.dtype in (torch.float16, torch.bfloat16):
        views = views.float()
    check_size(views, "z1, z2", power)
    return views


ROOM = 1e6
"""Factor that sums of powers of embeddings leave to what a loss makes of them."""


def check_size(x: Tensor, name: str, power: int = 0) -> None:
    """InputError unless all entries are finite and sums of their ``power``-th power stay so.

    One sum (of squares with a power), and the extremes only when that is too large.
    """
    x = x.detach()
    if x.numel() == 0:
        return
    if power:
        flat = x.reshape(-1)
        # NaN compares false
        fits = torch.dot(flat, flat).item() <= (torch.finfo(x.dtype).max / ROOM) ** (2 / power)
    else:
        fits = math.isfinite(x.sum().item())
    if fits:
        return
    largest = max(abs(end.item()) for end in x.aminmax())
    if not math.isfinite(largest):
        raise InputError(name, "NaN or infinity", "check the encoder's input and learning rate")
    if power:
        raise InputError(
            name,
            f"entries up to {largest:.3g}",
            f"too large for {x.dtype}: normalise or rescale the embeddings",
        )


def unit(z: Tensor) -> Tensor:
    """L2-normalise along the last axis; a zero vector stays zero, with a finite gradient.

    Vectors whose squares leave the range of their type are shortened first. Differentiable any
    number of times.
    """
    found, length = _Unit.apply(z)  # type: ignore[no-untyped-call]
    traced = torch.compiler.is_compiling()
    if not (traced or length.numel() == 0 or math.isfinite(length.detach().amax().item())):
        # the direction does not depend on the length, so the divisor may count as constant
        found, _ = _Unit.apply(  # type: ignore[no-untyped-call]
            z / z.detach().abs().amax(-1, keepdim=True).clamp_min(1.0)
        )
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


class GrowingState(ContrastiveLoss):
    """A loss with buffers that start empty and take the shape found in a checkpoint.

    Attributes:
        growing: names of these buffers.
    """

    growing: ClassVar[tuple[str, ...]] = ()

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        for name in self.growing:
            saved = state_dict.get(prefix + name)
            own = getattr(self, name)
            if isinstance(saved, Tensor) and saved.shape != own.shape:
                setattr(self, name, torch.empty(saved.shape, dtype=own.dtype, device=own.device))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
