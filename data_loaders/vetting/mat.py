"""Structure of a MATLAB 5 file, checked before SciPy reads it: damaged ones can end the process.

Every element must lie inside the one that holds it, and hold as many values as its dimensions
say. The format is in MathWorks' "MAT-File Format".
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

from data_loaders.record_log import RecordError
from data_loaders.vetting.hdf5 import check_hdf5

_WIDTH = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OBJECT, _CHAR = 1, 2, 3, 4
_NUMERIC = range(6, 16)
_DEPTH = 20
_HDF5 = b"\x89HDF\r\n\x1a\n"
_VERSION_7_3 = (b"\x00\x02IM", b"\x02\x00MI")
_FREE_BYTES = 64 * 2**20


class _BadMat(ValueError):
    pass


def check_mat(path: Path, record: str) -> None:
    """Check a MATLAB 5 file; version 7.3 is told by HDF5's signature and checked as such.

    Raises:
        RecordError: ``bad_header`` for another file, ``corrupt_file`` for a structure that cannot
            be, ``unsupported_format`` for sparse matrices and MATLAB classes.
    """
    with path.open("rb") as file:
        head = file.read(520)
    if head[512:520] == _HDF5:
        if head[:4].count(0) or head[124:128] not in _VERSION_7_3:
            # SciPy would take it for a file of version 4 or 5.
            detail = f"{path.name} holds HDF5 but does not begin as a MATLAB 7.3 file"
            raise RecordError(record, "bad_header", detail)
        check_hdf5(path, record)
        return
    content = path.read_bytes()
    if len(content) < 136:
        raise RecordError(record, "corrupt_file", f"{path.name} ends after {len(content)} bytes")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or content[:4].count(0):
        raise RecordError(record, "bad_header", f"{path.name} does not begin as a MATLAB file")
    try:
        _Walk(content, order).elements(128, len(content), 0)
    except NotImplementedError as error:
        raise RecordError(record, "unsupported_format", f"it holds {error}") from None
    except (_BadMat, struct.error, zlib.error) as error:
        raise RecordError(record, "corrupt_file", f"{path.name}: {error}"[:120]) from None


class _Walk:
    """Goes over the elements of ``data``."""

    def __init__(self, data: bytes, order: str) -> None:
        self.data = data
        self.order = order

    def tag(self, at: int, stop: int) -> tuple[int, int, int, int]:
        """Type, start of the values, their bytes, and where the next element begins."""
        if at + 8 > stop:
            raise _BadMat("an element ends within its tag")
        kind, size = struct.unpack_from(self.order + "II", self.data, at)
        if kind >> 16:
            kind, size, start, following = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if size > 4:
                raise _BadMat("a small element of more than four bytes")
        else:
            start = at + 8
            following = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > stop:
            raise _BadMat("an element is longer than what holds it")
        return kind, start, size, min(following, stop)

    def elements(self, at: int, stop: int, depth: int) -> None:
        """Elements one after the other, each a matrix or a compressed one."""
        while at < stop:
            kind, start, size, at = self.tag(at, stop)
            if kind == _COMPRESSED and depth == 0:
                inflate = zlib.decompressobj()
                longest = max(_FREE_BYTES, 100 * size)
                inner = inflate.decompress(self.data[start : start + size], longest)
                if inflate.unconsumed_tail or not inflate.eof:
                    raise _BadMat("a compressed element is cut short or unpacks to too much")
                _Walk(inner, self.order).elements(0, len(inner), 1)
            elif kind == _MATRIX:
                self.matrix(start, start + size, depth + 1)
            else:
                raise _BadMat(f"an element of type {kind} where a matrix belongs")

    def values(self, at: int, stop: int, kinds: tuple[int, ...] = ()) -> tuple[int, int, int, int]:
        """A plain element: (values' start, count, bytes of one value, next element)."""
        kind, start, size, following = self.tag(at, stop)
        width = _WIDTH.get(kind, 0)
        if not width or size % width or (kinds and kind not in kinds):
            raise _BadMat(f"values of type {kind}")
        return start, size // width, width, following

    def matrix(self, at: int, stop: int, depth: int) -> None:
        """One matrix, its name and its values."""
        if at == stop:
            return
        if depth > _DEPTH:
            raise _BadMat("structures nested too deep")
        start, count, _, at = self.values(at, stop, (6,))
        if count != 2:
            raise _BadMat("array flags of another length")
        flags = struct.unpack_from(self.order + "I", self.data, start)[0]
        kind, is_complex = flags & 0xFF, bool(flags & 0x800)
        start, count, _, at = self.values(at, stop, (5,))
        if not 2 <= count <= 32:
            raise _BadMat(f"{count} dimensions")
        dims = struct.unpack_from(f"{self.order}{count}i", self.data, start)
        if min(dims) < 0:
            raise _BadMat(f"dimensions {dims}")
        total = math.prod(dims)
        *_, at = self.values(at, stop, (1, 2))
        if kind in _NUMERIC:
            for _ in range(1 + is_complex):
                _, count, _, at = self.values(at, stop)
                if count != total:
                    raise _BadMat(f"{count} values for dimensions {dims}")
        elif kind == _CHAR:
            _, count, width, at = self.values(at, stop)
            if count > total or (count < total and width > 1) or count * 4 < total:
                raise _BadMat(f"{count} characters for dimensions {dims}")
        elif kind in (_CELL, _STRUCT, _OBJECT):
            fields = 1
            if kind != _CELL:
                fields, at = self.fields(at, stop, kind)
            if total * fields * 8 > stop - at:
                raise _BadMat(f"{total * fields} cells or fields in {stop - at} bytes")
            for _ in range(total * fields):
                inner, start, size, at = self.tag(at, stop)
                if inner != _MATRIX:
                    raise _BadMat(f"an element of type {inner} where a matrix belongs")
                self.matrix(start, start + size, depth + 1)
        else:
            raise NotImplementedError(f"a MATLAB array of class {kind}")

    def fields(self, at: int, stop: int, kind: int) -> tuple[int, int]:
        """Number of a structure's fields, and where its values begin."""
        if kind == _OBJECT:
            *_, at = self.values(at, stop, (1, 2))
        start, count, _, at = self.values(at, stop, (5,))
        if count != 1:
            raise _BadMat("length of field names")
        length = struct.unpack_from(self.order + "i", self.data, start)[0]
        start, count, _, at = self.values(at, stop, (1, 2))
        if not 1 <= length <= 1024 or count % length:
            raise _BadMat(f"field names of length {length}")
        names = [
            self.data[start + i * length : start + (i + 1) * length] for i in range(count // length)
        ]
        if any(b"\0" not in name for name in names):
            raise _BadMat("a field name without end")
        return len(names), at
