"""Reading one WFDB record: the header is checked against the files before anything is allocated."""

from __future__ import annotations

import glob
import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_loaders.record_log import RecordError
from data_loaders.vetting.paths import MAX_RATE, MIN_RATE, inside

BYTES_PER_SAMPLE = {
    **{"8": 1.0, "80": 1.0, "16": 2.0, "61": 2.0, "160": 2.0, "24": 3.0, "32": 4.0},
    **{"212": 1.5, "310": 4 / 3, "311": 4 / 3},
}
MILLIVOLT = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6}
MAX_HEADER_BYTES = 2**20
MAX_SIGNALS = 512


@dataclass
class WfdbRecord:
    """One record in memory.

    Attributes:
        name: the record's name as listed.
        signal: (T, C) float32 in mV; NaN where the file marks a gap.
        rate: sampling rate in Hz.
        leads: (C,) names as in the header.
        comments: the header's free text; for deciding the class, never written out.
        notes: repairs worth a line in the log.
    """

    name: str
    signal: np.ndarray
    rate: float
    leads: tuple[str, ...]
    comments: tuple[str, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    def digest(self) -> str:
        """A digest of values and rate, equal for copies of one record."""
        state = hashlib.blake2b(repr((self.rate, self.signal.shape)).encode(), digest_size=16)
        state.update(np.ascontiguousarray(self.signal).data)
        return state.hexdigest()


def read_header(path: Path, record: str) -> Any:
    """Parse ``path`` + ``.hea`` and check that what it declares can be true.

    Returns:
        wfdb's ``Record``, with ``sig_len`` filled in.

    Raises:
        RecordError: ``missing_header``, ``bad_header``, ``unsafe_path``, ``unsupported_format``,
            ``mixed_rate``, ``missing_signal``, ``truncated_dat`` or ``length_mismatch``.
    """
    import wfdb

    file = path.with_name(path.name + ".hea")
    if not file.is_file():
        names = sorted(one.name for one in path.parent.glob(f"{glob.escape(path.name)}.*"))
        found = f"; there is {', '.join(names[:3])}" if names else ""
        raise RecordError(record, "missing_header", f"no file {file.name}{found}")
    if file.stat().st_size > MAX_HEADER_BYTES:
        raise RecordError(record, "bad_header", f"{file.name} exceeds {MAX_HEADER_BYTES} bytes")
    try:
        header = wfdb.rdheader(str(path.absolute()))
    except Exception as error:
        kind = type(error).__name__
        raise RecordError(record, "bad_header", f"{file.name} cannot be parsed: {kind}") from None
    if not isinstance(header, wfdb.Record):
        raise RecordError(record, "unsupported_format", "a record of several segments")
    names = header.file_name or []
    if not header.n_sig or header.n_sig != len(names) or header.n_sig > MAX_SIGNALS:
        raise RecordError(
            record, "bad_header", f"{header.n_sig} signals declared, {len(names)} described"
        )
    if not header.fs or not MIN_RATE <= header.fs <= MAX_RATE:
        raise RecordError(record, "bad_header", f"sampling rate {header.fs}")
    for name in names:
        if "/" in name or "\\" in name or ":" in name or name in (".", "..", "~"):
            raise RecordError(record, "unsafe_path", f"signal file named {name[:60]!r}")
        inside(path.parent, name, record)
    if len(set(header.samps_per_frame)) != 1:
        raise RecordError(record, "mixed_rate", f"samples per frame {header.samps_per_frame}")
    _check_sizes(path.parent, header, record)
    return header


def _check_sizes(folder: Path, header: Any, record: str) -> None:
    """Compare every signal file's size with what the header declares; fill in ``sig_len``."""
    for name in dict.fromkeys(header.file_name):
        mine = [i for i, other in enumerate(header.file_name) if other == name]
        formats = {header.fmt[i] for i in mine}
        if len(formats) != 1 or not formats <= set(BYTES_PER_SAMPLE):
            raise RecordError(record, "unsupported_format", f"signal format {sorted(formats)}")
        if not (folder / name).is_file():
            raise RecordError(record, "missing_signal", f"no file {name}")
        width = BYTES_PER_SAMPLE[formats.pop()]
        frame = width * sum(header.samps_per_frame[i] for i in mine)
        offset = max(header.byte_offset[i] or 0 for i in mine)
        size = (folder / name).stat().st_size - offset
        if not header.sig_len:
            header.sig_len = max(0, int(size // frame))
        if size < math.floor(frame * header.sig_len):
            raise RecordError(
                record,
                "truncated_dat",
                f"{name} holds {max(0, int(size // frame))} of {header.sig_len} samples",
            )
        if size > math.ceil(frame * header.sig_len) + max(4, math.ceil(frame)):
            raise RecordError(
                record,
                "length_mismatch",
                f"{name} holds {int(size // frame)} samples, the header says {header.sig_len}",
            )
    if not header.sig_len:
        raise RecordError(record, "truncated_dat", "the record holds no samples")


def read_record(path: str | Path, *, name: str | None = None, checksum: bool = True) -> WfdbRecord:
    """Read one WFDB record whole, in mV.

    Args:
        path: the record without an extension.
        name: what the log calls it (default: the file name).
        checksum: compare the header's checksums with the samples read.

    Raises:
        RecordError: what :func:`read_header` raises; ``corrupt_file`` for samples that cannot be
            decoded or differ from the checksum; ``unit_suspect`` for a unit that is no voltage.
    """
    import wfdb

    where = Path(path)
    record = name or where.name
    header = read_header(where, record)
    factors = []
    for lead, unit in zip(header.sig_name, header.units, strict=True):
        if str(unit).lower() not in MILLIVOLT:
            raise RecordError(record, "unit_suspect", f"lead {lead} is given in {str(unit)[:20]!r}")
        factors.append(MILLIVOLT[str(unit).lower()])
    if not all(gain and math.isfinite(gain) for gain in header.adc_gain):
        raise RecordError(record, "unit_suspect", "a lead without gain")
    try:
        read = wfdb.rdrecord(
            str(where.absolute()), sampto=header.sig_len, physical=False, return_res=32
        )
        sums = read.calc_checksum()
        signal = read.dac(return_res=32)
    except Exception as error:
        detail = f"samples cannot be decoded: {type(error).__name__}"
        raise RecordError(record, "corrupt_file", detail) from None
    frames = header.samps_per_frame[0]
    for lead, told, found in zip(header.sig_name, header.checksum, sums, strict=True):
        if checksum and frames == 1 and told is not None and (told - found) % 65536:
            raise RecordError(record, "corrupt_file", f"lead {lead} differs from its checksum")
    notes = []
    if any(factor != 1.0 for factor in factors):
        notes.append(f"converted from {', '.join(sorted(set(header.units)))} to mV")
        signal = signal * np.asarray(factors, np.float32)
    return WfdbRecord(
        record,
        np.ascontiguousarray(signal, np.float32),
        float(header.fs),
        tuple(str(one) for one in header.sig_name),
        tuple(str(one) for one in header.comments or ()),
        tuple(notes),
    )


def list_records(root: Path) -> list[str]:
    """Record names below ``root``: the lines of ``RECORDS``, or every header file, sorted."""
    listed = root / "RECORDS"
    if listed.is_file():
        lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line.strip() for line in lines if line.strip()]
    found = sorted(path.relative_to(root).with_suffix("") for path in root.rglob("*.hea"))
    return [path.as_posix() for path in found]
