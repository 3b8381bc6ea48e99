"""What each objective is fed in a comparison: views, labels, sizes; and the group it stands in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recipes.objectives.config import Objective
from recipes.objectives.tasks import Task
from tscl.losses import LOSSES, ContrastiveLoss, is_instance_loss

WITHOUT_LABELS, WITH_LABELS, CHANNEL_GROUPS = "without labels", "with labels", "channel groups"
BASELINE = "baseline"
GROUPS = (WITHOUT_LABELS, WITH_LABELS, CHANNEL_GROUPS, BASELINE)

Sizes = Callable[[Task, int], dict[str, Any]]


SIZES: dict[str, Sizes] = {
    "adaptive_multi_head": lambda task, dims: {"dims": dims},
    "byol": lambda task, dims: {"dims": dims},
    "simsiam": lambda task, dims: {"dims": dims},
    "hydra": lambda task, dims: {"dims": dims, "n_classes": task.n_classes},
    "individual_temperature": lambda task, dims: {"n_samples": len(task.x)},
    "moco": lambda task, dims: {"queue_size": 256},
    "supremix": lambda task, dims: {"scale": float(task.targets.std()) or 1.0},
}
"""Arguments that follow from the data or the head; all others are the library's defaults."""

CROSS_MODAL = ("contrastive_gap", "cwcl", "m3col")
"""Losses between two modalities; their views are two groups of channels."""

EXTRA = {
    "infonce (channel groups)": Objective(loss="infonce", views="channels"),
    "mann_whitney (labels)": Objective(loss="mann_whitney", labels=True),
}
"""The same loss fed otherwise: InfoNCE beside the cross-modal losses, MW loss with its labels."""


def default_objectives() -> dict[str, Objective]:
    """Every registered loss over embeddings, and :data:`EXTRA`, by title."""
    result = {
        name: Objective(loss=name, views="channels" if name in CROSS_MODAL else "augmented")
        for name in LOSSES.names()
        if is_instance_loss(name)
    }
    return result | EXTRA


def group_of(objective: Objective) -> str:
    """The group an objective is ranked in."""
    if objective.views == "channels":
        return CHANNEL_GROUPS
    needs = set(getattr(LOSSES.get(objective.loss), "needs", ()))
    return WITH_LABELS if objective.labels or needs - {"index"} else WITHOUT_LABELS


def build_objective(objective: Objective, task: Task, dims: int) -> ContrastiveLoss:
    """The loss for ``task`` with embeddings of ``dims`` dimensions."""
    sizes = SIZES.get(objective.loss, lambda task, dims: {})(task, dims)
    loss = LOSSES.build(objective.loss, **(sizes | objective.params))
    assert isinstance(loss, ContrastiveLoss)
    if objective.labels:
        loss.needs = (*loss.needs, "labels")
    return loss
