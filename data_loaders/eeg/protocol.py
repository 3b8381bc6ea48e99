"""Many EEG recordings into one container: trials of given seconds, overlapping samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from data_loaders.container.collect import SampleCollector, each_record
from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.fields import as_list
from data_loaders.container.windows import cut_windows
from data_loaders.eeg.recording import read_eeg
from data_loaders.filters import as_stops, referenced
from data_loaders.record_log import RecordError, RecordLog, RecordOutcome
from data_loaders.vetting.paths import inside
from tscl.errors import InputError, nearest


@dataclass(frozen=True)
class EEGFile:
    """One recording of a list.

    Attributes:
        path: the file.
        patient: the patient's id; several recordings may share it.
        label: class name; empty when it is not known (kept, code -1), None when the patient
            belongs to none of the task's classes.
        record: what the log calls it (default: patient and file name).
    """

    path: Path
    patient: str
    label: str | None
    record: str = ""

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self.record or f"{self.patient}/{self.path.name}"


@dataclass(frozen=True)
class EEGProtocol:
    """How recordings become samples.

    A trial of ``trial_seconds`` is cut into samples of ``sample_steps`` steps, the next one
    starting ``sample_steps * (1 - overlap)`` steps later: ``1 + (trial - sample) // step`` a
    trial. What remains of a recording after its last whole trial is dropped.

    Attributes:
        trial_seconds: length of a trial.
        sample_steps: steps of a sample at ``rate``; 0 takes ``sample_seconds``.
        overlap: share of a sample that the next one repeats, in [0, 1).
        rate: Hz after resampling; None keeps the recordings' rate, which must be one.
        channels: names in order; None takes those of the first recording.
        band: pass band in Hz, see :func:`data_loaders.eeg.recording.filter_recording`.
        notch: frequencies to take out in Hz.
        reference: ``"average"`` takes the mean of the channels in use off each time step.
        standardize: ``"trial"`` for zero mean and unit variance of each channel in each trial,
            ``"none"`` to keep microvolt.
        max_gap_seconds: see :func:`data_loaders.eeg.recording.check_quality`.
        max_flat: see :func:`data_loaders.eeg.recording.check_quality`.
        sample_seconds: length of a sample, in place of ``sample_steps``.
    """

    trial_seconds: float
    sample_steps: int = 0
    overlap: float = 0.5
    rate: float | None = None
    channels: tuple[str, ...] | None = None
    band: tuple[float | None, float | None] | None = None
    notch: float | tuple[float, ...] | None = None
    reference: str = "none"
    standardize: str = "none"
    max_gap_seconds: float = 0.1
    max_flat: float = 0.5
    sample_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.channels is not None:
            as_list("channels", self.channels)
        if not self.trial_seconds > 0:
            raise InputError("trial_seconds", self.trial_seconds, "give a positive number")
        if self.sample_seconds is None:
            if self.sample_steps < 1:
                raise InputError("sample_steps", self.sample_steps, "give a positive number")
        elif self.sample_steps:
            raise InputError("sample_seconds", self.sample_seconds, "give it or sample_steps")
        elif not 0 < self.sample_seconds <= self.trial_seconds:
            raise InputError("sample_seconds", self.sample_seconds, "give up to trial_seconds")
        if not 0 <= self.overlap < 1:
            raise InputError("overlap", self.overlap, "choose from 0 up to, not including, 1")
        if self.reference not in ("none", "average"):
            raise InputError("reference", self.reference, "choose 'none' or 'average'")
        if self.standardize not in ("none", "trial"):
            raise InputError("standardize", self.standardize, "choose 'none' or 'trial'")

    def changed(self, changes: Mapping[str, Any]) -> EEGProtocol:
        """A copy with other fields; a sample's length in one unit takes the place of the other.

        Raises:
            InputError: an unknown field, or a value that cannot be.
        """
        known = [one.name for one in fields(self)]
        for key in changes:
            if key not in known:
                raise InputError(key, changes[key], nearest(key, known))
        made = dict(changes)
        if made.get("sample_seconds") is not None:
            made.setdefault("sample_steps", 0)
        elif made.get("sample_steps"):
            made["sample_seconds"] = None
        return replace(self, **made)

    def steps(self, rate: float) -> int:
        """Steps of a sample at ``rate`` Hz."""
        return self.sample_steps or round((self.sample_seconds or 0.0) * rate)

    def cut(self, signal: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
        """Samples of one recording and the trial number of each.

        Args:
            signal: (T, C).
            rate: Hz.

        Returns:
            (n, sample_steps, C) float32 and (n,) int64; both empty when T is less than a trial.

        Raises:
            InputError: a sample longer than a trial at this rate.
        """
        length, steps = round(self.trial_seconds * rate), self.steps(rate)
        if not 1 <= steps <= length:
            raise InputError("sample_steps", steps, f"a trial has {length} steps at {rate:g} Hz")
        count = len(signal) // length
        if not count:
            empty = np.empty((0, steps, signal.shape[1]), np.float32)
            return empty, np.empty(0, np.int64)
        trials = signal[: count * length].reshape(count, length, -1).astype(np.float32)
        trials = referenced(trials, self.reference)
        if self.standardize == "trial":
            wide = trials.astype(np.float64)
            wide -= wide.mean(axis=1, keepdims=True)
            std = wide.std(axis=1, keepdims=True)
            trials = (wide / np.where(std > 0, std, 1.0)).astype(np.float32)
        samples = cut_windows(trials, steps, self.overlap)
        return samples, np.repeat(np.arange(count), len(samples) // count)

    def as_source(self) -> dict[str, Any]:
        """The settings as plain data for a container's ``source``."""
        return {
            "trial_seconds": self.trial_seconds,
            **(
                {"sample_steps": self.sample_steps}
                if self.sample_seconds is None
                else {"sample_seconds": self.sample_seconds}
            ),
            **{"overlap": self.overlap, "rate": self.rate, "standardize": self.standardize},
            "band": None if self.band is None else list(self.band),
            "notch": as_stops(self.notch) or None,
            **({} if self.reference == "none" else {"reference": self.reference}),
        }


def load_eeg_files(
    files: Iterable[EEGFile],
    protocol: EEGProtocol,
    *,
    label_names: Sequence[str],
    root: Path | None = None,
    name: str = "EEG",
    max_trials: int | None = None,
    cache: str | Path | None = None,
    strict: bool = False,
) -> MedicalDataset:
    """Read recordings and cut them as a protocol says.

    Args:
        files: the recordings, of patients in any order.
        protocol: how they become samples.
        label_names: the task's classes; a file of another label is left out with a line in the
            log, strict or not.
        root: folder the files' paths are relative to and may not leave.
        name: what the data are called.
        max_trials: keep at most this many trials of a recording, from its start.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out.

    Returns:
        Samples (n, sample_steps, C) in microvolt (or standardised), with ``.log`` and the column
        ``record``. Trial ids are ``record#number``.

    Raises:
        DataError: no record could be used.
        RecordError: with ``strict``, the first bad record.
        InputError: settings of the protocol that cannot be.
    """
    listed = list(files)
    by_name = {one.name: one for one in reversed(listed)}  # the first of a name listed twice
    classes = tuple(label_names)
    log = RecordLog(name)
    samples = SampleCollector(log, cache)
    used = protocol

    def read(record: str, line: RecordOutcome) -> None:
        nonlocal used
        file = by_name[record]
        if not file.patient:
            raise RecordError(record, "bad_metadata", "no patient id")
        if file.label != "" and file.label not in classes:
            line.status, line.reason, line.detail = "skipped", "no_label", "none of the classes"
            return
        recording = read_eeg(
            file.path if root is None else inside(root, file.path.as_posix(), record),
            name=record,
            channels=used.channels,
            target_rate=protocol.rate,
            band=protocol.band,
            notch=protocol.notch,
            max_gap_seconds=protocol.max_gap_seconds,
            max_flat=protocol.max_flat,
        )
        if used.rate is not None and recording.rate != used.rate:
            detail = f"{recording.rate:g} Hz, the first record read has {used.rate:g} Hz"
            raise RecordError(record, "mixed_rate", detail)
        samples.refuse_copies(recording)
        windows, trial = protocol.cut(recording.signal, recording.rate)
        if max_trials is not None:
            windows, trial = windows[trial < max_trials], trial[trial < max_trials]
        if not len(windows):
            seconds = len(recording.signal) / recording.rate
            detail = f"{seconds:g} s are less than a trial of {protocol.trial_seconds:g} s"
            raise RecordError(record, "too_short", detail)
        samples.add(
            windows,
            label=classes.index(file.label) if file.label else -1,
            patient=file.patient,
            trial=[f"{record}#{number}" for number in trial.tolist()],
            sampling_rate=recording.rate,
            record=record,
        )
        used = replace(used, channels=recording.channels, rate=recording.rate)
        count = int(trial[-1]) + 1
        line.detail = "; ".join([f"{count} trials, {len(windows)} samples", *recording.notes])

    each_record([one.name for one in listed], log, read, strict)
    return samples.dataset(
        label_names=classes,
        channel_names=used.channels,
        name=name,
        source={**protocol.as_source(), "rate": used.rate, "unit": _unit(protocol)},
    )


def _unit(protocol: EEGProtocol) -> str:
    return "uV" if protocol.standardize == "none" else "standard deviations of a trial"
