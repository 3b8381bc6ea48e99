"""Two parts of PTB-XL as one: every record once, alike in form, on its official side."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data_loaders.wfdb_files import bumps, write_record
from tscl.errors import DataError

FILE = Path(__file__).parents[3] / "recipes/pretraining/ptbxl_2285.py"


@pytest.fixture(scope="module")
def recipe():
    spec = importlib.util.spec_from_file_location("ptbxl_2285", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def parts(tmp_path, recipe):
    """Records 1 to 4 as arrays, 3 to 6 as files; record 3 of the arrays is of another side."""
    arrays, files = tmp_path / "arrays", tmp_path / "files"
    arrays.mkdir()
    beats = [bumps(12, 10.0, 100.0, rr=0.7 + 0.05 * k, seed=k)[0] for k in range(7)]
    for shard, ids in enumerate(((2, 1), (4, 3))):
        scaled = [(beats[k] - beats[k].mean(0)) / beats[k].std(0) for k in ids]
        signal = np.rint(250 * np.stack(scaled)).astype(np.int16).transpose(0, 2, 1)
        np.savez(arrays / f"ecg_{shard}.npz", signal=signal, ecg_id=np.asarray(ids))
    pd.DataFrame(
        {
            "ecg_id": [1, 2, 3, 4], "split": ["train", "val", "test", "test"],
            "NORM": [1, 0, 1, 1], "MI": 0, "STTC": [0, 1, 0, 0], "CD": [0, 0, 0, 1], "HYP": 0,
            "in_ptbxl_500": 0, "patient_id": [np.nan, 12.0, 13.0, np.nan], "shard": [0, 0, 1, 1],
        }
    ).to_csv(arrays / "records.csv", index=False)  # fmt: skip
    names = [f"records100/0000{k}_lr" for k in range(3, 7)]
    for k, name in zip(range(3, 6), names, strict=False):  # record 6 has no file
        write_record(files / "records100", Path(name).name, beats[k] + 0.5, 100, list(recipe.LEADS))
    pd.DataFrame(
        {
            "ecg_id": range(3, 7), "patient_id": [13.0, 14.0, 15.0, 16.0],
            "scp_codes": ["{'NORM': 100.0}", "{'NORM': 100, 'LBBB': 50}", "{'IMI': 80}", "{}"],
            "strat_fold": [8, 9, 10, 1], "filename_lr": names, "filename_hr": names,
        }
    ).to_csv(files / "ptbxl_database.csv", index=False)  # fmt: skip
    pd.DataFrame(
        {"diagnostic": 1.0, "diagnostic_class": ["NORM", "CD", "MI"]},
        index=["NORM", "LBBB", "IMI"],
    ).to_csv(files / "scp_statements.csv")
    return arrays, files


def test_every_record_once_from_the_files_first(recipe, parts):
    data = recipe.load_ptbxl_2285(*parts)
    table = data.table.set_index("record")
    assert table.index.tolist() == [3, 4, 5, 1, 2]
    assert table["side"].tolist() == ["train", "valid", "test", "train", "valid"]
    assert table["patient"].tolist() == ["13", "14", "15", "record 1", "12"]
    assert table["label"].tolist() == [0, -1, 1, 0, 1]
    assert table[["NORM", "CD", "MI", "STTC"]].to_numpy().tolist() == [
        [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1],
    ]  # fmt: skip
    assert data.log.table["reason"].tolist() == ["", "", "", "missing_header"]


def test_both_parts_are_alike_in_form(recipe, parts):
    data = recipe.load_ptbxl_2285(*parts)
    signals = np.stack([data[k] for k in range(5)])
    assert signals.shape == (5, 1000, 12)
    np.testing.assert_allclose(signals.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(signals.std(axis=1), 1, atol=1e-3)
    arrays = recipe._from_arrays(parts[0])
    same = arrays[1][arrays[0]["record"].tolist().index(3)][100:-100]
    filtered = signals[0][100:-100]
    assert np.corrcoef(same[:, 0], filtered[:, 0])[0, 1] > 0.9


def test_a_missing_array_is_named(recipe, parts):
    (parts[0] / "ecg_1.npz").unlink()
    with pytest.raises(DataError, match="ecg_1"):
        recipe.load_ptbxl_2285(*parts)
