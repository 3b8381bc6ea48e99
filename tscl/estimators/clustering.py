"""k-means on contrastive codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

from tscl.estimators.base import StandardCodes
from tscl.estimators.inputs import RandomState, draw_seed, kept_on_error, read_panel, require_fitted
from tscl.estimators.saved import (
    PART,
    _inputs,
    _load,
    _save,
    _take_inputs,
    check_arrays,
    plain_params,
    readable,
)
from tscl.estimators.transformer import ContrastiveTransformer


class ContrastiveClusterer(ClusterMixin, StandardCodes):
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
        random_state: RandomState = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.transformer = transformer
        self.n_init = n_init
        self.random_state = random_state

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
        with kept_on_error(self):
            return self._fit(X, patient, trial)

    def _fit(self, X: Any, patient: Any, trial: Any) -> Self:
        values = read_panel(self, X, reset=True)
        seed = draw_seed(self.random_state)
        base: Any = self.transformer
        if base is None:
            base = ContrastiveTransformer(random_state=seed)
        codes = self._fit_codes(base, values, None, patient=patient, trial=trial)
        means = KMeans(self.n_clusters, n_init=self.n_init, random_state=seed)
        means.fit(codes)
        self.labels_ = means.labels_
        self.cluster_centers_ = means.cluster_centers_
        self.inertia_ = float(means.inertia_)
        return self

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Nearest cluster of each series, (n,)."""
        require_fitted(self, "cluster_centers_")
        codes = self._codes(read_panel(self, X, reset=False))
        return np.asarray(pairwise_distances_argmin(codes, self.cluster_centers_), np.int64)


def save_clusterer(model: ContrastiveClusterer, folder: Path) -> Path:
    """Write ``model`` to ``folder``; see :meth:`ContrastiveClusterer.save`."""
    require_fitted(model, "cluster_centers_")
    arrays = {
        "centers": model.cluster_centers_,
        "mean": model.code_mean_,
        "scale": model.code_scale_,
    }
    facts = {"params": plain_params(model, leave=PART), **_inputs(model)}
    return _save(folder, "ContrastiveClusterer", model.transformer_, arrays, facts)


def load_clusterer(folder: Path) -> ContrastiveClusterer:
    """Read what :func:`save_clusterer` wrote."""
    card, transformer, arrays = _load(folder, "ContrastiveClusterer")
    width = transformer._n_features_out
    with readable(folder):
        model = ContrastiveClusterer(transformer=clone(transformer), **card["params"])
        check_arrays(arrays, centers=(int(model.n_clusters), width), mean=(width,), scale=(width,))
        _take_inputs(model, transformer, card)
    model.cluster_centers_ = arrays["centers"]
    model.code_mean_, model.code_scale_ = arrays["mean"], arrays["scale"]
    return model
