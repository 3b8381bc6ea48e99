from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import welch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tscl.errors import InputError
from tscl.evaluation.clinical.bandpower import EEG_BANDS, BandPower, bands_within, log_bands


@pytest.mark.parametrize(("hertz", "band"), [(2, 0), (6, 1), (10, 2), (20, 3), (38, 4)])
def test_bandpower_of_a_sine_is_largest_in_its_band(hertz: float, band: int) -> None:
    time = np.arange(512) / 256
    noise = 1e-3 * np.random.default_rng(0).standard_normal((2, 512, 2))
    x = noise + np.sin(2 * np.pi * hertz * time)[None, :, None]
    found = BandPower(256, "eeg").fit_transform(x)
    assert found.shape == (2, 10)
    assert (found.reshape(2, 2, 5).argmax(axis=-1) == band).all()


def test_bandpower_equals_welch_by_hand_and_scales_as_power() -> None:
    x = np.random.default_rng(1).standard_normal((3, 256, 2))
    found = BandPower(256, {"all": (0.0, 100.0), "low": (4.0, 8.0)}, window=0.5).transform(x)
    hertz, power = welch(x[2, :, 1], 256, nperseg=128)
    expected = np.log(power[(hertz >= 4) & (hertz < 8)].mean())
    assert found[2, 3] == pytest.approx(expected, rel=1e-5)
    louder = BandPower(256, {"all": (0.0, 100.0), "low": (4.0, 8.0)}, window=0.5).transform(3 * x)
    np.testing.assert_allclose(louder - found, 2 * np.log(3), rtol=1e-4)


def test_bandpower_short_samples_and_flat_channels_are_finite() -> None:
    x = np.zeros((2, 20, 3))
    x[..., 0] = np.random.default_rng(0).standard_normal((2, 20))
    found = BandPower(256, "eeg").transform(x)
    assert found.shape == (2, 15)
    assert np.isfinite(found).all()


def test_bandpower_log_bands_cover_the_range() -> None:
    limits = list(log_bands(100).values())
    assert len(limits) == 8
    assert limits[0][0] == pytest.approx(0.5)
    assert limits[-1][1] == pytest.approx(45)
    ratios = [b / a for a, b in limits]
    np.testing.assert_allclose(ratios, ratios[0])
    assert set(EEG_BANDS) == {"delta", "theta", "alpha", "beta", "gamma"}


@pytest.mark.parametrize(
    ("settings", "x"),
    [
        ({"sampling_rate": 0}, np.zeros((1, 8, 1))),
        ({"bands": "ecg"}, np.zeros((1, 8, 1))),
        ({"bands": {"high": (40.0, 60.0)}}, np.zeros((1, 8, 1))),
        ({}, np.zeros((8, 1))),
        ({}, np.full((1, 8, 1), np.nan)),
    ],
)
def test_bandpower_bad_input(settings: dict, x: np.ndarray) -> None:
    with pytest.raises(InputError):
        BandPower(**{"sampling_rate": 100, **settings}).transform(x)


def test_bandpower_finds_disease_rhythm() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    wave = np.sin(2 * np.pi * 10 * np.arange(128) / 128 + rng.uniform(0, 6, (80, 1)))
    x = (rng.standard_normal((80, 128)) + y[:, None] * wave)[..., None]
    model = make_pipeline(BandPower(128, "eeg"), StandardScaler(), LogisticRegression())
    assert model.fit(x[:40], y[:40]).score(x[40:], y[40:]) > 0.9


def test_bands_end_where_the_filter_does():
    """No band of what the filter took out, at either end."""
    edges = [edge for pair in bands_within("log", 200.0, (1.0, 30.0)).values() for edge in pair]
    assert (min(edges), max(edges)) == pytest.approx((1.0, 30.0))
    eeg = bands_within("eeg", 200.0, (None, 20.0))
    assert eeg["beta"] == (13.0, 20.0)
    assert "gamma" not in eeg
    assert bands_within("eeg", 200.0, None) == "eeg"
