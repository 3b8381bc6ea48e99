import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_loaders import RecordError
from data_loaders.ecg.records import WfdbRecord
from data_loaders.ecg.signal import (
    beats_of,
    check_quality,
    choose_leads,
    common_peaks,
    cut_beats,
    group_trials,
    lead_peaks,
    median_rr,
    resample,
    standardize_record,
)
from tests.data_loaders.wfdb_files import bumps
from tscl.errors import InputError


def record_of(signal, rate=250.0, leads=None):
    leads = leads or tuple(f"l{i}" for i in range(signal.shape[1]))
    return WfdbRecord("r", signal.astype(np.float32), rate, tuple(leads))


def test_choose_leads_by_name_order_and_alternatives():
    signal = np.arange(8.0).reshape(2, 4)
    record = record_of(signal, leads=("V5", "MLII", "aVR", "V1"))
    got = choose_leads(record, ["mlii", "AVR"])
    np.testing.assert_array_equal(got.signal, signal[:, [1, 2]])
    got = choose_leads(record, ["V2|V5", "V5|V1"])
    np.testing.assert_array_equal(got.signal, signal[:, [0, 3]])
    with pytest.raises(RecordError, match=r"missing_lead.*no lead V3; it has V5, MLII") as caught:
        choose_leads(record, ["V3"])
    assert caught.value.reason == "missing_lead"
    for bad in ([], "MLII"):
        with pytest.raises(InputError, match="leads"):
            choose_leads(record, bad)


def test_quality_passes_a_clean_record():
    signal, _ = bumps()
    assert check_quality(record_of(signal)).notes == ()


def test_quality_names_flat_lead():
    signal, _ = bumps(n_leads=3)
    signal[:, 1] = 0.25
    with pytest.raises(RecordError, match=r"flat_lead.*lead l1 is flat for 100%"):
        check_quality(record_of(signal))
    signal, _ = bumps(n_leads=1)
    signal[: int(0.4 * len(signal))] = 0
    check_quality(record_of(signal))
    with pytest.raises(RecordError, match="flat_lead"):
        check_quality(record_of(signal), max_flat=0.3)


def test_quality_finds_unit_confusion_in_both_directions():
    signal, _ = bumps()
    with pytest.raises(RecordError, match=r"unit_suspect.*uV read as mV"):
        check_quality(record_of(signal * 1000))
    with pytest.raises(RecordError, match=r"unit_suspect.*mV read as uV"):
        check_quality(record_of(signal / 1000))


def test_quality_fills_short_gaps_and_refuses_long_ones():
    signal, _ = bumps()
    ramp = np.linspace(0, 1, len(signal))
    signal[:, 1] = ramp + 0.05 * np.sin(np.arange(len(signal)))
    signal[100:110, 1] = np.nan
    signal[0, 0] = np.nan
    got = check_quality(record_of(signal))
    assert got.notes == ("11 missing values filled",)
    edge = signal[[99, 110], 1]
    np.testing.assert_allclose(
        got.signal[100:110, 1], np.interp(np.arange(1, 11), [0, 11], edge), atol=1e-5
    )
    assert got.signal[0, 0] == np.float32(signal[1, 0])
    signal[300:360, 0] = np.nan
    with pytest.raises(RecordError, match=r"nan_gap.*lead l0 has a gap of 0.24 s"):
        check_quality(record_of(signal))
    signal[:, 0] = np.nan
    with pytest.raises(RecordError, match="nan_gap"):
        check_quality(record_of(signal))


def test_polyphase_removes_what_linear_folds_back():
    time = np.arange(4000) / 1000
    slow, fast = np.sin(2 * np.pi * 5 * time), np.sin(2 * np.pi * 230 * time)
    both = (slow + fast)[:, None]
    good = resample(both, 1000, 250)
    public = resample(both, 1000, 250, "linear")
    want = slow[::4]
    middle = slice(100, 900)
    assert good.shape == (1000, 1)
    assert np.abs(good[middle, 0] - want[middle]).max() < 0.02
    assert np.abs(public[middle, 0] - want[middle]).max() > 0.5
    np.testing.assert_array_equal(resample(both, 250, 250), both.astype(np.float32))
    with pytest.raises(InputError, match="polyphase"):
        resample(both, 1000, 250, "moon")
    with pytest.raises(InputError, match="target_rate"):
        resample(both, 1000, 0)


def test_resample_between_rates_without_small_ratio():
    time = np.arange(3600) / 360
    got = resample(np.sin(2 * np.pi * 3 * time)[:, None], 360, 250)
    want = np.sin(2 * np.pi * 3 * np.arange(2500) / 250)
    assert got.shape == (2500, 1)
    assert np.abs(got[50:-50, 0] - want[50:-50]).max() < 0.01


def test_peaks_are_where_the_generator_put_them():
    signal, truth = bumps(n_leads=3, seconds=14)
    peaks = lead_peaks(signal, 250)
    found = common_peaks(peaks, 250)
    inner = truth[1:-1]
    nearest = np.abs(found[:, None] - inner[None]).min(axis=0)
    assert nearest.max() <= 2
    assert abs(median_rr(peaks) - 200) <= 1


def test_common_peaks_needs_half_the_leads():
    leads = [np.array([100, 300]), np.array([102, 301, 400]), np.array([98, 299]), np.array([])]
    np.testing.assert_array_equal(common_peaks(leads, 250), [100, 300])
    assert common_peaks([np.array([])], 250).size == 0
    assert np.isnan(median_rr([np.array([5])]))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(4, 30), st.integers(0, 10),
    st.lists(st.integers(0, 59), min_size=1, max_size=6, unique=True),
)  # fmt: skip
def test_cut_beats_against_slow_loop(rr, spare, places):
    signal = np.arange(1, 121, dtype=np.float32).reshape(60, 2)
    length, half = rr + spare, rr // 2
    want = []
    for peak in sorted(places):
        if peak - half < 0 or peak + half > 60:
            continue
        beat = np.zeros((length, 2), np.float32)
        left = (length - 2 * half) // 2
        for step in range(2 * half):
            beat[left + step] = signal[peak - half + step]
        want.append(beat)
    got = cut_beats(signal, np.sort(places), rr, length)
    assert got.shape == (len(want), length, 2)
    if want:
        np.testing.assert_array_equal(got, want)


def test_beats_of_names_flat_noise_and_slow_hearts():
    with pytest.raises(RecordError, match="no_r_peaks"):
        beats_of(record_of(np.zeros((3000, 2))), 300)
    signal, _ = bumps(seconds=30, rr=1.5)
    with pytest.raises(RecordError, match=r"rr_too_long.*of 300 steps"):
        beats_of(record_of(signal), 300)
    with pytest.raises(InputError, match="rr"):
        cut_beats(signal, np.array([500]), 302, 300)


def test_beats_are_centred_on_the_peak():
    signal, truth = bumps(seconds=14)
    beats = beats_of(record_of(signal), 300)
    assert beats.shape[1:] == (300, 2)
    assert abs(len(beats) - len(truth)) <= 2
    assert np.abs(beats[..., 0].argmax(axis=1) - 150).max() <= 2
    assert not beats[:, :49].any()


def test_group_trials_drops_or_keeps_the_remainder():
    assert group_trials(7, 3).tolist() == [0, 0, 0, 1, 1, 1]
    assert group_trials(7, 3, keep_remainder=True).tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert group_trials(2, 3).size == 0
    with pytest.raises(InputError):
        group_trials(3, 0)


def test_standardize_record_by_lead():
    out = standardize_record(np.array([[1.0, 5.0], [3.0, 5.0]]))
    np.testing.assert_array_equal(out, [[-1, 0], [1, 0]])
