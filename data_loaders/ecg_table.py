"""WFDB records of one's own, listed in a table of record, patient and label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_loaders.collect import SampleCollector, each_record
from data_loaders.container import MedicalDataset
from data_loaders.ecg import (
    beats_of,
    check_count,
    check_quality,
    check_rate,
    choose_leads,
    group_trials,
    resample,
)
from data_loaders.filters import filter_source, filtered
from data_loaders.record_log import RecordError, RecordLog, RecordOutcome
from data_loaders.record_table import Table, read_record_table
from data_loaders.wfdb_records import inside, read_record
from data_loaders.windows import cut_windows
from tscl.errors import InputError


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
            :func:`data_loaders.record_table.read_record_table`. Nothing else is read.
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
        max_flat: see :func:`data_loaders.ecg.check_quality`.
        max_gap_seconds: see :func:`data_loaders.ecg.check_quality`.
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
