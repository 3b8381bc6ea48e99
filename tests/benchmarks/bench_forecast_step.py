"""Training throughput of the end-to-end forecaster at the study's setting, ETTh1's shape.

    python -m tests.benchmarks.bench_forecast_step [--steps 12] [--threads 1]

Transformer of 5 layers, width 128, 8 heads, feed-forward 64, embeddings of 320, batch 16, seven
columns and seven calendar covariates. Whole steps are timed: windows, forward, backward, update;
and steps together with their share of an epoch's evaluation, which for ETTh1's parts is one
forecast on the validation part for every third training window. The reference is
``tests/reference/e2e_forecaster.py``, which does what the public code does with the same network
and losses, and evaluates on validation and test part; one row has the search for anomalies in every
backward pass that the public script turns on. Both contrast the forecast's embeddings with one
masked view (``masked_views: 1``). Processor time on one thread; the two take turns, and the fastest
round of each counts.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader

from tests.benchmarks.rows import Row, row, show
from tests.benchmarks.rows import seconds as time_of
from tests.reference.e2e_forecaster import PlainForecaster, Windows
from tscl.forecasters import ForecastNetwork, WindowSource
from tscl.forecasters.windows import EpochSampler, window_forecasts
from tscl.methods.end_to_end.method import EndToEnd
from tscl.seeding import numpy_generator, seeded
from tscl.training.trainer import Trainer, TrainSettings

STEPS, CHANNELS, MARKS, BATCH = 8640, 7, 7, 16


VALID = 3
"""Training windows for every validation window, and for every test window."""
Train = Callable[[int], None]
CONTRAST = {"masked_views": 1}


def reference_steps(
    values: np.ndarray, marks: np.ndarray, length: int, horizon: int, weight: float
) -> tuple[Train, Train, int]:
    """Functions that train so many steps and evaluate so many batches, and the parameters."""
    with seeded(0):
        network = PlainForecaster(CHANNELS, MARKS, horizon).train()
    wide = Windows(values.astype(np.float64), marks.astype(np.float64), length, horizon)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)

    def batches(shuffle: bool) -> Iterator[list[torch.Tensor]]:
        while True:
            yield from DataLoader(wide, BATCH, shuffle=shuffle, drop_last=True)

    stream, held_out = batches(shuffle=True), batches(shuffle=False)

    def train(steps: int) -> None:
        network.train()
        for batch in itertools.islice(stream, steps):
            optimiser.zero_grad()
            loss = network.loss(*batch, weight=weight)
            loss.item()
            loss.backward()
            optimiser.step()

    def evaluate(steps: int) -> None:
        network.eval()
        for batch in itertools.islice(held_out, 2 * steps):  # validation and test part
            network.loss(*batch, weight=weight).detach()

    return train, evaluate, sum(p.numel() for p in network.parameters())


def our_steps(
    values: np.ndarray, marks: np.ndarray, length: int, horizon: int, weight: float
) -> tuple[Train, Train, int]:
    """The same with this library's engine, and its monitor."""
    with seeded(0):
        network = ForecastNetwork(CHANNELS, horizon, marks=MARKS, encoder="transformer")
    origins = WindowSource.inside(slice(0, STEPS), length, horizon)
    source = WindowSource(values, origins, length, horizon, marks=marks)

    def train(steps: int) -> None:
        with seeded(0, "method"):
            method = EndToEnd(network, weight=weight, contrast_params=CONTRAST)
        settings = TrainSettings(
            max_epochs=1, max_steps=steps, lr=1e-3, weight_decay=0.0, averaging="none"
        )
        Trainer(settings).fit(method, source, EpochSampler(len(source), BATCH))

    def evaluate(steps: int) -> None:
        window_forecasts(network, values, origins[: steps * BATCH], length, marks=marks)

    return train, evaluate, sum(p.numel() for p in network.parameters())


def seconds(run: Callable[[], object], steps: int) -> float:
    """Processor seconds a step."""
    return time_of(run) / steps


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
        plain, plain_test, plain_size = reference_steps(values, marks, length, horizon, weight)
        ours, our_test, our_size = our_steps(values, marks, length, horizon, weight)
        assert abs(plain_size / our_size - 1) < 0.02, (plain_size, our_size)
        steps = max(6, args.steps * 48 // length // VALID * VALID)
        tests = steps // VALID
        for run in (plain, ours, plain_test, our_test):
            run(1)

        def watched(steps: int = steps, plain: Train = plain) -> None:
            with warnings.catch_warnings():  # torch says that it is slow, which is the point
                warnings.simplefilter("ignore")
                with torch.autograd.set_detect_anomaly(True):
                    plain(steps)

        times = [
            [
                seconds(partial(plain, steps), steps),
                seconds(partial(ours, steps), steps),
                seconds(partial(plain_test, tests), steps),
                seconds(partial(our_test, tests), steps),
                seconds(watched, steps) if weight and length == 48 else 0.0,
            ]
            for _ in range(args.rounds)
        ]
        reference, here, reference_test, here_test, slow = (
            min(c) for c in zip(*times, strict=True)
        )
        name = f"{length} steps to {horizon}, lambda {weight:g}, {our_size / 1e6:.2f} M parameters"
        what = f"training step of the end-to-end forecaster, {name}: processor time"
        against = "written-out attention, windows made one by one"
        against += ", mask by numpy, whole similarity matrices" if weight else ""
        rows += show([row(what, against=against, reference=reference, here=here)])
        epoch = {"reference": reference + reference_test, "here": here + here_test}
        shared = "and its share of the evaluation after an epoch: processor time"
        what = f"training step of the end-to-end forecaster, {name}, {shared}"
        held = "; validation and test part in the same way"
        rows += show([row(what, against=against + held, **epoch)])
        if slow:
            epoch["reference"] = slow + reference_test
            watch = "; anomalies looked for in every backward pass, as in the public script"
            rows += show([row(what, against=against + held + watch, **epoch)])
    return rows


if __name__ == "__main__":
    main()
