"""EEG recordings of one's own, listed in a table of record, patient and label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_loaders.container import MedicalDataset
from data_loaders.eeg import EXTENSIONS
from data_loaders.eeg_files import EEGFile, EEGProtocol, load_eeg_files
from data_loaders.record_table import Table, read_record_table

PROTOCOL = EEGProtocol(trial_seconds=5.0, sample_seconds=1.0)
"""Trials of 5 s, nine half overlapping samples of 1 s, the recordings' own rate and channels."""


def load_eeg_table(
    root: str | Path,
    table: Table = "labels.csv",
    *,
    label_names: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    unlabelled: str = "keep",
    max_trials: int | None = None,
    name: str = "EEG",
    cache: str | Path | None = None,
    strict: bool = False,
    **changes: Any,
) -> MedicalDataset:
    """Load the EEG recordings of a table: EDF, BDF, BrainVision, FIF or SET.

    Args:
        root: folder the recordings lie below.
        table: a frame or file with columns ``record`` (path below root; the ending may be left
            out), ``patient``, and ``label`` (a class name; empty means unknown); see
            :func:`data_loaders.record_table.read_record_table`. Nothing else is read.
        label_names: classes in the order of their codes (default: sorted names).
        columns: the table's own names of the three columns.
        unlabelled: ``"keep"`` recordings without a label (code -1) or ``"skip"`` them.
        max_trials: keep at most this many trials of a recording, from its start.
        name: name of the data set.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out. Recordings of no class
            in ``label_names`` are left out either way, with a line in the log.
        **changes: fields of :class:`data_loaders.eeg_files.EEGProtocol` that differ from
            :data:`PROTOCOL`, such as ``trial_seconds=10``, ``rate=128``, ``band=(0.5, 45)``,
            ``notch=50``, ``channels=["O1", "O2"]``.

    Returns:
        Samples (n, steps, C) in microvolt (or standardised), with a column ``record`` and
        ``.log``. Channels are those of the first usable recording unless they are named.

    Raises:
        DataError: no such folder or table, a column missing, or no record could be used.
        InputError: a change that the protocol does not have.
        RecordError: with ``strict``, the first bad record.
    """
    folder = Path(root)
    protocol = PROTOCOL.changed(changes)
    listed = read_record_table(
        table, folder, columns=columns, label_names=label_names, unlabelled=unlabelled
    )
    files = []
    for row in listed.rows:
        label: str | None = row.label
        if not row.label and unlabelled == "skip":
            label = None
        files.append(EEGFile(_with_ending(folder, row.record), row.patient, label, row.record))
    return load_eeg_files(
        files,
        protocol,
        label_names=listed.classes,
        root=folder,
        name=name,
        max_trials=max_trials,
        cache=cache,
        strict=strict,
    )


def _with_ending(folder: Path, record: str) -> Path:
    """``record`` with the ending of the file that is there, when it was listed without one."""
    if Path(record).suffix.lower() in EXTENSIONS or ".." in record:
        return Path(record)
    found = [one for one in EXTENSIONS if (folder / f"{record}{one}").is_file()]
    return Path(f"{record}{found[0]}" if found else record)
