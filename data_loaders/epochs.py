"""From MNE objects: ``mne.Epochs`` with metadata, and continuous ``mne.io.Raw``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container import MedicalDataset
from data_loaders.eeg import EEGRecording, check_quality, filter_recording
from data_loaders.eeg_files import EEGProtocol
from data_loaders.windows import cut_windows
from tscl.errors import InputError, nearest

Column = str | int | Sequence[Any] | np.ndarray


def from_epochs(
    epochs: Any,
    *,
    patient: Column,
    label: Column | None = None,
    trial: Column | None = None,
    label_names: Sequence[str] | None = None,
    channels: Sequence[str] | None = None,
    window: int | None = None,
    overlap: float = 0.5,
    name: str = "epochs",
) -> MedicalDataset:
    """A container of MNE epochs, in microvolt.

    Args:
        epochs: ``mne.Epochs``; time comes second here, (n, T, C), and channels second there.
        patient: a column of ``epochs.metadata``, or one id an epoch. A text that is no column is
            an error; for epochs of a single patient give a list.
        label: a column of the metadata, or one value an epoch; None leaves labels unknown.
        trial: likewise; by default every epoch is a trial of its own.
        label_names: the classes in the order of their codes.
        channels: names to take (default: those of type EEG).
        window: cut each epoch into samples of this many steps (default: one sample an epoch).
        overlap: share of a window that the next one repeats, in [0, 1).
        name: what the data are called.

    Raises:
        InputError: an unknown column, ids of another length, no EEG channel, a window that does
            not fit, values that are not finite.
    """
    count = len(epochs)
    if not count:
        raise InputError("epochs", "0 epochs", "every epoch was dropped; see epochs.drop_log")
    picked = _pick(epochs, channels)
    X = epochs.get_data(picks=picked).transpose(0, 2, 1) * 1e6
    owner = np.arange(count)
    if window is not None:
        X = cut_windows(X.astype(np.float32), window, overlap)
        owner = np.repeat(owner, len(X) // count)

    def values(field: str, column: Column) -> np.ndarray:
        return _column(epochs, field, column)[owner]

    patients = values("patient", patient)
    trials = owner if trial is None else values("trial", trial)
    return MedicalDataset(
        X,
        None if label is None else values("label", label),
        patients,
        trials,
        float(epochs.info["sfreq"]),
        label_names=label_names,
        channel_names=picked,
        name=name,
        source={"kind": "mne.Epochs", "unit": "uV", "window": window, "overlap": overlap},
        trial_scope="global" if trial is None else "patient",
    )


def from_raw(
    raw: Any,
    *,
    patient: str | int,
    label: str | int | None = None,
    protocol: EEGProtocol,
    label_names: Sequence[str] | None = None,
    name: str = "raw",
) -> MedicalDataset:
    """A container of one continuous MNE recording, cut as a protocol says.

    Args:
        raw: ``mne.io.Raw`` in volt, as MNE holds it.
        patient: the patient's id.
        label: class code or name; None leaves it unknown.
        protocol: channels, rate, filters, trials and samples.
        label_names: the classes in the order of their codes.
        name: what the data are called.

    Raises:
        RecordError: the reasons of :func:`data_loaders.eeg.check_quality`.
        InputError: an unknown channel, or a recording shorter than a trial.
    """
    picked = _pick(raw, protocol.channels)
    signal = (raw.get_data(picks=picked).T * 1e6).astype(np.float32)
    recording = EEGRecording(name, signal, float(raw.info["sfreq"]), tuple(picked))
    recording = check_quality(
        recording, max_gap_seconds=protocol.max_gap_seconds, max_flat=protocol.max_flat
    )
    recording = filter_recording(
        recording, target_rate=protocol.rate, band=protocol.band, notch=protocol.notch
    )
    samples, trial = protocol.cut(recording.signal, recording.rate)
    if not len(samples):
        seconds = len(recording.signal) / recording.rate
        raise InputError("raw", f"{seconds:g} s", f"a trial takes {protocol.trial_seconds:g} s")
    labels = None if label is None else [label] * len(samples)
    return MedicalDataset(
        samples,
        labels,
        [patient] * len(samples),
        trial,
        recording.rate,
        label_names=label_names,
        channel_names=recording.channels,
        name=name,
        source={"kind": "mne.io.Raw", **protocol.as_source(), "rate": recording.rate},
        trial_scope="patient",
    )


def _pick(holder: Any, channels: Sequence[str] | None) -> list[str]:
    names = [str(one) for one in holder.ch_names]
    if channels is None:
        kinds = holder.get_channel_types()
        picked = [one for one, kind in zip(names, kinds, strict=True) if kind == "eeg"]
        if not picked:
            raise InputError("channels", "no channel of type EEG", "name the channels to take")
        return picked
    for one in channels:
        if one not in names:
            raise InputError("channels", one, nearest(one, names))
    return list(channels)


def _column(epochs: Any, field: str, column: Column) -> np.ndarray:
    """One value an epoch, from the metadata or as given."""
    if isinstance(column, str):
        table = epochs.metadata
        if table is None:
            raise InputError(field, column, "these epochs have no metadata; give one value each")
        if column not in table.columns:
            raise InputError(field, column, nearest(column, [str(c) for c in table.columns]))
        return np.asarray(table[column])
    if isinstance(column, int):
        raise InputError(field, column, "give a column of the metadata or one value an epoch")
    array = np.asarray(column)
    if array.dtype.kind == "U" and not isinstance(column, np.ndarray):
        loose = np.asarray(column, dtype=object)  # else a list's NaN would be the text "nan"
        array = loose if pd.isna(loose).any() else array
    if array.shape != (len(epochs),):
        raise InputError(field, f"shape {array.shape}", f"give {len(epochs)} values, one an epoch")
    return array
