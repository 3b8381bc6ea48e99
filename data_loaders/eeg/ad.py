"""Alzheimer's disease EEG in the protocol of COMET (arXiv 2310.14017): 16 channels, 5 s trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_loaders.container.dataset import MedicalDataset
from data_loaders.eeg.participants import list_recordings, read_participants
from data_loaders.eeg.protocol import EEGProtocol, load_eeg_files
from tscl.disk import data_folder

CHANNELS = (
    *("Fp1", "Fp2", "F3", "F4", "F7", "F8", "C3", "C4"),
    *("T3", "T4", "P3", "P4", "T5", "T6", "O1", "O2"),
)
CITE = (
    "Escudero et al., \"Analysis of electroencephalograms in Alzheimer's disease patients with "
    'multiscale entropy", Physiological Measurement 2006, doi 10.1088/0967-3334/27/11/004'
)
CLASSES: dict[str, tuple[str, ...]] = {
    "healthy": ("healthy", "control", "healthy control", "hc", "nc", "cn", "c", "0"),
    "alzheimer": (
        *("alzheimer", "alzheimers", "alzheimer's", "alzheimer's disease"),
        *("alzheimer disease", "ad", "a", "1"),
    ),
}
PROTOCOL = EEGProtocol(trial_seconds=5.0, sample_steps=256, rate=256.0, channels=CHANNELS)
"""1,280 steps a trial, nine half overlapping samples of 256 steps."""


def load_ad(
    root: str | Path,
    *,
    participants: str | Path | None = None,
    label_columns: Sequence[str] = ("group", "diagnosis", "label"),
    classes: Mapping[str, Sequence[str]] = CLASSES,
    strict: bool = False,
    cache: str | Path | None = None,
    **changes: Any,
) -> MedicalDataset:
    """Load resting EEG of Alzheimer's disease and healthy people.

    Args:
        root: folder of the recordings, one folder a participant, as BIDS lays them out; any
            format of :func:`data_loaders.eeg.recording.read_eeg`.
        participants: the table of ids (``participant_id``) and groups; by default
            ``participants.tsv`` or ``.csv`` in ``root``.
        label_columns: columns that may hold the group.
        classes: class -> spellings in lower case; the order gives the codes.
        strict: raise on the first bad record instead of leaving it out with a line in the log.
        cache: folder for the values when memory is short.
        **changes: fields of :class:`data_loaders.eeg.protocol.EEGProtocol` to change, such as
            ``standardize="trial"``, ``band=(0.5, 45)`` or ``channels=None``.

    Returns:
        Samples (n, 256, 16) in microvolt, labels 0 healthy and 1 Alzheimer's disease, trial ids,
        and ``.log``. T7, T8, P7, P8 in a file are found as T3, T4, T5, T6.

    Raises:
        DataError: no folder, no table, or no record could be used.
        InputError: a change that the protocol does not have.
        RecordError: with ``strict``, the first bad record.
    """
    folder = data_folder(root, "the recordings")
    files = list_recordings(
        folder,
        read_participants(participants or folder),
        id_columns=("participant_id", "id", "subject"),
        label_columns=label_columns,
        classes=classes,
    )
    data = load_eeg_files(
        files,
        PROTOCOL.changed(changes),
        label_names=tuple(classes),
        name="AD EEG",
        cache=cache,
        strict=strict,
    )
    data.source["cite"] = CITE
    return data
