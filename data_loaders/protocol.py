"""How recordings become samples, for ECG and EEG alike: settings, and the way to a container."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from data_loaders.container.collect import SampleCollector, each_record
from data_loaders.container.dataset import MedicalDataset
from data_loaders.filters import as_stops
from data_loaders.record_log import RecordError, RecordLog, RecordOutcome
from data_loaders.signals import Recording, check_quality
from tscl.errors import InputError, nearest


@dataclass(frozen=True, kw_only=True)
class RecordingProtocol:
    """Settings of both modalities.

    Attributes:
        band: pass band in Hz at the recording's rate, see :func:`data_loaders.filters.filtered`.
        notch: frequencies in Hz to take out, such as 50.
        max_gap_seconds: see :func:`data_loaders.signals.check_quality`.
        max_flat: see :func:`data_loaders.signals.check_quality`.
    """

    band: tuple[float | None, float | None] | None = None
    notch: float | tuple[float, ...] | None = None
    max_gap_seconds: float = 0.1
    max_flat: float = 0.5

    renamed: ClassVar[Mapping[str, str]] = {}
    """Names of fields in earlier versions, which warn."""

    @classmethod
    def keys(cls) -> list[str]:
        """The names that :meth:`changed` takes."""
        return [*(field.name for field in fields(cls)), *cls.renamed]

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """A copy with other fields.

        Raises:
            InputError: an unknown field, or a value that cannot be.
        """
        new: dict[str, Any] = {}
        called: dict[str, str] = {}
        for key, value in changes.items():
            if key not in self.keys():
                raise InputError(key, value, nearest(key, self.keys()))
            name = self.renamed.get(key, key)
            if name in new:
                raise InputError(key, value, f"give it or {called[name]}")
            if name != key:
                warnings.warn(f"{key} is called {name} now", FutureWarning, stacklevel=3)
            new[name], called[name] = value, key
        try:
            return replace(self, **new)
        except InputError as error:
            name = called.get(error.field, error.field)
            raise type(error)(name, error.value, error.remedy) from None

    def as_source(self) -> dict[str, Any]:
        """The filters as plain data for a container's ``source``; nothing when there are none."""
        result: dict[str, Any] = {}
        if self.band is not None:
            result["band"] = list(self.band)
        if as_stops(self.notch):
            result["notch"] = as_stops(self.notch)
        return result

    def prepared(self, recording: Recording) -> Recording:
        """The recording filtered, at the protocol's rate, and as the samples are cut from it."""
        raise NotImplementedError

    def samples(
        self, recording: Recording, at: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Samples of a prepared recording, the trial number of each, and its position in ``at``.

        Raises:
            RecordError: there is not one trial.
        """
        raise NotImplementedError


@dataclass
class Entry:
    """A recording as read, and what is known of it.

    Attributes:
        recording: not filtered yet.
        patient: the patient's id.
        label: class code, or one for every position in ``at``.
        trial: id of the whole recording's trial; by default trials are numbered.
        at: (n,) steps of annotated beats at the recording's rate.
        columns: further values for the container's table.
    """

    recording: Recording
    patient: Any
    label: int | np.ndarray
    trial: Any = None
    at: np.ndarray | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


Reader = Callable[[str, RecordOutcome, "Sequence[str] | None"], Entry | None]
"""Reads a listed record with the channels asked for; None when the log says it is left out."""


def load_records(
    listed: Iterable[str],
    read: Reader,
    protocol: RecordingProtocol,
    *,
    name: str,
    label_names: Sequence[str],
    channels: Sequence[str] | None = None,
    source: Mapping[str, Any] | None = None,
    max_trials: int | None = None,
    cache: str | Path | None = None,
    strict: bool = False,
) -> MedicalDataset:
    """Read records one by one, check, prepare and cut them as a protocol says.

    Args:
        listed: the records.
        read: gives each one's :class:`Entry`.
        protocol: how recordings become samples.
        name: what the data are called.
        label_names: the classes.
        channels: names in order; None takes those of the first record that can be used.
        source: further values for the container's ``source``.
        max_trials: keep at most this many trials of a recording, from its start.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out.

    Raises:
        DataError: no record could be used.
        RecordError: with ``strict``, the first bad record.
    """
    log = RecordLog(name)
    collector = SampleCollector(log, cache)
    rates: list[float] = []

    def add(place: str, line: RecordOutcome) -> None:
        nonlocal channels
        entry = read(place, line, channels)
        if entry is None:
            return
        recording = check_quality(
            entry.recording, max_gap_seconds=protocol.max_gap_seconds, max_flat=protocol.max_flat
        )
        record = recording.name
        collector.refuse_copies(recording)
        recording = protocol.prepared(recording)
        rate, at = recording.rate, entry.at
        if rates and rate != rates[0]:
            detail = f"{rate:g} Hz, the first record read has {rates[0]:g} Hz"
            raise RecordError(record, "mixed_rate", detail)
        if at is not None:
            at = np.round(at * rate / entry.recording.rate).astype(np.int64)
        values, trial, rows = protocol.samples(recording, at)
        if max_trials is not None:
            values, trial = values[trial < max_trials], trial[trial < max_trials]
        rates.append(rate)
        channels = channels or recording.channels
        collector.add(
            values,
            label=entry.label if isinstance(entry.label, int) else entry.label[rows],
            patient=entry.patient,
            trial=[f"{record}#{i}" for i in trial] if entry.trial is None else entry.trial,
            sampling_rate=rate,
            **entry.columns,
        )
        trials = "1 trial" if entry.trial is not None else f"{int(trial[-1]) + 1} trials"
        line.detail = "; ".join([f"{trials}, {len(values)} samples", *recording.notes])

    each_record(listed, log, add, strict)
    return collector.dataset(
        label_names=label_names,
        channel_names=channels,
        name=name,
        source={**protocol.as_source(), "rate": rates[0] if rates else None, **(source or {})},
    )
