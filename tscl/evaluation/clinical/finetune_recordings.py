"""Networks trained on the labels of whole recordings: supervised, or going on from pretraining.

Crops of the labelled recordings are drawn evenly over the classes and augmented; the weights are
averaged as they move, and the step is chosen on recordings held back from the labelled ones.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold
from torch import Tensor, nn
from torch.nn import functional as F

from data_loaders.container.fields import label_kind
from tscl.evaluation.metrics.labels import MAIN, label_scores
from tscl.evaluation.probes.balanced import macro_auroc
from tscl.evaluation.recordings import embed_recordings
from tscl.pooling import check_pooling, pool_time
from tscl.seeding import numpy_generator, seeded, torch_generator
from tscl.training.recordings import RecordingSource

if TYPE_CHECKING:
    from data_loaders.container.recordings import Recordings

Index = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledSettings:
    """How a network is trained on labels.

    Attributes:
        crop: steps of a crop.
        steps: optimiser steps at most.
        batch_size: crops a step, at most four of a recording.
        lr: highest learning rate of the head; a tenth of the steps rises to it, then a cosine.
        encoder_lr: of the encoder; None takes ``lr``.
        weight_decay: AdamW's.
        dropout: on the pooled embedding.
        smoothing: of the labels.
        held: share of the labelled recordings held back to choose the step; none where a class
            has fewer than two groups.
        checks: how often the held recordings are scored.
        patience: checks without a better AUROC after which training ends.
        whole, window: see :func:`tscl.evaluation.recordings.embed_recordings`.
        pooling: over time.
        bf16: compute the encoder in bfloat16 where it suffices.
    """

    crop: int
    steps: int = 300
    batch_size: int = 64
    lr: float = 2e-3
    encoder_lr: float | None = None
    weight_decay: float = 0.02
    dropout: float = 0.3
    smoothing: float = 0.05
    held: float = 0.25
    checks: int = 10
    patience: int = 5
    whole: int = 3500
    window: int = 3000
    pooling: str = "mean+std+max"
    bf16: bool = False


class RecordingNetwork(nn.Module):
    """Encoder, pooling over time, batch norm, dropout and a linear layer that starts at zero.

    Args:
        encoder: follows :class:`tscl.encoders.base.EncoderLike`.
        n_classes: logits K, of classes, labels or the one number.
        kind: of the labels, see :class:`tscl.evaluation.clinical.finetune.FineTuner`.
        pooling: see :func:`tscl.pooling.pool_time`.
        dropout: on the normed embedding.
        bf16: compute the encoder in bfloat16 where it suffices.
    """

    def __init__(
        self,
        encoder: nn.Module,
        n_classes: int,
        pooling: str,
        dropout: float,
        bf16: bool,
        kind: str = "classes",
    ) -> None:
        super().__init__()
        self.kind = kind
        self.encoder, self.pooling, self.bf16 = encoder, pooling, bf16
        width = int(encoder.output_dims) * len(check_pooling(pooling))  # type: ignore[arg-type]
        self.norm, self.dropout = nn.BatchNorm1d(width), nn.Dropout(dropout)
        self.linear = nn.Linear(width, n_classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of series (B, T, C)."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            z = self.encoder(x)
        out: Tensor = self.linear(self.dropout(self.norm(pool_time(z.float(), self.pooling))))
        return out


def fit_on_labels(
    encoder: nn.Module,
    recordings: Recordings,
    rows: Index,
    y: NDArray[Any],
    n_classes: int,
    settings: LabelledSettings,
    *,
    augmentation: nn.Module | None = None,
    groups: Index | None = None,
    seed: int = 0,
) -> tuple[RecordingNetwork, int]:
    """Train a copy of ``encoder`` with a head on the labels of ``rows``.

    Args:
        encoder: where training starts; it is copied.
        recordings: where crops come from.
        rows: (n,) labelled recordings.
        y: (n,) their class codes, every class at least once; (n, K) labels of 0, 1 and NaN; or
            (n,) numbers.
        n_classes: classes or labels K, 1 of numbers.
        settings: how.
        augmentation: called as ``augmentation(x, generator)`` on every batch.
        groups: (n,) codes of what is held back together; None: every recording on its own.
        seed: of the head, crops, augmentation and dropout.

    Returns:
        The network in evaluation mode, with the weights of the chosen step, and that step.
    """
    fit, held = _hold_back(y, np.arange(len(y)) if groups is None else groups, settings.held, seed)
    kind = label_kind(y)
    mean, spread = (float(y.mean()), float(y.std()) or 1.0) if kind == "target" else (0.0, 1.0)
    with seeded(seed, "labelled weights"):
        network = RecordingNetwork(
            copy.deepcopy(encoder),
            n_classes,
            settings.pooling,
            settings.dropout,
            settings.bf16,
            kind,
        ).requires_grad_(True)
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser, schedule = _optimiser(network, settings)
    labelled = recordings.subset(rows[fit])
    least = min(0.5, float(labelled.lengths.min()) / settings.crop)
    source = RecordingSource(labelled, settings.crop, views=1, least=least)
    wanted = (y[fit] - mean) / spread if kind == "target" else y[fit]
    shares = np.ones(len(fit))
    if kind == "classes":
        shares = 1.0 / np.bincount(y[fit], minlength=n_classes)[y[fit]]
    size = max(2, min(settings.batch_size, 4 * len(fit)))
    every = max(1, settings.steps // settings.checks)
    best, best_score, best_state = settings.steps, -math.inf, None
    for step in range(settings.steps):
        rng = numpy_generator(seed, "labelled rows", step)
        draws = torch_generator(seed, "labelled crops", step)
        chosen = rng.choice(len(fit), size, p=shares / shares.sum())
        x = _crops(source, chosen, draws)
        if augmentation is not None:
            x = augmentation(x, draws)
        network.train()
        with seeded(seed, "labelled dropout", step):
            logits = network(x)
        target = torch.from_numpy(wanted[chosen])
        loss = _loss(logits, target, kind, settings.smoothing)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        _move(average, network, min(0.98, step / (step + 10)))
        if len(held) and ((step + 1) % every == 0 or step + 1 == settings.steps):
            proba = predict_recordings(average, recordings, rows[held], settings)
            score = (
                macro_auroc(y[held], proba)
                if kind == "classes"
                else label_scores(y[held], proba * spread + mean)[MAIN[kind]]
            )
            if score >= best_score:
                best, best_score = step + 1, score
                best_state = copy.deepcopy(average.state_dict())
            elif step + 1 - best >= settings.patience * every:
                break
    if best_state is not None:
        average.load_state_dict(best_state)
    if kind == "target":  # what it says is then in the numbers' own unit
        with torch.no_grad():
            average.linear.weight.mul_(spread)
            average.linear.bias.mul_(spread).add_(mean)
    return average.eval(), best


def _loss(logits: Tensor, target: Tensor, kind: str, smoothing: float) -> Tensor:
    """Cross entropy of classes, of each known label, or the squared error."""
    if kind == "classes":
        return F.cross_entropy(logits, target, label_smoothing=smoothing)
    target = target.to(logits)
    if kind == "target":
        return F.mse_loss(logits[:, 0], target)
    known = ~target.isnan()
    smooth = target[known] * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits[known], smooth)


def predict_recordings(
    network: RecordingNetwork, recordings: Recordings, rows: Index, settings: LabelledSettings
) -> NDArray[np.float64]:
    """Probabilities or numbers (len(rows), K), averaged over the windows of a recording.

    Args:
        network: trained on labels.
        recordings: whole ones, of any length.
        rows: of the recordings to predict.
        settings: of the training; ``whole``, ``window`` and ``bf16`` are read.
    """
    proba = embed_recordings(
        _Probabilities(network),
        recordings.subset(rows),
        whole=settings.whole,
        window=settings.window,
        bf16=settings.bf16,
    ).astype(np.float64)
    if network.kind != "classes":
        return proba
    result: NDArray[np.float64] = proba / proba.sum(axis=1, keepdims=True)
    return result


class _Probabilities(nn.Module):
    """A network as an encoder that gives probabilities or numbers, one vector a series."""

    def __init__(self, network: RecordingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, K) of series (B, T, C)."""
        out: Tensor = self.network(x).float()
        if self.network.kind != "target":
            out = out.softmax(dim=1) if self.network.kind == "classes" else out.sigmoid()
        return out.unsqueeze(1)


def _crops(source: RecordingSource, chosen: Index, generator: torch.Generator) -> Tensor:
    """A crop for each of ``chosen``; a recording drawn several times gives several places."""
    turn = np.zeros(len(chosen), np.int64)
    for row in np.unique(chosen):
        same = np.flatnonzero(chosen == row)
        turn[same] = np.arange(len(same))
    x: Tensor | None = None
    for number in range(int(turn.max()) + 1):
        where = np.flatnonzero(turn == number)
        drawn = source.batch(chosen[where], generator).x
        if x is None:
            x = drawn.new_empty((len(chosen), *drawn.shape[1:]))
        x[torch.from_numpy(where)] = drawn
    assert x is not None
    return x


def _hold_back(y: NDArray[Any], groups: Index, share: float, seed: int) -> tuple[Index, Index]:
    """Positions to fit on and to choose the step on, groups whole, every class in both."""
    every = np.arange(len(y))
    if label_kind(y) != "classes":
        if share == 0 or len(np.unique(groups)) < 2:
            return every, every[:0]
        first = GroupShuffleSplit(1, test_size=share, random_state=seed)
        fit, held = next(first.split(every, groups=groups))
        return fit, held
    fewest = min(len(np.unique(groups[y == k])) for k in np.unique(y))
    if share == 0 or fewest < 2:
        return every, every[:0]
    parts = min(max(2, round(1 / share)), fewest)
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    for fit, held in splitter.split(every, y, groups):
        if len(np.unique(y[fit])) == len(np.unique(y[held])) == len(np.unique(y)):
            return fit, held
    return every, every[:0]


def _optimiser(
    network: RecordingNetwork, settings: LabelledSettings
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    head = [*network.norm.parameters(), *network.linear.parameters()]
    optimiser = torch.optim.AdamW(
        [
            {"params": network.encoder.parameters(), "lr": settings.encoder_lr or settings.lr},
            {"params": head, "lr": settings.lr},
        ],
        weight_decay=settings.weight_decay,
    )
    rise = max(1, settings.steps // 10)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        done = (step - rise) / max(1, settings.steps - rise)
        return 0.5 * (1 + math.cos(math.pi * done))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


@torch.no_grad()
def _move(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Move the average to the network's weights and running figures."""
    current = network.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(current[name], 1 - keep)
        else:
            value.copy_(current[name])
