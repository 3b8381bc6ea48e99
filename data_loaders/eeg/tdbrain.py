"""TDBRAIN, Parkinson's disease against healthy, eyes closed, in the protocol of COMET.

H. van Dijk et al., "The two decades brainclinics research archive for insights in neurophysiology
(TDBRAIN) database", Scientific Data 9, 2022. Recordings are BrainVision files of 33 channels at
500 Hz, ``sub-ID/ses-1/eeg/sub-ID_ses-1_task-restEC_eeg.vhdr``; the derivative of the archive holds
the same as tables, ``..._eeg.csv``. The table of participants names each one's indication. The
protocol is that of arXiv 2310.14017.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container.dataset import MedicalDataset
from data_loaders.eeg.channels import match_channels
from data_loaders.eeg.participants import find_column, list_recordings, read_participants
from data_loaders.eeg.protocol import EEGProtocol, load_eeg_files
from data_loaders.eeg.recording import EXTENSIONS, read_eeg
from data_loaders.record_log import RecordError
from data_loaders.signals import EEG, Recording
from tscl.disk import data_folder
from tscl.errors import DataError

CHANNELS = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC3", "FCz", "FC4", "T7", "C3", "Cz", "C4"),
    *("T8", "CP3", "CPz", "CP4", "P7", "P3", "Pz", "P4", "P8", "O1", "Oz", "O2"),
    *("VPVA", "VNVB", "HPHL", "HNHR", "Erbs", "OrbOcc", "Mass"),
)
CITE = (
    'van Dijk et al., "The two decades brainclinics research archive for insights in '
    'neurophysiology (TDBRAIN) database", Scientific Data 2022, doi 10.1038/s41597-022-01409-z'
)
CLASSES: dict[str, tuple[str, ...]] = {
    "healthy": ("healthy", "control", "healthy control", "hc"),
    "parkinson": ("parkinson", "parkinsons", "parkinson's", "parkinson's disease", "pd"),
}
PROTOCOL = EEGProtocol(trial_seconds=10.0, sample_steps=256, rate=256.0, channels=CHANNELS)
"""2,560 steps a pseudo-trial, 19 half overlapping samples of 256 steps."""

ID_COLUMNS = ("participant_id", "participants_id", "id")
RATE = 500.0
"""Hz of every recording; the derivative's tables do not say it."""


def load_tdbrain(
    root: str | Path,
    *,
    participants: str | Path | None = None,
    patients: Sequence[str] | None = None,
    label_columns: Sequence[str] = ("formal_status", "indication", "group", "diagnosis"),
    classes: Mapping[str, Sequence[str]] = CLASSES,
    task: str = "restEC",
    all_sessions: bool = False,
    derivative: bool = False,
    numbers: bool = False,
    strict: bool = False,
    cache: str | Path | None = None,
    **changes: Any,
) -> MedicalDataset:
    """Load eyes-closed EEG of Parkinson's disease and healthy people.

    Args:
        root: folder of the recordings; any format of :func:`data_loaders.eeg.recording.read_eeg`.
        participants: the table (TSV or CSV; save the archive's spreadsheet as one); by default
            ``participants.tsv`` or ``.csv`` in ``root``, also as ``TDBRAIN_participants_V2.tsv``.
        patients: ids to take (COMET used 25 + 25); default all of the classes.
        label_columns: columns that may hold the diagnosis; the first that decides is taken.
        classes: class -> spellings in lower case; the order gives the codes.
        task: only files named ``task-<task>``.
        all_sessions: take every session of a participant instead of the first one.
        derivative: read the archive's derivative, tables of 500 rows a second under a line of
            channel names, instead of the recordings. They name no unit: the size of their values
            is not checked.
        numbers: call the classes' patients 1, 2, ... in the order of the table, as ``label.npy`` of
            COMET's authors does.
        strict: raise on the first bad record instead of leaving it out with a line in the log.
        cache: folder for the values when memory is short.
        **changes: fields of :class:`data_loaders.eeg.protocol.EEGProtocol` to change.

    Returns:
        Samples (n, 256, 33) in microvolt, labels 0 healthy and 1 Parkinson's disease, pseudo-trial
        ids, and ``.log``.

    Raises:
        DataError: no folder, no table, unknown ``patients``, or no record could be used.
        InputError: a change that the protocol does not have.
        RecordError: with ``strict``, the first bad record.
    """
    folder = data_folder(root, "the recordings")
    table = read_participants(participants or folder)
    id_column = find_column(table, ID_COLUMNS, "id")
    # The table has a row for every session of a participant.
    table = table.drop_duplicates(id_column)
    marker = f"_task-{task}_".lower()
    files = list_recordings(
        folder,
        table,
        id_columns=ID_COLUMNS,
        label_columns=label_columns,
        classes=classes,
        keep=lambda path: marker in path.name.lower(),
        only_first=not all_sessions,
        extensions=(".csv",) if derivative else EXTENSIONS,
    )
    names = dict.fromkeys(file.patient for file in files if file.label is not None)
    if patients is not None:
        wanted = {str(patient_id).removeprefix("sub-") for patient_id in patients}
        unknown = wanted - set(table[id_column].str.strip().str.removeprefix("sub-"))
        if unknown:
            raise DataError("patients", ", ".join(sorted(unknown)), "they are not in the table")
        files = [file for file in files if file.patient.removeprefix("sub-") in wanted]
    if numbers:
        number = {name: str(i) for i, name in enumerate(names, 1)}
        files = [replace(file, patient=number.get(file.patient, file.patient)) for file in files]
    data = load_eeg_files(
        files,
        PROTOCOL.changed(changes),
        label_names=tuple(classes),
        reader=_read_derivative if derivative else read_eeg,
        name="TDBRAIN",
        cache=cache,
        strict=strict,
    )
    data.source["cite"] = CITE
    return data


def _read_derivative(
    path: Path, *, name: str, channels: Sequence[str] | None, check: bool = False
) -> Recording:
    """A table of the derivative; its unit is not known, so that any spread is believed."""
    if not path.is_file():
        raise RecordError(name, "missing_signal", f"no file {path.name}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of cells that would be lost
            table = pd.read_csv(path, index_col=False, dtype=np.float32)
    except (ValueError, pd.errors.ParserWarning) as error:
        detail = f"no table of numbers under a line of names ({type(error).__name__})"
        raise RecordError(name, "corrupt_file", detail) from None
    used = match_channels(name, list(table.columns), channels or list(table.columns))
    labels = tuple(channels or table.columns)
    kind = replace(EEG, plausible=(0.0, np.inf))
    return Recording(name, table.to_numpy()[:, used], RATE, labels, kind)
