"""R peaks: found where they were put, whatever the sign, size, rate, wander and bursts of noise."""

from __future__ import annotations

import numpy as np
import pytest

from data_loaders.cohort import ecg_model
from data_loaders.ecg.beats import find_beats
from tests.data_loaders.wfdb_files import bumps
from tscl.errors import InputError


def matched(times, truth, within=0.075):
    """Share of the true beats that were found, and of those found that are true."""
    apart = np.abs(times[:, None] - truth)
    return (apart.min(axis=0) <= within).mean(), (apart.min(axis=1) <= within).mean()


@pytest.fixture(scope="module")
def irregular():
    """A minute of one lead at 250 Hz with beats 0.35 to 1.5 s apart, wander, and a burst."""
    rng = np.random.default_rng(3)
    gaps = rng.uniform(0.35, 1.5, 80)
    truth = np.cumsum(gaps)
    truth = truth[(truth > 0.5) & (truth < 59.5)]
    time = np.arange(60 * 250) / 250.0
    wave = np.zeros_like(time)
    for height, offset, width in ((0.1, -0.14, 0.03), (1.0, 0.0, 0.011), (0.3, 0.2, 0.05)):
        wave += (height * np.exp(-((time[:, None] - truth - offset) ** 2) / 2 / width**2)).sum(1)
    wave += 0.8 * np.sin(2 * np.pi * 0.2 * time) + 0.05 * rng.standard_normal(len(time))
    wave[5000:5050] += 4.0 * rng.standard_normal(50)
    return wave, truth


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", [1e-3, 1.0, 500.0])
def test_beats_of_an_irregular_rhythm(irregular, sign, size):
    wave, truth = irregular
    beats = find_beats(sign * size * wave, 250.0)
    sensitivity, precision = matched(beats.times, truth)
    assert sensitivity > 0.97
    assert precision > 0.97
    assert beats.polarity == sign


@pytest.mark.parametrize("rate", [100.0, 128.0, 250.0, 360.0, 1000.0])
def test_places_are_exact_to_a_fraction_of_a_step(rate):
    signal, _ = bumps(1, 20.0, rate, rr=0.8137)
    truth = np.arange(0.8137, 20.0 - 0.8137 / 2, 0.8137)
    times = find_beats(signal, rate).times
    assert len(times) == len(truth)
    assert np.abs(times - truth).max() < 0.004


def test_leads_are_put_together():
    signal, peaks = bumps(3, 20.0, 100.0)
    signal[:, 1] *= -1
    signal[:, 2] = 0.02 * np.random.default_rng(0).standard_normal(len(signal))
    beats = find_beats(signal, 100.0)
    assert matched(beats.times, peaks / 100.0) == (1.0, 1.0)
    assert beats.polarity == 1


def test_generated_hearts():
    """All beats of the cohort's hearts, in every lead alone and in all together."""
    for seed, rate in enumerate((50.0, 75.0, 120.0)):
        rng = np.random.default_rng(seed)
        heart = ecg_model.Heart(rate=rate, rate_sd=4.0)
        dipole, peaks = ecg_model.simulate(heart, 7500, 250.0, rng)
        signal = dipole + 0.03 * rng.standard_normal(dipole.shape)
        truth = peaks[(peaks > 50) & (peaks < 7450)] / 250.0
        for given in (signal, *signal.T[:2]):
            assert matched(find_beats(given, 250.0).times, truth)[0] > 0.97


@pytest.mark.parametrize("signal", [np.zeros(1000), np.full(1000, np.nan), np.zeros(20)])
def test_nothing_to_find(signal):
    assert find_beats(signal, 100.0).times.size == 0


def test_missing_stretches_count_as_zero(irregular):
    wave, truth = irregular
    wave = wave.copy()
    wave[:2500] = np.nan
    times = find_beats(wave, 250.0).times
    assert matched(times, truth[truth > 10.5])[0] > 0.97
    assert (times < 9.9).sum() == 0


@pytest.mark.parametrize(("signal", "rate"), [(np.zeros((5, 2, 2)), 100.0), (np.zeros(99), 40.0)])
def test_bad_input_is_named(signal, rate):
    with pytest.raises(InputError, match="rate" if rate < 50 else "signal"):
        find_beats(signal, rate)
