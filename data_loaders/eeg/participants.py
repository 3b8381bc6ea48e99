"""Participants tables (BIDS ``participants.tsv`` and its kin) and the recordings they point to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from data_loaders.eeg.protocol import EEGFile
from data_loaders.eeg.recording import EXTENSIONS
from tscl.errors import DataError, nearest

MAX_ID_BYTES = 200
NAMES = ("participants.tsv", "participants.csv")


def read_participants(path: str | Path) -> pd.DataFrame:
    """A participants table (tab or comma separated), every value as text.

    Args:
        path: the table, or the folder that holds one of :data:`NAMES` or one file like
            ``*participants*.tsv``.

    Raises:
        DataError: no table, an empty or unreadable one.
    """
    where = Path(path)
    if where.is_dir():
        tables = [where / name for name in NAMES if (where / name).is_file()]
        tables = tables or sorted(where.glob("*participants*.[ct]sv"))
        if not tables:
            raise DataError("participants", where, f"put {' or '.join(NAMES)} there")
        where = tables[0]
    if not where.is_file():
        raise DataError("participants", where, "no such file")
    separator = "," if where.suffix.lower() == ".csv" else "\t"
    try:
        table = pd.read_csv(where, sep=separator, dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError("participants", where, f"it cannot be read: {error}") from None
    table = table[(table != "").any(axis=1)]  # a spreadsheet leaves empty rows below
    if not len(table):
        raise DataError("participants", where, "the table has no rows")
    return table


def find_column(table: pd.DataFrame, wanted: Sequence[str], what: str) -> str:
    """The first of the wanted columns that a table has.

    Args:
        table: of the participants.
        wanted: names, which compare without case.
        what: the column holds, for the error.

    Raises:
        DataError: it has none of them.
    """
    has = {str(column).strip().lower(): str(column) for column in table.columns}
    for name in wanted:
        if name.lower() in has:
            return has[name.lower()]
    hint = nearest(wanted[0] if wanted else what, [str(column) for column in table.columns])
    raise DataError(f"participants: {what}", ", ".join(wanted), f"no such column; {hint}")


def class_of(value: str, classes: Mapping[str, Sequence[str]]) -> str | None:
    """The class one of whose spellings is ``value``, without case and outer spaces, or None."""
    text = value.strip().lower()
    return next((name for name, spelt in classes.items() if text in spelt), None)


def list_recordings(
    root: Path,
    table: pd.DataFrame,
    *,
    id_columns: Sequence[str],
    label_columns: Sequence[str],
    classes: Mapping[str, Sequence[str]],
    keep: Callable[[Path], bool] = lambda path: True,
    only_first: bool = False,
    extensions: Sequence[str] = EXTENSIONS,
) -> list[EEGFile]:
    """The recordings of every participant, in the table's order.

    A participant's recordings lie in the folder of its id, with or without ``sub-``, at any depth
    (BIDS: ``sub-01/eeg/sub-01_task-rest_eeg.set``), or beside the table with a name that begins
    with the id. A participant of one of the classes without a recording is listed with a path
    that does not exist, so that the log tells of it.

    Args:
        root: the data's folder.
        table: see :func:`read_participants`.
        id_columns: names under which the id may stand.
        label_columns: names under which the class may stand; the first that decides is taken.
        classes: class name -> its spellings in lower case.
        keep: which files to take, by their path.
        only_first: take the first file of a participant in the order of names.
        extensions: of the files to take, in lower case.
    """
    id_column = find_column(table, id_columns, "id")
    find_column(table, label_columns, "label")
    present = {str(column).lower(): str(column) for column in table.columns}
    labels = [present[name.lower()] for name in label_columns if name.lower() in present]
    files, entries = [], [path.name for path in root.iterdir()]
    for row in table.to_dict("records"):
        patient = str(row[id_column]).strip()
        spelt = (class_of(str(row[column]), classes) for column in labels)
        label = next((spelling for spelling in spelt if spelling is not None), None)
        kept = [
            path
            for path in _recordings(root, entries, patient)
            if path.suffix.lower() in extensions and path.is_file() and keep(path)
        ]
        for path in (kept[:1] if only_first else kept) or [root / "no recording.edf"]:
            name = path.relative_to(root).as_posix() if kept else patient
            files.append(EEGFile(path, patient, label, name))
    return files


def _recordings(root: Path, entries: list[str], patient: str) -> list[Path]:
    """Files of one participant below ``root``, sorted; ids with path parts find nothing."""
    bare = patient.removeprefix("sub-")
    too_long = len(bare.encode("utf-8", "surrogatepass")) > MAX_ID_BYTES
    if not bare or too_long or any(sign in bare for sign in "/\\\0*?[") or bare in (".", ".."):
        return []
    names = {patient, f"sub-{bare}", bare}
    starts = tuple(f"{name}{mark}" for name in names for mark in "._")
    result: set[Path] = set()
    for entry in entries:
        if entry in names:
            result.update((root / entry).rglob("*"))
        elif entry.startswith(starts):
            result.add(root / entry)
    return sorted(result)
