"""Features of whole recordings without pretraining: spectrum, beats, random convolutions."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tscl.errors import MissingExtraError
from tscl.evaluation.clinical.bandpower import BandPower
from tscl.evaluation.probes.plain_features import summary_features

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


def beat_features(
    recordings: Recordings, *, n_jobs: int = 1, cache: str | Path | None = None
) -> Features:
    """Hand-made figures of rhythm, beats and quality of whole recordings; NaN where unknown.

    See :func:`data_loaders.ecg.beat_knowledge.beat_knowledge`.
    """
    from data_loaders.ecg.beat_knowledge import beat_knowledge

    whole = int(recordings.lengths.max())
    return beat_knowledge(recordings, crop=whole, n_jobs=n_jobs, cache=cache).numbers


def robust_scaled(features: NDArray[np.floating], fit: Index, limit: float = 4.0) -> Features:
    """Features minus their median, by their inter-quartile range, within ``limit``; unknown is 0.

    Args:
        features: (n, D), NaN where unknown.
        fit: rows that median and range are of; no label is needed.
        limit: largest absolute value.
    """
    known = features[fit].astype(np.float64)
    empty = np.isnan(known).all(axis=0)
    known[:, empty] = 0.0
    low, middle, high = np.nanquantile(known, [0.25, 0.5, 0.75], axis=0)
    scaled = (features - middle) / (high - low + 1e-3)
    result: Features = np.nan_to_num(np.clip(scaled, -limit, limit)).astype(np.float32)
    return result


def minirocket_features(
    recordings: Recordings,
    fit: Index,
    length: int,
    *,
    num_kernels: int = 2000,
    seed: int = 0,
    most: int = 1000,
) -> Features:
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
    if importlib.util.find_spec("numba") is None:
        raise MissingExtraError("numba", "minirocket")
    from sktime.transformations.rocket import MiniRocketMultivariate

    def read(windows: Any, which: Index) -> NDArray[np.float32]:
        cut: NDArray[np.float32] = np.nan_to_num(windows[which]).transpose(0, 2, 1)
        return cut

    trained = recordings.subset(fit).windows(length)
    chosen = np.random.default_rng(seed).permutation(len(trained))[:most]
    model = MiniRocketMultivariate(num_kernels=num_kernels, random_state=seed, n_jobs=1)
    model.fit(read(trained, np.sort(chosen)))
    windows = recordings.windows(length)
    parts = [
        np.asarray(model.transform(read(windows, part)), np.float32)
        for part in np.array_split(np.arange(len(windows)), -(-len(windows) // 500))
    ]
    features: Features = windows.average(np.concatenate(parts)).astype(np.float32)
    return features


def convolution_targets(
    recordings: Recordings, length: int, *, components: int = 64, seed: int = 0
) -> CropTargets:
    """What random convolutions tell of recordings without labels, for a network to learn.

    The first principal components of MiniRocket's features, each of unit variance and within -4
    and 4: a student of them keeps, in a linear read-out, what makes random convolutions strong.

    Args:
        recordings: that features and components are fitted to, and told of.
        length: see :func:`minirocket_features`.
        components: at most.
        seed: of the convolutions.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    from data_loaders.container.targets import CropTargets

    features = minirocket_features(recordings, np.arange(len(recordings)), length, seed=seed)
    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    count = min(components, *scaled.shape)
    scores = PCA(count, whiten=True, random_state=seed).fit_transform(scaled)
    figures = np.clip(scores, -4, 4).astype(np.float32)
    return CropTargets.of_recordings(recordings.lengths, {"convolutions": figures})
