"""Quality of a recording of either modality, units, names of channels."""

from __future__ import annotations

import numpy as np
import pytest

from data_loaders import RecordError
from data_loaders.signals import ECG, EEG, Channel, Recording, check_quality, check_used, volts
from tests.data_loaders.eeg_writers import brainlike
from tests.data_loaders.wfdb_files import bumps

NAMES = ["Fp1", "Cz", "T3", "O2"]
RATE = 256.0


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    return brainlike(int(6 * RATE), len(NAMES))


def ecg(signal: np.ndarray, rate: float = 250.0) -> Recording:
    leads = tuple(f"l{i}" for i in range(signal.shape[1]))
    return Recording("r", signal.astype(np.float32), rate, leads, ECG)


def eeg(signal: np.ndarray) -> Recording:
    return Recording("r", signal.astype(np.float32), RATE, tuple(NAMES), EEG)


def test_quality_passes_a_clean_record():
    signal, _ = bumps()
    assert check_quality(ecg(signal)).notes == ()


def test_quality_names_flat_lead():
    signal, _ = bumps(n_leads=3)
    signal[:, 1] = 0.25
    with pytest.raises(RecordError, match=r"flat_lead.*lead l1 is flat for 100%"):
        check_quality(ecg(signal))
    signal, _ = bumps(n_leads=1)
    signal[: int(0.4 * len(signal))] = 0
    check_quality(ecg(signal))
    with pytest.raises(RecordError, match="flat_lead"):
        check_quality(ecg(signal), max_flat=0.3)


def test_quality_finds_unit_confusion_in_both_directions():
    signal, _ = bumps()
    with pytest.raises(RecordError, match=r"unit_suspect.*uV read as mV"):
        check_quality(ecg(signal * 1000))
    with pytest.raises(RecordError, match=r"unit_suspect.*mV read as uV"):
        check_quality(ecg(signal / 1000))


def test_quality_fills_short_gaps_and_refuses_long_ones():
    signal, _ = bumps()
    ramp = np.linspace(0, 1, len(signal))
    signal[:, 1] = ramp + 0.05 * np.sin(np.arange(len(signal)))
    signal[100:110, 1] = np.nan
    signal[0, 0] = np.nan
    got = check_quality(ecg(signal))
    assert got.notes == ("11 missing values filled",)
    edge = signal[[99, 110], 1]
    np.testing.assert_allclose(
        got.signal[100:110, 1], np.interp(np.arange(1, 11), [0, 11], edge), atol=1e-5
    )
    assert got.signal[0, 0] == np.float32(signal[1, 0])
    signal[300:360, 0] = np.nan
    with pytest.raises(RecordError, match=r"nan_gap.*lead l0 has a gap of 0.24 s"):
        check_quality(ecg(signal))
    signal[:, 0] = np.nan
    with pytest.raises(RecordError, match="nan_gap"):
        check_quality(ecg(signal))


def test_short_gaps_are_filled_and_noted_long_ones_refused(signal: np.ndarray) -> None:
    gappy = signal.astype(np.float32)
    gappy[100:110, 1] = np.nan
    got = check_quality(eeg(gappy))
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
            check_quality(eeg(gappy))
        assert caught.value.reason == "nan_gap"


def test_flat_channels(signal: np.ndarray) -> None:
    flat = signal.copy()
    flat[500:1100, 2] = 3.0
    check_quality(eeg(flat))
    flat[300:1100, 2] = 3.0
    with pytest.raises(RecordError, match="T3") as caught:
        check_quality(eeg(flat))
    assert caught.value.reason == "flat_lead"
    check_quality(eeg(flat), max_flat=0.6)


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_volt_and_microvolt_confused(signal: np.ndarray, factor: float) -> None:
    with pytest.raises(RecordError) as caught:
        check_quality(eeg(signal * factor + 5 * factor))
    assert caught.value.reason == "unit_suspect"
    check_quality(eeg(signal + 1e4))


@pytest.mark.parametrize("bad", range(4))
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_one_implausible_channel_is_named(signal: np.ndarray, bad: int, factor: float) -> None:
    changed = signal.copy()
    changed[:, bad] *= factor
    with pytest.raises(RecordError, match=f"channel {NAMES[bad]} spans") as caught:
        check_quality(eeg(changed))
    assert caught.value.reason == "unit_suspect"
    leads = bumps(n_leads=4)[0]
    leads[:, bad] *= factor
    with pytest.raises(RecordError, match=f"lead l{bad} spans"):
        check_quality(ecg(leads))


def test_units_in_any_spelling() -> None:
    spelled = {
        1e-6: ["uV", "UV", "uv", "\u00b5V", "\u03bcV", "\u00b5V".upper(), "uV\0\0", " microvolts "],
        1e-3: ["mV", "MV", "mv", "Millivolt"],
        1.0: ["V", "v", "volt"],
        1e-9: ["nV", "NV", "nanovolt"],
    }
    for factor, units in spelled.items():
        assert [volts(unit) for unit in units] == [factor] * len(units)
    for unit in ("", "mmHg", "NU", "pm", "degC", "%", "m", "kV", "VV", "uV/Hz"):
        assert volts(unit) is None


def test_only_channels_in_use_are_checked() -> None:
    channels = [
        Channel("I", "mV", 250.0),
        Channel("ABP", "mmHg", 125.0),
        Channel("II", "uV", 250.0),
        Channel("V1", "mV", 250.0, scaled=False),
    ]
    rate, factors = check_used("r", channels, [2, 0], "lead")
    assert rate == 250.0
    np.testing.assert_array_equal(factors, [1e-6, 1e-3])
    for used, reason in (([0, 1], "unit_suspect"), ([3], "unit_suspect")):
        with pytest.raises(RecordError, match=channels[used[-1]].label) as caught:
            check_used("r", channels, used, "lead")
        assert caught.value.reason == reason
