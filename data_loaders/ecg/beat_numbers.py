"""Figures of a stretch of ECG that physicians look at: rhythm, shape of its beats, quality.

All come from R peaks and the signal; no label is read. They are in the form that suits a linear
model: shares, and logarithms of what spreads over decades. What cannot be known is NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

RATE = 100.0
"""Hz that the beats' windows and bands below are for."""
BEFORE, AFTER = 30, 45
"""Steps of a beat before and from its R peak on."""

RHYTHM = (
    *("rate", "log_cv", "log_rmssd", "log_change", "change_5", "change_10", "change_20"),
    *("change_50ms", "log_quartiles", "log_deciles", "shortest", "longest", "early", "late"),
    *("log_mad", "change_autocorrelation", "autocorrelation", "entropy", "change_entropy"),
    *("early_then_pause", "early_twice", "usual_change", "log_sd_ratio", "skewness"),
    *("log_nearest_pair", "log_pair_density"),
)
SHAPE = (
    *("alike", "alike_p10", "alike_least", "unlike_80", "unlike_50", "qrs_alike_p10"),
    *("qrs_alike_least", "qrs_unlike_85", "log_rest", "log_rest_before", "log_rest_qrs"),
    *("p_highest", "p_lowest", "log_p_to_rest", "t_highest", "t_lowest", "t_place"),
    *("qrs_width_30", "qrs_width_15", "log_size_spread", "log_size", "broad_beats", "r_share"),
    "log_p_spread",
)
QUALITY = (
    *(f"log_band_{k}" for k in range(12)),
    *("log_kurtosis", "skew", "log_slope", "mean_size", "log_size_spread_halves", "log_burst"),
    *("log_usual_size", "flat"),
)
LEAD_SHAPE = (
    *("r_highest", "qrs_lowest", "st_level", "t_highest", "t_lowest", "p_highest"),
    *("log_rest", "qrs_width_15"),
)
LEAD_QUALITY = QUALITY[:16]

_QRS = slice(BEFORE - 8, BEFORE + 9)
_P = slice(8, 24)
_WELCH = 512
_EDGES = np.geomspace(0.5, 45.0, 13)
_FREQUENCY = np.fft.rfftfreq(_WELCH, 1 / RATE)
_BANDS = ((_EDGES[:-1, None] <= _FREQUENCY) & (_EDGES[1:, None] > _FREQUENCY)).astype(np.float64)


def rhythm_numbers(times: Float64) -> Float64:
    """Figures of the intervals between R peaks, :data:`RHYTHM`; NaN with fewer than four.

    Args:
        times: (n,) seconds, ascending. Intervals of 3 s and more are gaps, not beats.
    """
    rr = np.diff(times)
    rr = rr[rr < 3.0]
    if len(rr) < 4:
        return np.full(len(RHYTHM), np.nan)
    median = np.median(rr)
    q = rr / median
    change = np.diff(q)
    size, power = np.abs(change), np.mean(change**2)
    p10, p25, p75, p90 = np.percentile(q, [10, 25, 75, 90])
    centred = q - q.mean()
    variance = np.mean(centred**2)
    sd1 = np.sqrt(0.5) * change.std()
    sd2 = np.sqrt(max(2 * q.var() - sd1**2, 1e-6))
    early, pairs = q[:-1] < 0.88, np.stack([q[:-1], q[1:]], axis=1)
    distance = np.abs(pairs[:, None] - pairs).max(axis=-1)  # between points of the Lorenz plot
    np.fill_diagonal(distance, 9.0)
    usual = np.sort(size)[: max(1, int(0.7 * len(size)))]
    return np.array(
        [
            60.0 / median,
            np.log(rr.std() / median + 1e-3),
            np.log(np.sqrt(power) + 1e-3),
            np.log(np.median(size) + 1e-3),
            *((size > limit).mean() for limit in (0.05, 0.1, 0.2)),
            (size * median > 0.05).mean(),
            np.log(p75 - p25 + 1e-3),
            np.log(p90 - p10 + 1e-3),
            q.min(),
            min(q.max(), 3.0),
            (q < 0.85).mean(),
            (q > 1.15).mean(),
            np.log(np.median(np.abs(q - 1.0)) + 1e-3),
            np.mean(change[1:] * change[:-1]) / (power + 1e-6),
            np.mean(centred[1:] * centred[:-1]) / (variance + 1e-6),
            _entropy(q, 14, 0.4, 1.8),
            _entropy(change, 12, -0.6, 0.6),
            (early & (q[1:] > 1.05)).mean(),
            (early & (q[1:] < 0.88)).mean(),
            usual.mean(),
            np.log((sd1 + 1e-3) / (sd2 + 1e-3)),
            np.mean(centred**3) / (variance**1.5 + 1e-5),
            np.log(np.median(distance.min(axis=1)) + 1e-3),
            np.log((distance < 0.08).sum(axis=1).mean() / max(len(pairs) - 1, 1) + 2e-2),
        ]
    )


def _entropy(values: Float64, bins: int, low: float, high: float) -> float:
    """Of the histogram of ``values`` held to [low, high]."""
    place = ((np.clip(values, low, high) - low) * (bins / (high - low))).astype(int)
    share = np.bincount(np.minimum(place, bins - 1), minlength=bins) / len(values)
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())


def cut_windows(signal: Float64, times: Float64) -> tuple[Float64, NDArray[np.int64]]:
    """The beats that lie in the signal whole.

    Args:
        signal: (T, C) at :data:`RATE`.
        times: (n,) R peaks in seconds.

    Returns:
        Windows (b, 75, C) and their R peaks in steps (b,).
    """
    peaks = np.round(times * RATE).astype(np.int64)
    peaks = peaks[(peaks >= BEFORE) & (peaks < len(signal) - AFTER)]
    return signal[peaks[:, None] + np.arange(-BEFORE, AFTER)], peaks


def alike(windows: Float64, like: Float64) -> Float64:
    """Cosine of each window (b, t) with ``like`` (t,)."""
    length = np.linalg.norm(windows, axis=1) * np.linalg.norm(like)
    return np.asarray((windows @ like) / (length + 1e-6))


def shape_numbers(windows: Float64) -> tuple[Float64, Float64]:
    """Figures of the beats of one lead, :data:`SHAPE`, and their median scaled by its QRS size.

    Args:
        windows: (b, 75); NaN comes out with fewer than three.
    """
    if len(windows) < 3:
        return np.full(len(SHAPE), np.nan), np.full(BEFORE + AFTER, np.nan)
    beats = windows - np.median(windows, axis=1, keepdims=True)
    median = np.median(beats, axis=0)
    whole = alike(beats - beats.mean(axis=1, keepdims=True), median - median.mean())
    qrs, median_qrs = beats[:, _QRS], median[_QRS]
    qrs_alike = alike(qrs, median_qrs)
    size, highest = np.ptp(median_qrs) + 1e-3, np.abs(median_qrs).max()
    rest = beats - median
    typical = np.median(np.abs(rest), axis=0) / size
    p = median[_P] - np.linspace(median[_P][0], median[_P][-1], _P.stop - _P.start)
    t = median[BEFORE + 12 :]
    sizes = np.ptp(qrs, axis=1)
    widths = (np.abs(qrs) > 0.5 * np.abs(qrs).max(axis=1, keepdims=True)).sum(axis=1)
    middle = np.abs(median[BEFORE - 15 : BEFORE + 16])
    numbers = [
        np.median(whole),
        np.percentile(whole, 10),
        whole.min(),
        (whole < 0.8).mean(),
        (whole < 0.5).mean(),
        np.percentile(qrs_alike, 10),
        qrs_alike.min(),
        (qrs_alike < 0.85).mean(),
        np.log(typical.mean() + 1e-3),
        np.log(typical[5:22].mean() + 1e-3),
        np.log(typical[_QRS].mean() + 1e-3),
        p.max() / size,
        p.min() / size,
        np.log(np.ptp(p) / size / (typical[_P].mean() + 1e-3) + 1e-2),
        t.max() / size,
        t.min() / size,
        np.abs(t).argmax(),
        (np.abs(median_qrs) > 0.3 * highest).sum(),
        (middle > 0.15 * highest).sum(),
        np.log(sizes.std() / (sizes.mean() + 1e-6) + 1e-2),
        np.log(size),
        np.percentile(widths, 95) - np.median(widths),
        median_qrs.max() / size,
        np.log(rest[:, _P].std(axis=1).mean() / size + 1e-3),
    ]
    return np.array(numbers), median / size


def lead_shape_numbers(windows: Float64) -> tuple[Float64, Float64]:
    """Figures of each lead's median beat, :data:`LEAD_SHAPE`, and the median beats.

    Args:
        windows: (b, 75, C); NaN comes out without any.

    Returns:
        (C, 8) and (75, C), in the units of the signal, so that leads can be compared.
    """
    leads = windows.shape[2]
    if len(windows) == 0:
        return np.full((leads, len(LEAD_SHAPE)), np.nan), np.full((BEFORE + AFTER, leads), np.nan)
    beats = windows - np.median(windows, axis=1, keepdims=True)
    median = np.median(beats, axis=0)
    rest = np.median(np.abs(beats - median), axis=0)
    wide = np.abs(median[BEFORE - 15 : BEFORE + 16]) > 0.15 * np.abs(median).max(axis=0)
    numbers = [
        median[_QRS].max(axis=0),
        median[_QRS].min(axis=0),
        median[BEFORE + 6 : BEFORE + 12].mean(axis=0),
        median[BEFORE + 15 :].max(axis=0),
        median[BEFORE + 15 :].min(axis=0),
        median[_P].max(axis=0),
        np.log(rest.mean(axis=0) + 1e-2),
        wide.sum(axis=0),
    ]
    return np.stack(numbers, axis=1), median


def quality_numbers(signal: Float64) -> Float64:
    """Figures of one lead whatever its beats are, :data:`QUALITY`: bands, peakedness, bursts.

    Args:
        signal: (T,) at :data:`RATE`.
    """
    from scipy.signal.windows import hann

    x = signal - signal.mean()
    z = x / (x.std() + 1e-6)
    half = _WELCH // 2
    padded = np.pad(x, (0, max(0, _WELCH - len(x))))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, _WELCH)[::half]
    power = np.square(np.abs(np.fft.rfft(pieces * hann(_WELCH)))).mean(axis=0)
    bands = _BANDS @ power
    halves = z[: len(z) // 50 * 50].reshape(-1, 50).std(axis=1) + 1e-3
    usual = np.median(halves)
    return np.array(
        [
            *np.log(bands / (bands.sum() + 1e-12) + 1e-5),
            np.log(np.mean(z**4) + 1e-3),
            np.mean(z**3),
            np.log(np.abs(np.diff(z)).mean() + 1e-3),
            np.abs(z).mean(),
            np.log(halves.std() / halves.mean() + 1e-6),
            np.log(halves.max() / usual),
            np.log(usual),
            (halves < 0.1).mean(),
        ]
    )


def step_numbers(signal: Float64, times: Float64) -> Float64:
    """Figures of every step from the beats around it.

    Args:
        signal: (T,) of one lead at :data:`RATE`. times: its R peaks in seconds.

    Returns:
        (T, 4): log of the RR interval over 0.8 s, log of its change, its share of the median RR
        less one, and log of how unlike the nearest beat is to the median beat.
    """
    steps = len(signal)
    out = np.full((steps, 4), np.nan)
    if len(times) < 5:
        return out
    rr = np.diff(times)
    q = rr / np.median(rr)
    change = np.abs(np.diff(q, prepend=q[0]))
    interval = np.searchsorted(times, np.arange(steps) / RATE) - 1
    known = (interval >= 0) & (interval < len(rr))
    at = interval[known]
    figures = [
        np.log(rr / 0.8),
        np.log(0.02 + np.minimum(change, 1.0)),
        np.clip(q - 1.0, -0.8, 1.0),
    ]
    out[known, :3] = np.where(rr[at, None] > 3.0, np.nan, np.stack(figures, axis=1)[at])
    windows, peaks = cut_windows(signal[:, None], times)
    if len(windows) > 2:
        beats = windows[:, :, 0] - windows[:, :, 0].mean(axis=1, keepdims=True)
        median = np.median(beats, axis=0)
        unlike = np.log(1.02 - np.clip(alike(beats, median - median.mean()), -0.5, 1.0))
        borders = (peaks[1:] + peaks[:-1]) / 2
        out[:, 3] = unlike[np.searchsorted(borders, np.arange(steps))]
    return out
