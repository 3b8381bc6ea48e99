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
            (m, t, D), or one code a series (m, k).

    Returns:
        (n, T, D) with NaN after a series' end, or (n, k).

    Raises:
        DataError: a series without any value.
    """
    lengths = series_lengths(values)
    if not lengths.all():
        raise DataError("X", f"sample {int(np.argmin(lengths))} holds no value", "leave it out")
    if (lengths == values.shape[1]).all():
        return np.asarray(encode_part(values))
    out: Float32 | None = None
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        part = encode_part(values[rows, :length])
        if out is None:
            steps = values.shape[1:2] if part.ndim == 3 else ()
            out = np.full((len(values), *steps, part.shape[-1]), np.nan, np.float32)
        if part.ndim == 3:
            out[rows, :length] = part
        else:
            out[rows] = part
    assert out is not None
    return out
