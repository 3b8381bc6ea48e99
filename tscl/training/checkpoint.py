"""Checkpoints of a training run: weights, optimisers, averages, history, with checksums."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from torch import Tensor

from tscl.disk import new_folder, sha256_of
from tscl.errors import CheckpointError
from tscl.saving.tensors import (
    flatten_state,
    load_tensors,
    read_json,
    restore_state,
    save_tensors,
    sha256_of_json,
    write_json,
)

logger = logging.getLogger(__name__)
KINDS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupt_between_steps() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in the yielded list; the second of a kind raises at once."""
    signals: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if number in signals:
            raise KeyboardInterrupt
        signals.append(number)

    with _handled(stop):
        yield signals


@contextmanager
def forwarded(processes: Sequence[int]) -> Iterator[None]:
    """Pass both signals on to ``processes`` as SIGTERM, and wait for them."""

    def forward(number: int, frame: FrameType | None) -> None:
        for process in processes:
            try:
                os.kill(process, signal.SIGTERM)
            except ProcessLookupError:
                continue

    with _handled(forward):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle both signals inside the block; outside the main thread they stay as they are."""
    previous: dict[int, Any] = {}
    try:
        for kind in KINDS:
            previous[kind] = signal.signal(kind, handler)
    except ValueError:
        logger.debug("signals stay as they are outside the main thread")
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


FORMAT = 2


class CheckpointStore:
    """Keeps the last two checkpoints of a run under ``folder``.

    A checkpoint is a directory ``step-0000012`` of ``tensors.safetensors`` and ``state.json``. It
    appears under its name only when complete; a damaged one is detected by its checksums (of the
    tensors and of the JSON values) and the one before is used, with a warning.

    Args:
        folder: where checkpoints go; created when the first one is written.
        keep: how many to keep.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def paths(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(p for p in self.folder.glob("step-*") if p.is_dir())

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write ``state`` (nested dictionaries of tensors and JSON values) for ``step``."""
        tensors, skeleton = flatten_state("state", state)
        try:
            with new_folder(self.folder / f"step-{step:07d}") as work:
                save_tensors(work / "tensors.safetensors", tensors)
                digest = sha256_of(work / "tensors.safetensors")
                content = {"step": step, "sha256": digest, "state": skeleton}
                head = {"format": FORMAT, "content_sha256": sha256_of_json(content), **content}
                write_json(work / "state.json", head)
        except OSError as error:
            raise CheckpointError(
                "checkpoint folder",
                self.folder,
                f"cannot be written ({error}); free space or choose another output folder",
            ) from error
        for old in self.paths()[: -self.keep]:
            shutil.rmtree(old, ignore_errors=True)

    def load_latest(self) -> dict[str, Any] | None:
        """State of the newest intact checkpoint; None when there is none at all."""
        paths = self.paths()
        for path in reversed(paths):
            try:
                return self._load(path)
            except CheckpointError as error:
                logger.warning("checkpoint %s is damaged (%s); trying the one before", path, error)
        if paths:
            raise CheckpointError("checkpoint folder", self.folder, "every checkpoint is damaged")
        return None

    def _load(self, path: Path) -> dict[str, Any]:
        head = read_json(path / "state.json")
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise CheckpointError("format", path.name, f"this version reads format {FORMAT}")
        content = {key: head.get(key) for key in ("step", "sha256", "state")}
        if sha256_of_json(content) != head.get("content_sha256"):
            raise CheckpointError("checksum", path.name, "state.json was damaged")
        file = path / "tensors.safetensors"
        if not file.is_file() or sha256_of(file) != head.get("sha256"):
            raise CheckpointError("checksum", path.name, "the file was damaged or cut short")
        tensors: dict[str, Tensor] = load_tensors(file)
        state: dict[str, Any] = restore_state(head["state"], tensors)
        return state

    def clear(self) -> None:
        """Remove all checkpoints (a finished run keeps its model elsewhere)."""
        shutil.rmtree(self.folder, ignore_errors=True)
