"""Masked values, large levels, and one recording under two names."""

from __future__ import annotations

import numpy as np
import pytest

from data_loaders import ChannelStats, MedicalDataset, pad_series
from data_loaders.container.rows import float32_loses, narrow, row_digests, same_recordings


def waves(n=12, steps=40, channels=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, steps, channels))


def container(X, **settings):
    n = len(X)
    return MedicalDataset(X, [0, 1] * (n // 2), range(n), range(n), 10.0, **settings)


@pytest.mark.parametrize("level", [1e4, 1e6, 1e8, 1.7e9, -1e9])
@pytest.mark.parametrize("per", ["sample", "trial", "train"])
def test_a_large_level_is_taken_off_in_double_precision(level, per):
    X = waves()
    data = container(X + level)
    right = container(X)
    if per == "train":
        a, b = data.standardize(ChannelStats.fit(data)), right.standardize(ChannelStats.fit(right))
    else:
        a, b = data.standardize(per), right.standardize(per)
    assert a.X.dtype == np.float32
    np.testing.assert_allclose(a.X, b.X, atol=2e-3 if level == 1e4 else 1e-5)


def test_levels_that_differ_from_sample_to_sample():
    X = waves()
    data = container(X + 1e8 * np.arange(12)[:, None, None])
    np.testing.assert_allclose(
        data.standardize("sample").X, container(X).standardize("sample").X, atol=1e-5
    )


def test_only_what_float32_loses_stays_double():
    X = waves()
    for usual in (X, X + 100, X * 1e-12, X * 1e12, np.zeros((2, 3, 1)), np.full((2, 3, 1), 1e9)):
        assert not float32_loses(usual)
        assert narrow(usual).dtype == np.float32
    flat = 5.0 + 1e-14 * waves()  # flat but for rounding: not a level to be kept
    assert not float32_loses(flat)
    one = X.copy()
    one[7, :, 1] += 1e8
    assert float32_loses(one)
    assert not float32_loses((X + 1e8).astype(np.float32))  # lost already
    assert float32_loses((X * 1e4).astype(np.int64) + 10**12)
    gaps = X + 1e8
    gaps[0] = np.nan
    assert float32_loses(gaps)
    assert pad_series([X[0] + 1e8, X[1, :9] + 1e8])[0].dtype == np.float64


def test_a_large_level_survives_saving(tmp_path):
    data = container(waves() + 1e9)
    for form in ("npy", "npz"):
        data.save(tmp_path / form, form=form)
        back = MedicalDataset.load(tmp_path / form)
        np.testing.assert_array_equal(back.X, data.X)
        np.testing.assert_array_equal(
            back.subset([3, 1], lazy=True).standardize("sample").X,
            data.subset([3, 1]).standardize("sample").X,
        )


def test_masked_values_are_missing():
    X, mask = waves(), np.zeros((12, 40, 2), bool)
    mask[0, 5:9] = True
    for kind in (np.float64, np.float32, np.int64):
        held = np.ma.array(np.where(mask, -9999, (X * 100)).astype(kind), mask=mask)
        data = container(held, allow_nan=True)
        assert type(data.X) is np.ndarray
        assert np.isnan(data.X[mask]).all()
        assert np.isfinite(data.X[~mask]).all()
        assert abs(data.standardize("sample").X[0, 0, 0]) < 10
    padded, lengths = pad_series([np.ma.array(X[0], mask=mask[0]), X[1, :9]])
    assert np.isnan(padded[0, 5:9]).all()
    assert lengths.tolist() == [40, 9]
    label = np.ma.array([0, 1] * 6, mask=[True] + [False] * 11)
    data = MedicalDataset(X, label, range(12), range(12), 10.0)
    assert data.label.tolist() == [-1, 1] + [0, 1] * 5


def test_digests_tell_samples_apart():
    X = np.repeat(waves(6).astype(np.float32), 2, axis=0)
    digests = row_digests(X)
    assert (digests[::2] == digests[1::2]).all()
    assert len(np.unique(digests)) == 6
    changed = X.copy()
    changed[0, 3, 1] = np.nextafter(changed[0, 3, 1], np.float32(9))
    swapped = X[:, ::-1]
    assert row_digests(changed)[0] != digests[0]
    assert not np.isin(row_digests(swapped), digests).any()
    assert (row_digests(np.full((3, 4, 2), 7.0, np.float32)) == 0).all()
    assert (row_digests(np.full((3, 4, 2), np.nan, np.float32)) == 0).all()


def test_one_recording_under_two_names_is_found_by_whole_trials():
    X = waves(8)
    X[4:6] = X[0:2]  # the second trial of b is the first of a
    patient, trial = ["a"] * 4 + ["b"] * 4, [0, 0, 1, 1, 3, 3, 2, 2]
    data = MedicalDataset(X, None, patient, trial, 1.0)
    assert data.same_recordings == [("a", "b")]
    assert data.table.attrs["same_recordings"] == [("a", "b")]
    assert data.subset([0, 1, 2, 3, 6, 7]).same_recordings == []
    assert data.standardize("sample").same_recordings == [("a", "b")]
    X[5, 0, 0] += 1  # one sample differs: other recordings
    assert MedicalDataset(X, None, patient, trial, 1.0).same_recordings == []
    digests = row_digests(np.ones((8, 3, 1)))  # flat trials are no recordings
    assert same_recordings(digests, np.array(patient), np.array(trial)) == []
