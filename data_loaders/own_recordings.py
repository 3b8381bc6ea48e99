"""A table of one's own recordings: each row names a file, its patient and its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from data_loaders.container.dataset import MedicalDataset
from data_loaders.ecg.protocol import ECGProtocol
from data_loaders.ecg.records import read_record
from data_loaders.eeg.protocol import EEGFile, EEGProtocol, load_eeg_files
from data_loaders.eeg.recording import EXTENSIONS
from data_loaders.protocol import Entry, load_records
from data_loaders.record_log import RecordError, RecordOutcome
from data_loaders.vetting.paths import inside
from data_loaders.vetting.tables import read_text_table
from tscl.disk import data_folder
from tscl.errors import DataError, InputError, check_choice

COLUMNS = ("record", "patient", "label")
Table = pd.DataFrame | str | Path


@dataclass(frozen=True)
class TableRow:
    """One recording; its names are text, empty where the table has nothing.

    Attributes:
        columns: what else the table says, such as age, sex and site.
    """

    record: str
    patient: str
    label: str
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordTable:
    """The rows of a table and the task's classes.

    Attributes:
        rows: in the table's order.
        classes: class names in the order of their codes.
        unlabelled: ``"keep"`` or ``"skip"``; what becomes of rows without a label.
    """

    rows: tuple[TableRow, ...]
    classes: tuple[str, ...]
    unlabelled: str = "keep"

    def code(self, row: TableRow) -> int | None:
        """Class code of a row: -1 for an empty label that is kept, None for a row left out."""
        if not row.label:
            return -1 if self.unlabelled == "keep" else None
        return self.classes.index(row.label) if row.label in self.classes else None


def read_record_table(
    table: Table,
    root: Path,
    *,
    columns: Mapping[str, str] | None = None,
    label_names: Sequence[str] | None = None,
    unlabelled: str = "keep",
) -> RecordTable:
    """Read a table of recordings: the three columns named, and whatever else stands beside them.

    Further columns are numbers when all their values are, and text otherwise.

    Args:
        table: a frame, or a file separated by commas, semicolons or tabs; a relative path is
            looked for below ``root``, then in the current folder.
        root: folder of the recordings.
        columns: the table's own names of ``record``, ``patient`` and ``label``, such as
            ``{"record": "file"}``.
        label_names: classes in the order of their codes (default: the labels found, sorted).
        unlabelled: ``"keep"`` rows without a label (code -1) or ``"skip"`` them.

    Raises:
        DataError: no such folder or file, a file that is no such table, or a column missing.
        InputError: unknown ``columns`` or ``unlabelled``.
    """
    check_choice("unlabelled", unlabelled, ("keep", "skip"))
    data_folder(root, "the records")
    called = dict(columns or {})
    for key in called:
        check_choice("columns", key, COLUMNS)
    frame = table if isinstance(table, pd.DataFrame) else _read_file(table, root)
    has = [str(column) for column in frame.columns]
    names = [called.get(key, key) for key in COLUMNS]
    if missing := [name for name in names if name not in has]:
        remedy = f"it has {', '.join(has)}; rename one, or say columns={{{missing[0]}: ...}}"
        raise DataError("table", f"no column {', '.join(missing)}", remedy)
    if not len(frame):
        raise DataError("table", "no rows", "list one recording a row")
    text = frame[names].astype(object).where(frame[names].notna(), "")
    text = text.map(lambda value: str(value).strip())
    further = further_columns(frame.drop(columns=names))
    rows = tuple(
        TableRow(record, patient, label, columns)
        for (record, patient, label), columns in zip(text.to_numpy().tolist(), further, strict=True)
    )
    labels = sorted({row.label for row in rows if row.label})
    return RecordTable(rows, tuple(str(name) for name in label_names or labels), unlabelled)


def further_columns(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """One mapping a row; a name that the container's table has itself stands as ``table name``."""
    result: dict[str, list[Any]] = {}
    taken = ("record", "patient", "label", "trial", "sampling_rate")
    for key in frame.columns:
        values, here = frame[key], frame[key].notna()
        text = values.astype(str).where(here, "").str.strip()
        numbers = pd.to_numeric(text, errors="coerce")
        # 007 is a name: as a number it would be that of another site.
        named = text.str.fullmatch(r"[-+]?0\d+.*").any()
        whole = bool(numbers[text != ""].notna().all()) and not named
        name = f"table {key}" if str(key) in taken else str(key)
        result[name] = (numbers if whole and (text != "").any() else text).tolist()
    return [dict(zip(result, row, strict=True)) for row in zip(*result.values(), strict=True)] or [
        {} for _ in range(len(frame))
    ]


def _read_file(table: str | Path, root: Path) -> pd.DataFrame:
    path = next(
        (candidate for candidate in (root / table, Path(table)) if candidate.is_file()), None
    )
    if path is None:
        raise DataError(
            "table",
            table,
            f"no such file in {root} or here: a CSV with the columns {', '.join(COLUMNS)}",
        )
    return read_text_table(path)


WFDB_PROTOCOL = ECGProtocol()
"""Beats padded to 1.2 s, ten a trial, the records' own rate and leads."""


def load_wfdb(
    root: str | Path,
    table: Table = "labels.csv",
    *,
    label_names: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    unlabelled: str = "keep",
    name: str = "WFDB",
    cache: str | Path | None = None,
    strict: bool = False,
    **changes: Any,
) -> MedicalDataset:
    """Load the WFDB records of a table; neighbouring samples of a record make a trial.

    Values are in mV; standardise with :meth:`MedicalDataset.standardize`.

    Args:
        root: folder the records lie below.
        table: a frame or file with columns ``record`` (path below root, with or without ``.hea``),
            ``patient``, and ``label`` (a class name; empty means unknown); see
            :func:`read_record_table`.
        label_names: classes in the order of their codes (default: sorted names).
        columns: the table's own names of the three columns.
        unlabelled: ``"keep"`` records without a label (code -1) or ``"skip"`` them.
        name: name of the data set.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out. Records of no class in
            ``label_names`` are left out either way, with a line in the log.
        **changes: fields of :class:`data_loaders.ecg.protocol.ECGProtocol` that differ from
            :data:`WFDB_PROTOCOL`, such as ``leads=["II", "V1|V2"]``, ``cut="windows"``,
            ``window_seconds=2``, ``target_rate=250``, ``band=(0.5, 40)``.

    Returns:
        Samples (n, steps, leads) with a column ``record``, the table's further columns and
        ``.log``. Leads are those of the first usable record unless they are named.

    Raises:
        DataError: no such folder or table, a column missing, or no record could be used.
        InputError: a change that the protocol does not have.
        RecordError: with ``strict``, the first bad record.
    """
    protocol, folder = WFDB_PROTOCOL.changed(changes), Path(root)
    if protocol.cut == "annotations":
        raise InputError("cut", protocol.cut, "choose 'beats' or 'windows'")
    listed = read_record_table(
        table, folder, columns=columns, label_names=label_names, unlabelled=unlabelled
    )
    by_place = {f"row{i}": row for i, row in enumerate(listed.rows)}
    seen: set[str] = set()

    def read(place: str, line: RecordOutcome, leads: Sequence[str] | None) -> Entry | None:
        row = by_place[place]
        record = line.record = row.record.removesuffix(".hea").removesuffix(".dat")
        label = listed.code(row)
        if not row.patient:
            raise RecordError(record, "bad_metadata", "no patient id")
        if label is None:
            line.leave_out("no_label", "none of the classes")
            return None
        if record in seen:
            raise RecordError(record, "duplicate_record", "listed twice")
        seen.add(record)
        recording = read_record(inside(folder, record, record), name=record, leads=leads)
        return Entry(recording, row.patient, label, columns={"record": record, **row.columns})

    return load_records(
        by_place,
        read,
        protocol,
        name=name,
        label_names=listed.classes,
        channels=protocol.leads,
        source={"format": "WFDB"},
        cache=cache,
        strict=strict,
    )


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
            :func:`read_record_table`.
        label_names: classes in the order of their codes (default: sorted names).
        columns: the table's own names of the three columns.
        unlabelled: ``"keep"`` recordings without a label (code -1) or ``"skip"`` them.
        max_trials: keep at most this many trials of a recording, from its start.
        name: name of the data set.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out. Recordings of no class
            in ``label_names`` are left out either way, with a line in the log.
        **changes: fields of :class:`data_loaders.eeg.protocol.EEGProtocol` that differ from
            :data:`PROTOCOL`, such as ``trial_seconds=10``, ``rate=128``, ``band=(0.5, 45)``,
            ``notch=50``, ``channels=["O1", "O2"]``.

    Returns:
        Samples (n, steps, C) in microvolt (or standardised), with a column ``record``, the table's
        further columns and ``.log``. Channels are those of the first usable recording unless they
        are named.

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
    files = [
        EEGFile(
            _with_ending(folder, row.record),
            row.patient,
            None if listed.code(row) is None else row.label,
            row.record,
            row.columns,
        )
        for row in listed.rows
    ]
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
    endings = [ending for ending in EXTENSIONS if (folder / f"{record}{ending}").is_file()]
    return Path(f"{record}{endings[0]}" if endings else record)
