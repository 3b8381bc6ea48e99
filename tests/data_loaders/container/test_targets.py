"""Targets of crops: those of the nearest crop of the grid and of the crop's own steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_loaders.container.targets import CropTargets
from tscl.errors import InputError

LENGTHS = np.array([100, 37, 250])


@pytest.fixture
def targets():
    """Every figure says where it comes from: 1000 times the recording plus the step."""
    places = np.cumsum(LENGTHS) - LENGTHS
    row = np.array([0, 0, 0, 1, 2, 2, 2, 2])
    start = np.array([0, 20, 50, 0, 0, 80, 160, 200])
    steps = np.concatenate([1000 * k + np.arange(n) for k, n in enumerate(LENGTHS)])
    return CropTargets(
        row, start, {"where": (1000 * row + start)[:, None].astype(np.float32)}, places, LENGTHS,
        {"where": steps[:, None].astype(np.float32)}, {"tens": steps % 10 == 0},
    )  # fmt: skip


def slow(row, start, length, stride, fine):
    """The same by loops over single steps."""
    n, count = LENGTHS[row], -(-length // stride)
    steps = [start + k * stride + stride // 2 for k in range(count)]
    figures = [1000 * row + s if 0 <= s < n else np.nan for s in steps]
    events = np.full((count, stride // fine), np.nan)
    for k in range(count * stride):
        s = start + k
        if 0 <= s < n:
            cell = (k // stride, k % stride // fine)
            events[cell] = np.nanmax([events[cell], float(s % 10 == 0), 0.0])
    return figures, events


@pytest.mark.parametrize(("length", "stride", "fine"), [(50, 8, 4), (50, 5, 5), (33, 12, 3)])
def test_against_loops(targets, length, stride, fine):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, 60)
    starts = rng.integers(-30, LENGTHS[rows])
    read = targets.read(rows, starts, length, stride, fine)
    for k, (row, start) in enumerate(zip(rows, starts, strict=True)):
        mine = targets.start[targets.row == row]
        nearest = np.abs(mine - start).min()
        got = read["crops.where"][k, 0] - 1000 * row
        assert abs(got - start) == nearest
        figures, events = slow(row, start, length, stride, fine)
        np.testing.assert_array_equal(read["steps.where"][k, :, 0], figures)
        np.testing.assert_array_equal(read["events.tens"][k], events)


def test_a_subset_reads_what_its_recordings_have(targets):
    part = targets.subset([2, 0])
    rows, starts = np.array([0, 1, 0]), np.array([90, 40, 230])
    for name, values in part.read(rows, starts, 20, 4, 2).items():
        whole = targets.read(np.array([2, 0, 2]), starts, 20, 4, 2)[name]
        np.testing.assert_array_equal(values, whole)
    assert len(part) == 2
    np.testing.assert_array_equal(targets.subset([False, True, True]).lengths, [37, 250])


def test_what_does_not_fit_is_named(targets):
    for field, value, match in (
        ("crops", {"where": np.zeros((3, 1), np.float32)}, "where"),
        ("steps", {"where": np.zeros((9, 1), np.float32)}, "387 steps"),
        ("events", {"tens": np.zeros((387, 1), bool)}, "tens"),
        ("row", np.array([0, 0, 0, 0, 2, 2, 2, 2]), "each recording"),
    ):
        with pytest.raises(InputError, match=match):
            replace(targets, **{field: value})


def test_figures_of_whole_recordings_are_those_of_every_crop(targets):
    whole = CropTargets.of_recordings(LENGTHS, {"of": np.array([[5.0], [6.0], [7.0]], np.float32)})
    both = targets.joined(whole)
    rows, starts = np.array([2, 0, 1, 2]), np.array([3, 60, 0, 190])
    read = both.read(rows, starts, 20, 4, 4)
    assert read["crops.of"][:, 0].tolist() == [7, 5, 6, 7]
    np.testing.assert_array_equal(
        read["crops.where"], targets.read(rows, starts, 20, 4, 4)["crops.where"]
    )
    alone = whole.subset([2, 1]).read(np.array([0, 1]), np.array([9, 0]), 20, 4, 4)
    assert alone["crops.of"][:, 0].tolist() == [7, 6]


def test_only_figures_of_the_same_recordings_are_joined(targets):
    with pytest.raises(InputError, match="other"):
        targets.joined(targets)
    with pytest.raises(InputError, match="other"):
        targets.joined(CropTargets.of_recordings(LENGTHS[:2], {"of": np.zeros((2, 1), np.float32)}))
