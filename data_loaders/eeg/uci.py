"""UCI EEG Database: evoked EEG of alcoholic and control subjects, one ``.npz`` a subject.

Each file holds ``nanovolts`` int32 (trials, channels, steps), ``trial``, ``condition``, ``channel``
and ``label``; the upstream archive is https://archive.ics.uci.edu/dataset/121/eeg+database.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_loaders.container.collect import SampleCollector, each_record
from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.windows import cut_windows
from data_loaders.eeg.channels import match_channels
from data_loaders.filters import referenced
from data_loaders.record_log import RecordError, RecordLog, RecordOutcome
from data_loaders.signals import EEG, Recording, check_quality
from data_loaders.vetting.arrays import ArrayFileError, read_npz
from tscl.disk import data_folder
from tscl.errors import InputError, check_choice

RATE = 256.0
CITE = 'Begleiter, "EEG Database", UCI Machine Learning Repository 1995, doi 10.24432/C5TS3D'
CLASSES = ("control", "alcoholic")
NOT_SCALP = ("X", "Y", "nd")
KEYS = ("nanovolts", "trial", "condition", "channel", "label")


def load_uci_eeg(
    root: str | Path,
    window: int = 128,
    overlap: float = 0.5,
    *,
    channels: str | Sequence[str] = "scalp",
    conditions: Sequence[str] | None = None,
    reference: str = "none",
    standardize: str = "none",
    strict: bool = False,
) -> MedicalDataset:
    """Load the subjects of a folder.

    Args:
        root: folder of the ``.npz`` files.
        window: steps a sample, at most 256 (a trial of one second).
        overlap: share of a window that the next one repeats, in [0, 1).
        channels: ``"scalp"`` (without X, Y and nd), ``"all"``, or names.
        conditions: stimulus conditions to keep, of ``"S1 obj"``, ``"S2 match"``,
            ``"S2 nomatch"`` (default: all).
        reference: ``"average"`` takes the mean of the channels in use off each time step.
        standardize: ``"none"`` keeps microvolt; ``"trial"`` scales each channel in each trial.
        strict: raise on the first bad file instead of leaving it out with a line in the log.

    Returns:
        Samples (n, window, channels), labels 0 control and 1 alcoholic, ``patient`` the file's
        name, ``trial`` ids ``patient/number`` by the original trial number, and the column
        ``condition``.

    Raises:
        DataError: no folder, or no file could be used.
        RecordError: with ``strict``, the first bad file.
        InputError: a window, overlap, channel choice, reference or standardising that cannot be.
    """
    folder = data_folder(root, "the .npz files")
    check_choice("standardize", standardize, ("none", "trial"))
    if isinstance(channels, str) and channels not in ("scalp", "all"):
        raise InputError("channels", channels, "choose 'scalp', 'all' or a list of names")
    check_choice("reference", reference, ("none", "average"))
    log = RecordLog("UCI EEG")
    samples = SampleCollector(log)
    wanted: tuple[str, ...] | None = None if isinstance(channels, str) else tuple(channels)

    def read(name: str, line: RecordOutcome) -> None:
        nonlocal wanted
        data = _read_file(folder / f"{name}.npz", name)
        names = tuple(str(text).strip() for text in data["channel"])
        if wanted is None:
            wanted = names if channels == "all" else tuple(n for n in names if n not in NOT_SCALP)
        picked = match_channels(name, names, wanted)
        trials = data["nanovolts"][:, picked].transpose(0, 2, 1).astype(np.float32) / 1000
        condition = np.asarray([str(text).strip() for text in data["condition"]])
        keep = np.ones(len(trials), bool) if conditions is None else np.isin(condition, conditions)
        if not keep.any():
            raise RecordError(name, "too_short", "no trial of the conditions that are kept")
        flat = trials.reshape(-1, trials.shape[2])
        recording = check_quality(Recording(name, flat, RATE, wanted, EEG))
        samples.refuse_copies(recording)
        trials = referenced(trials[keep], reference)
        if standardize == "trial":
            trials = trials - trials.mean(axis=1, keepdims=True)
            std = trials.std(axis=1, keepdims=True)
            trials = trials / np.where(std > 0, std, 1)
        windows = cut_windows(trials, window, overlap)
        per_trial = len(windows) // len(trials)
        samples.add(
            windows,
            label=CLASSES.index(str(data["label"])),
            patient=name,
            trial=[f"{name}/{number}" for number in np.repeat(data["trial"][keep], per_trial)],
            sampling_rate=RATE,
            condition=np.repeat(condition[keep], per_trial),
        )
        line.detail = f"{len(trials)} trials, {len(windows)} samples"

    each_record(sorted(path.stem for path in folder.glob("*.npz")), log, read, strict)
    return samples.dataset(
        label_names=CLASSES,
        channel_names=wanted,
        name="UCI EEG",
        source={
            "database": "UCI Machine Learning Repository, EEG Database",
            "cite": CITE,
            "unit": "uV" if standardize == "none" else "standard deviations of a trial",
            "window": window,
            "overlap": overlap,
            **({} if reference == "none" else {"reference": reference}),
        },
    )


def _read_file(path: Path, record: str) -> dict[str, np.ndarray]:
    """The arrays of one file, checked against each other; pickled content is refused."""
    try:
        data = read_npz(path, KEYS, kinds="fiubU")
    except (ArrayFileError, OSError) as error:
        reason = "bad_header" if "no array" in str(error) else "corrupt_file"
        raise RecordError(record, reason, f"cannot be decoded: {error}") from None
    values = data["nanovolts"]
    if values.ndim != 3 or values.dtype.kind not in "iuf" or 0 in values.shape:
        detail = f"nanovolts of shape {values.shape} and type {values.dtype}"
        raise RecordError(record, "bad_header", detail)
    count, channels, _ = values.shape
    for key, length in (("trial", count), ("condition", count), ("channel", channels)):
        if data[key].shape != (length,):
            detail = f"{key} of shape {data[key].shape} beside {values.shape} values"
            raise RecordError(record, "length_mismatch", detail)
    if len(np.unique(data["trial"])) != count:
        raise RecordError(record, "duplicate_record", "one trial number stands twice")
    if data["label"].shape != () or str(data["label"]) not in CLASSES:
        raise RecordError(record, "no_label", "the label is none of control and alcoholic")
    return data
