"""Labelled samples in one ``.npz`` archive or in the ``.ts`` files of UCR and UEA."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_loaders.archive import load_ts
from data_loaders.container.dataset import MedicalDataset
from data_loaders.vetting.arrays import ArrayFileError, read_npz
from tscl.errors import DataError

PARTS = ("TRAIN", "TEST")
"""How the names of the two parts of a ``.ts`` set end."""


def load_arrays(path: str | Path, sampling_rate: float | None = None) -> MedicalDataset:
    """Samples with labels from one file, or from a folder with one of these.

    ``.npz``: ``X`` (n, T, C) or (n, T), ``label`` or ``y`` (n,), and where known ``patient``,
    ``trial`` (n,), ``sampling_rate`` (Hz) and ``channel_names`` (C,). ``.ts``: one file, or
    ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``, which the column ``split`` then tells apart (``train``,
    ``test``). Without patients every sample is a patient of its own.

    Args:
        path: the file or folder.
        sampling_rate: Hz; None takes the file's, or 1 where it has none.

    Raises:
        DataError: no such file, several that could be meant, a damaged one, or one without ``X``
            and labels. InputError: arrays that do not fit together.
    """
    files = array_files(Path(path))
    columns: dict[str, np.ndarray] = {}
    if files[0].suffix.lower() == ".npz":
        try:
            held = read_npz(files[0], kinds="fiubU")
        except (ArrayFileError, OSError) as error:
            raise DataError("path", files[0], f"not a readable .npz file: {error}") from None
        y = held.get("label", held.get("y"))
        if "X" not in held or y is None:
            remedy = "save it by np.savez(file, X=X, label=label, patient=patient)"
            raise DataError("path", f"{files[0]} with {', '.join(held) or 'nothing'}", remedy)
        X = held["X"]
    else:
        parts = [load_ts(file) for file in files]
        shapes = [part.shape for part, _ in parts]
        if len({shape[2] for shape in shapes}) > 1:
            remedy = f"its parts have {[shape[2] for shape in shapes]} channels"
            raise DataError("path", path, remedy)
        longest = max(shape[1] for shape in shapes)
        ends = [((0, 0), (0, longest - shape[1]), (0, 0)) for shape in shapes]
        X = np.concatenate(
            [
                np.pad(part, end, constant_values=np.nan)
                for (part, _), end in zip(parts, ends, strict=True)
            ]
        )
        y, held = np.concatenate([label for _, label in parts]), {}
        if len(files) > 1:
            columns["split"] = np.repeat(["train", "test"], [shape[0] for shape in shapes])
    number = np.arange(len(X))
    rate = sampling_rate if sampling_rate is not None else held.get("sampling_rate", 1.0)
    return MedicalDataset(
        X[..., None] if X.ndim == 2 else X,
        label=y,
        patient=held.get("patient", number),
        trial=held.get("trial", number),
        sampling_rate=float(np.ravel(rate)[0]),
        channel_names=held["channel_names"].tolist() if "channel_names" in held else None,
        name=files[0].stem.removesuffix("_TRAIN"),
        columns=columns or None,
        allow_nan=True,
    )


def array_files(path: Path) -> list[Path]:
    """The files that :func:`load_arrays` reads for ``path``: one, or the two parts of a set.

    Raises:
        DataError: none, or several that do not belong together.
    """
    if path.is_file() and path.suffix.lower() in (".npz", ".ts"):
        return [path]
    folder = path if path.is_dir() else path.parent
    files = sorted(f for f in folder.glob("*") if f.suffix.lower() in (".npz", ".ts"))
    if not path.is_dir() or not files:
        raise DataError("path", path, "no .npz or .ts file there: check the path")
    if len(files) == 1:
        return files
    pair = [f for part in PARTS for f in files if f.stem.upper().endswith(f"_{part}")]
    if len(files) == 2 and len({f.stem.rpartition("_")[0] for f in pair}) == 1 and len(pair) == 2:
        return pair
    remedy = "stack its samples in one file: np.savez('all.npz', X=X, label=label, patient=patient)"
    raise DataError("path", f"{path} with {len(files)} such files", remedy)
