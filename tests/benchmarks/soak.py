"""Memory over 10,000 training steps; prints one JSON line a thousand steps.

mib is resident memory; allocated is what the C allocator has given out, free is what it keeps for
later (Linux with glibc), both in MiB; python_blocks is what Python's own allocator has given out.

python -m tests.benchmarks.soak [steps] [method]
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from tscl.encoders import ENCODERS
from tscl.methods import METHODS
from tscl.seeding import seeded
from tscl.training.callbacks import Callback, StepReport
from tscl.training.data import ArraySource, GroupedSampler
from tscl.training.trainer import Trainer, TrainSettings


def resident() -> int:
    """Bytes of memory this process holds (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Mallinfo2(ctypes.Structure):
    """What glibc's mallinfo2 fills in."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def allocated() -> tuple[float, float] | None:
    """MiB the C allocator has given out and MiB it keeps free; None without glibc's mallinfo2."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        return None
    ask.restype = Mallinfo2
    found = ask()
    return (found.uordblks + found.hblkhd) / 2**20, found.fordblks / 2**20


class Soak(Callback):
    """Writes resident memory every so many steps."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_step(self, report: StepReport) -> None:
        if (report.step + 1) % self.every == 0 or report.step + 1 == 100:
            gc.collect()
            row = {"step": report.step + 1, "mib": round(resident() / 2**20, 1)}
            if (heap := allocated()) is not None:
                row |= {"allocated": round(heap[0], 2), "free": round(heap[1], 2)}
            row["python_blocks"] = sys.getallocatedblocks()
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


def main(steps: int = 10_000, name: str = "comet") -> None:
    torch.set_num_threads(1)
    x = np.random.default_rng(0).normal(size=(64, 64, 2)).astype(np.float32)
    trial, patient = np.repeat(np.arange(32), 2), np.repeat(np.arange(8), 8)
    with seeded(0):
        encoder = ENCODERS.build("dilated", input_dims=2, output_dims=16, hidden_dims=8, depth=3)
        method = METHODS.build(name, encoder=encoder)
    with tempfile.TemporaryDirectory() as work:
        trainer = Trainer(
            TrainSettings(max_epochs=steps, max_steps=steps, checkpoint_seconds=30.0),
            checkpoints=Path(work),
            monitor=lambda one: float(one(torch.ones(1, 64, 2)).mean()),
            callbacks=[Soak(max(1, steps // 10))],
        )
        source = ArraySource(x, ids={"trial": trial, "patient": patient})
        trainer.fit(method, source, GroupedSampler(trial, patient, 32))


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 10_000, given[1] if len(given) > 1 else "comet")
