"""Memory over steps: live tensors and objects, counted, not timed."""

from __future__ import annotations

import gc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from tests.training import cases
from tscl.training.callbacks import Callback, StepReport


class Census(Callback):
    """Tensors and tracked objects alive after some steps, each after a collection."""

    def __init__(self, *steps: int) -> None:
        self.steps, self.found = steps, {}

    def on_step(self, report: StepReport) -> None:
        if report.step in self.steps:
            gc.collect()
            alive = gc.get_objects()
            # by type: isinstance asks a weak proxy for its object, which may be gone
            tensors = [o for o in alive if issubclass(type(o), torch.Tensor)]
            size = sum(t.untyped_storage().nbytes() for t in tensors if t.device.type == "cpu")
            self.found[report.step] = (len(tensors), size, len(alive))


OPTIONS = {
    "simclr": ({"accumulate": 2, "cache_gradients": True, "monitor": cases.score}, 200),
    "autotcl": ({"clip_norm": 1.0}, 100),
}


def counted(name: str, folder: Path) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """What is alive after 20 steps and after the last but one.

    The census of step 10 is not compared: the first one leaves isinstance caches of its own.
    """
    options, steps = OPTIONS[name]
    census = Census(10, 20, steps - 1)
    cases.fit(
        cases.build(name, 0.1),
        max_epochs=steps // 2,
        callbacks=[census],
        checkpoints=folder,
        checkpoint_seconds=0.0,  # at every step, so that the first census has seen one
        **options,
    )
    return census.found[20], census.found[steps - 1]


@pytest.mark.parametrize("name", list(OPTIONS))
def test_a_step_leaves_nothing_behind(tmp_path, name):
    # A process of its own: what other tests loaded keeps objects of each step.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        early, late = pool.submit(counted, name, tmp_path).result()
    assert late[:2] == early[:2]
    epochs = (OPTIONS[name][1] - 21) // 2
    assert late[2] - early[2] < epochs  # not one object an epoch, so none a step or a checkpoint


def test_the_census_sees_a_leak():
    kept = []

    class Leak(Callback):
        def on_step(self, report: StepReport) -> None:
            kept.append(torch.zeros(3))

    census = Census(5, 15)
    cases.fit(cases.build("simclr"), max_epochs=8, callbacks=[Leak(), census])
    assert census.found[15][0] - census.found[5][0] == 10
