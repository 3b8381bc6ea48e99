"""A write that fails raises one named error and leaves what was there; a killed one is cleaned."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from typer.testing import CliRunner

from data_loaders import MedicalDataset, RecordLog, make_cohort, save_processed
from data_loaders.container.collect import SampleCollector
from tests.reliability.disks import KINDS, disk
from tscl import disk as disk_module
from tscl.cli.app import app
from tscl.disk import atomic_file, new_folder, write_bytes, write_text
from tscl.encoders import ENCODERS
from tscl.errors import CheckpointError, WriteError
from tscl.evaluation.clinical.table import GROUP
from tscl.inference.encode import encode
from tscl.reporting.document import Document, png
from tscl.runs.clinical.report import Plot, ReportText, write_report
from tscl.runs.folder import RunFolder
from tscl.saving.cells import Cell, ResultStore
from tscl.saving.encoder import load_encoder, save_encoder
from tscl.training.checkpoint import CheckpointStore

ROOT = Path(__file__).resolve().parents[2]


def data() -> MedicalDataset:
    x = np.random.default_rng(0).normal(size=(8, 16, 2)).astype(np.float32)
    ids = np.repeat(np.arange(4), 2)
    return MedicalDataset(x, ids % 2, ids, ids, 100.0, log=RecordLog("some"))


def encoder() -> Any:
    torch.manual_seed(0)
    return ENCODERS.build("tcn", input_dims=2, output_dims=4, hidden_dims=4, depth=1).eval()


def cell(number: int) -> Cell:
    return Cell({"number": number}, {"note": "x" * 40}, {"y": np.arange(50)})


def collected(folder: Path) -> None:
    samples = SampleCollector(RecordLog("some"), folder)
    samples.add(data().X, label=0, patient="p", trial="t", sampling_rate=1.0)


def pictured(path: Path) -> None:
    figure = Figure()
    figure.subplots().plot([0, 1])
    write_bytes(path, png(figure))


def reported(folder: Path) -> None:
    document = Document(folder, "title")
    document.paragraph("text " * 10)
    document.write()


def clinically(folder: Path) -> None:
    row = dict.fromkeys(GROUP, "x") | {"level": "sample", "fraction": 1.0, "metric": "auroc"}
    row |= {"mean": 0.5, "std": 0.1, "ci_low": 0.4, "ci_high": 0.6, "data": "generated"}
    counts = ("test", "test_patients", "train_samples", "train_patients", "seeds")
    row |= {f"n_{k}": 3 for k in (*counts, "mixed", "folds", "skipped")}
    figure = Figure()
    figure.subplots().plot([0, 1])
    plots = [Plot("a", "a", figure, "a")]
    write_report(folder, pd.DataFrame([row]), ReportText("t", "none"), plots)


COHORT = {"n_patients": 2, "trials_per_patient": 1, "seconds": 2.0, "n_channels": 2}
WRITERS = {
    "container": lambda f: data().save(f / "set", overwrite=True),
    "processed": lambda f: save_processed(data(), f / "processed", overwrite=True),
    "WFDB cohort": lambda f: make_cohort(f / "ecg", kind="ecg", overwrite=True, **COHORT),
    "EDF cohort": lambda f: make_cohort(f / "eeg", kind="eeg", overwrite=True, **COHORT),
    "record log": lambda f: data().log.to_csv(f / "records.csv"),  # type: ignore[union-attr]
    "cache of samples": collected,
    "encoder": lambda f: save_encoder(f / "encoder", encoder()),
    "checkpoint": lambda f: CheckpointStore(f / "c").save(7, {"weights": torch.arange(99)}),
    "history": lambda f: RunFolder(f).write_history("m", [{"step": 0, "loss": 1.0}]),
    "metrics": lambda f: RunFolder(f).write_metrics({"mse": 1.0}),
    "results": lambda f: ResultStore(f / "results").add(cell(2)),
    "figure": lambda f: pictured(f / "figures/one.png"),
    "report": reported,
    "clinical report": clinically,
    "embeddings": lambda f: encode(
        encoder(), np.zeros((2, 9, 2), np.float32), out=f / "embeddings.npy"
    ),
}
"""What writes each artefact into a folder; each may be called again."""


def seen(folder: Path) -> dict[str, bytes]:
    """Files below a folder, without the hidden ones of writes under way."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    names = {p.relative_to(folder).as_posix(): p for p in files}
    return {n: p.read_bytes() for n, p in names.items() if "/." not in f"/{n}"}


def hidden(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob(".*")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_that_refuses_writes_gives_one_named_error_and_nothing_half_written(kind):
    with disk(kind) as place:
        for name, write in WRITERS.items():
            folder = place.folder / name
            folder.mkdir()
            with place.refusing(), pytest.raises((WriteError, CheckpointError)) as caught:
                write(folder)
            remedy = "space" if kind in KINDS[:2] else "may write to"
            assert remedy in str(caught.value) or "checkpoint folder" in str(caught.value), name
            assert seen(folder) == {}, name
            assert hidden(folder) == [], name
            write(folder)
            assert seen(folder), name
            for path in place.folder.rglob("*"):
                if path.is_file():
                    path.unlink()


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_there_survives_a_failed_write(kind):
    with disk(kind) as place:
        names = (
            "container",
            "processed",
            "encoder",
            "history",
            "figure",
            "clinical report",
            "metrics",
        )
        for name in names:
            folder = place.folder / name
            folder.mkdir()
            WRITERS[name](folder)
            before = seen(folder)
            with place.refusing(), pytest.raises(WriteError):
                WRITERS[name](folder)
            assert seen(folder) == before, name
        assert len(MedicalDataset.load(place.folder / "container/set")) == 8
        load_encoder(place.folder / "encoder/encoder")


@pytest.mark.parametrize("kind", KINDS)
def test_results_go_on_after_a_failed_write(kind):
    with disk(kind) as place:
        store = ResultStore(place.folder)
        store.add(cell(0))
        with place.refusing(), pytest.raises(WriteError):
            store.add(cell(1))
        assert len(ResultStore(place.folder)) == 1
        store.add(cell(1))
        again = ResultStore(place.folder)
        assert [one.key["number"] for one in again.cells()] == [0, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_says_it_in_one_line(kind):
    with disk(kind) as place:
        command = ["data", "make-cohort", "--out", str(place.folder / "x"), "--patients", "2"]
        with place.refusing():
            result = CliRunner().invoke(app, [*command, "--trials", "1"])
        assert result.exit_code == 2, result.output
        text = " ".join(result.output.split())
        assert text.startswith("error WriteError: path: got")
        assert "Traceback" not in text
        assert list(place.folder.iterdir()) == []


def test_a_killed_write_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/one").write_text("old")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom tscl.disk import atomic_file, new_folder\n"
        "with atomic_file('a.txt') as work, new_folder('b') as folder:\n"
        "    work.write_text('half')\n    (folder / 'one').write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    died = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, check=False)
    assert died.returncode == -9
    assert len(hidden(tmp_path)) == 2
    assert (tmp_path / "a.txt").read_text() == (tmp_path / "b/one").read_text() == "old"
    with atomic_file(tmp_path / "a.txt") as work:
        work.write_text("new")
        assert hidden(tmp_path).count(work.name) == 1
    with new_folder(tmp_path / "b") as folder:
        (folder / "two").write_text("new")
    assert hidden(tmp_path) == []
    assert seen(tmp_path) == {"a.txt": b"new", "b/two": b"new"}


def test_the_work_of_a_living_process_is_left_alone(tmp_path):
    with atomic_file(tmp_path / "a") as first:
        first.write_text("one")
        with atomic_file(tmp_path / "a") as second:
            second.write_text("two")
        assert first.is_file()
    assert (tmp_path / "a").read_text() == "one"


@pytest.mark.parametrize("swaps", [True, False])
def test_a_folder_is_exchanged_in_one_step_or_two(tmp_path, monkeypatch, swaps):
    if not swaps:
        monkeypatch.setattr(disk_module, "_exchange", lambda first, second: False)
    for text in ("old", "new"):
        with new_folder(tmp_path / "a") as work:
            (work / text).write_text(text)
    assert seen(tmp_path) == {"a/new": b"new"}
    assert hidden(tmp_path) == []


def test_a_failed_exchange_puts_the_old_folder_back(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old").write_text("old")
    monkeypatch.setattr(disk_module, "_exchange", lambda first, second: False)
    replace, calls = os.replace, []

    def second_fails(one: Any, other: Any) -> None:
        calls.append(one)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        replace(one, other)

    monkeypatch.setattr(disk_module, "os", SimpleNamespace(**{**vars(os), "replace": second_fails}))
    with pytest.raises(WriteError, match="Input/output"), new_folder(tmp_path / "a") as work:
        (work / "new").write_text("new")
    assert seen(tmp_path)["a/old"] == b"old"


def test_a_link_stays_a_link_and_a_device_is_written_itself(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "real/a.txt")
    write_text(tmp_path / "link.txt", "x")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real/a.txt").read_text() == "x"
    write_text("/dev/null", "x")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(WriteError, match="folder"):
        write_text(tmp_path / "real", "x")


def test_the_error_keeps_its_number_in_another_process():
    error = WriteError("x", OSError(28, "No space left on device"))
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, OSError)
    assert (str(again), again.errno) == (str(error), 28)
