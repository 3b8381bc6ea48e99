"""The forecasting job from the command line: ``tscl forecast``, ``tscl encode``, and its runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tscl.cli.console import (
    RunOption,
    SetOption,
    command,
    console,
    last_terms,
    print_table,
    progress,
)
from tscl.disk import atomic_file
from tscl.errors import ConfigError

if TYPE_CHECKING:
    from tscl.runs.forecasting.config import RunConfig
    from tscl.runs.forecasting.run import ForecastingRun

NewerDataOption = Annotated[
    Path | None, typer.Option("--data", help="Newer CSV of the same columns.")
]


def run(config: RunConfig, quiet: bool, *, resume: bool, begin: bool = True) -> None:
    """Pretrain what is missing, evaluate and report.

    Arguments as :func:`tscl.cli.clinical.run`.
    """
    from tscl.runs.forecasting.report import head_frame, shown, table_frame, write_report
    from tscl.runs.forecasting.run import ForecastingRun

    job = ForecastingRun(config, progress(quiet))
    if begin:
        job.folder.begin(config, resume=resume)
    trained = [job.train(name, resume=resume) for name in job.names()]
    table = job.evaluate(trained)
    page = write_report(job, trained, table)
    if job.heads:
        print_table("heads, chosen on windows held out before the test part", head_frame(job))
    for metric in ("mse", "mae"):
        title = f"test {metric.upper()} by horizon (* best)"
        print_table(title, shown(table_frame(table, metric)), numbers_right=True)
    console.print(f"report: {page} and {page.with_suffix('.html')}")


def pretrain(config: RunConfig, quiet: bool, *, resume: bool) -> None:
    """Train the configured method. Arguments as :func:`run`."""
    from tscl.runs.forecasting.run import ForecastingRun

    job = ForecastingRun(config, progress(quiet))
    job.folder.begin(config, resume=resume)
    trained = job.train(config.method.name, resume=resume)
    console.print(f"{trained.name}: {len(trained.history)} steps, {last_terms(trained.history)}")
    console.print(f"encoder: {job.folder.model(trained.name)}")


def use_data(values: dict[str, Any], path: Path, sets: Sequence[str]) -> None:
    """Point a forecasting configuration at another file, in place.

    A configuration that reads a file keeps its form. Otherwise a file named like a data set
    (``ETTh1.csv``) is that data set, and any other one a CSV, split by ratio. Arguments as
    :func:`tscl.cli.clinical.use_data`.
    """
    from tscl.runs.forecasting.data import named_dataset

    section = values.setdefault("data", {})
    if section.get("path") or section.get("layout", "builtin") != "builtin":
        section["source" if "layout" in section else "path"] = str(path)
        return
    for key in ("source", "layout", "split"):
        section.pop(key, None)
    section |= {"dataset": named_dataset(path), "path": str(path)}


def saved_config(run: Path, sets: Sequence[str] | None) -> Any:
    """The configuration of a run folder, with overrides."""
    from tscl.runs.config import apply_override
    from tscl.runs.folder import RunFolder
    from tscl.runs.jobs import check_job

    values = RunFolder(run).config().model_dump(mode="json")
    for item in [*(sets or []), f"out={run}"]:
        apply_override(values, item)
    return check_job(values)


def _finished(run: Path, data: Path | None, sets: list[str] | None) -> ForecastingRun:
    from tscl.runs.forecasting.run import ForecastingRun

    config = saved_config(run, [*(sets or []), *([f"data.path={data}"] if data else [])])
    if config.job != "forecasting":
        remedy = (
            f"this command needs a forecasting run, not {config.job}; in Python, "
            "tscl.load_encoder and tscl.encode give the embeddings of its models"
        )
        raise ConfigError("--run", run, remedy)
    return ForecastingRun(config)


@command()
def forecast(
    run: RunOption,
    horizon: Annotated[int, typer.Option(help="Steps ahead.")] = 24,
    coverage: Annotated[
        float | None, typer.Option(help="Add intervals for this share of the truth, such as 0.9.")
    ] = None,
    data: NewerDataOption = None,
    future: Annotated[
        Path | None,
        typer.Option(help="CSV with the coming rows of the run's data.future_covariates."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV to write.")] = None,
    sets: SetOption = None,
) -> None:
    """Forecast beyond the end of the series with a finished run's encoder."""
    from tscl.runs.forecasting.run import forecast_beyond

    frame = forecast_beyond(_finished(run, data, sets), horizon, coverage, future)
    target = out or run / "forecast.csv"
    with atomic_file(target) as work:
        frame.to_csv(work, index_label="time")
    console.print(frame.head(6).to_string())
    console.print(f"{len(frame)} steps: {target}")


@command()
def encode(
    run: RunOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="NPY file to write.")],
    data: NewerDataOption = None,
    sets: SetOption = None,
) -> None:
    """Write the embeddings of every step, (T, D) float32, to a NPY file."""
    import numpy as np

    job = _finished(run, data, sets)
    encoded = job.encode(job.load(job.config.method.name).encoder)
    target = out if out.suffix == ".npy" else out.with_name(f"{out.name}.npy")
    with atomic_file(target) as work, work.open("wb") as file:
        np.save(file, encoded.embeddings[0])
    console.print(f"{encoded.embeddings[0].shape} by route {encoded.route}: {target}")
