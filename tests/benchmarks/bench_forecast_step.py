"""Training throughput of the end-to-end forecaster at the study's setting, ETTh1's shape.

    python -m tests.benchmarks.bench_forecast_step [--steps 12] [--threads 1]

Transformer of 5 layers, width 128, 8 heads, codes of 320, batch 16, seven columns and seven
calendar covariates, whole steps: windows, forward, backward, update. The reference is
``tests/reference/e2e_forecaster.py``, a direct form of the same network and losses. Processor time
on one thread; the two take turns, and the fastest round of each counts.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader

from tests.benchmarks.rows import Row, row, show
from tests.reference.e2e_forecaster import PlainForecaster, Windows
from tscl.forecasters import ForecastNetwork, WindowSource
from tscl.forecasters.windows import EpochSampler
from tscl.methods.e2e import EndToEnd
from tscl.seeding import numpy_generator, seeded
from tscl.training.engine import Trainer, TrainSettings

STEPS, CHANNELS, MARKS, BATCH = 8640, 7, 7, 16


def reference_steps(
    values: np.ndarray, marks: np.ndarray, length: int, horizon: int, weight: float
) -> tuple[Callable[[int], None], int]:
    """A function that trains so many steps of the direct form, and its number of parameters."""
    with seeded(0):
        network = PlainForecaster(CHANNELS, MARKS, horizon).train()
    loader = DataLoader(Windows(values, marks, length, horizon), BATCH, shuffle=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)

    def batches() -> Iterator[list[torch.Tensor]]:
        while True:
            yield from loader

    stream = batches()

    def train(steps: int) -> None:
        for past, future, past_marks, future_marks in itertools.islice(stream, steps):
            optimiser.zero_grad()
            loss = network.loss(past, future, past_marks, future_marks, weight)
            loss.backward()
            optimiser.step()
            loss.item()

    return train, sum(p.numel() for p in network.parameters())


def our_steps(
    values: np.ndarray, marks: np.ndarray, length: int, horizon: int, weight: float
) -> tuple[Callable[[int], None], int]:
    """The same with this library's engine."""
    with seeded(0):
        network = ForecastNetwork(CHANNELS, horizon, marks=MARKS, encoder="transformer")
    source = WindowSource(
        values, WindowSource.inside(slice(0, STEPS), length, horizon), length, horizon, marks=marks
    )

    def train(steps: int) -> None:
        with seeded(0, "method"):
            method = EndToEnd(network, weight=weight)
        settings = TrainSettings(
            max_epochs=1, max_steps=steps, lr=1e-3, weight_decay=0.0, averaging="none"
        )
        Trainer(settings).fit(method, source, EpochSampler(len(source), BATCH))

    return train, sum(p.numel() for p in network.parameters())


def seconds(train: Callable[[int], None], steps: int) -> float:
    """Processor seconds a step."""
    start = time.process_time()
    train(steps)
    return (time.process_time() - start) / steps


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    generator = numpy_generator(0, "benchmark")
    values = generator.normal(size=(STEPS, CHANNELS)).astype(np.float32)
    marks = generator.normal(size=(STEPS, MARKS)).astype(np.float32)
    rows = []
    for length, horizon, weight in ((48, 24, 0.0), (48, 24, 0.5), (168, 168, 0.5)):
        plain, plain_size = reference_steps(values, marks, length, horizon, weight)
        ours, our_size = our_steps(values, marks, length, horizon, weight)
        assert abs(plain_size / our_size - 1) < 0.02, (plain_size, our_size)
        steps = max(3, args.steps * 48 // length)
        plain(2)
        ours(2)
        pairs = [(seconds(plain, steps), seconds(ours, steps)) for _ in range(args.rounds)]
        what = (
            f"training step of the end-to-end forecaster, {length} steps to {horizon}, lambda "
            f"{weight:g}, {our_size / 1e6:.2f} M parameters: processor time"
        )
        against = "written-out attention, masks and windows made one by one, three passes"
        if not weight:
            against = "written-out attention, windows made one by one"
        reference, here = (min(times) for times in zip(*pairs, strict=True))
        rows += show([row(what, against=against, reference=reference, here=here)])
    return rows


if __name__ == "__main__":
    main()
