"""Many EEG recordings into one container: trials of given seconds, overlapping samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.fields import as_list
from data_loaders.container.standardize import standardize_groups
from data_loaders.container.windows import cut_windows
from data_loaders.eeg.recording import filter_recording, read_eeg
from data_loaders.filters import referenced
from data_loaders.protocol import Entry, RecordingProtocol, load_records
from data_loaders.record_log import RecordError, RecordOutcome
from data_loaders.signals import Recording
from data_loaders.vetting.paths import inside
from tscl.errors import InputError, check_choice


@dataclass(frozen=True)
class EEGFile:
    """One recording of a list.

    Attributes:
        path: the file.
        patient: the patient's id; several recordings may share it.
        label: class name; empty when it is not known (kept, code -1), None when the patient
            belongs to none of the task's classes.
        record: what the log calls it (default: patient and file name).
        columns: further values for the container's table, the same keys in every file.
    """

    path: Path
    patient: str
    label: str | None
    record: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self.record or f"{self.patient}/{self.path.name}"


@dataclass(frozen=True)
class EEGProtocol(RecordingProtocol):
    """How recordings become samples; see also :class:`data_loaders.protocol.RecordingProtocol`.

    A trial of ``trial_seconds`` is cut into samples of ``sample_steps`` steps, the next one
    starting ``sample_steps * (1 - overlap)`` steps later: ``1 + (trial - sample) // step`` a
    trial. What remains of a recording is dropped.

    Attributes:
        trial_seconds: length of a trial.
        sample_steps: steps of a sample at ``rate``; 0 takes ``sample_seconds``.
        overlap: share of a sample that the next one repeats, in [0, 1).
        rate: Hz after resampling; None keeps the recordings' rate, which must be one.
        channels: names in order; None takes those of the first recording.
        reference: ``"average"`` takes the mean of the channels in use off each time step.
        standardize: ``"trial"`` for zero mean and unit variance of each channel in each trial,
            before samples are cut, ``"none"`` to keep microvolt.
        sample_seconds: length of a sample, in place of ``sample_steps``.
        trials_from: ``"start"`` lays trials out from a recording's first step, ``"middle"`` to
            both sides of its middle, as COMET's preprocessing of TDBRAIN does.
        resample_how: ``"polyphase"`` filters against aliasing, ``"linear"`` does not
            (:func:`data_loaders.filters.interpolated`).
    """

    trial_seconds: float
    sample_steps: int = 0
    overlap: float = 0.5
    rate: float | None = None
    channels: tuple[str, ...] | None = None
    reference: str = "none"
    standardize: str = "none"
    sample_seconds: float | None = None
    trials_from: str = "start"
    resample_how: str = "polyphase"

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
        choices = {
            "reference": ("none", "average"),
            "standardize": ("none", "trial"),
            "trials_from": ("start", "middle"),
            "resample_how": ("polyphase", "linear"),
        }
        for key, known in choices.items():
            check_choice(key, getattr(self, key), known)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """A copy with other fields; a sample's length in one unit takes the place of the other.

        Raises:
            InputError: an unknown field, or a value that cannot be.
        """
        new = dict(changes)
        if new.get("sample_seconds") is not None:
            new.setdefault("sample_steps", 0)
        elif new.get("sample_steps"):
            new["sample_seconds"] = None
        return super().changed(new)

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
        first = 0
        if self.trials_from == "middle":
            middle = len(signal) // 2
            first = middle % length
            count = middle // length + (len(signal) - middle) // length
        if not count:
            empty = np.empty((0, steps, signal.shape[1]), np.float32)
            return empty, np.empty(0, np.int64)
        trials = signal[first : first + count * length].reshape(count, length, -1)
        trials = referenced(trials.astype(np.float32), self.reference)
        if self.standardize == "trial":
            trials = standardize_groups(trials, None)
        samples = cut_windows(trials, steps, self.overlap)
        return samples, np.repeat(np.arange(count), len(samples) // count)

    def as_source(self) -> dict[str, Any]:
        """The settings as plain data for a container's ``source``."""
        length = "sample_steps" if self.sample_seconds is None else "sample_seconds"
        keys = ["trial_seconds", length, "overlap", "rate", "standardize"]
        keys += [
            key
            for key in ("reference", "trials_from", "resample_how")
            if getattr(self, key) != getattr(type(self), key)
        ]
        unit = "uV" if self.standardize == "none" else "standard deviations of a trial"
        return {**{key: getattr(self, key) for key in keys}, "unit": unit, **super().as_source()}

    def prepared(self, recording: Recording) -> Recording:
        """The recording filtered and at the protocol's rate."""
        return filter_recording(
            recording,
            target_rate=self.rate,
            band=self.band,
            notch=self.notch,
            resample_how=self.resample_how,
        )

    def samples(
        self, recording: Recording, at: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Samples (n, steps, C) and the trial number of each.

        Raises:
            RecordError: ``too_short`` for less than a trial.
        """
        values, trial = self.cut(recording.signal, recording.rate)
        if not len(values):
            seconds = len(recording.signal) / recording.rate
            half = " before and behind the middle" if self.trials_from == "middle" else ""
            detail = f"{seconds:g} s hold no trial of {self.trial_seconds:g} s{half}"
            raise RecordError(recording.name, "too_short", detail)
        return values, trial, None


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
    reader: Callable[..., Recording] = read_eeg,
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
        reader: of a file, with the arguments ``name``, ``channels`` and ``check`` of
            :func:`data_loaders.eeg.recording.read_eeg`.

    Returns:
        Samples (n, sample_steps, C) in microvolt (or standardised), with ``.log`` and the column
        ``record``. Trial ids are ``record#number``.

    Raises:
        DataError: no record could be used.
        RecordError: with ``strict``, the first bad record.
        InputError: settings of the protocol that cannot be.
    """
    listed = list(files)
    by_name = {
        recording.name: recording for recording in reversed(listed)
    }  # the first of a name listed twice
    classes = tuple(label_names)

    def read(record: str, line: RecordOutcome, channels: Sequence[str] | None) -> Entry | None:
        file = by_name[record]
        if not file.patient:
            raise RecordError(record, "bad_metadata", "no patient id")
        if file.label != "" and file.label not in classes:
            line.leave_out("no_label", "none of the classes")
            return None
        path = file.path if root is None else inside(root, file.path.as_posix(), record)
        recording = reader(path, name=record, channels=channels, check=False)
        label = classes.index(file.label) if file.label else -1
        columns = {"record": record, **file.columns}
        return Entry(recording, file.patient, label, columns=columns)

    return load_records(
        [recording.name for recording in listed],
        read,
        protocol,
        name=name,
        label_names=classes,
        channels=protocol.channels,
        max_trials=max_trials,
        cache=cache,
        strict=strict,
    )
