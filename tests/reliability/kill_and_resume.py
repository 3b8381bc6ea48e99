"""Kill -9 at random moments: the resumed result equals the uninterrupted one, to the bit.

    python tests/reliability/kill_and_resume.py            # twenty kills, minutes
    python tests/reliability/kill_and_resume.py --seed 7 --fork

Every job runs three times: uninterrupted; killed at a seeded random moment between its first file
and its end; and again, with ``--resume`` where the command has it, until it is done. Then all
files of both folders are compared. Processes are started anew (``python -m tscl.cli.app ...``);
with ``--fork`` they are forked from this one after its imports, which is quicker and as mortal.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[2]
OUT = "out"
NOT_COMPARED = {"run.json"}  # holds the time the run was started


@dataclass(frozen=True)
class Job:
    """One command and how it goes on after a kill.

    Attributes:
        name: for the table.
        config: values of its YAML file; None for a command without one.
        command: arguments; ``{config}`` is the file.
        resume: arguments added after a kill.
        kills: how many kills the full script gives it.
    """

    name: str
    config: dict[str, Any] | None
    command: tuple[str, ...]
    resume: tuple[str, ...] = ("--resume",)
    kills: int = 1


def forecasting(scale: int) -> dict[str, Any]:
    """AutoTCL and TS2Vec on the year of temperatures."""
    return {
        **{"job": "forecasting", "seed": 3, "out": OUT},
        "data": {"source": "seattle-temps", "input_form": "relative"},
        "encoder": {"name": "tcn", "params": {"output_dims": 8, "hidden_dims": 8, "depth": 2}},
        "method": {"name": "autotcl", "params": {"aug_dim": 4, "aug_hidden": 4, "aug_depth": 1}},
        "train": {
            **{"max_epochs": 2 * scale, "batch_size": 8, "max_train_length": 257},
            **{"checkpoint_seconds": 0, "select": "validation", "monitor_every": scale},
        },
        "evaluate": {"horizons": [24, 48], "compare": ["ts2vec", "random"]},
    }


def clinical(scale: int, method: str = "comet") -> dict[str, Any]:
    """A generated EEG cohort."""
    make = {"kind": "eeg", "n_patients": 9, "trials_per_patient": 2, "seconds": 2.0}
    return {
        **{"job": "clinical", "seed": 3, "out": OUT},
        "data": {"kind": "cohort", "make": {**make, "sampling_rate": 64, "n_channels": 3}},
        "split": {"kind": "kfold", "params": {"n_splits": 3}, "folds": [0]},
        "encoder": {
            "name": "dilated",
            "params": {"output_dims": 8, "hidden_dims": 8, "depth": 2, "dropout": 0.1},
        },
        "method": {"name": method},
        "train": {
            **{"max_epochs": 4 * scale, "batch_size": 12, "lr": 1e-3, "probe": True},
            **{"checkpoint_seconds": 0, "select": "validation", "monitor_every": 2},
        },
        "evaluate": {
            **{"compare": ["bandpower", "simclr" if method == "comet" else "comet"]},
            **{"full_rows": [method], "fractions": [1.0, 0.5], "by": ["samples"], "seeds": 1},
            **{"n_replicates": 10, "finetune_epochs": [1, 1]},
        },
    }


def study(scale: int) -> dict[str, Any]:
    """Eight cells of end-to-end forecasting."""
    return {
        **{"job": "study", "out": OUT, "data": {"source": "seattle-temps"}},
        "algorithms": {"hierarchical": {}, "moco": {"queue": 16}},
        "strategies": ["supervised", "end_to_end"],
        "backbones": {"tcn": {"hidden_dims": 4, "depth": 1}},
        **{"horizons": [3], "lengths": {3: 8}, "seeds": [0, 1]},
        "train": {
            **{"max_epochs": scale, "steps_per_epoch": 8, "monitor_stride": 100},
            "network_params": {"output_dims": 4, "decoder_dims": 4},
        },
    }


def cohort(kind: str, patients: int) -> tuple[str, ...]:
    """Arguments of ``tscl data make-cohort``."""
    size = ("--patients", str(patients), "--trials", "6", "--kind", kind)
    return ("data", "make-cohort", "--out", OUT, *size, "--overwrite")


PRETRAINED = ("ts2vec", "simclr", "ts_tcc", "tf_c", "clocs", "mixing_up")


def jobs(scale: int = 1) -> list[Job]:
    """All jobs; ``scale`` makes training longer."""
    run, pretrain = ("run", "-q", "-c", "{config}"), ("pretrain", "-q", "-c", "{config}")
    made = [
        Job("forecasting run", forecasting(scale), run, kills=4),
        Job("clinical run", clinical(scale), run, kills=4),
        Job("study", study(scale), ("study", "{config}"), (), kills=2),
    ]
    for name in PRETRAINED:
        made.append(Job(f"pretrain {name}", clinical(2 * scale, name), pretrain))
    made += [
        Job("make ECG cohort", None, cohort("ecg", 12 * scale), ()),
        Job("make EEG cohort", None, cohort("eeg", 12 * scale), ()),
        Job("save container", None, ("convert", "saved", str(400 * scale)), ()),
        Job("save processed", None, ("convert", "processed", str(400 * scale)), ()),
    ]
    return made


# -- processes ----------------------------------------------------------------------------------


def convert(kind: str, patients: int) -> None:
    """Write a data set of known values, as ``tscl data`` conversions do."""
    from data_loaders import MedicalDataset, save_processed

    x = np.random.default_rng(0).normal(size=(8 * patients, 256, 4)).astype(np.float32)
    ids = np.repeat(np.arange(patients), 8)
    data = MedicalDataset(x, ids % 2, ids, ids, 128.0)
    if kind == "saved":
        data.save(OUT, overwrite=True)
    else:
        save_processed(data, OUT, overwrite=True)


def main_of(arguments: list[str]) -> None:
    """What a started process does."""
    if arguments[0] == "convert":
        convert(arguments[1], int(arguments[2]))
        return
    from tscl.cli.app import app

    app(arguments, standalone_mode=False)


def warm() -> None:
    """Import what the jobs import, so that forked processes need not."""
    import edfio  # noqa: F401
    import mne  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import wfdb  # noqa: F401

    import tscl.cli.app
    import tscl.runs.clinical.report
    import tscl.runs.forecasting.report
    import tscl.runs.study.study  # noqa: F401


class Process:
    """A job's process in ``folder``, started anew or forked."""

    def __init__(self, arguments: list[str], folder: Path, fork: bool) -> None:
        log = (folder / "log.txt").open("ab")
        if fork:
            self.pid = os.fork()
            if self.pid == 0:
                code = 1
                try:
                    os.dup2(log.fileno(), 1)
                    os.dup2(log.fileno(), 2)
                    os.chdir(folder)
                    main_of(arguments)
                    code = 0
                except BaseException as error:
                    os.write(2, f"{type(error).__name__}: {error}".encode())
                finally:
                    os._exit(code)
        else:
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            command = [sys.executable, __file__, "--job", *arguments]
            self.pid = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, env=environment
            ).pid
        log.close()
        self.status: int | None = None

    def ended(self) -> bool:
        """True once the process is gone; its exit status is then known."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None

    def wait(self, until: Callable[[], bool] = lambda: False, seconds: float = math.inf) -> None:
        """Wait for the end, or for ``until``."""
        limit = time.monotonic() + seconds
        while not self.ended() and not until() and time.monotonic() < limit:
            time.sleep(0.005)

    def kill(self) -> bool:
        """Kill -9; False when the process had ended by itself."""
        if self.ended():
            return False
        os.kill(self.pid, signal.SIGKILL)
        self.wait()
        return self.status == -signal.SIGKILL


def started(folder: Path) -> bool:
    """True once a job has begun to write."""
    names = [one.name for one in folder.iterdir()]
    return any(name == OUT or name.startswith(f".{OUT}.") for name in names)


# -- comparison ---------------------------------------------------------------------------------


def files(folder: Path) -> Iterator[Path]:
    """Files of a result, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in NOT_COMPARED:
            yield path.relative_to(folder)


TIMES = (
    r"Took [^.]* cores[^.]*\.",
    r',?\s*"seconds[^"]*": [^,}\s]+',  # a cell that went on from a checkpoint has none
    r"(?s)(?<=rocessor seconds)(.*?)(?=\n## |<h2|\Z)",
)
"""What a report and its figures say of time: it is another at every call."""


def timeless(path: Path) -> bytes:
    """What a file holds, without the time that was taken."""
    if path.name == "study.parquet":
        return pd.read_parquet(path).drop(columns="seconds").to_csv().encode()
    if path.suffix not in (".md", ".html", ".json"):
        return b"" if "processor-seconds" in path.name else path.read_bytes()
    text = path.read_text(encoding="utf-8")
    for pattern in TIMES:
        text = re.sub(pattern, "", text)
    return text.encode()


def differences(one: Path, other: Path) -> list[str]:
    """Names of files that differ; arrays in ``.npz`` by value, since zip keeps the time."""
    names = sorted({*files(one), *files(other)})
    found = []
    for name in names:
        if not ((one / name).is_file() and (other / name).is_file()):
            found.append(f"{name} is in one only")
        elif name.suffix == ".npz":
            with np.load(one / name) as a, np.load(other / name) as b:
                same = a.files == b.files and all(
                    a[k].dtype == b[k].dtype and a[k].tobytes() == b[k].tobytes() for k in a.files
                )
            if not same:
                found.append(f"{name} differs")
        elif timeless(one / name) != timeless(other / name):
            found.append(f"{name} differs")
    return found


@dataclass
class Trial:
    """One kill and its outcome."""

    job: str
    moment: float
    share: float
    written: int
    differing: list[str] = field(default_factory=list)


class Driver:
    """Runs jobs uninterrupted, killed and resumed below ``place``."""

    def __init__(self, place: Path, seed: int, fork: bool) -> None:
        self.place = place
        self.fork = fork
        self.rng = np.random.default_rng(seed)
        self.seconds: dict[str, float] = {}

    def _begin(self, job: Job, folder: Path, resume: bool) -> Process:
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "config.yaml"
        if job.config is not None:
            config.write_text(yaml.safe_dump(job.config))
        arguments = [one.format(config="config.yaml") for one in job.command]
        return Process([*arguments, *(job.resume if resume else ())], folder, self.fork)

    def _finish(self, job: Job, process: Process, folder: Path) -> None:
        process.wait()
        if not process.ended() or process.status != 0:
            process.kill()
            text = (folder / "log.txt").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{job.name} ended with {process.status}: {text}")

    def reference(self, job: Job) -> Path:
        """Folder of the uninterrupted run; it is made once."""
        folder = self.place / job.name.replace(" ", "-") / "whole"
        if job.name not in self.seconds:
            process = self._begin(job, folder, False)
            process.wait(lambda: started(folder))
            first = time.monotonic()
            self._finish(job, process, folder)
            self.seconds[job.name] = time.monotonic() - first
        return folder

    def trial(self, job: Job, number: int) -> Trial:
        """Kill ``job`` once at a random moment, resume, compare."""
        whole = self.reference(job)
        length = self.seconds[job.name]
        for attempt in range(12):
            folder = self.place / job.name.replace(" ", "-") / f"killed-{number}-{attempt}"
            moment = float(self.rng.uniform(0.0, length))
            process = self._begin(job, folder, False)
            process.wait(lambda folder=folder: started(folder))  # type: ignore[misc]
            process.wait(seconds=moment)
            if process.kill():
                break
            length *= 0.8  # it was quicker than the uninterrupted one and had ended
        else:
            raise RuntimeError(f"{job.name} could not be killed")
        written = sum(1 for _ in folder.rglob("*") if _.is_file()) - 2
        self._finish(job, self._begin(job, folder, True), folder)
        result = Trial(job.name, moment, moment / self.seconds[job.name], written)
        result.differing = differences(whole / OUT, folder / OUT)
        left = [one for one in folder.rglob(".*") if one.name.startswith(f".{OUT}.")]
        result.differing += [f"{one.name} left behind" for one in left]
        return result


def main() -> int:
    """The full script; the table goes to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--fork", action="store_true")
    parser.add_argument("--only", nargs="*", help="names of jobs, one kill each")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="tscl-kills-"))
    driver = Driver(place, options.seed, options.fork)
    if options.fork:
        warm()
    failed, count, begun = 0, 0, time.monotonic()
    say = sys.stdout.write
    say("| job | killed after (s) | share of the run | files then there | result |\n")
    say("| --- | ---: | ---: | ---: | --- |\n")
    for job in jobs(options.scale):
        if options.only and job.name not in options.only:
            continue
        for number in range(1 if options.only else job.kills):
            trial = driver.trial(job, number)
            count += 1
            failed += bool(trial.differing)
            result = "; ".join(trial.differing[:5]) or "equal to the bit"
            say(f"| {job.name} | {trial.moment:.2f} | {trial.share:.0%} | {trial.written} ")
            say(f"| {result} |\n")
            sys.stdout.flush()
    minutes = (time.monotonic() - begun) / 60
    say(f"\n{count} kills, {failed} differing, {minutes:.1f} minutes, seed {options.seed}\n")
    if not failed:
        shutil.rmtree(place)
    return int(failed > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        main_of(sys.argv[2:])
    else:
        sys.exit(main())
