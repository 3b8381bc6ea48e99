"""Band-pass and notch filters of recordings, zero phase, interpolation, reference of EEG."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from tscl.errors import InputError, check_choice


def as_stops(notch: float | Sequence[float] | None) -> list[float]:
    """The notch frequencies as a list."""
    return [] if notch is None else np.atleast_1d(np.asarray(notch, np.float64)).tolist()


def referenced(signal: np.ndarray, reference: str) -> np.ndarray:
    """EEG against another reference.

    Args:
        signal: (..., C), one unit for all channels.
        reference: ``"average"`` takes the mean over channels off each time step; ``"none"`` keeps
            the reference of the recording.

    Returns:
        Array like ``signal``; with ``"none"`` it is ``signal``.

    Raises:
        InputError: another name, or an average of fewer than two channels.
    """
    check_choice("reference", reference, ("none", "average"))
    if reference == "none":
        return signal
    if signal.shape[-1] < 2:
        raise InputError("reference", reference, "an average needs two channels or more")
    mean = signal.mean(axis=-1, keepdims=True, dtype=np.float64)
    result: np.ndarray = (signal - mean).astype(signal.dtype)
    return result


def interpolated(signal: np.ndarray, rate: float, target: float) -> np.ndarray:
    """A signal at another rate by straight lines between its steps, first and last step kept.

    Without a filter: what lies above half the new rate folds back into the band.

    Args:
        signal: (T, C).
        rate: its rate in Hz.
        target: the new rate in Hz.

    Returns:
        (T * target / rate, C) float32.
    """
    steps = max(1, int(len(signal) / rate * target))
    at = np.linspace(0, len(signal) - 1, steps)
    here = np.arange(len(signal))
    columns = [np.interp(at, here, signal[:, i]) for i in range(signal.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)


def filtered(
    signal: np.ndarray,
    rate: float,
    *,
    band: Sequence[float | None] | None = None,
    notch: float | Sequence[float] | None = None,
) -> np.ndarray:
    """Notch, then band-pass, by MNE's zero-phase FIR filters.

    The low edge sets the filter's length (3.3 / low seconds, 6.6 s at 0.5 Hz); a shorter signal is
    padded and its edges are less clean.

    Args:
        signal: (T, C), finite.
        rate: Hz.
        band: (low, high) in Hz; None on a side leaves it open, None does nothing.
        notch: one frequency or several, in Hz, such as 50 or [50, 100].

    Returns:
        (T, C) float32; ``signal`` itself when there is nothing to do.

    Raises:
        InputError: not two edges, frequencies outside (0, rate / 2), or low not below high.
    """
    half, stops = rate / 2, as_stops(notch)
    edges = (None, None) if band is None else tuple(band)
    if len(edges) != 2:
        raise InputError("band", band, "give (low, high), None on a side that is open")
    low, high = edges
    for field, value in (("band", low), ("band", high), *(("notch", stop) for stop in stops)):
        if value is not None and not 0 < value < half:
            remedy = f"choose frequencies between 0 and {half:g} Hz, half the rate of {rate:g} Hz"
            raise InputError(field, value, remedy)
    if low is not None and high is not None and low >= high:
        raise InputError("band", band, "give (low, high) with low below high")
    if not stops and low is None and high is None:
        return signal
    from mne.filter import filter_data, notch_filter

    wide = signal.T.astype(np.float64)
    with warnings.catch_warnings():
        # MNE warns when a record is shorter than the filter; the edges are padded then.
        warnings.simplefilter("ignore", RuntimeWarning)
        if stops:
            wide = notch_filter(wide, rate, stops, verbose="error")
        if low is not None or high is not None:
            wide = filter_data(wide, rate, low, high, verbose="error")
    return np.ascontiguousarray(wide.T, dtype=np.float32)
