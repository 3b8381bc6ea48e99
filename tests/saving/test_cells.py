from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tscl.errors import CheckpointError
from tscl.saving.cells import Cell, ResultStore


def _cell(seed: int) -> Cell:
    return Cell({"method": "m", "seed": seed}, {"C": 1.0}, {"y": np.arange(3) + seed})


def test_store_keeps_cells_across_runs(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    for seed in (0, 1):
        store.add(_cell(seed))
    again = ResultStore(tmp_path)
    assert len(again) == 2
    assert {"seed": 1, "method": "m"} in again  # order of the keys does not matter
    assert {"method": "m", "seed": 2} not in again
    np.testing.assert_array_equal(again.get({"method": "m", "seed": 1}).arrays["y"], [1, 2, 3])
    assert [cell.key["seed"] for cell in again.cells()] == [0, 1]
    assert again.get({"method": "m", "seed": 0}).facts == {"C": 1.0}


def test_store_leaves_out_arrays_without_their_cell(tmp_path: Path) -> None:
    """What a run killed between both files leaves behind."""
    store = ResultStore(tmp_path)
    for seed in (0, 1):
        store.add(_cell(seed))
    max(tmp_path.glob("*.json"), key=lambda path: '"seed": 1' in path.read_text()).unlink()
    again = ResultStore(tmp_path)
    assert [cell.key["seed"] for cell in again.cells()] == [0]
    again.add(_cell(1))
    assert [cell.key["seed"] for cell in ResultStore(tmp_path).cells()] == [0, 1]


def test_store_first_cell_of_a_key_stays(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.add(_cell(0))
    store.add(Cell({"method": "m", "seed": 0}, {}, {"y": np.zeros(1)}))
    assert len(list(tmp_path.glob("*.json"))) == 1
    assert store.get({"method": "m", "seed": 0}).facts == {"C": 1.0}


def test_store_damage_is_named(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.add(_cell(0))
    arrays = next(tmp_path.glob("*.npz"))
    arrays.write_bytes(arrays.read_bytes()[:40])
    with pytest.raises(CheckpointError, match="damaged"):
        ResultStore(tmp_path).cells()
    arrays.unlink()
    with pytest.raises(CheckpointError, match="damaged"):
        ResultStore(tmp_path).cells()
    (tmp_path / "other.json").write_text("nonsense")
    with pytest.raises(CheckpointError, match=r"other\.json"):
        ResultStore(tmp_path)
    with pytest.raises(CheckpointError, match="evaluate"):
        ResultStore().get({"seed": 0})
