"""Features of a series without a model: its values, or statistics of each channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tscl.errors import InputError


def raw_features(x: NDArray[np.floating]) -> NDArray[np.float32]:
    """All values of (n, T, C) in one row each, (n, T C); missing ones are 0."""
    result: NDArray[np.float32] = np.nan_to_num(_checked(x)).reshape(len(x), -1).astype(np.float32)
    return result


def summary_features(x: NDArray[np.floating]) -> NDArray[np.float32]:
    """Ten statistics of each channel of (n, T, C), (n, 10 C); missing values are left out.

    Mean, deviation, least and largest value, the three quartiles, last value, deviation of the
    changes, and correlation of neighbouring steps. A channel without values gives zeros.
    """
    values = _checked(x).astype(np.float64)
    n, _, c = values.shape
    seen = np.isfinite(values).any(axis=1, keepdims=True)
    values = np.where(seen, values, 0.0)
    mean, deviation = np.nanmean(values, axis=1), np.nanstd(values, axis=1)
    quantiles = np.nanquantile(values, [0.0, 0.25, 0.5, 0.75, 1.0], axis=1)
    position = np.where(np.isfinite(values), np.arange(values.shape[1])[:, None], -1).max(axis=1)
    last = np.take_along_axis(values, position[:, None], axis=1)[:, 0]
    changes = np.diff(values, axis=1)
    known = np.isfinite(changes)
    count = np.maximum(known.sum(axis=1), 1)
    rough = np.sqrt(np.where(known, changes**2, 0.0).sum(axis=1) / count)
    centred = values - mean[:, None]
    product = np.nansum(centred[:, 1:] * centred[:, :-1], axis=1) / count
    neighbours = product / np.where(deviation > 1e-9, deviation**2, 1.0)
    parts = [mean, deviation, *quantiles, last, rough, neighbours]
    return np.stack(parts, axis=2).reshape(n, len(parts) * c).astype(np.float32)


def _checked(x: NDArray[np.floating]) -> NDArray[np.floating]:
    if x.ndim != 3 or 0 in x.shape:
        raise InputError("x", x.shape, "pass (n_samples, n_timesteps, n_channels), none of them 0")
    return x
