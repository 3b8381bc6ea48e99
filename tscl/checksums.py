"""SHA-256 of the files of a data set, and their comparison with a published list."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tscl.disk import sha256_of
from tscl.errors import DataError

_LINE = re.compile(r"^([0-9a-fA-F]{64})[ \t]+\*?(.+)$")


class Comparison(NamedTuple):
    """Names of files by what became of them, sorted."""

    equal: list[str]
    different: list[str]
    missing: list[str]


def checksums(path: Path) -> dict[str, str]:
    """SHA-256 of a file, or of every file below a folder, by path relative to it.

    Raises:
        DataError: no such file or folder, or a folder without files.
    """
    if path.is_file():
        return {path.name: sha256_of(path)}
    if not path.is_dir():
        raise DataError("path", path, "no such file or folder")
    files = sorted(one for one in path.rglob("*") if one.is_file())
    if not files:
        raise DataError("path", path, "the folder holds no files")
    return {one.relative_to(path).as_posix(): sha256_of(one) for one in files}


def read_list(path: Path) -> dict[str, str]:
    """A list as ``sha256sum`` writes it (PhysioNet's ``SHA256SUMS.txt``): name to checksum.

    Raises:
        DataError: the list cannot be read, or a line is no checksum.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("list", path, f"cannot be read ({error})") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _LINE.match(line)
        if match is None:
            raise DataError(f"{path.name} line {number}", line, "write CHECKSUM, spaces, NAME")
        found[match[2].removeprefix("./")] = match[1].lower()
    return found


def compare(path: Path, wanted: dict[str, str]) -> Comparison:
    """The files below ``path`` against a list; only listed files are read."""
    made = Comparison([], [], [])
    for name in sorted(wanted):
        file = (path / name).resolve()
        if not file.is_relative_to(path.resolve()):
            raise DataError("list", name, "a listed file must lie below the folder")
        if not file.is_file():
            made.missing.append(name)
        else:
            same = sha256_of(file) == wanted[name]
            (made.equal if same else made.different).append(name)
    return made
