"""Randomness from explicit seeds: independent streams, generators, and a guarded global state.

Every random draw of the project is a function of ``(seed, stream, counters...)``. Layers that
can only draw from torch's default generator (dropout, weight initialisation) run inside
:func:`seeded`, which puts the default generator back afterwards.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # torch is imported where it is used: the loaders draw with numpy alone
    import torch
    from torch import Tensor


def derive_seed(seed: int, stream: str, *counters: int) -> int:
    """A 63-bit seed for one named stream, the same on every platform.

    Args:
        seed: the user's seed (non-negative).
        stream: what the numbers are for, such as ``"mask"`` or ``"sampler"``.
        counters: step, epoch or worker numbers that tell draws of a stream apart.
    """
    key = [int(seed), zlib.crc32(stream.encode()), *(int(c) for c in counters)]
    state = np.random.SeedSequence(key).generate_state(2, np.uint32)
    return (int(state[0]) << 31) ^ int(state[1])


def torch_generator(
    seed: int, stream: str = "", *counters: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A torch generator of its own for each purpose.

    Args:
        seed: of the run.
        stream: name of the purpose.
        *counters: numbers such as step or fold, which give draws of their own.
        device: of the generator.
    """
    import torch

    generator = torch.Generator(device=device)
    generator.manual_seed(derive_seed(seed, stream, *counters))
    return generator


def numpy_generator(seed: int, stream: str = "", *counters: int) -> np.random.Generator:
    """A numpy generator of its own for each purpose.

    Args:
        seed: of the run.
        stream: name of the purpose.
        *counters: numbers such as step or fold, which give draws of their own.
    """
    return np.random.default_rng(derive_seed(seed, stream, *counters))


@contextmanager
def seeded(seed: int, stream: str = "", *counters: int) -> Iterator[None]:
    """Seed torch's default generator inside the block and restore it after.

    Args:
        seed: of the run.
        stream: name of what draws.
        *counters: further numbers of the seed, see :func:`derive_seed`.
    """
    import torch

    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        number = derive_seed(seed, stream, *counters)
        # torch.manual_seed would also queue a call, with a formatted stack, for every kind of
        # device that has not been started: dear in small training steps
        torch.default_generator.manual_seed(number)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(number)
        if torch.backends.mps.is_available():
            torch.mps.manual_seed(number)
        yield


@contextmanager
def same_threads() -> Iterator[None]:
    """Put torch's number of threads back after the block.

    numba's parallel code shares the OpenMP of torch and leaves it at all processors: training
    goes on to other bits after it, and slower by far where the processors are not free.
    """
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def rand(shape: tuple[int, ...], generator: torch.Generator | None, like: Tensor) -> Tensor:
    """Uniform draws in [0, 1).

    Args:
        shape: of the result.
        generator: source, of any device; None for torch's own.
        like: a tensor of the result's dtype and device.
    """
    import torch

    if generator is None or generator.device == like.device:
        return torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)
    drawn = torch.rand(shape, generator=generator, device=generator.device, dtype=like.dtype)
    return drawn.to(like.device)


def randn(shape: tuple[int, ...], generator: torch.Generator | None, like: Tensor) -> Tensor:
    """Standard normal draws.

    Arguments as :func:`rand`.
    """
    import torch

    if generator is None or generator.device == like.device:
        return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
    drawn = torch.randn(shape, generator=generator, device=generator.device, dtype=like.dtype)
    return drawn.to(like.device)


def randint(
    low: int,
    high: int,
    shape: tuple[int, ...],
    generator: torch.Generator | None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Uniform integers in ``[low, high)``.

    Args:
        low: the smallest.
        high: one above the largest.
        shape: of the result.
        generator: source, of any device; None for torch's own.
        device: of the result.
    """
    import torch

    where = device if generator is None else generator.device
    return torch.randint(low, high, shape, generator=generator, device=where).to(device)


def counted_uniform(key: int, index: NDArray[np.int64], stream: int) -> NDArray[np.float64]:
    """A uniform number in [0, 1) for every entry of ``index``, a function of its value alone.

    Which other entries stand beside it, and where, makes no difference: a batch that is cut into
    parts draws what the whole batch draws. SplitMix64's finaliser (Steele et al. 2014) of key,
    index and stream.

    Args:
        key: of the draw, such as one number of a step's generator; 0 or more.
        index: whole numbers, any shape.
        stream: tells draws of one key and index apart; 0 or more.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    state = np.full(index.shape, key, np.uint64)
    for counter in (index.astype(np.uint64), np.full(index.shape, stream, np.uint64)):
        state = state + golden * (counter + np.uint64(1))
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
        state = state ^ (state >> np.uint64(31))
    result: NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return result
