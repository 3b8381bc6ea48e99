"""Names of files that a header may claim."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from data_loaders.record_log import RecordError

MAX_NAME_BYTES = 200


def inside(root: Path, name: str, record: str) -> Path:
    """The path of a name taken from a file, refusing any that leaves its folder.

    Args:
        root: the folder.
        name: as the file has it, with ``/``.
        record: that the file belongs to, for the error.

    Raises:
        RecordError: ``unsafe_path`` for an absolute name, ``..``, a drive, a NUL, or a name too
            long to be a file's.
    """
    longest = max(
        (len(part.encode("utf-8", "surrogatepass")) for part in name.split("/")), default=0
    )
    if longest > MAX_NAME_BYTES or len(name) > 8 * MAX_NAME_BYTES:
        raise RecordError(record[:60], "unsafe_path", f"a name of {len(name)} characters")
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    parts = {*posix.parts, *windows.parts}
    if not name or "\0" in name or ".." in parts or posix.is_absolute() or windows.anchor:
        raise RecordError(record, "unsafe_path", f"the name {name[:60]!r} leaves the folder")
    return root / posix
