"""The command line ``tscl``: run, pretrain, evaluate, forecast, encode, report, list, doctor."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tscl.cli.about import add_about_commands, show_version
from tscl.cli.clinical import check_kind_known, pretrain_clinical, run_clinical, use_folder
from tscl.cli.console import last_terms, print_table
from tscl.cli.data import add_checksum_command, clinical_data_commands
from tscl.cli.label_efficiency import (
    pretrain_label_efficiency,
    run_label_efficiency,
    use_recordings,
)
from tscl.cli.models import add_model_commands
from tscl.cli.studies import add_forecasting_commands
from tscl.disk import atomic_file
from tscl.errors import WRITE_ERRORS, ConfigError, TSCLError, WriteError
from tscl.training.callbacks import ProgressBar, ProgressReporter, Silent


def add_report_command(
    app: typer.Typer, clear_errors: Callable[..., Any], console: Console
) -> None:
    """Register the command on ``app``."""

    @app.command()
    @clear_errors
    def report(
        runs: Annotated[list[Path], typer.Argument(help="Run folders and study folders.")],
        out: Annotated[Path, typer.Option("--out", "-o", help="HTML file to write.")] = Path(
            "comparison.html"
        ),
    ) -> None:
        """Compare runs in one self-contained HTML page: tables, curves, codes, masks."""
        from tscl.runs.comparison.page import write_comparison

        target = write_comparison(runs, out)
        console.print(f"comparison: {target}", markup=False)


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
)
console = Console(soft_wrap=True)  # lines stay whole in pipes and files
errors = Console(stderr=True, soft_wrap=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="YAML configuration.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="Override, such as train.lr=1e-4.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Data to use instead: an ETT CSV, or the folder of a clinical run's data."
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
RunOption = Annotated[Path, typer.Option("--run", help="Folder of a finished run.")]


def clear_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Show an error raised on purpose as one line, and exit with status 2 (Ctrl-C: 130)."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except TSCLError as error:
            errors.print(f"[bold red]error[/] {type(error).__name__}: ", end="")
            errors.print(str(error), markup=False, highlight=False)
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno not in WRITE_ERRORS:
                raise
            errors.print("[bold red]error[/] WriteError: ", end="")
            errors.print(str(WriteError(error.filename, error)), markup=False, highlight=False)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            errors.print("interrupted; run the same command with --resume to continue")
            raise typer.Exit(130) from None

    return wrapped


data_commands = clinical_data_commands(clear_errors, console)


add_checksum_command(data_commands, clear_errors, console)


app.add_typer(data_commands, name="data")


add_forecasting_commands(app, clear_errors, console)


add_model_commands(app, clear_errors, console)


add_report_command(app, clear_errors, console)


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Contrastive representation learning for clinical and forecasting time series."""


def _progress(quiet: bool) -> ProgressReporter:
    return Silent() if quiet or not sys.stderr.isatty() else ProgressBar(errors)


def _config(
    config: Path | None, data: Path | None, out: Path | None, sets: list[str] | None
) -> Any:
    from tscl.runs.config import apply_override, read_values
    from tscl.runs.jobs import check_job

    values = read_values(config)
    overrides = list(sets or [])
    if data is not None and values.get("job") == "clinical":
        use_folder(values, data)
    elif data is not None and values.get("job") == "label_efficiency":
        use_recordings(values, data)
    elif data is not None:
        section = values.get("data")
        own = isinstance(section, dict) and section.get("layout", "builtin") != "builtin"
        form = [] if own else ["data.layout=ett", "data.split=ett"]
        overrides = [f"data.source={data}", *form, *overrides]
    if out is not None:
        overrides.append(f"out={out}")
    for item in overrides:
        apply_override(values, item)
    if data is not None and values.get("job") == "clinical":
        check_kind_known(values, data)
    return check_job(values)


def _show(table: Any) -> None:
    from tscl.runs.forecasting.report import shown, table_frame

    for metric in ("mse", "mae"):
        title = f"test {metric.upper()} by horizon (* best)"
        print_table(console, title, shown(table_frame(table, metric)), numbers_right=True)


def _score(job: Any, *, resume: bool) -> Path:
    """Train what is missing, score everything, write the report and show the tables."""
    from tscl.runs.forecasting.report import write_report

    trained = [job.train(name, resume=resume) for name in job.names()]
    table = job.evaluate(trained)
    report = write_report(job, trained, table)
    _show(table)
    return report


@app.command()
@clear_errors
def run(
    config: ConfigOption = None,
    data: DataOption = None,
    out: OutOption = None,
    sets: SetOption = None,
    resume: ResumeOption = False,
    quiet: QuietOption = False,
) -> None:
    """Pretrain, evaluate and report in one go (default: the embedded demonstration)."""
    from tscl.runs.forecasting.run import ForecastingRun

    wanted = _config(config, data, out, sets)
    if wanted.job == "clinical":
        run_clinical(wanted, _progress(quiet), console, resume=resume)
        return
    if wanted.job == "label_efficiency":
        run_label_efficiency(wanted, _progress(quiet), console, resume=resume)
        return
    job = ForecastingRun(wanted, _progress(quiet))
    job.folder.begin(job.config, resume=resume)
    report = _score(job, resume=resume)
    console.print(f"report: {report} and {report.with_suffix('.html')}")


@app.command()
@clear_errors
def pretrain(
    config: ConfigOption = None,
    data: DataOption = None,
    out: OutOption = None,
    sets: SetOption = None,
    resume: ResumeOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the configured method without labels and save its encoder in the run folder."""
    from tscl.runs.forecasting.run import ForecastingRun

    wanted = _config(config, data, out, sets)
    if wanted.job == "clinical":
        pretrain_clinical(wanted, _progress(quiet), console, resume=resume)
        return
    if wanted.job == "label_efficiency":
        pretrain_label_efficiency(wanted, _progress(quiet), console, resume=resume)
        return
    job = ForecastingRun(wanted, _progress(quiet))
    job.folder.begin(job.config, resume=resume)
    made = job.train(job.config.method.name, resume=resume)
    console.print(f"{made.name}: {len(made.history)} steps, {last_terms(made.history)}")
    console.print(f"encoder: {job.folder.model(made.name)}")


@app.command()
@clear_errors
def evaluate(run: RunOption, sets: SetOption = None, quiet: QuietOption = False) -> None:
    """Score the models of a run folder (training those of the comparison that are missing)."""
    wanted = _saved(run, sets)
    if wanted.job == "clinical":
        run_clinical(wanted, _progress(quiet), console, resume=True, begin=False)
        return
    if wanted.job == "label_efficiency":
        run_label_efficiency(wanted, _progress(quiet), console, resume=True, begin=False)
        return
    report = _score(_finished(run, wanted, quiet), resume=True)
    console.print(f"report: {report}")


@app.command()
@clear_errors
def forecast(
    run: RunOption,
    horizon: Annotated[int, typer.Option(help="Steps ahead.")] = 24,
    data: Annotated[
        Path | None, typer.Option("--data", help="Newer CSV of the same columns.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV to write.")] = None,
    sets: SetOption = None,
) -> None:
    """Forecast beyond the end of the series with a finished run's encoder."""
    from tscl.runs.forecasting.run import forecast_beyond

    overrides = [*(sets or []), *([f"data.source={data}"] if data else [])]
    job = _finished(run, _saved(run, overrides), True)
    frame = forecast_beyond(job, horizon)
    target = out or run / "forecast.csv"
    with atomic_file(target) as work:
        frame.to_csv(work, index_label="time")
    console.print(frame.head(6).to_string())
    console.print(f"{len(frame)} steps: {target}")


@app.command()
@clear_errors
def encode(
    run: RunOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="NPY file to write.")],
    data: Annotated[Path | None, typer.Option("--data", help="Another CSV.")] = None,
    sets: SetOption = None,
) -> None:
    """Write the codes of every step, (T, D) float32, to a NPY file."""
    import numpy as np

    overrides = [*(sets or []), *([f"data.source={data}"] if data else [])]
    job = _finished(run, _saved(run, overrides), True)
    codes = job.encode(job.load(job.config.method.name).encoder)
    target = out if out.suffix == ".npy" else out.with_name(f"{out.name}.npy")
    with atomic_file(target) as work, work.open("wb") as file:
        np.save(file, codes.codes[0])
    console.print(f"{codes.codes[0].shape} by route {codes.route}: {target}")


def _saved(run: Path, sets: list[str] | None) -> Any:
    from tscl.runs.config import apply_override
    from tscl.runs.folder import RunFolder
    from tscl.runs.jobs import check_job

    values = RunFolder(run).config().model_dump(mode="json")
    for item in [*(sets or []), f"out={run}"]:
        apply_override(values, item)
    return check_job(values)


def _finished(run: Path, config: Any, quiet: bool) -> Any:
    from tscl.runs.forecasting.run import ForecastingRun

    if config.job != "forecasting":
        remedy = f"this command needs a forecasting run, not {config.job}"
        if config.job == "clinical":
            remedy += "; in Python, tscl.load_encoder and tscl.encode give codes of its models"
        raise ConfigError("--run", run, remedy)
    return ForecastingRun(config, _progress(quiet))


add_about_commands(app, clear_errors, console)


if __name__ == "__main__":
    app()
