"""One training batch: a block of samples with what is known about each."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Samples of one optimisation step, on the training device.

    Attributes:
        x: series, (B, T, C) float; NaN marks missing values.
        index: position of each sample in its source, (B,) int64.
        ids: integer codes per sample by level, such as ``{"patient": (B,), "trial": (B,)}``.
        labels: class codes (B,) int64 or targets (B, ...) float, when the source has them.
        extra: further tensors with a leading dimension B (forecast targets, calendar, ...).
        views: series that the source drew as views of one another, such as crops of one recording:
            none, or two and more (B, L, C) of which the first is ``x``; row i of all is sample i.
    """

    x: Tensor
    index: Tensor
    ids: dict[str, Tensor] = field(default_factory=dict)
    labels: Tensor | None = None
    extra: dict[str, Tensor] = field(default_factory=dict)
    views: tuple[Tensor, ...] = ()
