"""The label-efficiency job from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from tscl.cli.console import last_terms
from tscl.errors import ConfigError
from tscl.runs.label_efficiency.config import LabelEfficiencyConfig
from tscl.training.callbacks import ProgressReporter


def run_label_efficiency(
    config: LabelEfficiencyConfig,
    progress: ProgressReporter,
    console: Console,
    *,
    resume: bool,
    begin: bool = True,
) -> None:
    """Pretrain, evaluate and report; without ``begin`` in a folder as it stands."""
    from tscl.runs.label_efficiency.report import write_label_report
    from tscl.runs.label_efficiency.run import LabelEfficiencyRun

    job = LabelEfficiencyRun(config, progress)
    if begin:
        job.begin(resume=resume)
    console.print(f"{job.data!r}", markup=False)
    report = write_label_report(job, job.evaluate())
    for line in report.headline:
        console.print(line, markup=False)
    console.print(f"report: {report.markdown} and {report.html}")


def pretrain_label_efficiency(
    config: LabelEfficiencyConfig, progress: ProgressReporter, console: Console, *, resume: bool
) -> None:
    """Pretrain the pretrained rows on the training part of every fold."""
    from tscl.runs.label_efficiency.run import LabelEfficiencyRun

    job = LabelEfficiencyRun(config, progress)
    job.begin(resume=resume)
    for fold in job.folds:
        for name, row in config.rows.items():
            if row.kind == "pretrained":
                job.encoder(name, fold)
                home = job.home(name, fold)
                history = job.folder.history(home.parent.name + f"-fold{fold.number}")
                terms = last_terms(history)
                console.print(f"{row.title or name}, fold {fold.number}: {terms}")
                console.print(f"encoder: {home}")


def use_recordings(values: dict[str, Any], folder: Path) -> None:
    """Point a label-efficiency configuration at another folder, in place.

    The kind is that of the folder where its files tell it, else the configuration's, unless that
    makes its own cohort.

    Raises:
        ConfigError: no such folder, or a folder whose files do not tell what it holds.
    """
    if not folder.is_dir():
        raise ConfigError("--data", folder, "no such folder")
    data = values.setdefault("data", {})
    marks = {"recordings.json": "recordings", "REFERENCE.csv": "cinc2017", "labels.csv": "wfdb"}
    kinds = [kind for name, kind in marks.items() if (folder / name).is_file()]
    if kinds and kinds[0] != data.get("kind"):
        data.update(kind=kinds[0], params={})
    elif not kinds and data.get("kind", "rhythm_cohort") == "rhythm_cohort":
        remedy = f"it holds none of {', '.join(marks)}; say -s data.kind=... and -s data.root=..."
        raise ConfigError("--data", folder, remedy)
    data.pop("make", None)
    data["root"] = str(folder)
