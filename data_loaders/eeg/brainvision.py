"""BrainVision recordings: a text header (``.vhdr``) and the values beside it.

The format is Brain Products' "BrainVision Core Data Format 1.0".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_loaders.eeg.channels import channel_type
from data_loaders.record_log import RecordError
from data_loaders.signals import Channel, check_length
from data_loaders.vetting.paths import inside

MAX_SIGNALS = 4096
MAX_TEXT_BYTES = 2**22
_TYPES = {"INT_16": "i2", "UINT_16": "u2", "INT_32": "i4", "IEEE_FLOAT_32": "f4"}
Sections = dict[str, dict[str, str]]


@dataclass(frozen=True)
class BrainVisionFile:
    """A checked header; ``resolutions`` are those of ``channels``, ``order`` that of the values."""

    data: Path
    order: str
    multiplexed: bool
    channels: tuple[Channel, ...]
    resolutions: tuple[float, ...]
    sections: Sections
    record: str

    def read(self, used: list[int]) -> np.ndarray:
        """(T, C) float64 of the channels in use, each in its unit."""
        count = len(self.channels)
        if self.order:
            stored = np.memmap(self.data, self.order, "r")
            values = stored.reshape(-1, count) if self.multiplexed else stored.reshape(count, -1).T
        else:
            values = self._text()
        physical: np.ndarray = values[:, used] * np.asarray(self.resolutions, np.float64)[used]
        return physical

    def _text(self) -> np.ndarray:
        """(T, C) of a file of ASCII numbers."""
        keys = self.sections.get("ascii infos", {})
        try:
            lines = self.data.read_text("latin-1").splitlines()[int(keys.get("skiplines", 0)) :]
            text = [line.replace(keys.get("decimalsymbol") or ".", ".").split() for line in lines]
            skip = int(keys.get("skipcolumns", 0))
            values = np.asarray([line[skip:] for line in text if line], np.float64)
        except ValueError:
            detail = f"{self.data.name} cannot be decoded as numbers"
            raise RecordError(self.record, "corrupt_file", detail) from None
        values = values if self.multiplexed else values.T
        if values.ndim != 2 or values.shape[1] != len(self.channels):
            detail = f"{self.data.name} holds values of shape {values.shape}"
            raise RecordError(self.record, "truncated_dat", detail)
        return values


def open_brainvision(path: Path, record: str) -> BrainVisionFile:
    """Check a ``.vhdr``: it may name files of its own folder only, and must fit their size.

    Raises:
        RecordError: ``bad_header``, ``unsafe_path``, ``missing_signal``, ``truncated_dat`` or
            ``length_mismatch``.
    """
    sections = _sections(path, record)
    common = sections.get("common infos", {})
    if "datafile" not in common:
        raise RecordError(record, "bad_header", "it names no data file")
    for key in ("markerfile", "datafile"):
        name = common.get(key, "").replace("$b", path.stem)
        if "/" in name or "\\" in name or ":" in name:
            raise RecordError(record, "unsafe_path", f"{key} named {name[:60]!r}")
        if name and not inside(path.parent, name, record).is_file():
            raise RecordError(record, "missing_signal", f"no file {name}")
    data = path.parent / name
    binary = sections.get("binary infos", {})
    orientation = common.get("dataorientation", "MULTIPLEXED").upper()
    try:
        count, points = int(common["numberofchannels"]), int(common.get("datapoints", "0"))
        rate = 1e6 / float(common["samplinginterval"])
    except (KeyError, ValueError, ZeroDivisionError):
        detail = "no number of channels, data points or sampling interval"
        raise RecordError(record, "bad_header", detail) from None
    order = ""
    if common.get("dataformat", "BINARY").upper() == "BINARY":
        big = binary.get("usebigendianorder", "NO").upper() == "YES"
        form = binary.get("binaryformat", "").upper()
        order = (">" if big else "<") + _TYPES.get(form, "")
    if not 1 <= count <= MAX_SIGNALS or order in ("<", ">"):
        detail = f"{count} channels of {binary.get('binaryformat', 'no format')[:20]}"
        raise RecordError(record, "bad_header", detail)
    if orientation not in ("MULTIPLEXED", "VECTORIZED"):
        raise RecordError(record, "bad_header", f"orientation {orientation[:20]!r}")
    listed = sections.get("channel infos", {})
    described = [_channel(listed.get(f"ch{i + 1}", ""), i, rate) for i in range(count)]
    if order:
        held, rest = divmod(data.stat().st_size, count * np.dtype(order).itemsize)
        check_length(record, held if not rest else min(held, points - 1), points, "data points")
    channels, resolutions = zip(*described, strict=True)
    return BrainVisionFile(
        data, order, orientation == "MULTIPLEXED", channels, resolutions, sections, record
    )


def _sections(path: Path, record: str) -> Sections:
    """Keys in lower case and values of each section, up to the free text at the end."""
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise RecordError(record, "bad_header", f"more than {MAX_TEXT_BYTES} bytes of text")
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:  # "Codepage=ANSI", and files before there was such a key
        text = content.decode("latin-1")
    if not text.lower().startswith(("brain vision", "brainvision")):
        raise RecordError(record, "bad_header", "the file does not begin as a BrainVision header")
    sections: Sections = {}
    keys: dict[str, str] = {}
    for line in text.split("\n"):
        line = line.strip(" \t\r\0")
        if line.startswith("[") and line.endswith("]"):
            if line.lower() == "[comment]":
                break
            keys = sections.setdefault(line[1:-1].strip().lower(), {})
        elif "=" in line and not line.startswith(";"):
            key, _, value = line.partition("=")
            keys.setdefault(key.strip().lower(), value.strip())
    return sections


def _channel(text: str, number: int, rate: float) -> tuple[Channel, float]:
    """One channel's line ``name,reference,resolution,unit``; a missing unit is microvolt."""
    name, _, resolution, unit = (*(part.strip(" \0") for part in text.split(",")), "", "", "", "")[
        :4
    ]
    try:
        scale = float(resolution or 1)
    except ValueError:
        scale = math.nan
    label = name.replace("\\1", ",") or f"Ch{number + 1}"
    scaled = math.isfinite(scale) and scale != 0
    return Channel(label, unit or "µV", rate, scaled, channel_type(label)), scale
