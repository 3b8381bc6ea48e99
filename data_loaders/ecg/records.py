"""Reading one WFDB record: the header is checked against the files before anything is allocated.

Formats are those of header(5) and signal(5) of the WFDB Applications Guide.
"""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_loaders.record_log import RecordError
from data_loaders.signals import (
    ECG,
    Channel,
    Recording,
    check_used,
    decoded,
    numbered,
    signed,
    usable_rate,
    volts,
)
from data_loaders.vetting.paths import inside
from tscl.errors import InputError

FORMATS: dict[str, tuple[float, int | None]] = {
    **{"8": (1.0, None), "80": (1.0, -(2**7)), "212": (1.5, -(2**11))},
    **{"310": (4 / 3, -(2**9)), "311": (4 / 3, -(2**9))},
    **dict.fromkeys(("16", "61", "160"), (2.0, -(2**15))),
    **{"24": (3.0, -(2**23)), "32": (4.0, -(2**31))},
}
"""Signal formats: bytes of a sample, and the value that stands for a missing one."""
MAX_HEADER_BYTES = 2**20
MAX_SIGNALS = 512
_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_GAIN = re.compile(r"([-+]?\d*\.?\d*(?:[eE][-+]?\d+)?)(?:\((-?\d*)\))?(?:/(\S*))?")


@dataclass(frozen=True)
class Signal:
    """One signal of a header: where its samples are, and what they mean."""

    file: str
    format: str
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    initial: int
    checksum: int | None
    channel: Channel


@dataclass(frozen=True)
class Header:
    """A header's signals, frames (0 when not given) and comments."""

    signals: tuple[Signal, ...]
    n_frames: int
    comments: tuple[str, ...]


def read_header(path: Path, record: str) -> Header:
    """Parse ``path`` + ``.hea``.

    Raises:
        RecordError: ``missing_header``, ``bad_header``, or ``unsupported_format`` for a record of
            several segments.
    """
    file = path.with_name(path.name + ".hea")
    if not file.is_file():
        names = sorted(file.name for file in path.parent.glob(f"{glob.escape(path.name)}.*"))
        present = f"; there is {', '.join(names[:3])}" if names else ""
        raise RecordError(record, "missing_header", f"no file {file.name}{present}")
    if file.stat().st_size > MAX_HEADER_BYTES:
        raise RecordError(record, "bad_header", f"{file.name} exceeds {MAX_HEADER_BYTES} bytes")
    lines = [text for line in file.read_bytes().splitlines() if (text := decoded(line))]
    comments = tuple(line.strip(" \t#") for line in lines if line.startswith("#"))
    lines = [line for line in lines if not line.startswith("#")]
    try:
        head = lines[0].split()
        if "/" in head[0]:
            raise RecordError(record, "unsupported_format", "a record of several segments")
        count = int(head[1])
        frame_rate = float(re.split(r"[/(]", head[2])[0]) if len(head) > 2 else 250.0
        n_frames = int(head[3]) if len(head) > 3 else 0
        signals = tuple(_signal(line, i, frame_rate) for i, line in enumerate(lines[1:]))
    except (ValueError, IndexError, OverflowError) as error:
        kind = type(error).__name__
        if isinstance(error, RecordError):
            raise
        raise RecordError(record, "bad_header", f"{file.name} cannot be parsed: {kind}") from None
    if not 1 <= count <= MAX_SIGNALS or count != len(signals) or n_frames < 0:
        detail = f"{count} signals declared, {len(signals)} described, {n_frames} frames"
        raise RecordError(record, "bad_header", detail)
    return Header(signals, n_frames, comments)


def _signal(line: str, number: int, frame_rate: float) -> Signal:
    """One signal's line; what it leaves out is as header(5) says, but for the gain."""
    file, form, *rest = line.split(None, 8)
    layout, rest = _FORMAT.fullmatch(form), rest + [""] * (7 - len(rest))
    if layout is None:
        raise ValueError(line)
    scale = _GAIN.fullmatch(rest[0]) or ("", "", "", rest[0])
    per_frame, zero = int(layout[2] or 1), int(rest[2] or 0)
    gain = float(scale[1]) if any(sign.isdigit() for sign in scale[1]) else 0.0
    channel = Channel(
        rest[6] or f"signal {number}",
        scale[3] or "mV",
        frame_rate * per_frame,
        scaled=math.isfinite(gain) and gain != 0,
        kind="ecg",
    )
    return Signal(
        file,
        layout[1],
        per_frame,
        int(layout[3] or 0),
        int(layout[4] or 0),
        gain,
        int(scale[2] or zero),
        int(rest[3] or zero),
        int(rest[4]) if rest[4] else None,
        channel,
    )


def match_leads(record: str, labels: Sequence[str], leads: Sequence[str]) -> list[int]:
    """Positions of the named leads among a record's labels; names compare without case.

    A name may list alternatives, as in ``"V1|V2|V5"``: the first one the record has and no earlier
    name took is used. Of several leads of one name, ``"II-0"`` is the first.

    Args:
        record: what the log calls the record.
        labels: as its header spells them.
        leads: names in the order wanted.

    Raises:
        RecordError: ``missing_lead``, also for a name that several leads have.
        InputError: no leads asked for.
    """
    if not leads or isinstance(leads, str):
        raise InputError("leads", leads, "give a list of lead names")
    names = numbered(labels)
    lower = [(label.lower(), name.lower()) for label, name in zip(labels, names, strict=True)]
    taken: list[int] = []
    for wanted in leads:
        for option in wanted.split("|"):
            hits = [i for i, label in enumerate(labels) if label == option]
            hits = hits or [i for i, pair in enumerate(lower) if option.lower() in pair]
            if len(hits) > 1:
                detail = f"{len(hits)} leads {option}: say {' or '.join(names[i] for i in hits)}"
                raise RecordError(record, "missing_lead", detail)
            if hits and hits[0] not in taken:
                taken.append(hits[0])
                break
        else:
            detail = f"no lead {wanted}; it has {', '.join(names)}"
            raise RecordError(record, "missing_lead", detail)
    return taken


def _check_files(folder: Path, header: Header, used: list[int], record: str) -> int:
    """Hold the files of the signals in use against the header; the number of frames."""
    n_frames = header.n_frames
    for name in dict.fromkeys(header.signals[i].file for i in used):
        if "/" in name or "\\" in name or ":" in name or name in (".", "..", "~"):
            raise RecordError(record, "unsafe_path", f"signal file named {name[:60]!r}")
        file = inside(folder, name, record)
        inside_it = [signal for signal in header.signals if signal.file == name]
        formats = {signal.format for signal in inside_it}
        if len(formats) != 1 or not formats <= set(FORMATS):
            raise RecordError(record, "unsupported_format", f"signal format {sorted(formats)}")
        if not file.is_file():
            raise RecordError(record, "missing_signal", f"no file {name}")
        frame = FORMATS[inside_it[0].format][0] * sum(signal.per_frame for signal in inside_it)
        size = file.stat().st_size - max(signal.offset for signal in inside_it)
        if frame <= 0:
            raise RecordError(record, "bad_header", f"no samples per frame in {name}")
        held = max(0, int(size // frame))
        n_frames = n_frames or held
        if size < math.floor(frame * n_frames) or not n_frames:
            detail = f"{name} holds {held} of {n_frames or 'at least 1'} samples"
            raise RecordError(record, "truncated_dat", detail)
        if size > math.ceil(frame * n_frames) + max(4, math.ceil(frame)):
            detail = f"{name} holds {held} samples, the header says {n_frames}"
            raise RecordError(record, "length_mismatch", detail)
    return n_frames


def read_record(
    path: str | Path,
    *,
    name: str | None = None,
    leads: Sequence[str] | None = None,
    checksum: bool = True,
) -> Recording:
    """Read one WFDB record whole, in mV, at the leads' own rate.

    Args:
        path: the record without an extension.
        name: what the log calls it (default: the file name).
        leads: names in order, see :func:`match_leads`; by default every signal that is a voltage.
            Units, rates and files of other signals do not matter.
        checksum: compare the header's checksums with the samples read; 0 counts as none.

    Raises:
        RecordError: what :func:`read_header` and :func:`match_leads` raise; ``unsafe_path``,
            ``unsupported_format``, ``missing_signal``, ``truncated_dat`` or ``length_mismatch``
            for the files; ``unit_suspect`` for a unit that is no voltage or a lead without gain;
            ``mixed_rate``; ``corrupt_file`` for samples that differ from the checksum.
    """
    where = Path(path)
    record = name or where.name
    header = read_header(where, record)
    declared = [signal.channel for signal in header.signals]
    labels = [channel.label for channel in declared]
    notes: tuple[str, ...] = ()
    if leads is None:
        used = [i for i, channel in enumerate(declared) if volts(channel.unit) is not None]
        if used and len(used) < len(declared):
            others = (channel.label for i, channel in enumerate(declared) if i not in used)
            notes = (f"no voltage, left out: {', '.join(others)}",)
        used = used or list(range(len(declared)))
        leads = [numbered(labels)[i] for i in used]
    else:
        used = match_leads(record, labels, leads)
    rate, to_volt = check_used(record, declared, used, ECG.noun)
    usable_rate(record, rate)
    n_frames = _check_files(where.parent, header, used, record)
    signals = [header.signals[i] for i in used]
    samples = _read_samples(where.parent, header, used, n_frames)
    columns = []
    for given, values, factor in zip(signals, samples, to_volt.tolist(), strict=True):
        if (
            checksum
            and given.checksum
            and (given.checksum - int(values.sum(dtype=np.int64))) % 65536
        ):
            detail = f"lead {given.channel.label} differs from its checksum"
            raise RecordError(record, "corrupt_file", detail)
        columns.append(_millivolt(given, values, factor * ECG.per_volt))
    spelled = sorted({signal.channel.unit for signal in signals})
    if any(factor != 1e-3 for factor in to_volt):
        notes += (f"converted from {', '.join(spelled)} to mV",)
    signal = np.stack(columns, axis=1)
    return Recording(record, signal, rate, tuple(leads), ECG, notes, header.comments)


def decode_samples(content: np.ndarray, form: str) -> np.ndarray:
    """Samples of one signal file in the order of the file, int32; differences for format 8.

    Args:
        content: (n,) uint8, the file's bytes; the last group may be cut short.
        form: a key of :data:`FORMATS`.
    """
    group = {"8": 1, "80": 1, "212": 3, "24": 3, "16": 2, "61": 2, "160": 2}.get(form, 4)
    content = np.pad(content, (0, -len(content) % group))
    plain = {"8": "i1", "80": "u1", "16": "<i2", "61": ">i2", "160": "<u2", "32": "<i4"}
    if form in plain:
        zero = {"80": 128, "160": 32768}.get(form, 0)
        return content.view(plain[form]).astype(np.int32) - zero
    if form == "24":
        low, middle, high = content.reshape(-1, 3).astype(np.int32).T
        return signed(low | middle << 8 | high << 16, 24)
    if form == "212":
        low, both, high = content.reshape(-1, 3).astype(np.int32).T
        parts = [low | (both & 15) << 8, high | (both >> 4) << 8]
    elif form == "310":
        first, second = content.view("<u2").reshape(-1, 2).astype(np.int32).T
        parts = [first >> 1 & 1023, second >> 1 & 1023, first >> 11 | second >> 11 << 5]
    else:
        word = content.view("<u4").astype(np.int64)
        parts = [word & 1023, word >> 10 & 1023, word >> 20 & 1023]
    return signed(np.stack(parts, axis=1).ravel().astype(np.int32), 12 if form == "212" else 10)


def _read_samples(folder: Path, header: Header, used: list[int], n_frames: int) -> list[np.ndarray]:
    """The samples of the signals in use as the files hold them, (frames * per frame,) each."""
    result: dict[int, np.ndarray] = {}
    for name in dict.fromkeys(header.signals[i].file for i in used):
        inside_it = [i for i, signal in enumerate(header.signals) if signal.file == name]
        first = header.signals[inside_it[0]]
        width = sum(header.signals[i].per_frame for i in inside_it)
        count = math.ceil(FORMATS[first.format][0] * width * n_frames) + 4  # up to a group's end
        offset = max(header.signals[i].offset for i in inside_it)
        content = np.fromfile(folder / name, np.uint8, count, offset=offset)
        frames = decode_samples(content, first.format)[: width * n_frames].reshape(n_frames, width)
        start = 0
        for i in inside_it:
            values = frames[:, start : start + header.signals[i].per_frame].ravel()
            start += header.signals[i].per_frame
            if first.format == "8":
                values = np.cumsum(values, dtype=np.int32) + header.signals[i].initial
            result[i] = values
    return [result[i] for i in used]


def _millivolt(signal: Signal, values: np.ndarray, factor: float) -> np.ndarray:
    """Physical values, float32, from sample 0 on; NaN stands for missing ones."""
    result = (values.astype(np.float64) - signal.baseline) / signal.gain * factor
    result[values == FORMATS[signal.format][1]] = np.nan
    if shift := min(signal.skew * signal.per_frame, len(result)):
        result = np.concatenate([result[shift:], np.full(shift, np.nan)])
    return result.astype(np.float32)


def list_records(root: Path) -> list[str]:
    """Record names below ``root``: the lines of ``RECORDS``, or every header file, sorted."""
    listed = root / "RECORDS"
    if listed.is_file():
        lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line.strip() for line in lines if line.strip()]
    paths = sorted(path.relative_to(root).with_suffix("") for path in root.rglob("*.hea"))
    return [path.as_posix() for path in paths]
