"""The clinical job from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from tscl.cli.console import last_terms, print_table
from tscl.cli.data import _UNKNOWN, _check_folder
from tscl.errors import ConfigError
from tscl.runs.clinical.config import ClinicalConfig
from tscl.training.callbacks import ProgressReporter


def run_clinical(
    config: ClinicalConfig,
    progress: ProgressReporter,
    console: Console,
    *,
    resume: bool,
    begin: bool = True,
) -> None:
    """Pretrain, evaluate and report; without ``begin`` in a folder as it stands."""
    from tscl.runs.clinical.report import show_rows, write_clinical_report
    from tscl.runs.clinical.run import ClinicalRun

    job = ClinicalRun(config, progress)
    if begin:
        job.begin(resume=resume)
    console.print(f"{job.data!r}", markup=False)
    if job.data.log is not None:
        told = f"{job.data.log.summary()}: {job.folder.path / 'records.csv'}"
        console.print(told, markup=False)
    cells = job.evaluate(resume=resume)
    files = write_clinical_report(job, cells)
    for level in ("sample", "patient"):
        frame = show_rows(files.table, level=level)
        if frame.empty:
            continue
        title = f"test AUROC by {level}, share of labels [95 % over patients]"
        print_table(console, title, frame)
    console.print(f"report: {files.markdown} and {files.html}")


def pretrain_clinical(
    config: ClinicalConfig,
    progress: ProgressReporter,
    console: Console,
    *,
    resume: bool,
) -> None:
    """Pretrain the configured method on the training patients of every fold."""
    from tscl.runs.clinical.run import ClinicalRun

    job = ClinicalRun(config, progress)
    job.begin(resume=resume)
    for fold in job.folds:
        for row in job.rows[0].repeats(config.train.repeats):
            job.train(row, fold, resume=resume)
            history = job.folder.history(f"{row.slug}-fold{fold.number}")
            terms = last_terms(history)
            console.print(f"{row.label}, fold {fold.number}: {len(history)} steps, {terms}")
            console.print(f"encoder: {job.folder.model(f'{row.slug}/fold{fold.number}')}")


def use_folder(values: dict[str, Any], folder: Path) -> None:
    """Point a clinical configuration at another folder, in place.

    The kind is found where the folder tells it; otherwise that of the configuration stays, unless
    that made its own cohort: then ``data.kind`` has to be set (:func:`check_kind_known`).

    Raises:
        ConfigError: no such folder.
    """
    from tscl.runs.clinical.data import detect_kind

    _check_folder("--data", folder)
    data = values.setdefault("data", {})
    found = detect_kind(folder)
    made = data.pop("make", None) is not None and data.get("kind", "cohort") == "cohort"
    if found is not None and found != data.get("kind"):
        data["kind"] = found
        data.pop("params", None)
    elif found is None and made:
        data["kind"] = _UNKNOWN
    data["root"] = str(folder)


def check_kind_known(values: dict[str, Any], folder: Path) -> None:
    """ConfigError when neither the folder nor the configuration tells the kind of the data."""
    from tscl.runs.clinical.data import LOADERS

    if values["data"].get("kind") == _UNKNOWN:
        remedy = f"its files do not tell what it holds; say -s data.kind=..., {', '.join(LOADERS)}"
        raise ConfigError("--data", folder, remedy)
