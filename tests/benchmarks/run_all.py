"""Every speed claim of the documentation: run all benchmarks and write docs/benchmarks.md.

    make benchmarks                                              # all of them
    python -m tests.benchmarks.run_all --only bench_step         # one; the others keep their rows
    python -m tests.benchmarks.run_all --render                  # only write the page again

Each ``bench_*.py`` runs in a process of its own; its rows go to ``docs/benchmarks.json`` and
the page at once, so a stopped run keeps what it has. The page is made of nothing else.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STORE = ROOT / "docs" / "benchmarks.json"
PAGE = ROOT / "docs" / "benchmarks.md"
INTRODUCTION = """# Benchmarks

Speed and memory as ratios: reference and this library are measured by the same script in the same
run. A ratio above one means that this library is the faster or the smaller one. Seconds are
processor seconds of one thread; they depend on the machine, the ratios much less. `make benchmarks`
runs every script and writes this page; every speed claim in the documentation is one of its rows.
"""


def names() -> list[str]:
    """Names of all benchmark modules."""
    return sorted(path.stem for path in HERE.glob("bench_*.py"))


def machine() -> dict[str, str]:
    """What the rows were measured on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(x.split(":", 1)[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{model}, {os.cpu_count()} logical processors",
        "load": f"{os.getloadavg()[0]:.1f}",
        "torch": torch.__version__,
    }


def run(name: str) -> dict[str, Any]:
    """Rows of one benchmark, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "tests.benchmarks.run_all", "--child", name]
        before = machine()
        subprocess.run([*command, "--out", str(out)], check=True, cwd=ROOT, env=one_thread())
        return {"machine": before, "rows": json.loads(out.read_text(encoding="utf-8"))}


def one_thread() -> dict[str, str]:
    """The environment with one thread for every numerical library."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1")}


def number(value: float) -> str:
    """Three significant digits."""
    return f"{float(f'{value:.3g}'):,.10g}"


def page(store: dict[str, Any]) -> str:
    """The page of the stored rows."""
    lines = [
        INTRODUCTION,
        "| what | reference | reference takes | here | ratio |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name, found in store.items():
        for one in found["rows"]:
            values = [f"{number(one[key])} {one['unit']}" for key in ("reference", "here")]
            cells = [f"{one['what']} (`{name}.py`)", one["against"], *values, number(one["ratio"])]
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "## Measured on", ""]
    for name, found in store.items():
        m = found["machine"]
        lines.append(
            f"- `{name}.py`: {m['date']}, {m['processor']}, PyTorch {m['torch']}, load average "
            f"{m['load']} at the start"
        )
    return "\n".join(lines) + "\n"


def load() -> dict[str, Any]:
    """The stored rows by benchmark."""
    found: dict[str, Any] = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=names(), default=names())
    parser.add_argument("--render", action="store_true", help="only write the page again")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        module = importlib.import_module(f"tests.benchmarks.{args.child}")
        args.out.write_text(json.dumps(module.main([])), encoding="utf-8")
        return
    for name in [] if args.render else args.only:
        found = run(name)
        store = load() | {name: found}  # read late: another benchmark may have ended meanwhile
        kept = {key: store[key] for key in names() if key in store}
        STORE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(kept), encoding="utf-8")
    PAGE.write_text(page(load()), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
