"""A table of one's own recordings: each row names a file, its patient and its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data_loaders.record_log import RecordError
from tscl.errors import DataError, InputError, nearest

COLUMNS = ("record", "patient", "label")
Table = pd.DataFrame | str | Path


@dataclass(frozen=True)
class TableRow:
    """One recording; all three are text, empty where the table has nothing."""

    record: str
    patient: str
    label: str


@dataclass(frozen=True)
class RecordTable:
    """The rows of a table and the task's classes.

    Attributes:
        rows: in the table's order.
        classes: class names in the order of their codes.
        unlabelled: ``"keep"`` or ``"skip"``; what becomes of rows without a label.
    """

    rows: tuple[TableRow, ...]
    classes: tuple[str, ...]
    unlabelled: str = "keep"

    def code(self, row: TableRow) -> int | None:
        """Class code of a row: -1 for an empty label that is kept, None for a row left out.

        Raises:
            RecordError: ``bad_metadata``: no patient id.
        """
        if not row.patient:
            raise RecordError(row.record, "bad_metadata", "no patient id")
        if not row.label:
            return -1 if self.unlabelled == "keep" else None
        return self.classes.index(row.label) if row.label in self.classes else None


def read_record_table(
    table: Table,
    root: Path,
    *,
    columns: Mapping[str, str] | None = None,
    label_names: Sequence[str] | None = None,
    unlabelled: str = "keep",
) -> RecordTable:
    """Read a table of recordings; nothing but its three columns is looked at.

    Args:
        table: a frame, or a file separated by commas, semicolons or tabs; a relative path is
            looked for below ``root``, then in the current folder.
        root: folder of the recordings.
        columns: the table's own names of ``record``, ``patient`` and ``label``, such as
            ``{"record": "file"}``.
        label_names: classes in the order of their codes (default: the labels found, sorted).
        unlabelled: ``"keep"`` rows without a label (code -1) or ``"skip"`` them.

    Raises:
        DataError: no such folder or file, a file that is no such table, or a column missing.
        InputError: unknown ``columns`` or ``unlabelled``.
    """
    if unlabelled not in ("keep", "skip"):
        raise InputError("unlabelled", unlabelled, "choose 'keep' or 'skip'")
    if not root.is_dir():
        raise DataError("root", root, "give the folder of the records")
    called = dict(columns or {})
    for key in called:
        if key not in COLUMNS:
            raise InputError("columns", key, nearest(key, COLUMNS))
    frame = table if isinstance(table, pd.DataFrame) else _read_file(table, root)
    has = [str(one) for one in frame.columns]
    names = [called.get(key, key) for key in COLUMNS]
    if missing := [name for name in names if name not in has]:
        remedy = f"it has {', '.join(has)}; rename one, or say columns={{{missing[0]}: ...}}"
        raise DataError("table", f"no column {', '.join(missing)}", remedy)
    if not len(frame):
        raise DataError("table", "no rows", "list one recording a row")
    text = frame[names].astype(object).where(frame[names].notna(), "")
    rows = tuple(TableRow(*(str(value).strip() for value in row)) for row in text.to_numpy())
    found = sorted({row.label for row in rows if row.label})
    return RecordTable(rows, tuple(str(one) for one in label_names or found), unlabelled)


def _read_file(table: str | Path, root: Path) -> pd.DataFrame:
    path = next((one for one in (root / table, Path(table)) if one.is_file()), None)
    if path is None:
        raise DataError(
            "table",
            table,
            f"no such file in {root} or here: a CSV with the columns {', '.join(COLUMNS)}",
        )
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.readline()
        separator = max(",;\t", key=head.count)
        return pd.read_csv(path, sep=separator, dtype=str, encoding="utf-8-sig")
    except UnicodeDecodeError:
        remedy = "it is no text in UTF-8: save it from the spreadsheet as 'CSV UTF-8'"
        raise DataError("table", path, remedy) from None
    except ValueError as error:
        remedy = f"save it as a CSV with a header line ({type(error).__name__})"
        raise DataError("table", path, remedy) from None
