"""What each objective is fed in a comparison: views, labels, sizes; and the group it stands in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from recipes.objectives.config import Objective
from recipes.objectives.tasks import Task
from tscl.losses import LOSSES, ContrastiveLoss, is_instance_loss

WITHOUT_LABELS, WITH_LABELS, CHANNEL_GROUPS = "without labels", "with labels", "channel groups"
BASELINE = "baseline"
GROUPS = (WITHOUT_LABELS, WITH_LABELS, CHANNEL_GROUPS, BASELINE)

Sizes = Callable[[Task, int], dict[str, Any]]


class Feed(NamedTuple):
    """What a loss is given beyond two augmented views and, where it needs them, classes.

    Attributes:
        sizes: arguments that follow from the data or the head; all others are defaults.
        channels: its views are two groups of channels, of two modalities.
        by_index: the position of each sample in its source.
        targets: numbers in the place of classes.
    """

    sizes: Sizes = lambda task, dims: {}
    channels: bool = False
    by_index: bool = False
    targets: bool = False


FEEDS: dict[str, Feed] = {
    "adaptive_multi_head": Feed(lambda task, dims: {"dims": dims}),
    "byol": Feed(lambda task, dims: {"dims": dims}),
    "simsiam": Feed(lambda task, dims: {"dims": dims}),
    "hydra": Feed(lambda task, dims: {"dims": dims, "n_classes": task.n_classes}),
    "individual_temperature": Feed(lambda task, dims: {"n_samples": len(task.x)}, by_index=True),
    "moco": Feed(lambda task, dims: {"queue_size": 256}),
    "supremix": Feed(lambda task, dims: {"scale": float(task.targets.std()) or 1.0}, targets=True),
    "contrastive_gap": Feed(channels=True),
    "cwcl": Feed(channels=True),
    "m3col": Feed(channels=True),
}
"""Losses that are fed otherwise than most."""

EXTRA = {
    "infonce (channel groups)": Objective(loss="infonce", views="channels"),
    "mann_whitney (labels)": Objective(loss="mann_whitney", labels=True),
}
"""The same loss fed otherwise: InfoNCE beside the cross-modal losses, MW loss with its labels."""


def default_objectives() -> dict[str, Objective]:
    """Every registered loss over embeddings, and :data:`EXTRA`, by title."""
    made = {
        name: Objective(loss=name, views="channels" if feed.channels else "augmented")
        for name in LOSSES.names()
        if is_instance_loss(name) and (feed := FEEDS.get(name, Feed()))
    }
    return made | EXTRA


def group_of(objective: Objective) -> str:
    """The group an objective is ranked in."""
    if objective.views == "channels":
        return CHANNEL_GROUPS
    needs = set(getattr(LOSSES.get(objective.loss), "needs", ()))
    return WITH_LABELS if objective.labels or needs - {"index"} else WITHOUT_LABELS


def build_objective(objective: Objective, task: Task, dims: int) -> ContrastiveLoss:
    """The loss for ``task`` with embeddings of ``dims`` dimensions."""
    sizes = FEEDS.get(objective.loss, Feed()).sizes(task, dims)
    loss = LOSSES.build(objective.loss, **(sizes | objective.params))
    assert isinstance(loss, ContrastiveLoss)
    if objective.labels:
        loss.needs = (*loss.needs, "labels")
    return loss
