"""From names and settings to a trained method: what every estimator's ``fit`` shares."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, DataError, InputError, is_whole, nearest
from tscl.estimators.inputs import RandomState, SeriesInput
from tscl.estimators.saved import SavedEstimator
from tscl.methods import METHODS, Method
from tscl.seeding import seeded
from tscl.training.callbacks import ProgressBar, ProgressReporter, Silent
from tscl.training.data import ArraySource, GroupedSampler, RandomSampler, Sampler, cut_sections
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
        batch_size: sections a step, fewer when there are not as many.
        lr: learning rate.
        averaging: of the weights over training, see :class:`tscl.training.trainer.TrainSettings`.
        max_train_length: longer series are cut into sections of this length for training.
        checkpoints: folder to keep checkpoints in, for ``fit(..., resume=True)``.
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
    batch_size: int = 32
    lr: float = 1e-3
    averaging: str = "swa"
    max_train_length: int = 256
    checkpoints: str | Path | None = None
    verbose: bool = False
    random_state: RandomState = 0


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
        method: name in :data:`tscl.methods.METHODS`; ``method_params``: its arguments.
        encoder: name in :data:`tscl.encoders.ENCODERS`, or a module that follows the encoder
            contract; ``encoder_params``: arguments of a named one, without ``input_dims``.
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
) -> dict[str, Any]:
    """Arguments of ``method`` with the loss among them.

    Raises:
        ConfigError: a loss for a method that has its own, or parameters without a loss.
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
    return params


def section_owners(values: NDArray[np.float32], max_length: int) -> NDArray[np.int64]:
    """Which series each row of :func:`tscl.training.data.cut_sections` was cut from."""
    parts = np.array_split(values, max(1, values.shape[1] // max_length), axis=1)
    return np.concatenate([np.flatnonzero(~np.isnan(p).all(axis=(1, 2))) for p in parts])


def pretrain(
    method: Method,
    values: NDArray[np.float32],
    settings: TrainSettings,
    *,
    batch_size: int,
    max_train_length: int,
    labels: NDArray[Any] | None = None,
    ids: Mapping[str, NDArray[np.int64]] | None = None,
    checkpoints: Path | None = None,
    resume: bool = False,
    verbose: bool = False,
    title: str = "training",
) -> TrainResult:
    """Train ``method`` in place on sections of ``values`` (n, T, C).

    Args:
        batch_size: sections a step, fewer when there are not as many.
        max_train_length: longer series are cut and cropped to this many steps.
        labels: (n,) classes or targets, for supervised objectives.
        ids: ``patient`` and ``trial`` codes (n,); for a method that reads them batches hold whole
            trials, two of a patient next to each other.
        checkpoints: folder for ``resume``. verbose: show a progress bar. title: of the bar.

    Raises:
        DataError: series of one step, or fewer than two sections. InputError: sizes that cannot be.
    """
    for field, size in (("batch_size", batch_size), ("max_train_length", max_train_length)):
        if not is_whole(size) or size < 2:
            raise InputError(field, size, "use a whole number of at least 2")
    if values.shape[1] < 2:
        raise DataError("X", values.shape, "series need at least two time steps")
    sections = cut_sections(values, max_train_length)
    owner = section_owners(values, max_train_length)
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
    sampler: Sampler = RandomSampler(len(sections), batch, drop_last=True)
    if "patient" in known and set(method.needs) & {"patient", "trial"}:
        trials = known.get("trial", known["patient"])
        sampler = GroupedSampler(
            trials, known["patient"], batch, trials_per_patient=2, drop_last=True
        )
    progress: ProgressReporter = ProgressBar() if verbose else Silent()
    source = ArraySource(
        sections,
        ids=known,
        labels=None if labels is None else labels[owner],
        crop=max_train_length,
    )
    return Trainer(settings, checkpoints=checkpoints, progress=progress).fit(
        method, source, sampler, resume=resume, title=title
    )


def check_choice(field: str, value: object, known: tuple[str, ...]) -> None:
    """Raise ConfigError unless ``value`` is one of ``known``."""
    if value not in known:
        raise ConfigError(field, value, nearest(str(value), known))
