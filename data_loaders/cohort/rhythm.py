"""A generated cohort of single-lead ECGs whose classes differ in rhythm, as real WFDB files.

Every recording is a series of beats. A beat is the sum of the Gaussian waves of
:class:`data_loaders.cohort.ecg_model.Heart` (McSharry et al. 2003) around its R wave, seen in lead
I; the waves move and widen with the square root of the RR interval. What the classes change is
which beats there are, and when:

* ``normal``: sinus rhythm. RR varies with breathing and the 0.1 Hz rhythm (equation (2) of McSharry
  et al.) by 2 to 8 %, each beat has a P wave. One in ten holds a single early atrial beat.
* ``af``, atrial fibrillation: RR intervals are gamma distributed and all but independent, with a
  coefficient of variation of 14 to 28 %; no P waves; fibrillatory waves of 4 to 8 Hz, a sawtooth
  whose frequency and height are modulated (Stridh, Sornmo, IEEE Trans. Biomed. Eng. 48(1), 2001),
  10 to 70 uV high and often below the noise.
* ``other``: a sinus rhythm with frequent ectopic beats (ventricular and wide, or atrial and early,
  single or every second or third), with pauses, or with Wenckebach block (PR grows until a beat is
  dropped). Their RR varies about as much as in fibrillation, but in a pattern.

All else belongs to the patient and is drawn the same way in all classes: mean heart rate (RR is
scaled so that the mean rate is the drawn one), wave shapes, heights and widths (some P waves are
nearly flat, some QRS wide), axis, polarity (electrodes held the other way round), amplitude, noise,
wander, bursts of muscle noise and jumps, duration. So mean rate, amplitude and broad spectrum say
little about the class, as in recordings from hand-held devices. The figures are of physiology; they
were not chosen by the scores of any method.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_loaders.cohort.ecg_model import Heart, lead_matrix, rr_intervals
from data_loaders.container.recordings import Recordings
from data_loaders.record_log import RecordLog
from data_loaders.vetting.paths import inside
from tscl.disk import new_folder
from tscl.errors import InputError
from tscl.seeding import numpy_generator

Array = NDArray[np.float64]

RHYTHMS = ("normal", "af", "other")
OTHER_KINDS = ("ventricular", "atrial", "pauses", "wenckebach")
STEPS_PER_MV = 1000.0
_P, _T = 0, 5
_AROUND = 6  # beats before and after the recording, whose waves reach into it


@dataclass
class Beats:
    """Beats of a recording: ``times`` of R in s, ``rr`` to the beat before, ``pr`` s by which the
    P wave comes earlier than usual, ``wide`` ventricular beats, ``p`` height of the P wave."""

    times: Array
    rr: Array
    pr: Array
    wide: NDArray[np.bool_]
    p: Array


def make_rhythm_cohort(
    folder: str | Path,
    n_recordings: int = 400,
    *,
    seed: int = 0,
    rate: int = 100,
    seconds: tuple[float, float] = (10.0, 40.0),
    shares: Sequence[float] = (0.5, 0.2, 0.3),
    noise: float = 1.0,
) -> Path:
    """Write recordings as WFDB records (.hea, .dat) and labels.csv (record, patient, label).

    Each recording is of another patient. One seed gives the same files, whatever the number of
    recordings asked for beyond it.

    Args:
        folder: a new or empty folder.
        n_recordings: 10 or more.
        seed: of the cohort.
        rate: Hz, 50 or more.
        seconds: shortest and longest recording, uniform between.
        shares: probability of each of :data:`RHYTHMS`.
        noise: factor on noise, wander and artefacts; 0 leaves them out.

    Returns:
        The folder.

    Raises:
        InputError: a value out of range, or a folder that is not empty.
        WriteError: the folder cannot be written.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = make_rhythm_cohort(Path(mkdtemp()) / "cohort", 10)
        >>> len(load_rhythm_cohort(folder))
        10
    """
    if n_recordings < 10:
        raise InputError("n_recordings", n_recordings, "ask for 10 or more")
    if rate < 50 or int(rate) != rate:
        raise InputError("rate", rate, "a whole number of Hz, 50 or more")
    if not 5 <= seconds[0] <= seconds[1]:
        raise InputError("seconds", seconds, "give shortest and longest, 5 s or more")
    if len(shares) != len(RHYTHMS) or min(shares) < 0 or not np.isclose(sum(shares), 1):
        raise InputError("shares", shares, f"one for each of {RHYTHMS}, with sum 1")
    if noise < 0:
        raise InputError("noise", noise, "0 or more")
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError("folder", target, "it is not empty; name another")
    with new_folder(target) as work:
        lines = []
        for index in range(n_recordings):
            rng = numpy_generator(seed, "rhythm-record", index)
            rhythm = str(rng.choice(RHYTHMS, p=np.asarray(shares, float)))
            length = rng.uniform(*seconds)
            signal, detail = _recording(seed, index, rhythm, length, rate, noise)
            name = f"r{index + 1:05d}"
            _write(work, name, signal, rate, detail)
            lines.append((name, f"p{index + 1:05d}", rhythm))
        with (work / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("record", "patient", "label"), *lines])
    return target


def load_rhythm_cohort(folder: str | Path) -> Recordings:
    """The recordings of :func:`make_rhythm_cohort`, whole, 1 channel in mV.

    Args:
        folder: where they were written.

    Returns:
        Recordings with the label names of :data:`RHYTHMS`.

    Raises:
        DataError: no such folder or table, or files that cannot be read.
    """
    from data_loaders.ecg.records import read_record
    from data_loaders.own_recordings import read_record_table

    root, log = Path(folder), RecordLog("rhythm cohort")
    listed = read_record_table("labels.csv", root, label_names=RHYTHMS)
    read, rows = [], []
    for row in listed.rows:
        with log.attempt(row.record):
            read.append(read_record(inside(root, row.record, row.record)))
            rows.append(row)
    log.require_any()
    return Recordings.from_arrays(
        (record.signal for record in read),
        read[0].rate,
        label=[listed.code(row) for row in rows],
        record=[row.record for row in rows],
        patient=[row.patient for row in rows],
        label_names=RHYTHMS,
        channel_names=["I"],
        name="rhythm cohort",
        source={"database": "generated: make_rhythm_cohort", "unit": "mV", "rate": read[0].rate},
        log=log,
    )


def _write(folder: Path, name: str, signal: Array, rate: int, detail: str) -> None:
    import wfdb

    wfdb.wrsamp(
        name,
        fs=rate,
        units=["mV"],
        sig_name=["I"],
        d_signal=np.clip(np.round(signal * STEPS_PER_MV), -32767, 32767).astype(np.int64)[:, None],
        fmt=["16"],
        adc_gain=[STEPS_PER_MV],
        baseline=[0],
        comments=[f"Rhythm: {detail}", "Generated by a model; no person's data"],
        write_dir=str(folder),
    )


def _recording(
    seed: int, index: int, rhythm: str, seconds: float, rate: int, noise: float
) -> tuple[Array, str]:
    """One recording (T,) in mV, and what its rhythm is in words."""
    rng = numpy_generator(seed, "rhythm-patient", index)
    heart = _patient(rng)
    gain = float(np.exp(rng.normal(0, 0.35))) * (-1 if rng.random() < 0.25 else 1)
    loudness = noise * float(np.exp(rng.normal(0, 0.5)))
    rng = numpy_generator(seed, "rhythm-beats", index)
    beats, detail = _beats(rhythm, heart, seconds, rng)
    time = np.arange(round(seconds * rate)) / rate
    signal = _waves(heart, beats, time)
    if rhythm == "af":
        signal += _fibrillation(time, rng)
    breathing = 1 + 0.06 * np.sin(2 * np.pi * heart.breath * time + rng.uniform(0, 2 * np.pi))
    signal *= gain * breathing
    return signal + loudness * _disturbance(time, rate, heart.breath, rng), detail


def _patient(rng: np.random.Generator) -> Heart:
    """A heart; nothing of it depends on the rhythm."""
    heart = Heart()
    width = heart.width * np.exp(rng.normal(0, [0.12, 0.15, 0.15, 0.15, 0.12, 0.15]))
    if rng.random() < 0.12:  # bundle branch block: a wide QRS in sinus rhythm as well
        width[1:4] *= 1.6
    height = np.exp(rng.normal(0, [0.45, 0.4, 0.25, 0.4, 0.0, 0.4]))
    dipole = heart.dipole * height[:, None]
    dipole[4] += rng.normal(0, 0.03, 3)
    if rng.random() < 0.1:
        dipole[_T] *= -0.6
    return replace(
        heart,
        angle=heart.angle + rng.normal(0, [0.1, 0.015, 0, 0.015, 0.05, 0.12]),
        width=width,
        dipole=dipole,
        rate=float(np.clip(75 * np.exp(rng.normal(0, 0.18)), 48, 125)),
        rate_sd=1.0,
        lf_hf=float(np.exp(rng.normal(-0.5, 0.5))),
        breath=float(np.clip(rng.normal(0.25, 0.05), 0.12, 0.45)),
    )


def _beats(
    rhythm: str, heart: Heart, seconds: float, rng: np.random.Generator
) -> tuple[Beats, str]:
    """Beats over the recording and a little more on both sides, at the patient's mean rate."""
    mean = 60.0 / heart.rate
    n = int(np.ceil(2.2 * seconds / mean)) + 2 * _AROUND
    detail, spread = rhythm, rng.uniform(0.14, 0.28)
    rr = rng.gamma(spread**-2, spread**2, n) if rhythm == "af" else _sinus(heart, n, rng)
    beats = Beats(np.zeros(n), rr, np.zeros(n), np.zeros(n, bool), np.full(n, rhythm != "af") * 1.0)
    rare = rng.random() < 0.1
    if rhythm == "other":
        detail = str(rng.choice(OTHER_KINDS, p=(0.35, 0.3, 0.15, 0.2)))
        _CHANGES[detail](beats, rng)
    elif rhythm == "af":
        beats.wide[rng.integers(n)] = rare
    elif rare:
        _early(beats, int(rng.integers(_AROUND, max(_AROUND + 1, n // 3))), 0.72, 1.1)
    beats.rr = np.clip(beats.rr * mean / beats.rr.mean(), 0.28, 3.5)
    beats.times = np.cumsum(beats.rr)
    beats.times += rng.uniform(0, beats.rr[_AROUND]) - beats.times[_AROUND]
    return beats, detail


def _sinus(heart: Heart, n: int, rng: np.random.Generator) -> Array:
    """RR intervals (n,) over their mean, read from the continuous series beat by beat."""
    spread = rng.uniform(0.02, 0.08)
    grid = 4.0
    unit = replace(heart, rate=60.0, rate_sd=60.0 * spread)
    series = rr_intervals(unit, int(n * 120 / heart.rate * grid), grid, rng)
    rr, at = np.empty(n), 0.0
    for beat in range(n):
        rr[beat] = series[min(int(at * grid), len(series) - 1)] + rng.normal(0, 0.004)
        at += rr[beat] * 60.0 / heart.rate
    return rr


def _early(beats: Beats, beat: int, early: float, after: float) -> None:
    """An atrial beat before its time, with another P wave and a short pause after it."""
    beats.rr[beat] *= early
    beats.p[beat] = 0.5
    if beat + 1 < len(beats.rr):
        beats.rr[beat + 1] *= after


def _chosen(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Beats that are ectopic: every second, every third, or single ones at random."""
    pattern = int(rng.choice((2, 3, 0), p=(0.3, 0.2, 0.5)))
    if pattern:
        return np.arange(int(rng.integers(pattern)), n - 1, pattern)
    gaps = 2 + rng.geometric(rng.uniform(0.15, 0.35), n)
    places = np.cumsum(gaps)
    chosen: NDArray[np.int64] = places[places < n - 1]
    return chosen


def _ventricular(beats: Beats, rng: np.random.Generator) -> None:
    """Wide beats without a P wave; the pause after them is compensatory: both RR sum to two."""
    early = rng.uniform(0.55, 0.75)
    for beat in _chosen(len(beats.rr), rng):
        both = beats.rr[beat] + beats.rr[beat + 1]
        beats.rr[beat] *= early * rng.normal(1, 0.02)
        beats.rr[beat + 1] = both - beats.rr[beat]
        beats.wide[beat], beats.p[beat] = True, 0.0


def _atrial(beats: Beats, rng: np.random.Generator) -> None:
    """Early beats with a P wave of their own."""
    early = rng.uniform(0.6, 0.8)
    for beat in _chosen(len(beats.rr), rng):
        _early(beats, int(beat), early * rng.normal(1, 0.03), 1.1)


def _pauses(beats: Beats, rng: np.random.Generator) -> None:
    """Sinus pauses of 1.6 to 2.4 intervals, one in five to nine beats."""
    places = np.cumsum(rng.integers(5, 10, len(beats.rr)))
    places = places[places < len(beats.rr)]
    beats.rr[places] *= rng.uniform(1.6, 2.4, len(places))


def _wenckebach(beats: Beats, rng: np.random.Generator) -> None:
    """PR grows from beat to beat by less and less; then one P wave is not conducted.

    The atria keep their rhythm: an RR interval is theirs plus the growth of PR, so that RR shrinks
    within a cycle and the pause is shorter than two intervals.
    """
    keep, place = int(rng.integers(3, 6)), int(rng.integers(5))
    growth = rng.uniform(0.05, 0.09)
    delay = np.cumsum(growth / (1 + np.arange(keep))) - growth
    for beat in range(len(beats.rr)):
        step = (beat + place) % keep
        beats.pr[beat] = delay[step]
        beats.rr[beat] += delay[step] - delay[step - 1] if step else beats.rr[beat] - delay[-1]


_CHANGES: dict[str, Callable[[Beats, np.random.Generator], None]] = {
    "ventricular": _ventricular,
    "atrial": _atrial,
    "pauses": _pauses,
    "wenckebach": _wenckebach,
}


def _waves(heart: Heart, beats: Beats, time: Array) -> Array:
    """The sum of all waves of all beats in lead I, (T,) in mV."""
    lead = lead_matrix()[0]
    height = heart.dipole @ lead
    signal = np.zeros(len(time))
    after = np.append(beats.rr[1:], beats.rr[-1])
    reach = int(1.2 / time[1])
    for beat in np.flatnonzero((beats.times > -1) & (beats.times < time[-1] + 1)):
        # Angles are of a cycle of 1 s; P follows the interval before, T the one after.
        stretch = np.sqrt(np.clip(np.r_[beats.rr[beat], np.ones(4), after[beat]], 0.35, 1.3))
        centre = heart.angle * stretch / (2 * np.pi)
        width = heart.width * stretch / (2 * np.pi)
        size = height.copy()
        centre[_P] -= beats.pr[beat]
        size[_P] *= beats.p[beat]
        if beats.wide[beat]:
            size[1:4] *= (0.5, 1.1, 2.0)
            size[_T] *= -1.4
            width[1:4] *= 2.6
            centre[1:4] *= 2.6
        middle = int(beats.times[beat] / time[1])
        near = slice(max(0, middle - reach), max(0, middle + reach))
        away = (time[near, None] - beats.times[beat] - centre) / width
        signal[near] += np.exp(-0.5 * away**2) @ size
    return signal


def _fibrillation(time: Array, rng: np.random.Generator) -> Array:
    """Fibrillatory waves: five harmonics of a sawtooth, frequency and height modulated, in mV."""
    high = rng.uniform(0.01, 0.07)
    slow = 2 * np.pi * rng.uniform(0.08, 0.3) * time
    phase = 2 * np.pi * rng.uniform(4, 8) * time
    phase += rng.uniform(0.5, 2.0) * np.sin(slow + rng.uniform(0, 2 * np.pi))
    phase += 0.4 * np.cumsum(rng.standard_normal(len(time))) * np.sqrt(time[1])
    level = high * (1 + 0.3 * np.sin(0.7 * slow + rng.uniform(0, 2 * np.pi)))
    order = np.arange(1, 6)
    waves: Array = level * (np.sin(phase[:, None] * order) @ (1.0 / order)) / 1.2
    return waves


def _disturbance(time: Array, rate: int, breath: float, rng: np.random.Generator) -> Array:
    """Noise, wander, bursts of muscle noise and jumps of the baseline, in mV."""
    n = len(time)
    muscle = np.diff(rng.standard_normal(n + 1)) / np.sqrt(2)
    total = 0.012 * rng.standard_normal(n) + rng.uniform(0.005, 0.03) * muscle
    slow = np.convolve(rng.standard_normal(n + 4 * rate), np.hanning(4 * rate), "valid")[:n]
    total += rng.uniform(0.03, 0.15) * slow / max(float(slow.std()), 1e-9)
    total += rng.uniform(0.01, 0.06) * np.sin(2 * np.pi * breath * time)
    for _ in range(rng.poisson(time[-1] / 25)):
        start, long = rng.uniform(0, time[-1]), rng.uniform(0.5, 2.5)
        inside = (time >= start) & (time < start + long)
        total += rng.uniform(0.05, 0.25) * inside * rng.standard_normal(n)
    for _ in range(rng.poisson(time[-1] / 40)):
        start = rng.uniform(0, time[-1])
        total += np.where(
            time >= start, rng.normal(0, 0.5) * np.exp(-(time - start).clip(0) / 0.5), 0
        )
    result: NDArray[np.float64] = total
    return result
