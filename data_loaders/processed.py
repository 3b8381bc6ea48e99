"""COMET's processed format: one feature file a patient, and one table of labels."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.saving import load_array, other_files, write_folder
from data_loaders.container.standardize import standardize_groups
from data_loaders.container.windows import cut_windows
from tscl.errors import DataError, InputError, check_choice


def save_processed(data: MedicalDataset, directory: str | Path, *, overwrite: bool = False) -> Path:
    """Write COMET's processed format: one sample is one row of a patient's feature file.

    ``Feature/feature_NN.npy`` (rows, T, C) per patient and ``Label/label.npy`` (patients, 2) with
    label and id from 1, patients in sorted order. The format holds neither patient names nor
    trials, rates or channels.

    Args:
        data: one class a patient.
        directory: the folder, made when missing.
        overwrite: replace an earlier data set of this format.

    Raises:
        InputError: a patient with two labels or none, or an existing folder; with ``overwrite``
            one that holds something else than this format.
    """
    ids = np.unique(data.patient)
    rows = []
    for number, patient in enumerate(ids.tolist(), start=1):
        labels = np.unique(data.label[data.patient == patient])
        if len(labels) != 1 or labels[0] < 0:
            raise InputError("label", labels.tolist(), f"give patient {patient} one label")
        rows.append((int(labels[0]), number))

    def fill(folder: Path) -> None:
        (folder / "Feature").mkdir()
        (folder / "Label").mkdir()
        width = max(2, len(str(len(ids))))
        for number, patient in enumerate(ids.tolist(), start=1):
            values = np.asarray(data.X[np.flatnonzero(data.patient == patient)])
            np.save(folder / "Feature" / f"feature_{number:0{width}d}.npy", values)
        np.save(folder / "Label" / "label.npy", np.asarray(rows, np.int64))

    return write_folder(Path(directory), fill, overwrite=overwrite, foreign=_foreign)


def _foreign(folder: Path) -> str | None:
    """What in a folder :func:`save_processed` did not write."""
    features, labels = folder / "Feature", folder / "Label"
    for path in sorted(folder.iterdir()):
        if path not in (features, labels) or path.is_symlink() or not path.is_dir():
            return path.name
    if not (labels / "label.npy").is_file():
        return "no Label/label.npy"
    named = [file.name for file in features.glob("feature_*.npy")] if features.is_dir() else []
    return other_files(labels, {"label.npy"}) or (
        other_files(features, named) if features.is_dir() else None
    )


def load_processed(
    directory: str | Path,
    sampling_rate: float,
    *,
    label_names: Sequence[str] | None = None,
    channel_names: Sequence[str] | None = None,
    window: int | None = None,
    overlap: float = 0.0,
    samples_per_trial: int | None = None,
    standardize: str = "none",
    name: str | None = None,
    allow_nan: bool = False,
) -> MedicalDataset:
    """Read COMET's processed format; patient ids are the numbers in ``label.npy``.

    Args:
        directory: folder with ``Feature`` and ``Label``.
        sampling_rate: Hz; the format does not hold it.
        label_names: names of the classes.
        channel_names: names of the channels.
        window: steps per sample; each row of a feature file is then a trial that is cut into
            windows. None: each row is a sample.
        overlap: share of a window that the next one repeats, in [0, 1).
        samples_per_trial: with ``window`` None, so many neighbouring rows make a trial (the
            format does not hold it); None: each row is a trial of its own.
        standardize: ``"trial"`` for zero mean and unit variance of each channel over each row,
            before it is cut into windows; ``"none"`` keeps the values.
        name: name of the data set (default: the folder's).
        allow_nan: let NaN pass.

    Raises:
        DataError: a missing or damaged file, or patients of different length or channels.
        InputError: a window longer than the rows, an overlap outside [0, 1), or another
            ``standardize``.
    """
    check_choice("standardize", standardize, ("none", "trial"))
    folder = Path(directory)
    table, files = _listed(folder)
    values, labels, patients, trials = [], [], [], []
    shape: tuple[int, ...] | None = None
    for label, number in table.tolist():
        rows = load_array(files[int(number)], mmap=False)
        if rows.ndim != 3 or (shape is not None and rows.shape[1:] != shape):
            raise DataError(
                files[int(number)].name, f"shape {rows.shape}", f"expected (n, {shape})"
            )
        shape = rows.shape[1:]
        if standardize == "trial":
            rows = standardize_groups(rows, None)
        trial = np.arange(len(rows)) // (samples_per_trial or 1)
        if window is not None:
            rows, trial = cut_windows(rows, window, overlap), np.arange(len(rows))
            trial = np.repeat(trial, len(rows) // max(1, len(trial)))
        values.append(rows)
        labels += [int(label)] * len(rows)
        patients += [int(number)] * len(rows)
        trials += trial.tolist()
    return MedicalDataset(
        np.concatenate(values),
        labels,
        patients,
        trials,
        sampling_rate,
        label_names=label_names,
        channel_names=channel_names,
        name=name or folder.name,
        source={
            "format": "COMET processed",
            "window": window,
            "overlap": overlap,
            "standardize": standardize,
        },
        trial_scope="patient",
        allow_nan=allow_nan,
    )


def _listed(folder: Path) -> tuple[np.ndarray, dict[int, Path]]:
    """Labels and ids (patients, 2), and the feature file of each id."""
    table = load_array(folder / "Label" / "label.npy", mmap=False)
    if table.ndim != 2 or table.shape[1] != 2 or len(table) == 0:
        raise DataError("label.npy", f"shape {table.shape}", "expected (patients, 2)")
    files: dict[int, Path] = {}
    for path in sorted((folder / "Feature").glob("feature_*.npy")):
        with contextlib.suppress(ValueError):
            files[int(path.stem.removeprefix("feature_"))] = path
    numbers = [int(number) for number in table[:, 1]]
    if len(set(numbers)) != len(numbers):
        raise DataError("label.npy", "a patient id twice", "list each patient once")
    missing = sorted(set(numbers) ^ set(files))
    if missing:
        raise DataError("directory", f"patients {missing}", "label.npy and Feature must agree")
    return table, files
