"""Pretraining on whole recordings with what is known of them without labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tscl.encoders import ENCODERS
from tscl.encoders.base import EncoderLike, stride_of
from tscl.methods import METHODS
from tscl.seeding import seeded
from tscl.training.callbacks import ProgressReporter
from tscl.training.data import RandomSampler
from tscl.training.recordings import RecordingSource
from tscl.training.settings import TrainResult, TrainSettings
from tscl.training.trainer import Trainer

if TYPE_CHECKING:
    from data_loaders.container.recordings import Recordings
    from data_loaders.container.targets import CropTargets

ENCODER: dict[str, Any] = {
    "name": "resnet1d",
    "stem_dims": 24,
    "stem_kernel": 15,
    "stem_stride": 4,
    "widths": [32, 48, 64, 96, 128],
    "strides": [1, 2, 2, 2, 1],
    "kernel_size": 7,
}
"""For signals of 100 Hz: 424,000 weights, an embedding each 0.32 s."""

ECG_VIEWS: dict[str, Any] = {
    "name": "compose",
    "augmentations": [
        {"name": "scaling", "sigma": 0.3, "per_channel": False},
        {"name": "polarity", "ratio": 0.2},
        {"name": "baseline_wander", "rate": 100.0, "amplitude": 0.35, "relative": False},
        {"name": "muscle_noise", "rate": 100.0, "amplitude": 0.3, "relative": False, "p": 0.5},
        {"name": "time_out", "longest": 0.1, "p": 0.5},
    ],
}
"""Views of a single lead of unit variance that leave its beats where they are."""

SETTINGS = TrainSettings(
    max_epochs=40,
    lr=2e-3,
    weight_decay=0.01,
    schedule="one_cycle",
    averaging="ema",
    ema_decay=0.995,
    ema_warmup=10,
    precision="bf16-mixed",
)


def pretrain_recordings(
    recordings: Recordings,
    targets: CropTargets | None = None,
    *,
    crop: int = 2000,
    views: int = 1,
    as_samples: bool = False,
    batch_size: int = 64,
    event_stride: int = 8,
    encoder: EncoderLike | Mapping[str, Any] | None = None,
    method: str = "knowledge_distillation",
    method_params: Mapping[str, Any] | None = None,
    settings: TrainSettings = SETTINGS,
    seed: int | None = None,
    checkpoints: Path | None = None,
    progress: ProgressReporter | None = None,
) -> TrainResult:
    """Train an encoder on crops of recordings; no label is read.

    Args:
        recordings: for training, each of zero mean and unit variance.
        targets: what is known of them, for ``knowledge_distillation``.
        crop: steps of a crop; shorter recordings are padded.
        views: crops of each recording in a batch; two or more where views are contrasted.
        as_samples: crops are samples that share their ids, see
            :class:`tscl.training.recordings.RecordingSource`.
        batch_size: recordings a step; an epoch takes each once and leaves out what does not fill
            a batch.
        event_stride: steps an event is looked for in; divides the encoder's stride.
        encoder: a module, or ``{"name": ..., **arguments}``; None takes :data:`ENCODER`.
        method: name of :data:`tscl.methods.METHODS`.
        method_params: its arguments; with targets, their sizes are filled in.
        settings: how to train; None of them needs to be given.
        seed: replaces that of the settings.
        checkpoints: folder for checkpoints; training goes on from the newest in it.
        progress: where progress is shown.

    Returns:
        Its ``encoder`` is the one to embed with and to save: with ``knowledge_distillation`` a
        :class:`tscl.encoders.read_out.ReadOutEncoder`.

    Raises:
        InputError: targets of other recordings, or sizes that do not fit.
    """
    if seed is not None:
        settings = settings.replace(seed=seed)
    params = dict(method_params or {})
    with seeded(settings.seed, "model"):
        if encoder is None or isinstance(encoder, Mapping):
            given = dict(ENCODER if encoder is None else encoder)
            encoder = ENCODERS.build(
                str(given.pop("name")), **{"input_dims": recordings.n_channels, **given}
            )
        backbone = getattr(encoder, "backbone", encoder)
        stride = stride_of(backbone)
        if targets is not None and method == "knowledge_distillation":
            params = {
                "crops": {name: values.shape[1] for name, values in targets.crops.items()},
                "steps": {name: values.shape[1] for name, values in targets.steps.items()},
                "events": dict.fromkeys(targets.events, stride // event_stride),
                **params,
            }
        trained = METHODS.build(method, encoder=encoder, **params)
    source = RecordingSource(
        recordings,
        crop,
        views=views,
        as_samples=as_samples,
        least=min(0.5, float(recordings.lengths.min()) / crop),
        targets=targets,
        stride=stride if targets is not None else 1,
        event_stride=event_stride if targets is not None else 1,
    )
    sampler = RandomSampler(len(recordings), min(batch_size, len(recordings)), drop_last=True)
    trainer = Trainer(settings, checkpoints=checkpoints, progress=progress)
    return trainer.fit(trained, source, sampler, resume=checkpoints is not None)
