"""What is known of recordings without labels: figures of their crops and of their steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tscl.errors import InputError

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class CropTargets:
    """Figures of crops on a grid and of every step; NaN where one is unknown.

    Attributes:
        row: (m,) recording of every crop of the grid, ascending.
        start: (m,) its first step, ascending within a recording.
        crops: name to figures of the crops, (m, k).
        places: (n,) where each recording begins in ``steps`` and ``events``.
        lengths: (n,) steps of each recording.
        steps: name to figures of every step, (total, k).
        events: name to whether something happens at a step, (total,) bool.

    Raises:
        InputError: arrays whose lengths do not fit one another, or a recording without a crop.

    Example:
        >>> targets = CropTargets(
        ...     row=np.array([0, 0]), start=np.array([0, 50]),
        ...     crops={"level": np.array([[1.0], [2.0]], np.float32)},
        ...     places=np.array([0]), lengths=np.array([100]),
        ...     steps={}, events={"beat": np.arange(100) == 60},
        ... )
        >>> read = targets.read(np.array([0]), np.array([40]), 40, 20, 10)
        >>> read["crops.level"], read["events.beat"][0]
        (array([[2.]], dtype=float32), array([[0., 0.],
               [1., 0.]], dtype=float32))
    """

    row: Int64
    start: Int64
    crops: Mapping[str, Float32]
    places: Int64
    lengths: Int64
    steps: Mapping[str, Float32]
    events: Mapping[str, NDArray[np.bool_]]

    def __post_init__(self) -> None:
        for name, values in self.crops.items():
            if values.ndim != 2 or len(values) != len(self.row):
                raise InputError(f"crops[{name}]", values.shape, f"give ({len(self.row)}, k)")
        total = int((self.places + self.lengths).max())
        for part, rank in ((self.steps, 2), (self.events, 1)):
            for name, given in part.items():
                if given.ndim != rank or len(given) < total:
                    remedy = f"give {total} steps" + (", (total, k)" if rank == 2 else "")
                    raise InputError(f"target {name}", given.shape, remedy)
        if not np.array_equal(np.unique(self.row), np.arange(len(self))):
            raise InputError("row", f"{len(self.row)} crops", "give each recording at least one")

    def __len__(self) -> int:
        """Recordings."""
        return len(self.lengths)

    @classmethod
    def of_recordings(cls, lengths: Int64, figures: Mapping[str, Float32]) -> CropTargets:
        """Figures (n, k) of whole recordings, which are those of every crop of them.

        Args:
            lengths: (n,) steps of each recording.
            figures: name to values.
        """
        steps = np.asarray(lengths, np.int64)
        zero = np.zeros(len(steps), np.int64)
        places = np.cumsum(steps) - steps
        return cls(np.arange(len(steps)), zero, figures, places, steps, {}, {})

    def joined(self, other: CropTargets) -> CropTargets:
        """These, with the figures of whole recordings that ``other`` has one crop of each for."""
        if not np.array_equal(self.lengths, other.lengths) or len(other.row) != len(other):
            raise InputError("other", f"{len(other.row)} crops", "give one of each recording here")
        added = {name: values[self.row] for name, values in other.crops.items()}
        return replace(self, crops={**self.crops, **added})

    def subset(self, which: Sequence[int] | NDArray[np.integer | np.bool_]) -> CropTargets:
        """The targets of ``recordings.subset(which)``; figures of steps are shared."""
        index = np.asarray(which)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64) % len(self)
        first = np.searchsorted(self.row, index)
        count = np.searchsorted(self.row, index, side="right") - first
        row = np.repeat(np.arange(len(index)), count)
        within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        taken = np.repeat(first, count) + within
        return replace(
            self,
            row=row,
            start=self.start[taken],
            crops={name: values[taken] for name, values in self.crops.items()},
            places=self.places[index],
            lengths=self.lengths[index],
        )

    def read(
        self, rows: Int64, starts: Int64, length: int, stride: int, event_stride: int
    ) -> dict[str, Float32]:
        """Targets of crops of any place.

        Args:
            rows: (b,) recordings.
            starts: (b,) first step of each crop; may be negative.
            length: steps of a crop.
            stride: steps an embedding stands for; figures of steps are read at its middle.
            event_stride: steps an event is looked for in; divides ``stride``.

        Returns:
            ``crops.NAME`` (b, k) of the nearest crop of the grid, ``steps.NAME`` (b, T', k) and
            ``events.NAME`` (b, T', stride / event_stride) of 0 and 1, T' = ceil(length / stride);
            NaN outside the recording.
        """
        nearest = self._nearest(rows, starts)
        out = {f"crops.{name}": values[nearest] for name, values in self.crops.items()}
        count = -(-length // stride)
        at, inside = self._where(rows, starts, np.arange(count) * stride + stride // 2)
        for name, values in self.steps.items():
            read = np.asarray(values[at], np.float32)
            read[~inside] = np.nan
            out[f"steps.{name}"] = read
        if self.events:
            at, inside = self._where(rows, starts, np.arange(count * stride))
            shape = (len(rows), count, stride // event_stride, event_stride)
            known = inside.reshape(shape).any(axis=-1)
            for name, happens in self.events.items():
                seen = (happens[at] & inside).reshape(shape).any(axis=-1)
                out[f"events.{name}"] = np.where(known, seen, np.nan).astype(np.float32)
        return out

    def _where(self, rows: Int64, starts: Int64, offsets: Int64) -> tuple[Int64, NDArray[np.bool_]]:
        """Places of steps of crops, and whether they lie in their recording."""
        step = starts[:, None] + offsets
        inside = (step >= 0) & (step < self.lengths[rows][:, None])
        return self.places[rows][:, None] + np.where(inside, step, 0), inside

    def _nearest(self, rows: Int64, starts: Int64) -> Int64:
        """The crop of the grid whose start is nearest."""
        span = int(self.lengths.max()) + 1
        key = self.row * span + self.start
        after = np.searchsorted(key, rows * span + np.clip(starts, 0, span - 1))
        low, high = np.searchsorted(self.row, rows), np.searchsorted(self.row, rows, side="right")
        before, after = np.maximum(after - 1, low), np.minimum(after, high - 1)
        nearer = np.abs(self.start[after] - starts) < np.abs(self.start[before] - starts)
        return np.where(nearer, after, before)
