"""Checks of EEG files before anything is loaded: what the header declares must be true."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from data_loaders.record_log import RecordError
from data_loaders.vetting.paths import inside

MAX_SIGNALS = 4096
MAX_TEXT_BYTES = 2**22
N = TypeVar("N", int, float)


class DeclaredSignal(NamedTuple):
    """One signal of an EDF or BDF header."""

    label: str
    unit: str
    rate: float


def edf_signals(path: Path, record: str) -> list[DeclaredSignal]:
    """Signals that an EDF or BDF header declares, annotations left out, its size checked.

    Raises:
        RecordError: ``bad_header``, ``truncated_dat``, ``length_mismatch`` or, for recordings
            with interruptions (EDF+D), ``unsupported_format``.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(256)
        if len(head) < 256:
            raise RecordError(record, "bad_header", f"{size} bytes are less than a header")
        wide = path.suffix.lower() == ".bdf"
        magic = b"\xffBIOSEMI" if wide else b"0       "
        if head[:8] != magic:
            raise RecordError(record, "bad_header", "the file does not begin as EDF or BDF does")
        header_bytes = _field(head, 184, 8, record, "header size", int)
        n_records = _field(head, 236, 8, record, "number of data records", int)
        duration = _field(head, 244, 8, record, "duration of a data record", float)
        count = _field(head, 252, 4, record, "number of signals", int)
        if not 1 <= count <= MAX_SIGNALS or header_bytes != 256 * (count + 1):
            detail = f"{count} signals in a header of {header_bytes} bytes"
            raise RecordError(record, "bad_header", detail)
        body = file.read(256 * count)
    if len(body) < 256 * count:
        raise RecordError(record, "bad_header", "the file ends within its header")
    if head[192:197] in (b"EDF+D", b"BDF+D"):
        raise RecordError(record, "unsupported_format", "a recording with interruptions (EDF+D)")

    def column(start: int, width: int) -> list[str]:
        block = body[start * count : (start + width) * count].decode("latin-1")
        return [block[i * width : (i + 1) * width].strip() for i in range(count)]

    labels, units = column(0, 16), column(96, 8)
    try:
        steps = [int(one) for one in column(216, 8)]
    except ValueError:
        raise RecordError(record, "bad_header", "samples per data record are no numbers") from None
    notes = [one.upper().endswith("ANNOTATIONS") for one in labels]
    if all(notes):
        raise RecordError(record, "bad_header", "no signal but annotations")
    if not all(one > 0 for one in steps) or not (duration > 0 and math.isfinite(duration)):
        raise RecordError(record, "bad_header", f"data records of {duration} s, {steps} samples")
    block = sum(steps) * (3 if wide else 2)
    held = (size - header_bytes) // block
    if n_records < 1 and n_records != -1:
        raise RecordError(record, "bad_header", f"{n_records} data records")
    if size - header_bytes < max(n_records, 1) * block:
        wanted = "at least one" if n_records < 0 else n_records
        raise RecordError(record, "truncated_dat", f"{held} of {wanted} data records")
    if n_records > 0 and held > n_records:
        detail = f"{held} data records, the header says {n_records}"
        raise RecordError(record, "length_mismatch", detail)
    return [
        DeclaredSignal(label, unit, one / duration)
        for label, unit, one, note in zip(labels, units, steps, notes, strict=True)
        if not note
    ]


def _field(
    head: bytes, start: int, width: int, record: str, what: str, kind: Callable[[str], N]
) -> N:
    text = head[start : start + width].decode("latin-1").strip()
    try:
        return kind(text)
    except ValueError:
        raise RecordError(record, "bad_header", f"{what} is {text!r}") from None


def check_brainvision(path: Path, record: str) -> None:
    """Check that a ``.vhdr`` names files of its own folder, and their size.

    Raises:
        RecordError: ``bad_header``, ``unsafe_path``, ``missing_signal``, ``truncated_dat`` or
            ``length_mismatch``.
    """
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise RecordError(record, "bad_header", f"more than {MAX_TEXT_BYTES} bytes of text")
    text = path.read_bytes().decode("utf-8", errors="replace")
    if not text.lstrip("\ufeff").lower().startswith(("brain vision", "brainvision")):
        raise RecordError(record, "bad_header", "the file does not begin as a BrainVision header")
    keys: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.startswith(";"):
            keys.setdefault(key.strip().lower(), value.strip())
    if "datafile" not in keys:
        raise RecordError(record, "bad_header", "it names no data file")
    for key in ("datafile", "markerfile"):
        name = keys.get(key, "").replace("$b", path.stem)
        if not name:
            continue
        if "/" in name or "\\" in name or ":" in name:
            raise RecordError(record, "unsafe_path", f"{key} named {name[:60]!r}")
        if not inside(path.parent, name, record).is_file():
            raise RecordError(record, "missing_signal", f"no file {name}")
    if keys.get("dataformat", "BINARY").upper() != "BINARY":
        return
    widths = {"INT_16": 2, "UINT_16": 2, "INT_32": 4, "IEEE_FLOAT_32": 4}
    width = widths.get(keys.get("binaryformat", "").upper(), 0)
    try:
        count, points = int(keys["numberofchannels"]), int(keys.get("datapoints", "0"))
    except (KeyError, ValueError):
        raise RecordError(record, "bad_header", "no number of channels or data points") from None
    if not width or not 1 <= count <= MAX_SIGNALS:
        detail = f"{count} channels of {keys.get('binaryformat', 'no format')[:20]}"
        raise RecordError(record, "bad_header", detail)
    size = (path.parent / keys["datafile"].replace("$b", path.stem)).stat().st_size
    held, rest = divmod(size, count * width)
    if rest or not held or held < points:
        raise RecordError(record, "truncated_dat", f"{held} of {points or 'unknown'} data points")
    if points and held > points:
        raise RecordError(
            record, "length_mismatch", f"{held} data points, the header says {points}"
        )
