"""The arrays that COMET's authors publish: rows are trials, labels and ids are floats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from data_loaders import load_processed
from data_loaders.ecg.signal import counted_peaks, cut_beats
from data_loaders.eeg.protocol import EEGProtocol
from data_loaders.filters import interpolated
from tscl.errors import InputError


def write_public(folder: Path, trials: dict[int, np.ndarray], labels: dict[int, int]) -> Path:
    """``Feature/feature_NN.npy`` (trials, T, C) and ``Label/label.npy``, float64 as theirs."""
    (folder / "Feature").mkdir(parents=True)
    (folder / "Label").mkdir()
    for number, values in trials.items():
        np.save(folder / "Feature" / f"feature_{number:02d}.npy", values)
    table = np.asarray([(labels[number], number) for number in trials], np.float64)
    np.save(folder / "Label" / "label.npy", table)
    return folder


def test_trials_are_scaled_before_they_are_cut(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    trials = {n: rng.normal(3 * n, n, (n, 40, 2)) + np.linspace(0, 9, 40)[:, None] for n in (1, 2)}
    root = write_public(tmp_path / "AD", trials, {1: 0, 2: 1})
    data = load_processed(root, 8.0, window=16, overlap=0.5, standardize="trial")
    wanted, patient = [], []
    for number, rows in trials.items():
        for row in rows:
            scaled = StandardScaler().fit_transform(row)
            wanted += [scaled[start : start + 16] for start in range(0, 40 - 16 + 1, 8)]
            patient += [number] * 4
    np.testing.assert_allclose(data.X, np.stack(wanted), atol=1e-5)
    assert data.patient.tolist() == patient
    assert data.label.tolist() == [number - 1 for number in patient]
    assert len(np.unique(data.trial)) == 3
    assert data.source["standardize"] == "trial"
    with pytest.raises(InputError, match="standardize"):
        load_processed(root, 8.0, standardize="window")


def test_the_notebook_s_beats() -> None:
    leads = [np.array([4, 20, 35]), np.array([5, 21]), np.array([9, 22, 40])]
    peaks = counted_peaks(leads)
    assert peaks.tolist() == [5, 21, 37]
    signal = np.arange(1, 81, dtype=np.float32).reshape(40, 2)
    wanted = []
    for peak in peaks:
        beat = signal[max(0, peak - 7) : min(peak + 7, 40)]
        left = int((20 - len(beat)) / 2)
        wanted.append(np.pad(beat, [(left, 20 - left - len(beat)), (0, 0)]))
    np.testing.assert_array_equal(cut_beats(signal, peaks, 15, 20, keep_cut=True), wanted)
    assert len(cut_beats(signal, peaks, 15, 20)) == 1
    assert counted_peaks([np.array([], np.int64)]).size == 0


@pytest.mark.parametrize("steps", [7, 25, 30, 39, 40])
def test_pseudo_trials_from_the_middle(steps: int) -> None:
    signal = np.arange(steps, dtype=np.float32)[:, None]
    start = int(steps / 2)
    left = start - int(start / 10) * 10
    right = start + int((steps - start) / 10) * 10
    wanted = [signal[i : i + 10] for i in range(left, right, 10)]
    samples, trial = EEGProtocol(10.0, 10, 0.0, trials_from="middle").cut(signal, 1.0)
    assert len(samples) == len(wanted) == len(trial)
    if wanted:
        np.testing.assert_array_equal(samples, wanted)


def test_interpolation_as_the_notebook_s() -> None:
    signal = np.random.default_rng(0).normal(size=(1001, 2))
    at = np.linspace(1, 1001, int(1001 / 500 * 256))
    wanted = [np.interp(at, np.linspace(1, 1001, 1001), column) for column in signal.T]
    np.testing.assert_allclose(interpolated(signal, 500, 256), np.stack(wanted, 1), atol=1e-5)
