"""From recordings and what is known of their beats to an encoder, without a label."""

from __future__ import annotations

import numpy as np
import torch

from data_loaders.container.recordings import Recordings
from data_loaders.ecg.beat_knowledge import beat_knowledge
from tests.data_loaders.wfdb_files import bumps
from tscl.encoders.read_out import ReadOutEncoder
from tscl.evaluation.recordings import embed_recordings
from tscl.training.recordings_pretraining import ECG_VIEWS, SETTINGS, pretrain_recordings

SMALL = {"name": "resnet1d", "widths": [8, 12], "strides": [2, 2], "stem_stride": 4}


def hearts(n=24, **fields):
    """Recordings of 8 to 14 s whose rate is all that tells them apart."""
    rates = np.linspace(50, 110, n)
    arrays = [bumps(1, 8.0 + k % 7, 100.0, 60 / rate, k)[0] for k, rate in enumerate(rates)]
    return Recordings.from_arrays(arrays, 100.0, **fields).standardize(), rates


def run(data, targets=None, **params):
    settings = SETTINGS.replace(max_epochs=20, precision="32-true", lr=5e-3)
    return pretrain_recordings(
        data, targets, crop=800, batch_size=12, event_stride=4, encoder=SMALL, settings=settings,
        **params,
    )  # fmt: skip


def test_the_rate_of_hearts_is_learnt_and_labels_change_nothing():
    data, rates = hearts()
    known = beat_knowledge(data, crop=800)
    targets = known.targets(np.arange(len(data)), 3)
    params = {"augmentation": ECG_VIEWS, "weights": {"beat_shape": 0.3}}
    result = run(data, targets, method_params=params)
    assert isinstance(result.encoder, ReadOutEncoder)
    z = embed_recordings(result.encoder, data)
    assert z.shape == (24, 36 + 71 + 3)
    assert np.corrcoef(z[:, 36], rates)[0, 1] > 0.9  # the first figure read out
    labelled, _ = hearts(label=np.arange(24) % 2)
    again = run(labelled, targets, method_params=params)
    for mine, other in zip(
        result.encoder.state_dict().values(), again.encoder.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, other)


def test_any_method_trains_on_recordings():
    data, _ = hearts(12)
    settings = SETTINGS.replace(max_steps=2, precision="32-true")
    result = pretrain_recordings(
        data, crop=400, views=2, batch_size=6, encoder=SMALL, method="simclr",
        method_params={"augmentation": ECG_VIEWS}, settings=settings, seed=3,
    )  # fmt: skip
    assert result.steps == 2
    assert embed_recordings(result.encoder, data, pooling="mean+max").shape == (12, 24)
