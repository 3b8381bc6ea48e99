"""Model of the resting EEG: 1/f background, alpha and beta rhythms, mixed in space.

Sources are stationary Gaussian processes drawn from their power spectrum (random complex
amplitudes, inverse Fourier transform), a 1/f^x background everywhere, an alpha rhythm at the back
of the head and a beta rhythm over the centre; volume conduction is a Gaussian in the angle between
a source and an electrode on the sphere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Electrodes of the 10-10 system as (name, angle from the vertex, direction clockwise from the
# nose), both in degrees on the unit sphere; the first sixteen are a common clinical set.
_ELECTRODES: tuple[tuple[str, float, float], ...] = (
    *(("Fp1", 90, -18), ("Fp2", 90, 18), ("F3", 60, -39), ("F4", 60, 39)),
    *(("F7", 90, -54), ("F8", 90, 54), ("C3", 45, -90), ("C4", 45, 90)),
    *(("T7", 90, -90), ("T8", 90, 90), ("P3", 60, -141), ("P4", 60, 141)),
    *(("P7", 90, -126), ("P8", 90, 126), ("O1", 90, -162), ("O2", 90, 162)),
    *(("Fz", 45, 0), ("Cz", 0, 0), ("Pz", 45, 180), ("Oz", 90, 180)),
    *(("FC3", 50, -62), ("FC4", 50, 62), ("FCz", 23, 0), ("CP3", 50, -118)),
    *(("CP4", 50, 118), ("CPz", 23, 180), ("FC1", 32, -45), ("FC2", 32, 45)),
    *(("CP1", 32, -135), ("CP2", 32, 135), ("AF3", 74, -23), ("AF4", 74, 23)),
)

#: Electrode names in the order a cohort takes them.
ELECTRODES = tuple(name for name, _, _ in _ELECTRODES)


def positions(n_channels: int) -> Array:
    """Unit vectors (x right, y nose, z up) of the first electrodes, shape (n_channels, 3)."""
    polar = np.deg2rad([e[1] for e in _ELECTRODES[:n_channels]])
    turn = np.deg2rad([e[2] for e in _ELECTRODES[:n_channels]])
    return np.stack(
        [np.sin(polar) * np.sin(turn), np.sin(polar) * np.cos(turn), np.cos(polar)], axis=1
    )


@dataclass(frozen=True)
class Brain:
    """One patient's rhythms.

    Attributes:
        exponent: x of the 1/f^x background power.
        background: root mean square of the background in microvolt.
        alpha_peak: frequency of the alpha rhythm in hertz.
        alpha: root mean square of the alpha rhythm at its source in microvolt.
        beta_peak: frequency of the beta rhythm in hertz.
        beta: root mean square of the beta rhythm at its source in microvolt.
        spread: standard deviation of volume conduction in radians.
        shift: (3,) displacement of the rhythms' sources.
        gain: (n_channels,) factor of each electrode.
    """

    exponent: float
    background: float
    alpha_peak: float
    alpha: float
    beta_peak: float
    beta: float
    spread: float
    shift: Array
    gain: Array


_ALPHA_SOURCES = np.array([[-0.35, -0.85, 0.35], [0.35, -0.85, 0.35], [0.0, -0.75, 0.65]])
_BETA_SOURCES = np.array([[-0.65, 0.1, 0.75], [0.65, 0.1, 0.75], [0.0, 0.6, 0.8]])


def coloured(spectrum: Array, n_steps: int, n_sources: int, rng: np.random.Generator) -> Array:
    """Gaussian processes of unit variance with the given power, shape (n_steps, n_sources).

    Args:
        spectrum: power at ``numpy.fft.rfftfreq(length)`` with ``length = 2 * (len(spectrum) - 1)``,
            the first entry (the mean) being ignored.
        n_steps: steps kept, at most ``length``.
        n_sources: independent processes.
        rng: where randomness comes from.
    """
    length = 2 * (len(spectrum) - 1)
    amplitude = np.sqrt(spectrum)
    amplitude[0] = 0.0
    draws = rng.standard_normal((2, len(spectrum), n_sources))
    series = np.fft.irfft(amplitude[:, None] * (draws[0] + 1j * draws[1]), length, axis=0)
    power = np.sqrt(4 * np.sum(amplitude[1:] ** 2)) / length
    return np.asarray(series[:n_steps] / max(power, 1e-12))


def _mixing(sources: Array, electrodes: Array, spread: float) -> Array:
    unit = sources / np.linalg.norm(sources, axis=1, keepdims=True)
    angle = np.arccos(np.clip(electrodes @ unit.T, -1.0, 1.0))
    return np.asarray(np.exp(-0.5 * (angle / spread) ** 2))


def simulate(
    brain: Brain,
    n_steps: int,
    sampling_rate: float,
    rng: np.random.Generator,
    *,
    alpha_drift: Array | None = None,
    gain_drift: Array | None = None,
) -> Array:
    """EEG in microvolt, shape (n_steps, n_channels), without sensor noise.

    Args:
        brain: the patient.
        n_steps: steps to generate.
        sampling_rate: steps a second.
        rng: where randomness comes from.
        alpha_drift: (n_steps,) factor on the alpha rhythm.
        gain_drift: (n_steps,) factor on everything.
    """
    n_channels = len(brain.gain)
    electrodes = positions(n_channels)
    length = 1 << int(np.ceil(np.log2(max(n_steps, 8 * sampling_rate))))
    frequency = np.fft.rfftfreq(length, 1 / sampling_rate)
    safe = np.maximum(frequency, 0.5)
    back = np.where(frequency >= 0.3, safe**-brain.exponent, 0.0)
    alpha = np.exp(-0.5 * ((frequency - brain.alpha_peak) / 0.7) ** 2)
    beta = np.exp(-0.5 * ((frequency - brain.beta_peak) / 2.5) ** 2)

    mixing = _mixing(electrodes, electrodes, brain.spread)
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True)
    eeg = brain.background * coloured(back, n_steps, n_channels, rng) @ mixing.T
    rhythm = brain.alpha * coloured(alpha, n_steps, len(_ALPHA_SOURCES), rng)
    if alpha_drift is not None:
        rhythm *= alpha_drift[:, None]
    eeg += rhythm @ _mixing(_ALPHA_SOURCES + brain.shift, electrodes, brain.spread).T
    rhythm = brain.beta * coloured(beta, n_steps, len(_BETA_SOURCES), rng)
    eeg += rhythm @ _mixing(_BETA_SOURCES + brain.shift, electrodes, brain.spread).T
    eeg *= brain.gain
    if gain_drift is not None:
        eeg *= gain_drift[:, None]
    return np.asarray(eeg)
