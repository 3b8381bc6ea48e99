"""Plain features of whole recordings: known tones, unknown figures, windows of random kernels."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from data_loaders.container.recordings import Recordings
from tests.runs.label_efficiency.motifs import motif_recordings
from tscl.errors import MissingExtraError
from tscl.evaluation.clinical.recording_features import (
    RecordingFeatures,
    convolution_targets,
    fit_minirocket,
    spectrum_features,
)


def test_spectrum_tells_tones_of_recordings_of_unequal_length():
    time = np.arange(1000) / 100
    slow, fast = (np.sin(2 * np.pi * f * time)[:, None] for f in (2.0, 20.0))
    data = Recordings.from_arrays([slow, fast, slow[:600]], 100.0)
    z = spectrum_features(data)
    strongest = z[:, :8].argmax(axis=1)
    assert strongest[0] == strongest[2] < strongest[1]


def test_scale_is_of_the_fitted_rows_and_unknown_is_the_median():
    x = np.array([[0.0, np.nan], [1.0, np.nan], [2.0, np.nan], [100.0, 5.0], [np.nan, 1.0]])
    z = RecordingFeatures.scaled_by("beats", x, np.array([0, 1, 2])).scaled(x)
    np.testing.assert_allclose(z[:3, 0], [-1, 0, 1], atol=2e-3)
    assert z[3, 0] == 4.0
    assert z[4, 0] == 0.0
    assert np.isfinite(z).all()


def test_figures_that_vary_by_rounding_alone_are_zero():
    x = np.random.default_rng(0).normal(size=(20, 2))
    x[:, 1] = 1 + 1e-7 * x[:, 1]
    x = np.c_[x, np.r_[np.zeros(19), 1.0]]  # rare, not rounding
    z = RecordingFeatures.scaled_by("spectrum", x, np.arange(20)).scaled(x)
    assert not z[:, 1].any()
    assert z[:, 0].std() > 0.4
    assert z[19, 2] == 4.0


def test_minirocket_names_its_extra_or_finds_the_order():
    data = motif_recordings(40, noise=0.3)
    if importlib.util.find_spec("numba") is None:
        with pytest.raises(MissingExtraError, match="minirocket"):
            fit_minirocket(data, np.arange(30), 128)
        return
    threads = torch.get_num_threads()
    z = fit_minirocket(data, np.arange(30), 128, num_kernels=168).transform(data)
    assert torch.get_num_threads() == threads  # numba's threads are torch's
    assert z.shape == (40, 168)
    apart = np.abs(z[::2].mean(axis=0) - z[1::2].mean(axis=0)) / z.std(axis=0)
    assert apart.max() > 1.5


def test_convolution_targets_keep_the_order_in_a_few_components():
    pytest.importorskip("numba")
    data = motif_recordings(40, noise=0.3)
    targets = convolution_targets(data, int(data.lengths.max()), components=8)
    z = targets.crops["convolutions"]
    assert z.shape == (40, 8)
    assert np.abs(z).max() <= 4
    apart = [abs(z[data.label == 0, k].mean() - z[data.label == 1, k].mean()) for k in range(8)]
    assert max(apart) > 1  # of unit deviation: one component parts the classes, unseen
