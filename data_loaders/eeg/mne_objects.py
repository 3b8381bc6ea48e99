"""From MNE objects: ``mne.Epochs`` with metadata, and continuous ``mne.io.Raw``.

What was marked bad in MNE is left out unless asked for: channels in ``info["bads"]``, and samples
that touch an annotation whose description begins with ``BAD``, as MNE's ``reject_by_annotation``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.fields import as_list
from data_loaders.container.windows import cut_windows
from data_loaders.eeg.protocol import EEGProtocol
from data_loaders.signals import EEG, Recording, check_quality
from tscl.errors import InputError, check_choice, nearest

logger = logging.getLogger(__name__)

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
    exclude_bads: bool = True,
    reject_by_annotation: bool = True,
    name: str = "epochs",
) -> MedicalDataset:
    """A container of MNE epochs, in microvolt.

    Args:
        epochs: ``mne.Epochs``; time comes second here, (n, T, C), and channels second there.
            Those not loaded yet are loaded, and their bad epochs dropped, in a copy.
        patient: a column of ``epochs.metadata``, or one id an epoch. A text that is no column is
            an error; for epochs of a single patient give a list.
        label: a column of the metadata, or one value an epoch; None leaves labels unknown.
        trial: likewise; by default every epoch is a trial of its own.
        label_names: the classes in the order of their codes.
        channels: names to take (default: those of type EEG).
        exclude_bads: leave channels in ``info["bads"]`` out; naming one in ``channels`` is an
            error then. False takes them.
        reject_by_annotation: leave samples out that touch an annotation beginning with ``BAD``.
            With ``window`` that is single windows, else whole epochs.
        window: cut each epoch into samples of this many steps (default: one sample an epoch).
        overlap: share of a window that the next one repeats, in [0, 1).
        name: what the data are called.

    Raises:
        InputError: no ``mne.Epochs``, an unknown column, ids of another length, no EEG channel,
            a bad channel named, a window that does not fit, values that are not finite, or
            nothing left.
    """
    import mne

    if not isinstance(epochs, mne.BaseEpochs):
        remedy = "pass mne.Epochs; from_raw takes a continuous recording"
        raise InputError("epochs", type(epochs).__name__, remedy)
    if not epochs.preload:
        with mne.use_log_level("error"):
            epochs = epochs.copy().load_data()
    count = len(epochs)
    if not count:
        raise InputError("epochs", "0 epochs", "every epoch was dropped; see epochs.drop_log")
    picked = _pick(epochs, channels, exclude_bads)
    X = epochs.get_data(picks=picked).transpose(0, 2, 1) * 1e6
    bad = _bad_steps_of_epochs(epochs)[:, :, None]
    owner = np.arange(count)
    if window is not None:
        X, bad = (
            cut_windows(X.astype(np.float32), window, overlap),
            cut_windows(bad, window, overlap),
        )
        owner = np.repeat(owner, len(X) // count)
    if reject_by_annotation:
        kept = _kept("epochs", name, np.asarray(bad.any(axis=(1, 2))))
        X, owner = X[kept], owner[kept]

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
    exclude_bads: bool = True,
    reject_by_annotation: bool = True,
    name: str = "raw",
) -> MedicalDataset:
    """A container of one continuous MNE recording, cut as a protocol says.

    Args:
        raw: ``mne.io.Raw`` in volt, as MNE holds it.
        patient: the patient's id.
        label: class code or name; None leaves it unknown.
        protocol: channels, rate, filters, trials and samples.
        label_names: the classes in the order of their codes.
        exclude_bads: leave channels in ``info["bads"]`` out; naming one in the protocol is an
            error then. False takes them.
        reject_by_annotation: leave samples out that touch an annotation beginning with ``BAD``;
            with ``standardize="trial"`` the whole trial, whose mean and variance it changes.
            Trials keep their numbers, and filters see the whole recording.
        name: what the data are called.

    Raises:
        RecordError: the reasons of :func:`data_loaders.signals.check_quality`.
        InputError: no ``mne.io.Raw``, an unknown channel, a bad channel named, a recording shorter
            than a trial, or nothing left.
    """
    import mne

    if not isinstance(raw, mne.io.BaseRaw):
        remedy = "pass mne.io.Raw (mne.io.RawArray for an array); from_epochs takes mne.Epochs"
        raise InputError("raw", type(raw).__name__, remedy)
    if not isinstance(protocol, EEGProtocol):
        raise InputError("protocol", type(protocol).__name__, "pass an EEGProtocol")
    picked = _pick(raw, protocol.channels, exclude_bads)
    signal = (raw.get_data(picks=picked).T * 1e6).astype(np.float32)
    recording = Recording(name, signal, float(raw.info["sfreq"]), tuple(picked), EEG)
    recording = check_quality(
        recording, max_gap_seconds=protocol.max_gap_seconds, max_flat=protocol.max_flat
    )
    recording = protocol.prepared(recording)
    samples, trial = protocol.cut(recording.signal, recording.rate)
    if not len(samples):
        seconds = len(recording.signal) / recording.rate
        raise InputError("raw", f"{seconds:g} s", f"a trial takes {protocol.trial_seconds:g} s")
    if reject_by_annotation:
        steps = _bad_steps(len(recording.signal), recording.rate, _bad_spans(raw))
        kept = _kept("raw", name, _touched(steps, protocol, recording.rate, trial))
        samples, trial = samples[kept], trial[kept]
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


def _pick(holder: Any, channels: Sequence[str] | None, exclude_bads: bool) -> list[str]:
    names = [str(name) for name in holder.ch_names]
    bads = [str(name) for name in holder.info["bads"]] if exclude_bads else []
    if channels is None:
        kinds = holder.get_channel_types()
        eeg = [name for name, kind in zip(names, kinds, strict=True) if kind == "eeg"]
        picked = [name for name in eeg if name not in bads]
        if eeg and not picked:
            raise InputError("channels", f"all bad: {eeg}", "pass exclude_bads=False to take them")
        if not picked:
            raise InputError("channels", "no channel of type EEG", "name the channels to take")
        if len(picked) < len(eeg):
            left_out = ", ".join(name for name in eeg if name in bads)
            logger.warning("channels marked bad, left out: %s", left_out)
        return picked
    wanted = as_list("channels", channels)
    for name in wanted:
        check_choice("channels", name, names)
        if name in bads:
            raise InputError(
                "channels", name, "it is marked bad; pass exclude_bads=False to take it"
            )
    return wanted


def _kept(field: str, name: str, touched: np.ndarray) -> np.ndarray:
    """The samples that touch no bad annotation, with a line in the log on the others."""
    if touched.all():
        value = f"all {len(touched)} samples touch an annotation BAD"
        raise InputError(field, value, "pass reject_by_annotation=False to take them")
    if touched.any():
        count = int(touched.sum())
        logger.warning("%s: %d of %d samples touch BAD, left out", name, count, len(touched))
    return ~touched


def _is_bad(description: object) -> bool:
    return str(description).upper().startswith("BAD")


def _bad_steps(count: int, rate: float, spans: Iterable[tuple[float, float]]) -> np.ndarray:
    """(count,) steps within spans of (start, length) in seconds; one of no length marks one."""
    bad = np.zeros(count, bool)
    for start, length in spans:
        first = int(np.floor(start * rate + 1e-6))
        stop = max(int(np.ceil((start + length) * rate - 1e-6)), first + 1)
        bad[max(first, 0) : max(stop, 0)] = True
    return bad


def _bad_spans(raw: Any) -> list[tuple[float, float]]:
    """Start from the first step on and length of a recording's bad annotations, in seconds."""
    notes = raw.annotations
    ahead = raw.first_samp / raw.info["sfreq"]  # MNE counts from the start of acquisition
    listed = zip(notes.onset, notes.duration, notes.description, strict=True)
    return [(float(at) - ahead, float(long)) for at, long, what in listed if _is_bad(what)]


def _bad_steps_of_epochs(epochs: Any) -> np.ndarray:
    """(n, T) steps of each epoch within bad annotations."""
    count, rate, begin = len(epochs.times), float(epochs.info["sfreq"]), float(epochs.times[0])
    return np.stack(
        [
            _bad_steps(
                count, rate, [(at - begin, long) for at, long, what in notes if _is_bad(what)]
            )
            for notes in epochs.get_annotations_per_epoch()
        ]
    )


def _touched(bad: np.ndarray, protocol: EEGProtocol, rate: float, trial: np.ndarray) -> np.ndarray:
    """Which samples of a protocol hold a bad step."""
    length = round(protocol.trial_seconds * rate)
    trials = bad[: len(bad) // length * length].reshape(-1, length, 1)
    touched = cut_windows(trials, protocol.steps(rate), protocol.overlap).any(axis=(1, 2))
    if protocol.standardize == "trial":
        touched = np.isin(trial, trial[touched])
    return np.asarray(touched)


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
