"""Networks trained on few labels of whole recordings learn them, and hold whole groups back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.runs.label_efficiency.motifs import motif_recordings
from tscl.encoders import ENCODERS
from tscl.evaluation.clinical.finetune_recordings import (
    LabelledSettings,
    _crops,
    _hold_back,
    fit_on_labels,
    predict_recordings,
)
from tscl.seeding import seeded
from tscl.training.recordings import RecordingSource


def encoder():
    with seeded(0):
        return ENCODERS.build("resnet1d", input_dims=1, widths=[8, 16], strides=[2, 2])


def test_order_is_learnt_from_labels_and_the_start_is_left_as_it_was():
    data, rows = motif_recordings(60, noise=0.5), np.arange(60)
    start = encoder()
    before = {name: value.clone() for name, value in start.state_dict().items()}
    settings = LabelledSettings(crop=128, steps=60, batch_size=32, lr=1e-2, held=0.0)
    network, step = fit_on_labels(start, data, rows[:40], data.label[:40], 2, settings, seed=1)
    proba = predict_recordings(network, data, rows[40:], settings)
    assert step == 60
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert (proba.argmax(axis=1) == data.label[40:]).mean() > 0.9
    assert all(torch.equal(before[name], value) for name, value in start.state_dict().items())


def test_one_seed_gives_one_result():
    data, rows = motif_recordings(16), np.arange(16)
    settings = LabelledSettings(crop=128, steps=3, batch_size=8)

    def proba(seed):
        network, _ = fit_on_labels(encoder(), data, rows, data.label, 2, settings, seed=seed)
        return predict_recordings(network, data, rows, settings)

    np.testing.assert_array_equal(proba(0), proba(0))
    assert not np.array_equal(proba(0), proba(1))


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_held_back_groups_are_whole_and_hold_every_class(share):
    groups = np.repeat(np.arange(12), 3)
    y = groups % 3
    fit, held = _hold_back(y, groups, share, seed=0)
    assert not set(groups[fit]) & set(groups[held])
    assert set(y[fit]) == set(y[held]) == {0, 1, 2}
    assert len(fit) + len(held) == len(y)


def test_nothing_is_held_back_of_a_class_of_one():
    fit, held = _hold_back(np.array([0, 0, 0, 1]), np.arange(4), 0.25, seed=0)
    assert (len(fit), len(held)) == (4, 0)


def test_a_recording_drawn_twice_gives_two_crops():
    data = motif_recordings(4)
    source = RecordingSource(data, 64, views=1)
    chosen = np.array([2, 0, 2, 2])
    x = _crops(source, chosen, torch.Generator().manual_seed(0)).numpy()
    assert len({crop.tobytes() for crop in x}) == 4
    for crop, row in zip(x, chosen, strict=True):
        whole = data[row][:, 0]
        starts = range(len(whole) - 63)
        assert any(np.array_equal(whole[s : s + 64], crop[:, 0]) for s in starts)
