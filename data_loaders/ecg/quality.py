"""How well recordings of an ECG are recorded, as weights for training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tscl.errors import InputError

FLAT_SECONDS = 0.2
"""A channel that does not move for so long is off or at the end of its range."""


def ecg_quality(X: Any, rate: float) -> NDArray[np.float64]:
    """Quality of each recording in [0, 1]: the mean over its leads of three factors' product.

    The share of the power between 5 and 40 Hz that lies below 15 Hz, where QRS complexes are
    (pSQI, Li, Mark and Clifford 2008), the share between 0 and 40 Hz that lies above 1 Hz (basSQI,
    Zhao and Zhang 2018), and the share of steps that are there and not part of a stretch without
    change. Independent of units; clipped peaks and hum of the mains are not seen. A power of it
    weighs more sharply.

    Args:
        X: (n, T, C), NaN where a value is missing.
        rate: sampling rate in Hz.

    Raises:
        InputError: a rate below 40 Hz, whose signals hold too little of the band, or recordings
            shorter than two seconds.

    Example:
        >>> t = np.arange(1000) / 100
        >>> beats = np.exp(-(((t % 0.8) - 0.4) ** 2) / 0.001)[None, :, None]
        >>> noise = np.random.default_rng(0).normal(size=beats.shape)
        >>> ecg_quality(np.concatenate([beats, beats + noise]), 100).round(1)
        array([0.7, 0.3])
    """
    shape = np.shape(X)
    if len(shape) != 3:
        raise InputError("X", shape, "pass (n, T, C)")
    if not 40 <= rate < np.inf:
        raise InputError("rate", rate, "give the sampling rate in Hz, of at least 40")
    if shape[1] < 2 * rate:
        raise InputError("X", f"{shape[1]} steps", "pass two seconds or more")
    parts = [
        _quality(np.asarray(X[i : i + 256], np.float64), rate) for i in range(0, shape[0], 256)
    ]
    return np.concatenate([np.empty(0), *parts])


def _quality(values: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    from scipy.ndimage import minimum_filter1d
    from scipy.signal import welch

    known = np.isfinite(values)
    level = np.where(known, values, 0.0).sum(1, keepdims=True) / known.sum(1, keepdims=True).clip(1)
    filled = np.where(known, values - level, 0.0)
    at, power = welch(filled, rate, nperseg=min(values.shape[1], round(4 * rate)), axis=1)

    def between(low: float, high: float) -> NDArray[np.float64]:
        return np.asarray(power[:, (at >= low) & (at <= high)].sum(axis=1))

    still = np.diff(filled, axis=1, prepend=np.nan) == 0
    flat = minimum_filter1d(still.astype(np.int8), max(2, round(FLAT_SECONDS * rate)), axis=1)
    moving = (known & (flat == 0)).mean(axis=1)
    tiny = np.finfo(np.float64).tiny
    qrs = between(5, 15) / np.maximum(between(5, 40), tiny)
    steady = between(1, 40) / np.maximum(between(0, 40), tiny)
    return np.asarray((qrs * steady * moving).mean(axis=1))
