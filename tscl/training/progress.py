"""Progress of a run: a bar with losses and time left, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ProgressReporter(Protocol):
    """What the engine tells about its progress."""

    def start(self, total: int, done: int, title: str) -> None:
        """A task of ``total`` steps begins, ``done`` of them already finished."""
        ...

    def advance(self, terms: Mapping[str, float]) -> None:
        """One step finished with these loss terms."""
        ...

    def stop(self) -> None:
        """The task ended."""
        ...


class Silent:
    """Reports nothing."""

    def start(self, total: int, done: int, title: str) -> None:
        """Nothing."""

    def advance(self, terms: Mapping[str, float]) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class ProgressBar:
    """A rich progress bar with losses, elapsed time and time left, on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bar: Progress | None = None

    def __reduce__(self) -> tuple[type[ProgressBar], tuple[()]]:
        """A process that is started shows the bar on its own standard error."""
        return type(self), ()

    def start(self, total: int, done: int, title: str) -> None:
        """Show the bar."""
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
            console=self.console,
        )
        self._bar.start()
        self._bar.add_task(title, total=total, completed=done, terms="")

    def advance(self, terms: Mapping[str, float]) -> None:
        """Move the bar by one step."""
        if self._bar is not None:
            text = "  ".join(f"{k} {v:.4g}" for k, v in terms.items())
            self._bar.update(self._bar.task_ids[0], advance=1, terms=text)

    def stop(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
