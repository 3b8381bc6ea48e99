"""Features of whole recordings without pretraining: spectrum, beats, random convolutions."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tscl.errors import InputError, MissingExtraError
from tscl.evaluation.clinical.bandpower import BandPower
from tscl.evaluation.probes.plain_features import summary_features
from tscl.seeding import same_threads

if TYPE_CHECKING:
    from data_loaders.container.recordings import Recordings
    from data_loaders.container.targets import CropTargets

Index = NDArray[np.int64]
Features = NDArray[np.float32]


def spectrum_features(recordings: Recordings) -> Features:
    """Log power of eight bands and ten statistics of each channel of whole recordings.

    See :class:`tscl.evaluation.clinical.bandpower.BandPower` and
    :func:`tscl.evaluation.probes.plain_features.summary_features`.
    """
    power = BandPower(recordings.sampling_rate)
    rows = []
    for row in range(len(recordings)):
        x = np.nan_to_num(recordings[row])[None]
        rows.append(np.concatenate([power.transform(x)[0], summary_features(x)[0]]))
    return np.stack(rows).astype(np.float32)


def _beat_features(
    recordings: Recordings, *, n_jobs: int = 1, cache: str | Path | None = None
) -> Features:
    """Hand-made figures of rhythm, beats and quality of whole recordings; NaN where unknown.

    See :func:`data_loaders.ecg.beat_knowledge.beat_knowledge`.
    """
    from data_loaders.ecg.beat_knowledge import beat_knowledge

    whole = int(recordings.lengths.max())
    return beat_knowledge(recordings, crop=whole, n_jobs=n_jobs, cache=cache).numbers


PLAIN: dict[str, Callable[[Recordings], Features]] = {
    "spectrum": spectrum_features,
    "beats": _beat_features,
}


@dataclass(frozen=True)
class RecordingFeatures:
    """Fitted features of whole recordings that need no network: nothing but arrays.

    Attributes:
        kind: ``spectrum`` or ``beats``, scaled by ``middle`` and ``width``; or ``minirocket``.
        arrays: what was fitted, by name.
        length: steps of MiniRocket's windows.
    """

    kind: str
    arrays: dict[str, NDArray[Any]]
    length: int = 0

    @classmethod
    def scaled_by(cls, kind: str, features: NDArray[np.floating], fit: Index) -> RecordingFeatures:
        """Features scaled by median and inter-quartile range of the rows ``fit`` of them.

        Those that vary by no more than rounding, such as the mean of a standardised recording, are
        0: a probe that standardises would blow them up, and its result hang on the last digit.

        Args:
            kind: of :data:`PLAIN`.
            features: (n, D), NaN where unknown; no label is needed.
            fit: rows.
        """
        known = features[fit].astype(np.float64)
        known[:, np.isnan(known).all(axis=0)] = 0.0
        low, middle, high = np.nanquantile(known, [0.25, 0.5, 0.75], axis=0)
        span = np.nanmax(known, axis=0) - np.nanmin(known, axis=0)
        width = np.where(span > 1e-5, high - low + 1e-3, np.inf)
        return cls(kind, {"middle": middle, "width": width})

    def scaled(self, features: NDArray[np.floating], limit: float = 4.0) -> Features:
        """Features minus the median, by the range, within ``limit``; unknown is 0."""
        scaled = (features - self.arrays["middle"]) / self.arrays["width"]
        result: Features = np.nan_to_num(np.clip(scaled, -limit, limit)).astype(np.float32)
        return result

    def transform(self, recordings: Recordings) -> Features:
        """Features (n, D) of whole recordings."""
        if self.kind in PLAIN:
            return self.scaled(PLAIN[self.kind](recordings))
        parameters = _checked(self.arrays, self.length, recordings.n_channels)
        model = _rocket()
        model.parameters = parameters
        windows = recordings.windows(self.length)
        with same_threads():
            parts = [
                np.asarray(model._transform(_read(windows, part)), np.float32)
                for part in np.array_split(np.arange(len(windows)), -(-len(windows) // 500))
            ]
        features: Features = windows.average(np.concatenate(parts)).astype(np.float32)
        return features


def fit_minirocket(
    recordings: Recordings,
    fit: Index,
    length: int,
    *,
    num_kernels: int = 2000,
    seed: int = 0,
    most: int = 1000,
) -> RecordingFeatures:
    """MiniRocket features (Dempster et al. 2021, arXiv 2012.08791), averaged over windows.

    Args:
        recordings: whole recordings; missing values are 0, and so is the end of a short window.
        fit: recordings that the biases are drawn from; no label is needed.
        length: steps of a window.
        num_kernels: features, about.
        seed: of the biases.
        most: windows that the biases are drawn from.

    Raises:
        MissingExtraError: sktime's MiniRocket needs numba, the extra ``minirocket``.
    """
    model = _rocket(num_kernels=num_kernels, random_state=seed)
    trained = recordings.subset(fit).windows(length)
    chosen = np.random.default_rng(seed).permutation(len(trained))[:most]
    with same_threads():
        model.fit(_read(trained, np.sort(chosen)))
    arrays = zip(ROCKET, model.parameters, strict=True)
    return RecordingFeatures("minirocket", dict(arrays), int(length))


ROCKET = ("channels_each", "channels", "dilations", "features_each", "biases")
"""MiniRocket's fitted arrays, in sktime's order; the last of float32, the others of int32."""


def _rocket(**options: Any) -> Any:
    if importlib.util.find_spec("numba") is None:
        raise MissingExtraError("numba", "minirocket")
    from sktime.transformations.rocket import MiniRocketMultivariate

    return MiniRocketMultivariate(n_jobs=1, **options)


def _read(windows: Any, which: Index) -> NDArray[np.float32]:
    cut: NDArray[np.float32] = np.nan_to_num(windows[which]).transpose(0, 2, 1)
    return cut


def _checked(arrays: dict[str, NDArray[Any]], length: int, n_channels: int) -> tuple[Any, ...]:
    """MiniRocket's arrays; compiled code would read beyond their ends without a word."""
    each, channels, dilations, features, biases = (arrays[name] for name in ROCKET)
    fits = (
        all(arrays[name].dtype == np.int32 for name in ROCKET[:-1])
        and biases.dtype == np.float32
        and all(arrays[name].ndim == 1 for name in ROCKET)
        and len(each) == 84 * len(dilations) == 84 * len(features)
        and each.min() > 0
        and each.sum() == len(channels)
        and 0 <= channels.min() <= channels.max() < n_channels
        and 1 <= dilations.min() <= dilations.max() <= (length - 1) / 8
        and features.min() >= 0
        and 84 * features.sum() == len(biases)
    )
    if not fits:
        remedy = f"they are not of windows of {length} steps and {n_channels} channels"
        raise InputError("MiniRocket's arrays", [len(array) for array in arrays.values()], remedy)
    return each, channels, dilations, features, biases


def convolution_targets(
    recordings: Recordings, length: int, *, components: int = 64, seed: int = 0
) -> CropTargets:
    """What random convolutions tell of recordings without labels, for a network to learn.

    The first principal components of MiniRocket's features, each of unit variance and within -4
    and 4: a student of them keeps, in a linear read-out, what makes random convolutions strong.

    Args:
        recordings: that features and components are fitted to, and told of.
        length: see :func:`fit_minirocket`.
        components: at most.
        seed: of the convolutions.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    from data_loaders.container.targets import CropTargets

    fitted = fit_minirocket(recordings, np.arange(len(recordings)), length, seed=seed)
    features = fitted.transform(recordings)
    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    count = min(components, *scaled.shape)
    scores = PCA(count, whiten=True, random_state=seed).fit_transform(scaled)
    figures = np.clip(scores, -4, 4).astype(np.float32)
    return CropTargets.of_recordings(recordings.lengths, {"convolutions": figures})
