"""Losses shared with pytorch-metric-learning and lightly, on the same embeddings.

Both libraries are needed for the benchmark only::

    pip install --no-deps --target peers pytorch-metric-learning lightly
    PYTHONPATH=.:peers python -m tests.benchmarks.bench_losses

(without dependencies, as torchvision from PyPI wants another torch; lightly's loss modules do not
need it, only the package that gathers them does, so they are imported one by one). Our loss and
theirs take turns in one process with one thread: value and gradient by the embeddings, as in
training, where embeddings are not leaves. The smallest processor time of each counts. Values and
gradients are compared first, so that what is timed is the same function; MoCo starts from one
queue and both sides get keys without gradient, as in its paper.
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
QUEUE = 4096
"""Keys in MoCo's queue."""
TURNS, SECONDS = 1000, 4.0
"""Most turns of a row and the processor time after which no more are taken (five at least)."""


def ours(name: str, **params: object) -> Case:
    loss = LOSSES.build(name, **params)
    needs = getattr(loss, "needs", ())
    return lambda a, b, labels: loss(a, b, labels=labels if "labels" in needs else None)


def lightly_module(module: str, name: str, **params: object) -> torch.nn.Module:
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
    found: torch.nn.Module = getattr(importlib.import_module(f"lightly.loss.{module}"), name)(
        **params
    )
    return found


def lightly(module: str, name: str, **params: object) -> Case:
    loss = lightly_module(module, name, **params)
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


def mocos(dims: int) -> tuple[Callable[[], Case], Callable[[], Case]]:
    """Makers of our MoCo and lightly's with one queue; keys come without gradient."""
    queue = torch.randn(QUEUE, dims, generator=torch_generator(1, "bench losses"))
    queue = torch.nn.functional.normalize(queue, dim=1)
    tau = {"temperature": 0.1}

    def here() -> Case:
        loss = LOSSES.build("moco", queue_size=QUEUE, dims=dims, **tau)
        loss.get_buffer("queue").copy_(queue)
        return lambda a, b, labels: loss(a, b.detach())

    def theirs() -> Case:
        size = (QUEUE, dims)
        loss = lightly_module("ntx_ent_loss", "NTXentLoss", memory_bank_size=size, **tau)
        loss.memory_bank.bank.copy_(queue)
        return lambda a, b, labels: loss(a, b.detach())

    return here, theirs


METRIC, LIGHTLY = "pytorch-metric-learning", "lightly"
HALF = {"variance": 12.5}
"""lightly and pytorch-metric-learning take half of VICReg's variance terms."""


def cases(batch: int, dims: int) -> list[tuple[str, str, Callable[[], Case], Callable[[], Case]]]:
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
        ("moco", LIGHTLY, *mocos(dims)),
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


def once(case: Case, a: Tensor, b: Tensor, labels: Tensor) -> tuple[float, Tensor, Tensor]:
    """Processor seconds of one forward and backward pass, the value, and the gradient by ``a``."""
    start = time.process_time()
    value = case(a, b, labels)
    gradient = torch.autograd.grad(value, (a, b), allow_unused=True)[0]
    return time.process_time() - start, value.detach(), gradient


def same(
    name: str, library: str, ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]
) -> None:
    """ValueError unless value and gradient agree; lightly's DCLW takes its weights as constant."""
    for what, x, y in zip(("value", "gradient"), ours, theirs, strict=True):
        if (name, what) != ("dclw", "gradient") and float((x - y).norm()) > 1e-3 * float(y.norm()):
            raise ValueError(
                f"{name}: {what} is not that of {library}: {x.norm():.6g} here, {y.norm():.6g}"
            )


def compare(batch: int, args: argparse.Namespace) -> list[Row]:
    dims = args.dims
    generator = torch_generator(0, "bench losses")
    z = torch.randn(2, batch, dims, generator=generator)
    z[1] = z[0] + 0.5 * z[1]
    a, b = (x.clone().requires_grad_() for x in z)
    labels = torch.randint(10, (batch,), generator=generator)
    rows = []
    for name, library, make_ours, make_theirs in cases(batch, dims):
        if args.losses and name not in args.losses:
            continue
        try:
            pair = (make_ours(), make_theirs())
        except ImportError as error:
            sys.stdout.write(f"{name}: skipped, {error} is not installed\n")
            continue
        found = [once(case, a, b, labels) for case in pair]
        same(name, library, found[0][1:], found[1][1:])
        best, start = [float("inf")] * 2, time.process_time()
        for turn in range(args.turns):
            if turn >= 5 and time.process_time() - start > SECONDS:
                break
            for i, case in enumerate(pair):
                best[i] = min(best[i], once(case, a, b, labels)[0])
        what = f"{name}, forward and backward, batch {batch:,} x {dims}"
        rows.append(row(what, against=library, reference=best[1], here=best[0]))
    return rows


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--losses", nargs="*", help="only these")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    return show([r for batch in args.batch for r in compare(batch, args)])


if __name__ == "__main__":
    main()
