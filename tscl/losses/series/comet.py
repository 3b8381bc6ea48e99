"""Observation and sample level of COMET, averaged over a hierarchy of poolings along time.

Wang et al., "Contrast Everything: A Hierarchical Contrastive Framework for Medical Time-Series",
NeurIPS 2023, arXiv 2310.14017, section 4. For views z, z' of shape (B, T, D):

    observation   l(b, t): step t of sample b in the other view is the positive; all other steps
                  of both views of sample b are the negatives.
    sample        l(b, t): sample b at step t in the other view is the positive; all other samples
                  of both views at step t are the negatives.

Both use inner products (``temperature`` 1) and both views as anchors, are averaged over b and t,
then over the scales obtained by max-pooling with width and stride 2 along time for as long as more
than one step is left. Series of one step have that one scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tscl.errors import InputError, check_choice
from tscl.losses.base import plain_gradient
from tscl.losses.series.views import check_series_views, pool_by_two
from tscl.losses.shared.settings import floor_setting, positive_setting, whole_setting
from tscl.losses.shared.tiled_pairs import TILE, Axis, accumulate_pairs, plain_pairs


@dataclass(frozen=True)
class PairTerm:
    """One term of a hierarchical loss.

    Attributes:
        axis: ``time`` for the observation level, ``batch`` for the sample level.
        weight: factor of the term in the weighted sum, finite and >= 0.
        exclude: (B, B) boolean for ``batch``, or (T, T) for ``time`` without pooling: True where
            item j must not be a negative of item i.
        temperature: softmax temperature, > 0.
    """

    axis: Axis
    weight: float = 1.0
    exclude: Tensor | None = None
    temperature: float = 1.0


def hierarchical_contrast(
    z1: Tensor,
    z2: Tensor,
    terms: Sequence[PairTerm],
    *,
    hierarchical: bool = True,
    tile: int = TILE,
) -> tuple[Tensor, Tensor]:
    """Weighted sum of several terms over the same two views, which are pooled once.

    Memory beside the inputs: one gradient and the pooled copies, about three times the inputs,
    plus ``tile`` logits. The gradient is computed with the value; a second derivative holds all
    logits.

    Args:
        z1: (B, T, D) embeddings of view 1.
        z2: (B, T, D) embeddings of view 2.
        terms: the terms to add up.
        hierarchical: average over the scales; False uses the full resolution only.
        tile: how many logits to hold at a time.

    Returns:
        The weighted sum (differentiable) and each term's unweighted value (K,), detached.

    Raises:
        InputError: shapes that do not fit, non-finite embeddings, a bad temperature or weight.
    """
    a, b = check_series_views(z1, z2)
    for term in terms:
        positive_setting("temperature", term.temperature)
        floor_setting("weight", term.weight)
        check_choice("axis", term.axis, ("time", "batch"))
        items = a.shape[0] if term.axis == "batch" else a.shape[1]
        if term.exclude is not None:
            if term.exclude.shape != (items, items) or term.exclude.dtype != torch.bool:
                raise InputError(
                    "exclude",
                    (tuple(term.exclude.shape), term.exclude.dtype),
                    f"pass a boolean ({items}, {items}) matrix",
                )
            if term.axis == "time" and hierarchical:
                raise InputError("exclude", "time axis", "use it with hierarchical=False")
    whole_setting("tile", tile)
    with torch.autocast(a.device.type, enabled=False):
        total, values = _Hierarchy.apply(a, b, tuple(terms), hierarchical, tile)
    return total, values


class _Hierarchy(torch.autograd.Function):
    """Value and gradient of the weighted sum in one visit of each scale."""

    @staticmethod
    def forward(
        ctx: Any,
        z1: Tensor,
        z2: Tensor,
        terms: tuple[PairTerm, ...],
        hierarchical: bool,
        tile: int,
    ) -> tuple[Tensor, Tensor]:
        scales = [(z1, z2)]
        while hierarchical and scales[-1][0].shape[1] >= 4:
            scales.append((pool_by_two(scales[-1][0]), pool_by_two(scales[-1][1])))
        n_scales = len(scales)
        needed = any(ctx.needs_input_grad[:2])
        values = z1.new_zeros(len(terms))
        coarse: tuple[Tensor, Tensor] | None = None
        while scales:
            a, b = scales.pop()
            grads = (torch.zeros_like(a), torch.zeros_like(b)) if needed else None
            for k, term in enumerate(terms):
                values[k] += accumulate_pairs(
                    a,
                    b,
                    term.axis,
                    grads=grads if term.weight else None,
                    coefficient=term.weight,
                    temperature=term.temperature,
                    exclude=term.exclude,
                    tile=tile,
                )
            if grads is not None:
                if coarse is not None:
                    _unpool(coarse[0], a, grads[0])
                    _unpool(coarse[1], b, grads[1])
                coarse = grads
        values /= n_scales
        weights = torch.tensor([t.weight for t in terms], dtype=values.dtype, device=values.device)
        if coarse is not None:
            ctx.save_for_backward(z1, z2, *(g.div_(n_scales) for g in coarse))
        ctx.terms, ctx.n_scales = terms, n_scales
        ctx.mark_non_differentiable(values)
        return (values * weights).sum(), values

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        z1, z2, g1, g2 = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = partial(_plain, terms=ctx.terms, n_scales=ctx.n_scales)
            return (*plain_gradient(plain, (z1, z2), grad), None, None, None)
        first, second = ctx.needs_input_grad[:2]
        return (g1 * grad if first else None, g2 * grad if second else None, None, None, None)


def _plain(a: Tensor, b: Tensor, terms: Sequence[PairTerm], n_scales: int) -> Tensor:
    """The weighted sum by plain operations."""
    total = a.new_zeros(())
    for scale in range(n_scales):
        if scale:
            a, b = pool_by_two(a), pool_by_two(b)
        for term in terms:
            options = {"temperature": term.temperature, "exclude": term.exclude}
            total = total + term.weight * plain_pairs(a, b, term.axis, **options)  # type: ignore[arg-type]
    return total / n_scales


def _unpool(coarse: Tensor, z: Tensor, out: Tensor) -> None:
    """Add the gradient of the pooled series to that of ``z``; a tie goes to the earlier step."""
    even = z.shape[1] // 2 * 2
    earlier = (z[:, 0:even:2] >= z[:, 1:even:2]).to(coarse.dtype)
    out[:, 0:even:2].addcmul_(coarse, earlier)
    out[:, 1:even:2].addcmul_(coarse, earlier.neg_().add_(1.0))


class ObservationLoss(nn.Module):
    """Observation level: same step in two views against all other steps of the sample.

    Args:
        temperature: softmax temperature, > 0 (1 in the paper's code).
        hierarchical: average over max-poolings by 2 along time.
        tile: how many logits to hold at a time.

    Shape:
        z1, z2: (B, T, D). Returns a scalar; 0 when T = 1.

    Example:
        >>> z = torch.zeros(2, 3, 4)
        >>> float(ObservationLoss(hierarchical=False)(z, z))  # log(2 T - 1)
        1.6094...
    """

    axis: Axis = "time"

    def __init__(
        self, temperature: float = 1.0, *, hierarchical: bool = True, tile: int = TILE
    ) -> None:
        super().__init__()
        self.temperature = positive_setting("temperature", temperature)
        self.hierarchical, self.tile = hierarchical, whole_setting("tile", tile)

    def forward(self, z1: Tensor, z2: Tensor, *, exclude: Tensor | None = None) -> Tensor:
        """The loss of two views.

        Args:
            z1: (B, T, D).
            z2: (B, T, D).
            exclude: pairs that are no negatives, see :class:`PairTerm`.
        """
        term = PairTerm(self.axis, exclude=exclude, temperature=self.temperature)
        return hierarchical_contrast(
            z1, z2, [term], hierarchical=self.hierarchical, tile=self.tile
        )[0]


class SampleLoss(ObservationLoss):
    """Sample level: same sample in two views against the other samples, at each time step.

    Args:
        temperature: see :class:`ObservationLoss`.
        hierarchical: see :class:`ObservationLoss`.
        tile: see :class:`ObservationLoss`.

    Shape:
        z1, z2: (B, T, D); exclude: (B, B) boolean, True where sample j must not be a negative of
        sample i (see :func:`same_id`). Returns a scalar; 0 when B = 1.

    Example:
        >>> z = torch.zeros(3, 1, 4)
        >>> float(SampleLoss()(z, z))  # log(2 B - 1)
        1.6094...
    """

    axis = "batch"
