"""Losses shared with pytorch-metric-learning and lightly, on the same embeddings.

Both libraries are needed for the benchmark only::

    pip install --no-deps --target peers pytorch-metric-learning lightly
    PYTHONPATH=.:peers python -m tests.benchmarks.bench_losses

(without dependencies, as torchvision from PyPI wants another torch; lightly's loss modules do not
need it, only the package that gathers them does, so they are imported one by one). Our loss and
theirs take turns in one process with one thread, forward and backward, and the smallest processor
time of each counts. The values are compared first: what is timed is the same function.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tests.benchmarks.rows import Row, row, show
from tscl.losses import LOSSES
from tscl.seeding import torch_generator

Case = Callable[[Tensor, Tensor, Tensor], Tensor]
SMALL = 256
"""Largest batch for pytorch-metric-learning's NT-Xent: it holds B^3 entries."""


def ours(name: str, **params: object) -> Case:
    loss = LOSSES.build(name, **params)
    needs = getattr(loss, "needs_labels", False)
    return lambda a, b, labels: loss(a, b, labels=labels if needs else None)


def lightly(module: str, name: str, **params: object) -> Case:
    """A loss of lightly from its own module, without the packages that import torchvision."""
    spec = importlib.util.find_spec("lightly")
    if spec is None or spec.origin is None:
        raise ImportError("lightly")
    # the last one is used across processes only
    bare_ones = ("lightly.loss", "lightly.models", "lightly.models.modules", "lightly.models.utils")
    for package in bare_ones:
        if package not in sys.modules:
            bare = types.ModuleType(package)
            bare.__path__ = [str(Path(spec.origin).parent.joinpath(*package.split(".")[1:]))]
            sys.modules[package] = bare
    loss = getattr(importlib.import_module(f"lightly.loss.{module}"), name)(**params)
    return lambda a, b, labels: loss(a, b)


def cosine() -> Case:
    """lightly's negative cosine similarity, both ways, as in its SimSiam."""
    one = lightly("negative_cosine_similarity", "NegativeCosineSimilarity")
    return lambda a, b, y: 0.5 * (one(a, b.detach(), y) + one(b, a.detach(), y))


def metric_learning(name: str, **params: object) -> Case:
    losses = importlib.import_module("pytorch_metric_learning.losses")
    loss = getattr(losses, name)(**params)
    if name == "VICRegLoss":
        return lambda a, b, labels: loss(a, ref_emb=b)
    if name == "SupConLoss":
        return lambda a, b, labels: loss(torch.cat((a, b)), torch.cat((labels, labels)))
    both = losses.SelfSupervisedLoss(loss, symmetric=True)
    return lambda a, b, labels: both(a, b)


METRIC, LIGHTLY = "pytorch-metric-learning", "lightly"
HALF = {"variance": 12.5}
"""lightly and pytorch-metric-learning take half of VICReg's variance terms."""


def cases(batch: int) -> list[tuple[str, str, Callable[[], Case], Callable[[], Case]]]:
    """Loss, library, ours, theirs."""
    tau = {"temperature": 0.1}
    found = [
        (
            "ntxent",
            LIGHTLY,
            lambda: ours("ntxent", **tau),
            lambda: lightly("ntx_ent_loss", "NTXentLoss", **tau),
        ),
        (
            "dcl",
            LIGHTLY,
            lambda: ours("dcl", **tau),
            lambda: lightly("dcl_loss", "DCLLoss", **tau),
        ),
        (
            "dclw",
            LIGHTLY,
            lambda: ours("dclw", sigma=0.5, **tau),
            lambda: lightly("dcl_loss", "DCLWLoss", sigma=0.5, **tau),
        ),
        (
            "barlow_twins",
            LIGHTLY,
            lambda: ours("barlow_twins"),
            lambda: lightly("barlow_twins_loss", "BarlowTwinsLoss"),
        ),
        (
            "vicreg",
            LIGHTLY,
            lambda: ours("vicreg", **HALF),
            lambda: lightly("vicreg_loss", "VICRegLoss"),
        ),
        ("simsiam", LIGHTLY, lambda: ours("simsiam"), cosine),
        (
            "moco",
            LIGHTLY,
            lambda: ours("moco", queue_size=4096, **tau),
            lambda: lightly("ntx_ent_loss", "NTXentLoss", memory_bank_size=(4096, 128), **tau),
        ),
        (
            "vicreg",
            METRIC,
            lambda: ours("vicreg", **HALF),
            lambda: metric_learning("VICRegLoss"),
        ),
        (
            "supcon",
            METRIC,
            lambda: ours("supcon", **tau),
            lambda: metric_learning("SupConLoss", **tau),
        ),
    ]
    if batch <= SMALL:
        found.append(
            (
                "ntxent",
                METRIC,
                lambda: ours("ntxent", **tau),
                lambda: metric_learning("NTXentLoss", **tau),
            )
        )
    return found


def timed(case: Case, a: Tensor, b: Tensor, labels: Tensor) -> tuple[float, float]:
    """Processor seconds of one forward and backward pass, and the value."""
    a.grad = b.grad = None
    start = time.process_time()
    value = case(a, b, labels)
    value.backward()
    return time.process_time() - start, float(value.detach())


def compare(batch: int, args: argparse.Namespace) -> list[Row]:
    dims, repeats = args.dims, args.repeats
    generator = torch_generator(0, "bench losses")
    z = torch.randn(2, batch, dims, generator=generator)
    z[1] = z[0] + 0.5 * z[1]
    a, b = (x.clone().requires_grad_() for x in z)
    labels = torch.randint(10, (batch,), generator=generator)
    rows = []
    for name, library, make_ours, make_theirs in cases(batch):
        if args.losses and name not in args.losses:
            continue
        try:
            pair = (make_ours(), make_theirs())
        except ImportError as error:
            sys.stdout.write(f"{name}: skipped, {error} is not installed\n")
            continue
        best, values = [float("inf")] * 2, [0.0, 0.0]
        for turn in range(repeats + 1):
            for i, case in enumerate(pair):
                seconds, value = timed(case, a, b, labels)
                if turn == 0:
                    values[i] = value
                else:
                    best[i] = min(best[i], seconds)
        if name != "moco" and abs(values[0] - values[1]) > 1e-3 * max(1.0, abs(values[1])):
            sys.stdout.write(f"{name}: {values[0]:.6g} here, {values[1]:.6g} by {library}\n")
        what = f"{name}, forward and backward, batch {batch:,} x {dims}"
        rows.append(row(what, against=library, reference=best[1], here=best[0]))
    return rows


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[256])
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--losses", nargs="*", help="only these")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    return show([r for batch in args.batch for r in compare(batch, args)])


if __name__ == "__main__":
    main()
