"""Parts that losses with labels share: label checks, flattened views, means over valid anchors."""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import ContrastiveLoss
from tscl.losses.shared.columns import relative_weights
from tscl.losses.shared.settings import whole_setting
from tscl.seeding import numpy_generator


def class_labels(labels: Tensor | None, n_classes: int | None = None) -> Tensor:
    """Checked class codes (B,); codes must lie in 0..n_classes-1 when ``n_classes`` is given.

    Raises:
        InputError: no labels, not one a sample, NaN, or a code out of range.
    """
    if labels is None:
        raise InputError("labels", None, "this loss is supervised; pass labels of shape (B,)")
    if labels.ndim != 1:
        raise InputError("labels", tuple(labels.shape), "pass one label per sample, (B,)")
    if torch.is_floating_point(labels) and not bool(torch.isfinite(labels).all()):
        raise InputError("labels", "NaN or infinity", "drop samples without a label")
    if n_classes is not None:
        if torch.is_floating_point(labels):
            raise InputError("labels", labels.dtype, "pass integer class codes")
        if bool(((labels < 0) | (labels >= n_classes)).any()):
            wrong = f"{int(labels.min())}..{int(labels.max())}"
            raise InputError("labels", wrong, f"pass codes 0..{n_classes - 1}")
        labels = labels.long()
    return labels


def same_label(labels: Tensor) -> Tensor:
    """(B, B), True where two samples share their label."""
    return labels.unsqueeze(1) == labels.unsqueeze(0)


def reduce_valid(
    loss: ContrastiveLoss, per_anchor: Tensor, valid: Tensor, weights: Tensor | None
) -> Tensor:
    """Reduce (V, B) losses over the anchors marked ``valid``; 0 when there is none.

    Anchors that are not valid count neither in the sum nor in the mean. ``reduction="none"``
    gives them 0. The result always has a gradient (zero for what does not count).
    """
    kept = per_anchor.masked_fill(~valid, 0.0)
    share = valid.to(kept.dtype)
    if weights is not None:
        mean = loss.reduction == "mean"
        share = share * (relative_weights(weights, kept.dtype) if mean else weights.to(kept.dtype))
    if loss.reduction == "none":
        return kept * share
    total = (kept * share).sum()
    if loss.reduction == "sum":
        return total
    return total / share.sum().clamp_min(torch.finfo(kept.dtype).tiny)


class DrawingLoss(ContrastiveLoss):
    """A loss that draws random numbers: a function of ``seed`` and of how often it was called.

    The counter ``draws`` is a buffer, so that a resumed run draws what the uninterrupted run
    would have drawn. It advances in training mode only: in evaluation mode the same inputs give
    the same value.

    Args:
        temperature, reduction: see :class:`ContrastiveLoss`.
        seed: of the draws.
    """

    draws: Tensor

    def __init__(self, temperature: float, reduction: str, seed: int) -> None:
        super().__init__(temperature, reduction)  # type: ignore[arg-type]
        self.seed = whole_setting("seed", seed, 0)
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def next_draw(self) -> int:
        """Number of this call; advances the counter in training mode."""
        now = int(self.draws)
        if self.training:
            self.draws += 1
        return now

    def beta(self, a: float, b: float, shape: tuple[int, ...], like: Tensor, call: int) -> Tensor:
        """Beta(a, b) draws of ``shape`` for call number ``call``, in ``like``'s dtype."""
        drawn = numpy_generator(self.seed, f"{type(self).__name__} beta", call).beta(a, b, shape)
        return torch.as_tensor(drawn, dtype=like.dtype, device=like.device)

    def choose(self, allowed: Tensor, n: int, call: int, stream: str = "choose") -> Tensor:
        """``n`` columns a row of ``allowed`` (R, N), uniform with replacement: (R, n) indices.

        Rows without an allowed column give index 0; mask them out.
        """
        drawn = numpy_generator(self.seed, f"{type(self).__name__} {stream}", call).random(
            (len(allowed), n)
        )
        u = torch.as_tensor(drawn, dtype=torch.float64, device=allowed.device)
        count = allowed.sum(dim=1, keepdim=True)
        rank = (u * count).long().clamp_max((count - 1).clamp_min(0)) + 1
        return torch.searchsorted(allowed.cumsum(dim=1), rank).clamp_max(allowed.shape[1] - 1)

    def permutation(self, n: int, call: int, stream: str = "order") -> Tensor:
        """A permutation of n items, (n,) int64 on the CPU."""
        source = numpy_generator(self.seed, f"{type(self).__name__} {stream}", call)
        return torch.as_tensor(source.permutation(n))
