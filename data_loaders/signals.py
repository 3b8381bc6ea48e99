"""One recording in memory, of any modality: channels and units as declared, quality, copies."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from data_loaders.record_log import RecordError

MIN_RATE, MAX_RATE = 1.0, 1e6
"""Sampling rates in Hz that are believed; others would make resampling take any memory."""
_VOLT = re.compile(r"(milli|micro|nano|m|u|μ|n|)\s*v(olts?)?")
_POWER = {"": 0, "m": -3, "milli": -3, "u": -6, "μ": -6, "micro": -6, "n": -9, "nano": -9}


@dataclass(frozen=True)
class Modality:
    """What recordings of one kind are called and look like.

    Attributes:
        noun: what a column of the signal is called in messages.
        unit: unit of the values in memory.
        per_volt: that many units are one volt.
        percentiles: two percentiles whose distance is a channel's spread.
        plausible: bounds of the spread of every channel in ``unit``.
    """

    noun: str
    unit: str
    per_volt: float
    percentiles: tuple[float, float]
    plausible: tuple[float, float]


ECG = Modality("lead", "mV", 1e3, (1, 99), (0.01, 20.0))
EEG = Modality("channel", "uV", 1e6, (16, 84), (0.2, 4000.0))


@dataclass
class Recording:
    """One recording in memory.

    Attributes:
        name: the record's name as listed.
        signal: (T, C) float32 in the modality's unit; NaN where the file marks a gap.
        rate: sampling rate in Hz.
        channels: (C,) names, as asked for or as in the file.
        modality: :data:`ECG` or :data:`EEG`.
        notes: what is worth a line in the log, such as repairs.
        comments: a header's free text; for deciding the class, never written out.
    """

    name: str
    signal: np.ndarray
    rate: float
    channels: tuple[str, ...]
    modality: Modality
    notes: tuple[str, ...] = ()
    comments: tuple[str, ...] = field(default=(), repr=False)

    def digest(self) -> str:
        """A digest of values and rate, equal for copies of one recording."""
        state = hashlib.blake2b(repr((self.rate, self.signal.shape)).encode(), digest_size=16)
        state.update(np.ascontiguousarray(self.signal).data)
        return state.hexdigest()


@dataclass(frozen=True)
class Channel:
    """One channel as a file declares it.

    Attributes:
        label: its name there; several channels may share one.
        unit: its unit as spelled there.
        rate: sampling rate in Hz.
        scaled: False when the header gives no scale (no gain, or limits that are one).
        kind: what it holds; ``"eeg"``, ``"ecg"`` or another type.
    """

    label: str
    unit: str
    rate: float
    scaled: bool = True
    kind: str = "eeg"


def decoded(text: bytes) -> str:
    """A header's text, in UTF-8 or in Latin-1, without spaces and NUL around it."""
    try:
        return text.decode("utf-8").strip(" \t\r\n\0")
    except UnicodeDecodeError:
        return text.decode("latin-1").strip(" \t\r\n\0")


def check_length(record: str, held: int, declared: int, what: str) -> None:
    """Hold what a file has against what its header says; 0 or less stands for any number.

    Args:
        record: what the log calls the record.
        held: how many the file holds.
        declared: how many its header says.
        what: what is counted.

    Raises:
        RecordError: ``truncated_dat`` for fewer or none, ``length_mismatch`` for more.
    """
    if held < max(declared, 1):
        wanted = declared if declared > 0 else "at least one"
        raise RecordError(record, "truncated_dat", f"{held} of {wanted} {what}")
    if 0 < declared < held:
        detail = f"{held} {what}, the header says {declared}"
        raise RecordError(record, "length_mismatch", detail)


def signed(values: np.ndarray, bits: int) -> np.ndarray:
    """Numbers of so many bits in two's complement as signed ones."""
    top = 1 << (bits - 1)
    return (values ^ top) - top


def volts(unit: str) -> float | None:
    """One ``unit`` in volt, None for what is no voltage.

    Any case, both code points of mu, whole words and NUL padding: no recording of the body is in
    megavolt, so ``MV`` is millivolt.

    Example:
        >>> volts("UV"), volts("Microvolt"), volts("mmHg")
        (1e-06, 1e-06, None)
    """
    match = _VOLT.fullmatch(unicodedata.normalize("NFKC", unit).strip(" \0").lower())
    return None if match is None else float(f"1e{_POWER[match[1]]}")


def numbered(labels: Sequence[str]) -> tuple[str, ...]:
    """Different names: those that occur several times are numbered from 0, as MNE does.

    Example:
        >>> numbered(["T8-P8", "Cz", "T8-P8"])
        ('T8-P8-0', 'Cz', 'T8-P8-1')
    """
    names: list[str] = []
    for i, label in enumerate(labels):
        name, number = label, labels[:i].count(label)
        while labels.count(label) > 1 and (name == label or name in labels or name in names):
            name, number = f"{label}-{number}", number + 1
        names.append(name)
    return tuple(names)


def check_used(
    record: str, channels: Sequence[Channel], used: Sequence[int], noun: str
) -> tuple[float, np.ndarray]:
    """Rate and factors to volt of the channels in use; the others may be as they like.

    Args:
        record: what the log calls the record.
        channels: all that the file declares.
        used: positions of those in use.
        noun: what they are called in messages.

    Raises:
        RecordError: ``unit_suspect`` for one that is no voltage or has no scale, ``mixed_rate``.
    """
    factors = []
    for channel in (channels[i] for i in used):
        factor, problem = volts(channel.unit), ""
        if factor is None:
            problem = f"is given in {channel.unit[:20]!r}" if channel.unit else "has no unit"
        elif not channel.scaled:
            problem = "has no defined scale"
        if problem:
            raise RecordError(record, "unit_suspect", f"{noun} {channel.label} {problem}")
        factors.append(factor)
    rates = sorted({channels[i].rate for i in used})
    if len(rates) > 1:
        listed = ", ".join(f"{rate:g}" for rate in rates)
        raise RecordError(record, "mixed_rate", f"{noun}s of {listed} Hz; choose those of one")
    return rates[0], np.asarray(factors, np.float64)


def check_quality(
    recording: Recording, *, max_gap_seconds: float = 0.1, max_flat: float = 0.5
) -> Recording:
    """Refuse what cannot be of the recording's modality; fill short gaps by straight lines.

    Args:
        recording: in its modality's unit.
        max_gap_seconds: longest run of values that are not finite and is filled.
        max_flat: largest share of a channel that may lie in runs of a second or more without any
            change.

    Raises:
        RecordError: ``nan_gap``, ``flat_lead`` or ``unit_suspect``, with the channel's name.
    """
    kind, notes = recording.modality, recording.notes
    signal, count = _filled(recording, max_gap_seconds)
    if count:
        notes += (f"{count} missing values filled",)
    if len(signal) < 2:
        return replace(recording, signal=signal, notes=notes)
    every = max(1, len(signal) // 20000)
    low, high = np.percentile(signal[::every], kind.percentiles, axis=0)
    for i, channel in enumerate(recording.channels):
        runs = _run_lengths(np.diff(signal[:, i]) == 0) + 1
        long = runs[(runs >= max(2, round(recording.rate))) | (runs == len(signal))]
        share = float(long.sum() / len(signal))
        if share > max_flat:
            detail = f"{kind.noun} {channel} is flat for {share:.0%}"
            raise RecordError(recording.name, "flat_lead", detail)
    for channel, spread in zip(recording.channels, high - low, strict=True):
        if not kind.plausible[0] <= spread <= kind.plausible[1]:
            large = spread > kind.plausible[1]
            guess = "uV read as mV or V" if large else "V or mV read as uV"
            detail = f"{kind.noun} {channel} spans {spread:.3g} {kind.unit} ({guess}?)"
            raise RecordError(recording.name, "unit_suspect", detail)
    return replace(recording, signal=signal, notes=notes)


def _filled(recording: Recording, max_gap_seconds: float) -> tuple[np.ndarray, int]:
    """The signal without gaps, and how many values were missing."""
    signal = recording.signal
    missing = ~np.isfinite(signal)
    if not missing.any():
        return signal, 0
    runs = [int(_run_lengths(column).max(initial=0)) for column in missing.T]
    worst = int(np.argmax(runs))
    if runs[worst] > max_gap_seconds * recording.rate or runs[worst] == len(signal):
        name, seconds = recording.channels[worst], runs[worst] / recording.rate
        detail = f"{recording.modality.noun} {name} has a gap of {seconds:.3g} s"
        raise RecordError(recording.name, "nan_gap", detail)
    signal = signal.copy()
    for i in np.flatnonzero(missing.any(axis=0)).tolist():
        gap = missing[:, i]
        signal[gap, i] = np.interp(np.flatnonzero(gap), np.flatnonzero(~gap), signal[~gap, i])
    return signal, int(missing.sum())


def _run_lengths(flag: np.ndarray) -> np.ndarray:
    """Lengths of the runs of True in a boolean vector."""
    edges = np.diff(np.concatenate(([0], flag.astype(np.int8), [0])))
    return np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)


def usable_rate(record: str, rate: float) -> float:
    """``rate`` when it can be one.

    Raises:
        RecordError: ``bad_header``.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise RecordError(record, "bad_header", f"sampling rate {rate:g} Hz")
    return rate
