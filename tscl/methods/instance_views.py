"""Views of whole samples: those that the source drew, or copies of the series, augmented."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from tscl.augmentations import AugmentationSpec, build_augmentation
from tscl.errors import InputError, is_whole
from tscl.methods.base import Batch
from tscl.methods.heads import check_batch


def build_views(
    augmentation: AugmentationSpec | None, augmentation2: AugmentationSpec | None
) -> tuple[nn.Module, nn.Module | None]:
    """Both augmentations as modules: None for the first leaves views as they are, None for the
    second takes the first again."""
    first = nn.Identity() if augmentation is None else build_augmentation(augmentation)
    return first, None if augmentation2 is None else build_augmentation(augmentation2)


def check_views(views: int) -> int:
    """``views`` when it is a whole number of at least two, else InputError."""
    if not is_whole(views) or views < 2:
        raise InputError("views", views, "contrast two views or more")
    return int(views)


def draw_views(
    batch: Batch,
    augmentations: Sequence[nn.Module | None],
    copies: int,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Augmented views one by one: of ``batch.views`` where it has them, else of ``batch.x``.

    Args:
        batch: at least two samples.
        augmentations: of the first view and of all others; None takes the first again.
        copies: views made of ``batch.x`` when the batch brings none.
        generator: of the augmentations, drawn from in the order of the views.

    Raises:
        InputError: fewer than two samples, or views of other samples or rank.
    """
    x = check_batch(batch, samples=2)
    series = batch.views or (x,) * copies
    for k, view in enumerate(series):
        if view.ndim != 3 or len(view) != len(x) or view.shape[2] != x.shape[2]:
            remedy = f"each view needs ({len(x)}, n_timesteps, {x.shape[2]})"
            raise InputError(f"batch.views[{k}]", tuple(view.shape), remedy)
    for k, view in enumerate(series):
        chosen = augmentations[min(k, 1)] or augmentations[0]
        yield view if isinstance(chosen, nn.Identity) or chosen is None else chosen(view, generator)
