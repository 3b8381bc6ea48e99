"""Cutting trials into windows of fixed length."""

from __future__ import annotations

import numpy as np

from tscl.errors import InputError, is_whole


def cut_windows(trials: np.ndarray, window: int, overlap: float = 0.0) -> np.ndarray:
    """Cut (n, T, C) trials into windows: (n * k, window, C), trial by trial.

    k = 1 + (T - window) // step with step = window - round(window * overlap); the remainder of a
    trial is dropped.

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
