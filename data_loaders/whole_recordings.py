"""One's own WFDB records, listed in a table, as whole recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container.recordings import Recordings
from data_loaders.container.recordings_fields import int16_unit, to_int16
from data_loaders.ecg.records import read_record
from data_loaders.ecg.signal import resample
from data_loaders.filters import filtered
from data_loaders.own_recordings import Table, read_record_table
from data_loaders.record_log import RecordError, RecordLog
from data_loaders.signals import check_quality
from data_loaders.vetting.paths import inside
from tscl.errors import InputError, is_number


def load_wfdb_recordings(
    root: str | Path,
    table: Table = "labels.csv",
    *,
    leads: Sequence[str] | None = None,
    rate: float | None = None,
    band: tuple[float | None, float | None] | None = None,
    notch: float | Sequence[float] | None = None,
    label_names: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    unlabelled: str = "keep",
    max_flat: float = 1.0,
    name: str = "WFDB",
    strict: bool = False,
) -> Recordings:
    """Load the WFDB records of a table whole, in mV.

    Args:
        root: folder the records lie below.
        table: a frame or file with columns ``record``, ``patient`` and ``label``; see
            :func:`data_loaders.own_recordings.read_record_table`.
        leads: lead names in the order of the channels; by default those of the first record.
        rate: Hz after resampling; None keeps the files' rate, which must be one.
        band: pass band in Hz at the record's rate, see :func:`data_loaders.filters.filtered`.
        notch: frequencies in Hz to take out, such as 50.
        label_names: classes in the order of their codes (default: sorted names).
        columns: the table's own names of the three columns.
        unlabelled: ``"keep"`` records without a label (code -1) or ``"skip"`` them.
        max_flat: see :func:`data_loaders.ecg.signal.check_quality`.
        name: name of the data set.
        strict: raise on the first bad record instead of leaving it out.

    Raises:
        DataError: no such folder or table, a column missing, or no record could be used.
        InputError: a rate or frequencies that cannot be.
        RecordError: with ``strict``, the first bad record.
    """
    if rate is not None and (not is_number(rate) or not 0 < rate < float("inf")):
        raise InputError("rate", rate, "give a positive number of Hz, or None for the files' own")
    folder = Path(root)
    listed = read_record_table(
        table, folder, columns=columns, label_names=label_names, unlabelled=unlabelled
    )
    log, seen = RecordLog(name), set[str]()
    used, common = leads, rate
    values: list[np.ndarray] = []
    units: list[np.ndarray] = []
    rows: list[tuple[str, str, int, Mapping[str, Any]]] = []
    for row in listed.rows:
        record_name = row.record.removesuffix(".hea").removesuffix(".dat")
        label = listed.code(replace(row, record=record_name))
        if label is None:
            log.skip(record_name, "no_label", "none of the classes")
            continue
        with log.attempt(record_name, strict=strict) as line:
            if record_name in seen:
                raise RecordError(record_name, "duplicate_record", "listed twice")
            seen.add(record_name)
            place = inside(folder, record_name, record_name)
            record = read_record(place, name=record_name, leads=used)
            record = check_quality(record, max_flat=max_flat)
            wanted = record.rate if common is None else float(common)
            if rate is None and record.rate != wanted:
                detail = f"{record.rate:g} Hz, the first record read has {wanted:g} Hz"
                raise RecordError(record_name, "mixed_rate", detail)
            signal = filtered(record.signal, record.rate, band=band, notch=notch)
            signal = resample(signal, record.rate, wanted)
            used, common = used or record.channels, wanted
            units.append(int16_unit(signal))
            values.append(to_int16(signal, units[-1]))
            rows.append((record_name, row.patient or record_name, label, row.columns))
            line.detail = "; ".join(record.notes)
    log.require_any()
    assert used is not None
    assert common is not None
    names, patients, labels, others = zip(*rows, strict=True)
    return Recordings(
        np.concatenate(values),
        [len(value) for value in values],
        common,
        scale=np.stack(units),
        label=labels,
        record=names,
        patient=patients,
        label_names=listed.classes,
        channel_names=used,
        columns=pd.DataFrame(list(others)),
        name=name,
        source={"format": "WFDB", "unit": "mV", "rate": common, "band": band, "notch": notch},
        log=log,
    )
