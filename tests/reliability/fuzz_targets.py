"""What is fuzzed: for each format small valid files, and the loader that reads them."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from data_loaders import (
    MedicalDataset,
    Recordings,
    load_cinc2017,
    load_cohort,
    load_csv,
    load_mitbih,
    load_processed,
    load_ptbxl,
    load_ts,
    load_uci_eeg,
    load_wfdb,
    make_cohort,
    read_eeg,
    save_processed,
)
from data_loaders.eeg.participants import list_recordings, read_participants
from data_loaders.record_log import RecordLog
from tests.data_loaders.eeg_writers import (
    brainlike,
    write_brainvision,
    write_edf,
    write_set,
    write_set_hdf5,
)
from tests.data_loaders.wfdb_files import bumps, write_record
from tests.reliability.mutations import Rng, mutate, mutate_zip
from tscl.encoders import ENCODERS
from tscl.runs.config import apply_override
from tscl.runs.folder import RunFolder
from tscl.runs.jobs import load_job
from tscl.runs.study.config import load_study
from tscl.saving.cells import Cell, ResultStore
from tscl.saving.encoder import load_encoder, save_encoder
from tscl.saving.tensors import sha256_of_json
from tscl.training.checkpoint import CheckpointStore

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Target:
    """One format.

    Attributes:
        make: writes valid files into an empty folder.
        read: reads them, with a generator that may choose among settings.
        damaged: file name endings that may be damaged, each with "text", "binary" or "zip".
        weight: share of the inputs.
        sign: makes the checksums right again after damage (half the time), or None.
    """

    make: Callable[[Path], Any]
    read: Callable[[Path, Rng], Any]
    damaged: dict[str, str]
    weight: float = 1.0
    sign: Callable[[Path], None] | None = None


# -- clinical formats ---------------------------------------------------------------------------


def _wfdb(folder: Path) -> None:
    import wfdb

    signal, peaks = bumps(2, seconds=8.0, rate=100.0)
    path = write_record(folder, "100", signal, rate=100.0, leads=["MLII", "V1"])
    symbols = ["N" if i % 3 else "V" for i in range(len(peaks))]
    wfdb.wrann(path.name, "atr", peaks, symbol=symbols, write_dir=str(folder))


def _wfdb_212(folder: Path) -> None:
    import wfdb

    signal, peaks = bumps(2, seconds=8.0, rate=100.0)
    wfdb.wrsamp(
        "100",
        **{"fs": 100.0, "units": ["mV"] * 2, "sig_name": ["MLII", "V1"], "p_signal": signal},
        **{"fmt": ["212"] * 2, "adc_gain": [200.0] * 2, "baseline": [1024] * 2},
        write_dir=str(folder),
    )
    wfdb.wrann("100", "atr", peaks, symbol=["N"] * len(peaks), write_dir=str(folder))


def _read_wfdb(folder: Path, rng: Rng) -> Any:
    rate = 50.0 if rng.random() < 0.5 else None
    return load_mitbih(folder, records=["100"], beats_per_trial=2, target_rate=rate, strict=True)


def _wfdb_table(folder: Path) -> None:
    for i in range(2):
        signal, _ = bumps(1, seconds=4.0, rate=100.0, seed=i)
        write_record(folder / "p", f"r{i}", signal, rate=100.0, leads=["I"])
    table = {"record": ["p/r0", "p/r1"], "patient": ["a", "b"], "label": ["ill", "well"]}
    pd.DataFrame(table).to_csv(folder / "table.csv", index=False)


def _read_wfdb_table(folder: Path, rng: Rng) -> Any:
    options: dict[str, Any] = {"cut": "windows", "window_seconds": 1.0, "samples_per_trial": 2}
    strict = bool(rng.random() < 0.5)
    return load_wfdb(folder, folder / "table.csv", leads=["I"], strict=strict, **options)


def _ptbxl(folder: Path) -> None:
    rows = []
    for i, code in enumerate(("NORM", "IMI")):
        signal, _ = bumps(12, seconds=4.0, rate=100.0, seed=i)
        leads = ["I", "II", "III", "AVR", "AVL", "AVF", *(f"V{k}" for k in range(1, 7))]
        write_record(folder / "records100", f"{i}_lr", signal, rate=100.0, leads=leads)
        row = {"ecg_id": i + 1, "patient_id": float(i), "scp_codes": str({code: 100.0})}
        name = f"records100/{i}_lr"
        rows.append(row | {"strat_fold": i + 1, "filename_lr": name, "filename_hr": name})
    pd.DataFrame(rows).to_csv(folder / "ptbxl_database.csv", index=False)
    statements = {"diagnostic": [1.0, 1.0], "diagnostic_class": ["NORM", "MI"]}
    pd.DataFrame(statements, index=["NORM", "IMI"]).to_csv(folder / "scp_statements.csv")


def _read_ptbxl(folder: Path, rng: Rng) -> Any:
    return load_ptbxl(folder, strict=bool(rng.random() < 0.5))


def _eeg(writer: Callable[..., Any], name: str, **options: Any) -> Callable[[Path], Any]:
    def make(folder: Path) -> None:
        signal = brainlike(256, 2, rate=64.0)
        writer(folder / name, signal, ["Fp1", "O2"], 64.0, **options)

    return make


def _fif(folder: Path) -> None:
    import mne

    info = mne.create_info(["Fp1", "O2"], 64.0, "eeg")
    raw = mne.io.RawArray(brainlike(256, 2, rate=64.0).T * 1e-6, info, verbose="error")
    raw.save(folder / "x_raw.fif", verbose="error")


def _reader(name: str) -> Callable[[Path, Rng], Any]:
    def read(folder: Path, rng: Rng) -> Any:
        channels = None if rng.random() < 0.5 else ["Fp1"]
        return read_eeg(folder / name, channels=channels, target_rate=32.0)

    return read


def _participants(folder: Path) -> None:
    for name in ("sub-01", "sub-02"):
        (folder / name / "eeg").mkdir(parents=True)
        (folder / name / "eeg" / f"{name}_eeg.edf").write_bytes(b"0")
    text = "participant_id\tgroup\nsub-01\tAD\nsub-02\tC\n"
    (folder / "participants.tsv").write_text(text)


def _read_participants(folder: Path, rng: Rng) -> Any:
    classes = {"healthy": ("c",), "alzheimer": ("ad",)}
    table = read_participants(folder)
    found = list_recordings(
        folder, table, id_columns=("participant_id",), label_columns=("group",), classes=classes
    )
    assert all(one.path.resolve().is_relative_to(folder.resolve()) for one in found)
    return found


def _data(allow: bool = False) -> MedicalDataset:
    x = np.random.default_rng(0).normal(size=(6, 8, 2)).astype(np.float32)
    ids = np.repeat(np.arange(3), 2)
    return MedicalDataset(
        x, ids % 2, ids, ids, 10.0, log=RecordLog("a"), columns={"age": np.arange(6)}
    )


def _recordings(folder: Path) -> None:
    arrays = [np.random.default_rng(k).normal(size=(20 + k, 2)) for k in range(4)]
    arrays[1][3, 0] = np.nan
    Recordings.from_arrays(
        arrays,
        10.0,
        **{"label": ["a", "b", None, "a"], "patient": ["x", "x", "y", "z"]},
        **{"log": RecordLog("a"), "columns": {"age": np.arange(4)}},
    ).save(folder / "set")


def _resign_recordings(folder: Path) -> None:
    place = folder / "set"
    meta = json.loads((place / "recordings.json").read_text())
    for name in ("values.npy", "places.npz", "table.parquet"):
        meta["sha256"][name] = hashlib.sha256((place / name).read_bytes()).hexdigest()
    (place / "recordings.json").write_text(json.dumps(meta))


def _read_recordings(folder: Path, rng: Rng) -> Any:
    memory, verify = bool(rng.random() < 0.5), bool(rng.random() < 0.9)
    data = Recordings.load(folder / "set", in_memory=memory, verify=verify)
    return data.windows(8)[:4]


def _cinc(folder: Path) -> None:
    for name in ("A1", "A2"):
        write_record(folder, name, bumps(1, seconds=4.0, rate=300.0)[0], rate=300.0, leads=["ECG"])
    (folder / "REFERENCE.csv").write_text("A1,N\nA2,A\n")


def _uci(folder: Path) -> None:
    rng = np.random.default_rng(0)
    values = (brainlike(256, 3 * 4).reshape(256, 3, 4).transpose(1, 2, 0) * 1000).astype(np.int32)
    np.savez_compressed(
        folder / "co1.npz",
        **{"nanovolts": values + rng.integers(-9, 9, values.shape, dtype=np.int32)},
        **{"trial": np.arange(3), "condition": np.array(["S1 obj"] * 3)},
        **{"channel": np.array(["FP1", "FP2", "CZ", "X"]), "label": np.array("control")},
    )


def _resign_container(folder: Path) -> None:
    place = folder / "set"
    meta = json.loads((place / "dataset.json").read_text())
    for name in ("X.npy", "table.parquet"):
        meta["sha256"][name] = hashlib.sha256((place / name).read_bytes()).hexdigest()
    (place / "dataset.json").write_text(json.dumps(meta))


def _read_container(folder: Path, rng: Rng) -> Any:
    memory = bool(rng.random() < 0.5)
    return MedicalDataset.load(folder / "set", in_memory=memory, verify=bool(rng.random() < 0.9))


COHORT = {"n_patients": 2, "trials_per_patient": 1, "seconds": 2.0, "n_channels": 2}


# -- series, settings, models -------------------------------------------------------------------


def _csv(folder: Path) -> None:
    times = pd.date_range("2020-01-01", periods=40, freq="h")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"date": times, "load": rng.normal(size=40), "OT": rng.normal(size=40)})
    frame.to_csv(folder / "series.csv", index=False)


def _read_csv(folder: Path, rng: Rng) -> Any:
    irregular = ("error", "fill", "allow")[int(rng.integers(3))]
    missing = ("error", "forward", "allow")[int(rng.integers(3))]
    target = (None, "OT")[int(rng.integers(2))]
    return load_csv(folder / "series.csv", target=target, irregular=irregular, missing=missing)  # type: ignore[arg-type]


def _ts(folder: Path) -> None:
    head = "@problemName x\n@timeStamps false\n@missing false\n@univariate false\n@dimensions 2\n"
    head += "@equalLength true\n@seriesLength 5\n@classLabel true a b\n@data\n"
    rows = "1.0,2.0,3.5,4,5:0.1,0.2,?,0.4,0.5:a\n2,3,4,5,6:1,2,3,4,5:b\n"
    (folder / "x.ts").write_text(head + rows)


def _yaml(folder: Path) -> None:
    for name in ("demo", "clinical"):
        text = (ROOT / f"tscl/runs/configs/{name}.yaml").read_text(encoding="utf-8")
        (folder / f"{name}.yaml").write_text(text)
    text = (ROOT / "recipes/e2e/study_etth1_small.yaml").read_text(encoding="utf-8")
    (folder / "study.yaml").write_text(text)


def _read_yaml(folder: Path, rng: Rng) -> Any:
    path = sorted(folder.glob("*.yaml"))[int(rng.integers(3))]
    if path.stem == "study":
        return load_study(path).to_yaml()
    return load_job(path).to_yaml()


def _override(folder: Path) -> None:
    (folder / "override.txt").write_text("train.lr=1e-4")


def _read_override(folder: Path, rng: Rng) -> Any:
    values: dict[str, Any] = {"train": {"lr": 1.0}, "name": "x"}
    apply_override(values, (folder / "override.txt").read_text(errors="replace"))
    return load_job(None, [(folder / "override.txt").read_text(errors="replace")])


def _model(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        with torch.random.fork_rng(devices=[]):
            encoder = ENCODERS.build(name, input_dims=2, output_dims=4, hidden_dims=16)
        save_encoder(folder, encoder, {"licence": "MIT"})

    return make


def _resign_model(folder: Path) -> None:
    head = json.loads((folder / "encoder.json").read_text())
    weights = (folder / "encoder.safetensors").read_bytes()
    head["sha256"] = hashlib.sha256(weights).hexdigest()
    signed = {key: head[key] for key in head if key not in ("head_sha256", "card")}
    head["head_sha256"] = sha256_of_json(signed)
    (folder / "encoder.json").write_text(json.dumps(head))


def _checkpoint(folder: Path) -> None:
    store = CheckpointStore(folder)
    for step in (1, 2):
        store.save(step, {"step": step, "weights": torch.arange(6.0), "list": [1.5, None]})


def _run_folder(folder: Path) -> None:
    run = RunFolder(folder)
    run.begin(load_job(None, []), resume=False)
    run.write_history("m", [{"step": 0.0, "loss": 1.5}, {"step": 1.0, "loss": 1.25}])
    run.write_metrics({"mse": 1.0})


def _read_run_folder(folder: Path, rng: Rng) -> Any:
    run = RunFolder(folder)
    which = (run.config, lambda: run.history("m"), run.metrics)[int(rng.integers(3))]
    return which()


def _results(folder: Path) -> None:
    store = ResultStore(folder)
    for number in range(2):
        store.add(Cell({"n": number}, {}, {"y": np.arange(5), "proba": np.ones((5, 2))}))


TARGETS: dict[str, Target] = {
    "WFDB": Target(
        _wfdb, _read_wfdb, {".hea": "text", ".dat": "binary", ".atr": "binary"}, weight=10
    ),
    "WFDB, format 212": Target(
        _wfdb_212, _read_wfdb, {".hea": "text", ".dat": "binary", ".atr": "binary"}, weight=6
    ),
    "WFDB table": Target(_wfdb_table, _read_wfdb_table, {".csv": "text"}, weight=3),
    "PTB-XL tables": Target(_ptbxl, _read_ptbxl, {".csv": "text"}, weight=2),
    "EDF": Target(_eeg(write_edf, "x.edf"), _reader("x.edf"), {".edf": "binary"}, weight=9),
    "BDF": Target(
        _eeg(write_edf, "x.bdf", bdf=True), _reader("x.bdf"), {".bdf": "binary"}, weight=4
    ),
    "BrainVision": Target(
        _eeg(write_brainvision, "x.vhdr"),
        _reader("x.vhdr"),
        {".vhdr": "text", ".vmrk": "text", ".eeg": "binary"},
        weight=4,
    ),
    "FIF": Target(_fif, _reader("x_raw.fif"), {".fif": "binary"}, weight=3),
    "EEGLAB SET": Target(_eeg(write_set, "x.set"), _reader("x.set"), {".set": "binary"}, weight=3),
    "EEGLAB SET, HDF5": Target(
        _eeg(write_set_hdf5, "x.set"), _reader("x.set"), {".set": "binary"}, weight=3
    ),
    "participants": Target(_participants, _read_participants, {".tsv": "text"}, weight=3),
    "UCI NPZ": Target(
        _uci, lambda f, rng: load_uci_eeg(f, strict=True), {".npz": "binary+zip"}, weight=7
    ),
    "processed NPY": Target(
        lambda f: save_processed(_data(), f / "p"),
        lambda f, rng: load_processed(f / "p", 10.0),
        {".npy": "binary"},
        weight=8,
    ),
    "container": Target(
        lambda f: _data().save(f / "set"),
        _read_container,
        {".json": "text", ".npy": "binary", ".parquet": "binary"},
        weight=8,
        sign=_resign_container,
    ),
    "recordings": Target(
        _recordings,
        _read_recordings,
        {".json": "text", ".npy": "binary", ".npz": "binary+zip", ".parquet": "binary"},
        weight=6,
        sign=_resign_recordings,
    ),
    "CinC 2017": Target(
        _cinc,
        lambda f, rng: load_cinc2017(f, strict=bool(rng.random() < 0.5)),
        {".csv": "text", ".hea": "text", ".dat": "binary"},
        weight=3,
    ),
    "cohort": Target(
        lambda f: make_cohort(f / "c", kind="eeg", **COHORT),  # type: ignore[arg-type]
        lambda f, rng: load_cohort(f / "c", strict=True, verify=bool(rng.random() < 0.5)),
        {"cohort.json": "text"},
        weight=3,
    ),
    "CSV series": Target(_csv, _read_csv, {".csv": "text"}, weight=12),
    "UEA TS": Target(_ts, lambda f, rng: load_ts(f / "x.ts"), {".ts": "text"}, weight=6),
    "YAML": Target(_yaml, _read_yaml, {".yaml": "text"}, weight=9),
    "override": Target(_override, _read_override, {".txt": "text"}, weight=2),
    "model card": Target(
        _model("tcn"),
        lambda f, rng: load_encoder(f),
        {".json": "text", ".safetensors": "binary"},
        weight=4,
        sign=_resign_model,
    ),
    "model card, Transformer": Target(
        _model("transformer"),
        lambda f, rng: load_encoder(f),
        {".json": "text"},
        weight=2,
        sign=_resign_model,
    ),
    "checkpoint": Target(
        _checkpoint,
        lambda f, rng: CheckpointStore(f).load_latest(),
        {".json": "text", ".safetensors": "binary"},
        weight=2,
    ),
    "run folder": Target(
        _run_folder, _read_run_folder, {".yaml": "text", ".json": "text", ".csv": "text"}, weight=2
    ),
    "results": Target(
        _results,
        lambda f, rng: ResultStore(f).cells(),
        {".json": "text", ".npz": "binary+zip"},
        weight=2,
    ),
}


class Corpus:
    """Valid files of a target, kept in memory."""

    def __init__(self, target: Target, place: Path) -> None:
        self.target = target
        place.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.make(place)
        paths = sorted(p for p in place.rglob("*") if p.is_file())
        self.files = {p.relative_to(place).as_posix(): p.read_bytes() for p in paths}
        self.choices = [
            (name, how)
            for name in self.files
            for ending, how in target.damaged.items()
            if name.endswith(ending)
        ]

    def write(self, place: Path) -> None:
        """The valid files."""
        for name, content in self.files.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def damage(self, place: Path, rng: Rng) -> None:
        """The valid files with one of them damaged, signed again half the time."""
        self.write(place)
        name, how = self.choices[int(rng.integers(len(self.choices)))]
        content = self.files[name]
        if how == "binary+zip" and rng.random() < 0.6:
            content = mutate_zip(content, rng)
        else:
            content = mutate(content, rng, text=how == "text")
        (place / name).write_bytes(content)
        if self.target.sign is not None and rng.random() < 0.6:
            try:
                self.target.sign(place)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                (place / name).write_bytes(content)


def shares(total: int, names: Sequence[str]) -> dict[str, int]:
    """Inputs of each target, ``total`` in all."""
    weights = np.array([TARGETS[name].weight for name in names])
    counts = np.floor(total * weights / weights.sum()).astype(int)
    counts[0] += total - counts.sum()
    return dict(zip(names, counts.tolist(), strict=True))


__all__ = ["TARGETS", "Corpus", "Target", "shares"]
