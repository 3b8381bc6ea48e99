from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_loaders.eeg.protocol import EEGFile, EEGProtocol, load_eeg_files
from data_loaders.record_log import RecordError
from tests.data_loaders.eeg_writers import brainlike, write_edf
from tscl.errors import DataError

NAMES = ["Fp1", "Cz", "T3", "O2"]
RATE = 256.0


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    return brainlike(int(6 * RATE), len(NAMES))


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75, 0.9])
def test_samples_of_a_trial_by_an_explicit_loop(overlap: float) -> None:
    signal = np.arange(2 * 640, dtype=np.float32)[:, None]
    samples, trial = EEGProtocol(5.0, 128, overlap).cut(signal, 128.0)
    step = 128 - round(128 * overlap)
    wanted = [
        signal[number * 640 + start : number * 640 + start + 128]
        for number in range(2)
        for start in range(0, 640 - 128 + 1, step)
    ]
    np.testing.assert_array_equal(samples, np.stack(wanted))
    assert trial.tolist() == sorted(trial.tolist())
    assert np.bincount(trial).tolist() == [len(wanted) // 2] * 2


def test_a_list_of_files_logs_every_one(tmp_path: Path, signal: np.ndarray) -> None:
    files = []
    for i, patient in enumerate(["a", "a", "b", "c", "d", "e", "f", "g"]):
        values = brainlike(len(signal), 4, seed=i)
        names, rate = NAMES, RATE
        if i == 3:
            values = brainlike(len(signal), 4, seed=0)
        if i == 6:
            names = ["Fp1", "Cz", "T3", "Pz"]
        if i == 7:
            rate = 128.0
        path = write_edf(tmp_path / f"{i}.edf", values, names, rate)
        files.append(EEGFile(path, patient, "x" if i % 2 else "y", f"{i}"))
    files[4].path.write_bytes(files[4].path.read_bytes()[:-900])
    files[5] = EEGFile(files[5].path, "e", "another", "5")
    data = load_eeg_files(files, EEGProtocol(2.0, 256), label_names=("y", "x"))
    assert data.log is not None
    table = data.log.table.set_index("record")
    assert table.loc[["0", "1", "2"], "status"].eq("ok").all()
    assert table["reason"].to_dict() == {
        **{"0": "", "1": "", "2": "", "3": "duplicate_record", "4": "truncated_dat"},
        **{"5": "no_label", "6": "missing_channel", "7": "mixed_rate"},
    }
    assert data.X.shape == (3 * 3 * 3, 256, 4)
    assert sorted(set(data.patient.tolist())) == ["a", "b"]
    assert data.label[data.trial == "1#0"].tolist() == [1, 1, 1]
    assert len(set(data.trial.tolist())) == 9
    with pytest.raises(RecordError, match="duplicate_record"):
        load_eeg_files(files, EEGProtocol(2.0, 256), label_names=("y", "x"), strict=True)
    with pytest.raises(DataError, match="too_short"):
        load_eeg_files(files[:3], EEGProtocol(7.0, 256), label_names=("y", "x"))


def test_standardising_a_trial_uses_that_trial_only() -> None:
    signal = brainlike(512, 2).astype(np.float32)
    signal[256:] *= 100
    samples, _ = EEGProtocol(1.0, 256, 0.0, standardize="trial").cut(signal, 256.0)
    np.testing.assert_allclose(samples.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(samples.std(axis=1), 1, atol=1e-4)
