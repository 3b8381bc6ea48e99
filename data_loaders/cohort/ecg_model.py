"""Dynamical model of the electrocardiogram: beats on a limit cycle, seen by several leads.

P. E. McSharry, G. D. Clifford, L. Tarassenko, L. A. Smith, "A dynamical model for generating
synthetic electrocardiogram signals", IEEE Trans. Biomed. Eng. 50(3), 2003. Its equation (1) moves a
point round the unit circle with angular speed ``w = 2 pi / RR(t)`` while every wave i pulls the
third coordinate towards a Gaussian over the angle::

    dz/dt = - sum_i a_i d_i exp(-d_i^2 / (2 b_i^2)) - (z - z0(t))
    with d_i = (theta - theta_i) mod 2 pi

On the circle itself the angle is the running sum of ``w``, so z is a linear first-order filter of a
known input: no differential equation is solved step by step. Here ``a_i = A_i w / b_i^2``, which
makes ``A_i`` the wave's height in millivolt at any heart rate, and each ``A_i`` is a vector in
space (the heart's dipole); leads are projections of it by Dower's coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WAVES = ("P", "Q", "R", "S", "ST", "T")

#: Lead names in the order a cohort takes them, as PTB spells them.
LEADS = (
    *("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6"),
    *("vx", "vy", "vz"),
)

_DOWER = {
    "i": (0.632, -0.235, 0.059),
    "ii": (0.235, 1.066, -0.132),
    "v1": (-0.515, 0.157, -0.917),
    "v2": (0.044, 0.164, -1.387),
    "v3": (0.882, 0.098, -1.277),
    "v4": (1.213, 0.127, -0.601),
    "v5": (1.125, 0.127, -0.086),
    "v6": (0.831, 0.076, 0.230),
    "vx": (1.0, 0.0, 0.0),
    "vy": (0.0, 1.0, 0.0),
    "vz": (0.0, 0.0, 1.0),
}


def lead_matrix() -> Array:
    """Projection of the dipole (x left, y down, z back) on :data:`LEADS`, shape (15, 3)."""
    rows = {name: np.array(value) for name, value in _DOWER.items()}
    i, ii = rows["i"], rows["ii"]
    rows["iii"] = ii - i
    rows["avr"] = -(i + ii) / 2
    rows["avl"] = i - ii / 2
    rows["avf"] = ii - i / 2
    return np.stack([rows[name] for name in LEADS])


def _dipole() -> Array:
    return np.array(
        [
            [0.07, 0.11, 0.00],
            [-0.12, -0.05, -0.20],
            [1.10, 0.90, 0.35],
            [-0.15, -0.20, 0.45],
            [0.00, 0.00, 0.00],
            [0.28, 0.20, -0.12],
        ]
    )


@dataclass(frozen=True)
class Heart:
    """One patient's heart: where, how wide and how high the waves of :data:`WAVES` are.

    Attributes:
        angle: (6,) angle of each wave on the cycle in radians, R at 0.
        width: (6,) standard deviation of each wave in radians at 60 beats a minute.
        dipole: (6, 3) height of each wave in millivolt along x (left), y (down), z (back).
        rate: mean heart rate in beats a minute.
        rate_sd: standard deviation of the heart rate in beats a minute.
        lf_hf: power of the 0.1 Hz rhythm of the heart rate over that of the breathing rhythm.
        breath: breathing frequency in hertz.
    """

    angle: Array = field(default_factory=lambda: np.deg2rad([-70.0, -15.0, 0.0, 15.0, 50.0, 100.0]))
    width: Array = field(default_factory=lambda: np.array([0.25, 0.1, 0.1, 0.1, 0.32, 0.4]))
    dipole: Array = field(default_factory=_dipole)
    rate: float = 68.0
    rate_sd: float = 2.0
    lf_hf: float = 0.5
    breath: float = 0.25


def rr_intervals(
    heart: Heart, n_steps: int, sampling_rate: float, rng: np.random.Generator
) -> Array:
    """RR interval in seconds at every step, shape (n_steps,).

    The spectrum is the paper's equation (2): one Gaussian at 0.1 Hz and one at the breathing
    frequency, both 0.01 Hz wide, with random phases. It is drawn over at least 200 s so that a
    short record still holds both rhythms.

    Args:
        heart: rate, its deviation and the balance of both rhythms.
        n_steps: steps of the record.
        sampling_rate: Hz.
        rng: source of the phases and of the start.
    """
    length = max(n_steps, int(200 * sampling_rate))
    frequency = np.fft.rfftfreq(length, 1 / sampling_rate)
    low = heart.lf_hf * np.exp(-0.5 * ((frequency - 0.1) / 0.01) ** 2)
    high = np.exp(-0.5 * ((frequency - heart.breath) / 0.01) ** 2)
    phase = rng.uniform(0, 2 * np.pi, len(frequency))
    series = np.fft.irfft(np.sqrt(low + high) * np.exp(1j * phase), length)
    series *= 1 / max(float(series.std()), 1e-12)
    start = int(rng.integers(0, length - n_steps + 1))
    mean = 60.0 / heart.rate
    scaled = mean + series[start : start + n_steps] * (mean * heart.rate_sd / heart.rate)
    return np.clip(scaled, 0.25, 3.0)


def simulate(
    heart: Heart,
    n_steps: int,
    sampling_rate: float,
    rng: np.random.Generator,
    *,
    rate_drift: Array | None = None,
    t_drift: Array | None = None,
) -> tuple[Array, NDArray[np.int64]]:
    """The dipole over time and where the R waves are.

    Args:
        heart: the patient.
        n_steps: steps to generate.
        sampling_rate: steps a second.
        rng: where randomness comes from.
        rate_drift: (n_steps,) factor on the heart rate.
        t_drift: (n_steps,) factor on the T wave.

    Returns:
        Dipole in millivolt, shape (n_steps, 3), and the steps of the R waves.
    """
    from scipy.signal import lfilter

    fine = max(1, int(np.ceil(250.0 / sampling_rate)))
    rr = rr_intervals(heart, n_steps, sampling_rate, rng)
    if rate_drift is not None:
        rr = rr / rate_drift
    speed = np.repeat(2 * np.pi / rr, fine)
    step = 1.0 / (sampling_rate * fine)
    theta = np.cumsum(speed) * step + rng.uniform(0, 2 * np.pi)

    # Waves narrow with the square root of the RR interval, as in the authors' generator.
    stretch = np.sqrt(heart.rate / 60.0)
    root = np.sqrt(stretch)
    angle = heart.angle * np.array([root, stretch, 1.0, stretch, stretch, root])
    width = heart.width * stretch
    away = np.mod(theta[:, None] - angle + np.pi, 2 * np.pi) - np.pi
    pull = -(speed[:, None] / width**2) * away * np.exp(-0.5 * (away / width) ** 2)
    if t_drift is not None:
        pull[:, -1] *= np.repeat(t_drift, fine)
    force = pull @ heart.dipole

    decay = np.exp(-step)
    dipole = lfilter([step / 2, step / 2], [1.0, -decay], force, axis=0)[::fine][:n_steps]
    turns = np.floor(theta / (2 * np.pi))
    crossing = np.flatnonzero(np.diff(turns) > 0) + 1
    peaks = np.unique(np.round(crossing / fine).astype(np.int64))
    return np.asarray(dipole), peaks[peaks < n_steps]
