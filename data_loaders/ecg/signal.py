"""ECG signals: resampling, R peaks of either polarity, and beats."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from data_loaders.filters import interpolated
from data_loaders.record_log import RecordError
from data_loaders.signals import Recording
from tscl.errors import InputError, check_choice


def resample(signal: np.ndarray, rate: float, target: float, how: str = "polyphase") -> np.ndarray:
    """Change the sampling rate of a signal.

    Args:
        signal: (T, C).
        rate: its rate in Hz.
        target: the new rate in Hz.
        how: ``"polyphase"`` filters against aliasing; ``"linear"`` interpolates between samples
            without a filter, as COMET's public preprocessing does (it folds what lies above half
            the new rate back into the band).

    Returns:
        (T * target / rate, C) float32.
    """
    check_choice("resample", how, ("polyphase", "linear"))
    if not target > 0:
        raise InputError("target_rate", target, "give a positive number of Hz")
    if rate == target:
        return np.asarray(signal, np.float32)
    if how == "linear":
        return interpolated(signal, rate, target)
    from scipy.signal import resample_poly

    ratio = Fraction(target).limit_denominator(10000) / Fraction(rate).limit_denominator(10000)
    wide = signal.astype(np.float64)
    out = resample_poly(wide, ratio.numerator, ratio.denominator, axis=0, padtype="line")
    return out.astype(np.float32)


def lead_polarity(signal: np.ndarray, rate: float) -> np.ndarray:
    """Which way the QRS complexes of every lead point: 1 up, -1 down (aVR, swapped electrodes).

    The larger excursion of the QRS band (5 to 30 Hz, in which P and T waves are small) decides in
    each second, the median over the seconds decides for the lead.

    Args:
        signal: (T, C).
        rate: Hz.

    Returns:
        (C,) int64 of 1 and -1; that of ``-signal`` is the opposite.
    """
    from scipy.signal import butter, sosfiltfilt

    step = round(rate)
    seconds = len(signal) // step
    if rate <= 12 or not seconds:
        return np.ones(signal.shape[1], np.int64)
    band = butter(2, (5, min(30, 0.45 * rate)), "bandpass", fs=rate, output="sos")
    padding = min(3 * step, len(signal) - 1)
    qrs = sosfiltfilt(band, signal.astype(np.float64), axis=0, padlen=padding)
    qrs = qrs[: seconds * step].reshape(seconds, step, -1)
    excursion = np.median(qrs.max(axis=1) + qrs.min(axis=1), axis=0)
    return np.where(excursion < 0, -1, 1)


def lead_peaks(
    signal: np.ndarray, rate: float, method: str = "neurokit", *, turn: bool = True
) -> list[np.ndarray]:
    """R peaks of every lead by neurokit2, which looks for upward ones: see :func:`lead_polarity`.

    Args:
        signal: (T, C).
        rate: Hz.
        method: a detector of ``neurokit2.ecg_findpeaks``.
        turn: turn leads whose R waves point down first.

    Returns:
        C arrays of ascending positions; empty where the detector finds none.
    """
    import neurokit2

    result = []
    upward = signal.astype(np.float64) * (lead_polarity(signal, rate) if turn else 1)
    for values in upward.T:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                clean = neurokit2.ecg_clean(values, sampling_rate=rate, method=method)
                info = neurokit2.ecg_findpeaks(clean, sampling_rate=rate, method=method)
            peaks = np.asarray(info["ECG_R_Peaks"], np.float64)
        except (ValueError, IndexError, ZeroDivisionError):
            peaks = np.empty(0)
        peaks = peaks[np.isfinite(peaks)].astype(np.int64)
        result.append(np.unique(peaks[(peaks >= 0) & (peaks < len(values))]))
    return result


def median_rr(peaks: Sequence[np.ndarray]) -> float:
    """Median over leads of each lead's median RR interval, in steps; NaN without two peaks."""
    medians = [float(np.median(np.diff(times))) for times in peaks if len(times) >= 2]
    return float(np.median(medians)) if medians else float("nan")


def common_peaks(peaks: Sequence[np.ndarray], rate: float, agreement: float = 0.5) -> np.ndarray:
    """Beats that enough leads agree on, each at the median of their positions.

    Peaks of all leads are pooled; a group ends where the next peak is over 0.1 s away, so beats
    less than that apart are one.

    Args:
        peaks: ascending positions of each lead, in steps.
        rate: Hz.
        agreement: share of the leads that have any peak in which a group must be seen.

    Returns:
        (n_beats,) ascending int64 positions.
    """
    used = [times for times in peaks if len(times)]
    if not used:
        return np.empty(0, np.int64)
    position = np.concatenate(used)
    lead = np.repeat(np.arange(len(used)), [len(times) for times in used])
    order = np.argsort(position, kind="stable")
    position, lead = position[order], lead[order]
    cuts = np.flatnonzero(np.diff(position) > 0.1 * rate) + 1
    groups = zip(np.split(position, cuts), np.split(lead, cuts), strict=True)
    need = agreement * len(used)
    kept = [int(np.median(at)) for at, who in groups if len(np.unique(who)) >= need]
    return np.asarray(kept, np.int64)


def counted_peaks(peaks: Sequence[np.ndarray]) -> np.ndarray:
    """Beat i at the median over leads of each lead's i-th peak, as COMET's public preprocessing.

    A lead that misses a beat or sees one twice shifts all later ones; leads with fewer peaks do
    not count for the last beats.

    Returns:
        (n_beats,) int64 positions, n_beats that of the lead with the most peaks.
    """
    longest = max((len(places) for places in peaks), default=0)
    table = np.full((len(peaks), longest), np.nan)
    for row, places in zip(table, peaks, strict=True):
        row[: len(places)] = places
    return np.nanmedian(table, axis=0).astype(np.int64) if longest else np.empty(0, np.int64)


def cut_beats(
    signal: np.ndarray, peaks: np.ndarray, rr: float, length: int, *, keep_cut: bool = False
) -> np.ndarray:
    """Beats of ``rr`` steps around each peak, zero padded on both sides to ``length``.

    Beats whose window crosses an end of the signal are left out unless ``keep_cut``: what there
    is of them is then padded.

    Args:
        signal: (T, C).
        peaks: (n,) positions.
        rr: steps per beat; the window is peak - rr // 2 up to peak + rr // 2.
        length: steps per sample, at least rr.
        keep_cut: keep beats cut off by an end of the signal.

    Returns:
        (n_beats, length, C) float32.
    """
    half = int(rr) // 2
    if not half >= 1 or 2 * half > length:
        raise InputError("rr", rr, f"give 2 to {length} steps")
    if keep_cut:
        beats = np.zeros((len(peaks), length, signal.shape[1]), np.float32)
        for beat, peak in zip(beats, peaks.tolist(), strict=True):
            part = signal[max(0, peak - half) : peak + half]
            left = (length - len(part)) // 2
            beat[left : left + len(part)] = part
        return beats
    peaks = peaks[(peaks >= half) & (peaks + half <= len(signal))]
    out = np.zeros((len(peaks), length, signal.shape[1]), np.float32)
    left = (length - 2 * half) // 2
    rows = peaks[:, None] + np.arange(-half, half)[None]
    out[:, left : left + 2 * half] = signal[rows]
    return out


def beats_of(
    record: Recording, length: int, *, method: str = "neurokit", match: str = "position"
) -> np.ndarray:
    """Beats of a record around its R peaks, of the median RR length.

    Args:
        record: all leads.
        length: steps of a sample.
        method: see :func:`lead_peaks`.
        match: how peaks of different leads are one beat: by ``"position"``
            (:func:`common_peaks`, leads turned upright, whole beats only), or by ``"order"``
            (:func:`counted_peaks`, leads as they are, beats cut off by an end kept), as COMET's
            public preprocessing.

    Returns:
        (n_beats, length, C) float32.

    Raises:
        RecordError: ``no_r_peaks``; ``rr_too_long`` when the median RR exceeds ``length``.
    """
    by_order = match == "order"
    peaks = lead_peaks(record.signal, record.rate, method, turn=not by_order)
    rr = median_rr(peaks)
    if not np.isfinite(rr):
        raise RecordError(record.name, "no_r_peaks", "no lead shows two R peaks")
    if rr > length:
        raise RecordError(record.name, "rr_too_long", f"median RR {rr:.0f} of {length} steps")
    where = counted_peaks(peaks) if by_order else common_peaks(peaks, record.rate)
    beats = cut_beats(record.signal, where, rr, length, keep_cut=by_order)
    if not len(beats):
        raise RecordError(record.name, "no_r_peaks", "no whole beat the leads agree on")
    return beats


def group_trials(n: int, size: int, *, keep_remainder: bool = False) -> np.ndarray:
    """Trial number of each of neighbouring samples.

    Args:
        n: samples.
        size: samples a trial.
        keep_remainder: keep a last trial of fewer samples.

    Returns:
        (n,) int64 with the remainder kept, else the largest multiple of ``size``.
    """
    count = n if keep_remainder else n - n % size
    return np.arange(count, dtype=np.int64) // size


def standardize_record(signal: np.ndarray) -> np.ndarray:
    """Each lead to zero mean and unit variance over the record, (T, C) float32."""
    wide = signal.astype(np.float64)
    wide -= wide.mean(axis=0)
    std = wide.std(axis=0)
    return (wide / np.where(std > 0, std, 1.0)).astype(np.float32)
