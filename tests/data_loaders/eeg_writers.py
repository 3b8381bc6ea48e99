"""Small EEG files of the real formats, for the readers' tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def brainlike(n_steps: int, n_channels: int, seed: int = 0, rate: float = 256.0) -> np.ndarray:
    """(n_steps, n_channels) microvolt: noise and a 10 Hz rhythm of different sizes."""
    rng = np.random.default_rng(seed)
    time = np.arange(n_steps)[:, None] / rate
    rhythm = np.sin(2 * np.pi * 10 * time + rng.uniform(0, 6, n_channels))
    noise = rng.normal(0, 12, (n_steps, n_channels))
    return 20 * rhythm * rng.uniform(0.5, 1.5, n_channels) + noise


def write_edf(
    path: Path,
    signal: np.ndarray,
    names: list[str],
    rate: float,
    *,
    unit: str = "uV",
    rates: list[float] | None = None,
    bdf: bool = False,
) -> Path:
    """An EDF or BDF file; ``rates`` gives single signals another rate."""
    import edfio

    path.parent.mkdir(parents=True, exist_ok=True)
    signals = []
    for i, name in enumerate(names):
        own = rate if rates is None else rates[i]
        values = signal[: int(len(signal) * own / rate), i].astype(np.float64)
        low, high = float(np.floor(values.min() - 1)), float(np.ceil(values.max() + 1))
        make = edfio.BdfSignal if bdf else edfio.EdfSignal
        settings = {} if bdf else {"digital_range": (-32768, 32767)}
        one = make(
            values, own, label=name, physical_dimension=unit, physical_range=(low, high), **settings
        )
        signals.append(one)
    (edfio.Bdf if bdf else edfio.Edf)(signals, data_record_duration=1).write(path)
    return path


def write_brainvision(path: Path, signal: np.ndarray, names: list[str], rate: float) -> Path:
    """A BrainVision recording of 32-bit floats in microvolt: .vhdr, .vmrk and .eeg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = path.stem
    channels = [f"Ch{i + 1}={name},,1,µV" for i, name in enumerate(names)]
    header = [
        "Brain Vision Data Exchange Header File Version 1.0",
        *("[Common Infos]", "Codepage=UTF-8", f"DataFile={stem}.eeg", f"MarkerFile={stem}.vmrk"),
        *("DataFormat=BINARY", "DataOrientation=MULTIPLEXED"),
        *(f"NumberOfChannels={len(names)}", f"DataPoints={len(signal)}"),
        f"SamplingInterval={1e6 / rate:g}",
        *("[Binary Infos]", "BinaryFormat=IEEE_FLOAT_32", "[Channel Infos]", *channels),
    ]
    marker = [
        "Brain Vision Data Exchange Marker File, Version 1.0",
        *("[Common Infos]", "Codepage=UTF-8", f"DataFile={stem}.eeg"),
        *("[Marker Infos]", "Mk1=New Segment,,1,1,0"),
    ]
    path.write_text("\n".join(header) + "\n", encoding="utf-8")
    path.with_suffix(".vmrk").write_text("\n".join(marker) + "\n", encoding="utf-8")
    signal.astype("<f4").tofile(path.with_suffix(".eeg"))
    return path


def write_set(path: Path, signal: np.ndarray, names: list[str], rate: float) -> Path:
    """An EEGLAB file that holds its data."""
    from scipy.io import savemat

    locations = np.zeros(len(names), dtype=[("labels", object)])
    locations["labels"] = names
    content = {
        **{"data": signal.T.astype(np.float32), "srate": float(rate), "nbchan": len(names)},
        **{"pnts": len(signal), "trials": 1, "xmin": 0.0, "xmax": (len(signal) - 1) / rate},
        **{"chanlocs": locations, "event": [], "epoch": [], "icawinv": [], "icaweights": []},
        **{"icasphere": [], "icachansind": [], "setname": "x", "ref": "common"},
    }
    savemat(path, {"EEG": content}, appendmat=False)
    return path


def write_set_hdf5(path: Path, signal: np.ndarray, names: list[str], rate: float) -> Path:
    """The same as MATLAB 7.3 writes it: an HDF5 file behind 512 bytes of MATLAB's own."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)

    def put(group: h5py.Group, name: str, values: np.ndarray, kind: str) -> h5py.Dataset:
        made = group.create_dataset(name, data=values)
        made.attrs["MATLAB_class"] = np.bytes_(kind)
        return made

    def text(group: h5py.Group, name: str, value: str) -> h5py.Dataset:
        return put(group, name, np.array([[ord(one)] for one in value], np.uint16), "char")

    with h5py.File(path, "w", userblock_size=512) as file:
        eeg, refs = file.create_group("EEG"), file.create_group("#refs#")
        put(eeg, "data", signal.astype(np.float32), "single")
        numbers = {"srate": rate, "nbchan": len(names), "pnts": len(signal), "trials": 1}
        for key, value in (numbers | {"xmin": 0, "xmax": (len(signal) - 1) / rate}).items():
            put(eeg, key, np.array([[float(value)]]), "double")
        for key, value in {"setname": "x", "ref": "common"}.items():
            text(eeg, key, value)
        labels = [[text(refs, f"label{i}", name).ref] for i, name in enumerate(names)]
        eeg.create_group("chanlocs")["labels"] = np.array(labels, dtype=h5py.ref_dtype)
        for key in ("event", "epoch", "icawinv", "icaweights", "icasphere", "icachansind"):
            empty = put(eeg, key, np.zeros(2, np.uint64), "double")
            empty.attrs["MATLAB_empty"] = np.uint8(1)
        for group in (eeg, eeg["chanlocs"]):
            group.attrs["MATLAB_class"] = np.bytes_("struct")
    with path.open("r+b") as handle:
        handle.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path
