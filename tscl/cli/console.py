"""What commands print: tables and the last loss terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd


def print_table(
    console: Console, title: str, frame: pd.DataFrame, *, numbers_right: bool = False
) -> None:
    """Print ``frame``; ``numbers_right`` aligns all columns but the first to the right."""
    grid = Table(title=title)
    for number, column in enumerate(frame.columns):
        grid.add_column(str(column), justify="right" if numbers_right and number else "left")
    for row in frame.itertuples(index=False):
        grid.add_row(*[str(v) for v in row])
    console.print(grid)


def last_terms(history: Sequence[Mapping[str, float]]) -> str:
    """``loss 1.2, global 0.9``: the terms of the last row of a training history."""
    last = history[-1] if history else {}
    return ", ".join(f"{k} {v:.4g}" for k, v in last.items() if k not in ("step", "epoch"))
