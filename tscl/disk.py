"""Files on disk: checksums, and writes that appear whole or not at all.

Every file and folder the project writes goes through :func:`atomic_file` or :func:`new_folder`:
the content is written under a temporary name beside its place and moved there once complete. A
failed write (no space, read-only folder) leaves what was there before and raises one
:class:`tscl.errors.WriteError`. A killed process leaves its temporary name behind, which the next
write to the same place removes. This module imports nothing of the project but its errors.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import sys
import tempfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tscl.errors import DataError, InputError, WriteError

_RENAME_EXCHANGE = 2
_HERE = -100  # AT_FDCWD


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_folder(root: str | Path, content: str) -> Path:
    """``root`` as a path, else DataError that asks for the folder of ``content``."""
    folder = Path(root)
    if not folder.is_dir():
        raise DataError("root", root, f"give the folder of {content}")
    return folder


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError raised while ``path`` is written into one WriteError that names it."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(path, error) from error


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path of the same ending; when the block ends it becomes ``path``.

    A reader sees the old file or the whole new one. A device such as ``/dev/stdout`` is yielded
    itself. Parent folders are made.

    Raises:
        WriteError: the file cannot be written; an older one is untouched.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        if target.is_dir():
            raise WriteError(target, IsADirectoryError(21, "is a folder"))
        with write_errors(target):
            yield target
        return
    work: Path | None = None
    try:
        with write_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_left_behind(target)
            handle, name = tempfile.mkstemp(
                dir=target.parent, prefix=_prefix(target), suffix=target.suffix
            )
            os.close(handle)
            work = Path(name)
            yield work
            with work.open("rb") as file:
                os.fsync(file.fileno())
            work.chmod(0o644)
            os.replace(work, target)
    except BaseException:
        if work is not None:
            work.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8 with its line ends as they are, by :func:`atomic_file`."""
    with atomic_file(path) as work:
        work.write_text(text, encoding="utf-8", newline="")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write ``content`` by :func:`atomic_file`."""
    with atomic_file(path) as work:
        work.write_bytes(content)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends it takes the place of ``path``.

    An older folder stays until then and is removed after. Parent folders are made.

    Raises:
        WriteError: something in the folder cannot be written; an older folder is untouched.
    """
    target = Path(path).absolute()
    work: Path | None = None
    try:
        with write_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_left_behind(target)
            work = Path(tempfile.mkdtemp(dir=target.parent, prefix=_prefix(target)))
            work.chmod(0o755)
            yield work
            _put_in_place(work, target)
    except BaseException:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
        raise


def check_replaceable(path: str | Path, card: str, known: Collection[str]) -> None:
    """Raise InputError unless a save may take the place of ``path``.

    It may when nothing is there, an empty folder, or an earlier save: a folder that holds the file
    ``card`` and no other names than those ``known``.

    Args:
        path: where a user asked to save.
        card: name of the file that tells what was saved.
        known: files and, ending in ``/``, folders of a save, such as ``part/`` and
            ``part/card.json``.
    """
    target = Path(path)
    if target.is_symlink():
        raise InputError("folder", target, "this is a link; name the folder itself")
    if not target.exists():
        return
    if not target.is_dir():
        raise InputError("folder", target, "this is a file; name a folder")
    names = []
    for entry in target.rglob("*"):  # parents first, so a large folder is not walked to its end
        name = entry.relative_to(target).as_posix()
        if entry.is_dir() and not entry.is_symlink():
            name += "/"
        if entry.is_symlink() or name not in known:
            remedy = f"it holds {name}, which is no part of a save; name another folder"
            raise InputError("folder", target, remedy)
        names.append(name)
    if names and card not in names:
        raise InputError("folder", target, f"it holds files but no {card}; name another folder")


def _put_in_place(work: Path, target: Path) -> None:
    """Move ``work`` to ``target``; where the system can, an old folder is exchanged in one step."""
    if not target.exists():
        os.replace(work, target)
        return
    if _exchange(work, target):
        shutil.rmtree(work, ignore_errors=True)
        return
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=_prefix(target)))
    os.replace(target, aside / target.name)
    try:
        os.replace(work, target)
    except OSError:
        os.replace(aside / target.name, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names of one file system in one step (Linux); False where that is not possible."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = os.fsencode(first), os.fsencode(second)
    return int(rename(_HERE, names[0], _HERE, names[1], _RENAME_EXCHANGE)) == 0


def _host() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _prefix(target: Path) -> str:
    """Start of temporary names beside ``target``: they tell which process they belong to."""
    return f".{target.name[:100]}.{_host()}-{os.getpid()}."


def _remove_left_behind(target: Path) -> None:
    """Remove temporary names beside ``target`` whose process on this machine is gone."""
    start = f".{target.name[:100]}.{_host()}-"
    with os.scandir(target.parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(start)]
    for name in names:
        number = name.removeprefix(start).partition(".")[0]
        if not number.isdecimal() or _alive(int(number)):
            continue
        path = target.parent / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if sys.platform == "win32":
        return True  # there, signal 0 would end the process
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
