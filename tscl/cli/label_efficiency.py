"""The label-efficiency job from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tscl.cli.console import check_folder, console, last_terms, progress
from tscl.errors import ConfigError

if TYPE_CHECKING:
    from tscl.runs.label_efficiency.config import LabelEfficiencyConfig

MARKS = {"recordings.json": "recordings", "REFERENCE.csv": "cinc2017", "labels.csv": "wfdb"}
"""Files that tell what a folder holds."""


def run(config: LabelEfficiencyConfig, quiet: bool, *, resume: bool, begin: bool = True) -> None:
    """Pretrain, evaluate and report.

    Arguments as :func:`tscl.cli.clinical.run`.
    """
    from tscl.runs.label_efficiency.report import write_label_report
    from tscl.runs.label_efficiency.run import LabelEfficiencyRun

    job = LabelEfficiencyRun(config, progress(quiet))
    if begin:
        job.begin(resume=resume)
    console.print(f"{job.data!r}", markup=False)
    if job.data.log is not None and job.data.log.skipped:
        log = job.folder.path / "records.csv"
        console.print(f"{job.data.log.summary()}: {log}", markup=False)
    report = write_label_report(job, job.evaluate())
    for line in report.headline:
        console.print(line, markup=False)
    console.print(f"report: {report.markdown} and {report.html}")


def pretrain(config: LabelEfficiencyConfig, quiet: bool, *, resume: bool) -> None:
    """Pretrain the pretrained rows on the training part of every fold.

    Arguments as :func:`run`.
    """
    from tscl.runs.label_efficiency.config import row_slug
    from tscl.runs.label_efficiency.run import LabelEfficiencyRun

    job = LabelEfficiencyRun(config, progress(quiet))
    job.begin(resume=resume)
    for fold in job.folds:
        for name, row in config.rows.items():
            if row.kind == "pretrained":
                job.encoder(name, fold)
                terms = last_terms(job.folder.history(f"{row_slug(name)}-fold{fold.number}"))
                console.print(f"{row.title or name}, fold {fold.number}: {terms}")
                console.print(f"encoder: {job.home(name, fold)}")


def use_data(values: dict[str, Any], path: Path, sets: Sequence[str]) -> None:
    """Point a label-efficiency configuration at another folder, in place.

    The kind is found where the folder's files tell it; otherwise that of the configuration stays,
    unless that makes its own cohort: then ``sets`` have to name ``data.kind``.

    Arguments as :func:`tscl.cli.clinical.use_data`.

    Raises:
        ConfigError: no such folder, or neither it nor ``sets`` tells the kind of the data.
    """
    check_folder("--data", path)
    data = values.setdefault("data", {})
    kind = next((kind for name, kind in MARKS.items() if (path / name).is_file()), None)
    generated = data.get("kind", "rhythm_cohort") == "rhythm_cohort"
    if kind is not None and kind != data.get("kind"):
        data.update(kind=kind, params={})
    elif kind is None and generated and not any(s.strip().startswith("data.kind=") for s in sets):
        remedy = f"it holds none of {', '.join(MARKS)}; say -s data.kind=..."
        raise ConfigError("--data", path, remedy)
    data.pop("make", None)
    data["root"] = str(path)
