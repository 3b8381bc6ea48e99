"""Fuzz every loader with damaged files: named errors only, no code run, little memory, no hang.

    nice -n 10 python tests/reliability/fuzz.py --count 100000     # about an hour of one core
    python tests/reliability/fuzz.py --only WFDB --first 1234 --count 1   # one input again

Input ``i`` of a target depends on the seed and ``i`` only. A child process reads the inputs of a
target; its address space may grow by 1 GiB over what its imports take. Reported as findings:

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
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.reliability.fuzz_targets import TARGETS, Corpus, shares  # noqa: E402
from tscl.errors import TSCLError  # noqa: E402

GIB = 2**30
RESIDENT = 256 * 2**20
SECONDS = 20
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
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
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
        signal.setitimer(signal.ITIMER_REAL, 0)
    if watch.seen:
        outcome = f"FINDING {watch.seen[0]}"
    return outcome


def child(name: str, seed: int, first: int, stop: int, log: Path) -> None:
    """Read inputs ``first`` to ``stop`` and append one JSON line each to ``log``."""
    faulthandler.enable()
    scratch = Path(tempfile.mkdtemp(prefix="tscl-fuzz-"))
    corpus = Corpus(TARGETS[name], scratch / "valid")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(8):  # whatever is imported late, and proof that valid files are read
            corpus.target.read(scratch / "valid", np.random.default_rng(k))
    watch = Watch(scratch)

    def alarm(number: int, frame: Any) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, alarm)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + GIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    base = peak
    with log.open("a", buffering=1) as file:
        for number in range(first, stop):
            file.write(json.dumps({"begun": number}) + "\n")
            begun = time.perf_counter()
            outcome = one_input(name, corpus, scratch / "input", seed, number, watch)
            seconds = time.perf_counter() - begun
            now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if now - peak > RESIDENT and not outcome.startswith("FINDING"):
                outcome = f"FINDING {(now - peak) >> 20} MiB resident, {outcome}"
            peak = max(peak, now)
            line = {"n": number, "outcome": outcome, "s": round(seconds, 4)}
            file.write(json.dumps(line | {"mib": (peak - base) >> 20}) + "\n")
    shutil.rmtree(scratch, ignore_errors=True)


def run_target(name: str, seed: int, first: int, count: int, place: Path) -> dict[str, Any]:
    """All inputs of one target, in child processes that are started again after an end."""
    log = place / "log.jsonl"
    log.unlink(missing_ok=True)
    stop, next_one, crashes = first + count, first, []
    while next_one < stop:
        command = [sys.executable, __file__, "--child", name, str(seed), str(next_one), str(stop)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        errors = (place / "stderr.txt").open("wb")
        process = subprocess.Popen(
            [*command, str(log)], stdout=errors, stderr=errors, env=environment
        )
        code: int | str | None = None
        while code is None:
            try:
                code = process.wait(timeout=5 * SECONDS)
            except subprocess.TimeoutExpired:
                if not log.exists() or time.time() - log.stat().st_mtime > 3 * SECONDS:
                    process.kill()
                    process.wait()
                    code = "hang"
        errors.close()
        lines = [json.loads(one) for one in log.read_text().splitlines()] if log.exists() else []
        begun = [one["begun"] for one in lines if "begun" in one]
        done = [one["n"] for one in lines if "n" in one]
        if code == 0:
            break
        if not begun or begun[-1] in done or begun[-1] < next_one:
            text = (place / "stderr.txt").read_text(errors="replace")[-1500:]
            raise RuntimeError(f"{name}: the valid files cannot be read ({code}): {text}")
        crashes.append((begun[-1], f"FINDING the process ended ({code})"))
        next_one = begun[-1] + 1
    lines = [json.loads(one) for one in log.read_text().splitlines()]
    done = [one for one in lines if "n" in one]
    findings = [(one["n"], one["outcome"]) for one in done if one["outcome"].startswith("FINDING")]
    outcomes = Counter(one["outcome"] for one in done)
    read = outcomes.pop("read", 0)
    named = sum(v for k, v in outcomes.items() if k.startswith("named"))
    return {
        **{"target": name, "inputs": len(done) + len(crashes), "read": read, "named": named},
        "findings": sorted(findings + crashes),
        "slowest": max((one["s"] for one in done), default=0.0),
        "mib": max((one["mib"] for one in done), default=0),
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
    for name, count in shares(options.count, names).items():
        row = run_target(name, options.seed, options.first, count, place)
        found = row["findings"]
        total, failed = total + row["inputs"], failed + len(found)
        say(f"| {name} | {row['inputs']} | {row['read']} | {row['named']} | {len(found)} ")
        say(f"| {row['slowest']:.2f} | {row['mib']} |\n")
        sys.stdout.flush()
        kinds = Counter(text.split(":")[0] if ":" in text else text for _, text in found)
        for kind, times in kinds.most_common(25):
            example = next((n, t) for n, t in found if t.startswith(kind))
            details.append(f"- {name}: {times} x {kind}; input {example[0]}: {example[1]}\n")
    minutes = (time.monotonic() - begun) / 60
    say(f"\n{total} inputs, {failed} findings, {minutes:.1f} minutes, seed {options.seed}\n\n")
    say("".join(details))
    shutil.rmtree(place)
    return int(failed > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        arguments = sys.argv[2:]
        child(arguments[0], *(int(one) for one in arguments[1:4]), Path(arguments[4]))
    else:
        sys.exit(main())
