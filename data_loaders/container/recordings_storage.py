"""Recordings on disk: a folder written in one step, checked when read, mapped by default."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_loaders.container.saving import (
    check_plain,
    check_sums,
    foreign_content,
    load_array,
    read_meta,
    read_table,
    whole,
    write_folder,
)
from data_loaders.record_log import RecordLog
from data_loaders.vetting.arrays import ArrayFileError, read_npz
from tscl.disk import sha256_of
from tscl.errors import DataError

FORMAT = "tscl-recordings"
VERSION = 1
VALUES, PLACES, TABLE, META = "values.npy", "places.npz", "table.parquet", "recordings.json"
FIXED = ("label", "patient", "trial", "record")


def save_recordings(data: Any, directory: Path, *, overwrite: bool = False) -> Path:
    """Write values, places, table and JSON in one step; the values recording by recording.

    Args:
        data: the recordings; only those held are written, one after the other.
        directory: folder to create.
        overwrite: replace it when it is empty or holds earlier recordings and nothing else.

    Raises:
        InputError: the folder exists and ``overwrite`` is false, or it holds something else;
            ``source`` is not plain JSON.
    """
    meta: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": data.name,
        "sampling_rate": data.sampling_rate,
        "label_names": list(data.label_names),
        "channel_names": list(data.channel_names),
        "source": data.source,
        "log": data.log.as_dict() if data.log is not None else None,
    }
    check_plain(meta)

    def fill(folder: Path) -> None:
        kind = data.values.dtype.newbyteorder("<")
        shape = (int(data.lengths.sum()), data.n_channels)
        # Plain writes: on a full disk a memory map would end the process with SIGBUS.
        with (folder / VALUES).open("wb") as file:
            head = {"descr": kind.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, head)
            for start, steps in zip(data.starts.tolist(), data.lengths.tolist(), strict=True):
                file.write(np.ascontiguousarray(data.values[start : start + steps], kind).data)
        np.savez(folder / PLACES, lengths=data.lengths, scale=data.scale, shift=data.shift)
        table = data.table.drop(columns=["sampling_rate", "steps"])
        table.attrs = {}
        table.to_parquet(folder / TABLE, index=False)
        meta["sha256"] = {name: sha256_of(folder / name) for name in (VALUES, PLACES, TABLE)}
        (folder / META).write_text(json.dumps(meta, indent=1), encoding="utf-8")

    names = {VALUES, PLACES, TABLE, META}
    foreign = partial(foreign_content, ours=names, meta=META, written_as=FORMAT)
    return write_folder(directory, fill, overwrite=overwrite, foreign=foreign)


def _read_meta(directory: Path) -> tuple[dict[str, str], float, dict[str, Any]]:
    """Sums, sampling rate and the named fields of ``recordings.json``."""
    meta = read_meta(directory / META, FORMAT, VERSION, "Recordings")
    with whole(META):
        sums = {name: str(meta["sha256"][name]) for name in (VALUES, PLACES, TABLE)}
        fields = {
            "label_names": [str(text) for text in meta["label_names"]],
            "channel_names": [str(text) for text in meta["channel_names"]],
            "name": str(meta["name"]),
            "source": dict(meta["source"]),
            "log": RecordLog.from_dict(meta["log"]) if meta["log"] else None,
        }
        return sums, float(meta["sampling_rate"]), fields


def load_fields(directory: Path, *, in_memory: bool = False, verify: bool = True) -> dict[str, Any]:
    """Read what :func:`save_recordings` wrote, as the arguments of ``Recordings``.

    Args:
        directory: that it was written to.
        in_memory: read the values now, instead of mapping the file.
        verify: compare checksums.

    Raises:
        DataError: a missing or damaged file, another format or version, a checksum that differs.
    """
    sums, rate, fields = _read_meta(directory)
    check_sums(directory, sums, "recordings", verify=verify)
    values = load_array(directory / VALUES, mmap=not in_memory)
    try:
        places = read_npz(directory / PLACES, ["lengths", "scale", "shift"])
    except (ArrayFileError, OSError) as error:
        remedy = "the file is damaged; write the recordings again"
        raise DataError("file", f"{directory / PLACES}: {error}", remedy) from None
    table = read_table(directory / TABLE, len(places["lengths"]))
    if not set(FIXED) <= set(table.columns):
        raise DataError("directory", directory, "array, table and JSON do not fit together")
    return {
        "values": values,
        "lengths": places["lengths"],
        "sampling_rate": rate,
        "scale": places["scale"],
        "shift": places["shift"],
        "label": table["label"].to_numpy(),
        "patient": table["patient"].to_numpy(),
        "trial": table["trial"].to_numpy(),
        "record": table["record"].to_numpy(),
        "columns": table.drop(columns=list(FIXED)),
        **fields,
    }
