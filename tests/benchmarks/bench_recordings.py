"""Crops of recordings against a plain loop over them, and an ECG policy against a loop.

    python -m tests.benchmarks.bench_recordings [--repeats 20] [--threads 1]

256 crops of 1,000 steps from 5,000 recordings of 30 s at 100 Hz, 16-bit values. The references
take sample after sample: convert a recording and cut it; augment a crop. Processor time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch

from data_loaders.container.recordings import Recordings
from tests.benchmarks.rows import Row, row, seconds, show
from tscl.augmentations import ECGPolicy
from tscl.seeding import torch_generator
from tscl.training.recordings import RecordingSource

CROPS, STEPS = 256, 1000


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Time both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    n, length = 5000, 3000
    values = rng.integers(-3000, 3000, (n * length, 1)).astype(np.int16)
    source = RecordingSource(
        Recordings(values, np.full(n, length), 100.0, scale=1e-3), STEPS, views=1
    )
    indices = rng.permutation(n)[:CROPS].astype(np.int64)

    def one_by_one() -> torch.Tensor:
        crops = []
        for k in indices.tolist():
            recording = torch.from_numpy(values[k * length : (k + 1) * length].astype(np.float32))
            start = int(torch.randint(length - STEPS + 1, (1,)))
            crops.append((recording * 1e-3)[start : start + STEPS])
        return torch.stack(crops)

    drawing = (lambda: source.batch(indices, torch_generator(0)), one_by_one)
    here, reference = (min(seconds(run) for _ in range(args.repeats)) for run in drawing)
    what = "256 crops of 1,000 steps from recordings of 30 s, 16-bit"
    rows = [row(what, against="recording after recording", reference=reference, here=here)]

    policy, x, generator = ECGPolicy(100.0), torch.randn(CROPS, STEPS, 1), torch_generator(1)
    views = (
        lambda: policy(x, generator),
        lambda: torch.cat([policy(x[k : k + 1], generator) for k in range(CROPS)]),
    )
    here, reference = (min(seconds(run) for _ in range(args.repeats)) for run in views)
    what = "policy `ecg` on 256 crops of 1,000 steps of one lead"
    rows.append(row(what, against="the same, crop after crop", reference=reference, here=here))
    return show(rows)


if __name__ == "__main__":
    main()
