"""What a folder or file of data holds, and the configuration that fits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tscl.cli.console import command, console
from tscl.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

SERIES = (".csv", ".parquet", ".tsv", ".txt")
ARRAYS = (".npz", ".ts")
EEG = (".edf", ".bdf", ".vhdr", ".fif", ".set")
NAMES = {
    "record": ("record", "recording", "file", "filename", "name", "path", "id"),
    "patient": ("patient", "patient_id", "subject", "subject_id", "participant", "participant_id"),
    "label": ("label", "class", "diagnosis", "target", "group", "y"),
}
"""Names that the three columns of a table of recordings go by, the likeliest first."""


@dataclass(frozen=True)
class Proposal:
    """A configuration as plain values, and what it was chosen by, a sentence each."""

    values: dict[str, Any]
    seen: list[str]


def propose(path: Path, sets: Sequence[str] = ()) -> Proposal:
    """The configuration for a folder or file.

    ``sets`` are overrides that follow: sizes named in them are not fitted to the data.

    A file with a table is a series to forecast, ``.npz`` and ``.ts`` are samples with labels. A
    folder with marks of a known data set is that data set. Otherwise a table of labels is looked
    for beside WFDB records (whole recordings, label efficiency) or EDF, BDF, BrainVision, FIF and
    SET files (the clinical job).

    Raises:
        ConfigError: nothing there, or nothing that a job reads; the remedy says how to use it.
    """
    from tscl.cli import clinical, label_efficiency
    from tscl.runs.clinical.data import detect_kind

    if path.suffix.lower() in SERIES and not path.is_dir():
        return _file(path, sets)
    if not path.exists():
        raise ConfigError("--data", path, "no such file or folder")
    if path.is_file():
        return _file(path, sets)
    if (kind := detect_kind(path)) is not None:
        values = _embedded("clinical")
        clinical.use_data(values, path, [])
        return Proposal(values, [f"a folder of the kind {kind}: the clinical job"])
    for mark in ("recordings.json", "REFERENCE.csv"):
        if (path / mark).is_file():
            values = _embedded("label_efficiency")
            label_efficiency.use_data(values, path, [])
            return Proposal(values, [f"{mark}: whole recordings, the label-efficiency job"])
    return _folder(path, sets)


def _embedded(name: str) -> dict[str, Any]:
    from tscl.runs.config import read_values

    return read_values(None, base=name)


def _file(path: Path, sets: Sequence[str]) -> Proposal:
    """A single file: a series, or samples with labels."""
    from tscl.cli import forecasting
    from tscl.runs.forecasting.data import fit_sizes

    ending = path.suffix.lower()
    if ending in ARRAYS:
        return _arrays(path)
    if ending not in SERIES:
        remedy = "give a table (CSV, Parquet) with times, an .npz, or a folder"
        raise ConfigError("--data", path, remedy)
    values = _embedded("demo")
    forecasting.use_data(values, path, sets)
    fit_sizes(values, path, sets)
    return Proposal(
        values, [f"{path.name}: a series, the forecasting job", *_forecast(values, sets)]
    )


def _forecast(values: dict[str, Any], sets: Sequence[str]) -> list[str]:
    """Which columns of a table are forecast, unless that is said."""
    from tscl.runs.config import apply_override
    from tscl.runs.forecasting.data import column_names, find_time_column

    path = Path(values["data"]["path"])
    names = column_names(path)
    if values["data"]["dataset"] != "csv" or not names or any("data.target" in s for s in sets):
        return []
    given: dict[str, Any] = {}
    for item in sets:
        apply_override(given, item)
    known = given.get("data", {}).get("future_covariates") or []
    time = find_time_column(path, names)
    columns = [name for name in names if name not in (time, *known)]
    more = f"; known ahead: {', '.join(known)}" if known else ""
    if len(columns) > 1:
        more += f"; one alone: -s data.target={columns[-1]}"
        more += "; columns known ahead, such as holidays: -s 'data.future_covariates=[...]'"
    return [f"time: {time}; forecast: {', '.join(columns)}{more}"]


def _arrays(path: Path) -> Proposal:
    """Samples with labels in an ``.npz`` or ``.ts`` file, or a folder with one set of them."""
    import numpy as np

    from data_loaders import load_arrays

    data = load_arrays(path)
    if len(data.label_names) < 2:
        value = f"{len(data.label_names)} classes"
        raise ConfigError("--data", value, "samples of two classes or more are needed")
    values = _embedded("clinical")
    values["data"] = {"kind": "arrays", "root": str(path), "standardize": "sample"}
    patients = len(set(data.patient.tolist()))
    if "split" in data.columns:
        ids = {"train": ["train"], "test": ["test"]}
        values["split"] = {"kind": "fixed", "params": {"column": "split", "ids": ids}}
        values["train"]["probe"] = False  # nothing validates
    evaluate = values["evaluate"]
    spectrum = data.sampling_rate[0] != 1 and not np.isnan(data.X).any()
    if not spectrum:  # without a rate, or of gaps
        evaluate["compare"].remove("bandpower")
    if patients == len(data):  # COMET's patient level has no pairs
        values["method"] = {"name": "ts2vec", "params": {}}
        evaluate["ablations"] = {}
        evaluate["compare"].remove("ts2vec")
    values |= {"name": data.name, "out": f"runs/{data.name}"}
    counts = data.describe("label")["samples"]
    shape = f"{len(data)} samples of {data.X.shape[1]} steps and {data.X.shape[2]} channels"
    seen = f"{shape}, {patients} patients; " + ", ".join(f"{k} {n}" for k, n in counts.items())
    return Proposal(values, [f"{path.name}: {seen}", "the clinical job: patients never seen"])


def _folder(path: Path, sets: Sequence[str]) -> Proposal:
    """A folder of recordings with a table of labels."""
    endings = Counter(file.suffix.lower() for file in path.rglob("*") if file.is_file())
    records, eeg = endings[".hea"], sum(endings[ending] for ending in EEG)
    if not records and not eeg:
        series = [file.name for file in sorted(path.iterdir()) if file.suffix.lower() == ".csv"]
        if len(series) == 1 and len(endings) == 1:
            return _file(path / series[0], sets)
        if any(endings[ending] for ending in ARRAYS):
            return _arrays(path)
        kinds = ", ".join(f"{n} {end or 'without ending'}" for end, n in endings.most_common(5))
        remedy = (
            f"it holds {kinds or 'nothing'}; give WFDB or EDF files with a labels.csv, an .npz or "
            "a CSV"
        )
        raise ConfigError("--data", path, remedy)
    table, columns, frame = _table(path)
    labels = frame[columns["label"]].str.strip()
    counts = labels[labels != ""].value_counts()
    patients = frame[columns["patient"]].nunique()
    renamed = {key: name for key, name in columns.items() if key != name}
    params: dict[str, Any] = {"table": table} | ({"columns": renamed} if renamed else {})
    seen = [
        f"{records} WFDB records" if records else f"{eeg} EEG files",
        f"{table}: {len(frame)} recordings of {patients} patients; "
        + ", ".join(f"{name} {n}" for name, n in counts.items()),
    ]
    if len(counts) < 2 or patients < 4:
        problem = f"{len(counts)} classes, {patients} patients"
        remedy = f"fill the column {columns['label']}: two classes and four patients or more"
        raise ConfigError(table, problem, remedy)
    per_class = frame[labels != ""].groupby(labels)
    fewest = int(per_class[columns["patient"]].nunique().min())
    if not records:
        values = _embedded("clinical")
        values["data"] = {
            "kind": "eeg",
            "root": str(path),
            "params": params,
            "standardize": "trial",
        }
        values |= {"name": path.resolve().name, "out": f"runs/{path.resolve().name}"}
        return Proposal(values, [*seen, "the clinical job: patients never seen"])
    values = _embedded("label_efficiency")
    if fewest < 2:
        raise ConfigError(
            table,
            f"{len(counts)} classes, a class of one patient",
            "give each class two patients or more",
        )
    values["data"] = {
        "kind": "wfdb",
        "root": str(path),
        "params": params | {"rate": 100, "band": [0.5, 40]},
    }
    values["tasks"] = {"classes": {"title": ", ".join(map(str, counts.index))}}
    values["split"] = {"n_splits": min(5, fewest), "folds": [0]}
    values["shares"] = [
        s for s in values["shares"] if s == 1 or s * len(frame) * 0.8 >= len(counts)
    ]
    values |= {"name": path.resolve().name, "out": f"runs/{path.resolve().name}"}
    return Proposal(values, [*seen, "the label-efficiency job at 100 Hz, 0.5 to 40 Hz"])


def _table(path: Path) -> tuple[str, dict[str, str], pd.DataFrame]:
    """The table of labels: its name, its names of record, patient and label, and its rows."""
    from data_loaders.vetting.tables import read_text_table

    tables = [file for end in ("csv", "tsv") for file in sorted(path.glob(f"*.{end}"))]
    tables.sort(key=lambda file: file.stem != "labels")
    for table in tables:
        frame = read_text_table(table)
        lower = {str(name).strip().lower(): str(name) for name in frame.columns}
        columns = {
            key: next((lower[name] for name in names if name in lower), "")
            for key, names in NAMES.items()
        }
        if columns["record"] and not columns["patient"]:
            columns["patient"] = columns["record"]
        if all(columns.values()):
            return table.name, columns, frame
    remedy = "it has no table; add a labels.csv with the columns record, patient, label"
    if tables:
        remedy = (
            f"{table.name} has the columns {', '.join(map(str, frame.columns))}; rename those of "
            f"record and label, or add them ({', '.join(k for k, v in columns.items() if not v)} "
            "is missing)"
        )
    raise ConfigError("--data", path, remedy)


@command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of recordings, or a CSV.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="YAML to write.")] = Path("tscl.yaml"),
) -> None:
    """Look at data and write the configuration that would be run on them."""
    import yaml

    from tscl.disk import write_text
    from tscl.runs.jobs import check_job

    if out.exists():
        raise ConfigError("--out", out, "it exists; name another or remove it")
    proposal = propose(folder)
    check_job(dict(proposal.values))
    write_text(out, yaml.safe_dump(proposal.values, sort_keys=False, allow_unicode=True))
    for line in proposal.seen:
        console.print(line, markup=False)
    console.print(f"configuration: {out}; run it by: tscl run -c {out}", markup=False)
