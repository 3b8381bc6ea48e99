"""What a loss is: a scalar over embeddings of two or more views; it knows no model and no data.

To add a loss over instance embeddings, write one file with a subclass of
:class:`ContrastiveLoss`, decorate it with ``@LOSSES.register("name")``, implement ``compute``
and export it from ``tscl/losses/__init__.py``. The contract suite in
``tests/losses/test_contract.py`` then runs on it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeGuard

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.shared.columns import check_weights, relative_weights, require, sample_column
from tscl.losses.shared.gathering import gather_rows, processes
from tscl.losses.shared.settings import choice_setting, positive_setting
from tscl.registry import Registry

Reduction = Literal["mean", "sum", "none"]
Need = Literal["labels", "targets", "ids", "index", "background"]
Column = Any
"""One entry a sample: a tensor, a list or an array (n,)."""

STANDS_IN: dict[Need, Need] = {"targets": "labels", "background": "labels", "index": "ids"}
"""The column a need is read from when it is not given itself; of labels 0 is background."""


@dataclass(frozen=True)
class Extra:
    """What is known of the samples beside their embeddings, (B,) each; None where not given.

    Attributes:
        labels: class codes.
        targets: numbers whose order and distance count.
        ids: codes of groups, such as patients.
        index: places of the samples in the data set.
        background: True where a sample lacks what the others have (a healthy control).
        weights: weights of the samples, >= 0.
    """

    labels: Tensor | None = None
    targets: Tensor | None = None
    ids: Tensor | None = None
    index: Tensor | None = None
    background: Tensor | None = None
    weights: Tensor | None = None

    def __getitem__(self, name: Need) -> Tensor:
        """A column that has to be there; InputError naming it otherwise."""
        column: Tensor | None = getattr(self, name)
        if column is None:
            other = STANDS_IN.get(name)
            or_other = f" (or {other}=)" if other else ""
            raise InputError(name, None, f"this loss needs {name}; pass {name}={or_other}, (B,)")
        return column


class ContrastiveLoss(nn.Module, ABC):
    """Base class: ``loss(z1, z2, *, labels=None, ids=None, weights=None, ...)`` gives a scalar.

    ``z1`` and ``z2`` are (B, D) embeddings of two views, row i of both from sample i. More views
    come as one tensor ``z1`` of shape (V, B, D) with ``z2=None``. Columns (see :class:`Extra`)
    hold one entry a sample; lists and arrays are taken as tensors. State (queues, temperatures)
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
            finite or too large for the loss (``power``), negative or non-finite weights, a column
            that is missing, or fewer samples (over all processes when gathered) or views than the
            loss needs. Values of CUDA tensors are checked without waiting for them: the error
            comes with a later call. Inside ``torch.compile`` values are not checked.

    Attributes:
        needs: columns the loss cannot do without.
        min_batch: fewest samples.
        min_views: fewest views.
        max_views: most views, None for any number.
        power: highest power of embeddings that the loss forms: those whose powers would leave the
            range of their type are refused. 0 for one that brings them to unit length first.
        parts: names of the parts, side by side, that embeddings are split in; none by default.
    """

    needs: tuple[Need, ...] = ()
    min_batch: int = 2
    min_views: int = 2
    max_views: int | None = None
    power: int = 0
    parts: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, temperature: float = 0.1, reduction: Reduction = "mean", *, gather: bool = False
    ) -> None:
        super().__init__()
        self.temperature = positive_setting("temperature", temperature)
        self.reduction = choice_setting("reduction", reduction, ("mean", "sum", "none"))
        self.gather = gather

    def forward(
        self,
        z1: Tensor,
        z2: Tensor | None = None,
        *,
        labels: Column | None = None,
        targets: Column | None = None,
        ids: Column | None = None,
        index: Column | None = None,
        background: Column | None = None,
        weights: Column | None = None,
    ) -> Tensor:
        """Check the inputs, stack the views to (V, B, D) and return the reduced loss.

        Computed in float32 at least, under autocast too. Arguments: two views or all of them, as
        the class says, and columns as of :class:`Extra`.
        """
        views = stack_views(z1, z2, self.power)
        columns = {
            "labels": labels,
            "targets": targets,
            "ids": ids,
            "index": index,
            "background": background,
            "weights": weights,
        }
        extra = self._checked(views, {k: v for k, v in columns.items() if v is not None})
        if self.gather and processes() > 1:
            views = gather_rows(views, dim=1)
            given = {k: v for k, v in vars(extra).items() if v is not None}
            extra = Extra(**{name: gather_rows(v.detach()) for name, v in given.items()})
        n_views, n, _ = views.shape
        if n < self.min_batch:
            raise InputError("batch size", n, f"this loss needs at least {self.min_batch} samples")
        if n_views < self.min_views:
            raise InputError("views", n_views, f"this loss needs at least {self.min_views} views")
        if self.max_views is not None and n_views > self.max_views:
            raise InputError("views", n_views, f"this loss takes {self.max_views} views")
        with torch.autocast(views.device.type, enabled=False):
            return self.compute(views, extra)

    @abstractmethod
    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """The loss for checked ``views`` of shape (V, B, D) and columns."""

    def part_widths(self, dims: int) -> dict[str, int]:
        """Dimensions of each of ``parts`` of embeddings of ``dims`` dimensions, in their order."""
        return {}

    def _checked(self, views: Tensor, given: dict[str, Column]) -> Extra:
        """The columns as tensors on the views' device, with those the loss needs among them."""
        n, device = views.shape[1], views.device
        columns = {name: sample_column(name, value, n, device) for name, value in given.items()}
        for need, other in STANDS_IN.items():
            if need in self.needs and need not in columns and other in columns:
                column = columns[other]
                columns[need] = column == 0 if need == "background" else column
        if "weights" in columns:
            columns["weights"] = check_weights(
                columns["weights"], views.dtype, relative=self.reduction == "mean"
            )
        extra = Extra(**columns)
        for need in self.needs:
            extra[need]
        return extra

    def reduce(
        self, per_anchor: Tensor, weights: Tensor | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """Reduce per-anchor losses (..., B) by ``reduction``, weighted along the last axis.

        Args:
            per_anchor: the losses.
            weights: (B,) weights of the samples.
            valid: anchors that count, of the same shape as the losses; the others are 0 and count
                in no mean. Without any the value is 0 with a zero gradient.
        """
        share = None
        if weights is not None:
            mean = self.reduction == "mean"
            share = (
                relative_weights(weights, per_anchor.dtype)
                if mean
                else weights.to(per_anchor.dtype)
            )
        if valid is not None:
            per_anchor = per_anchor.masked_fill(~valid, 0.0)
            counted = valid.to(per_anchor.dtype)
            share = counted if share is None else counted * share
        if self.reduction == "none":
            return per_anchor if share is None else per_anchor * share
        if share is None:
            return per_anchor.mean() if self.reduction == "mean" else per_anchor.sum()
        total = (per_anchor * share).sum()
        if self.reduction == "sum":
            return total
        amount = share.expand_as(per_anchor).sum()
        return total / amount.clamp_min(torch.finfo(per_anchor.dtype).tiny)


LOSSES: Registry[nn.Module] = Registry("loss")


def is_instance_loss(loss: object) -> TypeGuard[str | ContrastiveLoss]:
    """Whether ``loss`` is a loss over (B, D) embeddings, or the registered name of one."""
    if isinstance(loss, str):
        return loss in LOSSES.names() and issubclass(LOSSES.get(loss), ContrastiveLoss)
    return isinstance(loss, ContrastiveLoss)


def stack_views(z1: Tensor, z2: Tensor | None, power: int = 0) -> Tensor:
    """Two (B, D) views, or one (V, B, D) tensor, as (V, B, D); checks shape, finiteness and size.

    Half-precision input is computed in float32, so that logits stay finite.

    Args:
        z1: the first view, or all views.
        z2: the second view.
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
    """InputError unless all entries are finite and sums of their powers stay so.

    On a CPU one sum (of squares with a power), and the extremes only when that is too large.

    Args:
        x: any shape.
        name: of ``x``, for the error.
        power: of the entries in the sums; 0 checks that they are finite.
    """
    if x.numel() == 0 or torch.compiler.is_compiling():
        return
    flat = x.detach().reshape(-1)
    limit = (torch.finfo(x.dtype).max / ROOM) ** (2 / power) if power else math.inf
    if x.device.type != "cpu":
        # NaN compares false
        fits = torch.dot(flat, flat) <= limit if power else torch.isfinite(flat).all()
        require(fits, name, lambda: "NaN, infinity or too large", "check the encoder's input")
        return
    if torch.dot(flat, flat).item() <= limit if power else math.isfinite(x.detach().sum().item()):
        return
    largest = max(abs(end.item()) for end in flat.aminmax())
    if not math.isfinite(largest):
        raise InputError(name, "NaN or infinity", "check the encoder's input and learning rate")
    if power:
        raise InputError(
            name,
            f"entries up to {largest:.3g}",
            f"too large for {x.dtype}: normalise or rescale the embeddings",
        )


def diagonal(z: Tensor) -> Tensor:
    """(N, N) boolean for N rows of ``z``, True where a row meets itself."""
    return torch.eye(len(z), dtype=torch.bool, device=z.device)


def off_diagonal(square: Tensor) -> Tensor:
    """(N, N - 1): the entries of a square matrix without those of the diagonal, row by row."""
    n = len(square)
    if n == 1:
        return square[:, 1:]
    return square.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)


def plain_gradient(
    value: Callable[..., Any], inputs: Sequence[Tensor], grads: Any
) -> tuple[Tensor, ...]:
    """Gradient of ``value(*inputs)`` that can be differentiated again.

    What an own backward pass returns when it is to be differentiated (``create_graph=True``): the
    plain operations take the place of closed forms and blocks, and hold what those avoid.

    Args:
        value: the function, in plain operations.
        inputs: its arguments.
        grads: gradient of what it returns.
    """
    detail: tuple[Tensor, ...] = torch.func.vjp(value, *inputs)[1](grads)
    return detail


def unit(z: Tensor) -> Tensor:
    """L2-normalise along the last axis; a zero vector stays zero, with a finite gradient.

    Vectors whose squares leave the range of their type are shortened first. Differentiable any
    number of times.
    """
    if torch.compiler.is_compiling():
        length = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
        short: Tensor = z / length.clamp_min(torch.finfo(z.dtype).eps)
        return short
    result, length = _Unit.apply(z)  # type: ignore[no-untyped-call]
    held, on_cpu = length.detach(), z.device.type == "cpu"
    if not (on_cpu and (held.numel() == 0 or math.isfinite(held.amax().item()))):
        # the direction does not depend on the length, so the divisor may count as constant
        peak = z.detach().abs().amax(-1, keepdim=True).clamp_min(1.0)
        if not on_cpu:  # where to shorten is not read back: division by 1 changes nothing
            peak = torch.where(torch.isfinite(held), torch.ones_like(peak), peak)
        result, _ = _Unit.apply(z / peak)  # type: ignore[no-untyped-call]
    unit_vectors: Tensor = result
    return unit_vectors


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
        result = None
        if g is not None:
            pull = (u * g).sum(-1, keepdim=True) * free
            result = torch.addcmul(g, u, pull, value=-1.0) / length
        if along is not None:
            stretch = u * (along * free)
            result = stretch if result is None else result + stretch
        return result


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
