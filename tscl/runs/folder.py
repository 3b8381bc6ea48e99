"""The run folder: configuration, seed, versions, metrics, history, models, figures, report."""

from __future__ import annotations

import csv
import io
import os
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tscl.disk import write_errors, write_text
from tscl.errors import CheckpointError, ConfigError
from tscl.runs.config import JobConfig, parse_yaml
from tscl.runs.jobs import check_job
from tscl.saving.card import versions
from tscl.saving.tensors import read_json, write_json


def wall_time(begun: float) -> str:
    """What has passed since ``begun`` (of ``time.monotonic``), as the beginning of a sentence."""
    seconds = time.monotonic() - begun
    spent = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"Took {spent} on {os.cpu_count()} processor cores"


class RunFolder:
    """Files of one run, written atomically.

    Args:
        path: the folder; created when needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begun = time.monotonic()
        self.whole = False

    def cost(self) -> str:
        """What this call has taken so far, a sentence for the head of a report."""
        rest = "" if self.whole else "; what an earlier call had finished was read"
        return f"{wall_time(self.begun)}{rest}."

    def begin(self, config: JobConfig, *, resume: bool) -> None:
        """Create the folder, or take it over.

        Without ``resume`` models, classifiers and checkpoints of an earlier run are removed, so
        that a later resume cannot take them for its own.

        Raises:
            ConfigError: the folder holds a run with another configuration.
            WriteError: the folder cannot be written.
        """
        self.whole = not resume
        with write_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        saved = self.path / "config.yaml"
        text = config.to_yaml()
        if saved.exists() and resume and not config.can_continue(self.config()):
            raise ConfigError(
                "--resume", self.path, "the run there has another configuration; choose another out"
            )
        if not resume:
            for name in ("models", "checkpoints", "classifiers"):
                shutil.rmtree(self.path / name, ignore_errors=True)
        write_text(saved, text)
        write_json(
            self.path / "run.json",
            {
                "name": config.name,
                "seed": config.seed,
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "versions": versions(),
            },
        )

    def config(self) -> JobConfig:
        """The configuration the run was made with."""
        try:
            text = (self.path / "config.yaml").read_text(encoding="utf-8")
        except OSError:
            raise CheckpointError(
                "run folder", self.path, "holds no config.yaml; run `tscl pretrain` first"
            ) from None
        except UnicodeDecodeError as error:
            raise CheckpointError("config.yaml", self.path, f"is damaged ({error})") from None
        values = parse_yaml(text, str(self.path / "config.yaml"))
        if not isinstance(values, dict):
            raise CheckpointError("config.yaml", self.path, "is damaged: no keys and values")
        return check_job(values)

    def model(self, method: str) -> Path:
        """Folder of the encoder trained by ``method``."""
        return self.path / "models" / method

    def write_history(
        self, method: str, rows: Sequence[dict[str, float]], *, kind: str = "history"
    ) -> None:
        """``history-METHOD.csv``: one row a step, one column a loss term.

        Args:
            method: name in the file's name.
            rows: loss terms of each step.
            kind: ``history``, or ``probe`` for the validation score, one row an epoch.
        """
        columns: dict[str, None] = {}
        for row in rows:
            columns.update(dict.fromkeys(row))
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(columns), restval="")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path / f"{kind}-{method}.csv", buffer.getvalue())

    def history(self, method: str, *, kind: str = "history") -> list[dict[str, float]]:
        """Rows of ``history-METHOD.csv`` (or ``probe-METHOD.csv``); empty when there is none."""
        path = self.path / f"{kind}-{method}.csv"
        if not path.is_file():
            return []
        try:
            with path.open(newline="", encoding="utf-8") as handle:
                rows = list(csv.DictReader(handle, strict=True))
            return [{str(k): float(v) for k, v in row.items() if v != ""} for row in rows]
        except (ValueError, TypeError, csv.Error) as error:
            raise CheckpointError(path.name, self.path, f"is damaged ({error})") from None

    def write_metrics(self, value: dict[str, Any]) -> None:
        """``metrics.json``."""
        write_json(self.path / "metrics.json", value)

    def metrics(self) -> dict[str, Any]:
        """Contents of ``metrics.json``."""
        metrics: dict[str, Any] = read_json(self.path / "metrics.json")
        return metrics
