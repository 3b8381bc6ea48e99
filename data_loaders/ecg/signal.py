"""ECG signals: choosing leads, quality checks, resampling, R peaks and beats."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from data_loaders.ecg.records import WfdbRecord
from data_loaders.record_log import RecordError
from tscl.errors import InputError, is_number, is_whole


def choose_leads(record: WfdbRecord, leads: Sequence[str]) -> WfdbRecord:
    """The record with the named leads, in that order; names compare without case.

    A name may list alternatives, as in ``"V1|V2|V5"``: the first one the record has and no
    earlier name took is used.

    Raises:
        RecordError: ``missing_lead``.
        InputError: no leads asked for.
    """
    if not leads or isinstance(leads, str):
        raise InputError("leads", leads, "give a list of lead names")
    has = {lead.lower(): i for i, lead in reversed(list(enumerate(record.leads)))}
    taken: list[int] = []
    for wanted in leads:
        options = [has[key] for key in wanted.lower().split("|") if key in has]
        free = [i for i in options if i not in taken]
        if not free:
            detail = f"no lead {wanted}; it has {', '.join(record.leads)}"
            raise RecordError(record.name, "missing_lead", detail)
        taken.append(free[0])
    return replace(record, signal=record.signal[:, taken], leads=tuple(leads))


def check_quality(
    record: WfdbRecord,
    *,
    max_gap_seconds: float = 0.1,
    max_flat: float = 0.5,
    plausible_mv: tuple[float, float] = (0.01, 20.0),
) -> WfdbRecord:
    """Refuse what cannot be an ECG in mV; fill short gaps by straight lines.

    Args:
        record: the record, in mV.
        max_gap_seconds: longest run of NaN that is filled.
        max_flat: largest share of a lead that may lie in runs of a second or more without any
            change.
        plausible_mv: bounds of the median lead's range (1st to 99th percentile).

    Raises:
        RecordError: ``nan_gap``, ``flat_lead`` or ``unit_suspect``.
    """
    signal, notes = record.signal, list(record.notes)
    missing = ~np.isfinite(signal)
    if missing.any():
        runs = [_longest_run(missing[:, i]) for i in range(signal.shape[1])]
        worst = int(np.argmax(runs))
        if runs[worst] > max_gap_seconds * record.rate:
            seconds = runs[worst] / record.rate
            detail = f"lead {record.leads[worst]} has a gap of {seconds:.3g} s"
            raise RecordError(record.name, "nan_gap", detail)
        signal = signal.copy()
        for i in np.flatnonzero(missing.any(axis=0)).tolist():
            gap = missing[:, i]
            signal[gap, i] = np.interp(np.flatnonzero(gap), np.flatnonzero(~gap), signal[~gap, i])
        notes.append(f"{int(missing.sum())} missing values filled")
    for i, lead in enumerate(record.leads):
        share = _flat_share(signal[:, i], max(2, round(record.rate)))
        if share > max_flat:
            raise RecordError(record.name, "flat_lead", f"lead {lead} is flat for {share:.0%}")
    every = max(1, len(signal) // 20000)
    low, high = np.percentile(signal[::every], [1, 99], axis=0)
    spread = float(np.median(high - low))
    if not plausible_mv[0] <= spread <= plausible_mv[1]:
        guess = "uV read as mV" if spread > plausible_mv[1] else "mV read as uV"
        detail = f"the median lead spans {spread:.3g} mV ({guess}?)"
        raise RecordError(record.name, "unit_suspect", detail)
    return replace(record, signal=signal, notes=tuple(notes))


def _run_lengths(flag: np.ndarray) -> np.ndarray:
    """Lengths of the runs of True in a boolean vector."""
    edges = np.diff(np.concatenate(([0], flag.astype(np.int8), [0])))
    return np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)


def _longest_run(flag: np.ndarray) -> int:
    return int(_run_lengths(flag).max(initial=0))


def _flat_share(values: np.ndarray, shortest: int) -> float:
    """Share of steps in runs of ``shortest`` or more equal values (all, when all are equal)."""
    runs = _run_lengths(np.diff(values) == 0) + 1
    long = runs[(runs >= shortest) | (runs == len(values))]
    return float(long.sum() / len(values))


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
    if how not in ("polyphase", "linear"):
        raise InputError("resample", how, "choose 'polyphase' or 'linear'")
    if not target > 0:
        raise InputError("target_rate", target, "give a positive number of Hz")
    if rate == target:
        return np.asarray(signal, np.float32)
    if how == "linear":
        steps = max(1, int(len(signal) * target / rate))
        at = np.linspace(0, len(signal) - 1, steps)
        here = np.arange(len(signal))
        columns = [np.interp(at, here, signal[:, i]) for i in range(signal.shape[1])]
        return np.stack(columns, axis=1).astype(np.float32)
    from scipy.signal import resample_poly

    ratio = Fraction(target).limit_denominator(10000) / Fraction(rate).limit_denominator(10000)
    wide = signal.astype(np.float64)
    out = resample_poly(wide, ratio.numerator, ratio.denominator, axis=0, padtype="line")
    return out.astype(np.float32)


def lead_peaks(signal: np.ndarray, rate: float, method: str = "neurokit") -> list[np.ndarray]:
    """R peaks of every lead by neurokit2.

    Args:
        signal: (T, C).
        rate: Hz.
        method: a detector of ``neurokit2.ecg_findpeaks``.

    Returns:
        C arrays of ascending positions; empty where the detector finds none.
    """
    import neurokit2

    found = []
    for lead in range(signal.shape[1]):
        values = signal[:, lead].astype(np.float64)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                clean = neurokit2.ecg_clean(values, sampling_rate=rate, method=method)
                info = neurokit2.ecg_findpeaks(clean, sampling_rate=rate, method=method)
            peaks = np.asarray(info["ECG_R_Peaks"], np.float64)
        except (ValueError, IndexError, ZeroDivisionError):
            peaks = np.empty(0)
        peaks = peaks[np.isfinite(peaks)].astype(np.int64)
        found.append(np.unique(peaks[(peaks >= 0) & (peaks < len(values))]))
    return found


def median_rr(peaks: Sequence[np.ndarray]) -> float:
    """Median over leads of each lead's median RR interval, in steps; NaN without two peaks."""
    medians = [float(np.median(np.diff(one))) for one in peaks if len(one) >= 2]
    return float(np.median(medians)) if medians else float("nan")


def common_peaks(peaks: Sequence[np.ndarray], rate: float, agreement: float = 0.5) -> np.ndarray:
    """Beats that at least a share of the leads agree on, each at the median of their positions.

    Peaks of all leads are pooled; a group ends where the next peak is over 0.1 s away, so beats
    less than that apart are one. Groups seen in fewer than ``agreement`` of the leads that have
    any peak are left out.

    Returns:
        (n_beats,) ascending int64 positions.
    """
    used = [one for one in peaks if len(one)]
    if not used:
        return np.empty(0, np.int64)
    position = np.concatenate(used)
    lead = np.repeat(np.arange(len(used)), [len(one) for one in used])
    order = np.argsort(position, kind="stable")
    position, lead = position[order], lead[order]
    cuts = np.flatnonzero(np.diff(position) > 0.1 * rate) + 1
    groups = zip(np.split(position, cuts), np.split(lead, cuts), strict=True)
    need = agreement * len(used)
    kept = [int(np.median(at)) for at, who in groups if len(np.unique(who)) >= need]
    return np.asarray(kept, np.int64)


def cut_beats(signal: np.ndarray, peaks: np.ndarray, rr: float, length: int) -> np.ndarray:
    """Beats of ``rr`` steps around each peak, zero padded on both sides to ``length``.

    Beats whose window crosses an end of the signal are left out.

    Args:
        signal: (T, C).
        peaks: (n,) positions.
        rr: steps per beat; the window is peak - rr // 2 up to peak + rr // 2.
        length: steps per sample, at least rr.

    Returns:
        (n_beats, length, C) float32.
    """
    half = int(rr) // 2
    if not half >= 1 or 2 * half > length:
        raise InputError("rr", rr, f"give 2 to {length} steps")
    peaks = peaks[(peaks >= half) & (peaks + half <= len(signal))]
    out = np.zeros((len(peaks), length, signal.shape[1]), np.float32)
    left = (length - 2 * half) // 2
    rows = peaks[:, None] + np.arange(-half, half)[None]
    out[:, left : left + 2 * half] = signal[rows]
    return out


def beats_of(record: WfdbRecord, length: int, *, method: str = "neurokit") -> np.ndarray:
    """Beats of a record around the R peaks its leads agree on, of the median RR length.

    Returns:
        (n_beats, length, C) float32.

    Raises:
        RecordError: ``no_r_peaks``; ``rr_too_long`` when the median RR exceeds ``length``.
    """
    peaks = lead_peaks(record.signal, record.rate, method)
    rr = median_rr(peaks)
    if not np.isfinite(rr):
        raise RecordError(record.name, "no_r_peaks", "no lead shows two R peaks")
    if rr > length:
        raise RecordError(record.name, "rr_too_long", f"median RR {rr:.0f} of {length} steps")
    beats = cut_beats(record.signal, common_peaks(peaks, record.rate), rr, length)
    if not len(beats):
        raise RecordError(record.name, "no_r_peaks", "no whole beat the leads agree on")
    return beats


def check_rate(target_rate: float | None) -> None:
    """None keeps the files' rate; 0 and what is no number are mistakes.

    Raises:
        InputError: anything but None or a positive number of Hz.
    """
    if target_rate is None:
        return
    if not is_number(target_rate) or not 0 < target_rate < math.inf:
        remedy = "give a positive number of Hz, or None to keep the files' rate"
        raise InputError("target_rate", target_rate, remedy)


def check_count(field: str, size: int) -> None:
    """A whole number of 1 or more.

    Raises:
        InputError: anything else; names ``field``.
    """
    whole = is_whole(size)
    if not whole or size < 1:
        raise InputError(field, size, "give 1 or more" if whole else "give a whole number")


def group_trials(n: int, size: int, *, keep_remainder: bool = False) -> np.ndarray:
    """Trial number of each of ``n`` neighbouring samples, ``size`` a trial.

    Returns:
        (n,) int64 with the remainder kept, else the largest multiple of ``size``.
    """
    check_count("beats_per_trial", size)
    count = n if keep_remainder else n - n % size
    return np.arange(count, dtype=np.int64) // size


def standardize_record(signal: np.ndarray) -> np.ndarray:
    """Each lead to zero mean and unit variance over the record, (T, C) float32."""
    wide = signal.astype(np.float64)
    wide -= wide.mean(axis=0)
    std = wide.std(axis=0)
    return (wide / np.where(std > 0, std, 1.0)).astype(np.float32)
