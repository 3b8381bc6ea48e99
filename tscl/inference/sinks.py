"""Where embeddings go: an array in memory, a memory-mapped file, or a running pool over time."""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tscl.disk import atomic_file
from tscl.errors import NO_SPACE, InputError
from tscl.pooling import VARIANCE_FLOOR, check_pooling

Embeddings = NDArray[np.float32]
Out = str | PathLike[str] | NDArray[Any] | None


class Sink(ABC):
    """Takes blocks of embeddings in order of time into ``file``."""

    file: ArrayFile

    @abstractmethod
    def write(self, samples: slice, steps: slice, embeddings: Embeddings) -> None:
        """Take embeddings of a block.

        Args:
            samples: rows of the block.
            steps: its steps.
            embeddings: (n, t, D) of them.
        """

    @abstractmethod
    def finish(self) -> None:
        """Complete the array once everything was written, (N, T, D), or (N, D) when pooled."""


def _release(array: NDArray[Any]) -> None:
    """Write a shared memory map back and drop its pages, so that memory stays bounded."""
    if isinstance(array, np.memmap) and array.mode in ("r+", "w+"):
        array.flush()
        pages = getattr(array, "_mmap", None)
        if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)


class ArrayFile:
    """Where an array goes: new memory, a given array, or a ``.npy`` file that appears when whole.

    Args:
        out: None, a float32 array or memory map of ``shape``, or a path that ends in ``.npy``.
        shape: of the result.

    Used as a context: the file takes its name when the block ends and is removed when it fails.

    Raises:
        InputError: an array that does not fit, or a path that cannot be.
        WriteError: the file cannot be written, or there is no space for it.
    """

    def __init__(self, out: Out, shape: tuple[int, ...]) -> None:
        self._stack = ExitStack()
        self._path: Path | None = None
        if out is None:
            self.array: Embeddings = np.empty(shape, np.float32)
        elif isinstance(out, np.ndarray):
            if out.shape != shape or out.dtype != np.float32:
                value = f"{out.dtype} {out.shape}"
                raise InputError("out", value, f"pass a float32 array of shape {shape}")
            if not out.flags.writeable:
                raise InputError("out", "a read-only array", "open the memory map with mode='r+'")
            self.array = out
        else:
            self._path = Path(out)
            if not self._path.parent.is_dir():
                raise InputError("out", self._path, "create the folder first")
            if self._path.suffix != ".npy":
                raise InputError("out", self._path, "choose a file name that ends in .npy")
            with ExitStack() as stack:
                self.array = _reserved(stack.enter_context(atomic_file(self._path)), shape)
                self._stack = stack.pop_all()

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def opened(self) -> Embeddings:
        """The array after the block; a file is mapped under its own name."""
        if self._path is None:
            return self.array
        return np.lib.format.open_memmap(self._path, mode="r+")


def _reserved(path: Path, shape: tuple[int, ...]) -> Embeddings:
    """A new .npy file of ``shape``, mapped; its space is taken on the disk at once.

    Writing to a map of a file with holes ends the process (SIGBUS) when the disk is full.
    """
    mapped: Embeddings = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise  # other systems just cannot reserve
    return mapped


class ArraySink(Sink):
    """All embeddings, into ``out``: None (new array), a float32 array or map, or a .npy path."""

    def __init__(self, out: Out, shape: tuple[int, int, int]) -> None:
        self.file = ArrayFile(out, shape)
        self.array = self.file.array

    def write(self, samples: slice, steps: slice, embeddings: Embeddings) -> None:
        """Copy the block to its place."""
        self.array[samples, steps] = embeddings
        _release(self.array)

    def finish(self) -> None:
        """Nothing is left to do."""


class _Running(ABC):
    """One pooling of :mod:`tscl.pooling`, fed block by block; what is summed is in float64."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.total = np.zeros(shape)

    @abstractmethod
    def add(self, samples: slice, steps: slice, embeddings: Embeddings) -> None:
        """Fold in ``embeddings`` (n, t, D) of the named samples and steps."""

    def result(self) -> NDArray[np.float64]:
        """The pooled embeddings (N, D) once all steps were added."""
        return self.total


class _RunningMax(_Running):
    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__(shape)
        self.total.fill(-np.inf)

    def add(self, samples: slice, steps: slice, embeddings: Embeddings) -> None:
        np.maximum(self.total[samples], embeddings.max(axis=1), out=self.total[samples])


class _RunningLast(_Running):
    def add(self, samples: slice, steps: slice, embeddings: Embeddings) -> None:
        self.total[samples] = embeddings[:, -1]


class _RunningMean(_Running):
    """Mean of the steps so far, which every block moves by its share."""

    def add(self, samples: slice, steps: slice, embeddings: Embeddings) -> None:
        share = embeddings.shape[1] / steps.stop
        self.total[samples] += share * (
            embeddings.mean(axis=1, dtype=np.float64) - self.total[samples]
        )


class _RunningLogStd(_Running):
    """Squared deviations from the running mean; blocks are merged by the pairwise formula."""

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__(shape)
        self.mean = _RunningMean(shape)
        self.steps = 0

    def add(self, samples: slice, steps: slice, embeddings: Embeddings) -> None:
        known, new = steps.start, embeddings.shape[1]
        mean = embeddings.mean(axis=1, dtype=np.float64)
        deviation = mean - self.mean.total[samples]
        within = np.square(embeddings - mean[:, None]).sum(axis=1)
        self.total[samples] += within + np.square(deviation) * (known * new / (known + new))
        self.mean.add(samples, steps, embeddings)
        self.steps = steps.stop

    def result(self) -> NDArray[np.float64]:
        return np.asarray(0.5 * np.log(self.total / self.steps + VARIANCE_FLOOR))


class _RunningStd(_RunningLogStd):
    def result(self) -> NDArray[np.float64]:
        return np.exp(super().result())


_RUNNING: dict[str, type[_Running]] = {
    "max": _RunningMax,
    "mean": _RunningMean,
    "std": _RunningStd,
    "log_std": _RunningLogStd,
    "last": _RunningLast,
}


class PoolSink(Sink):
    """Embeddings pooled over all steps as :func:`tscl.pooling.pool_time` does, block by block.

    Args:
        out: where the result goes, as of :class:`ArrayFile`.
        shape: (n, T, D) of all embeddings.
        pooling: of :func:`tscl.pooling.pool_time`.
    """

    def __init__(self, out: Out, shape: tuple[int, int, int], pooling: str) -> None:
        n_samples, _, dims = shape
        names = check_pooling(pooling)
        self.file = ArrayFile(out, (n_samples, dims * len(names)))
        self.array = self.file.array
        self._running = [_RUNNING[name]((n_samples, dims)) for name in names]

    def write(self, samples: slice, steps: slice, embeddings: Embeddings) -> None:
        """Fold the block into the pools."""
        for running in self._running:
            running.add(samples, steps, embeddings)

    def finish(self) -> None:
        """Write the pooled embeddings (N, k D), k the number of poolings named."""
        np.concatenate([pool.result() for pool in self._running], axis=1, out=self.array)
        _release(self.array)
