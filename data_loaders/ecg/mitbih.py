"""MIT-BIH Arrhythmia Database: annotated beats in the AAMI classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_loaders.container.dataset import MedicalDataset
from data_loaders.ecg.protocol import ECGProtocol
from data_loaders.ecg.records import list_records, read_record
from data_loaders.protocol import Entry, load_records
from data_loaders.record_log import RecordError, RecordOutcome
from data_loaders.signals import Recording
from data_loaders.vetting.paths import inside
from tscl.disk import data_folder
from tscl.errors import InputError

# fmt: off
DS1 = (
    "101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122",
    "124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230",
)
"""Training half of the usual inter-patient split; the paced records are in neither half."""
DS2 = (
    "100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210",
    "212", "213", "214", "219", "221", "222", "228", "231", "232", "233", "234",
)
"""Test half of the usual inter-patient split."""
# fmt: on
PACED = ("102", "104", "107", "217")
SAME_SUBJECT = {"202": "201"}
"""Records of one person, who stands on both sides of DS1 and DS2."""
AAMI = {
    **dict.fromkeys("NLRej.", "N"),
    **dict.fromkeys("AaJS", "S"),
    **dict.fromkeys("VE", "V"),
    "F": "F",
    **dict.fromkeys("/fQ", "Q"),
}
"""AAMI class of each beat annotation; other annotations are no beats."""
CITE = (
    'Moody and Mark, "The impact of the MIT-BIH Arrhythmia Database", '
    "IEEE Engineering in Medicine and Biology Magazine 2001, doi 10.1109/51.932724"
)
CLASSES = ("N", "S", "V", "F", "Q")
PROTOCOL = ECGProtocol(leads=("MLII",), cut="annotations", keep_remainder=True)
"""From 0.4 s before to 0.6 s behind each annotated beat, ten beats a trial."""


def read_beats(path: Path, recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Positions and AAMI classes of the annotated beats of one record.

    Annotations may count on a clock of their own; without one it is that of the header's frames.

    Returns:
        (n,) float64 steps at the recording's rate and (n,) one-letter classes.

    Raises:
        RecordError: ``missing_annotation``, ``corrupt_file``, or ``length_mismatch`` for beats
            behind the end of the signal.
    """
    import wfdb

    file = path.with_name(path.name + ".atr")
    record, n_steps = recording.name, len(recording.signal)
    if not file.is_file():
        raise RecordError(record, "missing_annotation", f"no file {file.name}")
    try:
        notes = wfdb.rdann(str(path.absolute()), "atr")
        symbols, at = list(notes.symbol), np.asarray(notes.sample, np.float64)
    except Exception as error:
        detail = f"{file.name} cannot be decoded: {type(error).__name__}"
        raise RecordError(record, "corrupt_file", detail) from None
    clock = float(notes.fs or recording.rate)
    keep = np.asarray([symbol in AAMI for symbol in symbols], bool)
    at = at[keep] * recording.rate / clock if clock > 0 else at[keep]
    if len(at) and (at.min() < 0 or at.max() >= n_steps):
        detail = f"a beat at step {at.max():.0f} of {n_steps} steps"
        raise RecordError(record, "length_mismatch", detail)
    return at, np.asarray([AAMI[symbol] for symbol in symbols if symbol in AAMI], dtype=str)


def load_mitbih(
    root: str | Path,
    *,
    records: Sequence[str] | None = None,
    classes: Sequence[str] = CLASSES,
    cache: str | Path | None = None,
    strict: bool = False,
    **changes: Any,
) -> MedicalDataset:
    """Load annotated beats: a sample is a window around a beat, a trial some beats in a row.

    Values are in mV; standardise with :meth:`MedicalDataset.standardize`.

    Args:
        root: folder of the records, or one above it.
        records: names, such as :data:`DS1` (default: all but the paced ones).
        classes: AAMI classes that are kept, in the order of the label codes.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out.
        **changes: fields of :class:`data_loaders.ecg.protocol.ECGProtocol` that differ from
            :data:`PROTOCOL`, such as ``leads=["V1|V5"]``, ``target_rate=100`` or
            ``after_seconds=0.5``.

    Returns:
        Samples (n, steps, leads) with columns ``record`` and ``split`` (DS1, DS2 or empty) and
        ``.log``. The patient id is the record's own name, in whatever folder it lies; 201 and 202
        are one person, "201", of whom an official split leaves 202 out.

    Raises:
        DataError: no folder, or no record could be used.
        InputError: unknown classes, or a change that the protocol does not have.
        RecordError: with ``strict``, the first bad record.
    """
    folder = data_folder(root, "the MIT-BIH records")
    if not classes or len(set(classes)) != len(classes) or not set(classes) <= set(CLASSES):
        raise InputError("classes", classes, f"choose among {CLASSES}")
    protocol = PROTOCOL.changed(changes)
    listed = list_records(folder) if records is None else [str(record) for record in records]
    own = {place: Path(place).name for place in listed}
    if records is None:
        listed = [place for place in listed if own[place] not in PACED]
    code = {name: i for i, name in enumerate(classes)}
    seen: set[str] = set()

    def read(place: str, line: RecordOutcome, leads: Sequence[str] | None) -> Entry:
        path, name = inside(folder, place, place), own[place]
        line.record = name
        if name in seen:
            raise RecordError(name, "duplicate_record", f"{place} is listed twice")
        seen.add(name)
        recording = read_record(path, name=name, leads=leads)
        at, kind = read_beats(path, recording)
        keep = np.isin(kind, list(classes))
        half = "DS1" if name in DS1 else "DS2" if name in DS2 else ""
        patient = SAME_SUBJECT.get(name, name)
        if patient != name and patient in own.values():
            note = f"one person with {patient}: an official split leaves this record out of {half}"
            recording.notes += (note,)
        label = np.asarray([code[name] for name in kind[keep].tolist()], np.int64)
        columns = {"record": name, "split": half}
        return Entry(recording, patient, label, at=at[keep], columns=columns)

    return load_records(
        listed,
        read,
        protocol,
        name="MIT-BIH",
        label_names=tuple(classes),
        channels=protocol.leads,
        source={"database": "MIT-BIH Arrhythmia Database", "cite": CITE},
        cache=cache,
        strict=strict,
    )
