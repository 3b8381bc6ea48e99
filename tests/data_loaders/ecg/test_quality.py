"""Quality of recordings: what is known to lower it does, and units do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import periodogram

from data_loaders import ecg_quality
from tscl.errors import InputError

RATE = 100
RNG = np.random.default_rng(0)
T = np.arange(1000) / RATE
BEAT = np.exp(-(((T % 0.8) - 0.4) ** 2) / 5e-4) + 0.2 * np.exp(-(((T % 0.8) - 0.6) ** 2) / 5e-3)
CLEAN = np.stack([BEAT, -0.5 * BEAT], axis=1)[None] + 0.01 * RNG.normal(size=(1, 1000, 2))


def quality(x: np.ndarray) -> float:
    return float(ecg_quality(x, RATE)[0])


def test_it_is_the_product_of_its_factors_where_nothing_is_flat() -> None:
    """Against the whole series' periodogram in place of averaged sections."""
    at, power = periodogram(CLEAN[0], RATE, axis=0)

    def share(low: float, high: float, of: tuple[float, float]) -> np.ndarray:
        inner, outer = (at >= low) & (at <= high), (at >= of[0]) & (at <= of[1])
        return power[inner].sum(axis=0) / power[outer].sum(axis=0)

    want = (share(5, 15, (5, 40)) * share(1, 40, (0, 40))).mean()
    assert abs(quality(CLEAN) - want) < 0.05
    assert quality(1e3 * CLEAN + 7) == pytest.approx(quality(CLEAN), rel=1e-9)


def test_what_spoils_a_recording_lowers_it() -> None:
    spoilt = {
        "noise": CLEAN + RNG.normal(size=CLEAN.shape),
        "wander": CLEAN + 2 * np.sin(2 * np.pi * 0.3 * T)[None, :, None],
        "off": np.where(np.arange(1000)[None, :, None] < 700, 0.3, CLEAN),
        "missing": np.where(np.arange(1000)[None, :, None] < 700, np.nan, CLEAN),
    }
    assert all(quality(x) < 0.6 * quality(CLEAN) for x in spoilt.values()), {
        name: quality(x) for name, x in spoilt.items()
    }
    for none in (np.zeros((1, 1000, 2)), np.full((1, 1000, 2), np.nan)):
        assert quality(none) == 0


def test_what_it_cannot_read_is_named() -> None:
    for x, rate, field in [(CLEAN[0], 100, "X"), (CLEAN, 30, "rate"), (CLEAN[:, :150], 100, "X")]:
        with pytest.raises(InputError, match=f"^{field}"):
            ecg_quality(x, rate)
