"""Names of EEG channels: how they are matched, and which signals are no EEG by their label."""

from __future__ import annotations

import re
from collections.abc import Sequence

from data_loaders.record_log import RecordError
from data_loaders.signals import numbered

_REFERENCE = re.compile(r"[-_ ](LE|AVG|AR|A1|A2|M1|M2)$")
_UNKNOWN_REFERENCE = re.compile(r"[-_ ]REF$")
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_EARS = ("A1", "A2", "M1", "M2")
# Types of https://www.edfplus.info/specs/edftexts.html, and how sleep and epilepsy centres spell
# them. Only the first three may be followed by a number: EP1 or LEG1 may be a depth electrode.
_OTHER = re.compile(
    r"(?:(?P<ecg>ECG|EKG)|(?P<eog>[HV]?EOG)|(?P<emg>EMG|CHIN))\d*(?![A-Z0-9]).*"
    r"|(?P<other>LOC|ROC|LEG|ERG|MEG|MCG|EP|TEMP|RESP|SA?O2|SPO2|LIGHT|SOUND|EVENT|STATUS|STIM?"
    r"|TRIG(?:GER)?|MARKER|AIRFLOW|FLOW|NASAL|THOR(?:AX)?|CHEST|ABDO?(?:MEN)?|SNORE|PLETH|PULSE"
    r"|PR|HR|GSR|EDA|BVP|PHOTIC|IBI|BURSTS|SUPPR)(?![A-Z0-9]).*"
)


def channel_type(label: str) -> str:
    """Type of a signal by its label, as EDF+ writes it first: ``"eeg"`` unless it says otherwise.

    Example:
        >>> [channel_type(n) for n in ("EEG Fpz-Cz", "Fp1", "EOG left", "EKG1", "EEG ECG-REF")]
        ['eeg', 'eeg', 'eog', 'ecg', 'ecg']
    """
    text = label.strip().upper()
    if not re.search(r"\w", text):
        return "empty"  # a dummy, such as "-" in CHB-MIT
    text = re.sub(r"^EEG[ -]?(?=.)", "", text)
    match = _OTHER.fullmatch(text)
    return "eeg" if match is None else str(match.lastgroup)


def canonical_channel(name: str) -> str:
    """A channel's name without case, ``EEG`` prefix, ``REF``, dots; T3 T4 T5 T6 as T7 T8 P7 P8.

    A reference that has a name stays: C3-M1 is not C3-M2.

    Example:
        >>> canonical_channel("EEG T3-REF"), canonical_channel("Fc5."), canonical_channel("C3_M2")
        ('T7', 'FC5', 'C3-M2')
    """
    text = name.strip().strip(".").upper()
    text = _UNKNOWN_REFERENCE.sub("", text.removeprefix("EEG").strip())
    text = _REFERENCE.sub(r"-\1", text)
    return "-".join(_OLD_NAMES.get(part, part) for part in text.split("-"))


def _electrode(canonical: str) -> str:
    """The electrode of a canonical name; that of a lead between the ears is the whole name."""
    electrode = _REFERENCE.sub("", canonical)
    return canonical if electrode in _EARS else electrode


def match_channels(record: str, labels: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Positions of the ``wanted`` channels: exact names first, then canonical ones.

    A name without reference finds the channel of that electrode, whatever its reference; a name
    with one finds no other. Of several channels of one label, ``"T8-P8-0"`` is the first.

    Args:
        record: what the log calls the recording.
        labels: all channels, as its header spells them.
        wanted: names in the order wanted.

    Raises:
        RecordError: ``missing_channel`` for names that are absent or fit several channels.
    """
    names = numbered(labels)
    keys = [canonical_channel(label) for label in labels]
    electrodes = [_electrode(key) for key in keys]
    result, missing = [], []
    for name in wanted:
        key = canonical_channel(name)
        hits = [i for i, known in enumerate(names) if known == name]
        hits = hits or [i for i, spelling in enumerate(keys) if spelling == key]
        hits = hits or [i for i, electrode in enumerate(electrodes) if electrode == key]
        if len(hits) == 1:
            result.append(hits[0])
        else:
            missing.append(name if not hits else f"{name} ({len(hits)} times)")
    if missing:
        detail = f"no channel {', '.join(missing)}; it has {', '.join(names)}"
        raise RecordError(record, "missing_channel", detail)
    return result


def other_references(labels: Sequence[str], wanted: Sequence[str]) -> str:
    """A note on names without reference that stand for channels with one; empty without such."""
    pairs = [
        f"{name} is {label}"
        for name, label in zip(wanted, labels, strict=True)
        if canonical_channel(name) != canonical_channel(label)
    ]
    return ", ".join(pairs)
