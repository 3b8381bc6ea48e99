"""Containers on disk: a folder written in one step and checked when read."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container.fields import FIXED, LABEL
from data_loaders.container.rows import blocks
from data_loaders.record_log import RecordLog
from data_loaders.vetting.arrays import ArrayFileError, read_npy, read_npz
from tscl.disk import new_folder, sha256_of
from tscl.errors import DataError, InputError, check_choice

FORMAT = "tscl-medical-dataset"
VERSION = 1
ARRAYS = {"npy": "X.npy", "npz": "X.npz"}
TABLE, META = "table.parquet", "dataset.json"


def write_folder(
    target: Path,
    fill: Callable[[Path], None],
    *,
    overwrite: bool,
    foreign: Callable[[Path], str | None],
) -> Path:
    """Fill a temporary folder beside ``target`` and move it there once it is complete.

    Args:
        target: folder to create.
        fill: writes the content into the folder it is given.
        overwrite: replace ``target`` when it is empty or holds nothing foreign.
        foreign: what in a folder this format did not write, such as a file's name, or None.

    Raises:
        InputError: ``target`` exists and ``overwrite`` is false, it is no folder, or it holds
            something else.
        WriteError: it cannot be written; what was there stays.
    """
    target = target.absolute()
    if target.exists() and not overwrite:
        remedy = "it exists; pass overwrite=True (--overwrite) or another name"
        raise InputError("directory", target, remedy)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError("directory", target, "it is not a folder")
    if target.exists() and any(target.iterdir()):
        other = foreign(target)
        if other is not None:
            remedy = f"it holds something else than a data set ({other}) and is not overwritten"
            raise InputError("directory", target, remedy)
    with new_folder(target) as work:
        fill(work)
    return target


def check_plain(meta: Mapping[str, Any]) -> None:
    """Raise InputError unless what is saved beside the arrays is plain JSON."""
    try:
        json.dumps(meta, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError("source", error, "hold plain JSON values only") from None


def other_files(folder: Path, ours: Collection[str]) -> str | None:
    """The first entry of a folder, sorted, that is no plain file of these names; None if none."""
    for path in sorted(folder.iterdir()):
        if path.name not in ours or path.is_symlink() or not path.is_file():
            return path.name
    return None


def foreign_content(folder: Path, ours: Collection[str], meta: str, written_as: str) -> str | None:
    """What in a folder is not one of these files, or not of this format; None if nothing.

    Args:
        folder: that may be replaced.
        ours: names of the files.
        meta: that of the JSON file among them.
        written_as: its ``format``.
    """
    other = other_files(folder, ours)
    if other is not None:
        return other
    try:
        facts = json.loads((folder / meta).read_text(encoding="utf-8"))
        known = isinstance(facts, dict) and facts.get("format") == written_as
    except (ValueError, RecursionError, OSError):
        known = False
    return None if known else f"no {meta} of one"


def save_dataset(data: Any, directory: Path, *, overwrite: bool = False, form: str = "npy") -> Path:
    """Write ``X.npy`` or ``X.npz``, ``table.parquet`` and ``dataset.json`` in one step.

    The folder appears complete or not at all. The JSON file holds names, version, source, record
    log and the SHA-256 of the other two.

    Args:
        data: a :class:`data_loaders.container.dataset.MedicalDataset`.
        directory: folder to create.
        overwrite: replace it when it is empty or holds an earlier data set and nothing else.
        form: ``"npy"``: the values can stay on disk and be mapped when read; ``"npz"``:
            compressed, read into memory (and held there once while it is written).

    Raises:
        InputError: the folder exists and ``overwrite`` is false, or it holds something else; an
            unknown ``form``; ``source`` is not plain JSON.
    """
    check_choice("form", form, ARRAYS)
    meta: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": data.name,
        "shape": list(data.X.shape),
        "label_names": list(data.label_names),
        "label_kind": data.label_kind,
        "channel_names": list(data.channel_names),
        "allow_nan": data.allow_nan,
        "allow_mixed_rates": data.allow_mixed_rates,
        "source": data.source,
        "log": data.log.as_dict() if data.log is not None else None,
    }
    check_plain(meta)

    def fill(folder: Path) -> None:
        if form == "npz":
            np.savez_compressed(folder / ARRAYS[form], X=np.asarray(data.X))
        else:
            shape = tuple(int(size) for size in data.X.shape)
            kind = f"<f{data.X.dtype.itemsize}"
            # Plain writes: on a full disk a memory map would end the process with SIGBUS.
            with (folder / ARRAYS[form]).open("wb") as file:
                head = {"descr": kind, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, head)
                for _, block in blocks(data.X):
                    file.write(np.ascontiguousarray(block, kind).data)
        data.table.to_parquet(folder / TABLE, index=False)
        meta["sha256"] = {name: sha256_of(folder / name) for name in (ARRAYS[form], TABLE)}
        (folder / META).write_text(json.dumps(meta, indent=1), encoding="utf-8")

    names = {*ARRAYS.values(), TABLE, META}
    foreign = partial(foreign_content, ours=names, meta=META, written_as=FORMAT)
    return write_folder(directory, fill, overwrite=overwrite, foreign=foreign)


def load_array(path: Path, mmap: bool) -> np.ndarray:
    """A numeric .npy file; objects are refused, so nothing in it can run."""
    try:
        return read_npy(path, mmap=mmap)
    except FileNotFoundError:
        raise DataError("file", path, "it is missing; write the data set again") from None
    except (ArrayFileError, OSError) as error:
        raise DataError("file", f"{path}: {error}", "not a .npy file of real numbers") from None


def read_table(path: Path, n_rows: int) -> pd.DataFrame:
    """A parquet table whose footer tells of ``n_rows`` rows, checked before they are read."""
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    try:
        with ParquetFile(path) as file:
            if file.metadata.num_rows != n_rows:
                raise ValueError(f"{file.metadata.num_rows} rows beside {n_rows} samples")
            table: pd.DataFrame = file.read(use_threads=False).to_pandas()
            return table
    except Exception as error:  # pyarrow and pandas raise many types for a damaged file
        raise DataError(TABLE, error, "the file is damaged; write the data set again") from None


def _load_packed(path: Path) -> np.ndarray:
    """The array of an .npz file that :func:`save_dataset` wrote."""
    try:
        return read_npz(path, ["X"])["X"]
    except (ArrayFileError, OSError) as error:
        remedy = "not a readable .npz file; write the data set again"
        raise DataError("file", f"{path}: {error}", remedy) from None


def check_sums(directory: Path, sums: Mapping[str, str], what: str, *, verify: bool) -> None:
    """Raise DataError for a file that is missing or was changed.

    Args:
        directory: that the files lie in.
        sums: SHA-256 by name.
        what: the data were written as, for the error.
        verify: compare the checksums too.
    """
    for name, expected in sums.items():
        path = directory / name
        if not path.is_file():
            raise DataError("file", path, f"it is missing; write the {what} again")
        if verify and sha256_of(path) != expected:
            raise DataError("sha256", path, "the file was changed or damaged; write it again")


def load_fields(directory: Path, *, in_memory: bool = False, verify: bool = True) -> dict[str, Any]:
    """Read what :func:`save_dataset` wrote, as the arguments of a ``MedicalDataset``.

    Args:
        directory: the folder.
        in_memory: read the values now instead of mapping the file (``npz`` always is).
        verify: compare the SHA-256 sums (reads the whole file once).

    Raises:
        DataError: a missing or damaged file, another format or version, a checksum that differs.
    """
    fields, sums, shape = _read_meta(directory)
    check_sums(directory, sums, "data set", verify=verify)
    path = directory / next(name for name in sums if name != TABLE)
    packed = path.name == ARRAYS["npz"]
    X = _load_packed(path) if packed else load_array(path, mmap=not in_memory)
    table = read_table(directory / TABLE, len(X))
    labels = ["label"]
    if fields["label_kind"] == "multilabel":
        labels = [f"{LABEL}{name}" for name in fields["label_names"]]
    fixed = [*labels, *FIXED[1:]]
    if X.shape != shape or len(table) != len(X) or not set(fixed) <= set(table.columns):
        raise DataError("directory", directory, "array, table and JSON do not fit together")
    several = fields["label_kind"] == "multilabel"
    return {
        "X": X,
        "label": table[labels].to_numpy() if several else table["label"].to_numpy(),
        **{name: table[name].to_numpy() for name in FIXED[1:]},
        "columns": table.drop(columns=fixed),
        **fields,
    }


def read_meta(path: Path, form: str, version: int, what: str) -> dict[str, Any]:
    """The JSON file that describes a saved ``what``.

    Args:
        path: the file.
        form: its ``format``.
        version: its ``version``.
        what: class of what the folder holds.

    Raises:
        DataError: a missing or damaged file, another format or version.
    """
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("directory", path.parent, f"it holds no {path.name}") from None
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(path.name, error, f"the file is damaged; write the {what} again") from None
    if not isinstance(meta, dict) or meta.get("format") != form:
        raise DataError(path.name, path.parent, f"this is not a saved {what}")
    if meta.get("version") != version:
        raise DataError("version", meta.get("version"), f"this code reads version {version}")
    return meta


@contextmanager
def whole(name: str) -> Iterator[None]:
    """What is read inside stands in the file ``name``, else DataError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise DataError(name, repr(error), "the file is damaged; write it again") from None


def _read_meta(directory: Path) -> tuple[dict[str, Any], dict[str, str], tuple[int, ...]]:
    """Fields, checksums by file, and the shape that ``dataset.json`` tells."""
    meta = read_meta(directory / META, FORMAT, VERSION, "MedicalDataset")
    with whole(META):
        form = next((suffix for suffix, name in ARRAYS.items() if name in meta["sha256"]), "npy")
        sums = {name: str(meta["sha256"][name]) for name in (ARRAYS[form], TABLE)}
        shape = tuple(int(size) for size in meta["shape"])
        fields = {
            "label_names": [str(name) for name in meta["label_names"]],
            "label_kind": str(meta.get("label_kind", "classes")),
            "channel_names": [str(name) for name in meta["channel_names"]],
            "name": str(meta["name"]),
            "source": dict(meta["source"]),
            "allow_nan": bool(meta["allow_nan"]),
            "allow_mixed_rates": bool(meta["allow_mixed_rates"]),
            "log": RecordLog.from_dict(meta["log"]) if meta["log"] else None,
        }
    return fields, sums, shape
