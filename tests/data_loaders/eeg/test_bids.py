"""Folders written by mne-bids in EDF, BrainVision and SET, and broken ones."""

from __future__ import annotations

import sys

import mne
import numpy as np
import pandas as pd
import pytest

from data_loaders import load_bids
from tests.data_loaders.eeg_writers import brainlike, write_brainvision, write_edf, write_set
from tscl.errors import DataError, InputError, MissingExtraError

mne_bids = pytest.importorskip("mne_bids")
NAMES = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"]
RATE = 128.0
WRITERS = {
    "edf": (write_edf, mne.io.read_raw_edf),
    "vhdr": (write_brainvision, mne.io.read_raw_brainvision),
    "set": (write_edf, mne.io.read_raw_edf),  # mne-bids writes no SET that holds its data
}


def signal(seed, steps=int(8 * RATE)):
    return brainlike(steps, len(NAMES), seed, RATE)


def write(root, work, ending, subjects=("01", "02", "03"), runs=("1", "2"), events=()):
    """Recordings of 8 s, of every subject in one session and two runs, as mne-bids writes them."""
    put, read = WRITERS[ending]
    for number, subject in enumerate(subjects):
        for run in runs:
            plain = work / f"{subject}-{run}.{'edf' if ending == 'set' else ending}"
            work.mkdir(exist_ok=True)
            put(plain, signal(10 * number + int(run)), NAMES, RATE)
            raw = read(plain, verbose="error")
            if events:
                onset, what = zip(*events, strict=True)
                raw.set_annotations(mne.Annotations(onset, 0.1, what))
            path = mne_bids.BIDSPath(
                subject=subject, session="a", task="rest", run=run, datatype="eeg", root=root
            )
            written = mne_bids.write_raw_bids(raw, path, overwrite=True, verbose="error").fpath
            if ending == "set":
                written.unlink()
                write_set(written.with_suffix(".set"), signal(10 * number + int(run)), NAMES, RATE)
    table = pd.read_csv(root / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
    table["group"] = ["ill", "well", "n/a"][: len(subjects)]
    table["age"] = ["61", "40", "33"][: len(subjects)]
    table.to_csv(root / "participants.tsv", sep="\t", index=False)
    return root


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}

    def folder(ending, **how):
        key = (ending, *how.items())
        if key not in made:
            home = tmp_path_factory.mktemp(ending)
            made[key] = write(home / "bids", home / "plain", ending, **how)
        return made[key]

    return folder


def copied(folder, tmp_path):
    import shutil

    return shutil.copytree(folder, tmp_path / "bids")


def edit(path, **columns):
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    for name, values in columns.items():
        table[name] = values
    table.to_csv(path, sep="\t", index=False)


def sidecars(root, subject, suffix):
    return sorted(root.rglob(f"sub-{subject}*_{suffix}.tsv"))


@pytest.mark.parametrize("ending", ["edf", "vhdr", "set"])
def test_sessions_and_runs_are_records_of_a_patient(folders, ending):
    data = load_bids(folders(ending), task="rest", trial_seconds=4.0, sample_seconds=4.0)
    assert data.label_names == ("ill", "well")
    assert data.channel_names == tuple(NAMES)
    assert len(data) == 3 * 2 * 2
    assert sorted(set(data.patient)) == ["sub-01", "sub-02", "sub-03"]
    by_patient = dict(zip(data.patient, data.label, strict=True))
    assert by_patient == {"sub-01": 0, "sub-02": 1, "sub-03": -1}
    assert set(data.columns["session"]) == {"a"}
    ages = dict(zip(data.patient, data.columns["age"], strict=True))
    assert ages == {"sub-01": 61, "sub-02": 40, "sub-03": 33}
    first = data.X[(data.patient == "sub-01") & (data.columns["run"] == "1").to_numpy()]
    np.testing.assert_allclose(first.reshape(-1, 6), signal(1), atol=0.1)
    assert data.with_label("age").label_kind == "target"


def test_channels_that_are_no_eeg_by_their_table_stay_out_and_bad_ones_are_said(folders, tmp_path):
    root = copied(folders("edf"), tmp_path)
    for path in root.rglob("*_channels.tsv"):
        edit(path, type=["EOG", *["EEG"] * 5])
    for path in sidecars(root, "02", "channels"):
        edit(path, status=["good"] * 4 + ["bad", "good"])
    data = load_bids(root)
    assert data.channel_names == tuple(NAMES[1:])
    notes = "\n".join(line.detail for line in data.log.lines)
    assert notes.count("marked bad in channels.tsv, kept: O1") == 2
    left = load_bids(root, bads="leave_out")
    assert set(left.patient) == {"sub-01", "sub-03"}
    mended = load_bids(root, bads="interpolate", trial_seconds=8.0, sample_seconds=8.0)
    whole = load_bids(root, trial_seconds=8.0, sample_seconds=8.0)
    second = mended.patient == "sub-02"
    np.testing.assert_array_equal(mended.X[~second], whole.X[~second])
    same = np.isclose(mended.X[second], whole.X[second], atol=1e-3).all(axis=(0, 1))
    assert same.tolist() == [True, True, True, False, True]


EVENTS = [(1.0, "left"), (2.5, "right"), (4.0, "left"), (7.9, "right"), (5.0, "blink")]


def test_events_are_windows_with_a_label_each(folders):
    root = folders("edf", events=tuple(EVENTS))
    how = {"label": "events.tsv:trial_type", "events": ["left", "right"]}
    data = load_bids(root, event_seconds=(-0.25, 0.75), **how)
    assert data.label_names == ("left", "right")
    assert data.n_timesteps == 128
    one = (data.patient == "sub-02") & (data.columns["run"] == "2").to_numpy()
    assert data.label[one].tolist() == [0, 1, 0]  # the one at 7.9 s has no whole window
    assert len(set(data.trial[one])) == 3
    start = int(2.25 * RATE)
    np.testing.assert_allclose(data.X[one][1], signal(12)[start : start + 128], atol=0.1)
    by_group = load_bids(root, events=["left"], event_seconds=(0.0, 1.0))
    assert by_group.label_names == ("ill", "well")
    assert len(by_group) == 3 * 2 * 2


def test_a_subject_without_a_row_and_a_row_without_a_recording_are_said(folders, tmp_path):
    root = copied(folders("edf"), tmp_path)
    table = pd.read_csv(root / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
    table.loc[0, "participant_id"] = "sub-09"
    table.to_csv(root / "participants.tsv", sep="\t", index=False)
    data = load_bids(root)
    assert set(data.patient) == {"sub-02", "sub-03"}
    reasons = sorted(line.reason for line in data.log.lines if line.status != "ok")
    assert reasons == ["bad_metadata", "bad_metadata", "missing_signal"]


def without_participants(root):
    (root / "participants.tsv").unlink()


def without_events(root):
    for path in root.rglob("*_events.tsv"):
        path.unlink()


@pytest.mark.parametrize(
    ("breaking", "how", "error", "text"),
    [
        (without_participants, {}, DataError, "participants"),
        (None, {"label": "participants.tsv:diagnosis"}, DataError, "group"),
        (None, {"label": "group"}, InputError, "participants.tsv:group"),
        (None, {"task": "sleep"}, DataError, "rest"),
        (None, {"session": "b"}, DataError, "known: a"),
        (None, {"bads": "drop"}, InputError, "interpolate"),
        (None, {"trial_second": 2}, InputError, "trial_seconds"),
        (None, {"label": "events.tsv:kind"}, DataError, "no such column"),
        (without_events, {"events": ["left"]}, DataError, "missing_annotation"),
        (None, {"events": ["left"], "event_seconds": (1.0, 0.0)}, InputError, "later end"),
    ],
)
def test_broken_folders_and_arguments_are_named(folders, tmp_path, breaking, how, error, text):
    root = copied(folders("edf"), tmp_path)
    if breaking is not None:
        breaking(root)
    with pytest.raises(error, match=text):
        load_bids(root, **how)


def test_a_cut_file_is_left_out_by_the_own_reader(folders, tmp_path):
    root = copied(folders("edf"), tmp_path)
    path = next(root.rglob("sub-01*run-1*_eeg.edf"))
    path.write_bytes(path.read_bytes()[:-600])
    data = load_bids(root)
    (line,) = [line for line in data.log.lines if line.status != "ok"]
    assert line.reason in ("truncated_dat", "length_mismatch")


def test_without_mne_bids_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mne_bids", None)
    with pytest.raises(MissingExtraError, match=r"tscl\[bids\]"):
        load_bids(tmp_path)
