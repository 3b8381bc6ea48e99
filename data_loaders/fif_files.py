"""Structure of a FIF file, checked before MNE reads it: damaged ones can keep it busy for ever.

A FIF file is a chain of tags, each with a kind, a type, a size and the place of the next one. Every
tag must lie in the file and the chain must lead forward.
"""

from __future__ import annotations

import struct
from pathlib import Path

from data_loaders.record_log import RecordError

_TAG = struct.Struct(">iiii")
_FILE_ID, _DIRECTORY, _DIRECTORY_POINTER = 100, 102, 101


def check_fif(path: Path, record: str) -> None:
    """Check the chain of tags and the directory.

    Raises:
        RecordError: ``bad_header`` for another file, ``corrupt_file`` for a chain that cannot be.
    """
    size = path.stat().st_size
    with path.open("rb") as file:

        def tag(at: int) -> tuple[int, int, int, int]:
            file.seek(at)
            head = file.read(_TAG.size)
            if at < 0 or len(head) < _TAG.size:
                raise RecordError(record, "corrupt_file", f"no whole tag at byte {at} of {size}")
            kind, type_, length, following = _TAG.unpack(head)
            if length < 0 or at + _TAG.size + length > size:
                detail = f"a tag of {length} bytes at byte {at} of {size}"
                raise RecordError(record, "corrupt_file", detail)
            return kind, type_, length, following

        if size < _TAG.size:
            raise RecordError(record, "corrupt_file", f"{path.name} ends after {size} bytes")
        if tag(0)[0] != _FILE_ID:
            raise RecordError(record, "bad_header", f"{path.name} does not begin as a FIF file")
        at, directory = 0, -1
        while 0 <= at < size:
            kind, _, length, following = tag(at)
            if kind == _DIRECTORY_POINTER and length == 4:
                directory = struct.unpack(">i", file.read(4))[0]
            after = at + _TAG.size + length
            at = {0: after, -1: -1}.get(following, following)
            if at != -1 and at < after:
                raise RecordError(record, "corrupt_file", f"a tag leads back to byte {at}")
        if directory > 0:
            kind, _, length, _ = tag(directory)
            if kind != _DIRECTORY or length % _TAG.size:
                raise RecordError(record, "corrupt_file", "the directory is none")
            entries = file.read(length)
            for entry in _TAG.iter_unpack(entries):
                if entry[3] > 0 and tag(entry[3])[:3] != entry[:3]:
                    raise RecordError(record, "corrupt_file", "the directory names other tags")
