"""Fuzz every loader with damaged files: named errors only, no code run, little memory, no hang.

    nice -n 10 python tests/reliability/fuzz.py --count 100000     # about an hour of one core
    python tests/reliability/fuzz.py --only WFDB --first 1234 --count 1   # one input again

Input ``i`` of a target depends on the seed and ``i`` only. A child process reads them; its
address space may grow by 1 GiB over what its imports take. Reported as findings:

- any exception but the project's named errors (:class:`tscl.errors.TSCLError`), an end of the
  process, more than 20 s for one input;
- a MemoryError, also one behind a named error, or 256 MiB more resident memory;
- files opened outside the input's folder, connections, started processes, classes from pickles.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.reliability.fuzz_targets import TARGETS, Corpus, shares  # noqa: E402
from tscl.errors import TSCLError  # noqa: E402

GIB = 2**30
RESIDENT = 256 * 2**20
SECONDS = 20  # of the processor, whatever else runs on the machine
STILL = 1800  # of the clock, for a child that waits for ever
FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen"),
    *("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind"),
    *("pickle.find_class", "shutil.rmtree", "os.remove", "os.rename", "webbrowser.open"),
)


class TooSlow(BaseException):
    """One input took too long."""


class Watch:
    """Records what a loader may not do while ``on``; installed once in a process."""

    def __init__(self, place: Path) -> None:
        self.on = False
        self.seen: list[str] = []
        system = (sys.prefix, sys.base_prefix, str(ROOT), "/usr", "/lib", "/proc", "/sys", "/dev")
        self.allowed = (str(place), *system, "/etc/localtime", "/etc/ld.so", "/etc/mime")
        self.place = str(place)
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in FORBIDDEN:
            self.seen.append(f"{event} {str(arguments)[:120]}")
        elif event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            writes = isinstance(arguments[1], str) and any(c in arguments[1] for c in "wax+")
            inside = path.startswith(self.place)
            if (writes and not inside) or not path.startswith(self.allowed):
                self.seen.append(f"open {path[:120]} {arguments[1]}")


def memory_error(error: BaseException | None) -> bool:
    """True when a MemoryError stands anywhere behind ``error``."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, MemoryError):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def where(error: BaseException) -> str:
    """Type and the innermost frames of the project."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/tscl/" in f.filename or "/data_loaders/" in f.filename]
    own = [f for f in own if "/tests/" not in f.filename and "site-packages" not in f.filename]
    last = frames[-1]
    mine = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"
    return f"{type(error).__name__} in {mine} from {Path(last.filename).name}:{last.lineno}"


def one_input(name: str, corpus: Corpus, place: Path, seed: int, number: int, watch: Watch) -> str:
    """Outcome of one input: ``read``, ``named: ...`` or ``FINDING ...``."""
    rng = np.random.default_rng([seed, sum(name.encode()), number])
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    corpus.damage(place, rng)
    watch.seen.clear()
    outcome = "read"
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        watch.on = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            corpus.target.read(place, rng)
    except TSCLError as error:
        outcome = f"named: {type(error).__name__}"
        if memory_error(error):
            outcome = f"FINDING memory behind {where(error)}"
    except TooSlow as error:
        outcome = f"FINDING slow {where(error)}"
    except Exception as error:
        outcome = f"FINDING {where(error)}: {str(error)[:100]!r}"
    finally:
        watch.on = False
        signal.setitimer(signal.ITIMER_PROF, 0)
    if watch.seen:
        outcome = f"FINDING {watch.seen[0]}"
    return outcome


def child(plan: list[tuple[str, int, int]], seed: int, log: Path) -> None:
    """Read inputs ``first`` to ``stop`` of each target and append JSON lines to ``log``."""
    faulthandler.enable()
    scratch = Path(tempfile.mkdtemp(prefix="tscl-fuzz-"))
    corpora = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, *_ in plan:
            corpora[name] = Corpus(TARGETS[name], scratch / name)
            for k in range(6):  # whatever is imported late, and proof that valid files are read
                TARGETS[name].read(scratch / name, np.random.default_rng(k))
    watch = Watch(scratch)

    def alarm(number: int, frame: Any) -> None:
        raise TooSlow

    signal.signal(signal.SIGPROF, alarm)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + GIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    peak = base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with log.open("a", buffering=1) as file:
        for name, number in ((name, n) for name, first, stop in plan for n in range(first, stop)):
            file.write(json.dumps({"begun": [name, number]}) + "\n")
            begun = time.perf_counter()
            corpus = corpora[name]
            outcome = one_input(name, corpus, scratch / "input", seed, number, watch)
            seconds = time.perf_counter() - begun
            now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if now - peak > RESIDENT and not outcome.startswith("FINDING"):
                outcome = f"FINDING {(now - peak) >> 20} MiB resident, {outcome}"
            peak = max(peak, now)
            line = {"done": [name, number], "outcome": outcome, "s": round(seconds, 4)}
            file.write(json.dumps(line | {"mib": (peak - base) >> 20}) + "\n")
    shutil.rmtree(scratch, ignore_errors=True)


Progress = Callable[[dict[str, Any]], None]


def run(
    counts: dict[str, int], seed: int, first: int, place: Path, report: Progress
) -> list[dict[str, Any]]:
    """All inputs in child processes, one after the other, started again after an end.

    ``report`` is called with the row of each target once it is finished.
    """
    plan = [(name, first, first + count) for name, count in counts.items() if count]
    rows = {name: Row(name) for name, *_ in plan}
    log = place / "log.jsonl"
    reported: set[str] = set()

    def finish(names: set[str]) -> None:
        for name in rows:
            if name not in names and name not in reported:
                reported.add(name)
                report(rows[name].as_dict())

    while plan:
        log.write_text("")
        command = [sys.executable, __file__, "--child", json.dumps(plan), str(seed), str(log)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (place / "stderr.txt").open("wb") as errors:
            process = subprocess.Popen(command, stdout=errors, stderr=errors, env=environment)
            code: int | str | None = None
            with log.open() as lines:
                current, last, text = None, time.monotonic(), ""
                while True:
                    piece = lines.readline()
                    if not piece:
                        if code is not None:
                            break
                        code = process.poll()
                        if code is None and time.monotonic() - last > STILL:
                            process.kill()
                            process.wait()
                            code = "hang"
                        time.sleep(0.05)
                        continue
                    text += piece
                    if not text.endswith("\n"):  # the child is still writing this line
                        continue
                    last, line, text = time.monotonic(), json.loads(text), ""
                    if "begun" in line:
                        current = tuple(line["begun"])
                        finish(
                            {name for name, *_ in plan[[n for n, *_ in plan].index(current[0]) :]}
                        )
                    else:
                        rows[current[0]].add(current[1], line)
        if code == 0:
            break
        if current is None:
            text = (place / "stderr.txt").read_text(errors="replace")[-1500:]
            raise RuntimeError(f"the valid files cannot be read ({code}): {text}")
        name, number = current
        rows[name].crash(number, f"FINDING the process ended ({code})")
        at = [n for n, *_ in plan].index(name)
        plan = [(name, number + 1, plan[at][2]), *plan[at + 1 :]]
        plan = [one for one in plan if one[1] < one[2]]
    finish(set())
    return [row.as_dict() for row in rows.values()]


class Row:
    """Counts of one target."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.numbers: set[int] = set()
        self.outcomes: Counter[str] = Counter()
        self.findings: list[tuple[int, str]] = []
        self.slowest, self.mib = 0.0, 0

    def add(self, number: int, line: dict[str, Any]) -> None:
        """Take the outcome of an input."""
        self.numbers.add(number)
        self.outcomes[line["outcome"].split(":")[0]] += 1
        if line["outcome"].startswith("FINDING"):
            self.findings.append((number, line["outcome"]))
        self.slowest, self.mib = max(self.slowest, line["s"]), max(self.mib, line["mib"])

    def crash(self, number: int, text: str) -> None:
        """Take an input that ended the process."""
        self.numbers.add(number)
        self.findings.append((number, text))

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values."""
        return {
            **{"target": self.name, "inputs": len(self.numbers), "read": self.outcomes["read"]},
            **{"named": self.outcomes["named"], "findings": self.findings},
            **{"slowest": self.slowest, "mib": self.mib},
        }


def main() -> int:
    """The full script; the table goes to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="targets whose name holds this")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    options = parser.parse_args()
    names = [one for one in TARGETS if options.only in one]
    place = Path(tempfile.mkdtemp(prefix="tscl-fuzz-run-"))
    begun, total, failed = time.monotonic(), 0, 0
    say = sys.stdout.write
    say("| target | inputs | read | named error | findings | slowest (s) | memory (MiB) |\n")
    say("| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
    details: list[str] = []

    def show(row: dict[str, Any]) -> None:
        say(f"| {row['target']} | {row['inputs']} | {row['read']} | {row['named']} ")
        say(f"| {len(row['findings'])} | {row['slowest']:.2f} | {row['mib']} |\n")
        sys.stdout.flush()

    counts = shares(options.count, names)
    for row in run(counts, options.seed, options.first, place, show):
        found = row["findings"]
        total, failed = total + row["inputs"], failed + len(found)
        kinds = Counter(text.split(":")[0] for _, text in found)
        for kind, times in kinds.most_common(25):
            number, text = next((n, t) for n, t in found if t.startswith(kind))
            details.append(f"- {row['target']}: {times} x {kind}; input {number}: {text}\n")
    minutes = (time.monotonic() - begun) / 60
    say(f"\n{total} inputs, {failed} findings, {minutes:.1f} minutes, seed {options.seed}\n\n")
    say("".join(details))
    shutil.rmtree(place)
    return int(failed > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        wanted = [(str(n), int(a), int(b)) for n, a, b in json.loads(sys.argv[2])]
        child(wanted, int(sys.argv[3]), Path(sys.argv[4]))
    else:
        sys.exit(main())
