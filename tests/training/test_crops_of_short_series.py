"""Crops of series of unequal length: what enters a batch holds values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_loaders import pad_series
from tscl.training.data import ArraySource


def batches(x, crop, steps=100):
    source = ArraySource(x, crop=crop)
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        yield source.batch(np.arange(len(x)), generator).x.numpy()


def test_short_series_beside_a_long_one_are_never_blank():
    series = [np.full((30, 1), i + 1.0) for i in range(15)] + [np.arange(500.0)[:, None]]
    x, _ = pad_series(series)
    starts = set()
    for batch in batches(x, 256):
        seen = ~np.isnan(batch)
        assert (seen[:15].sum(axis=(1, 2)) >= 27).all()
        assert seen[15].all()
        starts.add(int(batch[15, 0, 0]))
    assert len(starts) > 50
    assert min(starts) < 10 < 235 < max(starts) <= 244


def test_every_part_of_a_series_longer_than_a_crop_is_drawn():
    x, _ = pad_series([np.arange(300.0), np.arange(500.0)])
    starts = np.array([batch[:, 0, 0] for batch in batches(x, 200, 400)])
    assert not np.isnan(starts).any()
    common = starts[:, 1] <= 120
    np.testing.assert_array_equal(starts[common, 0], starts[common, 1])
    np.testing.assert_allclose(starts[~common, 0], starts[~common, 1] / 3, atol=1)
    assert 0 <= starts[:, 0].min() < 5
    assert 115 < starts[:, 0].max() <= 120


def test_sections_padded_by_a_step_are_cropped_as_before():
    x = np.random.default_rng(0).normal(size=(3, 50, 1)).astype(np.float32)
    padded = x.copy()
    padded[1, -1] = np.nan
    for plain, other in zip(batches(x, 20), batches(padded, 20), strict=True):
        assert ((plain == other) | np.isnan(other)).all()


@pytest.mark.parametrize("gap", ["start", "middle", "both ends"])
def test_gaps_as_long_as_a_crop_are_passed_over(gap):
    x = np.random.default_rng(0).normal(size=(4, 100, 2)).astype(np.float32)
    if gap == "start":
        x[1, :70] = np.nan
    elif gap == "middle":
        x[1, 5:95] = np.nan
    else:
        x[1, :40] = x[1, 50:] = np.nan
    for batch in batches(x, 20):
        assert (~np.isnan(batch)).any(axis=(1, 2)).all()


def test_whole_series_are_cropped_as_before():
    x = np.random.default_rng(0).normal(size=(3, 50, 1)).astype(np.float32)
    holed = x.copy()
    holed[0, 20:22] = np.nan
    for plain, other in zip(batches(x, 10), batches(holed, 10), strict=True):
        assert ((plain == other) | np.isnan(other)).all()
        assert (plain[1:] == other[1:]).all()
