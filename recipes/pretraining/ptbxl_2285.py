"""PTB-XL in two parts, joined: 1819 filtered records as arrays, 500 as WFDB files.

The arrays were filtered from 0.5 to 40 Hz and every lead was set to mean 0 and deviation 1; the
files are brought to the same form, so amplitudes in millivolt and their ratios between leads are
lost in both. Sides are the official folds: 1 to 8 train, 9 valid, 10 test.

    python recipes/pretraining/ptbxl_2285.py ptbxl-1819 ptbxl-500 ptbxl-2285
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import butter, sosfiltfilt

from data_loaders import Recordings
from data_loaders.ecg.ptbxl import parse_codes, read_tables
from data_loaders.ecg.records import read_record
from data_loaders.record_log import RecordError, RecordLog
from data_loaders.vetting.arrays import ArrayFileError, read_npz
from data_loaders.vetting.paths import inside
from tscl.errors import DataError

CLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LABELS = ("normal", "abnormal")
RATE, UNIT = 100.0, 250.0
SIDES = {"train": "train", "val": "valid", "test": "test"}


def load_ptbxl_2285(arrays: str | Path, files: str | Path) -> Recordings:
    """Both parts as recordings of 12 leads and 10 s at 100 Hz.

    Args:
        arrays: folder with ``records.csv`` and ``ecg_0.npz`` and so on.
        files: folder of a PTB-XL release or a part of it, at 100 Hz.

    Returns:
        Recordings labelled ``normal`` (NORM alone), ``abnormal`` (others, without NORM) or not at
        all (both, or no class), with columns ``side`` (train, valid, test) and one of 0 and 1 for
        each class. A record in both parts is taken from the files. The arrays name few patients;
        a record without one stands for itself, which the official folds make safe.

    Raises:
        DataError: a missing or damaged table or array.
    """
    log = RecordLog("PTB-XL 2285")
    tables, signals = [], []
    for table, part in (_from_files(Path(files), log), _from_arrays(Path(arrays))):
        tables.append(table)
        signals.append(part)
    table = pd.concat(tables, ignore_index=True)
    signal = np.concatenate(signals)
    first = ~table["record"].duplicated().to_numpy()
    table, signal = table[first].reset_index(drop=True), signal[first]
    normal = table["NORM"].to_numpy() == 1
    other = table[list(CLASSES[1:])].to_numpy().any(axis=1)
    label = np.where(normal & ~other, 0, np.where(other & ~normal, 1, -1))
    return Recordings.from_arrays(
        signal,
        RATE,
        label=label,
        label_names=LABELS,
        record=table["record"].to_numpy(),
        patient=table["patient"].astype(str).to_numpy(),
        channel_names=LEADS,
        columns=table[["side", *CLASSES]],
        name="PTB-XL 2285",
        source={"database": "PTB-XL", "band": [0.5, 40.0], "scaled": "by lead and record"},
        log=log,
    ).standardize()


def _from_arrays(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Table and signals (n, T, 12) of the arrays, in the order of the table."""
    table = pd.read_csv(folder / "records.csv")
    blocks, ids = [], []
    for shard in sorted(table["shard"].unique().tolist()):
        path = folder / f"ecg_{shard}.npz"
        try:
            content = read_npz(path, ["signal", "ecg_id"])
        except (ArrayFileError, OSError) as error:
            raise DataError("file", f"{path}: {error}", "fetch the arrays again") from None
        blocks.append(content["signal"].transpose(0, 2, 1).astype(np.float32) / UNIT)
        ids.append(content["ecg_id"])
    place = pd.Series(np.arange(sum(map(len, ids))), index=np.concatenate(ids))
    if not table["ecg_id"].isin(place.index).all():
        raise DataError("records.csv", "an ecg_id that no array holds", "fetch the arrays again")
    alone = "record " + table["ecg_id"].astype(str)
    known = table["patient_id"].astype("Int64").astype("string")
    named = pd.DataFrame(
        {
            "record": table["ecg_id"],
            "patient": known.fillna(alone.astype("string")),
            "side": table["split"].map(SIDES),
            **{name: table[name] for name in CLASSES},
        }
    )
    return named, np.concatenate(blocks)[place[table["ecg_id"]].to_numpy()]


def _from_files(folder: Path, log: RecordLog) -> tuple[pd.DataFrame, np.ndarray]:
    """Table and filtered signals (n, T, 12) of the files."""
    listed, superclass = read_tables(folder)
    band = butter(4, (0.5, 40.0), "bandpass", fs=RATE, output="sos")
    rows, signals = [], []
    for row in listed.to_dict("records"):
        name = str(row["filename_lr"])
        with log.attempt(name):
            record = read_record(inside(folder, name, name), name=name)
            if record.rate != RATE or record.signal.shape != (1000, len(LEADS)):
                detail = f"{record.signal.shape} at {record.rate:g} Hz"
                raise RecordError(name, "length_mismatch", detail)
            has = {superclass[code] for code in parse_codes(row["scp_codes"]) if code in superclass}
            fold = int(row["strat_fold"])
            rows.append(
                {
                    "record": int(row["ecg_id"]),
                    "patient": str(int(row["patient_id"])),
                    "side": {9: "valid", 10: "test"}.get(fold, "train"),
                    **{name: int(name in has) for name in CLASSES},
                }
            )
            signals.append(sosfiltfilt(band, record.signal, axis=0).astype(np.float32))
    log.require_any()
    return pd.DataFrame(rows), np.stack(signals)


if __name__ == "__main__":
    loaded = load_ptbxl_2285(sys.argv[1], sys.argv[2])
    loaded.save(sys.argv[3])
    sys.stdout.write(f"{loaded}\n")
