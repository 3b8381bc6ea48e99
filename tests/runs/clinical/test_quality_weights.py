"""Samples drawn by the quality of their signal, from the configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_loaders import MedicalDataset
from tests.runs.clinical.test_run import tiny
from tscl.errors import ConfigError
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.jobs import check_job


def test_samples_of_noise_are_drawn_less(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    t = np.arange(300) / 100
    beats = np.exp(-(((t + rng.uniform(0, 1, (40, 1))) % 0.8 - 0.4) ** 2) / 5e-4)[..., None]
    noise = rng.normal(size=beats.shape)
    x = np.concatenate([beats + 0.01 * noise, noise]).astype(np.float32)
    one = np.arange(80)
    data = MedicalDataset(x, one % 2, patient=one, trial=one, sampling_rate=100)
    counts = {}
    for power in (0.0, 2.0):
        values = tiny(tmp_path / f"{power}")
        values["train"] |= {"quality": power, "sampler": "random", "batch_size": 8}
        run = ClinicalRun(check_job(values))  # type: ignore[arg-type]
        sampler = run.weighted(run.sampler(run.rows[0], data), data)
        drawn = np.concatenate([b for epoch in range(20) for b in sampler.epoch(0, epoch)])
        counts[power] = (drawn >= 40).mean()
    assert counts[0.0] == 0.5
    assert counts[2.0] < 0.2
    with pytest.raises(ConfigError, match=r"train.quality.X.*two seconds"):
        run.weighted(run.sampler(run.rows[0], data), short(data))


def short(data: MedicalDataset) -> MedicalDataset:
    return MedicalDataset(
        data.X[:, :50], data.label, patient=data.patient, trial=data.trial, sampling_rate=100
    )
