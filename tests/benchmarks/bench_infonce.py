"""InfoNCE in tiles at a large batch, and shared losses beside two public libraries.

Each case runs forward and backward in a process of its own, so that peak memory (resident set,
less that of the process before the loss) is its own. Cases of pytorch-metric-learning and lightly
run where these can be imported (``pip install pytorch-metric-learning lightly`` in a scratch
environment); all cases of one table see the same embeddings::

    python -m tests.benchmarks.bench_infonce                         # whole, tiles, libraries
    python -m tests.benchmarks.bench_infonce --compare --batch 1024  # one table of the libraries
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tests.benchmarks.rows import Row, row, show
from tscl.losses import LOSSES
from tscl.seeding import torch_generator

METRIC = "pytorch-metric-learning"
LARGEST_PAIRED = 256
"""Its NT-Xent takes 17 GiB at a batch of 512."""

Case = Callable[[Tensor, Tensor], Tensor]
SHARED = {
    "ntxent": ("ours", METRIC, "lightly"),
    "dcl": ("ours", "lightly"),
    "barlow_twins": ("ours", "lightly"),
    "vicreg": ("ours", METRIC, "lightly"),
}


def ours(name: str, tile: int) -> Case:
    params = {} if name in ("barlow_twins", "vicreg") else {"temperature": 0.1}
    if name in ("infonce", "ntxent"):
        params["tile"] = tile or None
    return LOSSES.build(name, **params)


def metric_learning(name: str) -> Case:
    from pytorch_metric_learning import losses

    if name == "vicreg":
        vicreg = losses.VICRegLoss()
        return lambda a, b: vicreg(a, ref_emb=b)
    loss = losses.SelfSupervisedLoss(losses.NTXentLoss(temperature=0.1), symmetric=True)
    return lambda a, b: loss(a, b)


def lightly(name: str) -> Case:
    from lightly import loss

    built = {
        "ntxent": lambda: loss.NTXentLoss(temperature=0.1),
        "dcl": lambda: loss.DCLLoss(temperature=0.1),
        "barlow_twins": lambda: loss.BarlowTwinsLoss(),
        "vicreg": lambda: loss.VICRegLoss(),
    }[name]()
    return lambda a, b: built(a, b)


def run(args: argparse.Namespace) -> dict[str, float | str]:
    torch.set_num_threads(args.threads)
    generator = torch_generator(0, "bench infonce")
    z = torch.randn(2, args.batch, args.dims, generator=generator)
    z[1] = z[0] + 0.5 * z[1]
    a, b = (x.clone().requires_grad_() for x in z)
    del z
    try:
        if args.library == "ours":
            loss = ours(args.loss, args.tile)
        else:
            loss = (metric_learning if args.library == METRIC else lightly)(args.loss)
    except ImportError as error:
        return {"skipped": f"{error.name} is not installed"}
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


def child(args: argparse.Namespace, library: str, loss: str, tile: int) -> dict:
    module = "tests.benchmarks.bench_infonce"
    command = [sys.executable, "-m", module, "--child", "--library", library, "--loss", loss]
    for name in ("batch", "dims", "threads", "repeats"):
        command += [f"--{name}", str(getattr(args, name))]
    command += ["--tile", str(tile)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def line(label: str, out: dict, base: float | None = None) -> None:
    if "skipped" in out:
        say(f"{label:42} skipped: {out['skipped']}")
        return
    ratio = "" if base is None else f"{out['seconds'] / base:7.2f} x ours"
    say(
        f"{label:42} {out['seconds']:9.3f} s {out['peak_mib']:9.0f} MiB peak"
        f" {out['added_mib']:8.0f} MiB added  loss {out['value']:10.4f} {ratio}"
    )


def tiles(args: argparse.Namespace) -> list[Row]:
    """Whole matrix against tiles at a batch where both fit, then tiles where only they do."""
    args.batch, args.repeats = 8192, 2
    whole, cut = (child(args, "ours", "infonce", tile) for tile in (0, args.tile))
    line("infonce, whole matrix", whole)
    line("infonce, tiles", cut, cut["seconds"])
    args.batch, args.repeats = 65536, 1
    large = child(args, "ours", "infonce", args.tile)
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
    ]


def libraries(args: argparse.Namespace) -> list[Row]:
    """Every shared loss beside the libraries that can be imported."""
    rows = []
    for loss, others in SHARED.items():
        base = child(args, "ours", loss, args.tile)
        line(f"{loss}, ours", base)
        for library in others[1:]:
            if library == METRIC and args.batch > LARGEST_PAIRED:
                line(f"{loss}, {library}", {"skipped": "holds B^3 entries; choose a smaller batch"})
                continue
            found = child(args, library, loss, 0)
            line(f"{loss}, {library}", found, base["seconds"])
            if "skipped" not in found:
                what = f"{loss}, forward and backward, batch {args.batch:,} x {args.dims}"
                seconds = {"reference": found["seconds"], "here": base["seconds"]}
                rows.append(row(what, against=library, **seconds))
    return rows


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--loss", default="infonce")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--library", default="ours")
    parser.add_argument("--child", action="store_true")
    args = parser.parse_args(argv)
    if args.child:
        say(json.dumps(run(args)))
        return []
    rows = libraries(args)
    if not args.compare:
        args.batch = 2048
        rows += libraries(args)
        rows += tiles(args)
    return show(rows)


if __name__ == "__main__":
    main()
