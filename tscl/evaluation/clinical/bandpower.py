"""Log band power of each channel: the spectral baseline every learned embedding must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import welch
from sklearn.base import BaseEstimator, TransformerMixin

from tscl.errors import InputError

EEG_BANDS: dict[str, tuple[float, float]] = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}


def bands_within(
    bands: str, sampling_rate: float, passed: Sequence[float | None] | None
) -> dict[str, tuple[float, float]] | str:
    """Bands cut to what a filter lets pass; ``bands`` itself where nothing was filtered.

    Args:
        bands: ``"eeg"`` or ``"log"``, see :class:`BandPower`.
        sampling_rate: Hz.
        passed: the filter's edges in Hz, None where a side is open.
    """
    if passed is None:
        return bands
    low, high = passed[0] or 0.0, passed[1] or np.inf
    top = min(high, 0.45 * sampling_rate)
    if bands == "log":
        return log_bands(sampling_rate, low=max(0.5, low), high=top)
    cut = {k: (max(a, low), min(b, high, sampling_rate / 2)) for k, (a, b) in EEG_BANDS.items()}
    return {name: (a, b) for name, (a, b) in cut.items() if a < b}


def log_bands(
    sampling_rate: float, n_bands: int = 8, low: float = 0.5, high: float | None = None
) -> dict[str, tuple[float, float]]:
    """Logarithmically spaced bands by name, Hz.

    Args:
        sampling_rate: Hz.
        n_bands: number of bands.
        low: lower edge of the first band, Hz.
        high: upper edge of the last, Hz; None for 0.9 of Nyquist.
    """
    top = 0.45 * sampling_rate if high is None else high
    if n_bands < 1 or not 0 < low < top:
        raise InputError("bands", (n_bands, low, top), "need n_bands >= 1 and 0 < low < high")
    edges = np.geomspace(low, top, n_bands + 1)
    return {f"{a:.3g}-{b:.3g} Hz": (float(a), float(b)) for a, b in pairwise(edges)}


@dataclass(eq=False, repr=False)
class BandPower(TransformerMixin, BaseEstimator):
    """Welch power density, averaged over each band, natural logarithm.

    Args:
        sampling_rate: Hz.
        bands: ``"eeg"`` (delta, theta, alpha, beta, gamma to 45 Hz), ``"log"`` (eight bands from
            0.5 Hz to 0.9 of Nyquist, for ECG and other signals), or name -> (low, high) in Hz.
        window: seconds of a Welch segment, at most the sample's length.
        floor: smallest power, so a flat channel has a finite logarithm.

    Bands narrower than the frequency step of the segment are read from a zero-padded spectrum.
    """

    sampling_rate: float
    bands: str | Mapping[str, tuple[float, float]] = "log"
    window: float = 2.56
    floor: float = 1e-12

    def fit(self, X: ArrayLike, y: object = None) -> BandPower:
        """Nothing to learn; checks the settings."""
        self._limits()
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Features (n, n_channels * n_bands), channel by channel, of X (n, T, C).

        Raises:
            InputError: X of another rank or with values that are not finite; a band beyond
                Nyquist; a rate that is not positive.
        """
        x = np.asarray(X)
        if x.ndim != 3:
            raise InputError("X", f"shape {x.shape}", "give (n_samples, n_timesteps, n_channels)")
        if not np.isfinite(x).all():
            raise InputError("X", "NaN or infinite values", "fill the gaps before a spectrum")
        limits = list(self._limits().values())
        n_segment = max(2, min(x.shape[1], round(self.window * self.sampling_rate)))
        narrow = min(high - low for low, high in limits)
        coarse = self.sampling_rate / n_segment > narrow
        n_fft = int(np.ceil(self.sampling_rate / narrow)) + 1 if coarse else n_segment
        parts = []
        for start in range(0, len(x), 256):
            hertz, power = welch(
                x[start : start + 256], self.sampling_rate, nperseg=n_segment, nfft=n_fft, axis=1
            )
            inside = [(hertz >= low) & (hertz < high) for low, high in limits]
            mean = np.stack([power[:, band].mean(axis=1) for band in inside], axis=-1)
            parts.append(np.log(np.maximum(mean, self.floor)).reshape(len(mean), -1))
        return np.concatenate(parts).astype(np.float32)

    def _limits(self) -> dict[str, tuple[float, float]]:
        """The bands as limits in Hz, checked."""
        if not (np.isfinite(self.sampling_rate) and self.sampling_rate > 0):
            raise InputError("sampling_rate", self.sampling_rate, "give a positive number of Hz")
        if self.bands == "log":
            return log_bands(self.sampling_rate)
        nyquist = self.sampling_rate / 2
        if self.bands == "eeg":
            return {k: (a, min(b, nyquist)) for k, (a, b) in EEG_BANDS.items() if a < nyquist}
        if isinstance(self.bands, str) or not self.bands:
            raise InputError("bands", self.bands, "choose 'eeg', 'log' or name -> (low, high)")
        for name, (low, high) in self.bands.items():
            if not 0 <= low < high <= nyquist:
                raise InputError(
                    f"bands[{name!r}]", (low, high), f"need 0 <= low < high <= {nyquist:g} Hz"
                )
        return dict(self.bands)
