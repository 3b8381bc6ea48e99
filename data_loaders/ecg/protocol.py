"""How ECG recordings become samples: beats, annotated beats or windows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from data_loaders.container.fields import as_list
from data_loaders.container.windows import cut_windows
from data_loaders.ecg.signal import (
    beats_of,
    group_trials,
    lead_polarity,
    resample,
    standardize_record,
)
from data_loaders.filters import filtered
from data_loaders.protocol import RecordingProtocol
from data_loaders.record_log import RecordError
from data_loaders.signals import Recording
from tscl.errors import InputError, check_choice, is_number, is_whole

CUTS = ("beats", "windows", "annotations")


@dataclass(frozen=True)
class ECGProtocol(RecordingProtocol):
    """How ECG records become samples; see also :class:`data_loaders.protocol.RecordingProtocol`.

    Attributes:
        leads: names in order, see :func:`data_loaders.ecg.records.match_leads`; None takes those
            of the first record.
        cut: ``"beats"`` of the median RR length around the R peaks the leads agree on, zero padded
            to ``window_seconds``; ``"windows"`` of that length; ``"annotations"``: from
            ``before_seconds`` before each annotated beat to ``after_seconds`` behind it.
        window_seconds: length of a sample; records of a longer median RR are left out.
        overlap: share of a window that the next one repeats, in [0, 1).
        before_seconds: from the start of a sample to its annotated beat.
        after_seconds: from the annotated beat to the end of the sample.
        samples_per_trial: neighbouring samples that make a trial; None: the record is one.
        keep_remainder: keep a record's last, shorter trial.
        target_rate: Hz after resampling; None keeps the records' rate, which must be one.
        resample_how: see :func:`data_loaders.ecg.signal.resample`.
        standardize: ``"record"`` for zero mean and unit variance of each lead over the record,
            ``"none"`` to keep mV.
        detector: R peak method of neurokit2.
        match: how the leads' peaks are one beat, see :func:`data_loaders.ecg.signal.beats_of`.
    """

    leads: tuple[str, ...] | None = None
    cut: str = "beats"
    window_seconds: float = 1.2
    overlap: float = 0.0
    before_seconds: float = 0.4
    after_seconds: float = 0.6
    samples_per_trial: int | None = 10
    keep_remainder: bool = False
    target_rate: float | None = None
    resample_how: str = "polyphase"
    standardize: str = "none"
    detector: str = "neurokit"
    match: str = "position"

    renamed: ClassVar[Mapping[str, str]] = {
        "beats_per_trial": "samples_per_trial",
        "beat_seconds": "window_seconds",
        "beat_steps": "window_seconds",
    }

    def __post_init__(self) -> None:
        if self.leads is not None and not as_list("leads", self.leads):
            raise InputError("leads", self.leads, "give a list of lead names")
        choices = {
            **{"cut": CUTS, "standardize": ("none", "record")},
            "resample_how": ("polyphase", "linear"),
            "match": ("position", "order"),
        }
        for key, known in choices.items():
            check_choice(key, getattr(self, key), known)
        number = {"window_seconds": self.window_seconds, "after_seconds": self.after_seconds}
        if self.target_rate is not None:
            number["target_rate"] = self.target_rate
        for key, value in number.items():
            if not is_number(value) or not 0 < value < math.inf:
                raise InputError(key, value, "give a positive number")
        if not 0 <= self.before_seconds < math.inf:
            raise InputError("before_seconds", self.before_seconds, "give 0 or a positive number")
        if not 0 <= self.overlap < 1:
            raise InputError("overlap", self.overlap, "choose from 0 up to, not including, 1")
        size = self.samples_per_trial
        if size is not None and not (is_whole(size) and size >= 1):
            raise InputError("samples_per_trial", size, "give a whole number of 1 or more")

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """A copy with other fields; ``beat_steps`` are steps at the target rate.

        Raises:
            InputError: an unknown field, or a value that cannot be.
        """
        changes = dict(changes)
        rate = changes.get("target_rate", self.target_rate)
        if is_number(changes.get("beat_steps")) and is_number(rate) and rate > 0:
            warnings.warn("beat_steps is window_seconds now", FutureWarning, stacklevel=3)
            changes["window_seconds"] = changes.pop("beat_steps") / rate
        return super().changed(changes)

    def as_source(self) -> dict[str, Any]:
        """The settings as plain data for a container's ``source``."""
        used = {
            "beats": ("window_seconds", "detector", "match"),
            "windows": ("window_seconds", "overlap"),
            "annotations": ("before_seconds", "after_seconds"),
        }
        keys = ["cut", *used[self.cut], "samples_per_trial", "target_rate", "standardize"]
        keys += [] if self.target_rate is None else ["resample_how"]
        unit = "mV" if self.standardize == "none" else "standard deviations of a record"
        return {"unit": unit, **{key: getattr(self, key) for key in keys}, **super().as_source()}

    def prepared(self, recording: Recording) -> Recording:
        """The record filtered, resampled and standardised; notes say which leads point down."""
        rate = recording.rate if self.target_rate is None else float(self.target_rate)
        signal = filtered(recording.signal, recording.rate, band=self.band, notch=self.notch)
        signal = resample(signal, recording.rate, rate, self.resample_how)
        if self.standardize == "record":
            signal = standardize_record(signal)
        notes = recording.notes
        if self.cut == "beats":
            polarity = lead_polarity(signal, rate)
            down = [
                channel
                for channel, sign in zip(recording.channels, polarity, strict=True)
                if sign < 0
            ]
            notes += (f"R waves point down in {', '.join(down)}",) if down else ()
        return replace(recording, signal=signal, rate=rate, notes=notes)

    def samples(
        self, recording: Recording, at: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Samples (n, steps, C), the trial number of each, and its position in ``at``.

        Raises:
            RecordError: the reasons of :func:`data_loaders.ecg.signal.beats_of`; ``too_short`` or
                ``no_beats`` for less than a trial.
        """
        signal, rate, rows = recording.signal, recording.rate, None
        steps = round(self.window_seconds * rate)
        if self.cut == "annotations" and at is not None:
            before, after = round(self.before_seconds * rate), round(self.after_seconds * rate)
            rows = np.flatnonzero((at >= before) & (at + after <= len(signal)))
            values = signal[at[rows][:, None] + np.arange(-before, after)[None]]
        elif self.cut == "beats":
            values = beats_of(recording, steps, method=self.detector, match=self.match)
        elif len(signal) < steps:
            raise RecordError(recording.name, "too_short", f"{len(signal)} of {steps} steps")
        else:
            values = cut_windows(signal[None], steps, self.overlap)
        size = self.samples_per_trial or max(1, len(values))
        trial = group_trials(len(values), size, keep_remainder=self.keep_remainder)
        if not len(trial):
            reason = "no_beats" if self.cut == "annotations" else "too_short"
            detail = f"{len(values)} of the {size} samples of a trial"
            raise RecordError(recording.name, reason, detail)
        return values[: len(trial)], trial, None if rows is None else rows[: len(trial)]
