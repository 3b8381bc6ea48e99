"""What all commands share: the app, where it prints, errors as one line. Imports nothing heavy."""

from __future__ import annotations

import functools
import inspect
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tscl.errors import WRITE_ERRORS, ConfigError, TSCLError, WriteError

if TYPE_CHECKING:
    import pandas as pd

    from tscl.training.callbacks import ProgressReporter

app = typer.Typer(no_args_is_help=True, add_completion=False)
data_app = typer.Typer(
    no_args_is_help=True, help="Clinical data: generate, describe, draw, convert."
)
app.add_typer(data_app, name="data")
console = Console(soft_wrap=True)  # lines stay whole in pipes and files
errors = Console(stderr=True, soft_wrap=True)

OUT_OF_MEMORY = re.compile(r"allocate memory|out of memory", re.IGNORECASE)
"""What PyTorch says, whose error is no MemoryError."""

SetOption = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="Override, such as train.lr=1e-4.")
]
RunOption = Annotated[Path, typer.Option("--run", help="Folder of a finished run.")]


def command(
    group: typer.Typer = app, name: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command.

    An error raised on purpose shows as one line and exits with status 2 (Ctrl-C: 130).

    Args:
        group: the app it belongs to.
        name: of the command; the function's by default.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        resumes = "resume" in inspect.signature(function).parameters
        on_resume = "; run the same command with --resume to continue" if resumes else ""

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                with warnings.catch_warnings():
                    warnings.showwarning = _show_warning  # type: ignore[assignment]
                    function(*args, **kwargs)
            except TSCLError as error:
                _fail(error)
            except OSError as error:
                if error.errno not in WRITE_ERRORS:
                    raise
                _fail(WriteError(error.filename, error))
            except (MemoryError, RuntimeError) as error:
                text = str(error).split("\n")[0]
                if not isinstance(error, MemoryError) and not OUT_OF_MEMORY.search(text):
                    raise
                remedy = "shorten batches (-s batch_size=..., -s train.batch_size=...) or crops"
                _fail(MemoryError(f"{text or 'too little memory'}; {remedy}"))
            except KeyboardInterrupt:
                errors.print(f"interrupted{on_resume}")
                raise typer.Exit(130) from None

        group.command(name)(guarded)
        return guarded

    return register


def _fail(error: Exception) -> None:
    errors.print(f"[bold red]error[/] {type(error).__name__}: ", end="")
    errors.print(str(error), markup=False, highlight=False)
    raise typer.Exit(2) from None


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    """A warning to the user (an old key) as one line; those to developers are left out."""
    if issubclass(category, FutureWarning | UserWarning):
        errors.print(f"warning: {message}", markup=False, highlight=False)


def check_folder(option: str, folder: Path) -> None:
    """ConfigError when there is no such folder."""
    if not folder.exists():
        raise ConfigError(option, folder, "no such folder: check the path")


def progress(quiet: bool) -> ProgressReporter:
    """Where training shows its progress: a bar in a terminal, else nowhere."""
    from tscl.training.callbacks import ProgressBar, Silent

    return Silent() if quiet or not sys.stderr.isatty() else ProgressBar(errors)


class _Printed(logging.Handler):
    """Warnings of the log as lines of the console."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(record.getMessage(), markup=False, highlight=False)


@contextmanager
def shown_log(name: str) -> Iterator[None]:
    """Print what the logger ``name`` and those below it warn of."""
    handler = _Printed(logging.WARNING)
    logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger(name).removeHandler(handler)


def print_table(title: str, frame: pd.DataFrame, *, numbers_right: bool = False) -> None:
    """Print a table.

    Args:
        title: above it.
        frame: its cells.
        numbers_right: align all columns but the first to the right.
    """
    from rich.table import Table

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
