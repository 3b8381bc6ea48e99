import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_loaders import RecordError
from data_loaders.ecg.signal import (
    beats_of,
    common_peaks,
    cut_beats,
    group_trials,
    lead_peaks,
    lead_polarity,
    median_rr,
    resample,
    standardize_record,
)
from data_loaders.signals import ECG, Recording
from tests.data_loaders.wfdb_files import bumps
from tscl.errors import InputError


def record_of(signal, rate=250.0, leads=None):
    leads = leads or tuple(f"l{i}" for i in range(signal.shape[1]))
    return Recording("r", signal.astype(np.float32), rate, tuple(leads), ECG)


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


def test_standardize_record_by_lead():
    out = standardize_record(np.array([[1.0, 5.0], [3.0, 5.0]]))
    np.testing.assert_array_equal(out, [[-1, 0], [1, 0]])


@pytest.mark.parametrize("signs", [(1, -1), (-1, -1), (-1, 1)])
def test_beats_of_leads_upside_down_are_found_at_the_r_wave(signs):
    signal, truth = bumps(n_leads=2, seconds=14)
    turned = signal * signs
    np.testing.assert_array_equal(lead_polarity(turned, 250), signs)
    np.testing.assert_array_equal(lead_polarity(-turned, 250), -lead_polarity(turned, 250))
    for lead in lead_peaks(turned, 250):
        assert np.abs(lead[:, None] - truth[None]).min(axis=0).max() <= 2
    wanted = beats_of(record_of(signal), 300)
    np.testing.assert_array_equal(beats_of(record_of(turned), 300), wanted * signs)


def test_a_deep_t_wave_does_not_turn_a_lead():
    time = np.arange(5000) / 250
    beats = np.arange(0.5, 19.6, 0.86)
    wave = 0.01 * np.random.default_rng(0).standard_normal(len(time))
    for beat in beats:
        wave += 0.5 * np.exp(-0.5 * ((time - beat) / 0.012) ** 2)
        wave -= 0.8 * np.exp(-0.5 * ((time - beat - 0.25) / 0.05) ** 2)
    assert lead_polarity(wave[:, None], 250).tolist() == [1]
    (found,) = lead_peaks(-wave[:, None], 250)
    assert np.abs(found[:, None] / 250 - beats).min(axis=1).max() < 0.01
