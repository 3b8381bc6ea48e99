"""Recordings: values, missing ones, subsets, windows, files, and memory that does not grow."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch

from data_loaders import ChannelStats, MedicalDataset, group_split
from data_loaders.container.recordings import Recordings
from data_loaders.container.recordings_fields import MISSING
from tscl.errors import DataError, InputError
from tscl.training.recordings import RecordingSource


def arrays(n=6, channels=2, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (rng.standard_normal((20 + 7 * k, channels)) * (k + 1)).astype(np.float32) for k in range(n)
    ]


def recordings(**fields):
    given = {"patient": ["a", "a", "b", "c", "c", "d"], "record": [f"r{k}" for k in range(6)]}
    return Recordings.from_arrays(arrays(), 10.0, **{**given, **fields})


def test_float_values_come_back_to_the_bit_and_int16_to_half_a_unit():
    exact, short = recordings(store="float32"), recordings()
    assert short.values.dtype == np.int16
    for k, array in enumerate(arrays()):
        assert np.array_equal(exact[k], array)
        assert np.abs(short[k] - array).max() <= 0.5001 * np.abs(array).max() / 32767
    assert np.array_equal(exact[-1], arrays()[5])


@pytest.mark.parametrize("store", ["int16", "float32"])
def test_missing_values_and_channels_are_nan(store):
    given = arrays()
    given[0][3:5, 1] = np.nan
    given[1][:, 0] = np.nan
    data = Recordings.from_arrays(given, 10.0, store=store)
    for k in range(3):
        assert np.array_equal(np.isnan(data[k]), np.isnan(given[k]))
    assert (data.values == MISSING).sum() == (2 + 27 if store == "int16" else 0)
    scaled = data.standardize()
    assert np.array_equal(np.isnan(scaled[0]), np.isnan(given[0]))
    assert np.nanmean(scaled[0], axis=0) == pytest.approx([0, 0], abs=1e-5)
    assert np.nanstd(scaled[0], axis=0) == pytest.approx([1, 1], abs=1e-4)


def test_crops_reach_over_the_ends_as_nan_or_wrapped():
    data = recordings(store="float32")
    array = arrays()[0]
    padded = data.crops(np.array([0, 0, 0]), np.array([-3, 15, 40]), 10)
    assert np.isnan(padded[0, :3]).all()
    assert np.array_equal(padded[0, 3:], array[:7])
    assert np.array_equal(padded[1, :5], array[15:])
    assert np.isnan(padded[1, 5:]).all()
    assert np.isnan(padded[2]).all()
    wrapped = data.crops(np.array([0]), np.array([15]), 30, wrap=True)[0]
    assert np.array_equal(wrapped, array[(15 + np.arange(30)) % 20])


def test_a_subset_shares_the_values_and_numbers_patients_anew():
    data = recordings(label=[0, 1, -1, 1, 0, -1], columns={"fold": np.arange(6)})
    part = data.subset(data.label >= 0)
    assert np.shares_memory(part.values, data.values)
    assert part.record.tolist() == ["r0", "r1", "r3", "r4"]
    assert part.columns["fold"].tolist() == [0, 1, 3, 4]
    assert part.patient_codes.tolist() == [0, 0, 1, 1]
    assert np.array_equal(part[2], data[3])
    assert np.array_equal(data.subset([-1])[0], data[5])
    parts = group_split(data.table, {"train": 0.5, "test": 0.5}, stratify=False, seed=0)
    assert not set(data.patient[parts["train"]]) & set(data.patient[parts["test"]])


def test_windows_see_every_step_and_average_by_recording():
    data = recordings(store="float32")
    windows = data.windows(25, 10)
    seen = [np.zeros(len(a), int) for a in arrays()]
    for row, start in zip(windows.row, windows.start, strict=True):
        seen[row][start : start + 25] += 1
    assert all((one > 0).all() for one in seen)
    assert windows.start[windows.row == 0].tolist() == [0]
    assert np.isnan(windows[0][20:]).all()
    assert windows[np.array([1, 3])].shape == (2, 25, 2)
    values = np.asarray(windows)[:, :, 0]
    averaged = windows.average(values)
    for k in range(6):
        slow = np.mean([values[i] for i in range(len(windows)) if windows.row[i] == k], axis=0)
        np.testing.assert_allclose(averaged[k], slow, rtol=1e-6)
    with pytest.raises(InputError, match="one a window"):
        windows.average(values[1:])
    with pytest.raises(InputError, match="stride: got 0"):
        data.windows(25, 0)


def test_standardising_by_training_figures():
    data = recordings(store="float32")
    stats = ChannelStats(np.array([1.0, 2.0]), np.array([2.0, 4.0]), 6)
    np.testing.assert_allclose(
        data.standardize(stats)[1], (arrays()[1] - [1, 2]) / [2, 4], rtol=1e-5, atol=1e-6
    )


def test_figures_over_recordings_leave_missing_values_out():
    given = [a.astype(np.float64) for a in arrays()]
    given[0][2, 1] = np.nan
    data = Recordings.from_arrays(given, 50.0, store="float32")
    stats = data.channel_stats()
    joined = np.concatenate(given)
    np.testing.assert_allclose(stats.mean, np.nanmean(joined, axis=0), rtol=1e-5)
    np.testing.assert_allclose(stats.std, np.nanstd(joined, axis=0), rtol=1e-5)


def test_from_a_dataset_and_back():
    X = np.random.default_rng(0).standard_normal((4, 12, 2)).astype(np.float32)
    X[1, 8:] = np.nan
    given = MedicalDataset(
        X,
        [0, 1, -1, 0],
        [1, 1, 2, 3],
        [10, 10, 20, 30],
        50.0,
        label_names=["n", "a"],
        columns={"fold": [1, 2, 3, 4]},
        allow_nan=True,
    )
    data = Recordings.from_dataset(given.subset([3, 1, 2], lazy=True))
    assert np.shares_memory(data.values, X)
    assert data.lengths.tolist() == [12, 8, 12]
    assert np.array_equal(data[1], X[1, :8])
    back = data.to_dataset()
    assert np.array_equal(np.asarray(back.X), X[[3, 1, 2]], equal_nan=True)
    assert back.label.tolist() == [0, 1, -1]
    assert back.label_names == ("n", "a")
    cut = data.to_dataset(6, 6)
    assert cut.X.shape == (6, 6, 2)
    assert cut.columns["fold"].tolist() == [4, 4, 2, 2, 3, 3]
    again = Recordings.from_dataset(cut)
    assert again.record.tolist() == cut.columns["record"].tolist()


def test_saved_and_loaded(tmp_path):
    data = recordings(label=["n", "n", None, "a", "a", "n"], columns={"fold": ["01"] * 6})
    part = data.standardize().subset([4, 2])
    part.save(tmp_path / "set")
    back = Recordings.load(tmp_path / "set")
    assert back.on_disk
    assert len(back.values) == int(part.lengths.sum())
    assert all(np.array_equal(back[k], part[k]) for k in range(2))
    pd.testing.assert_frame_equal(back.table, part.table)
    assert not Recordings.load(tmp_path / "set", in_memory=True).on_disk
    with pytest.raises(InputError, match="overwrite=True"):
        part.save(tmp_path / "set")
    part.save(tmp_path / "set", overwrite=True)
    (tmp_path / "set" / "mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"mine\.txt"):
        part.save(tmp_path / "set", overwrite=True)


@pytest.mark.parametrize("name", ["values.npy", "places.npz", "table.parquet", "recordings.json"])
def test_damaged_files_are_named(tmp_path, name):
    path = recordings().save(tmp_path / "set") / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError):
        Recordings.load(tmp_path / "set")
    with pytest.raises(DataError):
        Recordings.load(tmp_path / "set", verify=False)
    path.unlink()
    with pytest.raises(DataError, match=r"missing|holds no"):
        Recordings.load(tmp_path / "set")


def test_objects_are_never_unpickled(tmp_path):
    folder = recordings().save(tmp_path / "set")
    np.save(folder / "values.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="real numbers"):
        Recordings.load(folder, verify=False)


def test_another_version_is_named(tmp_path):
    folder = recordings().save(tmp_path / "set")
    meta = json.loads((folder / "recordings.json").read_text())
    (folder / "recordings.json").write_text(json.dumps({**meta, "version": 99}))
    with pytest.raises(DataError, match="version: got 99"):
        Recordings.load(folder)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"values": np.zeros((4, 1))}, "dtype float64"),
        ({"values": np.zeros(4, np.int16)}, r"shape \(4,\)"),
        ({"lengths": [2, 3]}, "lengths: got sum 5"),
        ({"lengths": [4, 0]}, "1 or more"),
        ({"lengths": [2, 2], "starts": [0, 3]}, "outside the values"),
        ({"scale": [1.0, 2.0, 3.0]}, "scale"),
        ({"scale": np.inf}, "finite"),
        ({"values": np.full((4, 1), np.inf, np.float32)}, "infinite"),
        ({"trial": [1, 1], "patient": [1, 2]}, "two patients"),
        ({"columns": {"record": [1, 2]}}, "record="),
        ({"label": [0, 1, 1]}, "label"),
    ],
)
def test_what_does_not_fit_is_named(fields, says):
    given = {"values": np.zeros((4, 1), np.int16), "lengths": [2, 2], **fields}
    with pytest.raises(InputError, match=says):
        Recordings(given.pop("values"), given.pop("lengths"), 10.0, **given)


def sparse(folder, n):
    """``n`` recordings of 10 s at 100 Hz whose values take no room on the disk."""
    small = Recordings(np.zeros((n, 1), np.int16), np.ones(n, int), 100.0)
    small.save(folder)
    with (folder / "values.npy").open("wb") as file:
        head = {"descr": "<i2", "fortran_order": False, "shape": (n * 1000, 1)}
        np.lib.format.write_array_header_1_0(file, head)
        file.truncate(file.tell() + 2000 * n)
    lengths = np.full(n, 1000)
    np.savez(
        folder / "places.npz",
        lengths=lengths,
        scale=np.ones((n, 1), np.float32),
        shift=np.zeros((n, 1), np.float32),
    )
    return folder


def test_ten_times_the_recordings_take_no_more_memory_for_their_values(tmp_path):
    draws = np.arange(256)
    peak, table = {}, {}
    for n in (10_000, 100_000):
        folder = sparse(tmp_path / str(n), n)
        data = Recordings.load(folder, verify=False)
        source = RecordingSource(data, 500)
        tracemalloc.start()
        for seed in range(3):
            source.batch(draws * (n // 256), torch.Generator().manual_seed(seed))
        data.windows(1000)[:256]
        peak[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        table[n] = (
            sum(one.nbytes for one in vars(data).values() if isinstance(one, np.ndarray))
            - data.values.nbytes
        )
    assert data.values.nbytes == 200_000_000
    assert peak[100_000] < peak[10_000] + 100 * 90_000  # the windows' row and start
    assert table[100_000] <= 120 * 100_000
