"""COMET's training step against a straightforward form of the same step, in time and memory.

The straightforward form encodes two views per level (eight passes) with ordinary dilated
convolutions and builds every similarity matrix whole. Each form runs in a process of its own, so
that peak memory (resident set) is its own; processor time is the figure to trust on a shared
machine. Both start from the same weights; ``--check`` compares
one loss and gradient without dropout and masks::

    python -m tests.benchmarks.bench_comet
    python -m tests.benchmarks.bench_comet --batch 256 --length 300 --steps 1   # the paper's PTB
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
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.benchmarks.rows import Row, row, show
from tscl.encoders import DilatedConvEncoder
from tscl.masking import draw_mask
from tscl.methods.base import Batch
from tscl.methods.comet import COMETMethod
from tscl.seeding import randn, torch_generator

PLAIN_256_GIB = 17.0
"""Memory the straightforward form takes at the paper's batch, with some room."""


class PlainEncoder(nn.Module):
    """The dilated encoder with nn.Conv1d, channels first."""

    def __init__(self, source: DilatedConvEncoder) -> None:
        super().__init__()
        self.fc = nn.Linear(source.input_dims, source.input_fc.out_features)
        self.fc.load_state_dict(source.input_fc.state_dict())
        self.blocks = nn.ModuleList()
        for block in source.blocks:
            convs = nn.ModuleList()
            for conv in (block.conv1, block.conv2):
                kernel, i, o = conv.weight.shape
                plain = nn.Conv1d(
                    i, o, kernel, dilation=block.dilation, padding=block.dilation * (kernel // 2)
                )
                plain.weight.data = conv.weight.detach().permute(2, 1, 0).contiguous()
                plain.bias.data = conv.bias.detach().clone()
                convs.append(plain)
            if block.projector is not None:
                skip = nn.Conv1d(block.projector.in_features, block.projector.out_features, 1)
                skip.weight.data = block.projector.weight.detach().unsqueeze(-1).clone()
                skip.bias.data = block.projector.bias.detach().clone()
                convs.append(skip)
            self.blocks.append(convs)
        self.dropout = nn.Dropout(source.dropout.p)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        h = self.fc(x)
        if mask is not None:
            h = h * mask.unsqueeze(-1)
        h = h.transpose(1, 2)
        for convs in self.blocks:
            residual = convs[2](h) if len(convs) == 3 else h
            h = convs[1](F.gelu(convs[0](F.gelu(h)))) + residual
        return self.dropout(h.transpose(1, 2))


def plain_pairs(z: Tensor) -> Tensor:
    """z: (groups, 2m, D), whole similarity matrices."""
    m = z.shape[1] // 2
    similarity = torch.matmul(z, z.transpose(1, 2))
    logits = torch.tril(similarity, diagonal=-1)[:, :, :-1]
    logits = logits + torch.triu(similarity, diagonal=1)[:, :, 1:]
    cost = -F.log_softmax(logits, dim=-1)
    i = torch.arange(m)
    return (cost[:, i, m + i - 1].mean() + cost[:, m + i, i].mean()) / 2


def plain_hierarchy(z1: Tensor, z2: Tensor, axis: int) -> Tensor:
    """axis 1: observation; axis 0: sample."""
    total, depth = z1.new_zeros(()), 0
    while z1.shape[1] > 1:
        z = torch.cat((z1, z2), dim=axis)
        total = total + plain_pairs(z if axis == 1 else z.transpose(0, 1))
        depth += 1
        z1 = F.max_pool1d(z1.transpose(1, 2), 2).transpose(1, 2)
        z2 = F.max_pool1d(z2.transpose(1, 2), 2).transpose(1, 2)
    return total / depth


def plain_id(z1: Tensor, z2: Tensor, ids: Tensor) -> Tensor:
    a, b = F.normalize(z1.flatten(1), dim=1), F.normalize(z2.flatten(1), dim=1)
    logits = a @ b.T / 0.1
    same = (ids[:, None] == ids[None]) & ~torch.eye(len(ids), dtype=torch.bool)
    by_row, by_column = logits.log_softmax(1), logits.log_softmax(0)
    return -(by_row[same].mean() + by_column[same].mean()) / 2


def plain_step(encoder: PlainEncoder, batch: Batch, generator: torch.Generator, masks: bool):
    x, total = batch.x, 0.0
    for level in ("patient", "trial", "sample", "observation"):
        views = []
        for _ in range(2):
            mask = None
            if masks and level in ("sample", "observation"):
                mask = draw_mask("continuous", x.shape[0], x.shape[1], generator=generator)
            views.append(encoder(x, mask))
        if level in ("patient", "trial"):
            loss = plain_id(*views, batch.ids[level])
        else:
            loss = plain_hierarchy(*views, axis=0 if level == "sample" else 1)
        total = total + 0.25 * loss
    return total


def make_batch(args: argparse.Namespace) -> Batch:
    generator = torch_generator(0, "bench")
    x = randn((args.batch, args.length, args.channels), generator, torch.empty(0))
    index = torch.arange(args.batch)
    return Batch(x=x, index=index, ids={"trial": index // 10, "patient": index // 30})


def run(args: argparse.Namespace) -> dict[str, float | str]:
    """Time the steps of one form in this process."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    dropout = 0.0 if args.check else 0.1
    encoder = DilatedConvEncoder(args.channels, args.dims, dropout=dropout)
    batch = make_batch(args)
    masks = not args.check
    if args.form == "straightforward":
        module: nn.Module = PlainEncoder(encoder)
        parameters = list(module.parameters())

        def loss_of(step: int) -> Tensor:
            return plain_step(module, batch, torch_generator(1, "b", step), masks)
    else:
        levels = None
        if not masks:
            levels = [
                {"name": "patient", "loss": "id", "weight": 0.25},
                {"name": "trial", "loss": "id", "weight": 0.25},
                {"name": "sample", "loss": "sample", "weight": 0.25},
                {"name": "observation", "loss": "observation", "weight": 0.25},
            ]
        options = {
            "eight passes": {"share_views": False},
            "one graph": {"sequential": False},
            "micro-batch": {"micro_batch": max(1, args.batch // 4)},
        }.get(args.form, {})
        method = COMETMethod(encoder, levels=levels, **options)
        parameters = list(method.parameters())

        def loss_of(step: int) -> Tensor:
            return method.losses(batch, "encoder", torch_generator(1, "b", step))["loss"]

    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds, cpu = [], []
    for step in range(args.steps):
        start, used = time.perf_counter(), time.process_time()
        loss = loss_of(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if step == 0:
            first = float(loss.detach())
            norm = sum(float(p.grad.square().sum()) for p in parameters if p.grad is not None)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "form": args.form,
        "seconds": min(seconds),
        "cpu": min(cpu),
        "peak_gib": peak,
        "libraries_gib": before,
        "loss": first,
        "gradient_norm": norm**0.5,
    }


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--batch",
        type=int,
        nargs="+",
        help="default 64, and 256, the paper's, where there is memory for the plain form of it",
    )
    parser.add_argument("--length", type=int, default=300)
    parser.add_argument("--channels", type=int, default=15)
    parser.add_argument("--dims", type=int, default=320)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="no dropout, no masks")
    parser.add_argument(
        "--forms",
        nargs="+",
        default=["straightforward", "default"],
        help="also: eight passes, one graph, micro-batch",
    )
    parser.add_argument("--form", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.form:
        args.batch = args.batch[0]
        sys.stdout.write(json.dumps(run(args)))
        return []
    passed = sys.argv[1:] if argv is None else list(argv)
    batches = args.batch
    if batches is None:
        batches = [64, 256] if available_gib() > PLAIN_256_GIB else [64]
    rows: list[Row] = []
    for batch in batches:
        args.batch = batch
        rows += compare(args, passed)
    return show(rows) if rows else []


def available_gib() -> float:
    """Memory that may be taken, in GiB; 0 where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable")) / 2**20
    except (OSError, StopIteration):
        return 0.0


def compare(args: argparse.Namespace, passed: list[str]) -> list[Row]:
    """Each form in a process of its own, then the rows of straightforward against default."""
    # threads that wait must not burn the processor, so that CPU time means work
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    found: dict[str, dict[str, float]] = {}
    out = sys.stdout.write
    out(f"B={args.batch} T={args.length} C={args.channels} D={args.dims}, {args.threads} threads\n")
    for form in args.forms:
        command = [sys.executable, "-m", "tests.benchmarks.bench_comet", *passed]
        command += ["--batch", str(args.batch), "--form", form]
        done = subprocess.run(command, check=True, capture_output=True, env=environment)
        one = found[form] = json.loads(done.stdout)
        base = found[args.forms[0]]
        out(
            f"{form:16s} {one['seconds']:7.2f} s ({one['seconds'] / base['seconds']:.2f})"
            f"  processor {one['cpu']:7.2f} s ({one['cpu'] / base['cpu']:.2f})"
            f"  peak {one['peak_gib']:5.2f} GiB ({one['peak_gib'] / base['peak_gib']:.2f},"
            f" of it {one['libraries_gib']:.2f} before the first step)"
            f"  loss {one['loss']:.5f}  gradient norm {one['gradient_norm']:.5f}\n"
        )
    if not {"straightforward", "default"} <= set(found):
        return []
    plain, ours = found["straightforward"], found["default"]
    size = f"{args.batch} samples of {args.length} steps, {args.channels} channels"
    against = "eight passes, ordinary convolutions, whole similarity matrices"
    step = f"COMET training step, {size}"
    return [
        row(f"{step}: processor time", against=against, reference=plain["cpu"], here=ours["cpu"]),
        row(
            f"{step}: peak memory",
            against=against,
            reference=plain["peak_gib"],
            here=ours["peak_gib"],
            unit="GiB",
        ),
    ]


if __name__ == "__main__":
    main()
