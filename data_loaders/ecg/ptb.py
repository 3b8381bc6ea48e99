"""PTB Diagnostic ECG Database: myocardial infarction against healthy control, beat by beat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_loaders.container.collect import SampleCollector, each_record
from data_loaders.container.dataset import MedicalDataset
from data_loaders.ecg.records import WfdbRecord, list_records, read_record
from data_loaders.ecg.signal import (
    beats_of,
    check_quality,
    choose_leads,
    group_trials,
    resample,
    standardize_record,
)
from data_loaders.filters import filter_source, filtered
from data_loaders.record_log import RecordError, RecordLog, RecordOutcome
from data_loaders.vetting.paths import inside
from tscl.errors import DataError

LEADS = (
    *("i", "ii", "iii", "avr", "avl", "avf"),
    *("v1", "v2", "v3", "v4", "v5", "v6", "vx", "vy", "vz"),
)
CLASSES = ("healthy control", "myocardial infarction")


def diagnosis(record: WfdbRecord) -> str | None:
    """Class of the header's "Reason for admission": one of :data:`CLASSES`, or None.

    Raises:
        RecordError: ``no_label`` when the header has no such comment.
    """
    for comment in record.comments:
        key, colon, value = comment.partition(":")
        if colon and key.strip().lower() == "reason for admission":
            text = " ".join(value.lower().split())
            return next((one for one in CLASSES if text == one), None)
    raise RecordError(record.name, "no_label", "the header names no reason for admission")


def load_ptb(
    root: str | Path,
    *,
    records: Sequence[str] | None = None,
    leads: Sequence[str] = LEADS,
    target_rate: float = 250.0,
    resample_how: str = "polyphase",
    beat_steps: int = 300,
    beats_per_trial: int = 10,
    detector: str = "neurokit",
    band: tuple[float | None, float | None] | None = None,
    notch: float | Sequence[float] | None = None,
    max_flat: float = 0.5,
    max_gap_seconds: float = 0.1,
    cache: str | Path | None = None,
    strict: bool = False,
) -> MedicalDataset:
    """Load PTB as COMET prepares it (arXiv 2310.14017): a sample is a beat, a trial ten beats.

    Each record is resampled to ``target_rate``, each lead standardised over the record, R peaks
    found per lead; a beat is the position the leads agree on plus and minus half the median RR,
    zero padded in the middle of ``beat_steps``. Records whose median RR is longer are left out,
    as is what remains after the last whole trial.

    Args:
        root: folder with ``RECORDS`` or with ``patientNNN/*.hea``.
        records: record names below root, ``patient001/s0010_re`` (default: all).
        leads: lead names, in the order of the channels.
        target_rate: Hz after resampling.
        resample_how: ``"polyphase"``, or ``"linear"`` as the public code does.
        beat_steps: steps per sample.
        beats_per_trial: neighbouring beats that make a trial.
        detector: R peak method of neurokit2.
        band: pass band in Hz at the record's rate, see :func:`data_loaders.filters.filtered`.
        notch: frequencies in Hz to take out, such as 50.
        max_flat: see :func:`data_loaders.ecg.signal.check_quality`.
        max_gap_seconds: see :func:`data_loaders.ecg.signal.check_quality`.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out. Records of another
            diagnosis are left out either way, with a line in the log.

    Returns:
        Samples (n, beat_steps, leads) with labels 0 healthy, 1 infarction, and ``.log``. The
        patient id is the record's folder.

    Raises:
        DataError: no folder, or no record could be used.
        RecordError: with ``strict``, the first bad record.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise DataError("root", root, "give the folder of the PTB database")
    log = RecordLog("PTB")
    samples = SampleCollector(log, cache)

    def read(name: str, line: RecordOutcome) -> None:
        record = read_record(inside(folder, name, name), name=name)
        label = diagnosis(record)
        if label is None:
            line.status, line.reason = "skipped", "no_label"
            line.detail = "another diagnosis"
            return
        record = check_quality(
            choose_leads(record, leads), max_flat=max_flat, max_gap_seconds=max_gap_seconds
        )
        samples.refuse_copies(record)
        record.signal = filtered(record.signal, record.rate, band=band, notch=notch)
        record.signal = resample(record.signal, record.rate, target_rate, resample_how)
        record.signal, record.rate = standardize_record(record.signal), target_rate
        beats = beats_of(record, beat_steps, method=detector)
        trial = group_trials(len(beats), beats_per_trial)
        if not len(trial):
            raise RecordError(name, "too_short", f"{len(beats)} of {beats_per_trial} beats")
        samples.add(
            beats[: len(trial)],
            label=CLASSES.index(label),
            patient=Path(name).parent.name or name,
            trial=[f"{name}#{number}" for number in trial],
            sampling_rate=target_rate,
            record=name,
        )
        line.detail = "; ".join([f"{len(trial)} beats", *record.notes])

    each_record(records if records is not None else list_records(folder), log, read, strict)
    return samples.dataset(
        label_names=CLASSES,
        channel_names=leads,
        name="PTB",
        source={
            "database": "PTB Diagnostic ECG Database",
            "target_rate": target_rate,
            "resample": resample_how,
            "beat_steps": beat_steps,
            "beats_per_trial": beats_per_trial,
            "detector": detector,
            **filter_source(band, notch),
        },
    )
