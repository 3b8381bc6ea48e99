"""Validation score of a linear probe by epoch of pretraining, mean over the folds of a run.

python recipes/comet/curves.py RUN_FOLDER [RUN_FOLDER ...]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd

from tscl.reporting.document import markdown_table


def curves(folder: Path) -> pd.DataFrame:
    """One row a pretrained row of the run, one column an epoch.

    Folds with fewer than three quarters of the rows are left out, then rows without all of the
    folds that remain.
    """
    parts = []
    for path in sorted(folder.glob("probe-*-fold*.csv")):
        match = re.fullmatch(r"probe-(.+)-fold(\d+)", path.stem)
        if match is not None:
            parts.append(pd.read_csv(path).assign(row=match[1], fold=int(match[2])))
    table = pd.concat(parts)
    score = next(c for c in table.columns if c not in ("epoch", "row", "fold"))
    folds = table.groupby("fold")["row"].nunique()
    table = table[table["fold"].isin(folds[folds >= 0.75 * folds.max()].index)]
    seen = table.groupby("row")["fold"].nunique()
    table = table[table["row"].isin(seen[seen == seen.max()].index)]
    wide = table.pivot_table(index="row", columns="epoch", values=score).round(3)
    wide.insert(0, "folds", table["fold"].nunique())
    return wide.reset_index()


def main(folders: list[str]) -> None:
    """Print one markdown table a run."""
    for folder in map(Path, folders):
        print(f"### {folder.name}\n")
        print(markdown_table(curves(folder).astype(str)))
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
