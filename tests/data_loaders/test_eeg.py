from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_loaders.eeg.channels import canonical_channel
from data_loaders.eeg.protocol import EEGFile, EEGProtocol, load_eeg_files
from data_loaders.eeg.recording import EEGRecording, check_quality, filter_recording, read_eeg
from data_loaders.record_log import RecordError
from tests.data_loaders.eeg_writers import brainlike, write_brainvision, write_edf, write_set
from tscl.errors import DataError, InputError

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
        (256 + 16, b"Fp1             ", "bad_header"),
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


def recording(signal: np.ndarray) -> EEGRecording:
    return EEGRecording("r", signal.astype(np.float32), RATE, tuple(NAMES))


def test_short_gaps_are_filled_and_noted_long_ones_refused(signal: np.ndarray) -> None:
    gappy = signal.astype(np.float32)
    gappy[100:110, 1] = np.nan
    got = check_quality(recording(gappy))
    np.testing.assert_allclose(
        got.signal[100:110, 1],
        np.interp(np.arange(100, 110), [99, 110], gappy[[99, 110], 1]),
        rtol=1e-5,
    )
    assert got.notes == ("10 missing values filled",)
    assert np.isnan(gappy[100, 1])
    for start, stop in [(100, 140), (0, None)]:
        gappy[start:stop, 1] = np.nan
        with pytest.raises(RecordError, match="Cz") as caught:
            check_quality(recording(gappy))
        assert caught.value.reason == "nan_gap"


def test_flat_channels(signal: np.ndarray) -> None:
    flat = signal.copy()
    flat[500:1100, 2] = 3.0
    check_quality(recording(flat))
    flat[300:1100, 2] = 3.0
    with pytest.raises(RecordError, match="T3") as caught:
        check_quality(recording(flat))
    assert caught.value.reason == "flat_lead"
    check_quality(recording(flat), max_flat=0.6)


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_volt_and_microvolt_confused(signal: np.ndarray, factor: float) -> None:
    with pytest.raises(RecordError) as caught:
        check_quality(recording(signal * factor + 5 * factor))
    assert caught.value.reason == "unit_suspect"
    check_quality(recording(signal + 1e4))


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
        EEGRecording("r", mixed.astype(np.float32), 500.0, ("Cz",)), target_rate=256
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


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75, 0.9])
def test_samples_of_a_trial_by_an_explicit_loop(overlap: float) -> None:
    signal = np.arange(2 * 640, dtype=np.float32)[:, None]
    samples, trial = EEGProtocol(5.0, 128, overlap).cut(signal, 128.0)
    step = 128 - round(128 * overlap)
    wanted = [
        signal[number * 640 + start : number * 640 + start + 128]
        for number in range(2)
        for start in range(0, 640 - 128 + 1, step)
    ]
    np.testing.assert_array_equal(samples, np.stack(wanted))
    assert trial.tolist() == sorted(trial.tolist())
    assert np.bincount(trial).tolist() == [len(wanted) // 2] * 2


def test_a_list_of_files_logs_every_one(tmp_path: Path, signal: np.ndarray) -> None:
    files = []
    for i, patient in enumerate(["a", "a", "b", "c", "d", "e", "f", "g"]):
        values = brainlike(len(signal), 4, seed=i)
        names, rate = NAMES, RATE
        if i == 3:
            values = brainlike(len(signal), 4, seed=0)
        if i == 6:
            names = ["Fp1", "Cz", "T3", "Pz"]
        if i == 7:
            rate = 128.0
        path = write_edf(tmp_path / f"{i}.edf", values, names, rate)
        files.append(EEGFile(path, patient, "x" if i % 2 else "y", f"{i}"))
    files[4].path.write_bytes(files[4].path.read_bytes()[:-900])
    files[5] = EEGFile(files[5].path, "e", "another", "5")
    data = load_eeg_files(files, EEGProtocol(2.0, 256), label_names=("y", "x"))
    assert data.log is not None
    table = data.log.table.set_index("record")
    assert table.loc[["0", "1", "2"], "status"].eq("ok").all()
    assert table["reason"].to_dict() == {
        **{"0": "", "1": "", "2": "", "3": "duplicate_record", "4": "truncated_dat"},
        **{"5": "no_label", "6": "missing_channel", "7": "mixed_rate"},
    }
    assert data.X.shape == (3 * 3 * 3, 256, 4)
    assert sorted(set(data.patient.tolist())) == ["a", "b"]
    assert data.label[data.trial == "1#0"].tolist() == [1, 1, 1]
    assert len(set(data.trial.tolist())) == 9
    with pytest.raises(RecordError, match="duplicate_record"):
        load_eeg_files(files, EEGProtocol(2.0, 256), label_names=("y", "x"), strict=True)
    with pytest.raises(DataError, match="too_short"):
        load_eeg_files(files[:3], EEGProtocol(7.0, 256), label_names=("y", "x"))


def test_standardising_a_trial_uses_that_trial_only() -> None:
    signal = brainlike(512, 2).astype(np.float32)
    signal[256:] *= 100
    samples, _ = EEGProtocol(1.0, 256, 0.0, standardize="trial").cut(signal, 256.0)
    np.testing.assert_allclose(samples.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(samples.std(axis=1), 1, atol=1e-4)


def test_a_channel_without_unit_and_a_record_without_file_are_told_plainly(tmp_path):
    write_edf(tmp_path / "x.edf", brainlike(256, 2, rate=64.0), ["Fp1", "O2"], 64.0, unit="")
    with pytest.raises(RecordError, match=r"unit_suspect\]: channel Fp1 has no unit; correct"):
        read_eeg(tmp_path / "x.edf")
    with pytest.raises(RecordError, match=r"missing_signal\]: no file y, with an ending of \.edf"):
        read_eeg(tmp_path / "y")
