"""Structure of a MATLAB 7.3 file (HDF5), checked before its values are read.

HDF5 may name other files (external links, external and virtual data), lead in circles and declare
far more values than it holds. None of this belongs in an EEGLAB recording.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_loaders.record_log import RecordError
from data_loaders.vetting.arrays import FREE_BYTES, MAX_RATIO

MAX_OBJECTS = 2_000_000
_DEPTH = 30


def check_hdf5(path: Path, record: str) -> None:
    """Walk over all groups, values and references of the file.

    Raises:
        RecordError: ``unsafe_path`` for values or links in other files, ``corrupt_file`` for a
            structure that cannot be, ``unsupported_format`` for values of varying length.
        ImportError: h5py is not installed.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _Walk(h5py, file, path.stat().st_size, record).object(file, 0)
    except RecordError:
        raise
    except Exception as error:  # h5py raises many types for what HDF5 cannot decode
        detail = f"{path.name} cannot be decoded as HDF5: {type(error).__name__}"
        raise RecordError(record, "corrupt_file", detail) from None


class _Walk:
    """Counts the objects a reader would visit and their bytes; each is looked at once."""

    def __init__(self, h5py: Any, file: Any, size: int, record: str) -> None:
        self.h5py, self.file, self.record = h5py, file, record
        self.most = max(FREE_BYTES, MAX_RATIO * size)
        self.known: dict[Any, tuple[int, int] | None] = {}

    def refuse(self, reason: str, detail: str) -> RecordError:
        return RecordError(self.record, reason, detail)

    def object(self, item: Any, depth: int) -> tuple[int, int]:
        """Objects and bytes that a group or values lead to, itself counted."""
        address = self.h5py.h5o.get_info(item.id).addr
        counts = self.known.get(address, (0, 0))
        if counts is None or depth > _DEPTH:
            raise self.refuse("corrupt_file", "groups or cells that lead back to themselves")
        if counts[0]:
            return counts
        self.known[address] = None  # on the way down
        objects, size = 1, 0
        if isinstance(item, self.h5py.Dataset):
            size = self.size(item)
        for inner in self.inner(item):
            more, larger = self.object(inner, depth + 1)
            objects, size = objects + more, size + larger
            if objects > MAX_OBJECTS or size > self.most:
                name = f"{item.name or 'a cell'}"[:60]
                raise self.refuse("corrupt_file", f"{name} leads to more than the file can hold")
        self.known[address] = objects, size
        return objects, size

    def inner(self, item: Any) -> Iterator[Any]:
        """What a group holds and what cells refer to."""
        if isinstance(item, self.h5py.Dataset) and item.dtype.hasobject:
            if self.h5py.check_ref_dtype(item.dtype) is not self.h5py.Reference:
                raise self.refuse("unsupported_format", "values of varying length")
            for reference in item[()].reshape(-1):
                yield self.file[reference]
        elif isinstance(item, self.h5py.Group):
            for key in item:
                link = item.get(key, getlink=True)
                if isinstance(link, self.h5py.ExternalLink):
                    raise self.refuse("unsafe_path", f"{key[:40]!r} lies in another file")
                if not isinstance(link, self.h5py.HardLink):
                    raise self.refuse("corrupt_file", f"{key[:40]!r} is a link")
                yield item[key]

    def size(self, item: Any) -> int:
        """Bytes of values that lie in this file and take no more than it can hold."""
        if item.external or item.is_virtual:
            raise self.refuse("unsafe_path", "values that lie in another file")
        size = max(math.prod(item.shape or ()), math.prod(item.chunks or ())) * item.dtype.itemsize
        if size > self.most:
            detail = f"values of shape {item.shape} are more than the file can hold"
            raise self.refuse("corrupt_file", detail)
        return int(size)


__all__ = ["check_hdf5"]
