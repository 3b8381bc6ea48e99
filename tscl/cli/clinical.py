"""The clinical job from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tscl.cli.console import check_folder, console, last_terms, print_table, progress
from tscl.errors import ConfigError

if TYPE_CHECKING:
    from tscl.runs.clinical.config import ClinicalConfig


def run(config: ClinicalConfig, quiet: bool, *, resume: bool, begin: bool = True) -> None:
    """Pretrain, evaluate and report.

    Args:
        config: that was checked.
        quiet: without progress bars.
        resume: go on with a run that was interrupted.
        begin: open the folder anew; without it runs in the folder as it stands.
    """
    from tscl.evaluation.metrics.labels import MAIN
    from tscl.runs.clinical.report import METRIC_TITLES, show_rows, write_clinical_report
    from tscl.runs.clinical.run import ClinicalRun

    job = ClinicalRun(config, progress(quiet))
    if begin:
        job.begin(resume=resume)
    console.print(f"{job.data!r}", markup=False)
    if job.data.log is not None:
        log = job.folder.path / "records.csv"
        console.print(f"{job.data.log.summary()}: {log}", markup=False)
    files = write_clinical_report(job, job.evaluate(resume=resume))
    for level in ("sample", "patient"):
        frame = show_rows(files.table, level=level)
        if not frame.empty:
            score = METRIC_TITLES[MAIN[job.data.label_kind]]
            title = f"test {score} by {level}, share of labels [95 % over patients]"
            print_table(title, frame)
    console.print(f"report: {files.markdown} and {files.html}")


def pretrain(config: ClinicalConfig, quiet: bool, *, resume: bool) -> None:
    """Pretrain the configured method on the training patients of every fold.

    Arguments as :func:`run`.
    """
    from tscl.runs.clinical.run import ClinicalRun

    job = ClinicalRun(config, progress(quiet))
    job.begin(resume=resume)
    for fold in job.folds:
        for row in job.rows[0].repeats(config.train.repeats):
            job.train(row, fold, resume=resume)
            history = job.folder.history(f"{row.slug}-fold{fold.number}")
            terms = last_terms(history)
            console.print(f"{row.label}, fold {fold.number}: {len(history)} steps, {terms}")
            console.print(f"encoder: {job.folder.model(f'{row.slug}/fold{fold.number}')}")


def use_data(values: dict[str, Any], path: Path, sets: Sequence[str]) -> None:
    """Point a clinical configuration at another folder, in place.

    The kind is found where the folder tells it; otherwise that of the configuration stays, unless
    that made its own cohort: then ``sets`` have to name ``data.kind``.

    Args:
        values: of the configuration, by section.
        path: the folder.
        sets: ``key=value`` overrides that follow.

    Raises:
        ConfigError: no such folder, or neither it nor ``sets`` tells the kind of the data.
    """
    from tscl.runs.clinical.data import detect_kind
    from tscl.runs.loaders import kinds

    check_folder("--data", path)
    data = values.setdefault("data", {})
    kind = detect_kind(path)
    generated = data.pop("make", None) is not None and data.get("kind", "cohort") == "cohort"
    if kind is not None and kind != data.get("kind"):
        data["kind"] = kind
        data.pop("params", None)
    elif kind is None and generated and not any(s.strip().startswith("data.kind=") for s in sets):
        remedy = f"its files do not tell what it holds; say -s data.kind=..., {', '.join(kinds())}"
        raise ConfigError("--data", path, remedy)
    data["root"] = str(path)
