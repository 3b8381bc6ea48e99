"""Every kind of bad file beside good ones: a line in the log and the rest is read; strict stops."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_loaders import GroupKFold, RecordError, group_split, load_eeg_table, load_wfdb
from tests.data_loaders.eeg_writers import brainlike, write_brainvision, write_edf
from tests.data_loaders.wfdb_files import bumps, edit_header, write_record
from tscl.errors import InputError

LEADS = ["I", "II"]
CHANNELS = ["Fp1", "Cz", "O1"]
RATE = 128.0


def _ecg(seed: int, seconds: float = 9.0, rate: float = 250.0) -> np.ndarray:
    return bumps(2, seconds, rate, seed=seed)[0]


def _with_gap(signal: np.ndarray, length: int) -> np.ndarray:
    changed = signal.copy()
    changed[300 : 300 + length, 1] = np.nan
    return changed


@pytest.fixture(scope="module")
def wfdb_root(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """WFDB records of which the good ones come first and last; reason of each."""
    root = tmp_path_factory.mktemp("wfdb")
    flat, hum = _ecg(4), 0.5 * np.sin(2 * np.pi * 20 * np.arange(2250) / 250)[:, None]
    flat[:, 1] = 0.2
    signals = {
        "good": _ecg(0),
        "truncated_dat": _ecg(1),
        "missing_header": _ecg(2),
        "length_mismatch": _ecg(3),
        "flat_lead": flat,
        "missing_lead": _ecg(5)[:, :1],
        "microvolt_called_millivolt": _ecg(6) * 1000,
        "millivolt_called_microvolt": _ecg(7),
        "nan_gap": _with_gap(_ecg(8), 200),
        "short_gap": _with_gap(_ecg(9), 10),
        "no_r_peaks": np.repeat(hum, 2, axis=1),
        "mixed_rate": _ecg(10, rate=500.0),
        "corrupt_file": _ecg(11),
        "duplicate_record": _ecg(0),
        "last": _ecg(12),
    }
    for name, signal in signals.items():
        unit = "uV" if name == "millivolt_called_microvolt" else "mV"
        gain = 10.0 if name == "microvolt_called_millivolt" else 1000.0
        rate = 500.0 if name == "mixed_rate" else 250.0
        write_record(root, name, signal, rate, LEADS[: signal.shape[1]], unit=unit, gain=gain)
    data = (root / "truncated_dat.dat").read_bytes()
    (root / "truncated_dat.dat").write_bytes(data[: len(data) // 2])
    (root / "missing_header.hea").unlink()
    edit_header(root / "length_mismatch", "length_mismatch 2 250 2250", "length_mismatch 2 250 900")
    changed = bytearray((root / "corrupt_file.dat").read_bytes())
    changed[2000] ^= 4
    (root / "corrupt_file.dat").write_bytes(bytes(changed))
    reasons = {name: name for name in signals}
    reasons |= dict.fromkeys(("good", "short_gap", "last"), "")
    reasons |= dict.fromkeys(
        ("microvolt_called_millivolt", "millivolt_called_microvolt"), "unit_suspect"
    )
    return root, reasons


@pytest.fixture(scope="module")
def eeg_root(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """EDF recordings (and BrainVision ones, which can hold NaN); reason of each."""
    root = tmp_path_factory.mktemp("eeg")
    flat = brainlike(640, 3, 1, RATE)
    flat[:, 2] = 5.0
    signals = {
        "good": brainlike(640, 3, 0, RATE),
        "flat_lead": flat,
        "missing_channel": brainlike(640, 2, 2, RATE),
        "volt_called_microvolt": brainlike(640, 3, 3, RATE) * 1e3,
        "millivolt_called_microvolt": brainlike(640, 3, 4, RATE) / 1e3,
        "truncated_dat": brainlike(640, 3, 5, RATE),
        "length_mismatch": brainlike(640, 3, 6, RATE),
        "bad_header": brainlike(640, 3, 7, RATE),
        "no_edf": brainlike(640, 3, 8, RATE),
        "missing_signal": brainlike(640, 3, 9, RATE),
        "mixed_rate": brainlike(1280, 3, 10, 2 * RATE),
        "rates_within": brainlike(640, 3, 11, RATE),
        "too_short": brainlike(128, 3, 12, RATE),
        "duplicate_record": brainlike(640, 3, 0, RATE),
        "last": brainlike(640, 3, 13, RATE),
    }
    for name, signal in signals.items():
        rate = 2 * RATE if name == "mixed_rate" else RATE
        rates = [RATE, RATE, RATE / 2] if name == "rates_within" else None
        labels = CHANNELS[: signal.shape[1]]
        write_edf(root / f"{name}.edf", signal, labels, rate, rates=rates)
    whole = (root / "truncated_dat.edf").read_bytes()
    (root / "truncated_dat.edf").write_bytes(whole[:-500])
    longer = root / "length_mismatch.edf"
    longer.write_bytes(longer.read_bytes() + whole[-768:])
    header = bytearray((root / "bad_header.edf").read_bytes())
    header[236:244] = b"?" * 8
    (root / "bad_header.edf").write_bytes(bytes(header))
    (root / "no_edf.edf").write_bytes(np.random.default_rng(0).bytes(4000))
    (root / "missing_signal.edf").unlink()
    gap = _with_gap(brainlike(640, 3, 14, RATE), 60)
    write_brainvision(root / "nan_gap.vhdr", gap, CHANNELS, RATE)
    short = _with_gap(brainlike(640, 3, 15, RATE), 5)
    write_brainvision(root / "short_gap.vhdr", short, CHANNELS, RATE)
    reasons = {name: name for name in signals} | {"nan_gap": "nan_gap", "short_gap": ""}
    reasons |= {"good": "", "last": "", "no_edf": "bad_header", "rates_within": "mixed_rate"}
    reasons |= dict.fromkeys(
        ("volt_called_microvolt", "millivolt_called_microvolt"), "unit_suspect"
    )
    return root, reasons


def table_of(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"record": names, "patient": names, "label": "x"})


def test_wfdb_faults_are_logged_and_the_rest_is_read(
    wfdb_root: tuple[Path, dict[str, str]],
) -> None:
    root, reasons = wfdb_root
    data = load_wfdb(root, table_of(list(reasons)), leads=LEADS, samples_per_trial=3)
    assert data.log is not None
    lines = data.log.table.set_index("record")
    assert lines["reason"].to_dict() == reasons
    assert (lines.loc[lines["status"] == "skipped", "detail"] != "").all()
    assert "10 missing values filled" in lines.loc["short_gap", "detail"]
    assert set(data.patient.tolist()) == {"good", "short_gap", "last"}


def test_eeg_faults_are_logged_and_the_rest_is_read(eeg_root: tuple[Path, dict[str, str]]) -> None:
    root, reasons = eeg_root
    data = load_eeg_table(root, table_of(list(reasons)), trial_seconds=2, channels=CHANNELS)
    assert data.log is not None
    lines = data.log.table.set_index("record")
    assert lines["reason"].to_dict() == reasons
    assert (lines.loc[lines["status"] == "skipped", "detail"] != "").all()
    assert "5 missing values filled" in lines.loc["short_gap", "detail"]
    assert set(data.patient.tolist()) == {"good", "short_gap", "last"}


@pytest.mark.parametrize("kind", ["wfdb", "eeg"])
def test_strict_stops_at_each_fault_and_says_what_to_do(
    kind: str, wfdb_root: tuple[Path, dict[str, str]], eeg_root: tuple[Path, dict[str, str]]
) -> None:
    root, reasons = wfdb_root if kind == "wfdb" else eeg_root
    for name, reason in reasons.items():
        if not reason:
            continue
        names = table_of(["good", name, "last"])
        with pytest.raises(RecordError, match=rf"{name} \[{reason}\]: \w.+; .+") as caught:
            if kind == "wfdb":
                load_wfdb(root, names, leads=LEADS, samples_per_trial=3, strict=True)
            else:
                load_eeg_table(root, names, trial_seconds=2, channels=CHANNELS, strict=True)
        assert (caught.value.record, caught.value.reason) == (name, reason)


def test_unusable_settings_are_errors_of_their_own(
    eeg_root: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    root, _ = eeg_root
    for changes, says in (
        ({"bnad": (1, 40)}, "band"),
        ({"band": (1, 2, 3)}, "low, high"),
        ({"sample_seconds": 9}, "trial_seconds"),
        ({"sample_seconds": 1, "sample_steps": 9}, "sample_steps"),
    ):
        with pytest.raises(InputError, match=says):
            load_eeg_table(root, table_of(["good"]), **changes)
    shutil.copy(root / "good.edf", tmp_path / "good.edf")
    with pytest.raises(InputError, match="0 and 64 Hz"):
        load_eeg_table(tmp_path, table_of(["good"]), notch=64)


def test_a_class_of_one_patient_is_named_before_anything_is_split(
    eeg_root: tuple[Path, dict[str, str]],
) -> None:
    root, _ = eeg_root
    table = table_of(["good", "last", "short_gap"]).assign(label=["ill", "well", "well"])
    data = load_eeg_table(root, table, trial_seconds=2)
    with pytest.raises(InputError, match=r"class 0 \(ill\) has 1 patient;.*merge or drop"):
        group_split(data.table, {"train": 0.5, "test": 0.5})
    with pytest.raises(InputError, match=r"class 0 \(ill\) has 1 patient"):
        GroupKFold(2).folds(data.table)
