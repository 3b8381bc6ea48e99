"""The command line ``tscl``: run, pretrain, evaluate, report, and the commands of its modules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tscl.cli import (
    about,
    clinical,
    continual,
    data,
    explain,
    forecasting,
    label_efficiency,
    models,
    predict,
    pretrained,
    studies,
)
from tscl.cli import propose as proposals
from tscl.cli.console import (
    RunOption,
    SetOption,
    app,
    check_folder,
    command,
    console,
    shown_log,
)
from tscl.errors import ConfigError

# imported for the commands they register
__all__ = [
    "about",
    "app",
    "data",
    "explain",
    "models",
    "predict",
    "pretrained",
    "proposals",
    "studies",
]

JOBS: dict[str, Any] = {
    "forecasting": forecasting,
    "clinical": clinical,
    "label_efficiency": label_efficiency,
    "continual": continual,
}
"""Modules with ``run``, ``pretrain`` and ``use_data`` of a job."""
DEFAULT = "label_efficiency"
"""The embedded configuration of ``tscl run`` without arguments."""

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="YAML configuration.")]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Data to use instead: a CSV or Parquet file with times, or a folder of recordings "
        "with a table of labels. Without --config the job that fits is proposed and run.",
    ),
]
TestOption = Annotated[
    Path | None,
    typer.Option(
        "--test",
        help="Recordings of another hospital: train on the data, test on these (external "
        "validation). Patients in both are refused unless -s data.external.shared=leave_out.",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Run folder (default: the configuration's). Models of an earlier run there are "
        "replaced, unless --resume is given.",
    ),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


def show_version(wanted: bool) -> None:
    """Print the version and stop, for ``tscl --version``."""
    if wanted:
        from tscl import __version__

        typer.echo(f"tscl {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Contrastive representation learning for clinical and forecasting time series."""


def read_config(
    config: Path | None,
    data: Path | None,
    out: Path | None,
    sets: list[str] | None,
    test: Path | None = None,
) -> Any:
    """The configuration of a command, with its options over those of the file.

    Args:
        config: YAML file; None for the embedded one, or the one that fits ``data``.
        data: file or folder to use instead of the configuration's.
        out: folder of the run.
        sets: ``key=value`` overrides.
        test: recordings of another hospital.
    """
    from tscl.runs.config import apply_override, read_values
    from tscl.runs.jobs import check_job

    if config is None and data is not None:
        proposal = proposals.propose(data, sets or [])
        values = proposal.values
        for line in proposal.seen:
            console.print(line, markup=False)
    else:
        values = read_values(config, base=DEFAULT)
        job = JOBS.get(str(values.get("job", "forecasting")))
        if data is not None and job is not None:
            job.use_data(values, data, sets or [])
    if test is not None:
        check_folder("--test", test)
        if values.get("job", "forecasting") == "forecasting":
            raise ConfigError("--test", test, "only jobs of patients are tested on other data")
        section = values.setdefault("data", {})
        section["external"] = {**(section.get("external") or {}), "root": str(test)}
    for item in [*([f"out={out}"] if out else []), *(sets or [])]:
        apply_override(values, item)
    return check_job(values)


@command()
def run(
    config: ConfigOption = None,
    data: DataOption = None,
    test: TestOption = None,
    out: OutOption = None,
    sets: SetOption = None,
    resume: ResumeOption = False,
    quiet: QuietOption = False,
) -> None:
    """Pretrain, evaluate and report in one go (default: the embedded demonstration)."""
    wanted = read_config(config, data, out, sets, test)
    with shown_log("tscl.runs"):
        JOBS[wanted.job].run(wanted, quiet, resume=resume)


@command()
def pretrain(
    config: ConfigOption = None,
    data: DataOption = None,
    out: OutOption = None,
    sets: SetOption = None,
    resume: ResumeOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the configured method without labels and save its encoder in the run folder."""
    wanted = read_config(config, data, out, sets)
    JOBS[wanted.job].pretrain(wanted, quiet, resume=resume)


@command()
def evaluate(run: RunOption, sets: SetOption = None, quiet: QuietOption = False) -> None:
    """Score the models of a run folder (training those of the comparison that are missing)."""
    wanted = forecasting.saved_config(run, sets)
    JOBS[wanted.job].run(wanted, quiet, resume=True, begin=False)


@command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders and study folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="HTML file to write.")] = Path(
        "comparison.html"
    ),
) -> None:
    """Compare runs in one self-contained HTML page: tables, curves, embeddings, masks."""
    from tscl.runs.comparison.page import write_comparison

    console.print(f"comparison: {write_comparison(runs, out)}", markup=False)


if __name__ == "__main__":
    app()
