"""Learning rates over the steps of a run."""

from __future__ import annotations

import math

from tscl.training.settings import TrainSettings


def rate_factor(settings: TrainSettings, step: int, total: int, per_epoch: int) -> float:
    """What the learning rate is multiplied by at ``step``.

    A function of its arguments alone, so that a resumed run needs no schedule of its own.

    Args:
        settings: its ``schedule``, ``warmup``, ``final_lr``, ``decay_epochs``, ``decay_factor``.
        step: from 0.
        total: steps of the run. per_epoch: steps of an epoch.
    """
    s = settings
    if step < s.warmup:
        return (step + 1) / s.warmup
    done = (step - s.warmup) / max(1, total - s.warmup)
    if s.schedule == "cosine":
        return s.final_lr + (1.0 - s.final_lr) * 0.5 * (1.0 + math.cos(math.pi * done))
    if s.schedule == "linear":
        return s.final_lr + (1.0 - s.final_lr) * (1.0 - done)
    if s.schedule == "step":
        return float(s.decay_factor ** (step // max(1, per_epoch) // s.decay_epochs))
    return 1.0
