"""The command ``tscl report``: runs side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console


def add_report_command(
    app: typer.Typer, clear_errors: Callable[..., Any], console: Console
) -> None:
    """Register the command on ``app``."""

    @app.command()
    @clear_errors
    def report(
        runs: Annotated[list[Path], typer.Argument(help="Run folders and study folders.")],
        out: Annotated[Path, typer.Option("--out", "-o", help="HTML file to write.")] = Path(
            "comparison.html"
        ),
    ) -> None:
        """Compare runs in one self-contained HTML page: tables, curves, codes, masks."""
        from tscl.runs.comparison_report import write_comparison

        target = write_comparison(runs, out)
        console.print(f"comparison: {target}", markup=False)
