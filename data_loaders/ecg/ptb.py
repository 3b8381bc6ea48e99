"""PTB Diagnostic ECG Database: myocardial infarction against healthy control, beat by beat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_loaders.container.dataset import MedicalDataset
from data_loaders.ecg.protocol import ECGProtocol
from data_loaders.ecg.records import list_records, read_record
from data_loaders.protocol import Entry, load_records
from data_loaders.record_log import RecordError, RecordOutcome
from data_loaders.vetting.paths import inside
from tscl.disk import data_folder

LEADS = (
    *("i", "ii", "iii", "avr", "avl", "avf"),
    *("v1", "v2", "v3", "v4", "v5", "v6", "vx", "vy", "vz"),
)
CITE = (
    'Bousseljot et al., "Nutzung der EKG-Signaldatenbank CARDIODAT der PTB über das Internet", '
    "Biomedizinische Technik 1995, doi 10.1515/bmte.1995.40.s1.317"
)
CLASSES = ("healthy control", "myocardial infarction")
PROTOCOL = ECGProtocol(leads=LEADS, target_rate=250.0, window_seconds=1.2, standardize="record")
"""Beats padded to 300 steps, ten a trial."""


def diagnosis(record: str, comments: Sequence[str]) -> str | None:
    """Class of the header's "Reason for admission": one of :data:`CLASSES`, or None.

    Raises:
        RecordError: ``no_label`` when the header has no such comment.
    """
    for comment in comments:
        key, colon, value = comment.partition(":")
        if colon and key.strip().lower() == "reason for admission":
            text = " ".join(value.lower().split())
            return text if text in CLASSES else None
    raise RecordError(record, "no_label", "the header names no reason for admission")


def load_ptb(
    root: str | Path,
    *,
    records: Sequence[str] | None = None,
    cache: str | Path | None = None,
    strict: bool = False,
    **changes: Any,
) -> MedicalDataset:
    """Load PTB as COMET prepares it (arXiv 2310.14017): a sample is a beat, a trial ten beats.

    Each record is resampled to 250 Hz, each lead standardised over the record, R peaks found per
    lead; a beat is the position the leads agree on plus and minus half the median RR, zero padded
    in the middle of 300 steps. Records whose median RR is longer are left out, as is what remains
    after the last whole trial.

    Args:
        root: folder with ``RECORDS`` or with ``patientNNN/*.hea``.
        records: record names below root, ``patient001/s0010_re`` (default: all).
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out. Records of another
            diagnosis are left out either way, with a line in the log.
        **changes: fields of :class:`data_loaders.ecg.protocol.ECGProtocol` that differ from
            :data:`PROTOCOL`; the public code's are ``resample_how="linear", match="order"``.

    Returns:
        Samples (n, 300, leads) with labels 0 healthy, 1 infarction, and ``.log``. The patient id
        is the record's folder.

    Raises:
        DataError: no folder, or no record could be used.
        InputError: a change that the protocol does not have.
        RecordError: with ``strict``, the first bad record.
    """
    folder = data_folder(root, "the PTB database")
    protocol = PROTOCOL.changed(changes)

    def read(name: str, line: RecordOutcome, leads: Sequence[str] | None) -> Entry | None:
        recording = read_record(inside(folder, name, name), name=name, leads=leads)
        label = diagnosis(name, recording.comments)
        if label is None:
            line.leave_out("no_label", "another diagnosis")
            return None
        patient = Path(name).parent.name or name
        return Entry(recording, patient, CLASSES.index(label), columns={"record": name})

    return load_records(
        list_records(folder) if records is None else records,
        read,
        protocol,
        name="PTB",
        label_names=CLASSES,
        channels=protocol.leads,
        source={"database": "PTB Diagnostic ECG Database", "cite": CITE},
        cache=cache,
        strict=strict,
    )
