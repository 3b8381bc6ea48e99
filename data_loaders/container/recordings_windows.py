"""Windows of recordings for evaluation: read when indexed, averaged by recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tscl.errors import InputError, is_whole

if TYPE_CHECKING:
    from data_loaders.container.recordings import Recordings


class Windows:
    """Windows of whole recordings, in their order.

    ``windows[i]`` with an integer, slice, mask or index array reads (k, length, C) float32.

    Args:
        recordings: what is cut.
        length: steps of a window.
        stride: steps from one window to the next; None: ``length``. The last window of a recording
            ends with it, so that every step is seen. A recording shorter than ``length`` is one
            window that ends in NaN.

    Attributes:
        row: (m,) recording of each window.
        start: (m,) its first step in the recording.

    Example:
        >>> from data_loaders.container.recordings import Recordings
        >>> data = Recordings.from_arrays([np.zeros((25, 1)), np.ones((8, 1))], 10.0)
        >>> windows = data.windows(10)
        >>> windows.row.tolist(), windows.start.tolist()
        ([0, 0, 0, 1], [0, 10, 15, 0])
        >>> windows.average(np.nanmean(windows[:], axis=1)).ravel().tolist()
        [0.0, 1.0]
    """

    def __init__(self, recordings: Recordings, length: int, stride: int | None = None) -> None:
        step = length if stride is None else stride
        for field, value in (("length", length), ("stride", step)):
            if not is_whole(value) or value < 1:
                raise InputError(field, value, "give whole steps, 1 or more")
        self.recordings, self.length = recordings, int(length)
        last = np.maximum(recordings.lengths - length, 0)
        counts = -(-last // step) + 1
        self.row = np.repeat(np.arange(len(recordings)), counts)
        number = np.arange(len(self.row)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.start: np.ndarray = np.minimum(number * step, last[self.row])
        self.shape = (len(self.row), self.length, recordings.n_channels)
        self.dtype, self.ndim = np.dtype(np.float32), 3

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, starts = np.atleast_1d(self.row[key]), np.atleast_1d(self.start[key])
        cut = self.recordings.crops(rows, starts, self.length)
        result: np.ndarray = cut[0] if np.ndim(self.row[key]) == 0 else cut
        return result

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        cut = self[:]
        return cut if dtype is None else cut.astype(dtype, copy=False)

    def average(self, values: np.ndarray) -> np.ndarray:
        """Mean of each recording's windows.

        Args:
            values: (m, ...) one entry a window, such as embeddings or class probabilities.

        Returns:
            (n_recordings, ...) float64.

        Raises:
            InputError: another number of entries than windows.
        """
        given = np.asarray(values)
        if given.ndim == 0 or len(given) != len(self):
            raise InputError("values", f"shape {given.shape}", f"give {len(self)}, one a window")
        first = np.flatnonzero(np.diff(self.row, prepend=-1))
        counts = np.bincount(self.row).reshape(-1, *[1] * (given.ndim - 1))
        result: np.ndarray = np.add.reduceat(given.astype(np.float64), first, axis=0) / counts
        return result
