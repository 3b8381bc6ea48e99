"""Classification sets of the UCR and UEA archives (``.ts`` files), read through sktime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_loaders.vetting.arrays import FREE_BYTES, MAX_RATIO
from tscl.errors import DataError, nearest


@dataclass(frozen=True, eq=False)
class ClassificationData:
    """A classification set with its official split.

    Attributes:
        name: name of the set.
        X_train: (N_train, T, C) float32; shorter series end in NaN.
        y_train: (N_train,) int64 codes into ``classes``.
        X_test: (N_test, T, C) float32.
        y_test: (N_test,) int64.
        classes: the labels as written by sktime's reader (lower case), sorted.
    """

    name: str
    X_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    X_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    classes: tuple[str, ...]


def load_ts(path: str | Path) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Read one ``.ts`` file of labelled series.

    Returns:
        ``X`` (N, T, C) float32 with NaN where a value is missing and after the end of series
        that are shorter than the longest, and the N labels as strings.

    Raises:
        DataError: missing file, a file sktime cannot read, no class labels, infinite values.
    """
    from sktime.datasets import load_from_tsfile

    path = Path(path)
    if not path.is_file():
        raise DataError("path", path, "no such file: check the path")
    try:
        nested, labels = load_from_tsfile(str(path), return_data_type="nested_univ")
    except Exception as error:  # sktime raises many types, each for a file it cannot read
        raise DataError("path", path, f"not a labelled .ts file: {error}") from error
    labels = np.asarray(labels)
    if labels.dtype.kind == "f":
        raise DataError("path", path, "the file holds regression targets, not class labels")
    cells = [[np.asarray(cell, np.float64) for cell in row] for row in nested.to_numpy()]
    longest = max((len(cell) for row in cells for cell in row), default=0)
    if longest == 0:
        raise DataError("path", path, "the file holds no series")
    wanted, held = 4 * len(cells) * longest * len(cells[0]), path.stat().st_size
    if wanted > max(FREE_BYTES, MAX_RATIO * held):
        found = f"{len(cells)} series, the longest of {longest} steps, take {wanted} bytes"
        raise DataError("path", path, f"{found}; cut the longest series")
    x = np.full((len(cells), longest, len(cells[0])), np.nan, dtype=np.float32)
    for i, row in enumerate(cells):
        for c, cell in enumerate(row):
            x[i, : len(cell), c] = cell
    if np.isinf(x).any():
        raise DataError("path", path, "infinite values: clean the file")
    return x, labels.astype(str)


def load_classification(name: str, root: str | Path | None = None) -> ClassificationData:
    """Read ``<root>/<name>/<name>_TRAIN.ts`` and ``_TEST.ts``.

    Args:
        name: name of the set.
        root: folder of sets; None for those in sktime's wheel (nothing is downloaded), which
            :func:`bundled_classification` lists.

    Raises:
        DataError: unknown set (with the nearest name), a file that cannot be read, a test label
            the training part does not have, or parts with other channels.
    """
    folder = _bundled_folder() if root is None else Path(root)
    known = _sets(folder)
    if name not in known:
        raise DataError("name", name, nearest(name, known))
    x_train, label_train = load_ts(folder / name / f"{name}_TRAIN.ts")
    x_test, label_test = load_ts(folder / name / f"{name}_TEST.ts")
    if x_train.shape[2] != x_test.shape[2]:
        raise DataError(name, (x_train.shape[2], x_test.shape[2]), "channels of both parts differ")
    classes, y_train = np.unique(label_train, return_inverse=True)
    strange = sorted(set(label_test) - set(classes))
    if strange:
        raise DataError(name, strange, "the test part has labels the training part lacks")
    longest = max(x_train.shape[1], x_test.shape[1])
    return ClassificationData(
        name=name,
        X_train=_pad(x_train, longest),
        y_train=y_train.astype(np.int64),
        X_test=_pad(x_test, longest),
        y_test=np.searchsorted(classes, label_test).astype(np.int64),
        classes=tuple(str(c) for c in classes),
    )


def bundled_classification() -> list[str]:
    """Names of the labelled sets in sktime's wheel (some releases ship fewer)."""
    regression = {"Covid3Month", "Tecator"}
    return [name for name in _sets(_bundled_folder()) if name not in regression]


def _bundled_folder() -> Path:
    import sktime

    return Path(sktime.__file__).parent / "datasets" / "data"


def _sets(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError("root", folder, "no such folder: check the path")
    return sorted(
        p.name
        for p in folder.iterdir()
        if (p / f"{p.name}_TRAIN.ts").is_file() and (p / f"{p.name}_TEST.ts").is_file()
    )


def _pad(x: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    return np.pad(x, ((0, 0), (0, length - x.shape[1]), (0, 0)), constant_values=np.nan)
