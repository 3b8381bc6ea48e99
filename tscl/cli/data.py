"""Commands of clinical data: ``tscl data``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tscl.cli.console import check_folder, command, console, data_app
from tscl.cli.propose import propose
from tscl.disk import sha256_of
from tscl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from data_loaders import MedicalDataset, RecordLog

_LINE = re.compile(r"^([0-9a-fA-F]{64})[ \t]+\*?(.+)$")


class Comparison(NamedTuple):
    """Names of files by what became of them, sorted."""

    equal: list[str]
    different: list[str]
    missing: list[str]


def checksums(path: Path) -> dict[str, str]:
    """SHA-256 of a file, or of every file below a folder, by path relative to it.

    Raises:
        DataError: no such file or folder, or a folder without files.
    """
    if path.is_file():
        return {path.name: sha256_of(path)}
    if not path.is_dir():
        raise DataError("path", path, "no such file or folder")
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if not files:
        raise DataError("path", path, "the folder holds no files")
    return {file.relative_to(path).as_posix(): sha256_of(file) for file in files}


def read_list(path: Path) -> dict[str, str]:
    """A list as ``sha256sum`` writes it (PhysioNet's ``SHA256SUMS.txt``): name to checksum.

    Raises:
        DataError: the list cannot be read, or a line is no checksum.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("list", path, f"cannot be read ({error})") from None
    listed = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _LINE.match(line)
        if match is None:
            raise DataError(f"{path.name} line {number}", line, "write CHECKSUM, spaces, NAME")
        listed[match[2].removeprefix("./")] = match[1].lower()
    return listed


def compare(path: Path, wanted: dict[str, str]) -> Comparison:
    """The files below ``path`` against a list; only listed files are read."""
    result = Comparison([], [], [])
    for name in sorted(wanted):
        file = (path / name).resolve()
        if not file.is_relative_to(path.resolve()):
            raise DataError("list", name, "a listed file must lie below the folder")
        if not file.is_file():
            result.missing.append(name)
        else:
            same = sha256_of(file) == wanted[name]
            (result.equal if same else result.different).append(name)
    return result


@command(data_app)
def checksum(
    path: Annotated[Path, typer.Argument(help="A file, or the folder of a data set.")],
    against: Annotated[
        Path | None,
        typer.Option(help="List to compare with, such as PhysioNet's SHA256SUMS.txt."),
    ] = None,
) -> None:
    """Print SHA-256 of every file, or compare the files with a published list."""
    if against is None:
        for name, value in checksums(path).items():
            console.print(f"{value}  {name}", markup=False, highlight=False, soft_wrap=True)
        return
    comparison = compare(path, read_list(against))
    for kind, names in (("differs", comparison.different), ("missing", comparison.missing)):
        for name in names:
            console.print(f"{kind}: {name}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{len(comparison.equal)} equal, {len(comparison.different)} differ, "
        f"{len(comparison.missing)} missing"
    )
    if comparison.different or comparison.missing:
        raise typer.Exit(1)


FolderArgument = Annotated[Path, typer.Argument(help="Folder of the data.")]
KindOption = Annotated[
    str | None,
    typer.Option(
        help="What the folder holds: wfdb or eeg (own files and a table labels.csv), ptb, ptbxl, "
        "mitbih, ad, tdbrain, uci_eeg, processed; own files, arrays, cohort, saved and ptbxl are "
        "found without."
    ),
]
LoaderOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="A loader's argument, such as leads=[MLII] or notch=50."),
]
LogOption = Annotated[Path | None, typer.Option(help="CSV to write: what became of every record.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Stop at the first bad record.")]


@command(data_app, "make-cohort")
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
    from data_loaders.cohort.cohort import make_cohort, read_truth
    from tscl.runs.config import apply_override

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


@command(data_app)
def describe(
    folder: FolderArgument,
    kind: KindOption = None,
    by: Annotated[str, typer.Option(help="patient or label.")] = "label",
    sets: LoaderOption = None,
    strict: StrictOption = False,
    log: LogOption = None,
) -> None:
    """Patients, trials, samples and labels of a data set, and the records left out."""
    data = _load_logged(folder, kind, sets, strict, log)
    _show_data(data, by)
    _show_log(data.log, log)


@command(data_app)
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
    from tscl.runs.clinical.data import hashed_ids

    data = _load_logged(folder, kind, sets, strict, None if hash_ids else log)
    data = hashed_ids(data) if hash_ids else data
    result = data.save(out, overwrite=overwrite, form=form)
    _show_data(data, "label")
    _show_log(data.log, log)
    console.print(f"saved: {result}; use it as tscl run -c clinical --data {out}", markup=False)


@command(data_app)
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


def _load(folder: Path, kind: str | None, sets: list[str] | None, strict: bool) -> MedicalDataset:
    """The data set of a folder, by the loader of its kind."""
    from tscl.runs.clinical.config import ClinicalDataSection
    from tscl.runs.clinical.data import detect_kind, load_patients
    from tscl.runs.config import apply_override, validate
    from tscl.runs.loaders import kinds

    check_folder("folder", folder)
    kind = kind or detect_kind(folder)
    params: dict[str, Any] = {}
    if kind is None:  # recordings with a table, or arrays: as tscl run would find them
        known = ", ".join(kinds())
        remedy = f"say what the folder holds, one of {known}"
        try:
            data = propose(folder).values["data"]
        except ConfigError as error:
            raise ConfigError("--kind", None, f"{remedy}; without: {error}") from error
        if "kind" not in data:
            raise ConfigError("--kind", None, remedy)
        kind, given = data["kind"], data.get("params", {})
        params = {name: given[name] for name in ("table", "columns") if name in given}
    for item in sets or []:
        apply_override(params, item)
    values = {"kind": kind, "root": str(folder), "params": params, "strict": strict}
    return load_patients(validate(ClinicalDataSection, values), folder)


def _load_logged(
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
        _show_log(error.log, log)
        raise


def _show_data(data: MedicalDataset, by: str) -> None:
    """What a data set holds."""
    console.print(f"{data!r}", markup=False)
    console.print(f"channels: {', '.join(data.channel_names)}", markup=False)
    console.print(data.describe(by).to_string(), markup=False)


def _show_log(log: RecordLog | None, path: Path | None = None, most: int = 20) -> None:
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
