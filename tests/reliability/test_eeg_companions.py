"""EEG files that name other files: data beside SET files, parts of FIF files, links of HDF5."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from data_loaders import RecordError, read_eeg
from data_loaders.vetting.hdf5 import check_hdf5
from tests.data_loaders.eeg_writers import brainlike, write_set, write_set_hdf5

NAMES, RATE = ["Fp1", "O2"], 64.0
SIGNAL = brainlike(256, 2, rate=RATE)


def write_named(path: Path, data: str, n_steps: int = 256) -> Path:
    """A SET file whose data are said to be in another file."""
    from scipy.io import loadmat, savemat

    write_set(path, SIGNAL[:n_steps], NAMES, RATE)
    content = loadmat(path, struct_as_record=True)
    head = {key: content["EEG"][key][0, 0] for key in content["EEG"].dtype.names}
    savemat(path, {"EEG": head | {"data": data, "pnts": n_steps}}, appendmat=False)
    return path


def test_a_set_file_is_read_with_its_data_beside_it(tmp_path):
    SIGNAL.astype("<f4").tofile(tmp_path / "x.fdt")
    found = read_eeg(write_named(tmp_path / "x.set", "x.fdt"))
    np.testing.assert_allclose(found.signal, SIGNAL, atol=1e-4)


@pytest.mark.parametrize("name", ["../out.fdt", "{root}/out.fdt", "in/../../out.fdt"])
def test_a_set_file_names_data_of_its_folder_only(tmp_path, name):
    SIGNAL.astype("<f4").tofile(tmp_path / "out.fdt")
    (tmp_path / "in/in").mkdir(parents=True)
    path = write_named(tmp_path / "in/x.set", name.format(root=tmp_path))
    with pytest.raises(RecordError, match="unsafe_path"):
        read_eeg(path)


@pytest.mark.parametrize(
    ("data", "n_steps", "reason"),
    [
        ("x.fdt", 200, "length_mismatch"),
        ("y.fdt", 256, "missing_signal"),
        ("x.dat", 256, "unsupported_format"),
    ],
)
def test_data_beside_a_set_file_are_held_against_its_header(tmp_path, data, n_steps, reason):
    if data == "x.fdt":
        SIGNAL.astype("<f4").tofile(tmp_path / "x.fdt")
    with pytest.raises(RecordError, match=reason):
        read_eeg(write_named(tmp_path / "x.set", data, n_steps))


def test_data_beside_a_set_file_cut_short(tmp_path):
    SIGNAL[:200].astype("<f4").tofile(tmp_path / "x.fdt")
    with pytest.raises(RecordError, match=r"truncated_dat.*200 steps.*says 256"):
        read_eeg(write_named(tmp_path / "x.set", "x.fdt"))


def test_a_set_file_of_epochs_is_told_from_a_damaged_one(tmp_path):
    from scipy.io import loadmat, savemat

    path = write_set(tmp_path / "x.set", SIGNAL, NAMES, RATE)
    content = loadmat(path)["EEG"]
    head = {key: content[key][0, 0] for key in content.dtype.names}
    data = np.stack([SIGNAL[:128].T, SIGNAL[128:].T], axis=2).astype(np.float32)
    savemat(path, {"EEG": head | {"data": data, "trials": 2, "pnts": 128}}, appendmat=False)
    with pytest.raises(RecordError, match=r"unsupported_format.*epochs"):
        read_eeg(path)


# -- MATLAB 7.3 ---------------------------------------------------------------------------------


def test_matlab_7_3_is_read_as_version_5(tmp_path):
    old = read_eeg(write_set(tmp_path / "old.set", SIGNAL, NAMES, RATE))
    new = read_eeg(write_set_hdf5(tmp_path / "new.set", SIGNAL, NAMES, RATE))
    np.testing.assert_allclose(new.signal, old.signal, atol=1e-6)
    assert (new.rate, new.channels) == (old.rate, old.channels)


@pytest.mark.parametrize(("at", "content"), [(0, b"\0\0\0\0"), (124, b"\x00\x01IM"), (0, b"M\0")])
def test_hdf5_behind_the_header_of_another_version_is_refused(tmp_path, at, content):
    path = write_set_hdf5(tmp_path / "x.set", SIGNAL, NAMES, RATE)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)
    with pytest.raises(RecordError, match=r"bad_header.*7\.3"):
        read_eeg(path)


def _external_link(file: h5py.File, folder: Path) -> None:
    del file["EEG/data"]
    file["EEG/data"] = h5py.ExternalLink(str(folder / "other.h5"), "/x")


def _soft_link(file: h5py.File, folder: Path) -> None:
    del file["EEG/data"]
    file["EEG/data"] = h5py.SoftLink("/EEG/data")


def _external_values(file: h5py.File, folder: Path) -> None:
    del file["EEG/data"]
    place = [(str(folder / "other.bin"), 0, h5py.h5f.UNLIMITED)]
    file["EEG"].create_dataset("data", (256, 2), "<f4", external=place)


def _virtual_values(file: h5py.File, folder: Path) -> None:
    del file["EEG/data"]
    layout = h5py.VirtualLayout((256, 2), "<f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", shape=(256, 2))
    file["EEG"].create_virtual_dataset("data", layout)


def _huge(file: h5py.File, folder: Path) -> None:
    del file["EEG/data"]
    file["EEG"].create_dataset("data", (2**40, 2), "<f4", chunks=(256, 2))


def _circle(file: h5py.File, folder: Path) -> None:
    file["EEG/etc"] = file["EEG"]


def _cell_of_itself(file: h5py.File, folder: Path) -> None:
    cell = file["EEG"].create_dataset("etc", (1,), h5py.ref_dtype)
    cell[0] = cell.ref


def _bomb(file: h5py.File, folder: Path) -> None:
    inner = file["EEG"].create_dataset("level0", data=np.zeros(1))
    for level in range(1, 20):
        cell = file["EEG"].create_dataset(f"level{level}", (9,), h5py.ref_dtype)
        cell[:] = [inner.ref] * 9
        inner = cell


def _varying(file: h5py.File, folder: Path) -> None:
    file["EEG"].create_dataset("etc", data=["a", "bc"], dtype=h5py.string_dtype())


HOSTILE: dict[str, tuple[Callable[[h5py.File, Path], None], str]] = {
    "external link": (_external_link, "unsafe_path"),
    "soft link": (_soft_link, "corrupt_file"),
    "external values": (_external_values, "unsafe_path"),
    "virtual values": (_virtual_values, "unsafe_path"),
    "huge": (_huge, "corrupt_file"),
    "circle of groups": (_circle, "corrupt_file"),
    "cell of itself": (_cell_of_itself, "corrupt_file"),
    "nine to the nineteenth cells": (_bomb, "corrupt_file"),
    "varying length": (_varying, "unsupported_format"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_does_not_belong_in_a_recording_is_refused(tmp_path, kind):
    spoil, reason = HOSTILE[kind]
    path = write_set_hdf5(tmp_path / "in/x.set", SIGNAL, NAMES, RATE)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = SIGNAL.astype("<f4")
    SIGNAL.astype("<f4").tofile(tmp_path / "other.bin")
    check_hdf5(path, "x")
    with h5py.File(path, "r+") as file:
        spoil(file, tmp_path)
    with pytest.raises(RecordError) as caught:
        read_eeg(path)
    assert caught.value.reason == reason


# -- FIF in parts -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    """A recording in two files or more."""
    import mne

    folder = tmp_path_factory.mktemp("parts")
    info = mne.create_info(NAMES, RATE, "eeg")
    values = brainlike(64 * 60 * 50, 2, rate=RATE).T * 1e-6
    raw = mne.io.RawArray(values, info, verbose="error")
    raw.save(folder / "x_raw.fif", split_size="2MB", fmt="double", verbose="error")
    assert (folder / "x_raw-1.fif").is_file()
    return folder


def test_a_recording_in_parts_is_read_whole(parts):
    assert read_eeg(parts / "x_raw.fif").signal.shape == (64 * 60 * 50, 2)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("../abcd.fif", "unsafe_path"),
        ("/etc/xy.fif", "unsafe_path"),
        ("c:xxxxx.fif", "unsafe_path"),
        ("x_raw-9.fif", "missing_signal"),
        ("x_raw.fif", "corrupt_file"),
    ],
)
def test_parts_lie_in_the_folder_and_lead_on(parts, tmp_path, part, reason):
    shutil.copytree(parts, tmp_path / "in")
    path = tmp_path / "in/x_raw.fif"
    content = path.read_bytes()
    old = struct.pack(">iiii", 118, 10, 11, 0) + b"x_raw-1.fif"
    assert content.count(old) == 1
    new = part.encode().ljust(11, b"\0") if part != "x_raw.fif" else b"x_raw-1.fif"
    path.write_bytes(content.replace(old, old[:16] + new))
    if part == "x_raw.fif":  # the part itself leads back to the first file
        (tmp_path / "in/x_raw-1.fif").write_bytes(path.read_bytes())
    with pytest.raises(RecordError) as caught:
        read_eeg(path)
    assert caught.value.reason == reason
