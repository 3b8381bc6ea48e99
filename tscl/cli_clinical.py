"""Commands of the clinical job: its runs, and ``tscl data``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tscl.config_clinical import ClinicalConfig
from tscl.console import last_terms, print_table
from tscl.errors import ConfigError
from tscl.training.progress import ProgressReporter

if TYPE_CHECKING:
    from data_loaders import MedicalDataset, RecordLog

Command = Callable[..., None]
Guard = Callable[[Command], Command]

data_app = typer.Typer(
    no_args_is_help=True, help="Clinical data: generate, describe, draw, convert."
)

_UNKNOWN = "unknown"

FolderArgument = Annotated[Path, typer.Argument(help="Folder of the data.")]
KindOption = Annotated[
    str | None,
    typer.Option(
        help="What the folder holds: wfdb or eeg (own files and a table labels.csv), ptb, ptbxl, "
        "mitbih, ad, tdbrain, uci_eeg, processed; found without for cohort, saved, ptbxl."
    ),
]
LoaderOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="A loader's argument, such as leads=[MLII] or notch=50."),
]
LogOption = Annotated[Path | None, typer.Option(help="CSV to write: what became of every record.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Stop at the first bad record.")]


def run_clinical(
    config: ClinicalConfig,
    progress: ProgressReporter,
    console: Console,
    *,
    resume: bool,
    begin: bool = True,
) -> None:
    """Pretrain, evaluate and report; without ``begin`` in a folder as it stands."""
    from tscl.runs.clinical import ClinicalRun
    from tscl.runs.clinical_summary import show_rows, write_clinical_report

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
    from tscl.runs.clinical import ClinicalRun

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
    from tscl.runs.clinical_data import detect_kind

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
    from tscl.runs.clinical_data import LOADERS

    if values["data"].get("kind") == _UNKNOWN:
        remedy = f"its files do not tell what it holds; say -s data.kind=..., {', '.join(LOADERS)}"
        raise ConfigError("--data", folder, remedy)


def _check_folder(field: str, folder: Path) -> None:
    if not folder.exists():
        raise ConfigError(field, folder, "no such folder: check the path")


def clinical_data_commands(guard: Guard, console: Console) -> typer.Typer:
    """``tscl data``; ``guard`` shows errors as one line."""

    @data_app.command("make-cohort")
    @guard
    def make(
        out: Annotated[Path, typer.Option("--out", "-o", help="Folder to create.")],
        kind: Annotated[str, typer.Option(help="ecg (WFDB files) or eeg (EDF files).")] = "ecg",
        patients: Annotated[int, typer.Option(help="Half of them with the disease.")] = 40,
        trials: Annotated[int, typer.Option(help="Trials of each patient.")] = 10,
        seconds: Annotated[float, typer.Option(help="Length of a trial.")] = 5.0,
        disease: Annotated[float, typer.Option(help="Size of the disease's effect.")] = 1.0,
        seed: Annotated[int, typer.Option(help="Equal seeds write equal files.")] = 0,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a cohort.")] = False,
        sets: Annotated[
            list[str] | None, typer.Option("--set", "-s", help="Another setting, lead_off_rate=.1")
        ] = None,
    ) -> None:
        """Write a generated cohort as WFDB or EDF files."""
        from data_loaders.cohort import make_cohort, read_truth
        from tscl.config import apply_override

        values: dict[str, Any] = {
            "kind": kind,
            "n_patients": patients,
            "trials_per_patient": trials,
            "seconds": seconds,
            "disease_effect": disease,
            "seed": seed,
        }
        for item in sets or []:
            apply_override(values, item)
        folder = make_cohort(out, overwrite=overwrite, **values)
        config = read_truth(folder)["config"]
        console.print(
            f"{config.n_patients} patients, {config.trials_per_patient} trials of "
            f"{config.seconds:g} s at {config.sampling_rate} Hz, {config.n_channels} channels: "
            f"{folder}"
        )

    @data_app.command("describe")
    @guard
    def describe(
        folder: FolderArgument,
        kind: KindOption = None,
        by: Annotated[str, typer.Option(help="patient or label.")] = "label",
        sets: LoaderOption = None,
        strict: StrictOption = False,
        log: LogOption = None,
    ) -> None:
        """Patients, trials, samples and labels of a data set, and the records left out."""
        data = _load_logged(console, folder, kind, sets, strict, log)
        _show_data(console, data, by)
        _show_log(console, data.log, log)

    @data_app.command("convert")
    @guard
    def convert(
        folder: FolderArgument,
        out: Annotated[Path, typer.Option("--out", "-o", help="Folder to create.")],
        kind: KindOption = None,
        sets: LoaderOption = None,
        strict: StrictOption = False,
        hash_ids: Annotated[
            bool, typer.Option("--hash-ids", help="Digests in place of ids, by TSCL_ID_SALT.")
        ] = False,
        form: Annotated[
            str, typer.Option(help="npy (mapped when read) or npz (one compressed file).")
        ] = "npy",
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a folder.")] = False,
        log: LogOption = None,
    ) -> None:
        """Read a data set once and save it: array, table, and JSON with log and checksums."""
        from tscl.runs.clinical_data import hashed_ids

        data = _load_logged(console, folder, kind, sets, strict, None if hash_ids else log)
        data = hashed_ids(data) if hash_ids else data
        made = data.save(out, overwrite=overwrite, form=form)
        _show_data(console, data, "label")
        _show_log(console, data.log, log)
        console.print(f"saved: {made}; use it as tscl run -c clinical --data {out}", markup=False)

    @data_app.command("plot")
    @guard
    def plot(
        folder: FolderArgument,
        patient: Annotated[str, typer.Option(help="Patient id, as describe --by patient shows.")],
        out: Annotated[Path, typer.Option("--out", "-o", help="PNG to write.")],
        channel: Annotated[str | None, typer.Option(help="Name; by default the first.")] = None,
        max_trials: Annotated[int, typer.Option(help="Panels drawn at most.")] = 8,
        kind: KindOption = None,
        sets: LoaderOption = None,
    ) -> None:
        """Draw one patient's trials, and the samples of each."""
        from tscl.disk import write_bytes
        from tscl.reporting.document import png

        data = _load(folder, kind, sets, strict=False)
        wanted: Any = patient
        if data.patient.dtype.kind == "i" and patient.lstrip("-").isdigit():
            wanted = int(patient)
        figure = data.plot_patient(wanted, channel=channel or 0, max_trials=max_trials)
        write_bytes(out, png(figure))
        console.print(f"figure: {out}", markup=False)

    return data_app


def _load(folder: Path, kind: str | None, sets: list[str] | None, strict: bool) -> MedicalDataset:
    """The data set of a folder, by the loader of its kind."""
    from tscl.config import apply_override, validate
    from tscl.config_clinical import ClinicalDataSection
    from tscl.runs.clinical_data import LOADERS, detect_kind, load_patients

    _check_folder("folder", folder)
    kind = kind or detect_kind(folder)
    if kind is None:
        known = ", ".join(LOADERS)
        raise ConfigError("--kind", None, f"say what the folder holds, one of {known}")
    params: dict[str, Any] = {}
    for item in sets or []:
        apply_override(params, item)
    values = {"kind": kind, "root": str(folder), "params": params, "strict": strict}
    return load_patients(validate(ClinicalDataSection, values), folder)


def _load_logged(
    console: Console,
    folder: Path,
    kind: str | None,
    sets: list[str] | None,
    strict: bool,
    log: Path | None,
) -> MedicalDataset:
    """The data set of a folder; when no record can be used, the log is shown before the error."""
    from data_loaders.record_log import NoRecordsError

    try:
        return _load(folder, kind, sets, strict)
    except NoRecordsError as error:
        _show_log(console, error.log, log)
        raise


def _show_data(console: Console, data: MedicalDataset, by: str) -> None:
    """What a data set holds."""
    console.print(f"{data!r}", markup=False)
    console.print(f"channels: {', '.join(data.channel_names)}", markup=False)
    console.print(data.describe(by).to_string(), markup=False)


def _show_log(
    console: Console, log: RecordLog | None, path: Path | None = None, most: int = 20
) -> None:
    """Which records were left out and why; the whole log goes to ``path``."""
    from data_loaders.record_log import REASONS

    if log is None:
        return
    console.print(log.summary(), markup=False)
    for reason in log.reasons():
        console.print(f"{reason}: {REASONS[reason]}", markup=False)
    for line in log.skipped[:most]:
        console.print(f"left out {line.record} [{line.reason}]: {line.detail}", markup=False)
    if len(log.skipped) > most:
        console.print(f"... and {len(log.skipped) - most} more; --log writes them all")
    if path is not None:
        log.to_csv(path)
        console.print(f"record log: {path}", markup=False)
