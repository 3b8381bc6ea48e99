"""The command ``tscl data checksum``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console


def add_checksum_command(
    data_app: typer.Typer, guard: Callable[..., Any], console: Console
) -> None:
    """Register the command on ``tscl data``."""

    @data_app.command("checksum")
    @guard
    def checksum(
        path: Annotated[Path, typer.Argument(help="A file, or the folder of a data set.")],
        against: Annotated[
            Path | None,
            typer.Option(help="List to compare with, such as PhysioNet's SHA256SUMS.txt."),
        ] = None,
    ) -> None:
        """Print SHA-256 of every file, or compare the files with a published list."""
        from tscl.checksums import checksums, compare, read_list

        if against is None:
            for name, value in checksums(path).items():
                console.print(f"{value}  {name}", markup=False, highlight=False, soft_wrap=True)
            return
        found = compare(path, read_list(against))
        for kind, names in (("differs", found.different), ("missing", found.missing)):
            for name in names:
                console.print(f"{kind}: {name}", markup=False, highlight=False, soft_wrap=True)
        console.print(
            f"{len(found.equal)} equal, {len(found.different)} differ, {len(found.missing)} missing"
        )
        if found.different or found.missing:
            raise typer.Exit(1)
