"""Finished evaluation cells on disk, so that a stopped run goes on where it was."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tscl.disk import atomic_file, write_errors
from tscl.errors import CheckpointError


@dataclass(frozen=True)
class Cell:
    """One trained and tested configuration.

    Attributes:
        key: what identifies it (method, protocol, fraction, by, seed, fold, digest, ...).
        facts: counts and settings to report beside it.
        arrays: test predictions: ``y`` (n,), ``proba`` (n, K), ``patient`` (n,), ``trial`` (n,).
    """

    key: dict[str, Any]
    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class ResultStore:
    """Cells by key: one JSON line each in ``cells.jsonl`` and one ``.npz`` of arrays.

    Arrays are written and synced before their line, and a line is appended in one write, so a
    killed run leaves only whole cells behind; half a last line is dropped when the store opens.

    Args:
        directory: created when missing; None keeps the cells in memory only.

    Raises:
        CheckpointError: a line before the last one cannot be read.
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        self.directory = None if directory is None else Path(directory)
        self._cells: dict[str, Cell] = {}
        self._known: dict[str, dict[str, Any]] = {}
        if self.directory is not None:
            with write_errors(self.directory):
                self.directory.mkdir(parents=True, exist_ok=True)
            self._read()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: Mapping[str, Any]) -> bool:
        return _name(key) in self._known

    def get(self, key: Mapping[str, Any]) -> Cell:
        """The finished cell of ``key``.

        Raises:
            CheckpointError: no such cell, or its arrays are missing or damaged.
        """
        name = _name(key)
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
        name = _name(cell.key)
        if name in self._known:
            return
        line = {"key": cell.key, "facts": cell.facts}
        if self.directory is not None:
            with atomic_file(self.directory / f"{name}.npz") as work, work.open("wb") as file:
                np.savez_compressed(file, **cell.arrays)  # type: ignore[arg-type]
            self._append(json.dumps(line, sort_keys=True) + "\n")
        self._known[name] = line
        self._cells[name] = cell

    def _append(self, text: str) -> None:
        """Append one line to ``cells.jsonl``, whole or not at all."""
        assert self.directory is not None
        path, content = self.directory / "cells.jsonl", text.encode()
        with write_errors(path):
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                written = os.write(handle, content)
                if written < len(content):
                    os.ftruncate(handle, os.fstat(handle).st_size - written)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(handle)
            finally:
                os.close(handle)

    def _read(self) -> None:
        assert self.directory is not None
        path = self.directory / "cells.jsonl"
        if not path.exists():
            return
        raw = path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            os.truncate(path, whole)
        for number, text in enumerate(raw[:whole].splitlines(), 1):
            try:
                line = json.loads(text)
                dict(line["facts"])
                self._known[_name(line["key"])] = line
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                where = f"{path} line {number}"
                raise CheckpointError(where, text[:80], "remove the line to redo it") from error

    def _load(self, name: str) -> Cell:
        assert self.directory is not None
        path = self.directory / f"{name}.npz"
        line = self._known[name]
        from data_loaders.vetting.arrays import read_npz

        try:
            return Cell(line["key"], line["facts"], read_npz(path, kinds="fiubUS"))
        except (OSError, ValueError) as error:
            remedy = f"remove its line from cells.jsonl to redo it ({line['key']})"
            raise CheckpointError(str(path), "missing or damaged arrays", remedy) from error


def _name(key: Mapping[str, Any]) -> str:
    """File name of a key: 24 hex digits of its canonical JSON."""
    text = json.dumps(dict(key), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
