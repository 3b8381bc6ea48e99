"""Classification sets of the UCR and UEA archives (``.ts`` files)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.container.rows import narrow
from data_loaders.vetting.arrays import FREE_BYTES, MAX_RATIO
from tscl.errors import DataError, check_choice


@dataclass(frozen=True, eq=False)
class ClassificationData:
    """A classification set with its official split.

    Attributes:
        name: name of the set.
        X_train: (N_train, T, C) float32; shorter series end in NaN.
        y_train: (N_train,) int64 codes into ``classes``.
        X_test: (N_test, T, C) float32.
        y_test: (N_test,) int64.
        classes: the labels as written in the file, sorted.
    """

    name: str
    X_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    X_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    classes: tuple[str, ...]


def load_ts(path: str | Path) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Read one ``.ts`` file of labelled series.

    Labels keep the spelling of the file, so ``A`` and ``a`` are two classes. Time stamps
    (``@timeStamps true``) must be even: an array of steps cannot hold a step that is missing.

    Returns:
        ``X`` (N, T, C) float32 with NaN where a value is missing and after the end of series
        that are shorter than the longest (float64 where float32 would lose the differences), and
        the N labels as strings.

    Raises:
        DataError: missing file, no ``.ts`` file, no class labels, uneven time stamps, infinite
            values.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("path", path, "no such file: check the path")
    try:
        header, lines = _parts_of(path.read_text(encoding="utf-8-sig"))
        timed = header.get("@timestamps", "false").lower() == "true"
        rows = [(number, *_row(number, line, timed)) for number, line in lines]
        labels = _labels(header, [(number, label) for number, label, _ in rows])
        cells = [
            [_times_and_values(number, cell) if timed else (None, _values(cell)) for cell in row]
            for number, _, row in rows
        ]
        if len({len(row) for row in cells}) > 1:
            raise ValueError("lines of several numbers of dimensions")
    except ValueError as error:
        raise DataError("path", path, f"not a labelled .ts file: {error}") from None
    longest = max((len(values) for row in cells for _, values in row), default=0)
    if longest == 0:
        raise DataError("path", path, "the file holds no series")
    wanted, held = 4 * len(cells) * longest * len(cells[0]), path.stat().st_size
    if wanted > max(FREE_BYTES, MAX_RATIO * held):
        value = f"{len(cells)} series, the longest of {longest} steps, take {wanted} bytes"
        raise DataError("path", path, f"{value}; cut the longest series")
    if timed:
        _check_times(path, cells)
    x = np.full((len(cells), longest, len(cells[0])), np.nan)
    for i, row in enumerate(cells):
        for c, (_, values) in enumerate(row):
            x[i, : len(values), c] = values
    if np.isinf(x).any():
        raise DataError("path", path, "infinite values: clean the file")
    return narrow(x), np.asarray(labels, dtype=str)


Line = tuple[int, str]
Cell = tuple[list[str] | None, list[float]]
"""Time stamps, where there are any, and values of one dimension of one series."""


def _parts_of(text: str) -> tuple[dict[str, str], list[Line]]:
    """Settings (keys in lower case) and numbered data lines of a file; # begins a comment line."""
    header: dict[str, str] = {}
    lines = [(i, line.strip()) for i, line in enumerate(text.splitlines(), start=1)]
    lines = [(i, line) for i, line in lines if line and not line.startswith("#")]
    for place, (number, line) in enumerate(lines):
        key, _, value = line.partition(" ")
        if key.lower() == "@data":
            return header, lines[place + 1 :]
        if not key.startswith("@"):
            raise ValueError(f"line {number} is no setting")
        header[key.lower()] = value.strip()
    raise ValueError("no line @data")


def _row(number: int, line: str, timed: bool) -> tuple[str, list[str]]:
    """Label and dimensions of a line; dates in brackets hold colons of their own."""
    *row, label = re.split(r":(?![^()]*\))", line) if timed else line.split(":")
    if not row or not label.strip():
        raise ValueError(f"line {number} has no label after a colon")
    return label.strip(), row


def _labels(header: dict[str, str], given: list[Line]) -> list[str]:
    if header.get("@targetlabel", "").lower() == "true":
        raise ValueError("it holds regression targets, not class labels")
    flag, *known = header.get("@classlabel", "false").lower().split() or ["false"]
    if flag != "true" or not known:
        raise ValueError("no class labels: @classLabel true and their names are needed")
    for number, label in given:
        if label.lower() not in known:
            raise ValueError(f"label {label!r} of line {number} is not in @classLabel")
    return [label for _, label in given]


def _values(cell: str) -> list[float]:
    texts = [part.strip() for part in cell.split(",")]
    return [] if texts == [""] else [np.nan if text == "?" else float(text) for text in texts]


def _times_and_values(number: int, cell: str) -> Cell:
    """Pairs ``(time,value)`` of one dimension."""
    if not re.fullmatch(r"\s*(\([^()]*,[^()]*\)\s*(,\s*|$))*", cell):
        raise ValueError(f"line {number} is not made of (time,value) pairs")
    pairs = [pair.rpartition(",") for pair in re.findall(r"\(([^()]*)\)", cell)]
    return [time.strip() for time, _, _ in pairs], _values(",".join(v for _, _, v in pairs))


def _check_times(path: Path, cells: list[list[Cell]]) -> None:
    """Raise unless every series has the same even step between its time stamps."""
    steps: set[float] = set()
    for i, row in enumerate(cells):
        if any(times != row[0][0] for times, _ in row[1:]):
            value = f"dimensions of series {i} at different times"
            raise DataError("path", path, f"{value}; write each missing value as (time,?)")
        times = row[0][0] or []
        gaps = np.diff(_numbered(path, i, times))
        if not len(gaps):
            continue
        step = float(np.median(gaps))
        uneven = np.abs(gaps - step) > 1e-6 * step
        if uneven.any() or step <= 0:
            at = int(np.argmax(uneven))
            value = f"series {i} has uneven times, from {times[at]} to {times[at + 1]}"
            remedy = "write each missing step as (time,?), or resample the series"
            raise DataError("path", path, f"{value}; {remedy}")
        steps.add(round(step, 9))
    if len(steps) > 1:
        raise DataError("path", path, f"series of several steps {sorted(steps)}: resample them")


def _numbered(path: Path, series: int, times: list[str]) -> NDArray[np.float64]:
    """Times as numbers: as they are, or seconds of dates."""
    try:
        return np.asarray([float(time) for time in times])
    except ValueError:
        stamps = pd.to_datetime(times, errors="coerce", utc=True, format="ISO8601")
    if stamps.isna().any():
        value = f"the times of series {series} are no numbers and no ISO dates"
        raise DataError("path", path, f"{value}; write them so, or give @timeStamps false")
    return (stamps - stamps[0]).total_seconds().to_numpy()


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
    check_choice("name", name, known, error=DataError)
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
