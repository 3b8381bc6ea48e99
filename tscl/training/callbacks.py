"""What user code can follow during training: a start, every step, every epoch, the end.

A callback runs in the first process only and must not draw from torch's default generator; what it
keeps in :meth:`Callback.state` is saved with every checkpoint and given back on resume.
"""

from __future__ import annotations

from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, overload

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tscl.training.settings import TrainResult, TrainSettings

COUNTS: tuple[str, ...] = ("step", "epoch")
"""Columns of whole numbers."""
Row = dict[str, float]


class History(Sequence[Row]):
    """Rows of numbers by name, kept as columns; a row may lack a column.

    Args:
        rows: what it holds at first.
    """

    def __init__(self, rows: Iterable[Mapping[str, float]] = ()) -> None:
        self._length = 0
        self._values: dict[str, array[float]] = {}
        self._known: dict[str, bytearray] = {}
        for row in rows:
            self.append(row)

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row."""
        for name in row:
            if name not in self._values:
                self._values[name] = array("d", bytes(8 * self._length))
                self._known[name] = bytearray(self._length)
        for name, column in self._values.items():
            column.append(row.get(name, 0.0))
            self._known[name].append(name in row)
        self._length += 1

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._length))]
        i = range(self._length)[index]
        return {
            name: int(column[i]) if name in COUNTS else column[i]
            for name, column in self._values.items()
            if self._known[name][i]
        }

    def state(self) -> dict[str, dict[str, str]]:
        """The columns as base64 of their bytes, for a checkpoint's JSON.

        Not as tensors: safetensors makes a ctypes type for every length it writes, and those stay.
        """
        return {
            name: {
                "values": b64encode(column.tobytes()).decode("ascii"),
                "known": b64encode(self._known[name]).decode("ascii"),
            }
            for name, column in self._values.items()
        }

    @classmethod
    def restored(
        cls, state: Mapping[str, Mapping[str, str]] | Sequence[Mapping[str, float]]
    ) -> History:
        """The history of :meth:`state`, or of the list of rows of older checkpoints."""
        if not isinstance(state, Mapping):
            return cls(state)
        result = cls()
        for name, column in state.items():
            result._values[name] = array("d", b64decode(column["values"]))
            result._known[name] = bytearray(b64decode(column["known"]))
            result._length = len(result._values[name])
        return result


class ProgressReporter(Protocol):
    """What the engine tells about its progress."""

    def start(self, total: int, done: int, title: str) -> None:
        """A task begins.

        Args:
            total: steps of the task.
            done: steps that are finished already.
            title: of the task.
        """
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
        """Nothing. Arguments as :meth:`ProgressReporter.start`."""

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
        """Show the bar. Arguments as :meth:`ProgressReporter.start`."""
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


@dataclass(frozen=True)
class Start:
    """A run begins or goes on.

    Attributes:
        title: name of the run. settings: how it trains.
        step: steps done before (above 0 when resumed). total: steps it will take at most.
    """

    title: str
    settings: TrainSettings
    step: int
    total: int


@dataclass(frozen=True)
class StepReport:
    """One optimiser step is done.

    Attributes:
        step: from 0. epoch: from 0.
        terms: mean of each loss term. rates: learning rate of each group.
    """

    step: int
    epoch: int
    terms: Mapping[str, float]
    rates: Mapping[str, float]


@dataclass(frozen=True)
class EpochReport:
    """An epoch is done.

    Attributes:
        epoch: from 0. step: steps done so far.
        terms: mean of each loss term over the epoch.
        score: of the monitor (lower is better); None when it was not called.
    """

    epoch: int
    step: int
    terms: Mapping[str, float]
    score: float | None


class Callback:
    """Base class; override what is needed. ``True`` from a step or an epoch ends the training."""

    def on_start(self, start: Start) -> None:
        """Before the first step of this call of ``fit``, after a checkpoint was restored."""

    def on_step(self, report: StepReport) -> bool | None:
        """After every step."""
        return None

    def on_epoch(self, report: EpochReport) -> bool | None:
        """After every epoch, the monitor included."""
        return None

    def on_end(self, result: TrainResult) -> None:
        """After the last step; not when the run is interrupted."""

    def close(self) -> None:
        """Always last, also after an interrupt or an error."""

    def state(self) -> dict[str, Any]:
        """What to keep in a checkpoint: nested dictionaries of tensors and JSON values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`state`."""


class Callbacks:
    """Several callbacks as one."""

    def __init__(self, members: list[Callback]) -> None:
        self.members = members

    def start(self, start: Start) -> None:
        """Tell all."""
        for member in self.members:
            member.on_start(start)

    def step(self, report: StepReport) -> bool:
        """Tell all; whether one of them wants to stop."""
        return any([bool(member.on_step(report)) for member in self.members])  # noqa: C419

    def epoch(self, report: EpochReport) -> bool:
        """Tell all; whether one of them wants to stop."""
        return any([bool(member.on_epoch(report)) for member in self.members])  # noqa: C419

    def end(self, result: TrainResult) -> None:
        """Tell all."""
        for member in self.members:
            member.on_end(result)

    def close(self) -> None:
        """Tell all."""
        for member in self.members:
            member.close()

    def _names(self) -> list[str]:
        return [f"{k}-{type(member).__name__}" for k, member in enumerate(self.members)]

    def state(self) -> dict[str, Any]:
        """States by position and class."""
        return {n: member.state() for n, member in zip(self._names(), self.members, strict=True)}

    def restore(self, state: dict[str, Any]) -> None:
        """Give back the states that fit; a callback that is new starts afresh."""
        for name, member in zip(self._names(), self.members, strict=True):
            if name in state:
                member.restore(state[name])
