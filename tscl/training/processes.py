"""Processes of a training: Lightning Fabric in each, started here or by torchrun."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed
from torch import multiprocessing as torch_multiprocessing
from torch.multiprocessing.spawn import (
    ProcessExitedException,
    ProcessRaisedException,
    start_processes,
)

from tscl.errors import InputError, TSCLError
from tscl.training.interrupts import forwarded
from tscl.training.settings import TrainSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_GRACE = 10.0


def started_outside() -> bool:
    """Whether torchrun or the like has started this process as one of several."""
    return "LOCAL_RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def make_fabric(settings: TrainSettings) -> Fabric:
    """Fabric of this process, with its process group when there are several.

    Raises:
        InputError: torchrun has started another number of processes than ``devices``.
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
        return Fabric(devices=1, **options)
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
    """What ``function(*arguments)`` returns in the first of ``count`` new processes.

    Signals are passed on to them. Errors of this project are raised here as they were there.

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
