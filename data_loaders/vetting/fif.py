"""Structure of a FIF file, checked before MNE reads it: damaged ones can keep it busy for ever.

A FIF file is a chain of tags, each with a kind, a type, a size and the place of the next one. Every
tag must lie in the file and the chain must lead forward. A long recording is split into parts that
name the next one: all must lie in one folder, and none may come twice.
"""

from __future__ import annotations

import struct
from pathlib import Path

from data_loaders.record_log import RecordError
from data_loaders.vetting.paths import inside

_TAG = struct.Struct(">iiii")
_FILE_ID, _DIRECTORY, _DIRECTORY_POINTER = 100, 102, 101
_BLOCK, _ROLE, _NUMBER, _NAME = 104, 115, 117, 118
_REFERENCE = (_BLOCK, _ROLE, _NUMBER, _NAME)
_NEXT_PART = (0, 2)  # roles; 0 stands for none given
_LONGEST_NAME = 1024
MAX_PARTS = 1000

Tag = tuple[int, int, int, int]


def check_fif(path: Path, record: str) -> None:
    """Check the chain of tags and the directory of a file and of the parts that follow it.

    Raises:
        RecordError: ``bad_header`` for another file, ``corrupt_file`` for a chain that cannot be,
            ``unsafe_path`` for a part in another folder, ``missing_signal`` for one that is not
            there, ``unsupported_format`` for one named by its number only.
    """
    seen: set[Path] = set()
    part: Path | None = path
    while part is not None:
        if part in seen or len(seen) >= MAX_PARTS:
            raise RecordError(record, "corrupt_file", f"{part.name} is named as its own next part")
        seen.add(part)
        if not part.is_file():
            raise RecordError(record, "missing_signal", f"no file {part.name}")
        part = _Part(part, record).next_part()


class _Part:
    """One file of a recording."""

    def __init__(self, path: Path, record: str) -> None:
        self.path, self.record = path, record
        self.size = path.stat().st_size

    def next_part(self) -> Path | None:
        """Check the file; the one it names as the next part of the recording."""
        if self.size < _TAG.size:
            raise self.corrupt(f"{self.path.name} ends after {self.size} bytes")
        with self.path.open("rb") as self.file:
            if self.tag(0)[0] != _FILE_ID:
                detail = f"{self.path.name} does not begin as a FIF file"
                raise RecordError(self.record, "bad_header", detail)
            references, directory = self.chain()
            if directory > 0 and references != self.directory(directory):
                raise self.corrupt("the directory names other tags")
            return self.named(references)

    def corrupt(self, detail: str) -> RecordError:
        return RecordError(self.record, "corrupt_file", detail)

    def tag(self, at: int) -> Tag:
        """Kind, type, length and place of the next tag."""
        if at < 0:
            raise self.corrupt(f"no whole tag at byte {at} of {self.size}")
        self.file.seek(at)
        head = self.file.read(_TAG.size)
        if len(head) < _TAG.size:
            raise self.corrupt(f"no whole tag at byte {at} of {self.size}")
        kind, type_, length, following = _TAG.unpack(head)
        if length < 0 or at + _TAG.size + length > self.size:
            raise self.corrupt(f"a tag of {length} bytes at byte {at} of {self.size}")
        return kind, type_, length, following

    def chain(self) -> tuple[list[tuple[int, int]], int]:
        """Tags of blocks and of references as (kind, place), and where the directory is."""
        at, directory, references = 0, -1, []
        while 0 <= at < self.size:
            kind, _, length, following = self.tag(at)
            if kind == _DIRECTORY_POINTER and length == 4:
                directory = struct.unpack(">i", self.file.read(4))[0]
            if kind in _REFERENCE:
                references.append((kind, at))
            after = at + _TAG.size + length
            at = {0: after, -1: -1}.get(following, following)
            if at != -1 and at < after:
                raise self.corrupt(f"a tag leads back to byte {at}")
        return references, directory

    def directory(self, at: int) -> list[tuple[int, int]]:
        """Check the directory; its tags of blocks and of references."""
        kind, _, length, _ = self.tag(at)
        if kind != _DIRECTORY or length % _TAG.size:
            raise self.corrupt("the directory is none")
        entries = list(_TAG.iter_unpack(self.file.read(length)))
        for entry in entries:
            if entry[3] > 0 and self.tag(entry[3])[:3] != entry[:3]:
                raise self.corrupt("the directory names other tags")
        return [(entry[0], entry[3]) for entry in entries if entry[0] in _REFERENCE]

    def named(self, references: list[tuple[int, int]]) -> Path | None:
        """The next part, of the first reference that has this role."""
        role, file, numbered = 0, None, False
        for kind, at in references:
            length = self.tag(at)[2]
            content = self.file.read(min(length, _LONGEST_NAME))
            if kind == _BLOCK:
                role = 0
            elif kind == _ROLE:
                role = struct.unpack(">i", content)[0] if length == 4 else 0
            elif role in _NEXT_PART and kind == _NUMBER:
                numbered = True
            elif role in _NEXT_PART:  # the name of the part before may be a path, and is not read
                name = content.decode("latin-1")
                if "/" in name or "\\" in name or ":" in name or length > _LONGEST_NAME:
                    detail = f"a part named {name[:60]!r}"
                    raise RecordError(self.record, "unsafe_path", detail)
                file = file or inside(self.path.parent, name, self.record)
        if numbered and file is None:
            detail = f"{self.path.name} names its next part by number only"
            raise RecordError(self.record, "unsupported_format", detail)
        return file
