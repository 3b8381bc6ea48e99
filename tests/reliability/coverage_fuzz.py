"""Fuzz loaders guided by coverage (atheris, libFuzzer): bytes that reach new lines are kept.

    pip install atheris
    python tests/reliability/coverage_fuzz.py --seconds 120 [--only EDF]

The targets and their valid files are those of ``fuzz_targets.py``. An input is one byte that
chooses the file and the settings, and the file's content. Only named errors may leave a loader;
the limits are 20 s and 1 GiB over the imports. Prints a row a target; exits with 1 on findings,
which are kept in ``--keep``.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
SECONDS, MIB = 20, 1024


def child(name: str, seconds: int, corpus: Path, crashes: Path) -> None:
    """Fuzz one target in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["data_loaders", "tscl", "wfdb"]):
        from tests.reliability.fuzz_targets import TARGETS, Corpus

    import numpy as np

    from tscl.errors import TSCLError

    warnings.simplefilter("ignore")
    scratch = Path(tempfile.mkdtemp(prefix="tscl-cover-"))
    files = Corpus(TARGETS[name], scratch / "valid")
    for k in range(6):  # what is imported late
        TARGETS[name].read(scratch / "valid", np.random.default_rng(k))
    for number, (file, _) in enumerate(files.choices):
        (corpus / f"valid-{number}").write_bytes(bytes([number]) + files.files[file])
    place = scratch / "input"

    def one(data: bytes) -> None:
        if not data:
            return
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        files.write(place)
        file, _ = files.choices[data[0] % len(files.choices)]
        (place / file).write_bytes(data[1:])
        if TARGETS[name].sign is not None and data[0] < 128:
            try:
                TARGETS[name].sign(place)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                (place / file).write_bytes(data[1:])
        with contextlib.suppress(TSCLError):
            TARGETS[name].read(place, np.random.default_rng(data[0]))

    pages = int(Path("/proc/self/statm").read_text().split()[1])
    limit = pages * 4096 // 2**20 + MIB
    longest = 2 * max(len(one) for one in files.files.values()) + 4096
    options = [f"-max_total_time={seconds}", f"-timeout={SECONDS}", f"-rss_limit_mb={limit}"]
    options += [f"-artifact_prefix={crashes}/", f"-max_len={longest}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


def main() -> int:
    """Every target in a process of its own, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="time for each target")
    parser.add_argument("--only", default="", help="targets whose name holds this")
    parser.add_argument("--keep", type=Path, default=None, help="folder for findings and corpora")
    options = parser.parse_args()
    from tests.reliability.fuzz_targets import TARGETS

    keep = options.keep or Path(tempfile.mkdtemp(prefix="tscl-cover-keep-"))
    say, failed = sys.stdout.write, 0
    say("| target | inputs | edges at first | edges | findings |\n")
    say("| --- | ---: | ---: | ---: | ---: |\n")
    for name in (one for one in TARGETS if options.only in one):
        folder = keep / re.sub(r"\W+", "-", name)
        corpus, crashes = folder / "corpus", folder / "crashes"
        for one in (corpus, crashes):
            one.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--child", name, str(options.seconds)]
        done = subprocess.run(
            [*command, str(corpus), str(crashes)], capture_output=True, text=True, check=False
        )
        (folder / "log.txt").write_text(done.stdout + done.stderr)
        edges = [int(one) for one in re.findall(r"cov: (\d+)", done.stderr)] or [0]
        units = re.findall(r"number_of_executed_units: (\d+)", done.stderr) or ["0"]
        found = len(list(crashes.iterdir())) or int(done.returncode != 0)
        failed += found
        say(f"| {name} | {units[-1]} | {edges[0]} | {edges[-1]} | {found} |\n")
        sys.stdout.flush()
    say(f"\nfindings: {failed}; corpora and findings are in {keep}\n")
    return int(failed > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]))
    else:
        sys.exit(main())
