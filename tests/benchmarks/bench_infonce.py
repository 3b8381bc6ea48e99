"""InfoNCE in tiles: time and memory beside the whole matrix, and a batch of 65,536.

Each case runs forward and backward in a process of its own with one thread, so that peak memory
(resident set, less that of the process before the loss) is its own::

    python -m tests.benchmarks.bench_infonce

The losses shared with other libraries are timed by ``bench_losses.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

import torch

from tests.benchmarks.rows import Row, row, show
from tscl.losses import LOSSES
from tscl.seeding import torch_generator

LIMIT = 2.0
"""GiB that the largest batch may take, interpreter and embeddings included."""


def run(args: argparse.Namespace) -> dict[str, float]:
    torch.set_num_threads(1)
    generator = torch_generator(0, "bench infonce")
    z = torch.randn(2, args.batch, args.dims, generator=generator)
    z[1] = z[0] + 0.5 * z[1]
    a, b = (x.clone().requires_grad_() for x in z)
    del z
    loss = LOSSES.build("infonce", temperature=0.1, tile=args.tile or None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(args.repeats):
        a.grad = b.grad = None
        start = time.process_time()
        value = loss(a, b)
        value.backward()
        seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "value": value.item(),
        "seconds": min(seconds[1:] or seconds),
        "peak_mib": peak / 1024,
        "added_mib": (peak - before) / 1024,
    }


def child(args: argparse.Namespace, tile: int) -> dict[str, float]:
    """One case in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_infonce", "--child"]
    for name in ("batch", "dims", "repeats"):
        command += [f"--{name}", str(getattr(args, name))]
    command += ["--tile", str(tile)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def line(label: str, out: dict[str, float]) -> None:
    say(
        f"{label:24} {out['seconds']:9.3f} s {out['peak_mib']:7.0f} MiB peak"
        f" {out['added_mib']:7.0f} MiB added  loss {out['value']:8.4f}"
    )


def tiles(args: argparse.Namespace) -> list[Row]:
    """Whole matrix against tiles at a batch where both fit, then tiles where only they do."""
    args.batch, args.repeats = 8192, 2
    whole, cut = (child(args, tile) for tile in (0, args.tile))
    line("infonce, whole matrix", whole)
    line("infonce, tiles", cut)
    args.batch, args.repeats = 65536, 1
    large = child(args, args.tile)
    line("infonce, tiles", large)
    what = "InfoNCE in tiles, forward and backward, batch"
    return [
        row(
            f"{what} 8,192 x {args.dims}",
            against="whole matrix, `tile=None`",
            reference=whole["seconds"],
            here=cut["seconds"],
        ),
        row(
            f"{what} 8,192 x {args.dims}: memory added",
            against="whole matrix, `tile=None`",
            reference=whole["added_mib"] / 1024,
            here=cut["added_mib"] / 1024,
            unit="GiB",
        ),
        row(
            f"{what} 65,536 x {args.dims}: memory added",
            against="one similarity matrix of that batch (computed)",
            reference=args.batch**2 * 4 / 2**30,
            here=large["added_mib"] / 1024,
            unit="GiB",
        ),
        row(
            f"{what} 65,536 x {args.dims}: memory of the whole process",
            against="the limit set for it",
            reference=LIMIT,
            here=large["peak_mib"] / 1024,
            unit="GiB",
        ),
    ]


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8192, help=argparse.SUPPRESS)
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=2, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        say(json.dumps(run(args)))
        return []
    return show(tiles(args))


if __name__ == "__main__":
    main()
