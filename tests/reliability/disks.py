"""Places where writing fails: a full disk and a read-only one, real where the system allows."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534
KINDS = ("full disk", "file size limit", "read-only disk", "no right to write")


class Disk:
    """A folder that can be made to refuse writes and to accept them again."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Writes fail inside the block."""
        with getattr(self, "_" + self.kind.replace(" ", "_").replace("-", "_"))():
            yield

    @contextmanager
    def _full_disk(self) -> Iterator[None]:
        ballast = self.folder.parent / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 4096)
        try:
            yield
        finally:
            ballast.unlink()

    @contextmanager
    def _file_size_limit(self) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @contextmanager
    def _read_only_disk(self) -> Iterator[None]:
        where = str(self.folder.parent)
        subprocess.run(["mount", "-o", "remount,ro", where], check=True)
        try:
            yield
        finally:
            subprocess.run(["mount", "-o", "remount,rw", where], check=True)

    @contextmanager
    def _no_right_to_write(self) -> Iterator[None]:
        folders = [self.folder, *(p for p in self.folder.rglob("*") if p.is_dir())]
        if os.geteuid() == 0:
            os.seteuid(NOBODY)
            try:
                yield
            finally:
                os.seteuid(0)
            return
        for one in folders:
            one.chmod(0o555)
        try:
            yield
        finally:
            for one in folders:
                one.chmod(0o755)


@contextmanager
def disk(kind: str) -> Iterator[Disk]:
    """A disk of ``kind``; skips the test where the system does not let us make one."""
    place = Path(tempfile.mkdtemp(prefix="tscl-disk-"))
    place.chmod(0o755)
    mounted = kind in ("full disk", "read-only disk")
    try:
        if mounted:
            command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(place)]
            try:
                subprocess.run(command, check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError):
                mounted = False
                pytest.skip("this user may not mount a small disk")
        folder = place / "data"
        folder.mkdir()
        yield Disk(kind, folder)
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)
        shutil.rmtree(place, ignore_errors=True)
