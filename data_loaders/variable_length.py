"""Series of different lengths in one array: NaN after the end, and the lengths read back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tscl.errors import DataError

Float32 = NDArray[np.float32]


def pad_series(series: Sequence[ArrayLike]) -> tuple[Float32, NDArray[np.int64]]:
    """Series (T_i, C), or (T_i,) of one channel, as (n, max T, C) with NaN after each end.

    A series that itself ends in a step of NaN in every channel looks shorter afterwards; keep the
    lengths returned where that matters.

    Returns:
        The padded float32 array and the lengths (n,).

    Raises:
        DataError: no series, an empty one, other channels, or values that are no numbers.
    """
    if not len(series):
        raise DataError("series", "none", "pass at least one")
    made: list[Float32] = []
    for i, one in enumerate(series):
        try:
            values = np.asarray(one, np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(f"series {i}", type(one).__name__, f"pass numbers ({error})") from None
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or 0 in values.shape:
            raise DataError(f"series {i}", values.shape, "pass (n_timesteps, n_channels)")
        if made and values.shape[1] != made[0].shape[1]:
            raise DataError(f"series {i}", f"{values.shape[1]} channels", "pass equal channels")
        made.append(values)
    lengths = np.array([len(values) for values in made], np.int64)
    out = np.full((len(made), int(lengths.max()), made[0].shape[1]), np.nan, np.float32)
    for row, values in zip(out, made, strict=True):
        row[: len(values)] = values
    return out, lengths


def series_lengths(X: NDArray[np.floating]) -> NDArray[np.int64]:
    """(n,) steps of each series of X (n, T, C) up to the last that holds any value.

    0 for a series without values.
    """
    seen = np.asarray(~np.isnan(X).all(axis=2))
    from_end = np.argmax(seen[:, ::-1], axis=1).astype(np.int64)
    return np.where(seen.any(axis=1), X.shape[1] - from_end, 0)


def mask_after(X: NDArray[np.floating], lengths: ArrayLike) -> Float32:
    """X (n, T, C) with NaN in place of the steps from ``lengths`` (n,) on, as a copy.

    Raises:
        DataError: lengths outside 1..T, or another number of them.
    """
    given = np.asarray(lengths)
    whole = given.dtype.kind in "iu" and given.shape == (len(X),)
    if not whole or given.min() < 1 or given.max() > X.shape[1]:
        raise DataError("lengths", lengths, f"give {len(X)} whole numbers from 1 to {X.shape[1]}")
    out = np.array(X, np.float32)
    out[np.arange(X.shape[1]) >= given[:, None]] = np.nan
    return out


def unpad(X: NDArray[np.floating], lengths: ArrayLike | None = None) -> list[Float32]:
    """The series of a padded array (n, T, C), each (T_i, C); by default of their own lengths."""
    ends = series_lengths(X) if lengths is None else np.asarray(lengths)
    return [np.asarray(row[: int(end)], np.float32) for row, end in zip(X, ends, strict=True)]
