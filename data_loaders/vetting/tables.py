"""Tables of text: every cell as it is written, so that only an empty one is missing."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

from tscl.errors import DataError


def read_text_table(path: Path, field: str = "table", separator: str | None = None) -> pd.DataFrame:
    """A table separated by commas, semicolons or tabs, every cell as text; empty cells are "".

    Words such as ``None``, ``NA``, ``n/a``, ``null`` or ``nan`` stay words: a class or a patient
    may be called so. Lines may end in a separator more than the header.

    Args:
        path: the file, in UTF-8.
        field: what errors call it.
        separator: what parts the cells; by default the most frequent of the three in the header.

    Raises:
        DataError: no table of text in UTF-8, or a line with more cells than the header.
    """
    try:
        if separator is None:
            with path.open(encoding="utf-8-sig") as file:
                head = file.readline()
            separator = max(",;\t", key=head.count)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of cells that would be lost
            return pd.read_csv(
                path,
                sep=separator,
                dtype=str,
                encoding="utf-8-sig",
                keep_default_na=False,
                index_col=False,
            )
    except UnicodeDecodeError:
        remedy = "it is no text in UTF-8: save it from the spreadsheet as 'CSV UTF-8'"
        raise DataError(field, path, remedy) from None
    except (ValueError, pd.errors.ParserWarning) as error:
        remedy = f"save it as a CSV with a header line ({type(error).__name__})"
        raise DataError(field, path, remedy) from None
