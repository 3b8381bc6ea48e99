"""What became of every record: read, or skipped and why. Nothing is left out silently."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tscl.disk import atomic_file
from tscl.errors import DataError, check_choice

REASONS: dict[str, str] = {
    "missing_header": "restore the header file, or take the record off the list",
    "missing_signal": "restore the signal file beside its header",
    "missing_annotation": "restore the annotation file, or take the record off the list",
    "bad_header": "fetch the header again; it cannot be parsed",
    "unsafe_path": "a header may only name files in its own folder",
    "truncated_dat": "fetch the signal file again; it is shorter than its header says",
    "length_mismatch": "fetch header and signal file of the same release",
    "corrupt_file": "fetch the file again; its content cannot be decoded",
    "missing_lead": "name leads that every record has, with alternatives such as leads=['II|MLII']",
    "flat_lead": "check the electrode, choose other leads or channels, or raise max_flat",
    "unit_suspect": "correct unit (mV or uV) or scale in the header, or choose other channels",
    "nan_gap": "fill the gap, or raise max_gap_seconds",
    "no_r_peaks": "check that the leads hold an ECG",
    "rr_too_long": "the heart is slower than the longest beat kept: lengthen the samples",
    "too_short": "the record holds less than one trial: shorten trials or samples",
    "no_beats": "no annotated beat of the classes that are kept: keep more classes",
    "no_label": "no diagnosis of the task's classes: nothing to do, or name more classes",
    "mixed_rate": "resample to one rate (target_rate, rate for EEG), or choose channels of one",
    "missing_channel": "choose channels the record has, or leave it out",
    "unsupported_format": "convert the record to a supported format",
    "duplicate_record": "keep one of the copies",
    "bad_metadata": "correct the row of the metadata table",
}
"""Reason codes of a skipped record, each with what the user can do about it."""


class RecordError(DataError):
    """One record cannot be used.

    Args:
        record: name of the record, as listed.
        reason: a code of :data:`REASONS`.
        detail: what was found, in one sentence; never a header's free text.
    """

    _found = ""

    def __init__(self, record: str, reason: str, detail: str) -> None:
        check_choice("reason", reason, REASONS)
        self.record = record
        self.reason = reason
        self.detail = detail
        super().__init__(f"record {record} [{reason}]", detail, REASONS[reason])

    def __reduce__(self) -> tuple[type[RecordError], tuple[str, str, str]]:
        return type(self), (self.record, self.reason, self.detail)


class NoRecordsError(DataError):
    """No record of a data set can be used; ``log`` says why of each."""

    _found = ""

    log: RecordLog | None = None


@dataclass
class RecordOutcome:
    """One line of the log: ``status`` is ``"ok"`` or ``"skipped"``."""

    record: str
    status: str
    reason: str = ""
    detail: str = ""

    def leave_out(self, reason: str, detail: str) -> None:
        """Mark a record that is not wanted, which is no error."""
        self.status, self.reason, self.detail = "skipped", reason, detail


class RecordLog:
    """The outcome of every record a loader was given, in order.

    Example:
        >>> log = RecordLog("demo")
        >>> with log.attempt("100"):
        ...     pass
        >>> with log.attempt("101"):
        ...     raise RecordError("101", "flat_lead", "lead V1 is constant")
        >>> log.n_ok, [line.reason for line in log.skipped]
        (1, ['flat_lead'])
    """

    def __init__(self, name: str = "records") -> None:
        self.name = name
        self.lines: list[RecordOutcome] = []

    def ok(self, record: str, detail: str = "") -> None:
        """Record that ``record`` was read; ``detail`` may note a repair."""
        self.lines.append(RecordOutcome(str(record), "ok", "", detail))

    def skip(self, record: str, reason: str, detail: str) -> None:
        """Record that ``record`` was left out and why.

        Args:
            record: its name.
            reason: a code of :data:`REASONS`.
            detail: what was met, in words.

        Raises:
            InputError: ``reason`` is not a known code.
        """
        check_choice("reason", reason, REASONS)
        self.lines.append(RecordOutcome(str(record), "skipped", reason, detail))

    @contextmanager
    def attempt(self, record: str, *, strict: bool = False) -> Iterator[RecordOutcome]:
        """Log ``record`` as read when the block ends, or as skipped on a RecordError.

        Yields the log's line, so the block can set its ``detail``. With ``strict`` the error is
        logged and raised. Errors of other kinds always pass through.
        """
        line = RecordOutcome(str(record), "ok")
        try:
            yield line
        except RecordError as error:
            self.skip(line.record, error.reason, error.detail)
            if strict:
                raise
        else:
            self.lines.append(line)

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def skipped(self) -> list[RecordOutcome]:
        """The lines of the records left out."""
        return [line for line in self.lines if line.status == "skipped"]

    @property
    def n_ok(self) -> int:
        """How many records were read."""
        return len(self.lines) - len(self.skipped)

    @property
    def table(self) -> pd.DataFrame:
        """One row a record: record, status, reason, detail."""
        columns = ["record", "status", "reason", "detail"]
        return pd.DataFrame([asdict(line) for line in self.lines], columns=columns)

    def reasons(self) -> dict[str, int]:
        """How many records each reason code left out."""
        counts: dict[str, int] = {}
        for line in self.skipped:
            counts[line.reason] = counts.get(line.reason, 0) + 1
        return counts

    def summary(self) -> str:
        """``24 records read, 3 left out (flat_lead 2, nan_gap 1)``."""
        reasons = ", ".join(f"{code} {count}" for code, count in self.reasons().items())
        counts = f"{self.n_ok} records read, {len(self.skipped) or 'none'} left out"
        return f"{counts} ({reasons})" if reasons else counts

    def require_any(self) -> None:
        """Raise when no record could be used.

        Raises:
            NoRecordsError: the log is empty or every record was skipped; names the reasons.
        """
        if self.n_ok:
            return
        error = self._why_none()
        error.log = self
        raise error

    def _why_none(self) -> NoRecordsError:
        if not self.lines:
            remedy = "check the folder and the record list"
            return NoRecordsError(self.name, "no records", remedy)
        reasons = ", ".join(f"{count} x {code}" for code, count in self.reasons().items())
        first = self.skipped[0]
        return NoRecordsError(
            self.name,
            f"all {len(self.lines)} records skipped ({reasons})",
            f"{REASONS[first.reason]}; first: {first.record}: {first.detail}",
        )

    def to_csv(self, path: str | Path) -> None:
        """Write the log as CSV, one row a record."""
        with atomic_file(path) as work:
            self.table.to_csv(work, index=False)

    def as_dict(self) -> dict[str, object]:
        """The log as plain data."""
        lines = [asdict(line) for line in self.lines]
        return {"name": self.name, "ok": self.n_ok, "reasons": self.reasons(), "lines": lines}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RecordLog:
        """The log back from :meth:`as_dict`."""
        log = cls(str(data.get("name", "records")))
        try:
            for line in data["lines"]:
                log.lines.append(RecordOutcome(**{key: str(line[key]) for key in line}))
        except (KeyError, TypeError) as error:
            raise DataError("record log", repr(error), "the log file is damaged") from None
        return log

    def renamed(self, rename: Callable[[str], str]) -> RecordLog:
        """A copy with other record names and without details, which may hold names too."""
        log = RecordLog(self.name)
        for line in self.lines:
            log.lines.append(RecordOutcome(rename(line.record), line.status, line.reason))
        return log

    def __repr__(self) -> str:
        return f"RecordLog({self.name!r}: {self.n_ok} read, {len(self.skipped)} skipped)"
