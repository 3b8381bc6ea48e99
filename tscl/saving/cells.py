"""Finished cells on disk, so that a stopped run goes on where it was.

A cell is one trained and scored configuration: a file of JSON whose name ends in a digest of
everything its figures depend on, so a changed setting is a new cell. Those of a study are known
beforehand (:class:`CellFiles`); those with predictions have their arrays beside them
(:class:`ResultStore`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from data_loaders.vetting.arrays import read_npz
from tscl.disk import atomic_file, write_errors
from tscl.errors import CheckpointError
from tscl.saving.tensors import read_json, write_json


def digest(facts: Mapping[str, Any], digits: int = 12) -> str:
    """The first hexadecimal digits of the SHA-256 of canonical JSON."""
    text = json.dumps(dict(facts), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


class Titled(Protocol):
    """Something with a name that can be part of a file's."""

    @property
    def title(self) -> str:
        """The name."""


C = TypeVar("C", bound=Titled)


class CellFiles(Generic[C]):
    """Cells of a study, one JSON file each: ``cells/TITLE-DIGEST.json`` in its folder.

    Args:
        folder: of the study.
        cells: all of them, in order.
        facts: gives what the figures of a cell depend on.
    """

    def __init__(
        self,
        folder: Path,
        cells: Sequence[C],
        facts: Callable[[C], Mapping[str, Any]],
    ) -> None:
        self.folder, self.cells, self.facts = folder / "cells", cells, facts

    def path(self, cell: C) -> Path:
        """The file of a cell."""
        return self.folder / f"{cell.title}-{digest(self.facts(cell))}.json"

    def missing(self) -> list[C]:
        """Cells without a file."""
        return [cell for cell in self.cells if not self.path(cell).is_file()]

    def write(self, cell: C, values: Any) -> Path:
        """Write the file of a cell, the old one or the whole new one at any time."""
        path = self.path(cell)
        write_json(path, values)
        return path

    def finished(self) -> list[dict[str, Any]]:
        """What the files of all cells hold, in order; cells without one are left out."""
        return [read_cell(path) for cell in self.cells if (path := self.path(cell)).is_file()]


def read_cell(path: Path) -> dict[str, Any]:
    """The values of a cell's file; CheckpointError when it is damaged."""
    try:
        values: dict[str, Any] = read_json(path)
        return values
    except CheckpointError as error:
        raise CheckpointError(str(path), error, "remove the file to run the cell again") from None


@dataclass(frozen=True)
class Cell:
    """One trained and tested configuration.

    Attributes:
        key: what identifies it (method, protocol, fraction, by, seed, fold, digest, ...).
        facts: counts and settings to report beside it.
        arrays: test predictions: ``y`` (n,), ``proba`` (n, K), ``patient`` (n,), ``trial`` (n,);
            those of the validation part, where there is one: ``valid_y``, ``valid_proba``,
            ``valid_patient``.
    """

    key: dict[str, Any]
    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class ResultStore:
    """Cells by key: ``DIGEST.json`` of key and facts, and ``DIGEST.npz`` of arrays beside it.

    Arrays are written first, each file whole or not at all, so a killed run leaves only whole
    cells behind.

    Args:
        directory: created when missing; None keeps the cells in memory only.

    Raises:
        CheckpointError: a file of a cell cannot be read.
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        self.directory = None if directory is None else Path(directory)
        self._cells: dict[str, Cell] = {}
        self._known: dict[str, dict[str, Any]] = {}
        if self.directory is not None:
            with write_errors(self.directory):
                self.directory.mkdir(parents=True, exist_ok=True)
            lines = [_read_line(path) for path in self.directory.glob("*.json")]
            lines.sort(key=lambda line: int(line["number"]))
            self._known = {self._name(line["key"]): line for line in lines}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: Mapping[str, Any]) -> bool:
        return self._name(key) in self._known

    @staticmethod
    def _name(key: Mapping[str, Any]) -> str:
        """File name of a key."""
        return digest(key, 24)

    def get(self, key: Mapping[str, Any]) -> Cell:
        """The finished cell of ``key``.

        Raises:
            CheckpointError: no such cell, or its arrays are missing or damaged.
        """
        name = self._name(key)
        if name not in self._known:
            raise CheckpointError("cell", dict(key), "evaluate it first")
        if name not in self._cells:
            self._cells[name] = self._load(name)
        return self._cells[name]

    def cells(self) -> list[Cell]:
        """All finished cells in the order they were added."""
        return [self.get(line["key"]) for line in self._known.values()]

    def add(self, cell: Cell) -> None:
        """Keep a finished cell; a second one of the same key replaces nothing and is ignored."""
        name = self._name(cell.key)
        if name in self._known:
            return
        line = {"number": len(self._known), "key": cell.key, "facts": cell.facts}
        if self.directory is not None:
            path = self.directory / name
            with atomic_file(path.with_suffix(".npz")) as work, work.open("wb") as file:
                np.savez_compressed(file, **cell.arrays)  # type: ignore[arg-type]
            write_json(path.with_suffix(".json"), line)
        self._known[name] = line
        self._cells[name] = cell

    def _load(self, name: str) -> Cell:
        assert self.directory is not None
        path = self.directory / f"{name}.npz"
        line = self._known[name]
        try:
            return Cell(line["key"], line["facts"], read_npz(path, kinds="fiubUS"))
        except (OSError, ValueError) as error:
            remedy = f"remove its .json file to redo it ({line['key']})"
            raise CheckpointError(str(path), "missing or damaged arrays", remedy) from error


def _read_line(path: Path) -> dict[str, Any]:
    """Number, key and facts of a cell."""
    line = read_cell(path)
    try:
        return {
            "number": int(line["number"]),
            "key": dict(line["key"]),
            "facts": dict(line["facts"]),
        }
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise CheckpointError(str(path), "damaged", "remove the file to redo it") from error
