"""A table of one's own recordings: each row names a file, its patient and its class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from data_loaders.container.collect import SampleCollector, each_record
from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.windows import cut_windows
from data_loaders.ecg.records import read_record
from data_loaders.ecg.signal import (
    beats_of,
    check_count,
    check_quality,
    check_rate,
    choose_leads,
    group_trials,
    resample,
)
from data_loaders.eeg.protocol import EEGFile, EEGProtocol, load_eeg_files
from data_loaders.eeg.recording import EXTENSIONS
from data_loaders.filters import filter_source, filtered
from data_loaders.record_log import RecordError, RecordLog, RecordOutcome
from data_loaders.vetting.paths import inside
from data_loaders.vetting.tables import read_text_table
from tscl.errors import DataError, InputError, nearest

COLUMNS = ("record", "patient", "label")
Table = pd.DataFrame | str | Path


@dataclass(frozen=True)
class TableRow:
    """One recording; all three are text, empty where the table has nothing."""

    record: str
    patient: str
    label: str


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
        """Class code of a row: -1 for an empty label that is kept, None for a row left out.

        Raises:
            RecordError: ``bad_metadata``: no patient id.
        """
        if not row.patient:
            raise RecordError(row.record, "bad_metadata", "no patient id")
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
    """Read a table of recordings; nothing but its three columns is looked at.

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
    if unlabelled not in ("keep", "skip"):
        raise InputError("unlabelled", unlabelled, "choose 'keep' or 'skip'")
    if not root.is_dir():
        raise DataError("root", root, "give the folder of the records")
    called = dict(columns or {})
    for key in called:
        if key not in COLUMNS:
            raise InputError("columns", key, nearest(key, COLUMNS))
    frame = table if isinstance(table, pd.DataFrame) else _read_file(table, root)
    has = [str(one) for one in frame.columns]
    names = [called.get(key, key) for key in COLUMNS]
    if missing := [name for name in names if name not in has]:
        remedy = f"it has {', '.join(has)}; rename one, or say columns={{{missing[0]}: ...}}"
        raise DataError("table", f"no column {', '.join(missing)}", remedy)
    if not len(frame):
        raise DataError("table", "no rows", "list one recording a row")
    text = frame[names].astype(object).where(frame[names].notna(), "")
    rows = tuple(TableRow(*(str(value).strip() for value in row)) for row in text.to_numpy())
    found = sorted({row.label for row in rows if row.label})
    return RecordTable(rows, tuple(str(one) for one in label_names or found), unlabelled)


def _read_file(table: str | Path, root: Path) -> pd.DataFrame:
    path = next((one for one in (root / table, Path(table)) if one.is_file()), None)
    if path is None:
        raise DataError(
            "table",
            table,
            f"no such file in {root} or here: a CSV with the columns {', '.join(COLUMNS)}",
        )
    return read_text_table(path)


def load_wfdb(
    root: str | Path,
    table: Table = "labels.csv",
    *,
    leads: Sequence[str] | None = None,
    cut: str = "beats",
    window_seconds: float = 1.2,
    overlap: float = 0.0,
    samples_per_trial: int = 10,
    target_rate: float | None = None,
    band: tuple[float | None, float | None] | None = None,
    notch: float | Sequence[float] | None = None,
    label_names: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    unlabelled: str = "keep",
    max_flat: float = 0.5,
    max_gap_seconds: float = 0.1,
    detector: str = "neurokit",
    name: str = "WFDB",
    cache: str | Path | None = None,
    strict: bool = False,
) -> MedicalDataset:
    """Load the WFDB records of a table; neighbouring samples of a record make a trial.

    Values are in mV; standardise with :meth:`MedicalDataset.standardize`.

    Args:
        root: folder the records lie below.
        table: a frame or file with columns ``record`` (path below root, with or without ``.hea``),
            ``patient``, and ``label`` (a class name; empty means unknown); see
            :func:`data_loaders.own_recordings.read_record_table`. Nothing else is read.
        leads: lead names in the order of the channels; ``"V1|V2"`` takes the first one there is.
            By default those of the first record that can be used.
        cut: ``"beats"`` of the median RR length, zero padded to ``window_seconds``, or
            ``"windows"`` of that length.
        window_seconds: length of a sample.
        overlap: share of a window the next one repeats, in [0, 1); not for beats.
        samples_per_trial: samples that make a trial; a record's remainder is left out.
        target_rate: Hz after resampling; None keeps the files' rate, which must be one.
        band: pass band in Hz at the record's rate, see :func:`data_loaders.filters.filtered`.
        notch: frequencies in Hz to take out, such as 50.
        label_names: classes in the order of their codes (default: sorted names).
        columns: the table's own names of the three columns.
        unlabelled: ``"keep"`` records without a label (code -1) or ``"skip"`` them.
        max_flat: see :func:`data_loaders.ecg.signal.check_quality`.
        max_gap_seconds: see :func:`data_loaders.ecg.signal.check_quality`.
        detector: R peak method of neurokit2.
        name: name of the data set.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out. Records of no class in
            ``label_names`` are left out either way, with a line in the log.

    Returns:
        Samples (n, steps, leads) with a column ``record`` and ``.log``.

    Raises:
        DataError: no such folder or table, a column missing, or no record could be used.
        InputError: an unknown ``cut``, impossible frequencies.
        RecordError: with ``strict``, the first bad record.
    """
    if cut not in ("beats", "windows"):
        raise InputError("cut", cut, "choose 'beats' or 'windows'")
    check_rate(target_rate)
    check_count("samples_per_trial", samples_per_trial)
    if not 0 < window_seconds < math.inf:
        raise InputError("window_seconds", window_seconds, "give a positive number of seconds")
    folder = Path(root)
    listed = read_record_table(
        table, folder, columns=columns, label_names=label_names, unlabelled=unlabelled
    )
    log = RecordLog(name)
    samples = SampleCollector(log, cache)
    rates: list[float] = []
    used = leads
    by_place = {f"row{i}": row for i, row in enumerate(listed.rows)}
    seen: set[str] = set()

    def read(place: str, line: RecordOutcome) -> None:
        nonlocal used
        row = by_place[place]
        record_name = line.record = row.record.removesuffix(".hea").removesuffix(".dat")
        label = listed.code(replace(row, record=record_name))
        if label is None:
            line.status, line.reason, line.detail = "skipped", "no_label", "none of the classes"
            return
        if record_name in seen:
            raise RecordError(record_name, "duplicate_record", "listed twice")
        seen.add(record_name)
        record = read_record(inside(folder, record_name, record_name), name=record_name)
        record = check_quality(
            choose_leads(record, used or record.leads),
            max_flat=max_flat,
            max_gap_seconds=max_gap_seconds,
        )
        samples.refuse_copies(record)
        rate = record.rate if target_rate is None else float(target_rate)
        if rates and rate != rates[0]:
            detail = f"{rate:g} Hz, the first record read has {rates[0]:g} Hz"
            raise RecordError(record_name, "mixed_rate", detail)
        record.signal = filtered(record.signal, record.rate, band=band, notch=notch)
        record.signal = resample(record.signal, record.rate, rate)
        record.rate = rate
        steps = round(window_seconds * rate)
        if cut == "beats":
            values = beats_of(record, steps, method=detector)
        elif len(record.signal) < steps:
            detail = f"{len(record.signal)} of {steps} steps"
            raise RecordError(record_name, "too_short", detail)
        else:
            values = cut_windows(record.signal[None], steps, overlap)
        trial = group_trials(len(values), samples_per_trial)
        if not len(trial):
            detail = f"{len(values)} of the {samples_per_trial} samples of a trial"
            raise RecordError(record_name, "too_short", detail)
        rates.append(rate)
        used = used or record.leads
        samples.add(
            values[: len(trial)],
            label=label,
            patient=row.patient,
            trial=[f"{record_name}#{number}" for number in trial],
            sampling_rate=rate,
            record=record_name,
        )
        line.detail = "; ".join([f"{len(trial)} samples", *record.notes])

    each_record(by_place, log, read, strict)
    return samples.dataset(
        label_names=listed.classes,
        channel_names=used,
        name=name,
        source={
            "format": "WFDB",
            "unit": "mV",
            "cut": cut,
            "window_seconds": window_seconds,
            **filter_source(band, notch),
        },
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
            :func:`data_loaders.own_recordings.read_record_table`. Nothing else is read.
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
