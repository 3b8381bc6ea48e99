from pathlib import Path

import numpy as np
import pytest

from data_loaders import RecordError
from data_loaders.ecg.records import list_records, match_leads, read_record
from data_loaders.vetting.paths import inside
from tests.data_loaders.wfdb_files import bumps, edit_header, write_record
from tscl.errors import InputError


@pytest.fixture
def record(tmp_path):
    signal, _ = bumps(n_leads=2, seconds=4)
    return write_record(tmp_path, "r1", signal, leads=["I", "II"], comments=["Name: Jane Doe"])


def reason_of(path: Path, **kwargs) -> str:
    with pytest.raises(RecordError) as caught:
        read_record(path, **kwargs)
    assert "Jane" not in str(caught.value)
    return caught.value.reason


def test_reads_values_in_millivolt(record):
    signal, _ = bumps(n_leads=2, seconds=4)
    read = read_record(record)
    np.testing.assert_allclose(read.signal, signal, atol=6e-4)
    assert read.signal.dtype == np.float32
    assert (read.rate, read.channels) == (250.0, ("I", "II"))
    assert "Jane" not in repr(read)


def test_microvolt_headers_are_converted(tmp_path):
    signal, _ = bumps(n_leads=1, seconds=4)
    path = write_record(tmp_path, "r", signal * 1000, unit="uV", gain=1.0)
    read = read_record(path)
    np.testing.assert_allclose(read.signal, signal, atol=6e-4)
    assert read.notes == ("converted from uV to mV",)


def test_missing_header(tmp_path, record):
    assert reason_of(tmp_path / "none") == "missing_header"


def test_a_record_of_another_format_is_told_by_its_ending(tmp_path):
    (tmp_path / "r[1].edf").write_bytes(b"0")
    with pytest.raises(RecordError, match=r"no file r\[1\]\.hea; there is r\[1\]\.edf"):
        read_record(tmp_path / "r[1]")


def test_missing_signal_file(record):
    record.with_suffix(".dat").unlink()
    assert reason_of(record) == "missing_signal"


def test_truncated_signal_file(record):
    file = record.with_suffix(".dat")
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(RecordError, match="holds 990 of 1000 samples") as caught:
        read_record(record)
    assert caught.value.reason == "truncated_dat"


def test_signal_longer_than_header(record):
    edit_header(record, "r1 2 250 1000", "r1 2 250 900")
    assert reason_of(record) == "length_mismatch"


@pytest.mark.parametrize(
    "name", ["../r1.dat", "/etc/passwd", "sub/r1.dat", "..\\r1.dat", "c:r1.dat", "s3://x/r1.dat"]
)
def test_signal_file_outside_the_folder_is_refused_before_reading(record, name, monkeypatch):
    edit_header(record, "r1.dat", name)
    monkeypatch.setattr("wfdb.rdrecord", lambda *a, **k: pytest.fail("was read"))
    assert reason_of(record) in ("unsafe_path", "bad_header")


def test_size_declared_by_header_is_not_allocated(record, monkeypatch):
    edit_header(record, "r1 2 250 1000", "r1 2 250 900000000000")
    monkeypatch.setattr("wfdb.rdrecord", lambda *a, **k: pytest.fail("was read"))
    assert reason_of(record) == "truncated_dat"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("r1 2 250 1000", "", "bad_header"),
        ("r1 2 250 1000", "r1 3 250 1000", "bad_header"),
        ("r1 2 250 1000", "r1 2 0 1000", "bad_header"),
        ("r1.dat 16 ", "r1.dat 516 ", "unsupported_format"),
        ("/mV", "/mmHg", "unit_suspect"),
    ],
)
def test_bad_headers(record, old, new, reason):
    edit_header(record, old, new)
    assert reason_of(record) == reason


def test_records_of_several_segments_are_named(record):
    record.with_suffix(".hea").write_text("r1/2 2 250 1000\na 500\nb 500\n")
    assert reason_of(record) == "unsupported_format"


def test_header_of_noise_and_of_absurd_size(record):
    header = record.with_suffix(".hea")
    header.write_bytes(bytes(range(256)) * 4)
    assert reason_of(record) == "bad_header"
    header.write_bytes(b"# x\n" * 300000)
    assert reason_of(record) == "bad_header"


def test_changed_sample_differs_from_checksum(record):
    file = record.with_suffix(".dat")
    raw = bytearray(file.read_bytes())
    raw[100] ^= 1
    file.write_bytes(bytes(raw))
    assert reason_of(record) == "corrupt_file"
    assert read_record(record, checksum=False).signal.shape == (1000, 2)


def test_names_from_files_stay_inside(tmp_path):
    assert inside(tmp_path, "a/b", "r") == tmp_path / "a" / "b"
    for bad in ("../x", "/x", "a/../../x", "", "a\0b", "C:\\x", "..\\x"):
        with pytest.raises(RecordError, match="unsafe_path"):
            inside(tmp_path, bad, "r")


def test_list_records_from_file_or_headers(tmp_path):
    signal, _ = bumps(seconds=2)
    write_record(tmp_path / "p2", "b", signal)
    write_record(tmp_path / "p1", "a", signal)
    assert list_records(tmp_path) == ["p1/a", "p2/b"]
    (tmp_path / "RECORDS").write_text("p2/b\n\n")
    assert list_records(tmp_path) == ["p2/b"]


def test_real_mitbih_records_read(shared_data):
    for name in ("100", "114"):
        read = read_record(shared_data / "mitdb-24" / name)
        assert read.signal.shape == (650000, 2)
        assert read.rate == 360
    np.testing.assert_allclose(read.signal[0, 0], (1015 - 1024) / 200, atol=1e-6)


def test_choose_leads_by_name_order_and_alternatives():
    labels = ("V5", "MLII", "aVR", "V1")
    got = match_leads("r", labels, ["mlii", "AVR"])
    assert got == [1, 2]
    got = match_leads("r", labels, ["V2|V5", "V5|V1"])
    assert got == [0, 3]
    with pytest.raises(RecordError, match=r"missing_lead.*no lead V3; it has V5, MLII") as caught:
        match_leads("r", labels, ["V3"])
    assert caught.value.reason == "missing_lead"
    for bad in ([], "MLII"):
        with pytest.raises(InputError, match="leads"):
            match_leads("r", labels, bad)


def write_bytes(folder, header, samples):
    (folder / "r.dat").write_bytes(np.asarray(samples).astype("<i2").tobytes())
    (folder / "r.hea").write_text(header)
    return folder / "r"


def test_a_skew_shifts_a_lead_and_its_checksum_is_that_of_the_file(tmp_path):
    d = np.arange(40).reshape(20, 2) + 100
    first, second = d[:, 0].sum(), d[:, 1].sum()
    header = f"r 2 250 20\nr.dat 16 200 16 0 0 {first} 0 I\nr.dat 16:3 200 16 0 0 {{}} 0 II\n"
    path = write_bytes(tmp_path, header.format(second), d)
    got = read_record(path).signal
    np.testing.assert_allclose(got[:, 0], d[:, 0] / 200, rtol=1e-6)
    np.testing.assert_allclose(got[:17, 1], d[3:, 1] / 200, rtol=1e-6)
    assert np.isnan(got[17:, 1]).all()
    write_bytes(tmp_path, header.format(d[3:, 1].sum()), d)
    assert reason_of(path) == "corrupt_file"
    np.testing.assert_array_equal(read_record(path, leads=["I"]).signal, got[:, :1])


def test_frames_of_several_samples_are_read_at_the_leads_own_rate(tmp_path):
    frames = np.arange(5 * 257).reshape(5, 257)
    header = "r 2 0.9765625 5\nr.dat 16x256 200/mV 16 0 0 0 0 II\nr.dat 16 2/bpm 16 0 0 0 0 HR\n"
    path = write_bytes(tmp_path, header, frames)
    for leads in (None, ["II"]):
        got = read_record(path, leads=leads)
        assert (got.rate, got.channels) == (250.0, ("II",))
        np.testing.assert_allclose(got.signal[:, 0], frames[:, :256].ravel() / 200, rtol=1e-6)
    with pytest.raises(RecordError, match="lead HR is given in 'bpm'"):
        read_record(path, leads=["HR"])


def test_a_lead_needs_a_gain_only_when_it_is_used(tmp_path):
    d = np.arange(40).reshape(20, 2)
    header = "r 2 250 20\nr.dat 16 200 16 0 0 0 0 I\nr.dat 16 {} 16 0 0 0 0 II\n"
    for gain in ("0", "0/mV", "(5)/mV"):
        path = write_bytes(tmp_path, header.format(gain), d)
        assert read_record(path, leads=["I"]).channels == ("I",)
        with pytest.raises(RecordError, match="lead II has no defined scale") as caught:
            read_record(path)
        assert caught.value.reason == "unit_suspect"
    (tmp_path / "r.hea").write_text("r 2 250 20\nr.dat 16\nr.dat 16\n")
    assert reason_of(path) == "unit_suspect"


def test_two_leads_of_one_name_are_refused_only_when_asked_for(tmp_path):
    d = np.arange(60).reshape(20, 3)
    lines = [f"r.dat 16 200 16 0 0 0 0 {name}" for name in ("II", "V1", "II")]
    path = write_bytes(tmp_path, "\n".join(["r 3 250 20", *lines, ""]), d)
    assert read_record(path).channels == ("II-0", "V1", "II-1")
    got = read_record(path, leads=["ii-1", "v1"])
    np.testing.assert_allclose(got.signal, d[:, [2, 1]] / 200, rtol=1e-6)
    with pytest.raises(RecordError, match="2 leads II: say II-0 or II-1") as caught:
        read_record(path, leads=["II"])
    assert caught.value.reason == "missing_lead"


def test_files_of_signals_that_are_not_used_may_be_missing(tmp_path):
    d = np.arange(20)
    header = "r 2 250 20\nr.dat 16 200 16 0 0 0 0 I\nother.dat 516 200 16 0 0 0 0 II\n"
    path = write_bytes(tmp_path, header, d)
    np.testing.assert_allclose(read_record(path, leads=["I"]).signal[:, 0], d / 200, rtol=1e-6)
    assert reason_of(path) == "unsupported_format"
