"""Standardising series per sample, per trial, or by statistics of the training patients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from data_loaders.container.rows import Rows, blocks
from tscl.errors import InputError


class TrainingPart(Protocol):
    """What statistics are taken from: a container, or anything with these fields."""

    X: Rows
    patient: np.ndarray
    channel_names: tuple[str, ...]


@dataclass(frozen=True)
class ChannelStats:
    """Mean and standard deviation of each channel over a training subset.

    Attributes:
        mean: (C,) float64.
        std: (C,) float64; 1 where a channel is constant.
        n_samples: samples the figures were taken from.
        patients: ids of the patients they were taken from.
    """

    mean: np.ndarray
    std: np.ndarray
    n_samples: int
    patients: tuple[object, ...] = ()

    @classmethod
    def fit(cls, train: TrainingPart) -> ChannelStats:
        """Take the figures from ``train``, which must hold training patients only.

        Raises:
            InputError: a channel has no finite value.
        """
        mean, std, count = channel_figures(train.X)
        if not count.all():
            channel = train.channel_names[int(np.argmin(count))]
            raise InputError("train", f"channel {channel} is all NaN", "leave the channel out")
        return cls(mean, std, len(train.X), tuple(np.unique(train.patient).tolist()))


def channel_figures(x: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, deviation (1 where a channel is constant) and count of each channel's values, (C,).

    NaN is left out; a channel without values has mean 0 and count 0.
    """
    return figures_of(lambda: (block for _, block in blocks(x)), x.shape[2], x.dtype)


def figures_of(
    arrays: Callable[[], Iterable[np.ndarray]],
    n_channels: int,
    dtype: np.dtype | type = np.float32,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As :func:`channel_figures`, of arrays (..., C).

    Args:
        arrays: called twice; each time gives the same arrays.
        n_channels: C.
        dtype: of the values, see :func:`usable_deviation`.
    """
    total, square, count = np.zeros((3, n_channels))
    for block in arrays():
        axes = tuple(range(block.ndim - 1))
        total += np.nansum(block, axis=axes, dtype=np.float64)
        count += np.isfinite(block).sum(axis=axes)
    mean = total / np.maximum(count, 1)
    for block in arrays():
        axes = tuple(range(block.ndim - 1))
        square += np.nansum((block - mean) ** 2, axis=axes, dtype=np.float64)
    std = np.sqrt(square / np.maximum(count, 1))
    return mean, usable_deviation(std, mean, dtype), count


def usable_deviation(
    std: np.ndarray, mean: np.ndarray, dtype: np.dtype | type = np.float32
) -> np.ndarray:
    """Standard deviations, 1 in place of those that are rounding error only.

    Args:
        std: deviations.
        mean: of the same values, same shape.
        dtype: that the values have.
    """
    rounding = 1e-12 if dtype == np.float64 else 1e-6
    return np.where(std > rounding * np.abs(mean), std, 1.0)


def standardize_groups(x: Rows, group: np.ndarray | None) -> np.ndarray:
    """Zero mean and unit variance of each channel within each group of samples.

    Args:
        x: (n, T, C) float32 or float64; NaN is left out of the figures and stays NaN.
        group: (n,) int codes, or None to treat every sample on its own.

    Returns:
        (n, T, C) float32. A channel constant within its group becomes zero.
    """
    out = np.empty(x.shape, np.float32)
    if group is None:
        for start, block in blocks(x):
            out[start : start + len(block)] = _scaled(block, (1,))
        return out
    order = np.argsort(group, kind="stable")
    edges = np.flatnonzero(np.diff(group[order])) + 1
    for rows in np.split(order, edges):
        out[rows] = _scaled(np.asarray(x[rows]), (0, 1))
    return out


def _scaled(block: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    """``block`` standardised over ``axis`` in double precision."""
    wide = block.astype(np.float64)
    seen = np.isfinite(wide)
    count = np.maximum(seen.sum(axis=axis, keepdims=True), 1)
    mean = np.where(seen, wide, 0.0).sum(axis=axis, keepdims=True) / count
    wide -= mean
    square = np.where(seen, wide, 0.0) ** 2
    std = usable_deviation(np.sqrt(square.sum(axis=axis, keepdims=True) / count), mean, block.dtype)
    result: np.ndarray = (wide / std).astype(np.float32)
    return result


def apply_stats(x: Rows, stats: ChannelStats) -> np.ndarray:
    """``(x - mean) / std`` by channel, (n, T, C) float32.

    Raises:
        InputError: the number of channels differs.
    """
    if x.shape[2] != len(stats.mean):
        raise InputError(
            "stats", f"{len(stats.mean)} channels", f"fit it on data of {x.shape[2]} channels"
        )
    out = np.empty(x.shape, np.float32)
    for start, block in blocks(x):
        out[start : start + len(block)] = (block - stats.mean) / stats.std
    return out
