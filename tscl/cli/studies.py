"""Commands of end-to-end forecasting: ``tscl study``, ``tscl backtest``, ``tscl compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tscl.cli.console import SetOption, command, console, print_table

if TYPE_CHECKING:
    import pandas as pd

ConfigArgument = Annotated[Path, typer.Argument(help="YAML of the study (job: study).")]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the cells.")]
WorkersOption = Annotated[
    int, typer.Option(help="Processes, one thread each; with --ray tasks at a time (0: all).")
]
RayOption = Annotated[
    bool, typer.Option("--ray", help="Run cells on Ray (RAY_ADDRESS, or this machine).")
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume/--restart",
        help="Keep finished cells and go on from checkpoints, or run every cell anew.",
    ),
]


def _overrides(sets: list[str] | None, out: Path | None) -> list[str]:
    return [*(sets or []), *([f"out={out}"] if out else [])]


def _show(frame: pd.DataFrame, title: str) -> None:
    from tscl.runs.study.tables import summary

    print_table(title, summary(frame))


def _report(title: str, done: int, total: int) -> None:
    console.print(f"{done}/{total} {title}", markup=False, highlight=False)


@command()
def study(
    config: ConfigArgument,
    sets: SetOption = None,
    out: OutOption = None,
    workers: WorkersOption = 1,
    ray: RayOption = False,
    resume: ResumeOption = True,
    collect_only: Annotated[bool, typer.Option(help="Only write the tables.")] = False,
) -> None:
    """Run the missing cells of a study (a killed one goes on) and write its tables."""
    from tscl.runs.study.config import load_study
    from tscl.runs.study.study import Study

    job = Study(load_study(config, _overrides(sets, out)))
    if not collect_only:
        job.run(workers=workers, ray=ray, report=_report, resume=resume)
    _show(job.collect(), "test MSE by horizon")
    console.print(f"tables and figures: {job.folder / 'report.html'}, study.md, study.parquet")


@command()
def backtest(
    config: ConfigArgument,
    sets: SetOption = None,
    out: OutOption = None,
    workers: WorkersOption = 1,
    ray: RayOption = False,
    resume: ResumeOption = True,
) -> None:
    """Rolling-origin backtest of a study's cells; a stopped one goes on."""
    from tscl.runs.study.backtest import run_backtest
    from tscl.runs.study.config import load_study

    loaded = load_study(config, _overrides(sets, out))
    frame = run_backtest(loaded, _report, workers=workers, ray=ray, resume=resume)
    _show(frame, f"test MSE over {loaded.rounds} origins and the seeds")
    folder = Path(loaded.out)
    console.print(f"tables and figures: {folder / 'backtest/report.html'}, backtest.parquet")


@command()
def compare(
    studies: Annotated[list[Path], typer.Argument(help="Folders of finished studies.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the report goes.")],
    metric: Annotated[str, typer.Option(help="mse or mae.")] = "mse",
    per: Annotated[str, typer.Option(help="Cases: dataset, horizon, variable.")] = "dataset",
    test: Annotated[str, typer.Option(help="wilcoxon_holm or nemenyi.")] = "wilcoxon_holm",
) -> None:
    """Rank the methods of several studies over their data sets (critical difference)."""
    from tscl.runs.study.compare import compare_studies

    cases = [part.strip() for part in per.split(",")]
    ranks, page = compare_studies(studies, out, metric=metric, per=cases, test=test)
    print_table(ranks.sentence(), ranks.table())
    console.print(f"tables and figures: {page}")
