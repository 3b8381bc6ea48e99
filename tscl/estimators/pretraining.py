"""From names and settings to a trained method: what every estimator's ``fit`` shares."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, DataError, InputError, check_choice, is_number, is_whole
from tscl.estimators.inputs import RandomState, SeriesInput
from tscl.estimators.saved import SavedEstimator
from tscl.losses import LOSSES
from tscl.losses.base import ContrastiveLoss
from tscl.methods import METHODS, Method
from tscl.methods.base import Batch
from tscl.seeding import rand, seeded
from tscl.training.callbacks import ProgressBar, ProgressReporter, Silent
from tscl.training.data import (
    ArraySource,
    GroupedSampler,
    RandomSampler,
    Sampler,
    Source,
    WeightedSampler,
    cut_sections,
)
from tscl.training.settings import DEVICES
from tscl.training.trainer import Trainer, TrainResult, TrainSettings


@dataclass(eq=False, repr=False)
class PretrainingSettings(SavedEstimator, SeriesInput):
    """The parameters of contrastive pretraining.

    Args:
        method: name in :data:`tscl.methods.METHODS`.
        method_params: arguments of the method.
        encoder: name in :data:`tscl.encoders.ENCODERS` or a module that follows the encoder
            contract (it is copied).
        encoder_params: arguments of a named encoder, without ``input_dims``.
        loss: name in :data:`tscl.losses.LOSSES` or a module, for methods that take one; None
            keeps the method's own.
        loss_params: arguments of a named loss.
        pooling: over time: ``max``, ``mean``, ``std``, ``log_std`` or ``last``, or several joined
            by ``+``, side by side (:func:`tscl.pooling.pool_time`).
        scale: ``train`` standardises each channel by the mean and deviation of the series seen in
            ``fit``, ``sample`` each channel of each series by its own, ``none`` leaves X as it is.
        max_epochs: passes over the series.
        max_steps: stop earlier, after so many steps.
        batch_size: sections a step, fewer when there are not as many.
        lr: learning rate.
        averaging: of the weights over training, see :class:`tscl.training.trainer.TrainSettings`.
        max_train_length: longer series are cut into sections of this length for training.
        channel_dropout: probability, in [0, 1), that a channel of a sample is missing in a training
            step, so that a lost electrode changes little; at least one channel stays.
        checkpoints: folder to keep checkpoints in, for ``fit(..., resume=True)``.
        device: ``cpu``, ``cuda``, ``mps``, ``gpu`` or ``auto``: where training runs; what it gives
            is on the processor. It is not saved with the estimator.
        verbose: show a progress bar.
        random_state: seed of weights, batches and views: a whole number, a RandomState or
            Generator to draw it from, or None for a new one every time.
    """

    method: str = "ts2vec"
    _: KW_ONLY
    method_params: dict[str, Any] | None = None
    encoder: str | nn.Module = "dilated"
    encoder_params: dict[str, Any] | None = None
    loss: str | nn.Module | None = None
    loss_params: dict[str, Any] | None = None
    pooling: str = "max"
    scale: str = "train"
    max_epochs: int = 20
    max_steps: int | None = None
    batch_size: int = 32
    lr: float = 1e-3
    averaging: str = "swa"
    max_train_length: int = 256
    channel_dropout: float = 0.0
    checkpoints: str | Path | None = None
    device: str = "cpu"
    verbose: bool = False
    random_state: RandomState = 0

    def _train_settings(self, seed: int) -> TrainSettings:
        check_choice("device", self.device, DEVICES, error=ConfigError)
        return TrainSettings(
            max_epochs=self.max_epochs,
            max_steps=self.max_steps,
            lr=self.lr,
            averaging=self.averaging,  # type: ignore[arg-type]
            accelerator=self.device,  # type: ignore[arg-type]
            seed=seed,
        )


def build_method(
    method: str,
    method_params: Mapping[str, Any],
    encoder: str | nn.Module,
    encoder_params: Mapping[str, Any] | None,
    *,
    channels: int,
    seed: int,
) -> Method:
    """A registered method around a new encoder, or a copy of the one given.

    Args:
        method: name in :data:`tscl.methods.METHODS`.
        method_params: arguments of the method.
        encoder: name in :data:`tscl.encoders.ENCODERS`, or a module that follows the encoder
            contract.
        encoder_params: arguments of a named encoder, without ``input_dims``.
        channels: channels C of the series.
        seed: of the initial weights.

    Raises:
        ConfigError: an unknown name or argument. InputError: an encoder of other channels.
    """
    with seeded(seed, "weights"):
        built: Any = encoder
        if isinstance(encoder, str):
            built = ENCODERS.build(encoder, input_dims=channels, **(encoder_params or {}))
        else:
            built = copy.deepcopy(encoder)
            if int(getattr(built, "input_dims", channels)) != channels:
                raise InputError(
                    "encoder.input_dims", built.input_dims, f"X has {channels} channels"
                )
        return METHODS.build(method, encoder=built, **method_params)


def with_loss(
    method: str,
    method_params: Mapping[str, Any] | None,
    loss: str | nn.Module | None,
    loss_params: Mapping[str, Any] | None,
    pooling: str = "max",
) -> dict[str, Any]:
    """Arguments of ``method`` with the loss among them.

    A loss that splits embeddings in parts (:attr:`tscl.losses.ContrastiveLoss.parts`) is taken over
    those that ``transform`` gives, without a projection head, so that their parts are its parts.

    Args:
        method: name of the method.
        method_params: its arguments.
        loss: name or module, or None.
        loss_params: arguments of a named loss.
        pooling: of ``transform``.

    Raises:
        ConfigError: a loss for a method that has its own, parameters without a loss, or a head
            or pooling that would split something else than what ``transform`` gives.
    """
    params = dict(method_params or {})
    if loss is None:
        if loss_params:
            raise ConfigError("loss_params", dict(loss_params), "name the loss they belong to")
        return params
    if "loss" not in METHODS.parameters(method):
        takers = [name for name in METHODS.names() if "loss" in METHODS.parameters(name)]
        raise ConfigError(
            "loss", loss, f"{method} has its own; methods that take one: {', '.join(takers)}"
        )
    params["loss"] = loss
    if loss_params:
        params["loss_params"] = dict(loss_params)
    kind = LOSSES.get(loss) if isinstance(loss, str) else type(loss)
    if issubclass(kind, ContrastiveLoss) and kind.parts:
        known = METHODS.parameters(method)
        fixed = {"projection_dims": 0, "head": None, "pooling": pooling}
        for name, value in fixed.items():
            if name in known and params.setdefault(name, value) != value:
                remedy = f"leave it out: {' and '.join(kind.parts)} are parts of the embeddings"
                raise ConfigError(f"method_params.{name}", params[name], remedy)
    return params


def section_owners(values: NDArray[np.float32], max_length: int) -> NDArray[np.int64]:
    """Which series each row of :func:`tscl.training.data.cut_sections` was cut from."""
    parts = np.array_split(values, max(1, values.shape[1] // max_length), axis=1)
    return np.concatenate([np.flatnonzero(~np.isnan(p).all(axis=(1, 2))) for p in parts])


class ChannelDropout:
    """A source whose samples miss each channel with probability ``p``, but one at random.

    Args:
        source: what the batches come from.
        p: in [0, 1).
    """

    def __init__(self, source: Source, p: float) -> None:
        self.source, self.p = source, p

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, indices: NDArray[np.int64], generator: torch.Generator) -> Batch:
        """The samples at ``indices``, of which some channels are NaN."""
        batch = self.source.batch(indices, generator)
        x = batch.x
        draw = rand((x.shape[0], 1, x.shape[2]), generator, x)
        lost = (draw < self.p) & (draw < draw.amax(2, keepdim=True))
        return replace(batch, x=x.masked_fill(lost, torch.nan))


def pretrain(
    method: Method,
    values: NDArray[np.float32],
    settings: TrainSettings,
    *,
    batch_size: int,
    max_train_length: int,
    labels: NDArray[Any] | None = None,
    ids: Mapping[str, NDArray[np.int64]] | None = None,
    extra: Mapping[str, NDArray[Any]] | None = None,
    weights: NDArray[np.float64] | None = None,
    channel_dropout: float = 0.0,
    checkpoints: Path | None = None,
    resume: bool = False,
    verbose: bool = False,
    title: str = "training",
) -> TrainResult:
    """Train a method in place on sections of series.

    Args:
        method: is changed.
        values: (n, T, C), NaN where a value is missing.
        settings: of the training loop.
        batch_size: sections a step, fewer when there are not as many.
        max_train_length: longer series are cut and cropped to this many steps.
        labels: (n,) classes or targets, for supervised objectives.
        ids: ``patient`` and ``trial`` codes (n,); for a method that reads them batches hold whole
            trials, two of a patient next to each other.
        extra: further values of each series, (n, ...), for the batches' ``extra``.
        weights: (n,) of the series, see :class:`tscl.training.data.WeightedSampler`.
        channel_dropout: see :class:`PretrainingSettings`.
        checkpoints: folder for ``resume``.
        resume: go on from what is there.
        verbose: show a progress bar.
        title: of the bar.

    Raises:
        DataError: series of one step, or fewer than two sections. InputError: sizes that cannot be.
    """
    for field, size in (("batch_size", batch_size), ("max_train_length", max_train_length)):
        if not is_whole(size) or size < 2:
            raise InputError(field, size, "use a whole number of at least 2")
    if not (is_number(channel_dropout) and 0 <= channel_dropout < 1):
        raise InputError("channel_dropout", channel_dropout, "use a share in [0, 1)")
    if values.shape[1] < 2:
        raise DataError("X", values.shape, "series need at least two time steps")
    rows = np.arange(len(values)) if weights is None else np.flatnonzero(weights)
    values = values if len(rows) == len(values) else values[rows]
    sections = cut_sections(values, max_train_length)
    owner = rows[section_owners(values, max_train_length)]
    batch = min(batch_size, len(sections))
    if batch < 2:
        raise DataError(
            "X",
            f"1 sample of {values.shape[1]} steps",
            "contrast needs two: pass more samples, or lower max_train_length to cut it",
        )
    known = {name: codes[owner] for name, codes in (ids or {}).items()}
    missing = set(method.needs) - known.keys() - {"labels", "index"}
    if missing:
        remedy = f"{title} contrasts by ids: fit(X, patient=..., trial=...)"
        raise InputError(", ".join(sorted(missing)), sorted(known) or "none", remedy)
    sampler: RandomSampler | GroupedSampler = RandomSampler(len(sections), batch, drop_last=True)
    if "patient" in known and set(method.needs) & {"patient", "trial"}:
        trials = known.get("trial", known["patient"])
        sampler = GroupedSampler(
            trials, known["patient"], batch, trials_per_patient=2, drop_last=True
        )
    drawn: Sampler = sampler if weights is None else WeightedSampler(sampler, weights[owner])
    progress: ProgressReporter = ProgressBar() if verbose else Silent()
    source: Source = ArraySource(
        sections,
        ids=known,
        labels=None if labels is None else labels[owner],
        extra={name: kept[owner] for name, kept in (extra or {}).items()},
        crop=max_train_length,
    )
    if channel_dropout:
        source = ChannelDropout(source, channel_dropout)
    result = Trainer(settings, checkpoints=checkpoints, progress=progress).fit(
        method, source, drawn, resume=resume, title=title
    )
    method.cpu()
    result.encoder.cpu()
    return result
