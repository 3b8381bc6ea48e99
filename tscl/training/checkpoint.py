"""Checkpoints of a training run: weights, optimisers, averages, history, with checksums."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from tscl.disk import new_folder, sha256_of
from tscl.errors import CheckpointError
from tscl.training.storage import (
    flatten_state,
    load_tensors,
    read_json,
    restore_state,
    save_tensors,
    sha256_of_json,
    write_json,
)

logger = logging.getLogger(__name__)
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
        found = self.paths()
        for path in reversed(found):
            try:
                return self._load(path)
            except CheckpointError as error:
                logger.warning("checkpoint %s is damaged (%s); trying the one before", path, error)
        if found:
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
