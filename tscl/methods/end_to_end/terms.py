"""Contrastive terms that can stand beside a forecasting loss: hierarchical and instance-wise.

A term sees the forecasting network, the past windows and the representation that the forecast
was made from; it draws its own views.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tscl.augmentations import AugmentationSpec, build_augmentation
from tscl.errors import ConfigError, InputError, nearest
from tscl.losses import LOSSES
from tscl.losses.series.hierarchical import HierarchicalContrastiveLoss
from tscl.masking import draw_mask
from tscl.methods.heads import ProjectionHead
from tscl.methods.instance_loss import build_loss, needs
from tscl.pooling import check_one_pooling, pool_time
from tscl.registry import Registry
from tscl.seeding import randint


@dataclass(frozen=True)
class Windows:
    """Past windows and the network that forecasts from them.

    Attributes:
        network: has ``represent(past, marks, mask)`` to (B', N, D) and ``token_shape(past)``.
        x: (B, L, C). marks: covariates (B, L, K) or None.
        embeddings: representation (B', N, D) the forecast was made from; None when none was made.
    """

    network: Any
    x: Tensor
    marks: Tensor | None = None
    embeddings: Tensor | None = None

    def represent(self, view: Tensor, mask: Tensor | None = None) -> Tensor:
        """Representation of a view of ``x``, or of two of them, one below the other."""
        marks = self.marks
        if marks is not None and len(view) > len(self.x):
            marks = torch.cat([marks, marks])
        result: Tensor = self.network.represent(view, marks, mask)
        return result

    def plain(self) -> Tensor:
        """Representation of ``x`` itself, that of the forecast where there is one."""
        return self.represent(self.x) if self.embeddings is None else self.embeddings


class ContrastTerm(nn.Module, ABC):
    """Base class of the terms."""

    def attach(self, network: nn.Module) -> None:
        """Build what depends on the network (heads, a momentum copy); called once."""

    @abstractmethod
    def forward(self, windows: Windows, generator: torch.Generator | None) -> dict[str, Tensor]:
        """``contrast``, the term to minimise, and its parts.

        ``generator`` is the source of every draw.
        """

    def after_step(self, network: nn.Module) -> None:
        """Update momentum copies and queues after an optimiser step."""


CONTRASTS: Registry[ContrastTerm] = Registry("contrast")


def pool_embeddings(embeddings: Tensor, pooling: str, generator: torch.Generator | None) -> Tensor:
    """Embeddings of the whole series, (B, D).

    Args:
        embeddings: (B, N, D).
        pooling: of :func:`tscl.pooling.pool_time`, or ``random``: one token for the batch.
        generator: source of the random token.
    """
    if pooling == "random":
        return embeddings[:, int(randint(0, embeddings.shape[1], (1,), generator)[0])]
    return pool_time(embeddings, pooling)


def two_views(
    augmentation: nn.Module | None, x: Tensor, generator: torch.Generator | None
) -> list[Tensor]:
    """The series augmented twice; twice as it is without augmentation.

    Args:
        augmentation: of each view, or None.
        x: (B, T, C) series.
        generator: source of the augmentation.
    """
    if augmentation is None:
        return [x, x]
    return [augmentation(x, generator) for _ in range(2)]


def check_pooling_name(pooling: str) -> str:
    """``pooling`` when :func:`pool_embeddings` knows it, else ConfigError."""
    return check_one_pooling(pooling, more=("random",))


def build_contrast(contrast: str | nn.Module, params: dict[str, Any] | None = None) -> ContrastTerm:
    """A term by name, a registered loss by name, a loss module, or a term as it is.

    Raises:
        ConfigError: unknown name or parameter, or parameters beside a module.
    """
    if isinstance(contrast, str):
        if contrast in CONTRASTS.names():
            return CONTRASTS.build(contrast, **(params or {}))
        if contrast in LOSSES.names():
            return InstanceTerm(loss=contrast, **(params or {}))
        known = sorted({*CONTRASTS.names(), *LOSSES.names()})
        raise ConfigError("contrast", contrast, nearest(contrast, known))
    if isinstance(contrast, ContrastTerm):
        if params:
            raise ConfigError("contrast_params", params, "use them with a contrast given by name")
        return contrast
    return InstanceTerm(loss=contrast, **(params or {}))


@CONTRASTS.register("hierarchical")
class HierarchicalTerm(ContrastTerm):
    """TS2Vec's hierarchical loss (arXiv 2106.10466, section 3.3) over two views of the latent.

    Args:
        mask_rate: share of steps HIDDEN in a masked view, in [0, 1).
        alpha: weight of the instance term; the temporal one has 1 - alpha.
        temporal_unit: finest scales without a temporal term.
        masked_views: 2 hides steps in both views, as TS2Vec; 1 compares the representation that
            the forecast was made from with one masked view, as the public code of arXiv
            2306.12086 does: one pass of the encoder fewer.
        normalize: compare unit vectors.
    """

    def __init__(
        self,
        mask_rate: float = 0.3,
        alpha: float = 0.5,
        temporal_unit: int = 0,
        masked_views: int = 2,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        if not 0.0 <= mask_rate < 1.0:
            raise InputError("mask_rate", mask_rate, "choose the share to hide, in [0, 1)")
        if masked_views not in (1, 2):
            raise InputError("masked_views", masked_views, "choose 1 or 2")
        self.mask_rate, self.masked_views = mask_rate, masked_views
        self.loss = HierarchicalContrastiveLoss(alpha, temporal_unit, normalize=normalize)

    def forward(self, windows: Windows, generator: torch.Generator | None) -> dict[str, Tensor]:
        """``contrast``, ``instance``, ``temporal``; two masked views in one pass."""
        if self.masked_views == 1:
            z1, z2 = windows.plain(), self._masked(windows, windows.x, generator)
        else:
            both = torch.cat([windows.x, windows.x])
            z1, z2 = self._masked(windows, both, generator).chunk(2)
        instance, temporal = self.loss.terms(z1, z2)
        total = self.loss.instance_weight * instance + self.loss.temporal_weight * temporal
        return {"contrast": total, "instance": instance, "temporal": temporal}

    def _masked(self, windows: Windows, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Representation of ``x`` with a share of its tokens hidden."""
        rows, tokens = windows.network.token_shape(x)
        keep = 1.0 - self.mask_rate
        mask = draw_mask("binomial", rows, tokens, generator=generator, device=x.device, keep=keep)
        return windows.represent(x, mask)


@CONTRASTS.register("simclr")
class InstanceTerm(ContrastTerm):
    """Two augmented views, pooled, projected, compared by any loss over (B, D) embeddings.

    SimCLR (arXiv 2002.05709) with its default loss NT-Xent.

    Args:
        loss: name from :data:`tscl.losses.LOSSES` or a module called as ``loss(z1, z2)``.
        loss_params: its arguments when given by name.
        augmentation: of both views; None leaves the difference to dropout.
        projection_dims: output of the projection head; 0 leaves the head out.
        pooling: one of :data:`tscl.pooling.POOLS`, or ``random`` (one step for the batch).
    """

    def __init__(
        self,
        loss: str | nn.Module = "ntxent",
        loss_params: dict[str, Any] | None = None,
        augmentation: AugmentationSpec | None = "scale_shift_jitter",
        projection_dims: int = 64,
        pooling: str = "mean",
    ) -> None:
        super().__init__()
        loss = build_loss(loss, loss_params, projection_dims or None)
        if needs(loss):
            missing = ", ".join(needs(loss))
            raise ConfigError("contrast", type(loss).__name__, f"windows have no {missing}")
        self.loss = loss
        self.augmentation = None if augmentation is None else build_augmentation(augmentation)
        self.projection_dims = projection_dims
        self.pooling = check_pooling_name(pooling)
        self.head: nn.Module = nn.Identity()

    def attach(self, network: nn.Module) -> None:
        """Build the projection head."""
        if self.projection_dims:
            dims = int(network.output_dims)  # type: ignore[arg-type]
            self.head = ProjectionHead(dims, dims, self.projection_dims, batch_norm=False)

    def forward(self, windows: Windows, generator: torch.Generator | None) -> dict[str, Tensor]:
        """``contrast``; both views in one pass."""
        z = windows.represent(torch.cat(two_views(self.augmentation, windows.x, generator)))
        z1, z2 = self.head(pool_embeddings(z, self.pooling, generator)).chunk(2)
        return {"contrast": self.loss(z1, z2)}
