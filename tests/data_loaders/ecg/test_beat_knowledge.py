"""Figures of beats: against slow formulas and known signals; the same by any route; no labels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from data_loaders.container.recordings import Recordings
from data_loaders.ecg.beat_knowledge import beat_knowledge, crop_numbers, number_names
from data_loaders.ecg.beat_numbers import QUALITY, RHYTHM, quality_numbers, rhythm_numbers
from tests.data_loaders.wfdb_files import bumps
from tscl.errors import InputError


def ecg(seconds, rr=0.8, seed=0, channels=1):
    return bumps(channels, seconds, 100.0, rr, seed)[0]


@pytest.fixture(scope="module")
def recordings():
    arrays = [ecg(s, 0.6 + 0.05 * k, k) for k, s in enumerate((30, 26, 12, 41, 30, 30))]
    arrays[3] = -arrays[3]
    return Recordings.from_arrays(arrays, 100.0, label=[0, 1, 0, 1, 0, 1])


@pytest.fixture(scope="module")
def known(recordings):
    return beat_knowledge(recordings)


def named(numbers):
    return dict(zip(number_names(["ECG"]), numbers.tolist(), strict=True))


def test_rhythm_by_hand():
    """Intervals 1, 1, 0.8, 1.2, 1, 1: one early beat and a pause, by the definitions."""
    numbers = dict(
        zip(RHYTHM, rhythm_numbers(np.cumsum([0.5, 1, 1, 0.8, 1.2, 1, 1])).tolist(), strict=True)
    )
    change = np.array([0.0, -0.2, 0.4, -0.2, 0.0])
    expected = {
        "rate": 60.0,
        "log_rmssd": np.log(np.sqrt(np.mean(change**2)) + 1e-3),
        "log_change": np.log(0.2 + 1e-3),
        "change_10": 0.6,
        "change_50ms": 0.6,
        "shortest": 0.8,
        "longest": 1.2,
        "early": 1 / 6,
        "late": 1 / 6,
        "early_then_pause": 0.2,
        "early_twice": 0.0,
        "change_autocorrelation": np.mean(change[1:] * change[:-1]) / (np.mean(change**2) + 1e-6),
        "entropy": -(4 / 6 * np.log(4 / 6) + 2 / 6 * np.log(1 / 6)),
        "skewness": 0.0,
    }
    assert {key: numbers[key] for key in expected} == pytest.approx(expected, abs=1e-9)
    assert np.isnan(rhythm_numbers(np.arange(4.0))).all()
    assert np.isnan(rhythm_numbers(np.arange(5) * 4.0)).all()  # gaps, not beats


def test_shape_tells_beats_apart():
    signal = ecg(20)
    times = np.arange(0.8, 19.6, 0.8)
    plain = named(crop_numbers(signal, times)[0])
    assert plain["alike"] > 0.98
    assert plain["p_highest"] == pytest.approx(0.1, abs=0.04)  # heights of bumps, over the QRS
    assert plain["t_highest"] == pytest.approx(0.25, abs=0.06)
    assert plain["unlike_80"] == 0
    other = signal.copy()
    for beat in (5, 11):  # two broad, early-looking beats
        at = round(times[beat] * 100)
        other[at - 25 : at + 30] = -1.5 * np.hanning(55)[:, None]
    changed = named(crop_numbers(other, times)[0])
    assert changed["unlike_80"] == pytest.approx(2 / (len(times) - 1), abs=0.03)
    assert changed["alike"] == pytest.approx(plain["alike"], abs=0.02)
    assert changed["alike_least"] < 0


def test_quality_by_a_slow_spectrum():
    x = np.random.default_rng(0).standard_normal(1500)
    numbers = dict(zip(QUALITY, quality_numbers(x).tolist(), strict=True))
    centred = x - x.mean()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 511)
    power = np.zeros(257)
    for start in range(0, 1500 - 511, 256):
        power += np.abs(np.fft.rfft(centred[start : start + 512] * window)) ** 2
    edges, frequency = np.geomspace(0.5, 45, 13), np.arange(257) * 100 / 512
    bands = [power[(frequency >= a) & (frequency < b)].sum() for a, b in pairwise(edges)]
    for k, band in enumerate(bands):
        assert numbers[f"log_band_{k}"] == pytest.approx(np.log(band / sum(bands) + 1e-5))
    z = centred / x.std()
    assert numbers["log_kurtosis"] == pytest.approx(np.log(np.mean(z**4)), abs=1e-3)
    assert numbers["flat"] == 0
    assert np.isfinite(quality_numbers(np.zeros(1500))).all()


def test_grid_polarity_and_steps(recordings, known):
    assert known.start[known.row == 0].tolist() == [0, 250, 500, 750, 1000]
    assert known.start[known.row == 1].tolist() == [0, 250, 500, 600]
    assert known.start[known.row == 2].tolist() == [0]
    assert known.numbers.shape[1] == len(number_names(["ECG"])) == 71
    upright = beat_knowledge(Recordings.from_arrays([-recordings[3]], 100.0))
    mine = known.row == 3
    np.testing.assert_allclose(known.numbers[mine], upright.numbers, rtol=2e-3, atol=2e-3)
    for row, rr in enumerate((0.6, 0.65, 0.7, 0.75, 0.8, 0.85)):
        rates = known.numbers[known.row == row, RHYTHM.index("rate")]
        np.testing.assert_allclose(rates, 60 / rr, rtol=0.01)
        place, length = known.places[row], known.lengths[row]
        steps = known.steps[place : place + length]
        assert np.nanmedian(steps[:, 0]) == pytest.approx(np.log(rr / 0.8), abs=0.02)
        assert np.isnan(steps[0, 0])
        peaks = np.flatnonzero(known.peaks[place : place + length]) / 100
        assert np.median(np.diff(peaks)) == pytest.approx(rr, abs=0.011)


def test_the_same_by_processes_cache_scale_and_without_labels(recordings, known, tmp_path):
    shuffled = Recordings.from_arrays(
        [3.0 * recordings[k] + 7.0 for k in range(6)], 100.0, label=[1, 0, 1, 0, 1, 0]
    )
    for other in (
        beat_knowledge(recordings, n_jobs=2, cache=tmp_path),
        beat_knowledge(recordings, cache=tmp_path),
    ):
        for name in ("row", "start", "numbers", "beats", "steps", "peaks"):
            np.testing.assert_array_equal(getattr(other, name), getattr(known, name))
    assert len(list(tmp_path.iterdir())) == 1
    beat_knowledge(recordings, crop=1500, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    scaled = beat_knowledge(shuffled)
    close = np.isclose(scaled.numbers, known.numbers, rtol=0.02, atol=0.02, equal_nan=True)
    assert close.mean() > 0.97  # histograms and thresholds may tip over by rounding
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(InputError, match="cache"):
        beat_knowledge(recordings, cache=tmp_path)


def test_targets_are_fitted_to_the_rows_given(known):
    targets = known.targets(np.array([0, 1, 3]), components=3)
    inside = np.isin(targets.row, [0, 1, 3])
    numbers = targets.crops["numbers"]
    median = np.nanmedian(numbers[inside], axis=0)
    np.testing.assert_allclose(median[np.isfinite(median)], 0, atol=1e-5)
    assert np.nanmax(np.abs(numbers)) <= 4
    shape = targets.crops["beat_shape"]
    assert shape.shape == (len(targets.row), 3)
    np.testing.assert_allclose(np.nanstd(shape[inside], axis=0), 1, atol=0.1)
    other = known.targets(np.array([0, 1, 2]), components=3)
    assert not np.allclose(other.crops["numbers"], numbers, equal_nan=True)
    mask = np.array([True, True, False, True, False, False])
    np.testing.assert_array_equal(known.targets(mask, 3).crops["numbers"], numbers)


def test_several_leads():
    data = Recordings.from_arrays([ecg(10, 0.7, k, 3) for k in range(4)], 100.0)
    known = beat_knowledge(data, crop=1000)
    names = number_names(data.channel_names)
    assert known.numbers.shape == (4, len(names)) == (4, 26 + 24 * 3 + 1)
    assert known.beats.shape == (4, 225)
    numbers = dict(zip(names, known.numbers[0].tolist(), strict=True))
    assert numbers["rate"] == pytest.approx(60 / 0.7, rel=0.01)
    assert numbers["ch0 r_highest"] == pytest.approx(numbers["ch2 r_highest"], rel=0.1)
    assert numbers["ch1 r_highest"] > 2 * abs(numbers["ch1 qrs_lowest"])


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"rate": 250.0}, "recordings"), ({"crop": 50}, "crop"), ({"hop": 0}, "hop"),
     ({"seconds": 0.5}, "recordings")],
)  # fmt: skip
def test_bad_input_is_named(fields, field):
    given = {"rate": 100.0, "seconds": 12, "crop": 500, "hop": 100, **fields}
    data = Recordings.from_arrays([ecg(12)[: int(100 * given["seconds"])]], given["rate"])
    with pytest.raises(InputError) as caught:
        beat_knowledge(data, crop=given["crop"], hop=given["hop"])
    assert caught.value.field == field


@pytest.mark.parametrize(("fit", "components"), [([], 2), ([0], 0), ([0], 76), ([2], 5)])
def test_bad_fits_are_named(known, fit, components):
    with pytest.raises(InputError):
        known.targets(np.array(fit, int), components)
