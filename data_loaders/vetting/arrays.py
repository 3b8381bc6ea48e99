"""Arrays in ``.npy`` and ``.npz`` files: what a header claims is checked before memory is taken.

Objects (pickles) are refused, so nothing in a file can run. A header that claims more values than
the file holds, or an archive that unpacks to more than a hundred times its size, is refused.
"""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

REAL = "fiub"
MAX_RATIO = 100
FREE_BYTES = 64 * 2**20
_HEADER_ERRORS = (
    *(ValueError, TypeError, OverflowError, SyntaxError, EOFError, KeyError, AttributeError),
    *(RecursionError, MemoryError, SystemError, tokenize.TokenError, OSError),
)
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError),
    *(ValueError, OverflowError, IndexError),
)


class ArrayFileError(ValueError):
    """A file that holds no readable array; loaders turn it into their own named error."""


def _header(file: IO[bytes], size: int, kinds: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of the array that follows; ``size`` is that of the whole file."""
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ArrayFileError(f"version {version} of the format is not read")
    except ArrayFileError:
        raise
    except _HEADER_ERRORS as error:
        raise ArrayFileError(f"its header cannot be read ({type(error).__name__})") from None
    if dtype.kind not in kinds or dtype.subdtype is not None or dtype.itemsize == 0:
        raise ArrayFileError(f"values of type {str(dtype)[:40]} are not read")
    if any(isinstance(length, bool) or length < 0 for length in shape) or len(shape) > 32:
        raise ArrayFileError(f"its shape is {str(shape)[:60]}")
    held = size - file.tell()
    if math.prod(shape) * dtype.itemsize > held:
        raise ArrayFileError(f"{held} bytes are less than shape {str(shape)[:60]} takes")
    return shape, fortran, dtype


def _check_text(array: np.ndarray) -> np.ndarray:
    """Refuse text that is no Unicode; numpy would fail on it much later."""
    if array.dtype.kind == "U" and array.size:
        codes = np.frombuffer(array.astype(array.dtype.newbyteorder("=")).tobytes(), np.uint32)
        if codes.max() > 0x10FFFF or ((codes >= 0xD800) & (codes < 0xE000)).any():
            raise ArrayFileError("its text is no Unicode")
    return array


def read_npy(path: Path, *, mmap: bool = False, kinds: str = REAL) -> np.ndarray:
    """One array of a ``.npy`` file.

    Args:
        path: the file.
        mmap: map the file instead of reading it.
        kinds: numpy's letters of the kinds of values that may be in it.

    Raises:
        ArrayFileError: no such array in the file. OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        shape, fortran, dtype = _header(file, path.stat().st_size, kinds)
        offset = file.tell()
    order: Any = "F" if fortran else "C"
    if 0 in shape:
        return np.empty(shape, dtype, order)
    try:
        mapped = np.memmap(path, dtype, "r", offset, shape, order)
    except (ValueError, OverflowError) as error:
        raise ArrayFileError(f"it cannot be mapped: {error}") from None
    return mapped if mmap else _check_text(np.array(mapped, order=order))


def read_npz(
    path: Path, keys: Sequence[str] | None = None, *, kinds: str = REAL
) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` archive by name; nothing is unpacked to disk.

    Args:
        path: the file.
        keys: names of the arrays; None reads all.
        kinds: see :func:`read_npy`.

    Raises:
        ArrayFileError: a damaged archive, an array that is missing or not readable.
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if keys is None:
                    names = archive.namelist()
                    keys = [name.removesuffix(".npy") for name in names if name.endswith(".npy")]
                return {key: _member(archive, key, kinds) for key in keys}
        except ArrayFileError:
            raise
        except _ZIP_ERRORS as error:
            raise ArrayFileError(f"damaged archive ({type(error).__name__})") from None


def _member(archive: zipfile.ZipFile, key: str, kinds: str) -> np.ndarray:
    try:
        info = archive.getinfo(f"{key}.npy")
    except KeyError:
        raise ArrayFileError(f"no array {key!r:.60}") from None
    if "/" in key or "\\" in key or key.startswith(".."):
        raise ArrayFileError(f"an array is named {key!r:.60}")
    if info.file_size > max(FREE_BYTES, MAX_RATIO * info.compress_size):
        raise ArrayFileError(f"array {key!r:.60} unpacks from {info.compress_size} bytes")
    with archive.open(info) as file:
        content = file.read(info.file_size)
    stream = io.BytesIO(content)
    shape, fortran, dtype = _header(stream, len(content), kinds)
    count = math.prod(shape)
    flat = np.frombuffer(content, dtype, count, stream.tell()) if count else np.empty(0, dtype)
    return _check_text(np.array(flat.reshape(shape, order="F" if fortran else "C")))
