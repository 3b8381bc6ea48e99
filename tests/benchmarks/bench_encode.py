"""Encoding a series of ETTh1's size, and memory of a very long one.

    python -m tests.benchmarks.bench_encode [--threads 1] [--length 10000000 --dims 32]

Reference: windows of 201 steps recomputed at every step with all outputs and separate kernels,
extrapolated from a sample of windows. Against it: windows with the last position only (centred
encoder) and one causal pass. Then a long series is encoded in chunks into a memory-mapped file, and
the growth of the peak resident memory is set against the size of its embeddings.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tests.benchmarks.rows import Row, row, seconds, show
from tests.reference.cost_encoder import PlainCoST
from tscl.encoders import CoSTEncoder, DilatedConvEncoder
from tscl.inference import encode
from tscl.seeding import seeded

LENGTH, CHANNELS, WINDOW = 14400, 8, 200


def speed(sample: int) -> list[Row]:
    with seeded(0):
        centred, causal = CoSTEncoder(CHANNELS), CoSTEncoder(CHANNELS, causal=True)
        x = torch.randn(1, LENGTH, CHANNELS)
    plain = PlainCoST(centred).eval()
    windows = x[0, : sample + WINDOW].unfold(0, WINDOW + 1, 1).transpose(1, 2)
    with torch.no_grad():
        plain(windows[:8])
        reference = seconds(lambda: plain(windows)) * LENGTH / sample
    part = x[:, :2048]
    encode(centred, part[:, :300], mode="sliding", window=WINDOW)
    sliding = seconds(lambda: encode(centred, part, mode="sliding", window=WINDOW))
    sliding *= LENGTH / part.shape[1]
    encode(causal, x[:, :1000])
    one_pass = min(seconds(lambda: encode(causal, x)) for _ in range(2))
    what = f"embeddings of {LENGTH:,} x {CHANNELS} steps, each of its past only"
    against = f"all outputs of every window of {WINDOW} (extrapolated from {sample} windows)"
    how = f"{what}: centred encoder, last position only (extrapolated from {part.shape[1]:,} steps)"
    return [
        row(how, against=against, reference=reference, here=sliding),
        row(
            f"{what}: causal encoder, one pass", against=against, reference=reference, here=one_pass
        ),
    ]


def memory(length: int, dims: int) -> Row:
    with seeded(0):
        encoder = DilatedConvEncoder(1, dims, hidden_dims=16, depth=10, causal=True)
    encode(encoder, np.zeros((1, 100, 1), np.float32))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        x = np.lib.format.open_memmap(path, "w+", np.float32, (1, length, 1))
        for start in range(0, length, 100_000):  # in pieces: the peak before must stay low
            steps = np.arange(start, min(length, start + 100_000))
            x[0, steps[0] : steps[-1] + 1, 0] = np.sin(steps)
        del x
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        source = np.load(path, mmap_mode="r")
        spent = seconds(lambda: encode(encoder, source, out=Path(folder) / "embeddings.npy"))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(f"{length} steps to {dims} dimensions in {spent:.0f} s\n")
    return row(
        f"peak memory added by encoding {length:,} steps to {dims} dimensions on disk",
        against="the size of the embeddings (computed)",
        reference=length * dims * 4 / 2**30,
        here=(after - before) / 2**20,
        unit="GiB",
    )


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sample", type=int, default=64)
    parser.add_argument("--length", type=int, default=10_000_000)
    parser.add_argument("--dims", type=int, default=32)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    # memory first: the peak of a process only ever rises
    rows = [memory(args.length, args.dims)]
    return show([*speed(args.sample), *rows])


if __name__ == "__main__":
    main()
