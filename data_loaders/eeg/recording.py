"""Reading EEG recordings (EDF, BDF, BrainVision, FIF, SET) in microvolt, checked and filtered."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from data_loaders.eeg.channels import match_channels
from data_loaders.filters import filtered
from data_loaders.record_log import RecordError
from data_loaders.vetting.eeg_headers import edf_signals
from data_loaders.vetting.mne_open import open_eeg
from data_loaders.vetting.paths import MAX_RATE, MIN_RATE, inside
from tscl.errors import InputError

EXTENSIONS = (".edf", ".bdf", ".vhdr", ".fif", ".set")
"""File name endings that :func:`read_eeg` reads; a BrainVision recording is named by its header."""


@dataclass
class EEGRecording:
    """One recording in memory.

    Attributes:
        name: the record's name as listed.
        signal: (T, C) float32 in uV; NaN where the file marks a gap.
        rate: sampling rate in Hz.
        channels: (C,) names, as asked for or as in the file.
        notes: repairs worth a line in the log.
    """

    name: str
    signal: np.ndarray
    rate: float
    channels: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def digest(self) -> str:
        """A digest of values and rate, equal for copies of one recording."""
        state = hashlib.blake2b(repr((self.rate, self.signal.shape)).encode(), digest_size=16)
        state.update(np.ascontiguousarray(self.signal).data)
        return state.hexdigest()


def read_eeg(
    path: str | Path,
    *,
    name: str | None = None,
    channels: Sequence[str] | None = None,
    target_rate: float | None = None,
    band: tuple[float | None, float | None] | None = None,
    notch: float | Sequence[float] | None = None,
    max_gap_seconds: float = 0.1,
    max_flat: float = 0.5,
    check: bool = True,
) -> EEGRecording:
    """Read one recording by its file name ending.

    Args:
        path: the file (:data:`EXTENSIONS`).
        name: what the log calls it (default: the file name).
        channels: names in the order wanted, compared as
            :func:`data_loaders.eeg.channels.canonical_channel` says; by default every channel of
            type EEG.
        target_rate: Hz after resampling (filtered against aliasing).
        band: pass band in Hz at the recording's rate; None leaves a side open.
        notch: frequencies in Hz to take out, such as 50.
        max_gap_seconds: longest run of NaN filled by a straight line.
        max_flat: largest share of a channel that may lie in one constant run.
        check: refuse gaps, flat channels and implausible units (see :func:`check_quality`).

    Raises:
        RecordError: the file is missing, damaged, of another length than its header says, or a
            channel is missing; the reasons of :func:`check_quality`.
        InputError: a band, notch or rate that cannot be.
        MissingExtraError: a SET file without the ``eeglab`` extra.
    """
    where = Path(path)
    record = name or where.name
    wanted = None if channels is None else _names(channels)
    if where.suffix.lower() not in EXTENSIONS and (where.suffix or where.is_file()):
        detail = f"ends in {where.suffix!r}, not in one of {', '.join(EXTENSIONS)}"
        raise RecordError(record, "unsupported_format", detail)
    inside(where.parent, where.name, record)
    if not where.is_file():
        endings = "" if where.suffix else f", with an ending of {', '.join(EXTENSIONS)} or without"
        raise RecordError(record, "missing_signal", f"no file {where.name}{endings}")
    if where.suffix.lower() in (".edf", ".bdf"):
        recording = _read_edf(where, record, wanted)
    else:
        recording = _take(open_eeg(where, record), record, wanted)
    if not MIN_RATE <= recording.rate <= MAX_RATE:
        raise RecordError(record, "bad_header", f"sampling rate {recording.rate:g} Hz")
    if check:
        recording = check_quality(recording, max_gap_seconds=max_gap_seconds, max_flat=max_flat)
    return filter_recording(recording, target_rate=target_rate, band=band, notch=notch)


def _names(channels: Sequence[str]) -> tuple[str, ...]:
    names = tuple(channels)
    if isinstance(channels, str) or not names or len(set(names)) != len(names):
        raise InputError("channels", channels, "give a list of different channel names")
    return names


def _read_edf(path: Path, record: str, wanted: tuple[str, ...] | None) -> EEGRecording:
    """EDF and BDF: only the signals wanted are decoded, and these must share a rate and a unit."""
    signals = edf_signals(path, record)
    volts = [one.unit.lower().replace("\xb5", "u") in ("uv", "mv", "v", "nv") for one in signals]
    left_out: list[str] = []
    if wanted is None:
        names = [one.label.upper() for one in signals]
        used = [i for i, name in enumerate(names) if name not in ("STATUS", "TRIGGER")]
        left_out = [signals[i].label for i in used if not volts[i]]
        used = [i for i in used if volts[i]] or used
    else:
        used = match_channels(record, tuple(one.label for one in signals), wanted)
    for i in used:
        if not volts[i]:
            unit = f"is given in {signals[i].unit!r}" if signals[i].unit else "has no unit"
            detail = f"channel {signals[i].label} {unit}"
            raise RecordError(record, "unit_suspect", detail)
    rates = {signals[i].rate for i in used}
    if len(rates) > 1:
        listed = ", ".join(f"{one:g}" for one in sorted(rates))
        raise RecordError(record, "mixed_rate", f"channels of {listed} Hz; choose those of one")
    if len({one.label for one in signals}) < len(signals):
        raise RecordError(record, "bad_header", "two channels of one name")
    labels = [signals[i].label for i in used]
    raw = open_eeg(path, record, include=[f"^{re.escape(one)}$" for one in labels])
    recording = _take(raw, record, wanted or tuple(labels))
    if left_out:
        recording.notes += (f"no voltage, left out: {', '.join(left_out)}",)
    return recording


def _take(raw: Any, record: str, wanted: tuple[str, ...] | None) -> EEGRecording:
    """Channels of an MNE recording, from volt to microvolt."""
    has = tuple(str(one) for one in raw.ch_names)
    kinds = raw.get_channel_types()
    if wanted is None:
        used = [i for i, kind in enumerate(kinds) if kind == "eeg"]
        if not used:
            raise RecordError(record, "missing_channel", f"no EEG channel among {', '.join(has)}")
        wanted = tuple(has[i] for i in used)
    else:
        used = match_channels(record, has, wanted)
    if raw.n_times < 1:
        raise RecordError(record, "too_short", "the recording holds no samples")
    with np.errstate(over="ignore"):
        signal = np.ascontiguousarray(raw.get_data(picks=used).T * 1e6, dtype=np.float32)
    # Leaving a channel out of one file would change the channels of all: it is kept, and noted.
    bads = [has[i] for i in used if has[i] in raw.info["bads"]]
    notes = (f"marked bad in the file, kept: {', '.join(bads)}",) if bads else ()
    return EEGRecording(record, signal, float(raw.info["sfreq"]), wanted, notes)


def _runs(flag: np.ndarray) -> int:
    """Length of the longest run of True."""
    edges = np.diff(np.concatenate(([0], flag.astype(np.int8), [0])))
    return int((np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)).max(initial=0))


def check_quality(
    recording: EEGRecording,
    *,
    max_gap_seconds: float = 0.1,
    max_flat: float = 0.5,
    plausible_uv: tuple[float, float] = (0.1, 2000.0),
) -> EEGRecording:
    """Refuse what cannot be an EEG in uV; fill short gaps by straight lines.

    Args:
        recording: the recording, in uV.
        max_gap_seconds: longest run of values that are not finite and is filled.
        max_flat: largest share of a channel that may lie in one constant run.
        plausible_uv: bounds of the median channel's spread (half of its 16th to 84th
            percentile's distance, which offsets do not change).

    Raises:
        RecordError: ``nan_gap``, ``flat_lead`` or ``unit_suspect``.
    """
    signal, notes = recording.signal, list(recording.notes)
    missing = ~np.isfinite(signal)
    if missing.any():
        runs = [_runs(missing[:, i]) for i in range(signal.shape[1])]
        worst = int(np.argmax(runs))
        if runs[worst] > max_gap_seconds * recording.rate or runs[worst] == len(signal):
            seconds = runs[worst] / recording.rate
            detail = f"channel {recording.channels[worst]} has a gap of {seconds:.3g} s"
            raise RecordError(recording.name, "nan_gap", detail)
        signal = signal.copy()
        for i in np.flatnonzero(missing.any(axis=0)).tolist():
            gap = missing[:, i]
            signal[gap, i] = np.interp(np.flatnonzero(gap), np.flatnonzero(~gap), signal[~gap, i])
        notes.append(f"{int(missing.sum())} missing values filled")
    for i, channel in enumerate(recording.channels):
        share = (_runs(np.diff(signal[:, i]) == 0) + 1) / len(signal)
        if share > max_flat and len(signal) > 1:
            detail = f"channel {channel} is flat for {share:.0%}"
            raise RecordError(recording.name, "flat_lead", detail)
    every = max(1, len(signal) // 20000)
    low, high = np.percentile(signal[::every], [16, 84], axis=0)
    spread = float(np.median(high - low)) / 2
    if len(signal) > 1 and not plausible_uv[0] <= spread <= plausible_uv[1]:
        guess = "uV read as mV or V" if spread > plausible_uv[1] else "V or mV read as uV"
        detail = f"the median channel spreads {spread:.3g} uV ({guess}?)"
        raise RecordError(recording.name, "unit_suspect", detail)
    return replace(recording, signal=signal, notes=tuple(notes))


def filter_recording(
    recording: EEGRecording,
    *,
    target_rate: float | None = None,
    band: tuple[float | None, float | None] | None = None,
    notch: float | Sequence[float] | None = None,
) -> EEGRecording:
    """Notch and band-pass (:func:`data_loaders.filters.filtered`), then resample (polyphase).

    Args:
        recording: values must be finite.
        target_rate: Hz after resampling; None keeps the rate.
        band: (low, high) in Hz; None on a side leaves it open.
        notch: one frequency or several, in Hz.

    Raises:
        InputError: frequencies outside (0, rate / 2), low above high, or a rate not positive.
    """
    rate = recording.rate
    if target_rate is not None and not 0 < target_rate < 1e6:
        raise InputError("target_rate", target_rate, "give a positive number of Hz")
    signal = filtered(recording.signal, rate, band=band, notch=notch)
    if target_rate is not None and target_rate != rate:
        from mne.filter import resample

        ratio = Fraction(target_rate).limit_denominator(10000)
        ratio /= Fraction(rate).limit_denominator(10000)
        up, down = float(ratio.numerator), float(ratio.denominator)
        wide = signal.T.astype(np.float64)
        wide = resample(wide, up=up, down=down, method="polyphase", verbose="error")
        signal, rate = np.ascontiguousarray(wide.T, dtype=np.float32), float(target_rate)
    return replace(recording, signal=signal, rate=rate)
