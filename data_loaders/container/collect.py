"""Gathering samples record by record into one container, in memory or in a file."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from data_loaders.container.dataset import MedicalDataset
from data_loaders.record_log import RecordError, RecordLog, RecordOutcome
from tscl.disk import write_errors
from tscl.errors import WriteError


class Digested(Protocol):
    """A record whose copies can be found."""

    name: str

    def digest(self) -> str:
        """Equal for equal content."""
        ...


class SampleCollector:
    """Takes the samples of each record and builds the container at the end.

    Args:
        log: the loader's record log.
        cache: folder for the values when they should not stay in memory; they are written to a
            temporary file there and mapped. The file lives until the folder is cleared.
    """

    def __init__(self, log: RecordLog, cache: str | Path | None = None) -> None:
        self.log = log
        self._blocks: list[np.ndarray] = []
        self._shape: tuple[int, ...] = ()
        self._fields: dict[str, list[Any]] = {}
        self._count = 0
        self._digests: dict[str, tuple[str, Any]] = {}
        self._file: Any = None
        if cache is not None:
            with write_errors(Path(cache)):
                Path(cache).mkdir(parents=True, exist_ok=True)
                self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115
                    prefix="samples-", suffix=".f32", dir=cache, delete=False
                )

    def refuse_copies(self, record: Digested, patient: Any = None) -> str:
        """Remember the record's digest.

        Args:
            record: the record.
            patient: its patient. A copy under another patient's name stays, since nothing tells
                whose it is; splits keep both patients on one side.

        Returns:
            A note about such a copy for the log, or "".

        Raises:
            RecordError: ``duplicate_record``: an earlier record of the same patient (or of any,
                where no patient is given) holds the same values.
        """
        name, owner = self._digests.setdefault(record.digest(), (record.name, patient))
        if (name, owner) == (record.name, patient):
            return ""
        detail = f"same values as record {name}"
        if owner == patient:
            raise RecordError(record.name, "duplicate_record", detail)
        return f"{detail} of patient {owner}; splits keep both patients on one side"

    def add(self, values: np.ndarray, **fields: Any) -> None:
        """Add (k, T, C) samples; each field is one value or k values."""
        block = np.ascontiguousarray(values, np.float32)
        self._shape = block.shape[1:]
        self._count += len(block)
        if self._file is None:
            self._blocks.append(block)
        else:
            self._append(block)
        for name, value in fields.items():
            many = list(value) if isinstance(value, np.ndarray | list) else [value] * len(block)
            self._fields.setdefault(name, []).extend(many)

    def _append(self, block: np.ndarray) -> None:
        try:
            self._file.write(block.data)
            self._file.flush()
        except OSError as error:
            self._drop_file()
            raise WriteError(self._file.name, error) from error

    def _drop_file(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        Path(self._file.name).unlink(missing_ok=True)

    def _values(self) -> np.ndarray:
        shape = (self._count, *self._shape)
        if self._file is not None:
            self._file.close()
            return np.memmap(self._file.name, np.float32, "r", shape=shape)
        out = np.empty(shape, np.float32)
        start = 0
        self._blocks.reverse()
        while self._blocks:
            block = self._blocks.pop()
            out[start : start + len(block)] = block
            start += len(block)
        return out

    def dataset(self, **settings: Any) -> MedicalDataset:
        """The container; fields beside label, patient, trial and sampling_rate become columns.

        Raises:
            DataError: no record could be used.
        """
        if self._file is not None and not self._count:
            self._drop_file()
        self.log.require_any()
        fields = dict(self._fields)
        fixed = [fields.pop(name) for name in ("label", "patient", "trial", "sampling_rate")]
        return MedicalDataset(self._values(), *fixed, columns=fields, log=self.log, **settings)


def each_record(
    records: Iterable[str], log: RecordLog, read: Callable[[str, RecordOutcome], None], strict: bool
) -> None:
    """Read every record once; what fails goes to the log (or up: strict).

    A name listed twice is a ``duplicate_record``.

    Args:
        records: names, in order.
        log: one line a record.
        read: called with a name and its line of the log.
        strict: raise the first error instead of logging it.
    """
    seen: set[str] = set()
    for name in records:
        with log.attempt(name, strict=strict) as line:
            if name in seen:
                raise RecordError(name, "duplicate_record", "listed twice")
            seen.add(name)
            read(name, line)
