"""PTB-XL: ten-second clinical ECGs with SCP statements."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from data_loaders.container.collect import SampleCollector, each_record
from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.windows import cut_windows
from data_loaders.ecg.records import read_record
from data_loaders.ecg.signal import beats_of, check_quality, choose_leads
from data_loaders.filters import filter_source, filtered
from data_loaders.record_log import RecordError, RecordLog, RecordOutcome
from data_loaders.vetting.paths import inside
from tscl.errors import DataError, InputError, nearest

LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
TASKS: dict[str, tuple[str, ...]] = {
    "norm_vs_abnormal": ("normal", "abnormal"),
    "norm_vs_mi": ("NORM", "MI"),
    "superclass": SUPERCLASSES,
}
EXTRA_COLUMNS = ("strat_fold", "ecg_id", "age", "sex", "site", "device")


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


def load_ptbxl(
    root: str | Path,
    *,
    rate: int = 100,
    task: str = "norm_vs_abnormal",
    cut: str = "windows",
    window_seconds: float = 2.5,
    overlap: float = 0.5,
    beat_seconds: float = 1.2,
    leads: Sequence[str] = LEADS,
    columns: Sequence[str] = ("strat_fold",),
    ecg_ids: Sequence[int] | None = None,
    limit: int | None = None,
    band: tuple[float | None, float | None] | None = None,
    notch: float | Sequence[float] | None = None,
    max_flat: float = 0.5,
    max_gap_seconds: float = 0.1,
    detector: str = "neurokit",
    cache: str | Path | None = None,
    strict: bool = False,
) -> MedicalDataset:
    """Load PTB-XL: a record is a trial, cut into windows or heartbeats that are its samples.

    Values are in mV; standardise with :meth:`MedicalDataset.standardize`.

    Args:
        root: folder with ``ptbxl_database.csv`` and ``scp_statements.csv``.
        rate: 100 (``records100``) or 500 (``records500``).
        task: ``"norm_vs_abnormal"``, ``"norm_vs_mi"`` or ``"superclass"`` (records with exactly
            one diagnostic superclass).
        cut: ``"windows"`` of fixed length or ``"beats"`` around R peaks (zero padded).
        window_seconds: length of a window.
        overlap: share of a window the next one repeats, in [0, 1).
        beat_seconds: length of a padded beat; records of a longer median RR are left out.
        leads: lead names, in the order of the channels.
        columns: columns of the table kept per sample, of :data:`EXTRA_COLUMNS`.
        ecg_ids: rows to read (default: all).
        limit: read the first rows only.
        band: pass band in Hz at the record's rate, see :func:`data_loaders.filters.filtered`.
        notch: frequencies in Hz to take out, such as 50.
        max_flat: see :func:`data_loaders.ecg.signal.check_quality`.
        max_gap_seconds: see :func:`data_loaders.ecg.signal.check_quality`.
        detector: R peak method of neurokit2, for beats.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out. Records outside the task
            are left out either way, with a line in the log.

    Returns:
        Samples (n, steps, leads) with ``.log``; trial ids are ecg ids.

    Raises:
        DataError: missing or damaged tables, or no record could be used.
        InputError: an unknown task, rate, cut or column.
        RecordError: with ``strict``, the first bad record.
    """
    if task not in TASKS:
        raise InputError("task", task, nearest(task, TASKS))
    if rate not in (100, 500):
        raise InputError("rate", rate, "choose 100 or 500 Hz")
    if cut not in ("windows", "beats"):
        raise InputError("cut", cut, "choose 'windows' or 'beats'")
    for column in columns:
        if column not in EXTRA_COLUMNS:
            raise InputError("columns", column, nearest(column, EXTRA_COLUMNS))
    folder = Path(root)
    table, superclass = read_tables(folder)
    if ecg_ids is not None:
        table = table[table["ecg_id"].isin(list(ecg_ids))]
    table = table.head(limit) if limit is not None else table
    rows = table.to_dict("records")
    places = {f"row{i}": row for i, row in enumerate(rows)}
    log = RecordLog("PTB-XL")
    samples = SampleCollector(log, cache)
    steps = round((window_seconds if cut == "windows" else beat_seconds) * rate)
    file_column = "filename_lr" if rate == 100 else "filename_hr"
    seen: set[int] = set()

    def read(place: str, line: RecordOutcome) -> None:
        row = places[place]
        name = line.record = str(row[file_column])
        number, patient = row["ecg_id"], row["patient_id"]
        try:
            number, patient = int(float(number)), int(float(patient))
        except (TypeError, ValueError, OverflowError):
            raise RecordError(name, "bad_metadata", "no ecg_id or patient_id") from None
        if not (0 <= number < 2**53 and 0 <= patient < 2**53):
            raise RecordError(name, "bad_metadata", "ecg_id or patient_id out of range")
        if number in seen:
            raise RecordError(name, "duplicate_record", f"ecg_id {number} is listed twice")
        seen.add(number)
        try:
            codes = parse_codes(row["scp_codes"])
        except (ValueError, TypeError) as error:
            raise RecordError(name, "bad_metadata", str(error)) from None
        classes = {superclass[code] for code in codes if code in superclass}
        label = task_label(classes, task)
        if label is None:
            line.status, line.reason = "skipped", "no_label"
            line.detail = f"diagnostic classes {sorted(classes)}"
            return
        record = read_record(inside(folder, name, name), name=name)
        if record.rate != rate:
            raise RecordError(name, "mixed_rate", f"{record.rate:g} Hz, expected {rate} Hz")
        record = check_quality(
            choose_leads(record, leads), max_flat=max_flat, max_gap_seconds=max_gap_seconds
        )
        samples.refuse_copies(record)
        record.signal = filtered(record.signal, record.rate, band=band, notch=notch)
        if cut == "beats":
            values = beats_of(record, steps, method=detector)
        elif len(record.signal) < steps:
            raise RecordError(name, "too_short", f"{len(record.signal)} of {steps} steps")
        else:
            values = cut_windows(record.signal[None], steps, overlap)
        samples.add(
            values,
            label=label,
            patient=patient,
            trial=number,
            sampling_rate=float(rate),
            **{column: row[column] for column in columns},
        )
        line.detail = "; ".join([f"{len(values)} samples", *record.notes])

    each_record(places, log, read, strict)
    return samples.dataset(
        label_names=TASKS[task],
        channel_names=leads,
        name="PTB-XL",
        source={
            "database": "PTB-XL",
            "task": task,
            "cut": cut,
            "window_seconds": steps / rate,
            "overlap": overlap if cut == "windows" else None,
            **filter_source(band, notch),
        },
    )
