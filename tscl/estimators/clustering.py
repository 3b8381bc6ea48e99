"""k-means on contrastive codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

from tscl.estimators.contrastive import ContrastiveTransformer
from tscl.estimators.series_inputs import draw_seed, read_panel, require_fitted


class ContrastiveClusterer(ClusterMixin, BaseEstimator):
    """A :class:`ContrastiveTransformer` and k-means on its standardised codes.

    Args:
        n_clusters: number of clusters.
        transformer: :class:`ContrastiveTransformer` to train (it is cloned; wrap a fitted one in
            ``sklearn.frozen.FrozenEstimator``); None takes the default one.
        n_init: starts of k-means, of which the best is kept.
        random_state: seed of k-means, and of the transformer when that is None.

    Attributes:
        labels_: (n,) cluster of each series of ``fit``. cluster_centers_: (k, D) in standardised
            codes. inertia_: sum of squared distances. transformer_: the fitted transformer.
        code_mean_, code_scale_: (D,) of the codes seen in ``fit``.
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        transformer: BaseEstimator | None = None,
        n_init: int = 10,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.transformer = transformer
        self.n_init = n_init
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        patient: ArrayLike | None = None,
        trial: ArrayLike | None = None,
    ) -> Self:
        """Train the transformer on ``X`` and cluster its codes; ``y`` is ignored.

        Args and errors: see :meth:`ContrastiveTransformer.fit`. ValueError of scikit-learn for
        more clusters than series.
        """
        values = read_panel(self, X, reset=True)
        seed = draw_seed(self.random_state)
        if self.transformer is None:
            base: Any = ContrastiveTransformer(random_state=seed)
        else:
            base = clone(self.transformer)
        ids = {k: v for k, v in {"patient": patient, "trial": trial}.items() if v is not None}
        self.transformer_ = base.fit(values, None, **ids)
        codes = self.transformer_.pool(values).astype(np.float64)
        deviation = codes.std(axis=0)
        self.code_mean_ = codes.mean(axis=0)
        self.code_scale_ = np.where(deviation > 1e-12, deviation, 1.0)
        means = KMeans(self.n_clusters, n_init=self.n_init, random_state=seed)
        means.fit((codes - self.code_mean_) / self.code_scale_)
        self.labels_ = means.labels_
        self.cluster_centers_ = means.cluster_centers_
        self.inertia_ = float(means.inertia_)
        return self

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Nearest cluster of each series, (n,)."""
        require_fitted(self, "cluster_centers_")
        codes = self.transformer_.pool(read_panel(self, X, reset=False)).astype(np.float64)
        codes = (codes - self.code_mean_) / self.code_scale_
        return np.asarray(pairwise_distances_argmin(codes, self.cluster_centers_), np.int64)

    def save(self, folder: str | Path) -> Path:
        """Write transformer and centres as safetensors and JSON, in one step.

        Raises:
            InputError: an encoder or a parameter that cannot be saved.
        """
        from tscl.estimators.saved import save_clusterer

        return save_clusterer(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> ContrastiveClusterer:
        """Read what :meth:`save` wrote; the labels of ``fit`` are not kept.

        Raises:
            CheckpointError: a missing, damaged or foreign file.
        """
        from tscl.estimators.saved import load_clusterer

        return load_clusterer(Path(folder))
