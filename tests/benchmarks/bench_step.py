"""Training step of CoST's encoder at the ETTh1 setting: separate kernels against ours.

    python -m tests.benchmarks.bench_step [--steps 3] [--threads 1]

Batch 32 x 2 views, 257 steps, 8 channels, hidden 64, depth 10, outputs 320; the reference runs one
``nn.Conv1d`` a kernel and every tap of the dilated ones. Processor time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch
from torch import nn

from tests.benchmarks.rows import Row, row, show
from tests.reference.cost_encoder import PlainCoST
from tscl.encoders import CoSTEncoder
from tscl.seeding import seeded


def seconds_per_step(module: nn.Module, x: torch.Tensor, steps: int, fused: bool) -> float:
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=fused)
    times = []
    for _ in range(steps + 1):
        start = time.process_time()
        optimiser.zero_grad()
        module(x).square().mean().backward()
        optimiser.step()
        times.append(time.process_time() - start)
    return min(times[1:])


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    with seeded(0):
        encoder = CoSTEncoder(8)
        x = torch.randn(64, 257, 8)
    plain = PlainCoST(encoder)
    here = seconds_per_step(encoder, x, args.steps, fused=True)
    reference = seconds_per_step(plain, x, 1, fused=False)
    size = sum(p.numel() for p in encoder.parameters()) / 1e6
    what = (
        f"training step of AutoTCL's encoder at its ETTh1 setting: 2 x 32 sections of 257 steps, "
        f"{size:.1f} M parameters"
    )
    return show([row(what, against="eight separate kernels", reference=reference, here=here)])


if __name__ == "__main__":
    main()
