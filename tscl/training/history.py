"""What a training run keeps of every step, in eight bytes a value."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

import numpy as np
import torch

COUNTS: tuple[str, ...] = ("step", "epoch")
"""Columns of whole numbers."""
Row = dict[str, float]


class History(Sequence[Row]):
    """Rows of numbers by name, one a step, kept as columns; a row may lack a column.

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

    def state(self) -> dict[str, Any]:
        """The columns as tensors, for a checkpoint."""
        return {
            name: {
                "values": torch.from_numpy(np.array(column, dtype=np.float64)),
                "known": torch.from_numpy(np.frombuffer(bytes(self._known[name]), np.uint8).copy()),
            }
            for name, column in self._values.items()
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any] | Sequence[Mapping[str, float]]) -> History:
        """The history of :meth:`state`, or of the list of rows of older checkpoints."""
        if not isinstance(state, Mapping):
            return cls(state)
        made = cls()
        for name, column in state.items():
            made._values[name] = array("d", column["values"].numpy().tobytes())
            made._known[name] = bytearray(column["known"].numpy().tobytes())
            made._length = len(made._values[name])
        return made
