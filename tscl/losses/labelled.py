"""Parts that losses with labels share: checked codes, pairs of one label, seeded draws."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import ContrastiveLoss, Reduction
from tscl.losses.shared.columns import check_labelled, require
from tscl.losses.shared.settings import whole_setting
from tscl.seeding import numpy_generator


def class_labels(labels: Tensor, n_classes: int | None = None) -> Tensor:
    """Checked class codes (B,); codes must lie in 0..n_classes-1 when ``n_classes`` is given.

    Raises:
        InputError: not one a sample, NaN, or a code out of range.
    """
    if labels.ndim != 1:
        raise InputError("labels", tuple(labels.shape), "pass one label per sample, (B,)")
    check_labelled(labels)
    if n_classes is not None:
        if torch.is_floating_point(labels):
            raise InputError("labels", labels.dtype, "pass integer class codes")
        require(
            ((labels >= 0) & (labels < n_classes)).all(),
            "labels",
            lambda: f"{int(labels.min())}..{int(labels.max())}",
            f"pass codes 0..{n_classes - 1}",
        )
        labels = labels.long()
    return labels


def same_label(labels: Tensor) -> Tensor:
    """(B, B), True where two samples share their label."""
    return labels.unsqueeze(1) == labels.unsqueeze(0)


class DrawingLoss(ContrastiveLoss):
    """A loss that draws random numbers: a function of ``seed`` and of how often it was called.

    The counter ``draws`` is a buffer, so that a resumed run draws what the uninterrupted run
    would have drawn. It advances in training mode only: in evaluation mode the same inputs give
    the same value.

    Args:
        temperature: see :class:`ContrastiveLoss`.
        reduction: see :class:`ContrastiveLoss`.
        seed: of the draws.
        gather: see :class:`ContrastiveLoss`.
    """

    draws: Tensor

    def __init__(
        self, temperature: float, reduction: Reduction, seed: int, *, gather: bool = False
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        self.seed = whole_setting("seed", seed, 0)
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))
        self._count, self._known = 0, self._stamp()

    def next_draw(self) -> int:
        """Number of this call; advances the counter in training mode.

        The number is kept beside the buffer, which may lie on a GPU, and read back only after
        something else has written it (a checkpoint, another process).
        """
        if self._known != self._stamp():
            self._count = int(self.draws)
        now = self._count
        if self.training:
            self.draws += 1
            self._count += 1
        self._known = self._stamp()
        return now

    def _stamp(self) -> tuple[int, int]:
        return id(self.draws), self.draws._version

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        known = self._known == self._stamp()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if known:
            self._known = self._stamp()  # moved to another device, of the same value
        return self

    def beta(self, a: float, b: float, shape: tuple[int, ...], like: Tensor, call: int) -> Tensor:
        """Draws of Beta(a, b).

        Args:
            a: first shape parameter, > 0.
            b: second shape parameter, > 0.
            shape: of the result.
            like: a tensor of the result's dtype and device.
            call: number of the call, which the draws depend on.
        """
        drawn = numpy_generator(self.seed, f"{type(self).__name__} beta", call).beta(a, b, shape)
        return torch.as_tensor(drawn, dtype=like.dtype).to(like.device, non_blocking=True)

    def choose(self, allowed: Tensor, n: int, call: int, stream: str = "choose") -> Tensor:
        """Allowed columns of each row, uniform with replacement: (R, n) indices.

        Rows without an allowed column give index 0; mask them out.

        Args:
            allowed: (R, N) True where a column may be drawn.
            n: draws a row.
            call: number of the call, which the draws depend on.
            stream: name of these draws among those of the loss.
        """
        drawn = numpy_generator(self.seed, f"{type(self).__name__} {stream}", call).random(
            (len(allowed), n)
        )
        u = torch.as_tensor(drawn, dtype=torch.float64).to(allowed.device, non_blocking=True)
        count = allowed.sum(dim=1, keepdim=True)
        rank = (u * count).long().clamp_max((count - 1).clamp_min(0)) + 1
        return torch.searchsorted(allowed.cumsum(dim=1), rank).clamp_max(allowed.shape[1] - 1)

    def permutation(self, n: int, call: int, stream: str = "order") -> Tensor:
        """A permutation, (n,) int64 on the CPU.

        Args:
            n: items.
            call: number of the call, which the draws depend on.
            stream: name of these draws among those of the loss.
        """
        source = numpy_generator(self.seed, f"{type(self).__name__} {stream}", call)
        return torch.as_tensor(source.permutation(n))
