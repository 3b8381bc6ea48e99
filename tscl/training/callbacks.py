"""What user code can follow during training: a start, every step, every epoch, the end.

A callback runs in the first process only and must not draw from torch's default generator; what it
keeps in :meth:`Callback.state` is saved with every checkpoint and given back on resume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tscl.training.settings import TrainResult, TrainSettings


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
        for one in self.members:
            one.on_start(start)

    def step(self, report: StepReport) -> bool:
        """Tell all; whether one of them wants to stop."""
        return any([bool(one.on_step(report)) for one in self.members])  # noqa: C419

    def epoch(self, report: EpochReport) -> bool:
        """Tell all; whether one of them wants to stop."""
        return any([bool(one.on_epoch(report)) for one in self.members])  # noqa: C419

    def end(self, result: TrainResult) -> None:
        """Tell all."""
        for one in self.members:
            one.on_end(result)

    def close(self) -> None:
        """Tell all."""
        for one in self.members:
            one.close()

    def _names(self) -> list[str]:
        return [f"{k}-{type(one).__name__}" for k, one in enumerate(self.members)]

    def state(self) -> dict[str, Any]:
        """States by position and class."""
        return {n: one.state() for n, one in zip(self._names(), self.members, strict=True)}

    def restore(self, state: dict[str, Any]) -> None:
        """Give back the states that fit; a callback that is new starts afresh."""
        for name, one in zip(self._names(), self.members, strict=True):
            if name in state:
                one.restore(state[name])
