"""Losses under ``torch.compile``, on a device that is not waited for, and in bounded memory."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

import pytest
import torch

from tests.losses.test_contract import NAMES, build, draw, value
from tscl.errors import InputError
from tscl.losses.shared import columns

COMPILED = ["ntxent", "infonce", "dcl", "dclw", "vicreg", "barlow_twins", "supcon"]


@pytest.mark.parametrize("name", COMPILED)
def test_main_losses_compile_as_one_graph(name: str) -> None:
    torch.compiler.reset()
    loss, z = build(name), draw(seed=3).requires_grad_()
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0, 1.0])
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for options in ({}, {"weights": weights}):
        got, want = value(compiled, z, **options), value(loss, z, **options)
        torch.testing.assert_close(got, want)
        slopes = [torch.autograd.grad(v, z)[0] for v in (got, want)]
        torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-6)


SIZES: dict[str, dict[str, Any]] = {
    "individual_temperature": {"n_samples": 6},
    "moco": {"dims": 8, "queue_size": 16},
}


@pytest.mark.parametrize("name", NAMES)
def test_no_loss_reads_a_value_back_from_a_gpu(name: str, monkeypatch: Any) -> None:
    """On a device without values what reads one, or a size that depends on one, is an error."""
    asked: list[str] = []
    monkeypatch.setattr(columns, "ask_later", lambda ok, error: asked.append(error.field))
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    loss = build(name, **SIZES.get(name, {})).to("meta")
    z = torch.empty(2, 6, 8, device="meta", requires_grad=True)
    index = torch.empty(6, dtype=torch.int64, device="meta")
    loss(z, labels=index, index=index, weights=torch.empty(6, device="meta")).backward()
    assert {"z1, z2", "weights"} <= set(asked)


def test_a_check_on_a_gpu_is_told_by_a_later_one(monkeypatch: Any) -> None:
    class Arrived:
        def record(self) -> None: ...

        def query(self) -> bool:
            return True

    class OnGPU:
        is_cuda = True

        def __init__(self, answer: bool) -> None:
            self.answer = torch.tensor(answer)

    class Copy:
        def copy_(self, ok: OnGPU, non_blocking: bool) -> torch.Tensor:
            assert non_blocking
            return ok.answer

    monkeypatch.setattr(torch.cuda, "Event", Arrived)
    monkeypatch.setattr(torch, "empty_like", lambda *_, **__: Copy())
    columns.ask_later(OnGPU(True), InputError("labels", "x", "y"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="labels"):
        columns.ask_later(OnGPU(False), InputError("labels", "x", "y"))  # type: ignore[arg-type]
    assert not columns._late


BOUNDED = """
import resource, torch
from tscl.losses import LOSSES
loss = LOSSES.build({name!r})
y = torch.arange({n}) % 2
z = torch.randn(2, {n}, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
loss(z[:, :8], labels=y[:8]).backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
loss(z, labels=y).backward()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("name", ["mann_whitney", "icnn"])
def test_memory_does_not_grow_with_pairs_of_pairs(name: str) -> None:
    """2,048 samples of two classes took 8 GB and more; B^2 scores alone are 16 MiB."""
    code = BOUNDED.format(name=name, n=2048)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert int(done.stdout) < 256
