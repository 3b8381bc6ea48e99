"""Cutting trials into windows of fixed length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_loaders.container.rows import narrow, unmasked
from tscl.errors import DataError, InputError, is_whole

Float32 = NDArray[np.float32]


def pad_series(series: Sequence[ArrayLike]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Series (T_i, C), or (T_i,) of one channel, as (n, max T, C) with NaN after each end.

    A series that itself ends in a step of NaN in every channel looks shorter afterwards; keep the
    lengths returned where that matters.

    Returns:
        The padded array, float32 (float64 where float32 would lose the differences of the values),
        and the lengths (n,).

    Raises:
        DataError: no series, an empty one, other channels, or values that are no numbers.
    """
    if not len(series):
        raise DataError("series", "none", "pass at least one")
    rows: list[NDArray[np.floating]] = []
    for i, item in enumerate(series):
        try:
            values = np.asarray(unmasked(item))
            values = values if values.dtype.kind == "f" else values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"series {i}", type(item).__name__, f"pass numbers ({error})") from None
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or 0 in values.shape:
            raise DataError(f"series {i}", values.shape, "pass (n_timesteps, n_channels)")
        if rows and values.shape[1] != rows[0].shape[1]:
            raise DataError(f"series {i}", f"{values.shape[1]} channels", "pass equal channels")
        rows.append(values)
    lengths = np.array([len(values) for values in rows], np.int64)
    shape = (len(rows), int(lengths.max()), rows[0].shape[1])
    out = np.full(shape, np.nan, np.result_type(np.float32, *rows))
    for row, values in zip(out, rows, strict=True):
        row[: len(values)] = values
    return narrow(out), lengths


def series_lengths(X: NDArray[np.floating]) -> NDArray[np.int64]:
    """(n,) steps of each series of X (n, T, C) up to the last that holds any value.

    0 for a series without values.
    """
    seen = np.asarray(~np.isnan(X).all(axis=2))
    from_end = np.argmax(seen[:, ::-1], axis=1).astype(np.int64)
    return np.where(seen.any(axis=1), X.shape[1] - from_end, 0)


def mask_after(X: NDArray[np.floating], lengths: ArrayLike) -> NDArray[np.floating]:
    """X (n, T, C) with NaN in place of the steps from ``lengths`` (n,) on, as a copy.

    Raises:
        DataError: lengths outside 1..T, or another number of them.
    """
    given = np.asarray(lengths)
    whole = given.dtype.kind in "iu" and given.shape == (len(X),)
    if not whole or given.min() < 1 or given.max() > X.shape[1]:
        raise DataError("lengths", lengths, f"give {len(X)} whole numbers from 1 to {X.shape[1]}")
    out = np.array(X, np.result_type(X, np.float32))
    out[np.arange(X.shape[1]) >= given[:, None]] = np.nan
    return out


def unpad(X: NDArray[np.floating], lengths: ArrayLike | None = None) -> list[NDArray[np.floating]]:
    """The series of a padded array (n, T, C), each (T_i, C); by default of their own lengths."""
    ends = series_lengths(X) if lengths is None else np.asarray(lengths)
    return [np.array(row[: int(end)]) for row, end in zip(X, ends, strict=True)]


def cut_windows(trials: np.ndarray, window: int, overlap: float = 0.0) -> np.ndarray:
    """Cut trials into windows: (n * k, window, C), trial by trial.

    k = 1 + (T - window) // step with step = window - round(window * overlap); the remainder of a
    trial is dropped.

    Args:
        trials: (n, T, C).
        window: steps.
        overlap: of neighbouring windows, a share in [0, 1).

    Raises:
        InputError: a window that is no whole number of steps or longer than T, or an overlap
            outside [0, 1).
    """
    _, length, channels = trials.shape
    if not is_whole(window) or not 1 <= window <= length:
        raise InputError("window", window, f"choose 1 to {length} steps")
    if not 0 <= overlap < 1:
        raise InputError("overlap", overlap, "choose from 0 up to, not including, 1")
    step = max(1, window - round(window * overlap))
    view = np.lib.stride_tricks.sliding_window_view(trials, window, axis=1)[:, ::step]
    return np.ascontiguousarray(view.transpose(0, 1, 3, 2)).reshape(-1, window, channels)
