"""What a training run keeps of every step and score, in nine bytes a value."""

from __future__ import annotations

from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

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
        made = cls()
        for name, column in state.items():
            made._values[name] = array("d", b64decode(column["values"]))
            made._known[name] = bytearray(b64decode(column["known"]))
            made._length = len(made._values[name])
        return made
