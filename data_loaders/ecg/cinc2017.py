"""PhysioNet/CinC Challenge 2017: rhythm of short single-lead ECGs, as whole recordings."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from data_loaders.container.recordings import Recordings
from data_loaders.container.recordings_fields import int16_unit, to_int16
from data_loaders.container.recordings_storage import VERSION
from data_loaders.ecg.records import list_records, read_record
from data_loaders.ecg.signal import resample
from data_loaders.filters import as_stops, filtered
from data_loaders.record_log import RecordError, RecordLog
from data_loaders.signals import check_quality
from data_loaders.vetting.paths import inside
from tscl.disk import data_folder
from tscl.errors import DataError, InputError, is_number

LABELS = ("N", "A", "O", "~")
"""Normal, atrial fibrillation, other rhythm, too noisy."""
REFERENCES = ("REFERENCE.csv", "REFERENCE-v3.csv")
CITE = (
    'Clifford et al., "AF Classification from a Short Single Lead ECG Recording: the '
    'PhysioNet/Computing in Cardiology Challenge 2017", Computing in Cardiology 2017, '
    "doi 10.22489/CinC.2017.065-469"
)
PER_PROCESS = 2500
"""Records that take one process longer to read than another takes to start."""


@dataclass(frozen=True)
class _Preparation:
    """What is done to every record; plain values, so that it travels to other processes."""

    rate: float
    band: tuple[float | None, float | None] | None
    notch: tuple[float, ...]
    max_flat: float


@dataclass
class _Prepared:
    """A record as it is kept: 16-bit values, their unit, and what tells it from its copies."""

    values: np.ndarray
    unit: np.ndarray
    digest: str
    notes: tuple[str, ...]


def load_cinc2017(
    root: str | Path,
    *,
    rate: float = 100.0,
    records: Sequence[str] | None = None,
    band: tuple[float | None, float | None] | None = None,
    notch: float | Sequence[float] | None = None,
    max_flat: float = 1.0,
    cache: str | Path | None = None,
    n_jobs: int = -1,
    strict: bool = False,
) -> Recordings:
    """Load the challenge's records whole (Clifford et al. 2017, doi 10.22489/CinC.2017.065-469).

    The challenge names no patients: each record is a patient of its own, except that records with
    the same values are grouped under the first one's name, so that no split takes them apart;
    the log names them. Records without a line in the reference are unlabelled.

    Args:
        root: folder with ``REFERENCE.csv`` (record, label; no header) and the records, WFDB files
            in it or in its folder ``training``, at any depth.
        rate: Hz after resampling (polyphase); the records are sampled at 300 Hz.
        records: record names without folders (default: all).
        band: pass band in Hz at the record's rate, see :func:`data_loaders.filters.filtered`.
        notch: frequencies in Hz to take out, such as 50.
        max_flat: largest share of a record that may stand still, see
            :func:`data_loaders.signals.check_quality`.
        cache: folder in which what was read is kept, and read from as long as the settings, the
            reference and the files' names, sizes and times are the same. Values read from it stay
            on disk.
        n_jobs: most processes, as joblib counts them; -1: one a core. So many are started that each
            has 2,500 records or more to read.
        strict: raise on the first bad record instead of leaving it out.

    Returns:
        Recordings in mV of one channel ``ECG`` with labels of :data:`LABELS` and ``.log``.

    Raises:
        DataError: no folder or reference, a damaged reference, or no record could be used.
        InputError: ``rate`` is not positive, or a record in ``records`` that does not exist.
        RecordError: with ``strict``, the first bad record.
    """
    if not is_number(rate) or not 0 < rate < float("inf"):
        raise InputError("rate", rate, "give a positive number of Hz")
    folder, reference = _places(Path(root))
    labels = _read_reference(reference)
    names = _names(folder, labels, records)
    stops = () if notch is None else tuple(np.atleast_1d(np.asarray(notch, float)).tolist())
    how = _Preparation(float(rate), band, stops, max_flat)
    kept: Path | None = None
    if cache is not None:
        kept = Path(cache) / f"cinc2017-{_fingerprint(folder, names, labels, how)}"
        if kept.is_dir():
            data = Recordings.load(kept)
            if strict and data.log is not None and data.log.skipped:
                line = data.log.skipped[0]
                raise RecordError(line.record, line.reason, line.detail)
            return data
    data = _gather(folder, names, labels, how, n_jobs, strict)
    if kept is not None:
        data.save(kept, overwrite=True)
        return Recordings.load(kept, verify=False)
    return data


def _places(root: Path) -> tuple[Path, Path]:
    """The folder of the records and the reference file."""
    data_folder(root, "the challenge's records")
    folder = root / "training" if (root / "training").is_dir() else root
    for path in (place / name for place in (root, folder) for name in REFERENCES):
        if path.is_file():
            return folder, path
    raise DataError("root", root, f"it holds no {REFERENCES[0]}")


def _read_reference(path: Path) -> dict[str, str]:
    """Label of each record name."""
    labels: dict[str, str] = {}
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(path.name, error, "fetch the file again; it cannot be read") from None
    for number, row in enumerate(rows, start=1):
        if not row:
            continue
        if len(row) != 2:
            raise DataError(path.name, f"line {number}", "give record and label")
        name, label = row[0].strip(), row[1].strip()
        if label and label not in LABELS:
            raise DataError(path.name, f"{label!r} in line {number}", f"labels are {LABELS}")
        if labels.get(name, label) != label:
            raise DataError(path.name, f"record {name} with two labels", "keep one of the lines")
        labels[name] = label
    return labels


def _names(folder: Path, labels: dict[str, str], wanted: Sequence[str] | None) -> dict[str, str]:
    """Where each record lies below ``folder``, by name, sorted."""
    places = {Path(place).name: place for place in list_records(folder)}
    places = {**{name: name for name in labels}, **places}  # the log tells of missing files
    if wanted is not None:
        unknown = sorted(set(wanted) - set(places))
        if unknown:
            raise InputError("records", unknown[:5], "name records of the folder or reference")
        places = {name: places[name] for name in wanted}
    return dict(sorted(places.items()))


def _fingerprint(
    folder: Path, names: dict[str, str], labels: dict[str, str], how: _Preparation
) -> str:
    """Changes with the settings, the labels and the files' names, sizes and times."""
    state = hashlib.sha256(repr((VERSION, how, sorted(labels.items()))).encode())
    for name, place in names.items():
        for ending in (".hea", ".mat", ".dat"):
            path = folder / (place + ending)
            if path.is_file():
                stat = path.stat()
                state.update(json.dumps([name, ending, stat.st_size, stat.st_mtime_ns]).encode())
    return state.hexdigest()[:16]


def _gather(
    folder: Path,
    names: dict[str, str],
    labels: dict[str, str],
    how: _Preparation,
    n_jobs: int,
    strict: bool,
) -> Recordings:
    """Read all records and put them one after the other, with the log."""
    log = RecordLog("CinC 2017")
    parts: list[_Prepared] = []
    fields: dict[str, list[str]] = {"record": [], "label": [], "patient": []}
    first: dict[str, str] = {}
    for name, read in zip(names, _read_all(folder, names, how, n_jobs), strict=True):
        with log.attempt(name, strict=strict) as line:
            if isinstance(read, RecordError):
                raise read
            patient = first.setdefault(read.digest, name)
            copy = [] if patient == name else [f"same values as record {patient}, one patient"]
            line.detail = "; ".join([*copy, *read.notes])
            parts.append(read)
            fields["record"].append(name)
            fields["label"].append(labels.get(name, ""))
            fields["patient"].append(patient)
    log.require_any()
    source: dict[str, Any] = {"database": "PhysioNet/CinC Challenge 2017", "rate": how.rate}
    filters: dict[str, Any] = {} if how.band is None else {"band": list(how.band)}
    filters |= {"notch": as_stops(how.notch)} if as_stops(how.notch) else {}
    return Recordings(
        np.concatenate([part.values for part in parts]),
        [len(part.values) for part in parts],
        how.rate,
        scale=np.stack([part.unit for part in parts]),
        record=fields["record"],
        label=fields["label"],
        patient=fields["patient"],
        label_names=LABELS,
        channel_names=["ECG"],
        name="CinC 2017",
        source={**source, **filters, "cite": CITE},
        log=log,
    )


def _read_all(
    folder: Path, names: dict[str, str], how: _Preparation, n_jobs: int
) -> list[_Prepared | RecordError]:
    """Every record or why it cannot be used, in order, by several processes where that pays."""
    from joblib import Parallel, delayed, effective_n_jobs

    items = list(names.items())
    processes = min(int(effective_n_jobs(n_jobs)), len(items) // PER_PROCESS)
    if processes <= 1:
        return _read_some(folder, items, how)
    cuts = np.linspace(0, len(items), processes + 1).astype(int).tolist()
    pieces = [items[start:stop] for start, stop in pairwise(cuts)]
    read = Parallel(n_jobs=processes)(delayed(_read_some)(folder, piece, how) for piece in pieces)
    return [record for piece in read for record in piece]


def _read_some(
    folder: Path, items: Sequence[tuple[str, str]], how: _Preparation
) -> list[_Prepared | RecordError]:
    outcomes: list[_Prepared | RecordError] = []
    for name, place in items:
        try:
            outcomes.append(_read(folder, name, place, how))
        except RecordError as error:
            outcomes.append(error)
    return outcomes


def _read(folder: Path, name: str, place: str, how: _Preparation) -> _Prepared:
    """One record: checked, filtered, resampled, as 16-bit values."""
    record = read_record(inside(folder, place, name), name=name)
    if record.signal.shape[1] != 1:
        detail = f"{record.signal.shape[1]} signals, expected one lead"
        raise RecordError(name, "unsupported_format", detail)
    if how.rate > record.rate:
        detail = f"{record.rate:g} Hz, less than the {how.rate:g} Hz asked for"
        raise RecordError(name, "mixed_rate", detail)
    digest = record.digest()
    record = check_quality(record, max_flat=how.max_flat)
    signal = filtered(record.signal, record.rate, band=how.band, notch=how.notch)
    signal = resample(signal, record.rate, how.rate)
    unit = int16_unit(signal)
    return _Prepared(to_int16(signal, unit), unit, digest, record.notes)
