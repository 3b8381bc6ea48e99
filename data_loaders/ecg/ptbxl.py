"""PTB-XL: ten-second clinical ECGs with SCP statements."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from data_loaders.container.dataset import MedicalDataset
from data_loaders.ecg.protocol import ECGProtocol
from data_loaders.ecg.records import read_record
from data_loaders.protocol import Entry, load_records
from data_loaders.record_log import RecordError, RecordOutcome
from data_loaders.vetting.paths import inside
from tscl.errors import DataError, InputError, check_choice

LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
TASKS: dict[str, tuple[str, ...]] = {
    "norm_vs_abnormal": ("normal", "abnormal"),
    "norm_vs_mi": ("NORM", "MI"),
    "superclass": SUPERCLASSES,
}
PROTOCOL = ECGProtocol(
    leads=LEADS, cut="windows", window_seconds=2.5, overlap=0.5, samples_per_trial=None
)
"""Half overlapping windows of 2.5 s, or beats of up to 1.2 s; a record is a trial."""
CITE = (
    'Wagner et al., "PTB-XL, a large publicly available electrocardiography dataset", '
    "Scientific Data 2020, doi 10.1038/s41597-020-0495-6"
)
EXTRA_COLUMNS = ("strat_fold", "ecg_id", "age", "sex", "site", "device", "superclasses")


def parse_codes(text: object) -> dict[str, float]:
    """SCP statements of one row, ``{"NORM": 100.0}``, from a Python dict literal.

    Raises:
        ValueError: not a dict of names to numbers.
    """
    if not isinstance(text, str) or len(text) > 4000:
        raise ValueError("scp_codes is no short text")
    try:
        codes = ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError, TypeError):
        raise ValueError("scp_codes is no dict literal") from None
    if not isinstance(codes, dict):
        raise ValueError("scp_codes is no dict literal")
    return {str(code): float(likelihood) for code, likelihood in codes.items()}


def task_label(classes: set[str], task: str) -> int | None:
    """Class code of a record with these diagnostic superclasses; None where the task has none.

    ``norm_vs_abnormal``: abnormal as soon as any class but NORM is present. ``norm_vs_mi``: MI
    when present, else NORM when it is the only one. ``superclass``: the only one present.
    """
    if task == "superclass":
        return SUPERCLASSES.index(next(iter(classes))) if len(classes) == 1 else None
    if task == "norm_vs_mi" and classes != {"NORM"} and "MI" not in classes:
        return None
    return None if not classes else int(classes != {"NORM"})


def read_tables(folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The record table, and the superclass of each diagnostic SCP code."""
    try:
        table = pd.read_csv(folder / "ptbxl_database.csv")
        statements = pd.read_csv(folder / "scp_statements.csv", index_col=0)
    except FileNotFoundError as error:
        raise DataError("root", error.filename, "give the folder of PTB-XL's tables") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError("root", error, "the table is damaged; fetch it again") from None
    needed = {"ecg_id", "patient_id", "scp_codes", "strat_fold", "filename_lr", "filename_hr"}
    if missing := sorted(needed - set(table.columns)):
        raise DataError("ptbxl_database.csv", f"no column {missing}", "fetch the table again")
    if not {"diagnostic", "diagnostic_class"} <= set(statements.columns):
        raise DataError("scp_statements.csv", "no diagnostic_class", "fetch the table again")
    diagnostic = statements[statements["diagnostic"] == 1]["diagnostic_class"].dropna()
    return table, {str(code): str(kind) for code, kind in diagnostic.items()}


def _ids(row: Mapping[Hashable, Any], record: str) -> tuple[int, int]:
    """The record's and the patient's number."""
    try:
        number, patient = int(float(row["ecg_id"])), int(float(row["patient_id"]))
    except (TypeError, ValueError, OverflowError):
        raise RecordError(record, "bad_metadata", "no ecg_id or patient_id") from None
    if not (0 <= number < 2**53 and 0 <= patient < 2**53):
        raise RecordError(record, "bad_metadata", "ecg_id or patient_id out of range")
    return number, patient


def load_ptbxl(
    root: str | Path,
    *,
    rate: int = 100,
    task: str = "norm_vs_abnormal",
    columns: Sequence[str] = ("strat_fold",),
    ecg_ids: Sequence[int] | None = None,
    limit: int | None = None,
    cache: str | Path | None = None,
    strict: bool = False,
    **changes: Any,
) -> MedicalDataset:
    """Load PTB-XL: a record is a trial, cut into windows or heartbeats that are its samples.

    Values are in mV; standardise with :meth:`MedicalDataset.standardize`.

    Args:
        root: folder with ``ptbxl_database.csv`` and ``scp_statements.csv``.
        rate: 100 (``records100``) or 500 (``records500``).
        task: ``"norm_vs_abnormal"``, ``"norm_vs_mi"`` or ``"superclass"`` (records with exactly
            one diagnostic superclass).
        columns: columns of the table kept per sample, of :data:`EXTRA_COLUMNS`; ``superclasses``
            names all of the record's, such as ``CD;MI``, for
            :meth:`data_loaders.MedicalDataset.with_label`.
        ecg_ids: rows to read (default: all).
        limit: read the first rows only.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out. Records outside the task
            are left out either way, with a line in the log.
        **changes: fields of :class:`data_loaders.ecg.protocol.ECGProtocol` that differ from
            :data:`PROTOCOL`, such as ``cut="beats"`` (1.2 s unless said) or ``leads=["I", "II"]``.

    Returns:
        Samples (n, steps, leads) with ``.log``; trial ids are ecg ids.

    Raises:
        DataError: missing or damaged tables, or no record could be used.
        InputError: an unknown task, rate or column, or a change that the protocol does not have.
        RecordError: with ``strict``, the first bad record.
    """
    check_choice("task", task, TASKS)
    if rate not in (100, 500):
        raise InputError("rate", rate, "choose 100 or 500 Hz")
    for column in columns:
        check_choice("columns", column, EXTRA_COLUMNS)
    protocol = PROTOCOL
    if changes.get("cut") == "beats":
        protocol = replace(PROTOCOL, cut="beats", window_seconds=1.2)
    else:
        changes.pop("beat_seconds", None)  # it had no effect on windows in earlier versions
    protocol = protocol.changed(changes)
    folder = Path(root)
    table, superclass = read_tables(folder)
    if ecg_ids is not None:
        table = table[table["ecg_id"].isin(list(ecg_ids))]
    table = table.head(limit) if limit is not None else table
    places = {f"row{i}": row for i, row in enumerate(table.to_dict("records"))}
    seen: set[int] = set()

    def read(place: str, line: RecordOutcome, leads: Sequence[str] | None) -> Entry | None:
        row = places[place]
        name = line.record = str(row["filename_lr" if rate == 100 else "filename_hr"])
        number, patient = _ids(row, name)
        if number in seen:
            raise RecordError(name, "duplicate_record", f"ecg_id {number} is listed twice")
        seen.add(number)
        try:
            codes = parse_codes(row["scp_codes"])
        except (ValueError, TypeError) as error:
            raise RecordError(name, "bad_metadata", str(error)) from None
        classes = {superclass[code] for code in codes if code in superclass}
        row["superclasses"] = ";".join(sorted(classes))
        label = task_label(classes, task)
        if label is None:
            line.leave_out("no_label", f"diagnostic classes {sorted(classes)}")
            return None
        recording = read_record(inside(folder, name, name), name=name, leads=leads)
        if recording.rate != rate:
            raise RecordError(name, "mixed_rate", f"{recording.rate:g} Hz, expected {rate} Hz")
        return Entry(recording, patient, label, number, columns={key: row[key] for key in columns})

    return load_records(
        places,
        read,
        protocol,
        name="PTB-XL",
        label_names=TASKS[task],
        channels=protocol.leads,
        source={"database": "PTB-XL", "task": task, "cite": CITE},
        cache=cache,
        strict=strict,
    )
