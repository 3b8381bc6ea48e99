from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_loaders.eeg.ad import CHANNELS as AD_CHANNELS
from data_loaders.eeg.ad import load_ad
from data_loaders.eeg.mne_objects import from_epochs, from_raw
from data_loaders.eeg.protocol import EEGProtocol
from data_loaders.eeg.tdbrain import CHANNELS as TD_CHANNELS
from data_loaders.eeg.tdbrain import load_tdbrain
from data_loaders.eeg.uci import load_uci_eeg
from data_loaders.record_log import RecordError
from tests.data_loaders.eeg_writers import brainlike, write_brainvision, write_edf
from tscl.errors import DataError, InputError


@pytest.fixture(scope="module")
def ad_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ad")
    rows = ["participant_id\tgroup", "sub-01\tAD", "sub-02\tHealthy", "sub-03\tFTD", "sub-04\tAD"]
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    for i in (1, 2, 3):
        path = root / f"sub-0{i}" / "eeg" / f"sub-0{i}_task-rest_eeg.edf"
        modern = [{"T3": "T7", "T4": "T8"}.get(one, one) for one in AD_CHANNELS]
        names = [*modern, "Cz"] if i == 2 else [*AD_CHANNELS, "EOG"]
        write_edf(path, brainlike(12 * 256, 17, seed=i), names, 256)
    return root


def test_ad_protocol(ad_root: Path) -> None:
    data = load_ad(ad_root)
    assert data.X.shape == (2 * 2 * 9, 256, 16)
    assert data.channel_names == AD_CHANNELS
    assert data.label_names == ("healthy", "alzheimer")
    assert data.label[data.patient == "sub-01"].tolist() == [1] * 18
    assert data.label[data.patient == "sub-02"].tolist() == [0] * 18
    np.testing.assert_array_equal(data.X[0][128:], data.X[1][:128])
    assert data.log is not None
    assert data.log.reasons() == {"no_label": 1, "missing_signal": 1}
    with pytest.raises(RecordError, match="missing_signal"):
        load_ad(ad_root, strict=True)


def test_ad_settings_can_be_changed(ad_root: Path) -> None:
    data = load_ad(ad_root, overlap=0.0, standardize="trial", rate=128.0, channels=("O1",))
    assert data.X.shape == (2 * 2 * 2, 256, 1)
    assert float(np.std(data.X)) == pytest.approx(1, abs=0.1)


def test_ad_without_table_or_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="participants"):
        load_ad(tmp_path)
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t70\n")
    with pytest.raises(DataError, match="label"):
        load_ad(tmp_path)
    with pytest.raises(DataError, match="root"):
        load_ad(tmp_path / "none")


def test_an_id_cannot_leave_the_folder(ad_root: Path, tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "participants.tsv").write_text(f"participant_id\tgroup\n{ad_root}/sub-01\tAD\n")
    with pytest.raises(DataError, match="missing_signal"):
        load_ad(inside)


@pytest.fixture(scope="module")
def td_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("td")
    table = pd.DataFrame(
        {
            "participants_ID": ["sub-1", "sub-1", "sub-2", "sub-3", "sub-4"],
            "sessID": [1, 2, 1, 1, 1],
            "formal_status": ["PARKINSON", "PARKINSON", "UNKNOWN", "MDD", "HEALTHY"],
            "indication": ["PARKINSON", "PARKINSON", "HEALTHY", "MDD", "HEALTHY"],
        }
    )
    table.to_csv(root / "participants.tsv", sep="\t", index=False)
    for i, session, task in [(1, 1, "EC"), (1, 1, "EO"), (1, 2, "EC"), (2, 1, "EC"), (3, 1, "EC")]:
        stem = f"sub-{i}_ses-{session}_task-rest{task}_eeg"
        path = root / f"sub-{i}" / f"ses-{session}" / "eeg" / f"{stem}.vhdr"
        signal = brainlike(21 * 500, 33, seed=10 * i + session + (task == "EO"), rate=500)
        write_brainvision(path, signal, list(TD_CHANNELS), 500)
    return root


def test_tdbrain_protocol(td_root: Path) -> None:
    data = load_tdbrain(td_root)
    assert data.X.shape == (2 * 2 * 19, 256, 33)
    assert set(data.sampling_rate.tolist()) == {256.0}
    assert data.label_names == ("healthy", "parkinson")
    assert {p: data.label[data.patient == p][0] for p in ("sub-1", "sub-2")} == {
        "sub-1": 1,
        "sub-2": 0,
    }
    assert all("restEC" in record for record in data.columns["record"])
    assert data.log is not None
    assert data.log.reasons() == {"no_label": 1, "missing_signal": 1}


def test_tdbrain_patients_and_sessions(td_root: Path) -> None:
    data = load_tdbrain(td_root, patients=["1", "sub-2"], all_sessions=True, strict=True)
    assert len(set(data.columns["record"])) == 3
    with pytest.raises(DataError, match="77"):
        load_tdbrain(td_root, patients=["77"])


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


def make_epochs(metadata: bool = True) -> object:
    import mne

    signal = brainlike(6 * 256, 3).T.reshape(3, 6, 256).transpose(1, 0, 2)
    info = mne.create_info(["Cz", "Pz", "EOG"], 256, ["eeg", "eeg", "eog"])
    table = pd.DataFrame({"subject": list("aabbcc"), "group": ["x", "x", "y", "y", "x", "x"]})
    table["block"] = [0, 1, 0, 1, 0, 0]
    return mne.EpochsArray(
        signal * 1e-6, info, metadata=table if metadata else None, verbose="error"
    )


def test_from_epochs_with_metadata() -> None:
    epochs = make_epochs()
    data = from_epochs(epochs, patient="subject", label="group", trial="block", window=128)
    assert data.X.shape == (6 * 3, 128, 2)
    assert data.channel_names == ("Cz", "Pz")
    assert data.patient.tolist()[::3] == list("aabbcc")
    assert data.label.tolist()[::3] == [0, 0, 1, 1, 0, 0]
    assert len(set(data.trial.tolist())) == 5
    whole = from_epochs(epochs, patient="subject")
    np.testing.assert_allclose(
        whole.X, epochs.get_data(picks=["Cz", "Pz"]).transpose(0, 2, 1) * 1e6, rtol=1e-5
    )
    assert set(whole.label.tolist()) == {-1}
    arrays = from_epochs(epochs, patient=[1] * 6, label=[0, 1] * 3, channels=["EOG"])
    assert arrays.label.tolist() == [0, 1] * 3


def test_from_epochs_names_what_is_wrong() -> None:
    with pytest.raises(InputError, match="subject"):
        from_epochs(make_epochs(), patient="subjects")
    with pytest.raises(InputError, match="metadata"):
        from_epochs(make_epochs(metadata=False), patient="subject")
    with pytest.raises(InputError, match="one an epoch"):
        from_epochs(make_epochs(), patient=[1, 2])
    with pytest.raises(InputError, match="Fz"):
        from_epochs(make_epochs(), patient="subject", channels=["Fz"])


def test_from_raw() -> None:
    import mne

    signal = brainlike(11 * 256, 2)
    raw = mne.io.RawArray(
        signal.T * 1e-6, mne.create_info(["Cz", "Pz"], 256, "eeg"), verbose="error"
    )
    protocol = EEGProtocol(5.0, 256)
    data = from_raw(raw, patient=7, label="x", protocol=protocol)
    assert data.X.shape == (18, 256, 2)
    assert sorted(set(data.trial.tolist())) == ["7/0", "7/1"]
    np.testing.assert_allclose(data.X[1], signal[128:384], rtol=1e-3, atol=1e-3)
    with pytest.raises(InputError, match="raw"):
        from_raw(raw, patient=7, protocol=EEGProtocol(60.0, 256))
