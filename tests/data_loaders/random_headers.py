"""Recordings with random headers, written byte by byte from the formats' specifications.

Each maker returns what was written in physical units; :func:`check` reads the file back through the
library and compares. The tests check 50 files of each format; more by

    python -m tests.data_loaders.random_headers 2000
"""

from __future__ import annotations

import struct
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_loaders import RecordError, read_eeg
from data_loaders.ecg.records import read_record

VOLTS = {
    **dict.fromkeys(("uV", "UV", "uv", "µV", "μV", "microvolt", "uVolt"), 1e-6),
    **dict.fromkeys(("mV", "MV", "mv", "millivolt"), 1e-3),
    **dict.fromkeys(("V", "v", "Volt"), 1.0),
    **dict.fromkeys(("nV", "NV", "nv"), 1e-9),
}
OTHER_UNITS = ("mmHg", "NU", "pm", "degC", "%", "kOhm", "bpm")
SCALP = ("Fp1", "EEG Fp2-REF", "C3-M2", "C4-M1", "O1", "Cz", "FP1-F7", "T8-P8", "EEG Fpz-Cz")
NOT_EEG = {"ECG I": 0, "EKG": 0, "EOG horizontal": 0, "EMG chin": 0, "Resp abdomen": 0}


@dataclass
class Written:
    """A channel as written.

    Attributes:
        label: its name in the header.
        values: (T,) in volt, NaN where missing; None when it is no voltage or has no scale.
        rate: Hz.
        eeg: whether its label says EEG.
        unscaled: a voltage of which the header gives no scale.
    """

    label: str
    values: np.ndarray | None
    rate: float
    eeg: bool = True
    unscaled: bool = False


@dataclass
class File:
    """A file to read, and what it holds."""

    path: Path
    channels: list[Written]
    per_volt: float
    read: Callable[..., object]
    only_eeg: bool = True
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        labels = [one.label for one in self.channels]
        for i, label in enumerate(labels):
            twice = labels.count(label) > 1
            self.names.append(f"{label}-{labels[:i].count(label)}" if twice else label)


def check(file: File) -> None:
    """Read every channel by its name, and the default choice; compare with what was written."""
    labels = [one.label for one in file.channels]
    for one, name in zip(file.channels, file.names, strict=True):
        if one.values is None:
            assert reason(file, [name]) == "unit_suspect", name
            continue
        _same(file, file.read(file.path, [name]), [one])
        if labels.count(one.label) > 1:
            found = reason(file, [one.label])
            assert found in ("missing_lead", "missing_channel"), (name, found)
    chosen = [one for one in file.channels if one.eeg or not file.only_eeg]
    volts = [one for one in chosen if one.values is not None]
    rates = {one.rate for one in volts}
    if not chosen:
        assert reason(file, None) == "missing_channel"
    elif not volts or any(one.unscaled for one in chosen):
        assert reason(file, None) == "unit_suspect"
    elif len(rates) > 1:
        assert reason(file, None) == "mixed_rate"
    else:
        _same(file, file.read(file.path, None), volts)


def reason(file: File, names: list[str] | None) -> str:
    """Why reading is refused; empty when it is not."""
    try:
        file.read(file.path, names)
    except RecordError as error:
        return error.reason
    return ""


def _same(file: File, recording: object, wanted: list[Written]) -> None:
    want = np.stack([one.values for one in wanted], axis=1) * file.per_volt
    got = recording.signal  # type: ignore[attr-defined]
    assert recording.rate == wanted[0].rate, (recording.rate, wanted[0].rate)  # type: ignore[attr-defined]
    assert got.shape == want.shape, (got.shape, want.shape)
    size = np.nanmax(np.abs(want), initial=1e-30)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7 * size)


def _labels(rng: np.random.Generator, count: int) -> list[str]:
    """Names, some twice, some of signals that are no EEG."""
    pool = [*SCALP, *NOT_EEG] if rng.random() < 0.7 else list(SCALP[:3])
    return [str(one) for one in rng.choice(pool, count)]


def _unit(rng: np.random.Generator, pool: dict[str, float]) -> tuple[str, float | None]:
    if rng.random() < 0.15:
        return str(rng.choice(OTHER_UNITS)), None
    unit = str(rng.choice(list(pool)))
    return unit, pool[unit]


# -- WFDB: header(5) and signal(5) ---------------------------------------------------------

BITS = {
    **{"8": 8, "80": 8, "212": 12, "310": 10, "311": 10},
    **{"16": 16, "61": 16, "160": 16, "24": 24, "32": 32},
}


def encode(samples: np.ndarray, form: str, initial: np.ndarray | None = None) -> bytes:
    """Samples in the order of the file in one of WFDB's signal formats."""
    d = np.asarray(samples, np.int64)
    if form in ("16", "61"):
        return d.astype("<i2" if form == "16" else ">i2").tobytes()
    if form in ("80", "160"):
        return (
            (d + 128).astype("u1").tobytes()
            if form == "80"
            else (d + 32768).astype("<u2").tobytes()
        )
    if form == "24":
        return d.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    if form == "32":
        return d.astype("<i4").tobytes()
    if form == "8":
        return d.astype("i1").tobytes()  # differences, made by the caller
    if form == "212":
        out = bytearray()
        for a, b in np.pad(d, (0, len(d) % 2)).reshape(-1, 2) & 0xFFF:
            out += bytes([a & 255, (a >> 8) | ((b >> 8) << 4), b & 255])
        return bytes(out[: -(-len(d) * 3 // 2)])
    out = bytearray()
    for a, b, c in np.pad(d, (0, -len(d) % 3)).reshape(-1, 3) & 0x3FF:
        if form == "310":
            out += struct.pack("<HH", (a << 1) | ((c & 31) << 11), (b << 1) | ((c >> 5) << 11))
        else:
            out += struct.pack("<I", int(a) | int(b) << 10 | int(c) << 20)
    return bytes(out)


def wfdb(rng: np.random.Generator, folder: Path) -> File:
    """A WFDB record: formats, files, frames, skews, offsets, gains, missing samples, names."""
    count, frames = int(rng.integers(1, 6)), int(rng.integers(30, 80))
    frame_rate = float(rng.choice([62.5, 100, 250, 360, 0.9765625]))
    least = 256 if frame_rate < 1 else 1
    spf = [
        least * int(rng.choice([1, 1, 2, 4])) if rng.random() < 0.7 else least for _ in range(count)
    ]
    labels = [str(one) for one in rng.choice(["I", "II", "V1", "MLII", "ABP", "aVR"], count)]
    file_of = np.sort(rng.integers(0, 2, count)).tolist() if rng.random() < 0.4 else [0] * count
    rows, channels, content = [], [], {}
    forms = {k: str(rng.choice(list(BITS))) for k in set(file_of)}
    offsets = {k: int(rng.choice([0, 0, 16])) for k in set(file_of)}
    for i in range(count):
        form = forms[file_of[i]]
        n, top = frames * spf[i], 2 ** (BITS[form] - 1) - 1
        if form == "8":
            start = int(rng.integers(-50, 50))
            steps = rng.integers(-100, 101, n)
            stored, d = steps, start + np.cumsum(steps)
        else:
            d = rng.integers(-min(top, 2**20), min(top, 2**20) + 1, n)
            start = int(d[0])
            stored = d
        missing = np.zeros(n, bool)
        if form != "8" and rng.random() < 0.3:
            missing[rng.integers(0, n, 3)] = True
            d = np.where(missing, -top - 1, d)
            stored, start = d, int(d[0])
        content[i] = stored.reshape(frames, spf[i])
        gain = str(rng.choice(["200", "1000", "0.25", "2.5e2", "-400", "1e3"]))
        baseline, zero = int(rng.integers(-100, 100)), int(rng.integers(-50, 50))
        given = rng.random() < 0.5
        unit, factor = _unit(rng, VOLTS)
        skew = int(rng.choice([0, 0, 1, 5])) if rng.random() < 0.5 else 0
        scaled = rng.random() > 0.05
        total = int(d.sum()) & 0xFFFF
        check_sum = total - 65536 if total > 32767 else total
        layout = form + (f"x{spf[i]}" if spf[i] > 1 else "") + (f":{skew}" if skew else "")
        layout += f"+{offsets[file_of[i]]}" if offsets[file_of[i]] else ""
        scale = (gain if scaled else "0") + (f"({baseline})" if given else "") + f"/{unit}"
        rows.append(
            f"r{file_of[i]}.dat {layout} {scale} 16 {zero} {start} {check_sum} 0 {labels[i]}"
        )
        values = None
        if factor is not None and scaled:
            values = np.where(missing, np.nan, (d - (baseline if given else zero)) / float(gain))
            values = values * factor
            shift = skew * spf[i]
            values = np.append(values[shift:], [np.nan] * shift)
        channels.append(
            Written(
                labels[i], values, frame_rate * spf[i], unscaled=factor is not None and not scaled
            )
        )
    for k, form in forms.items():
        mine = [content[i] for i in range(count) if file_of[i] == k]
        raw = encode(np.concatenate(mine, axis=1).ravel(), form)
        (folder / f"r{k}.dat").write_bytes(b"\0" * offsets[k] + raw)
    packed = {"212", "310", "311"} & set(forms.values())  # their padding hides the length
    length = f" {frames}" if packed or rng.random() < 0.8 else ""
    rate = f"{frame_rate!r}/{frame_rate!r}(0)" if rng.random() < 0.2 else f"{frame_rate!r}"
    text = "\n".join([f"r {count} {rate}{length}", *rows, "# a comment, Größe", ""])
    latin = rng.random() < 0.3 and "μ" not in text
    (folder / "r.hea").write_bytes(text.encode("latin-1" if latin else "utf-8"))
    return File(folder / "r", channels, 1e3, lambda p, leads: read_record(p, leads=leads), False)


# -- EDF, EDF+ and BDF ---------------------------------------------------------------------


def _field(text: str, width: int, rng: np.random.Generator) -> bytes:
    raw = text.encode("utf-8" if "μ" in text or rng.random() < 0.3 else "latin-1")
    assert len(raw) <= width, (text, width)
    return raw + (b"\0" if rng.random() < 0.15 else b" ") * (width - len(raw))


def edf(rng: np.random.Generator, folder: Path, *, wide: bool = False) -> File:
    """An EDF or BDF file: units, scales, rates, duplicates, types, annotations, padding."""
    count, records = int(rng.integers(1, 7)), int(rng.integers(2, 6))
    duration = str(rng.choice(["1", "0.5", "2", "0,25", "1.0"]))
    seconds = float(duration.replace(",", "."))
    base = int(rng.choice([64, 128, 200]))
    labels, channels, data, columns = _labels(rng, count), [], [], []
    top = 2**23 - 1 if wide else 2**15 - 1
    units = {unit: factor for unit, factor in VOLTS.items() if len(unit.encode()) <= 8}
    for label in labels:
        steps = base * (2 if rng.random() < 0.15 else 1)
        unit, factor = _unit(rng, units)
        low, high = -float(rng.integers(100, 9999)), float(rng.integers(100, 9999))
        if rng.random() < 0.1:
            low, high = high, low
        if undefined := rng.random() < 0.05:
            high = low
        first, last = (-top - 1, top) if rng.random() < 0.7 else (-int(top * 0.7), int(top * 0.9))
        d = rng.integers(first, last + 1, records * steps)
        texts = [f"{low:g}", f"{high:.1f}", str(first), str(last)]
        if rng.random() < 0.2:
            texts[1] = texts[1].replace(".", ",")
        slope = (high - low) / (last - first)
        values = None if factor is None or undefined else ((d - first) * slope + low) * factor
        channels.append(
            Written(
                label,
                values,
                steps / seconds,
                label not in NOT_EEG,
                undefined and factor is not None,
            )
        )
        data.append(d.reshape(records, steps))
        columns.append((label, unit, texts, steps))
    if rng.random() < 0.4:
        name = "BDF Annotations" if wide else "EDF Annotations"
        at = int(rng.integers(0, len(columns) + 1))
        columns.insert(at, (name, "", ["-1", "1", str(-top - 1), str(top)], 16))
        data.insert(at, np.zeros((records, 16), np.int64))
    size = str(256 * (len(columns) + 1))
    declared = str(records) if rng.random() < 0.8 else "-1"
    head = b"\xffBIOSEMI" if wide else _field("0", 8, rng)
    head += _field("X X X X", 80, rng) + _field("Startdate X X X X", 80, rng)
    head += b"01.01.2000.00.00" + _field(size, 8, rng) + _field("", 44, rng)
    head += _field(declared, 8, rng) + _field(duration, 8, rng) + _field(str(len(columns)), 4, rng)
    for width, texts in (
        (16, [one[0] for one in columns]),
        (80, [""] * len(columns)),
        (8, [one[1] for one in columns]),
        *((8, [one[2][k] for one in columns]) for k in range(4)),
        (80, [""] * len(columns)),
        (8, [str(one[3]) for one in columns]),
        (32, [""] * len(columns)),
    ):
        head += b"".join(_field(text, width, rng) for text in texts)
    stored = np.concatenate(data, axis=1).ravel()
    path = folder / ("r.bdf" if wide else "r.edf")
    path.write_bytes(head + encode(stored, "24" if wide else "16"))
    return File(path, channels, 1e6, _read_eeg)


def bdf(rng: np.random.Generator, folder: Path) -> File:
    """As :func:`edf` with 24 bits."""
    return edf(rng, folder, wide=True)


def _read_eeg(path: Path, channels: list[str] | None) -> object:
    return read_eeg(path, channels=channels, check=False)


# -- BrainVision ---------------------------------------------------------------------------


def brainvision(rng: np.random.Generator, folder: Path) -> File:
    """A BrainVision recording: number types, byte orders, orientations, units, code pages."""
    count, steps = int(rng.integers(1, 7)), int(rng.integers(20, 400))
    interval = float(rng.choice([3906.25, 2000, 4000, 1953.125]))
    kind = str(rng.choice(["INT_16", "UINT_16", "INT_32", "IEEE_FLOAT_32", "ASCII"]))
    big, vectorized = bool(rng.random() < 0.4), bool(rng.random() < 0.4)
    if kind == "IEEE_FLOAT_32":
        stored = rng.normal(0, 100, (steps, count)).astype(np.float32).astype(np.float64)
        stored[rng.integers(0, steps), 0] = np.nan
    else:
        low, high = (0, 2**16) if kind == "UINT_16" else (-(2**15), 2**15)
        stored = rng.integers(low, high, (steps, count)).astype(np.float64)
    labels, channels, lines = _labels(rng, count), [], []
    for i, label in enumerate(labels):
        unit, factor = _unit(rng, VOLTS)
        resolution = str(rng.choice(["0.1", "0.0488281", "0.5", "1", "", "1e-2", "-0.1"]))
        defined = rng.random() > 0.05
        if rng.random() < 0.1:
            unit, factor = "", 1e-6  # an empty unit stands for microvolt
        values = None
        if factor is not None and defined:
            values = stored[:, i] * float(resolution or 1) * factor
        lines.append(f"Ch{i + 1}={label},,{resolution if defined else '0'},{unit}")
        channels.append(
            Written(
                label,
                values,
                1e6 / interval,
                label not in NOT_EEG,
                factor is not None and not defined,
            )
        )
    common = [
        *("Codepage=UTF-8", "DataFile=$b.eeg", f"SamplingInterval={interval!r}"),
        f"NumberOfChannels={count}",
        f"DataOrientation={'VECTORIZED' if vectorized else 'MULTIPLEXED'}",
        f"DataFormat={'ASCII' if kind == 'ASCII' else 'BINARY'}",
        *([f"DataPoints={steps}"] if rng.random() < 0.5 else []),
    ]
    rng.shuffle(common)
    said = str(rng.choice(["YES", "yes"])) if big else str(rng.choice(["NO", ""]))
    order = f"UseBigEndianOrder={said}" if said else "; nothing said"
    comma = bool(rng.random() < 0.5)
    infos = ["[Binary Infos]", f"BinaryFormat={kind}", order]
    if kind == "ASCII":
        symbol = "," if comma else "."
        skip = [f"SkipLines={1 - vectorized:d}", f"SkipColumns={vectorized:d}"]
        infos = ["[ASCII Infos]", f"DecimalSymbol={symbol}", *skip]
    text = "\n".join(
        [
            "Brain Vision Data Exchange Header File Version 1.0",
            *("", "; a comment", "[Common Infos]", *common, *infos, "[Channel Infos]", *lines),
            *("[Coordinates]", "Ch1=1,0,0", "[Comment]", "DataFile=elsewhere.eeg", "Ch1=x,,9,mV"),
        ]
    )
    ansi = rng.random() < 0.4 and "μ" not in text
    text = text.replace("UTF-8", "ANSI") if ansi else text
    (folder / "r.vhdr").write_bytes(text.encode("latin-1" if ansi else "utf-8"))
    values = stored.T if vectorized else stored
    if kind == "ASCII":
        rows = [" ".join(f"{value:.1f}" for value in row) for row in values]
        rows = (
            [f"{name.split()[0]} {row}" for name, row in zip(labels, rows, strict=False)]
            if vectorized
            else [" ".join(["x"] * count), *rows]
        )
        content = "\n".join(rows) + "\n"
        (folder / "r.eeg").write_text(content.replace(".", ",") if comma else content)
    else:
        code = {"INT_16": "i2", "UINT_16": "u2", "INT_32": "i4", "IEEE_FLOAT_32": "f4"}[kind]
        (folder / "r.eeg").write_bytes(values.astype((">" if big else "<") + code).tobytes())
    return File(folder / "r.vhdr", channels, 1e6, _read_eeg)


# -- FIF and SET ---------------------------------------------------------------------------


def fif(rng: np.random.Generator, folder: Path) -> File:
    """A FIF recording by MNE: types, number types, one of two multipliers of the unit."""
    import mne

    count, rate = int(rng.integers(1, 6)), float(rng.choice([100.0, 128.0, 250.0]))
    names = [str(one) for one in rng.permutation([*SCALP, *NOT_EEG])[:count]]
    kinds = [str(one) for one in rng.choice(["eeg", "eeg", "ecg", "eog", "misc"], count)]
    values = rng.normal(0, 3e-5, (count, int(rng.integers(20, 400))))
    info = mne.create_info(names, rate, kinds)
    form = str(rng.choice(["single", "double"]))
    mne.io.RawArray(values, info, verbose="error").save(
        folder / "r_raw.fif", fmt=form, overwrite=True, verbose="error"
    )
    channels = [
        Written(name, None if kind == "misc" else row, rate, kind == "eeg")
        for name, kind, row in zip(names, kinds, values, strict=True)
    ]
    return File(folder / "r_raw.fif", channels, 1e6, _read_eeg)


def eeglab(rng: np.random.Generator, folder: Path) -> File:
    """An EEGLAB recording, which holds microvolt."""
    from tests.data_loaders.eeg_writers import write_set

    count, rate = int(rng.integers(2, 6)), float(rng.choice([100.0, 128.0, 250.0]))
    names = [str(one) for one in rng.permutation([*SCALP, *NOT_EEG])[:count]]
    values = rng.normal(0, 30, (int(rng.integers(20, 400)), count)).astype(np.float32)
    path = write_set(folder / "r.set", values, names, rate)
    channels = [
        Written(name, values[:, i].astype(np.float64) * 1e-6, rate, name not in NOT_EEG)
        for i, name in enumerate(names)
    ]
    return File(path, channels, 1e6, _read_eeg)


FORMATS = {
    **{"WFDB": wfdb, "EDF": edf, "BDF": bdf, "BrainVision": brainvision},
    **{"FIF": fif, "SET": eeglab},
}


def run(name: str, count: int) -> None:
    """Write and check ``count`` files of a format.

    Raises:
        AssertionError: names the seed of the first file that is read otherwise.
    """
    for seed in range(count):
        with tempfile.TemporaryDirectory() as folder:
            file = FORMATS[name](np.random.default_rng([seed, len(name)]), Path(folder))
            try:
                check(file)
            except Exception as error:
                raise AssertionError(f"{name}, seed {seed}: {error}") from error


if __name__ == "__main__":
    for one in sys.argv[2:] or FORMATS:
        run(one, int(sys.argv[1]))
        sys.stdout.write(f"{one}: {sys.argv[1]} files read as they were written\n")
