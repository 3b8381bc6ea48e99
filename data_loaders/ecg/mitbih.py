"""MIT-BIH Arrhythmia Database: annotated beats in the AAMI classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_loaders.container.collect import SampleCollector, each_record
from data_loaders.container.dataset import MedicalDataset
from data_loaders.ecg.records import list_records, read_record
from data_loaders.ecg.signal import (
    check_count,
    check_quality,
    check_rate,
    choose_leads,
    group_trials,
    resample,
)
from data_loaders.filters import filter_source, filtered
from data_loaders.record_log import RecordError, RecordLog, RecordOutcome
from data_loaders.vetting.paths import inside
from tscl.errors import DataError, InputError

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
CLASSES = ("N", "S", "V", "F", "Q")


def read_beats(path: Path, record: str, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and AAMI classes of the annotated beats of one record.

    Returns:
        (n,) int64 steps and (n,) one-letter classes.

    Raises:
        RecordError: ``missing_annotation``, ``corrupt_file``, or ``length_mismatch`` for beats
            behind the end of the signal.
    """
    import wfdb

    file = path.with_name(path.name + ".atr")
    if not file.is_file():
        raise RecordError(record, "missing_annotation", f"no file {file.name}")
    try:
        notes = wfdb.rdann(str(path.absolute()), "atr")
        symbols, at = list(notes.symbol), np.asarray(notes.sample, np.int64)
    except Exception as error:
        detail = f"{file.name} cannot be decoded: {type(error).__name__}"
        raise RecordError(record, "corrupt_file", detail) from None
    keep = np.asarray([one in AAMI for one in symbols], bool)
    at = at[keep]
    if len(at) and (at.min() < 0 or at.max() >= n_steps):
        raise RecordError(
            record, "length_mismatch", f"a beat at step {int(at.max())} of {n_steps} steps"
        )
    return at, np.asarray([AAMI[one] for one in symbols if one in AAMI], dtype=str)


def load_mitbih(
    root: str | Path,
    *,
    records: Sequence[str] | None = None,
    leads: Sequence[str] = ("MLII",),
    classes: Sequence[str] = CLASSES,
    before_seconds: float = 0.4,
    after_seconds: float = 0.6,
    beats_per_trial: int = 10,
    keep_remainder: bool = True,
    target_rate: float | None = None,
    band: tuple[float | None, float | None] | None = None,
    notch: float | Sequence[float] | None = None,
    max_flat: float = 0.5,
    max_gap_seconds: float = 0.1,
    cache: str | Path | None = None,
    strict: bool = False,
) -> MedicalDataset:
    """Load annotated beats: a sample is a window around a beat, a trial some beats in a row.

    Values are in mV; standardise with :meth:`MedicalDataset.standardize`.

    Args:
        root: folder with the records.
        records: names, such as :data:`DS1` (default: all but the paced ones).
        leads: lead names; ``"V1|V5"`` takes the first one a record has.
        classes: AAMI classes that are kept, in the order of the label codes.
        before_seconds: from the start of a sample to its beat.
        after_seconds: from the beat to the end of the sample.
        beats_per_trial: neighbouring kept beats that make a trial.
        keep_remainder: keep a record's last, shorter trial.
        target_rate: Hz after resampling; None keeps the files' rate.
        band: pass band in Hz at the record's rate, see :func:`data_loaders.filters.filtered`.
        notch: frequencies in Hz to take out, such as 50.
        max_flat: see :func:`data_loaders.ecg.signal.check_quality`.
        max_gap_seconds: see :func:`data_loaders.ecg.signal.check_quality`.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out.

    Returns:
        Samples (n, steps, leads) with columns ``record`` and ``split`` (DS1, DS2 or empty) and
        ``.log``. The patient id is the record's name; 201 and 202 are one person, "201".

    Raises:
        DataError: no folder, or no record could be used.
        InputError: unknown classes or a window that is not positive.
        RecordError: with ``strict``, the first bad record.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise DataError("root", root, "give the folder of the MIT-BIH records")
    if not classes or len(set(classes)) != len(classes) or not set(classes) <= set(CLASSES):
        raise InputError("classes", classes, f"choose among {CLASSES}")
    if not (before_seconds >= 0 and after_seconds > 0):
        raise InputError("before_seconds, after_seconds", (before_seconds, after_seconds), "raise")
    check_rate(target_rate)
    check_count("beats_per_trial", beats_per_trial)
    listed = [one for one in list_records(folder) if one not in PACED]
    names = [str(one) for one in (listed if records is None else records)]
    log = RecordLog("MIT-BIH")
    samples = SampleCollector(log, cache)
    rates: list[float] = []

    def read(name: str, line: RecordOutcome) -> None:
        path = inside(folder, name, name)
        record = choose_leads(read_record(path, name=name), leads)
        at, kind = read_beats(path, name, len(record.signal))
        record = check_quality(record, max_flat=max_flat, max_gap_seconds=max_gap_seconds)
        samples.refuse_copies(record)
        rate = record.rate if target_rate is None else float(target_rate)
        if rates and rate != rates[0]:
            raise RecordError(
                name, "mixed_rate", f"{rate:g} Hz, the first record read has {rates[0]:g} Hz"
            )
        signal = filtered(record.signal, record.rate, band=band, notch=notch)
        signal = resample(signal, record.rate, rate)
        at = np.round(at * rate / record.rate).astype(np.int64)
        before, after = round(before_seconds * rate), round(after_seconds * rate)
        keep = np.isin(kind, list(classes)) & (at >= before) & (at + after <= len(signal))
        at, kind = at[keep], kind[keep]
        trial = group_trials(len(at), beats_per_trial, keep_remainder=keep_remainder)
        if not len(trial):
            raise RecordError(name, "no_beats", f"{len(at)} beats of classes {list(classes)}")
        rates.append(rate)
        at, kind = at[: len(trial)], kind[: len(trial)]
        code = {one: i for i, one in enumerate(classes)}
        samples.add(
            signal[at[:, None] + np.arange(-before, after)[None]],
            label=[code[one] for one in kind.tolist()],
            patient=SAME_SUBJECT.get(name, name),
            trial=[f"{name}#{number}" for number in trial],
            sampling_rate=rate,
            record=name,
            split="DS1" if name in DS1 else "DS2" if name in DS2 else "",
        )
        line.detail = "; ".join([f"{len(trial)} beats", *record.notes])

    each_record(names, log, read, strict)
    return samples.dataset(
        label_names=tuple(classes),
        channel_names=leads,
        name="MIT-BIH",
        source={
            "database": "MIT-BIH Arrhythmia Database",
            "before_seconds": before_seconds,
            "after_seconds": after_seconds,
            "beats_per_trial": beats_per_trial,
            **filter_source(band, notch),
        },
    )
