from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_loaders.eeg.channels import canonical_channel
from data_loaders.eeg.recording import filter_recording, read_eeg
from data_loaders.record_log import RecordError
from data_loaders.signals import EEG, Recording
from tests.data_loaders.eeg_writers import brainlike, write_brainvision, write_edf, write_set
from tscl.errors import InputError

NAMES = ["Fp1", "Cz", "T3", "O2"]
RATE = 256.0


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    return brainlike(int(6 * RATE), len(NAMES))


@pytest.fixture
def edf(tmp_path: Path, signal: np.ndarray) -> Path:
    return write_edf(tmp_path / "a.edf", signal, NAMES, RATE)


def patch(path: Path, at: int, new: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[at : at + len(new)] = new
    path.write_bytes(bytes(data))
    return path


def refuses(path: Path, reason: str, **settings: object) -> RecordError:
    with pytest.raises(RecordError) as caught:
        read_eeg(path, **settings)
    assert caught.value.reason == reason, caught.value
    return caught.value


def make(kind: str, folder: Path, signal: np.ndarray) -> Path:
    if kind == "fif":
        import mne

        info = mne.create_info(NAMES, RATE, "eeg")
        mne.io.RawArray(signal.T * 1e-6, info, verbose="error").save(
            folder / "a_raw.fif", fmt="double", verbose="error"
        )
        return folder / "a_raw.fif"
    if kind == "vhdr":
        return write_brainvision(folder / "a.vhdr", signal, NAMES, RATE)
    if kind == "set":
        pytest.importorskip("pymatreader", reason="the eeglab extra is not installed")
        return write_set(folder / "a.set", signal, NAMES, RATE)
    return write_edf(folder / f"a.{kind}", signal, NAMES, RATE, bdf=kind == "bdf")


@pytest.mark.parametrize("kind", ["edf", "bdf", "vhdr", "fif", "set"])
def test_every_format_gives_the_same_microvolts(
    kind: str, tmp_path: Path, signal: np.ndarray
) -> None:
    if kind == "bdf":
        import edfio

        if not hasattr(edfio, "Bdf"):
            pytest.skip("this edfio writes no BDF")
    got = read_eeg(make(kind, tmp_path, signal))
    assert got.channels == tuple(NAMES)
    assert got.rate == RATE
    assert got.signal.dtype == np.float32
    np.testing.assert_allclose(got.signal, signal, atol=2e-3)


@pytest.mark.parametrize("unit", ["mV", "V"])
def test_a_unit_in_the_header_is_converted(unit: str, tmp_path: Path, signal: np.ndarray) -> None:
    factor = {"mV": 1e3, "V": 1e6}[unit]
    big = signal * 1e3 if unit == "mV" else signal * 1e6
    path = write_edf(tmp_path / "u.edf", big / factor, NAMES, RATE, unit=unit)
    assert float(read_eeg(path, check=False).signal.std()) == pytest.approx(
        float(big.std()), rel=0.05
    )


def test_channels_come_in_the_order_asked_for_and_old_names_match(edf: Path) -> None:
    whole = read_eeg(edf).signal
    got = read_eeg(edf, channels=["EEG O2-REF", "T7", "FP1"])
    assert got.channels == ("EEG O2-REF", "T7", "FP1")
    np.testing.assert_array_equal(got.signal, whole[:, [3, 2, 0]])
    assert canonical_channel("Fc5.") == "FC5"


def test_a_missing_channel_is_named(edf: Path) -> None:
    assert "Pz" in refuses(edf, "missing_channel", channels=["Cz", "Pz"]).detail


def test_a_channel_that_fits_twice_is_refused(tmp_path: Path, signal: np.ndarray) -> None:
    path = write_edf(tmp_path / "t.edf", signal[:, :2], ["T3", "T7"], RATE)
    assert read_eeg(path, channels=["T3"]).channels == ("T3",)
    assert "2 times" in refuses(path, "missing_channel", channels=["EEG T3"]).detail


def test_channels_must_be_a_list_of_different_names(edf: Path) -> None:
    for bad in ("Cz", [], ["Cz", "Cz"]):
        with pytest.raises(InputError, match="channels"):
            read_eeg(edf, channels=bad)


def test_truncated_edf(edf: Path) -> None:
    edf.write_bytes(edf.read_bytes()[:-3000])
    assert "of 6 data records" in refuses(edf, "truncated_dat").detail


def test_an_edf_longer_than_its_header(edf: Path) -> None:
    edf.write_bytes(edf.read_bytes() + b"\0" * 5000)
    refuses(edf, "length_mismatch")


@pytest.mark.parametrize(
    ("at", "new", "reason"),
    [
        (0, b"garbage ", "bad_header"),
        (184, b"9999    ", "bad_header"),
        (236, b"x       ", "bad_header"),
        (236, b"-7      ", "bad_header"),
        (236, b"99999999", "truncated_dat"),
        (244, b"nan     ", "bad_header"),
        (244, b"-1      ", "bad_header"),
        (252, b"4000", "bad_header"),
        (192, b"EDF+D", "unsupported_format"),
        (256 + 216 * 4, b"bad     ", "bad_header"),
        (256 + 216 * 4, b"-5      ", "bad_header"),
        (256 + 96 * 4, b"degC    ", "unit_suspect"),
    ],
)
def test_wrong_header_bytes(edf: Path, at: int, new: bytes, reason: str) -> None:
    settings = {"channels": NAMES} if reason == "unit_suspect" else {}
    refuses(patch(edf, at, new), reason, **settings)


def test_a_signal_that_is_no_voltage_is_left_out_and_noted(edf: Path) -> None:
    got = read_eeg(patch(edf, 256 + 96 * 4, b"degC    "))
    assert got.channels == ("Cz", "T3", "O2")
    assert "Fp1" in got.notes[0]


@pytest.mark.parametrize("size", [0, 100, 300, 1000])
def test_an_edf_cut_within_its_header(edf: Path, size: int) -> None:
    edf.write_bytes(edf.read_bytes()[:size])
    refuses(edf, "bad_header")


def test_mixed_rates_in_one_file(tmp_path: Path, signal: np.ndarray) -> None:
    path = write_edf(tmp_path / "m.edf", signal, NAMES, RATE, rates=[256, 256, 128, 128])
    assert "128, 256" in refuses(path, "mixed_rate").detail
    got = read_eeg(path, channels=["O2", "T3"])
    assert got.rate == 128
    assert len(got.signal) == 6 * 128


def test_missing_files_and_formats(tmp_path: Path) -> None:
    refuses(tmp_path / "none.edf", "missing_signal")
    refuses(tmp_path / "none.xyz", "unsupported_format")


@pytest.mark.parametrize(("kind", "keep"), [("fif", 500), ("set", 900), ("fif", 0), ("set", 0)])
def test_a_file_that_cannot_be_decoded(
    kind: str, keep: int, tmp_path: Path, signal: np.ndarray
) -> None:
    path = make(kind, tmp_path, signal)
    path.write_bytes(path.read_bytes()[:keep])
    refuses(path, "corrupt_file")


@pytest.mark.parametrize("kind", ["edf", "vhdr", "fif"])
def test_random_damage_gives_a_named_error_or_a_recording(
    kind: str, tmp_path: Path, signal: np.ndarray
) -> None:
    path = make(kind, tmp_path, signal)
    good, rng, refused = path.read_bytes(), np.random.default_rng(1), 0
    for _ in range(40):
        data = bytearray(good)
        for at in rng.integers(min(len(data), 1600), size=3):
            data[at] = rng.choice(list(b"019 -x.\0\xff"))
        path.write_bytes(bytes(data))
        try:
            assert read_eeg(path, check=False).signal.ndim == 2
        except RecordError:
            refused += 1
    assert refused > 0


def test_brainvision_headers_are_checked(tmp_path: Path, signal: np.ndarray) -> None:
    path = write_brainvision(tmp_path / "b.vhdr", signal, NAMES, RATE)
    text, data = path.read_text(), path.with_suffix(".eeg").read_bytes()

    path.with_suffix(".eeg").write_bytes(data[:-16])
    refuses(path, "truncated_dat")
    path.with_suffix(".eeg").write_bytes(data[:-3])
    refuses(path, "truncated_dat")
    path.with_suffix(".eeg").write_bytes(data + b"\0" * 16)
    refuses(path, "length_mismatch")
    path.with_suffix(".eeg").unlink()
    refuses(path, "missing_signal")
    path.with_suffix(".eeg").write_bytes(data)
    for line, reason in [
        ("DataFile=../b.eeg", "unsafe_path"),
        ("DataFile=/etc/passwd", "unsafe_path"),
        ("DataFile=c:b.eeg", "unsafe_path"),
        ("DataFile=other.eeg", "missing_signal"),
    ]:
        path.write_text(text.replace("DataFile=b.eeg", line))
        refuses(path, reason)
    for old, new in [
        ("Brain Vision", "Something"),
        ("NumberOfChannels=4", "NumberOfChannels=x"),
        ("NumberOfChannels=4", "NumberOfChannels=0"),
        ("IEEE_FLOAT_32", "WHAT"),
    ]:
        path.write_text(text.replace(old, new))
        refuses(path, "bad_header")


def recording(signal: np.ndarray) -> Recording:
    return Recording("r", signal.astype(np.float32), RATE, tuple(NAMES), EEG)


def test_filters_take_out_what_they_should() -> None:
    time = np.arange(2560) / RATE
    parts = {f: np.sin(2 * np.pi * f * time) for f in (2.0, 20.0, 50.0, 100.0)}
    mixed = np.stack([sum(parts.values())] * 4, axis=1)
    got = filter_recording(recording(mixed), band=(8, 70), notch=50).signal[:, 0]
    middle = slice(512, -512)
    np.testing.assert_allclose(got[middle], parts[20.0][middle], atol=0.03)


def test_resampling_does_not_alias() -> None:
    time = np.arange(5000) / 500.0
    mixed = np.stack([np.sin(2 * np.pi * 20 * time) + np.sin(2 * np.pi * 200 * time)], axis=1)
    got = filter_recording(
        Recording("r", mixed.astype(np.float32), 500.0, ("Cz",), EEG), target_rate=256
    )
    assert got.rate == 256
    assert got.signal.shape == (2560, 1)
    wanted = np.sin(2 * np.pi * 20 * np.arange(2560) / 256)
    np.testing.assert_allclose(got.signal[256:-256, 0], wanted[256:-256], atol=0.01)


def test_impossible_filters_are_refused(signal: np.ndarray) -> None:
    for settings in (
        {"band": (40, 10)},
        {"band": (0.5, 128)},
        {"band": (-1, None)},
        {"notch": 130},
        {"target_rate": 0},
        {"target_rate": float("nan")},
    ):
        with pytest.raises(InputError):
            filter_recording(recording(signal), **settings)


def test_a_channel_without_unit_and_a_record_without_file_are_told_plainly(tmp_path):
    write_edf(tmp_path / "x.edf", brainlike(256, 2, rate=64.0), ["Fp1", "O2"], 64.0, unit="")
    with pytest.raises(RecordError, match=r"unit_suspect\]: channel Fp1 has no unit; correct"):
        read_eeg(tmp_path / "x.edf")
    with pytest.raises(RecordError, match=r"missing_signal\]: no file y, with an ending of \.edf"):
        read_eeg(tmp_path / "y")


def test_a_label_twice_is_refused_only_when_asked_for(tmp_path: Path, signal: np.ndarray) -> None:
    path = write_edf(tmp_path / "d.edf", signal, ["T8-P8", "Cz", "T8-P8", "-"], RATE)
    got = read_eeg(path)
    assert got.channels == ("T8-P8-0", "Cz", "T8-P8-1")
    np.testing.assert_allclose(got.signal, signal[:, :3], atol=2e-3)
    np.testing.assert_array_equal(read_eeg(path, channels=["Cz"]).signal, got.signal[:, 1:2])
    assert "T8-P8 (2 times)" in refuses(path, "missing_channel", channels=["T8-P8"]).detail


@pytest.mark.parametrize("kind", ["edf", "vhdr", "set"])
def test_types_are_told_by_standard_labels(kind: str, tmp_path: Path, signal: np.ndarray) -> None:
    labels = ["EEG Fpz-Cz", "ECG I", "EOG horizontal", "Resp oro-nasal"]
    if kind == "edf":
        path = write_edf(tmp_path / "t.edf", signal, labels, RATE)
    elif kind == "vhdr":
        path = write_brainvision(tmp_path / "t.vhdr", signal, labels, RATE)
    else:
        pytest.importorskip("pymatreader", reason="the eeglab extra is not installed")
        path = write_set(tmp_path / "t.set", signal, labels, RATE)
    assert read_eeg(path).channels == ("EEG Fpz-Cz",)
    assert read_eeg(path, channels=labels[:2]).channels == tuple(labels[:2])


def test_a_scale_that_is_not_defined_is_refused(edf: Path, signal: np.ndarray) -> None:
    n = len(NAMES)
    low = edf.read_bytes()[256 + 104 * n : 256 + 104 * n + 8]
    path = patch(edf, 256 + 112 * n, low)  # physical maximum of Fp1 as its minimum
    assert "Fp1 has no defined scale" in refuses(path, "unit_suspect").detail
    assert read_eeg(path, channels=["Cz"]).channels == ("Cz",)
    text = write_brainvision(edf.with_suffix(".vhdr"), signal, NAMES, RATE).read_text()
    for scale in ("0", "nan", "x"):
        edf.with_suffix(".vhdr").write_text(text.replace("Ch2=Cz,,1", f"Ch2=Cz,,{scale}"))
        assert "Cz" in refuses(edf.with_suffix(".vhdr"), "unit_suspect").detail


def test_a_reference_in_a_name_is_part_of_it(tmp_path: Path, signal: np.ndarray) -> None:
    path = write_edf(tmp_path / "r.edf", signal, ["C3-M2", "C4-M1", "O1-REF", "A1-A2"], RATE)
    for wanted in ("C3-M1", "C3-A2", "O1-M1", "A1", "A2"):
        refuses(path, "missing_channel", channels=[wanted])
    got = read_eeg(path, channels=["C3", "EEG C4-M1", "O1"])
    np.testing.assert_allclose(got.signal, signal[:, :3], atol=2e-3)
    assert got.notes == ("another name in the file: C3 is C3-M2",)
