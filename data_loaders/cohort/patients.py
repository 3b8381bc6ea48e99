"""Patients of a generated cohort: who they are, what their disease changes, what was recorded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from data_loaders.cohort import ecg_model, eeg_model
from data_loaders.cohort.config import CohortConfig
from tscl.seeding import numpy_generator

Array = NDArray[np.float64]


@dataclass
class TrialTruth:
    """What happened in one trial: kind of artefact (or "") and channels that were off."""

    artefact: str = ""
    lead_off: tuple[str, ...] = ()


@dataclass
class Recording:
    """One generated recording.

    Attributes:
        signal: (n_steps, n_channels) in the cohort's unit.
        peaks: steps of the R waves; empty for EEG.
        properties: figures of the patient that the truth table tells.
        trials: one entry a trial.
    """

    signal: Array
    peaks: NDArray[np.int64]
    properties: dict[str, float]
    trials: list[TrialTruth] = field(default_factory=list)


def patient_labels(config: CohortConfig) -> NDArray[np.int64]:
    """Label of each patient: 0 healthy, 1 disease, in random order."""
    labels = np.zeros(config.n_patients, np.int64)
    labels[: config.n_patients // 2] = 1
    return numpy_generator(config.seed, "cohort-labels").permutation(labels)


def generate(config: CohortConfig, index: int, label: int) -> Recording:
    """The recording of a patient, a function of its arguments alone.

    The same patient is drawn whatever the label, so settings that differ in ``disease_effect`` only
    are the same people.

    Args:
        config: of the cohort, with its seed.
        index: of the patient, from 0.
        label: 1 for a patient with the disease, else 0.
    """
    make = _ecg if config.kind == "ecg" else _eeg
    recording = make(config, index, label * config.disease_effect)
    _spoil(config, recording, numpy_generator(config.seed, "cohort-faults", index))
    return recording


def _walks(config: CohortConfig, rng: np.random.Generator, n: int) -> Array:
    """``n`` random walks over the trials (unit variance at the last), (n, n_steps), continuous."""
    trials = config.trials_per_patient
    steps = rng.standard_normal((n, trials)) / np.sqrt(trials)
    walk = config.trial_drift * np.cumsum(steps, axis=1)
    centres = (np.arange(trials) + 0.5) * config.trial_steps
    at = np.arange(config.n_steps)
    return np.stack([np.interp(at, centres, values) for values in walk])


def _ecg(config: CohortConfig, index: int, effect: float) -> Recording:
    from scipy.spatial.transform import Rotation

    rng = numpy_generator(config.seed, "cohort-patient", index)
    strength = config.patient_effect
    heart = ecg_model.Heart()
    angle = heart.angle + strength * rng.normal(0, [0.06, 0.015, 0, 0.015, 0.05, 0.08])
    width = heart.width * np.exp(strength * rng.normal(0, [0.1, 0.1, 0.12, 0.1, 0.1, 0.12]))
    height = np.exp(strength * rng.normal(0, [0.25, 0.35, 0.2, 0.35, 0.0, 0.3]))
    dipole = heart.dipole * height[:, None]
    dipole[4] += strength * rng.normal(0, 0.02, 3)
    turn = Rotation.from_rotvec(strength * rng.normal(0, np.deg2rad(14), 3)).as_matrix()
    gain = np.exp(strength * rng.normal(0, 0.1, len(ecg_model.LEADS)))
    loudness = float(np.exp(strength * rng.normal(0, 0.3)))
    heart = replace(
        heart,
        angle=angle,
        width=width,
        rate=float(np.clip(68 * np.exp(strength * rng.normal(0, 0.13)), 45, 110)),
        rate_sd=float(2 * np.exp(strength * rng.normal(0, 0.3))),
        breath=float(np.clip(0.25 + strength * rng.normal(0, 0.04), 0.12, 0.45)),
    )
    dipole[4] += effect * np.array([0.02, 0.0, -0.12])
    dipole[5] *= 1 - 0.7 * effect
    heart = replace(heart, dipole=dipole @ turn.T)

    rng = numpy_generator(config.seed, "cohort-record", index)
    rate, t_wave, level = _walks(config, rng, 3)
    vector, peaks = ecg_model.simulate(
        heart,
        config.n_steps,
        float(config.sampling_rate),
        rng,
        rate_drift=np.exp(0.08 * rate),
        t_drift=np.exp(0.15 * t_wave),
    )
    matrix = (ecg_model.lead_matrix() * gain[:, None])[: config.n_channels]
    signal = (vector @ matrix.T) * np.exp(0.08 * level)[:, None]
    noise = config.noise * loudness
    signal += 0.03 * noise * rng.standard_normal(signal.shape)
    signal += 0.08 * noise * _wander(config, heart.breath, rng)
    properties = {
        "heart_rate_bpm": heart.rate,
        "st_chest_mv": float(-dipole[4, 2]),
        "t_height_mv": float(np.linalg.norm(dipole[5]) * np.sign(1 - 0.7 * effect)),
        "noise_mv": 0.03 * noise,
    }
    return Recording(signal, peaks, properties)


def _wander(config: CohortConfig, breath: float, rng: np.random.Generator) -> Array:
    """Baseline wander of unit variance: breathing and slower, shared in part by the channels."""
    length = 1 << int(np.ceil(np.log2(max(config.n_steps, 64 * config.sampling_rate))))
    frequency = np.fft.rfftfreq(length, 1 / config.sampling_rate)
    slow = np.exp(-0.5 * (frequency / 0.12) ** 2)
    power = slow + 0.5 * np.exp(-0.5 * ((frequency - breath) / 0.02) ** 2)
    sources = eeg_model.coloured(power, config.n_steps, 3, rng)
    weights = rng.standard_normal((3, config.n_channels)) / np.sqrt(3)
    wander: Array = sources @ weights
    return wander


def _eeg(config: CohortConfig, index: int, effect: float) -> Recording:
    rng = numpy_generator(config.seed, "cohort-patient", index)
    strength = config.patient_effect

    def around(scale: float) -> float:
        return float(strength * rng.normal(0, scale))

    brain = eeg_model.Brain(
        exponent=1.3 + around(0.2),
        background=9 * np.exp(around(0.25)),
        alpha_peak=10.2 + around(0.6) - 2.0 * effect,
        alpha=11 * np.exp(around(0.4)),
        beta_peak=20 + around(1.5),
        beta=4.5 * np.exp(around(0.35) - 0.9 * effect),
        spread=0.55 * np.exp(around(0.1)),
        shift=strength * rng.normal(0, 0.15, 3),
        gain=np.exp(strength * rng.normal(0, 0.12, len(eeg_model.ELECTRODES)))[: config.n_channels],
    )
    brain = replace(brain, alpha_peak=max(brain.alpha_peak, 4.0))
    loudness = np.exp(around(0.3))

    rng = numpy_generator(config.seed, "cohort-record", index)
    alpha, level = _walks(config, rng, 2)
    signal = eeg_model.simulate(
        brain,
        config.n_steps,
        float(config.sampling_rate),
        rng,
        alpha_drift=np.exp(0.25 * alpha),
        gain_drift=np.exp(0.1 * level),
    )
    noise = 1.5 * config.noise * loudness
    signal += noise * rng.standard_normal(signal.shape)
    properties = {
        "alpha_peak_hz": brain.alpha_peak,
        "alpha_uv": brain.alpha,
        "beta_uv": brain.beta,
        "background_uv": brain.background,
        "noise_uv": float(noise),
    }
    return Recording(signal, np.empty(0, np.int64), {k: float(v) for k, v in properties.items()})


def _spoil(config: CohortConfig, recording: Recording, rng: np.random.Generator) -> None:
    """Add artefacts and lead-off in place, and note them trial by trial."""
    kinds = ("motion", "muscle") if config.kind == "ecg" else ("blink", "muscle")
    length, names = config.trial_steps, config.channel_names
    for trial in range(config.trials_per_patient):
        # Draws do not depend on the rates, so a higher rate only adds faults.
        hit, which = rng.random(), kinds[int(rng.integers(2))]
        off = rng.random(config.n_channels) < config.lead_off_rate
        shape_rng = np.random.default_rng(rng.integers(2**63))
        part = recording.signal[trial * length : (trial + 1) * length]
        truth = TrialTruth()
        if hit < config.artefact_rate:
            part += _artefact(config, which, shape_rng)
            truth.artefact = which
        if off.any():
            part[:, off] = 0.0
            truth.lead_off = tuple(name for name, dead in zip(names, off, strict=True) if dead)
        recording.trials.append(truth)


def _artefact(config: CohortConfig, which: str, rng: np.random.Generator) -> Array:
    """One artefact, (trial_steps, n_channels) in the cohort's unit."""
    length, channels, rate = config.trial_steps, config.n_channels, config.sampling_rate
    time = np.arange(length) / rate
    onset = rng.uniform(0, 0.6) * config.seconds
    if which == "muscle":
        size = 0.25 if config.kind == "ecg" else 25.0
        window = (time >= onset) & (time < onset + rng.uniform(0.2, 0.4) * config.seconds)
        burst = np.diff(rng.standard_normal((length + 1, channels)), axis=0) / np.sqrt(2)
        artefact: Array = size * burst * window[:, None] * rng.uniform(0.3, 1.0, channels)
        return artefact
    if which == "motion":
        course = np.where(time >= onset, np.exp(-(time - onset).clip(0) / 0.4), 0.0)
        return course[:, None] * rng.normal(0, 1.2, channels)
    front = np.clip(eeg_model.positions(channels)[:, 1], 0, None) ** 2
    course = np.zeros(length)
    for start in onset + np.array([0.0, rng.uniform(0.4, 1.0)]):
        phase = (time - start) / 0.3
        course += np.where((phase >= 0) & (phase < 1), np.sin(np.pi * phase.clip(0, 1)) ** 2, 0)
    return 140.0 * course[:, None] * front
