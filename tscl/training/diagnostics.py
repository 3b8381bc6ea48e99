"""What training does to embeddings, epoch by epoch: compactness, alignment and uniformity."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from tscl.augmentations import AugmentationSpec, build_augmentation
from tscl.encoders.base import evaluating
from tscl.errors import InputError
from tscl.losses.compactness import sampled_compactness
from tscl.losses.diagnostics import alignment, uniformity
from tscl.pooling import check_pooling, pool_time
from tscl.seeding import torch_generator
from tscl.training.callbacks import Callback, EpochReport


class EmbeddingDiagnostics(Callback):
    """A row an epoch on a fixed sample of series, the same views each time.

    ``compactness``: mean over samples of the least similarity contrast under the views drawn, in
    [-2, 2] (POT, arXiv 2309.13944; :mod:`tscl.losses.compactness`); ``below 0``: share of samples
    that some view throws among the others; ``alignment`` of two views and ``uniformity``
    (arXiv 2012.09740; :mod:`tscl.losses.diagnostics`). Embeddings that collapse show as a
    uniformity that goes to 0.

    Args:
        method: what is trained; its ``encoder`` is looked at.
        X: (n, T, C) series, two or more, as the encoder sees them.
        augmentation: of the views: name, mapping or module.
        views: views of each series, >= 2.
        pooling: over time (:func:`tscl.pooling.pool_time`).
        every: epochs between rows.
        seed: of the views.

    Attributes:
        rows: ``epoch`` (from 1) and the four figures.

    Raises:
        InputError: fewer than two series or views.
    """

    def __init__(
        self,
        method: nn.Module,
        X: ArrayLike,
        *,
        augmentation: AugmentationSpec = "scale_shift_jitter",
        views: int = 4,
        pooling: str = "max",
        every: int = 1,
        seed: int = 0,
    ) -> None:
        self.x = torch.as_tensor(np.asarray(X, dtype=np.float32))
        if self.x.ndim != 3 or len(self.x) < 2:
            raise InputError("X", tuple(self.x.shape), "give two series or more, (n, T, C)")
        for name, value, least in (("views", views, 2), ("every", every, 1)):
            if value < least:
                raise InputError(name, value, f"use {least} or more")
        check_pooling(pooling)
        self.method, self.pooling, self.every = method, pooling, every
        generator = torch_generator(seed, "diagnostics")
        augment = build_augmentation(augmentation)
        with torch.no_grad():
            self.views = torch.stack([augment(self.x, generator) for _ in range(views)])
        self.rows: list[dict[str, float]] = []

    def on_epoch(self, report: EpochReport) -> bool | None:
        """Add a row."""
        if (report.epoch + 1) % self.every == 0:
            self.rows.append({"epoch": report.epoch + 1, **self.figures()})
        return None

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """The figures of the encoder as it is."""
        encoder: Any = self.method.encoder
        where = next((p.device for p in encoder.parameters()), torch.device("cpu"))
        with evaluating(encoder):
            clean, *views = (
                torch.cat([pool_time(encoder(p.to(where)), self.pooling) for p in x.split(256)])
                for x in (self.x, *self.views)
            )
        least = sampled_compactness(torch.stack(views), clean)
        return {
            "compactness": float(least.mean()),
            "below 0": float((least < 0).float().mean()),
            "alignment": alignment(views[0], views[1]),
            "uniformity": uniformity(clean),
        }

    def state(self) -> dict[str, Any]:
        """The rows."""
        return {"rows": list(self.rows)}

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`state`."""
        self.rows = list(state["rows"])
