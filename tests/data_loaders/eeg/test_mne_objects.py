"""Channels and stretches of time marked bad in MNE objects are left out unless asked for."""

from __future__ import annotations

import datetime as dt
import logging

import mne
import numpy as np
import pandas as pd
import pytest

from data_loaders import EEGProtocol, from_epochs, from_raw
from tests.data_loaders.eeg_writers import brainlike
from tscl.errors import InputError

RATE = 100.0
ALL = {"exclude_bads": False, "reject_by_annotation": False}


def make_raw(notes=(), bads=(), date=None, first_samp=0) -> mne.io.RawArray:
    rng = np.random.default_rng(0)
    info = mne.create_info(["Cz", "Pz", "Oz", "EOG"], RATE, ["eeg"] * 3 + ["eog"])
    raw = mne.io.RawArray(1e-5 * rng.normal(size=(4, 2000)), info, first_samp, verbose="error")
    raw.info["bads"] = list(bads)
    raw.set_meas_date(date)
    if notes:
        onset, duration, description = zip(*notes, strict=True)
        raw.set_annotations(mne.Annotations(onset, duration, description))
    return raw


PROTOCOL = EEGProtocol(trial_seconds=5.0, sample_seconds=1.0, overlap=0.0)


def test_bad_channels_are_left_out(caplog):
    raw = make_raw(bads=["Pz"])
    epochs = mne.make_fixed_length_epochs(raw, 1.0, preload=True, verbose="error")
    with caplog.at_level(logging.WARNING, logger="data_loaders"):
        assert from_raw(raw, patient=1, protocol=PROTOCOL).channel_names == ("Cz", "Oz")
        assert from_epochs(epochs, patient=[1] * 20).channel_names == ("Cz", "Oz")
    assert [one.message for one in caplog.records] == ["channels marked bad, left out: Pz"] * 2
    kept = from_raw(raw, patient=1, protocol=PROTOCOL, exclude_bads=False)
    assert kept.channel_names == ("Cz", "Pz", "Oz")
    kept = from_epochs(epochs, patient=[1] * 20, exclude_bads=False)
    assert kept.channel_names == ("Cz", "Pz", "Oz")


def test_naming_a_bad_channel_is_an_error():
    raw = make_raw(bads=["Pz"])
    epochs = mne.make_fixed_length_epochs(raw, 1.0, preload=True, verbose="error")
    named = PROTOCOL.changed({"channels": ("Pz", "Cz")})
    for call in (
        lambda **more: from_raw(raw, patient=1, protocol=named, **more),
        lambda **more: from_epochs(epochs, patient=[1] * 20, channels=["Pz", "Cz"], **more),
    ):
        with pytest.raises(InputError, match="channels: got Pz; it is marked bad"):
            call()
        assert call(exclude_bads=False).channel_names == ("Pz", "Cz")
    with pytest.raises(InputError, match="all bad"):
        from_raw(make_raw(bads=["Pz", "Cz", "Oz"]), patient=1, protocol=PROTOCOL)


@pytest.mark.parametrize("date", [None, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)])
@pytest.mark.parametrize("first_samp", [0, 730])
def test_samples_that_touch_a_bad_annotation_are_left_out(caplog, date, first_samp):
    notes = [(2.5, 1.0, "BAD_blink"), (7.0, 1.0, "bad move"), (11.5, 0.0, "BAD boundary")]
    notes += [(15.0, 2.0, "eyes closed")]
    raw = make_raw(notes, date=date, first_samp=first_samp)
    clean = from_raw(make_raw(), patient=1, protocol=PROTOCOL)
    with caplog.at_level(logging.WARNING, logger="data_loaders"):
        data = from_raw(raw, patient=1, protocol=PROTOCOL, name="mine")
    kept = [i for i in range(20) if i not in (2, 3, 7, 11)]
    np.testing.assert_array_equal(data.X, clean.X[kept])
    assert data.trial.tolist() == clean.trial[kept].tolist()
    assert caplog.messages == ["mine: 4 of 20 samples touch BAD, left out"]
    whole = from_raw(raw, patient=1, protocol=PROTOCOL, reject_by_annotation=False)
    np.testing.assert_array_equal(whole.X, clean.X)


@pytest.mark.parametrize("seed", range(5))
def test_samples_left_out_are_those_in_which_mne_sees_a_bad_step(seed):
    rng = np.random.default_rng(seed)
    notes = [(at, rng.uniform(0.02, 2), "BAD") for at in rng.uniform(0, 17, 3)]
    raw = make_raw(notes)
    protocol = EEGProtocol(trial_seconds=4.0, sample_seconds=0.5, overlap=0.5)
    seen = np.isnan(raw.get_data(picks=["Cz"], reject_by_annotation="NaN", verbose="error")[0])
    starts = [t * 400 + s for t in range(5) for s in range(0, 400 - 49, 25)]
    touched = np.array([seen[at : at + 50].any() for at in starts])
    whole = from_raw(raw, patient=1, protocol=protocol, reject_by_annotation=False)
    data = from_raw(raw, patient=1, protocol=protocol)
    # MNE rounds to the nearest step; a step that is bad in part is bad here.
    assert len(data) <= len(whole) - touched.sum()
    grown = np.convolve(seen, np.ones(3), "same") > 0
    assert len(data) >= len(whole) - sum(grown[at : at + 50].any() for at in starts)


def test_standardized_trials_and_other_rates():
    raw = make_raw([(7.0, 1.0, "BAD_")])
    trials = from_raw(raw, patient=1, protocol=PROTOCOL.changed({"standardize": "trial"}))
    assert sorted(set(trials.trial.tolist())) == ["1/0", "1/2", "1/3"]
    half = from_raw(raw, patient=1, protocol=PROTOCOL.changed({"rate": 50.0}))
    assert half.X.shape == (19, 50, 3)
    with pytest.raises(InputError, match="raw: got all 20 samples touch"):
        from_raw(make_raw([(0.0, 20.0, "BAD")]), patient=1, protocol=PROTOCOL)


@pytest.mark.parametrize("preload", [True, False])
@pytest.mark.parametrize("first_samp", [0, 730])
def test_epochs_and_their_windows(preload, first_samp):
    raw = make_raw([(2.5, 0.4, "BAD_blink"), (7.0, 1.0, "bad move")], first_samp=first_samp)
    events = np.array([[first_samp + 200 * i + 50, 0, 1] for i in range(10)])
    settings = {"tmin": -0.5, "tmax": 1.49, "baseline": None, "verbose": "error"}
    epochs = mne.Epochs(raw, events, **settings, preload=preload, reject_by_annotation=False)
    whole = from_epochs(epochs, patient=range(10), reject_by_annotation=False, window=50, overlap=0)
    assert whole.X.shape == (40, 50, 3)
    data = from_epochs(epochs, patient=range(10))
    assert data.patient.tolist() == [0, 2, 4, 5, 6, 7, 8, 9]
    cut = from_epochs(epochs, patient=range(10), window=50, overlap=0.0)
    kept = [i for i in range(40) if i not in (5, 14, 15)]
    np.testing.assert_array_equal(cut.X, whole.X[kept])
    assert cut.patient.tolist() == whole.patient[kept].tolist()
    dropped = mne.Epochs(raw, events, **settings, preload=preload)
    assert len(from_epochs(dropped, patient=range(8), **ALL)) == 8
    assert dropped.preload is preload


def test_other_objects_are_named():
    raw = make_raw()
    epochs = mne.make_fixed_length_epochs(raw, 1.0, preload=True, verbose="error")
    for other in (np.zeros((2, 100)), epochs, None):
        with pytest.raises(
            InputError, match=rf"raw: got {type(other).__name__}; pass mne\.io\.Raw"
        ):
            from_raw(other, patient=1, protocol=PROTOCOL)
    for other in (raw, epochs.average(), np.zeros((2, 3, 4))):
        with pytest.raises(InputError, match=rf"epochs: got {type(other).__name__}; pass mne"):
            from_epochs(other, patient=[1])
    with pytest.raises(InputError, match="channels: got 'Cz'; give a list of names"):
        from_epochs(epochs, patient=[1] * 20, channels="Cz")
    with pytest.raises(InputError, match="channels: got 'Cz'; give a list of names"):
        EEGProtocol(trial_seconds=5.0, sample_seconds=1.0, channels="Cz")
    with pytest.raises(InputError, match="protocol: got NoneType"):
        from_raw(raw, patient=1, protocol=None)


def test_files_of_a_folder_keep_bad_channels_and_note_them(tmp_path):
    from data_loaders.eeg.recording import read_eeg

    raw = make_raw([(2.0, 1.0, "BAD_")], bads=["Pz", "EOG"])
    raw.save(tmp_path / "one_raw.fif", verbose="error")
    read = read_eeg(tmp_path / "one_raw.fif")
    assert (read.channels, len(read.signal)) == (("Cz", "Pz", "Oz"), 2000)
    assert read.notes == ("marked bad in the file, kept: Pz",)


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
