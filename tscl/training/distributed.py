"""Processes of a training: Lightning Fabric in each, started here or by torchrun."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch import multiprocessing as torch_multiprocessing
from torch.multiprocessing.spawn import (
    ProcessExitedException,
    ProcessRaisedException,
    start_processes,
)
from torch.utils.checkpoint import checkpoint

from tscl.errors import InputError, TSCLError
from tscl.losses.shared.gathering import gather_rows
from tscl.seeding import seeded
from tscl.training.checkpoint import forwarded
from tscl.training.settings import TrainSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ROW_METHODS = ("forward", "dropout_views")
"""Methods of an encoder that take rows and give rows."""

Indices = NDArray[np.int64]


def cut_batch(indices: Indices, parts: int, groups: NDArray[np.generic] | None = None) -> list[Any]:
    """Cut the samples of a batch into ``parts`` nearly equal ones, between groups where it can.

    Args:
        indices: samples of the batch.
        parts: how many parts, at least 1.
        groups: group (trial) of every sample of the source; samples of one group stay together
            unless there are fewer groups than parts. None: any cut will do.

    Raises:
        InputError: fewer samples than parts.
    """
    n = len(indices)
    if n < parts:
        raise InputError(
            "batch_size", n, f"a batch is shared by {parts} parts; use at least as many samples"
        )
    if groups is None or parts == 1:
        return np.array_split(indices, parts)
    own = groups[indices]
    _, first, code = np.unique(own, return_index=True, return_inverse=True)
    order = np.argsort(first[code], kind="stable")
    indices, own = indices[order], own[order]
    borders = np.flatnonzero(own[1:] != own[:-1]) + 1
    if len(borders) < parts - 1:
        return np.array_split(indices, parts)
    cuts: list[int] = []
    low = 0
    for k in range(1, parts):
        open_borders = borders[low : len(borders) - (parts - 1 - k)]
        nearest = int(np.argmin(np.abs(open_borders - k * n / parts)))
        cuts.append(int(open_borders[nearest]))
        low += nearest + 1
    return np.split(indices, cuts)


class EncoderRows:
    """Shares the rows of every call of an encoder out to processes and parts.

    Args:
        encoder: (B, T, C) to (B, T, D), samples independent of one another.
        seed: of dropout, drawn part by part.
        rank: this process, from 0.
        world: number of processes.
        parts: parts a process encodes its rows in, recomputed in the backward pass; 1 keeps the
            activations of all.
    """

    def __init__(
        self, encoder: nn.Module, seed: int, *, rank: int = 0, world: int = 1, parts: int = 1
    ) -> None:
        self.encoder, self.seed = encoder, seed
        self.rank, self.world, self.parts = rank, world, parts
        self._key: tuple[int, ...] = ()
        self._calls = 0

    @contextmanager
    def shared(self, *key: int) -> Iterator[None]:
        """Within the block, calls of the encoder are shared out; ``key`` seeds their dropout."""
        if self.world == 1 and self.parts == 1:
            yield
            return
        self._key, self._calls = key, 0
        before = {n: self.encoder.__dict__[n] for n in ROW_METHODS if n in self.encoder.__dict__}
        for name in ROW_METHODS:
            original = getattr(self.encoder, name, None)
            if original is not None:
                self.encoder.__dict__[name] = partial(self._call, original)
        try:
            yield
        finally:
            for name in ROW_METHODS:
                self.encoder.__dict__.pop(name, None)
            self.encoder.__dict__.update(before)

    def _call(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._calls += 1
        n = next(len(a) for a in (*args, *kwargs.values()) if isinstance(a, Tensor) and a.ndim)
        shared = self.world > 1 and n >= self.world
        rank, world = (self.rank, self.world) if shared else (0, 1)
        start, stop = rank * n // world, (rank + 1) * n // world
        size = -(-(stop - start) // self.parts)
        parts = []
        for first in range(start, stop, size):
            part = slice(first, min(stop, first + size))
            rows = [_take(a, n, part) for a in args]
            named = {k: _take(a, n, part) for k, a in kwargs.items()}
            with seeded(self.seed, "rows", *self._key, self._calls, first):
                parts.append(self._encode(original, rows, named))
        whole = _join(parts)
        if not shared:
            return whole
        if isinstance(whole, tuple):
            return tuple(gather_rows(part) for part in whole)
        return gather_rows(whole)

    def _encode(self, original: Callable[..., Any], rows: list[Any], named: dict[str, Any]) -> Any:
        if self.parts == 1 or not torch.is_grad_enabled():
            return original(*rows, **named)
        modes = [m.training for m in self.encoder.modules()]

        def again(*inputs: Any, **named_inputs: Any) -> Any:
            with self._in(modes):
                return original(*inputs, **named_inputs)

        return checkpoint(again, *rows, use_reentrant=False, preserve_rng_state=True, **named)

    @contextmanager
    def _in(self, modes: list[bool]) -> Iterator[None]:
        """The encoder's modules in the training or evaluation modes of the first computation."""
        modules = list(self.encoder.modules())
        now = [m.training for m in modules]
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        try:
            yield
        finally:
            for module, mode in zip(modules, now, strict=True):
                module.training = mode


def _take(value: Any, n: int, part: slice) -> Any:
    """Rows ``part`` of a tensor of ``n`` rows; anything else as it is."""
    return value[part] if isinstance(value, Tensor) and value.ndim and len(value) == n else value


def _join(pieces: list[Any]) -> Any:
    if len(pieces) == 1:
        return pieces[0]
    if isinstance(pieces[0], tuple):
        return tuple(torch.cat(column) for column in zip(*pieces, strict=True))
    return torch.cat(pieces)


_GRACE = 10.0


def started_outside() -> bool:
    """Whether torchrun or the like has started this process as one of several."""
    return "LOCAL_RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def make_fabric(settings: TrainSettings) -> Fabric:
    """Fabric of this process, with its process group when there are several.

    Raises:
        InputError: torchrun has started another number of processes than ``devices``, or this
            machine lacks the accelerator.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision
    from lightning_fabric.strategies import DDPStrategy

    accelerator, precision = settings.accelerator, settings.precision
    options: dict[str, Any] = {"accelerator": accelerator, "precision": precision}
    if precision == "16-mixed" and accelerator == "cpu":
        # Fabric falls back to bfloat16 here; torch itself can do it.
        options |= {"precision": None, "plugins": MixedPrecision("16-mixed", device="cpu")}
    if not started_outside():
        try:
            return Fabric(devices=1, **options)
        except (RuntimeError, ValueError) as error:
            remedy = f"Lightning cannot train there ({error}); choose cpu or auto"
            raise InputError("device, accelerator", accelerator, remedy) from error
    world = int(os.environ["WORLD_SIZE"])
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    if settings.devices not in (1, local):
        raise InputError(
            "devices", settings.devices, f"{local} processes a node were started; use that number"
        )
    strategy = DDPStrategy(find_unused_parameters=True)
    fabric = Fabric(devices=local, num_nodes=max(1, world // local), strategy=strategy, **options)
    fabric.launch()
    return fabric


def in_processes(count: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in the first of several new processes.

    Signals are passed on to them. Errors of this project are raised here as they were there.

    Args:
        count: processes.
        function: is called in each.
        *arguments: of the function; they are pickled.

    Raises:
        InputError: arguments that cannot be sent to another process, or a script without a guard.
        KeyboardInterrupt: the processes stopped after an interrupt.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError("devices", count, 'start the training under `if __name__ == "__main__":`')
    try:
        payload = pickle.dumps((function, arguments))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            "devices",
            count,
            f"method, source, sampler, monitor and callbacks go to other processes, and one of "
            f"them cannot ({error}); define it in a module, or start the script with torchrun",
        ) from None
    results = torch_multiprocessing.get_context("spawn").SimpleQueue()
    threads = max(1, torch.get_num_threads() // count)
    context = start_processes(
        _work,
        args=(count, _free_port(), threads, payload, results),
        nprocs=count,
        join=False,
        start_method="spawn",
    )
    outcome: tuple[str, Any] | None = None
    with forwarded(context.pids()):
        deadline = float("inf")
        while True:
            if outcome is None and not results.empty():
                outcome = pickle.loads(results.get())
                if outcome is not None and outcome[0] == "error":
                    deadline = time.monotonic() + _GRACE
            try:
                if context.join(timeout=0.05):
                    break
            except (ProcessRaisedException, ProcessExitedException):
                if outcome is None and results.empty():
                    raise
                break  # the outcome is known, how a process ends after it does not matter
            if time.monotonic() > deadline:
                _end(context.processes)
                break
    if outcome is None and not results.empty():
        outcome = pickle.loads(results.get())
    if outcome is None:
        raise TSCLError("the training processes ended without a result")
    kind, value = outcome
    if kind == "error":
        raise value
    return value


def _end(processes: Sequence[Any]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _work(rank: int, count: int, port: int, threads: int, payload: bytes, results: Any) -> None:
    """Body of a new process."""
    os.environ |= {
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "LOCAL_WORLD_SIZE": str(count),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(threads)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        function, arguments = pickle.loads(payload)
        outcome = ("done", function(*arguments))
    except (TSCLError, KeyboardInterrupt) as error:
        outcome = ("error", error)
    if rank == 0 or outcome[0] == "error":
        results.put(pickle.dumps(outcome))
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
