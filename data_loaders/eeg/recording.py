"""Reading EEG recordings (EDF, BDF, BrainVision, FIF, SET) in microvolt, checked and filtered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from data_loaders.eeg.brainvision import open_brainvision
from data_loaders.eeg.channels import channel_type, match_channels, other_references
from data_loaders.eeg.edf import open_edf
from data_loaders.filters import filtered, interpolated
from data_loaders.record_log import RecordError
from data_loaders.signals import (
    EEG,
    Channel,
    Recording,
    check_quality,
    check_used,
    numbered,
    usable_rate,
    volts,
)
from data_loaders.vetting.mne_open import open_mne
from data_loaders.vetting.paths import inside
from tscl.errors import InputError

EXTENSIONS = (".edf", ".bdf", ".vhdr", ".fif", ".set")
"""File name endings that :func:`read_eeg` reads; a BrainVision recording is named by its header."""


class _File(Protocol):
    """A file of which the header is read and checked."""

    @property
    def channels(self) -> tuple[Channel, ...]: ...

    def read(self, used: list[int]) -> np.ndarray:
        """(T, C) of the channels in use, each in its declared unit."""
        ...


@dataclass(frozen=True)
class _MNEFile:
    """A FIF or SET recording, opened by MNE."""

    raw: Any
    channels: tuple[Channel, ...]
    typed: bool

    def read(self, used: list[int]) -> np.ndarray:
        power = [self.raw.info["chs"][i].get("unit_mul", 0) for i in used]
        values = self.raw.get_data(picks=used).T * 10.0 ** np.asarray(power, np.float64)
        return np.asarray(values)


def _open(path: Path, record: str) -> _File:
    if path.suffix.lower() in (".edf", ".bdf"):
        return open_edf(path, record)
    if path.suffix.lower() == ".vhdr":
        return open_brainvision(path, record)
    raw, typed = open_mne(path, record), path.suffix.lower() == ".fif"
    rate, kinds = float(raw.info["sfreq"]), raw.get_channel_types()
    channels = []
    for channel, kind in zip(raw.info["chs"], kinds, strict=True):
        name = str(channel["ch_name"])
        if kind == "eeg" and not typed:
            kind = channel_type(name)
        scale = float(channel["cal"]) * float(channel["range"])
        unit = "V" if int(channel["unit"]) == 107 else ""  # FIFF_UNIT_V
        channels.append(Channel(name, unit, rate, bool(np.isfinite(scale) and scale != 0), kind))
    return _MNEFile(raw, tuple(channels), typed)


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
) -> Recording:
    """Read one recording by its file name ending.

    Units are converted from any spelling of volt; channels that are not used may have any unit,
    rate or name.

    Args:
        path: the file (:data:`EXTENSIONS`).
        name: what the log calls it (default: the file name).
        channels: names in the order wanted, see
            :func:`data_loaders.eeg.channels.match_channels`; by default every voltage that is EEG
            by its declared type or its label (:func:`data_loaders.eeg.channels.channel_type`).
        target_rate: Hz after resampling (filtered against aliasing).
        band: pass band in Hz at the recording's rate; None leaves a side open.
        notch: frequencies in Hz to take out, such as 50.
        max_gap_seconds: longest run of NaN filled by a straight line.
        max_flat: see :func:`data_loaders.signals.check_quality`.
        check: refuse gaps, flat channels and implausible units.

    Raises:
        RecordError: the file is missing, damaged, of another length than its header says, or a
            channel in use is missing, no voltage, or without a scale; the reasons of
            :func:`data_loaders.signals.check_quality`.
        InputError: a band, notch or rate that cannot be.
        MissingExtraError: a SET file without the ``eeglab`` extra.
    """
    where = Path(path)
    record, ending = name or where.name, where.suffix.lower()
    if channels is not None and (
        isinstance(channels, str) or not channels or len(set(channels)) != len(channels)
    ):
        raise InputError("channels", channels, "give a list of different channel names")
    if ending not in EXTENSIONS and (ending or where.is_file()):
        detail = f"ends in {where.suffix!r}, not in one of {', '.join(EXTENSIONS)}"
        raise RecordError(record, "unsupported_format", detail)
    inside(where.parent, where.name, record)
    if not where.is_file():
        endings = "" if ending else f", with an ending of {', '.join(EXTENSIONS)} or without"
        raise RecordError(record, "missing_signal", f"no file {where.name}{endings}")
    recording = _read(_open(where, record), record, channels)
    if check:
        recording = check_quality(recording, max_gap_seconds=max_gap_seconds, max_flat=max_flat)
    return filter_recording(recording, target_rate=target_rate, band=band, notch=notch)


def _read(file: _File, record: str, wanted: Sequence[str] | None) -> Recording:
    """The channels wanted, in microvolt, with notes on what was not taken as it stands."""
    labels = [channel.label for channel in file.channels]
    notes: list[str] = []
    if wanted is None:
        used, notes = _default(file, record)
        wanted = [numbered(labels)[i] for i in used]
    else:
        used = match_channels(record, labels, wanted)
        if references := other_references([labels[i] for i in used], wanted):
            notes.append(f"another name in the file: {references}")
    rate, to_volt = check_used(record, file.channels, used, EEG.noun)
    usable_rate(record, rate)
    with np.errstate(over="ignore"):
        signal = file.read(used) * (to_volt * EEG.per_volt)
        signal = np.ascontiguousarray(signal, dtype=np.float32)
    if not len(signal):
        raise RecordError(record, "too_short", "the recording holds no samples")
    if isinstance(file, _MNEFile):
        # Leaving a channel out of one file would change the channels of all: it is kept, and noted.
        bads = [labels[i] for i in used if labels[i] in file.raw.info["bads"]]
        notes += [f"marked bad in the file, kept: {', '.join(bads)}"] if bads else []
    return Recording(record, signal, rate, tuple(wanted), EEG, tuple(notes))


def _default(file: _File, record: str) -> tuple[list[int], list[str]]:
    """Every EEG channel that is a voltage, and notes on others that their file calls no EEG."""
    channels = file.channels
    used = [i for i, channel in enumerate(channels) if channel.kind == "eeg"]
    if not used:
        labels = ", ".join(channel.label for channel in channels)
        raise RecordError(record, "missing_channel", f"no EEG channel among {labels}")
    volt = [i for i in used if volts(channels[i].unit) is not None] or used
    others = {"no voltage": set(used) - set(volt)}
    if not (isinstance(file, _MNEFile) and file.typed):
        others["no EEG by the label"] = set(range(len(channels))) - set(used)
    notes = []
    for why, left_out in others.items():
        if left_out:
            listed = ", ".join(channels[i].label for i in sorted(left_out))
            notes.append(f"{why}, left out: {listed}")
    return volt, notes


def filter_recording(
    recording: Recording,
    *,
    target_rate: float | None = None,
    band: tuple[float | None, float | None] | None = None,
    notch: float | Sequence[float] | None = None,
    resample_how: str = "polyphase",
) -> Recording:
    """Notch and band-pass (:func:`data_loaders.filters.filtered`), then resample.

    Args:
        recording: values must be finite.
        target_rate: Hz after resampling; None keeps the rate.
        band: (low, high) in Hz; None on a side leaves it open.
        notch: one frequency or several, in Hz.
        resample_how: ``"polyphase"`` filters against aliasing, ``"linear"`` does not.

    Raises:
        InputError: frequencies outside (0, rate / 2), low above high, or a rate not positive.
    """
    rate = recording.rate
    if target_rate is not None and not 0 < target_rate < 1e6:
        raise InputError("target_rate", target_rate, "give a positive number of Hz")
    signal = filtered(recording.signal, rate, band=band, notch=notch)
    if target_rate is not None and target_rate != rate and resample_how == "linear":
        signal, rate = interpolated(signal, rate, target_rate), float(target_rate)
    elif target_rate is not None and target_rate != rate:
        from mne.filter import resample

        ratio = Fraction(target_rate).limit_denominator(10000)
        ratio /= Fraction(rate).limit_denominator(10000)
        up, down = float(ratio.numerator), float(ratio.denominator)
        wide = signal.T.astype(np.float64)
        wide = resample(wide, up=up, down=down, method="polyphase", verbose="error")
        signal, rate = np.ascontiguousarray(wide.T, dtype=np.float32), float(target_rate)
    return replace(recording, signal=signal, rate=rate)
