from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from data_loaders.eeg.protocol import EEGProtocol
from data_loaders.eeg.uci import load_uci_eeg
from data_loaders.record_log import RecordError
from tests.data_loaders.eeg_writers import brainlike
from tscl.errors import InputError


def write_subject(path: Path, seed: int = 0, **changes: object) -> None:
    rng = np.random.default_rng(seed)
    content: dict[str, object] = {
        "nanovolts": (rng.normal(0, 12000, (4, 5, 256))).astype(np.int32),
        "trial": np.array([0, 2, 5, 9]),
        "condition": np.array(["S1 obj", "S2 match", "S1 obj", "S2 nomatch"]),
        "channel": np.array(["FP1", "X", "CZ", "nd", "Y"]),
        "label": np.array("alcoholic"),
    }
    content.update(changes)
    np.savez(path, **{key: value for key, value in content.items() if value is not None})


def test_uci_files(tmp_path: Path) -> None:
    write_subject(tmp_path / "s1.npz")
    write_subject(tmp_path / "s2.npz", 1, label=np.array("control"))
    data = load_uci_eeg(tmp_path)
    assert data.X.shape == (2 * 4 * 3, 128, 2)
    assert data.channel_names == ("FP1", "CZ")
    raw = np.load(tmp_path / "s1.npz")["nanovolts"]
    np.testing.assert_allclose(data.X[4], raw[1, [0, 2], 64:192].T / 1000, rtol=1e-6)
    assert data.trial[4] == "s1/2"
    assert data.columns["condition"][4] == "S2 match"
    assert data.label.tolist() == [1] * 12 + [0] * 12
    assert load_uci_eeg(tmp_path, channels="all").n_channels == 5
    assert len(load_uci_eeg(tmp_path, conditions=["S1 obj"])) == 2 * 2 * 3
    scaled = load_uci_eeg(tmp_path, window=256, overlap=0, standardize="trial").X
    np.testing.assert_allclose(np.std(scaled, axis=1), 1, atol=1e-4)
    with pytest.raises(InputError, match="channels"):
        load_uci_eeg(tmp_path, channels="brain")


def test_average_reference_is_over_the_channels_in_use(tmp_path: Path) -> None:
    write_subject(tmp_path / "s1.npz")
    write_subject(tmp_path / "s2.npz", 1, label=np.array("control"))
    plain, against = load_uci_eeg(tmp_path), load_uci_eeg(tmp_path, reference="average")
    both = (plain.X[..., :1] - plain.X[..., 1:]) / 2
    np.testing.assert_allclose(against.X, np.concatenate([both, -both], axis=2), atol=1e-4)
    assert against.source["reference"] == "average"
    assert "reference" not in plain.source
    with pytest.raises(InputError, match="two channels"):
        load_uci_eeg(tmp_path, channels=["CZ"], reference="average", strict=True)
    with pytest.raises(InputError, match="got mastoids"):
        load_uci_eeg(tmp_path, reference="mastoids")
    signal = brainlike(10 * 256, 3)
    windows, _ = EEGProtocol(5.0, 256, reference="average").cut(signal, 256.0)
    np.testing.assert_allclose(
        windows[0], (signal - signal.mean(1, keepdims=True))[:256], atol=1e-4
    )
    with pytest.raises(InputError, match="got mastoids"):
        EEGProtocol(5.0, 256, reference="mastoids")


def test_uci_bad_files_are_logged(tmp_path: Path) -> None:
    noise = np.random.default_rng(9).normal(size=(4, 5, 256))
    write_subject(tmp_path / "good.npz")
    write_subject(tmp_path / "more.npz")
    write_subject(tmp_path / "nolabel.npz", 1, label=np.array("someone"))
    write_subject(tmp_path / "short.npz", 2, trial=np.array([1, 2]))
    write_subject(tmp_path / "lacks.npz", 3, channel=None)
    write_subject(tmp_path / "units.npz", 4, nanovolts=np.full((4, 5, 256), 10**9) * noise)
    whole = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "pickled.npz").write_bytes(pickle.dumps({"nanovolts": 1}))
    data = load_uci_eeg(tmp_path)
    assert data.log is not None
    table = data.log.table.set_index("record")["reason"].to_dict()
    assert table == {
        **{"good": "", "more": "duplicate_record", "nolabel": "no_label"},
        **{"short": "length_mismatch", "lacks": "bad_header", "units": "unit_suspect"},
        **{"cut": "corrupt_file", "pickled": "corrupt_file"},
    }
    with pytest.raises(RecordError):
        load_uci_eeg(tmp_path, strict=True)


def test_uci_real_data(shared_data: Path) -> None:
    folder = shared_data / "uci-eeg-alcoholism"
    if not folder.is_dir():
        pytest.skip("the UCI EEG subset is not here")
    data = load_uci_eeg(folder, strict=True)
    assert data.X.shape == (1800, 128, 61)
    assert len(set(data.patient.tolist())) == 20
    assert len(set(data.trial.tolist())) == 600
    assert np.bincount(data.label).tolist() == [900, 900]
    assert 2 < float(np.median(np.std(data.X[::20], axis=1))) < 50
