"""What the beats of ECG recordings tell without a label, as targets that an encoder can learn."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_loaders.container.recordings import Recordings
from data_loaders.container.targets import CropTargets, Float32, Int64
from data_loaders.ecg.beat_numbers import (
    AFTER,
    BEFORE,
    LEAD_QUALITY,
    LEAD_SHAPE,
    QUALITY,
    RATE,
    RHYTHM,
    SHAPE,
    cut_windows,
    lead_shape_numbers,
    quality_numbers,
    rhythm_numbers,
    shape_numbers,
    step_numbers,
)
from data_loaders.ecg.beats import find_beats
from tscl.disk import atomic_file
from tscl.errors import InputError, is_whole

VERSION = 1
"""Raised when the formulas change, so that no cache of other ones is read."""
CLIP = 15.0
"""Standard deviations beyond which a value is an artefact."""


@dataclass(frozen=True)
class BeatKnowledge:
    """Figures of crops and steps of recordings as they were measured.

    Attributes:
        row, start: (m,) recording and first step of every crop.
        numbers: (m, k), named by :func:`number_names`; NaN: unknown.
        beats: (m, 75 C) median beat of the crop, lead after lead in each step.
        places, lengths: (n,) where each recording begins in the two below, and its steps.
        steps: (total, 4), see :func:`data_loaders.ecg.beat_numbers.step_numbers`.
        peaks: (total,) bool, R peaks.
    """

    row: Int64
    start: Int64
    numbers: Float32
    beats: Float32
    places: Int64
    lengths: Int64
    steps: Float32
    peaks: NDArray[np.bool_]

    def targets(self, fit: NDArray[np.integer | np.bool_], components: int = 12) -> CropTargets:
        """The figures on one scale, which is fitted to some of the recordings.

        Args:
            fit: rows of the recordings for training; from them come the medians and spreads, and
                the principal components of the median beats.
            components: of the median beats that are kept, 1 or more.

        Returns:
            Targets of all recordings: crops ``numbers`` and ``beat_shape``, steps ``rhythm`` and
            events ``beat``. Figures of crops are within -4 and 4.

        Raises:
            InputError: ``components`` out of range, or fewer crops with beats than ``components``.
        """
        rows = np.arange(len(self.lengths))[fit]
        inside = np.isin(self.row, rows)
        known = np.isfinite(self.beats).all(axis=1)
        if not is_whole(components) or not 1 <= components <= self.beats.shape[1]:
            remedy = f"give a whole number from 1 to {self.beats.shape[1]}"
            raise InputError("components", components, remedy)
        if (inside & known).sum() < components:
            remedy = "choose more recordings with beats, or fewer components"
            raise InputError("fit", f"{len(rows)} recordings", remedy)
        numbers = self.numbers.astype(np.float64)
        numbers -= np.nan_to_num(np.nanmedian(numbers[inside], axis=0))
        spread = np.nanpercentile(np.abs(numbers[inside]), 75, axis=0)
        numbers /= 1.2 * np.nan_to_num(spread) + 1e-2
        within = np.concatenate([self._steps_of(row) for row in rows.tolist()])
        mean, std = np.nanmean(within, axis=0), np.nanstd(within, axis=0)
        return CropTargets(
            row=self.row,
            start=self.start,
            crops={
                "numbers": np.clip(numbers, -4, 4).astype(np.float32),
                "beat_shape": _scores(self.beats.astype(np.float64), inside & known, components),
            },
            places=self.places,
            lengths=self.lengths,
            steps={"rhythm": (self.steps - mean) / (std + 1e-6)},
            events={"beat": self.peaks},
        )

    def _steps_of(self, row: int) -> Float32:
        first = int(self.places[row])
        return self.steps[first : first + int(self.lengths[row])]


def number_names(channel_names: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Names of the figures of a crop: 71 of one lead, 26 + 24 C + 1 of C leads."""
    if len(channel_names) == 1:
        return (*RHYTHM, *SHAPE, *QUALITY, "beats_a_second")
    by_lead = [f"{lead} {name}" for name in LEAD_SHAPE for lead in channel_names]
    by_lead += [f"{lead} {name}" for lead in channel_names for name in LEAD_QUALITY]
    return (*RHYTHM, *by_lead, "beats_a_second")


def beat_knowledge(
    recordings: Recordings,
    *,
    crop: int = 2000,
    hop: int = 250,
    n_jobs: int = 1,
    cache: str | Path | None = None,
) -> BeatKnowledge:
    """Measure crops on a grid, and every step, of recordings. No label is read.

    A single lead whose QRS complexes point down is turned over first, so that its figures do not
    depend on how the electrodes were put on. Of several leads, each has its own figures.

    Args:
        recordings: at 100 Hz and with 0.5 to 40 Hz in them; each lead of each is scaled to unit
            variance here.
        crop: steps of a crop; a shorter recording is one crop.
        hop: steps from one crop to the next; the last one ends with the recording.
        n_jobs: processes, as joblib counts them; the result is the same for any number.
        cache: folder in which the result is kept, and read from for the same values and settings.

    Raises:
        InputError: another rate, a recording below 1 s, or a size below 1.
    """
    if recordings.sampling_rate != RATE:
        remedy = f"load the recordings with rate={RATE:g}"
        raise InputError("recordings", f"{recordings.sampling_rate:g} Hz", remedy)
    for field, size, least in (("crop", crop, int(RATE)), ("hop", hop, 1)):
        if not is_whole(size) or size < least:
            raise InputError(field, size, f"give a whole number of at least {least}")
    short = recordings.record[recordings.lengths < RATE]
    if len(short):
        remedy = "take them off the table of labels, or leave them out with recordings.subset"
        raise InputError("recordings", f"{', '.join(map(str, short[:9]))} shorter than 1 s", remedy)
    path = None if cache is None else Path(cache) / f"beats-{_digest(recordings, crop, hop)}.npz"
    if path is not None and path.is_file():
        return _read(path)
    from joblib import Parallel, delayed, effective_n_jobs

    processes = min(int(effective_n_jobs(n_jobs)), -(-len(recordings) // 50))
    cuts = np.linspace(0, len(recordings), processes + 1).astype(int).tolist()
    parts = Parallel(n_jobs=processes)(
        delayed(_measure)(recordings, range(*cut), crop, hop) for cut in pairwise(cuts)
    )
    row, start, numbers, beats, steps, peaks = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    lengths = recordings.lengths.astype(np.int64)
    places = np.cumsum(lengths) - lengths
    result = BeatKnowledge(row, start, numbers, beats, places, lengths, steps, peaks)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as work, work.open("wb") as file:
            np.savez(file, **{f.name: getattr(result, f.name) for f in fields(BeatKnowledge)})
    return result


def _measure(
    recordings: Recordings, rows: range, crop: int, hop: int
) -> tuple[NDArray[np.generic], ...]:
    """Row, start, numbers and median beat of the crops, and figures and R peaks of the steps."""
    crops: list[tuple[int, int, np.ndarray, np.ndarray]] = []
    steps, peaks = [], []
    for row in rows:
        signal = _scaled(recordings[row])
        rhythm = find_beats(signal, RATE)
        signal *= rhythm.polarity
        last = max(0, len(signal) - crop)
        for start in sorted({*range(0, last + 1, hop), last}):
            piece = signal[start : start + crop]
            times = rhythm.times - start / RATE
            times = times[(times >= 0) & (times < len(piece) / RATE)]
            crops.append((row, start, *crop_numbers(piece, times)))
        happens = np.zeros(len(signal), bool)
        happens[np.clip(np.round(rhythm.times * RATE), 0, len(signal) - 1).astype(int)] = True
        peaks.append(happens)
        lead = signal[:, 0] if signal.shape[1] == 1 else signal.mean(axis=1)
        steps.append(step_numbers(lead, rhythm.times).astype(np.float32))
    row_of, start_of, numbers, beats = zip(*crops, strict=True)
    return (
        np.array(row_of, np.int64),
        np.array(start_of, np.int64),
        np.stack(numbers).astype(np.float32),
        np.stack(beats).astype(np.float32),
        np.concatenate(steps),
        np.concatenate(peaks),
    )


def crop_numbers(
    signal: NDArray[np.float64], times: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Figures of one crop, named by :func:`number_names`, and its median beat, (75 C,).

    Args:
        signal: (T, C) at 100 Hz, upright, of unit variance.
        times: (n,) R peaks in seconds from the crop's start.
    """
    windows, _ = cut_windows(signal, times)
    if signal.shape[1] == 1:
        shape, median = shape_numbers(windows[:, :, 0])
        quality = quality_numbers(signal[:, 0])
    else:
        by_lead, median = lead_shape_numbers(windows)
        shape = by_lead.T.reshape(-1)
        quality = np.concatenate([quality_numbers(lead)[: len(LEAD_QUALITY)] for lead in signal.T])
    pace = [len(times) / (len(signal) / RATE)]
    return np.concatenate([rhythm_numbers(times), shape, quality, pace]), median.reshape(-1)


def _scaled(signal: np.ndarray) -> NDArray[np.float64]:
    """Leads (T, C) of zero mean and unit variance, missing values zero, artefacts cut off."""
    wide = signal.astype(np.float64)
    wide = np.nan_to_num(wide - np.nanmean(np.where(np.isinf(wide), np.nan, wide), axis=0))
    scaled: NDArray[np.float64] = np.clip(wide / (wide.std(axis=0) + 1e-6), -CLIP, CLIP)
    return scaled


def _scores(beats: NDArray[np.float64], fit: NDArray[np.bool_], components: int) -> Float32:
    """Principal component scores, of unit variance in ``fit`` and within -4 and 4."""
    mean = beats[fit].mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(beats[fit] - mean, rowvar=False))
    axes = vectors[:, ::-1][:, :components]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(components)])
    spread = np.sqrt(np.maximum(values[::-1][:components], 1e-12))
    scores: Float32 = np.clip((beats - mean) @ axes / spread, -4, 4).astype(np.float32)
    return scores


def _digest(recordings: Recordings, crop: int, hop: int) -> str:
    """Changes with the values, the settings and the formulas."""
    state = hashlib.sha256(repr((VERSION, BEFORE, AFTER, crop, hop)).encode())
    state.update(repr((recordings.values.dtype, recordings.lengths.tolist())).encode())
    for start, length in zip(recordings.starts.tolist(), recordings.lengths.tolist(), strict=True):
        state.update(np.ascontiguousarray(recordings.values[start : start + length]).data)
    return state.hexdigest()[:16]


def _read(path: Path) -> BeatKnowledge:
    try:
        with np.load(path, allow_pickle=False) as file:
            return BeatKnowledge(**{f.name: file[f.name] for f in fields(BeatKnowledge)})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError("cache", path, f"delete this file; it cannot be read ({error})") from None
