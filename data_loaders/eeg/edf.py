"""EDF and BDF files: what the header declares is checked, then the signals in use are decoded.

B. Kemp et al., "A simple format for exchange of digitized polygraphic recordings",
Electroencephalography and Clinical Neurophysiology 82, 1992; EDF+ (B. Kemp and J. Olivan, 2003).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_loaders.eeg.channels import channel_type
from data_loaders.record_log import RecordError
from data_loaders.signals import Channel, check_length, decoded, signed

MAX_SIGNALS = 4096
_WIDTHS = {
    **{"label": 16, "transducer": 80, "unit": 8, "low": 8, "high": 8, "first": 8, "last": 8},
    **{"filters": 80, "steps": 8, "reserved": 32},
}


@dataclass(frozen=True)
class EDFFile:
    """A checked header.

    Attributes:
        channels: the signals but annotations.
        columns: (start, steps) of each in a data record.
        lines: (slope, offset) of each, from stored numbers to its unit.
    """

    path: Path
    wide: bool
    header_bytes: int
    n_records: int
    record_steps: int
    channels: tuple[Channel, ...]
    columns: tuple[tuple[int, int], ...]
    lines: tuple[tuple[float, float], ...]

    def read(self, used: list[int]) -> np.ndarray:
        """(T, C) float64 of the signals in use, which share a rate, each in its unit."""
        if self.wide:
            shape: tuple[int, ...] = (self.n_records, self.record_steps, 3)
            stored = np.memmap(self.path, np.uint8, "r", self.header_bytes, shape)
        else:
            shape = (self.n_records, self.record_steps)
            stored = np.memmap(self.path, "<i2", "r", self.header_bytes, shape)
        result = []
        for i in used:
            start, steps = self.columns[i]
            values = np.asarray(stored[:, start : start + steps])
            if self.wide:  # three bytes of a signed number, the lowest first
                low, middle, high = values.astype(np.int32).transpose(2, 0, 1)
                values = signed(low | middle << 8 | high << 16, 24)
            slope, offset = self.lines[i]
            result.append(values.reshape(-1) * slope + offset)
        return np.stack(result, axis=1)


def open_edf(path: Path, record: str) -> EDFFile:
    """Check the header of an EDF or BDF file against its size.

    Raises:
        RecordError: ``bad_header``, ``truncated_dat``, ``length_mismatch`` or, for recordings
            with interruptions (EDF+D), ``unsupported_format``.
    """
    size, wide = path.stat().st_size, path.suffix.lower() == ".bdf"
    with path.open("rb") as file:
        head = file.read(256)
        if len(head) < 256:
            raise RecordError(record, "bad_header", f"{size} bytes are less than a header")
        if head[:8].rstrip(b" \0") != (b"\xffBIOSEMI" if wide else b"0"):
            raise RecordError(record, "bad_header", "the file does not begin as EDF or BDF does")
        header_bytes = _whole(head[184:192], record, "header size")
        n_records = _whole(head[236:244], record, "number of data records")
        duration = _number(head[244:252])
        count = _whole(head[252:256], record, "number of signals")
        if not 1 <= count <= MAX_SIGNALS or header_bytes != 256 * (count + 1):
            detail = f"{count} signals in a header of {header_bytes} bytes"
            raise RecordError(record, "bad_header", detail)
        body = file.read(256 * count)
    if len(body) < 256 * count:
        raise RecordError(record, "bad_header", "the file ends within its header")
    if head[192:197] in (b"EDF+D", b"BDF+D"):
        raise RecordError(record, "unsupported_format", "a recording with interruptions (EDF+D)")
    fields = _columns(body, count)
    steps = [_whole(step, record, "samples per data record") for step in fields["steps"]]
    if not all(step > 0 for step in steps) or not 0 < duration < math.inf:
        raise RecordError(record, "bad_header", f"data records of {duration} s, {steps} samples")
    labels = [decoded(text) for text in fields["label"]]
    used = [i for i, label in enumerate(labels) if not label.upper().endswith("ANNOTATIONS")]
    if not used:
        raise RecordError(record, "bad_header", "no signal but annotations")
    if n_records < 1 and n_records != -1:
        raise RecordError(record, "bad_header", f"{n_records} data records")
    held = (size - header_bytes) // (sum(steps) * (3 if wide else 2))
    check_length(record, held, n_records, "data records")
    lines = [_line(*(fields[key][i] for key in ("low", "high", "first", "last"))) for i in used]
    channels = tuple(
        Channel(
            labels[i],
            decoded(fields["unit"][i]),
            steps[i] / duration,
            scaled=math.isfinite(slope) and slope != 0,
            kind=channel_type(labels[i]),
        )
        for i, (slope, _) in zip(used, lines, strict=True)
    )
    columns = tuple((sum(steps[:i]), steps[i]) for i in used)
    return EDFFile(path, wide, header_bytes, held, sum(steps), channels, columns, tuple(lines))


def _columns(body: bytes, count: int) -> dict[str, list[bytes]]:
    """The signals' part of a header: every field of all signals one after the other."""
    result, start = {}, 0
    for key, width in _WIDTHS.items():
        ends = range(start, start + width * count, width)
        result[key] = [body[at : at + width] for at in ends]
        start += width * count
    return result


def _number(text: bytes) -> float:
    """A header's number, NaN when it is none; some writers use a decimal comma or pad with NUL."""
    try:
        return float(decoded(text).replace(",", "."))
    except ValueError:
        return math.nan


def _whole(text: bytes, record: str, what: str) -> int:
    value = _number(text)
    if not value.is_integer():
        raise RecordError(record, "bad_header", f"{what} is {decoded(text)!r}")
    return int(value)


def _line(low: bytes, high: bytes, first: bytes, last: bytes) -> tuple[float, float]:
    """Slope and offset from stored numbers to the unit; not finite where there is no such line."""
    bottom, top, zero, full = (_number(text) for text in (low, high, first, last))
    slope = (top - bottom) / (full - zero) if full != zero else math.nan
    return slope, bottom - zero * slope
