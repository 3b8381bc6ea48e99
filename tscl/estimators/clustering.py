"""k-means on contrastive embeddings."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

from tscl.estimators.base import Arrays, StandardEmbeddings
from tscl.estimators.inputs import (
    RandomState,
    draw_seed,
    kept_on_error,
    read_panel,
    read_weights,
    require_fitted,
)
from tscl.estimators.saved import check_arrays
from tscl.estimators.transformer import ContrastiveTransformer


@dataclass(eq=False, repr=False)
class ContrastiveClusterer(ClusterMixin, StandardEmbeddings):
    """A :class:`ContrastiveTransformer` and k-means on its standardised embeddings.

    Args:
        n_clusters: number of clusters.
        transformer: :class:`ContrastiveTransformer` to train (it is cloned; wrap a fitted one in
            ``sklearn.frozen.FrozenEstimator``); None takes the default one.
        n_init: starts of k-means, of which the best is kept.
        random_state: seed of k-means, and of the transformer when that is None.

    Attributes:
        labels_: (n,) cluster of each series of ``fit``. cluster_centers_: (k, D) in standardised
            embeddings. inertia_: sum of squared distances. transformer_: the fitted transformer.
        embedding_mean_, embedding_scale_: (D,) of the embeddings seen in ``fit``.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(12, 30, 1))
        >>> small = {"output_dims": 4, "hidden_dims": 4, "depth": 1}
        >>> base = ContrastiveTransformer(encoder_params=small, max_epochs=1)
        >>> ContrastiveClusterer(3, transformer=base).fit(X).predict(X).shape
        (12,)
    """

    fitted_by: ClassVar[str] = "cluster_centers_"

    n_clusters: int = 8
    _: KW_ONLY
    transformer: BaseEstimator | None = None
    n_init: int = 10
    random_state: RandomState = 0

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        patient: ArrayLike | None = None,
        trial: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train the transformer on ``X`` and cluster its embeddings; ``y`` is ignored.

        Args and errors: see :meth:`ContrastiveTransformer.fit`; ``sample_weight`` counts in k-means
        too. ValueError of scikit-learn for
        more clusters than series.
        """
        with kept_on_error(self):
            return self._fit(X, patient, trial, sample_weight)

    def _fit(self, X: Any, patient: Any, trial: Any, sample_weight: Any) -> Self:
        values = read_panel(self, X, reset=True)
        weights = read_weights(sample_weight, len(values))
        seed = draw_seed(self.random_state)
        base: Any = self.transformer
        if base is None:
            base = ContrastiveTransformer(random_state=seed)
        ids = {"patient": patient, "trial": trial}
        embeddings = self._fit_embeddings(base, values, None, **ids, sample_weight=weights)
        means = KMeans(self.n_clusters, n_init=self.n_init, random_state=seed)
        means.fit(embeddings, sample_weight=weights)
        self.labels_ = means.labels_
        self.cluster_centers_ = means.cluster_centers_
        self.inertia_ = float(means.inertia_)
        return self

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Nearest cluster of each series, (n,)."""
        require_fitted(self, "cluster_centers_")
        embeddings = self._embeddings(read_panel(self, X, reset=False))
        return np.asarray(pairwise_distances_argmin(embeddings, self.cluster_centers_), np.int64)

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        figures = {"mean": self.embedding_mean_, "scale": self.embedding_scale_}
        return {}, {"centers": self.cluster_centers_, **figures}

    def _from_state(self, facts: dict[str, Any], arrays: Arrays) -> None:
        width = self.transformer_._n_features_out
        check_arrays(arrays, centers=(int(self.n_clusters), width), mean=(width,), scale=(width,))
        self.cluster_centers_ = arrays["centers"]
        self.embedding_mean_, self.embedding_scale_ = arrays["mean"], arrays["scale"]
