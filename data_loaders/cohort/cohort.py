"""Generated cohorts with known truth, written as WFDB or EDF files and read back.

A cohort is a folder::

    cohort.json        settings, one entry a patient (label, file, checksums, true figures) and
                       one a trial (steps, artefact, leads off)
    participants.csv   the patients' part of it as a table
    patient001/...     WFDB records with PTB's header comments, R waves in .atr, and RECORDS
    sub-001/eeg/...    or EDF+ recordings, one annotation a trial

Nothing in it is anybody's data. See :class:`CohortConfig` for what the settings change.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.cohort.config import LABEL_NAMES, CohortConfig
from data_loaders.cohort.files import patient_name, record_path, write_recording
from data_loaders.cohort.patients import generate, patient_labels
from data_loaders.container.collect import SampleCollector, each_record
from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.windows import cut_windows
from data_loaders.ecg.records import read_record
from data_loaders.eeg.recording import read_eeg
from data_loaders.record_log import RecordError, RecordLog, RecordOutcome
from data_loaders.vetting.paths import inside
from tscl.disk import new_folder, sha256_of
from tscl.errors import ConfigError, DataError, InputError, check_choice

__all__ = ["CohortConfig", "load_cohort", "make_cohort", "read_truth"]

FORMAT, VERSION = "generated cohort", 1


def make_cohort(
    out_dir: str | Path,
    config: CohortConfig | None = None,
    *,
    overwrite: bool = False,
    **settings: Any,
) -> Path:
    """Generate a cohort and write it to ``out_dir``.

    Equal settings and seed write files that are equal byte for byte. The folder appears only
    when it is complete.

    Args:
        out_dir: folder to create.
        config: the settings; or give them one by one.
        overwrite: replace ``out_dir`` when it holds an earlier cohort.
        **settings: fields of :class:`CohortConfig`, such as ``kind="eeg"``; they take precedence
            over ``config``.

    Returns:
        ``out_dir``.

    Raises:
        ConfigError: an unknown setting or a value outside its range.
        InputError: ``out_dir`` exists and is not empty, or not a cohort with ``overwrite``.
        WriteError: it cannot be written.

    Example:
        >>> import tempfile
        >>> folder = make_cohort(tempfile.mkdtemp() + "/demo", n_patients=4, trials_per_patient=2)
        >>> load_cohort(folder).n_channels
        12
    """
    base: dict[str, Any] = {} if config is None else config.as_dict()
    if base and settings.get("kind", base["kind"]) != base["kind"]:
        base.update(sampling_rate=0, n_channels=0)
    config = CohortConfig.from_dict({**base, **settings})
    target = Path(out_dir)
    _check_target(target, overwrite)
    with new_folder(target) as folder:
        _write(folder, config)
    return target


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise InputError("out_dir", target, "this is a file; name a folder")
    if not any(target.iterdir()):
        return
    if not overwrite:
        remedy = "it is not empty; name another or pass overwrite=True (--overwrite)"
        raise InputError("out_dir", target, remedy)
    try:
        read_truth(target)
    except DataError:
        raise InputError(
            "out_dir", target, "it holds something else than a cohort and is not overwritten"
        ) from None


def _write(root: Path, config: CohortConfig) -> None:
    patients, trials = [], []
    labels = patient_labels(config).tolist()
    for index, label in enumerate(labels):
        recording = generate(config, index, label)
        files = write_recording(root, config, index, label, recording)
        name = patient_name(config, index)
        patients.append(
            {
                "participant_id": name,
                "group": LABEL_NAMES[label],
                "label": label,
                "file": record_path(config, index),
                "sha256": {str(f.relative_to(root).as_posix()): sha256_of(f) for f in files},
                "truth": {key: round(value, 9) for key, value in recording.properties.items()},
            }
        )
        for number, trial in enumerate(recording.trials):
            trials.append(
                {
                    "participant_id": name,
                    "trial": number,
                    "start": number * config.trial_steps,
                    "stop": (number + 1) * config.trial_steps,
                    "artefact": trial.artefact,
                    "lead_off": list(trial.lead_off),
                }
            )
    truth = {
        "format": FORMAT,
        "version": VERSION,
        "config": config.as_dict(),
        "label_names": list(LABEL_NAMES),
        "channel_names": list(config.channel_names),
        "unit": config.unit,
        "patients": patients,
        "trials": trials,
    }
    (root / "cohort.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    rows = [
        {key: patient[key] for key in ("participant_id", "group", "label", "file")}
        | patient["truth"]
        for patient in patients
    ]
    pd.DataFrame(rows).to_csv(root / "participants.csv", index=False, lineterminator="\n")
    if config.kind == "ecg":
        names = "".join(f"{patient['file']}\n" for patient in patients)
        (root / "RECORDS").write_text(names, encoding="utf-8")


def read_truth(directory: str | Path) -> dict[str, Any]:
    """The content of ``cohort.json``, checked, with ``config`` as a :class:`CohortConfig`.

    Raises:
        DataError: the file is missing, damaged, or of another version.
    """
    path = Path(directory) / "cohort.json"
    if not path.is_file():
        raise DataError("cohort", directory, "no cohort.json here; make one with make_cohort")
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
        if truth["format"] != FORMAT or truth["version"] != VERSION:
            value = f"{truth['format']} version {truth['version']}"
            raise DataError("cohort.json", value, f"this release reads version {VERSION}")
        truth["config"] = CohortConfig.from_dict(truth["config"])
        for patient in truth["patients"]:
            (
                str(patient["participant_id"]),
                int(patient["label"]),
                str(patient["file"]),
                dict(patient["sha256"]),
            )
        for trial in truth["trials"]:
            str(trial["participant_id"]), str(trial["artefact"]), int(trial["trial"])
        list(truth["channel_names"]), list(truth["label_names"])
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        if isinstance(error, DataError) and not isinstance(error, ConfigError):
            raise
        raise DataError(
            "cohort.json", repr(error), "it is damaged; make the cohort again"
        ) from None
    return dict(truth)


def load_cohort(
    directory: str | Path,
    *,
    window: int | None = None,
    overlap: float = 0.5,
    flat: str = "skip",
    verify: bool = True,
    strict: bool = False,
) -> MedicalDataset:
    """Read a generated cohort.

    Args:
        directory: what :func:`make_cohort` wrote.
        window: steps a sample; by default 1.2 s of ECG (a whole beat) or 1 s of EEG, at most a
            trial.
        overlap: share of a window that the next one repeats, in [0, 1).
        flat: ``"skip"`` leaves out trials with a constant channel, one line each in the log;
            ``"keep"`` keeps them.
        verify: compare every file's SHA-256 with ``cohort.json``.
        strict: raise on the first bad record or flat trial instead of leaving it out.

    Returns:
        Samples (n, window, n_channels) in mV (ECG) or uV (EEG), not standardised, with labels
        0 healthy and 1 disease, ``patient`` and ``trial`` ids, and the column ``artefact``.

    Raises:
        DataError: no cohort here, or no record could be used.
        RecordError: with ``strict``, the first bad record.
        InputError: a window longer than a trial, or an overlap outside [0, 1).
    """
    check_choice("flat", flat, ("skip", "keep"))
    root = Path(directory)
    truth = read_truth(root)
    config: CohortConfig = truth["config"]
    seconds = 1.2 if config.kind == "ecg" else 1.0
    steps = min(config.trial_steps, round(seconds * config.sampling_rate))
    steps = steps if window is None else window
    per_trial = len(cut_windows(np.zeros((1, config.trial_steps, 1)), steps, overlap))
    by_id = {str(patient["participant_id"]): patient for patient in truth["patients"]}
    artefact = {
        (str(trial["participant_id"]), int(trial["trial"])): str(trial["artefact"])
        for trial in truth["trials"]
    }
    log = RecordLog(f"generated {config.kind.upper()} cohort")
    samples = SampleCollector(log)

    def read(name: str, line: RecordOutcome) -> None:
        entry = by_id[name]
        signal = _read_signal(root, name, entry, config, verify)
        trials = signal.reshape(config.trials_per_patient, config.trial_steps, -1)
        keep = np.ones(len(trials), bool)
        if flat == "skip":
            keep = _live_trials(name, trials, config.channel_names, log, strict)
        kept = np.flatnonzero(keep)
        owner = np.repeat(kept, per_trial).tolist()
        samples.add(
            cut_windows(trials[keep], steps, overlap),
            label=int(entry["label"]),
            patient=name,
            trial=[f"{name}/{number}" for number in owner],
            sampling_rate=float(config.sampling_rate),
            artefact=[artefact.get((name, number), "") for number in owner],
        )
        line.detail = f"{len(kept)} trials, {len(owner)} samples"

    each_record(list(by_id), log, read, strict)
    return samples.dataset(
        label_names=truth["label_names"],
        channel_names=truth["channel_names"],
        name=f"generated {config.kind.upper()}",
        source={
            "generated": config.as_dict(),
            "unit": config.unit,
            "window": steps,
            "overlap": overlap,
        },
    )


def _live_trials(
    name: str, trials: np.ndarray, channels: Sequence[str], log: RecordLog, strict: bool
) -> np.ndarray:
    """(n,) trials without a constant channel; the others get a line each in the log."""
    dead = (trials == trials[:, :1]).all(axis=1)
    for number in np.flatnonzero(dead.any(axis=1)).tolist():
        off = [c for c, is_dead in zip(channels, dead[number], strict=True) if is_dead]
        error = RecordError(f"{name}/{number}", "flat_lead", f"constant: {', '.join(off)}")
        log.skip(error.record, error.reason, error.detail)
        if strict:
            raise error
    if dead.any(axis=1).all():
        raise RecordError(name, "flat_lead", "every trial has a constant channel")
    return np.asarray(~dead.any(axis=1))


def _read_signal(
    root: Path, name: str, entry: dict[str, Any], config: CohortConfig, verify: bool
) -> np.ndarray:
    """One patient's recording, (n_steps, n_channels), checked against the cohort's settings."""
    path = inside(root, str(entry["file"]), name)
    if config.kind == "ecg":
        record = read_record(path, name=name)
        signal, rate, channels = record.signal, record.rate, record.channels
    else:
        recording = read_eeg(path, name=name, channels=config.channel_names, check=False)
        signal, rate, channels = recording.signal, recording.rate, recording.channels
    if tuple(channels) != config.channel_names:
        raise RecordError(name, "missing_channel", f"channels {', '.join(channels)}")
    if rate != config.sampling_rate:
        raise RecordError(name, "mixed_rate", f"{rate:g} Hz, the cohort has {config.sampling_rate}")
    if len(signal) != config.n_steps:
        raise RecordError(name, "length_mismatch", f"{len(signal)} of {config.n_steps} steps")
    for file, digest in entry["sha256"].items() if verify else ():
        where = inside(root, str(file), name)
        if not where.is_file() or sha256_of(where) != digest:
            raise RecordError(name, "corrupt_file", f"{where.name} differs from its checksum")
    return signal
