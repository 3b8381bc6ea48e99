"""Where codes go: an array in memory, a memory-mapped file, or a running pool over time."""

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
from tscl.errors import NO_SPACE, ConfigError, InputError, nearest

Codes = NDArray[np.float32]
Out = str | PathLike[str] | NDArray[Any] | None
POOLINGS = ("max", "mean", "last")


class Sink(ABC):
    """Takes blocks of codes in order of time into ``file``."""

    file: ArrayFile

    @abstractmethod
    def write(self, samples: slice, steps: slice, codes: Codes) -> None:
        """Take ``codes`` (n, t, D) of the named samples and steps."""

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
            self.array: Codes = np.empty(shape, np.float32)
        elif isinstance(out, np.ndarray):
            if out.shape != shape or out.dtype != np.float32:
                found = f"{out.dtype} {out.shape}"
                raise InputError("out", found, f"pass a float32 array of shape {shape}")
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

    def opened(self) -> Codes:
        """The array after the block; a file is mapped under its own name."""
        if self._path is None:
            return self.array
        return np.lib.format.open_memmap(self._path, mode="r+")


def _reserved(path: Path, shape: tuple[int, ...]) -> Codes:
    """A new .npy file of ``shape``, mapped; its space is taken on the disk at once.

    Writing to a map of a file with holes ends the process (SIGBUS) when the disk is full.
    """
    mapped: Codes = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise  # other systems just cannot reserve
    return mapped


class ArraySink(Sink):
    """All codes, into ``out``: None (new array), a float32 array or memory map, or a .npy path."""

    def __init__(self, out: Out, shape: tuple[int, int, int]) -> None:
        self.file = ArrayFile(out, shape)
        self.array = self.file.array

    def write(self, samples: slice, steps: slice, codes: Codes) -> None:
        """Copy the block to its place."""
        self.array[samples, steps] = codes
        _release(self.array)

    def finish(self) -> None:
        """Nothing is left to do."""


class PoolSink(Sink):
    """Codes pooled over all steps by ``max``, ``mean`` (summed in float64) or ``last``."""

    def __init__(self, out: Out, shape: tuple[int, int, int], pooling: str) -> None:
        if pooling not in POOLINGS:
            raise ConfigError("pooling", pooling, nearest(pooling, POOLINGS))
        n_samples, self.length, dims = shape
        self.pooling = pooling
        self.file = ArrayFile(out, (n_samples, dims))
        self.array = self.file.array
        start = -np.inf if pooling == "max" else 0.0
        self.total = np.full((n_samples, dims), start, np.float64)

    def write(self, samples: slice, steps: slice, codes: Codes) -> None:
        """Fold the block into the pool."""
        total = self.total[samples]
        if self.pooling == "max":
            np.maximum(total, codes.max(axis=1), out=total)
        elif self.pooling == "mean":
            total += codes.sum(axis=1, dtype=np.float64) / self.length
        elif steps.stop == self.length:
            total[...] = codes[:, -1]

    def finish(self) -> None:
        """Write the pooled codes (N, D)."""
        self.array[...] = self.total
        _release(self.array)
