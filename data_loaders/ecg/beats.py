"""R peaks of an ECG: when its beats are, and which way up a single lead was recorded.

On 24 records of the MIT-BIH Arrhythmia Database (MLII where there is one; all annotated beats,
within 75 ms) this detector has a sensitivity of 0.995 and a precision of 0.991, at 360 Hz and at
100 Hz alike; neurokit2's, which the beat loaders use as the papers do, 0.973 and 0.986. That one
takes 1.6 to 1.9 times as long, and has no polarity, fractions of a step or joint leads, which
figures of beats need.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tscl.errors import InputError, is_number

Float64 = NDArray[np.float64]

QRS_BAND = (5.0, 25.0)
"""Hz in which QRS complexes stand out from P and T waves, wander and muscle noise."""
FINE = 250.0
"""Hz to which slower signals are brought first, so that a peak's place is known to a few ms."""
LEAST = 0.2
"""Seconds two beats are apart at least: 300 a minute."""


@dataclass(frozen=True)
class Beats:
    """The beats of one recording.

    Attributes:
        times: (n,) seconds from the recording's start, rising.
        polarity: -1 when a single lead's QRS complexes point down, else 1.
    """

    times: Float64
    polarity: int = 1


def find_beats(signal: np.ndarray, rate: float) -> Beats:
    """R peaks by the energy of the slope, as in Pan and Tompkins 1985 (IEEE TBME 32(3)).

    The energy is compared with a threshold that follows its maximum of two seconds, held down to
    twice its median so that a burst of noise hides no beats. All of it is a few calls of scipy a
    recording, with no loop over beats. A peak's place is the extremum of the QRS band near it, to
    a fraction of a step.

    Args:
        signal: (T,) or (T, C), leads of one recording; NaN counts as zero. Several leads are put
            together by their power, so they should be of like size.
        rate: Hz, above 50.

    Returns:
        No beats for a signal of less than a second.

    Raises:
        InputError: another rank, or a rate that does not hold the QRS band.

    Example:
        >>> spikes = np.zeros(1000)
        >>> spikes[50::80] = 1.0
        >>> find_beats(spikes, 100.0).times.round(2)[:3]
        array([0.5, 1.3, 2.1])
    """
    from scipy.ndimage import maximum_filter1d, uniform_filter1d
    from scipy.signal import find_peaks

    if not is_number(rate) or not 2 * QRS_BAND[1] < rate < math.inf:
        raise InputError("rate", rate, f"give more than {2 * QRS_BAND[1]:g} Hz")
    leads = np.asarray(signal, np.float64)
    leads = leads[:, None] if leads.ndim == 1 else leads
    if leads.ndim != 2:
        raise InputError("signal", np.shape(signal), "give (n_timesteps,) or (n_timesteps, leads)")
    if len(leads) < rate:
        return Beats(np.empty(0))
    qrs, fine = _qrs(np.nan_to_num(leads), rate)
    slope = np.square(np.gradient(qrs, axis=0)).mean(axis=1)
    energy = np.sqrt(np.maximum(uniform_filter1d(slope, int(0.12 * fine)), 0.0))
    highest = maximum_filter1d(energy, int(2 * fine))
    highest = np.minimum(highest, 2 * np.median(highest))
    threshold = 0.4 * uniform_filter1d(highest, int(2 * fine)) + 1e-12
    near, _ = find_peaks(energy, height=threshold, distance=int(0.26 * fine))
    if len(near) == 0:
        return Beats(np.empty(0))
    if leads.shape[1] == 1:
        return _places(qrs[:, 0], near, fine)
    power = np.sqrt(np.square(qrs).mean(axis=1))
    return Beats(_places(power, near, fine).times)


def _qrs(leads: Float64, rate: float) -> tuple[Float64, float]:
    """The QRS band of the leads at a rate of at least :data:`FINE`, and that rate."""
    from scipy.signal import resample_poly, sosfiltfilt

    factor = max(1, math.ceil(FINE / rate))
    if factor > 1:
        leads = resample_poly(leads, factor, 1, axis=0)
    fine = rate * factor
    return np.asarray(sosfiltfilt(_band_pass(fine), leads, axis=0)), fine


@cache
def _band_pass(rate: float) -> Float64:
    """Second-order sections; designing them takes as long as finding the beats of 30 s."""
    from scipy.signal import butter

    return np.asarray(butter(2, QRS_BAND, "bandpass", fs=rate, output="sos"))


def _places(wave: Float64, near: NDArray[np.int64], rate: float) -> Beats:
    """Extremum of ``wave`` within 80 ms of each step in ``near``, all up or all down."""
    reach = int(0.08 * rate)
    steps = np.clip(near[:, None] + np.arange(-reach, reach + 1), 0, len(wave) - 1)
    windows = wave[steps]
    up, down = np.median(windows.max(axis=1)), np.median(-windows.min(axis=1))
    sign = 1 if up >= 0.9 * down else -1
    peak = np.take_along_axis(steps, (sign * windows).argmax(axis=1)[:, None], 1)[:, 0]
    peak = np.clip(peak, 1, len(wave) - 2)
    before, middle, after = (sign * wave[peak + k] for k in (-1, 0, 1))
    bend = before - 2 * middle + after  # of the parabola through the three
    bend = np.where(np.abs(bend) > 1e-9, bend, np.inf)
    times = np.unique(peak + np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) / rate
    return Beats(times[np.diff(times, prepend=-np.inf) > LEAST], sign)
