"""Padded series encoded each up to its own end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from data_loaders.variable_length import series_lengths
from tscl.errors import DataError

Float32 = NDArray[np.float32]


def encode_by_length(values: Float32, encode_part: Callable[[Float32], Float32]) -> Float32:
    """Codes of series (n, T, C) of which trailing steps without any value are padding.

    Args:
        values: the series.
        encode_part: called with series of one length (m, t, C); gives codes of every step
            (m, t, D), or fewer (an encoder coarser than its input), or one code a series (m, k).

    Returns:
        (n, T, D) with NaN after a series' end, (n, T', D) of the coarse embeddings, or (n, k).

    Raises:
        DataError: a series without any value.
    """
    lengths = series_lengths(values)
    if not lengths.all():
        raise DataError("X", f"sample {int(np.argmin(lengths))} holds no value", "leave it out")
    if (lengths == values.shape[1]).all():
        return np.asarray(encode_part(values))
    parts = []
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        parts.append((rows, length, encode_part(values[rows, :length])))
    shape: tuple[int, ...] = parts[0][2].shape[1:]
    if len(shape) == 2:
        every_step = all(part.shape[1] == length for _, length, part in parts)
        longest = max(part.shape[1] for _, _, part in parts)
        shape = (values.shape[1] if every_step else longest, shape[1])
    out = np.full((len(values), *shape), np.nan, np.float32)
    for rows, _, part in parts:
        if part.ndim == 3:
            out[rows, : part.shape[1]] = part
        else:
            out[rows] = part
    return out
