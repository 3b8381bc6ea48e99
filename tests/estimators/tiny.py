"""Estimators small enough for the checks, and series with something to find in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tscl.estimators import (
    ContrastiveClassifier,
    ContrastiveClusterer,
    ContrastiveTransformer,
    PatientRetrieval,
)

SMALL: dict[str, Any] = {
    "encoder": "tcn",
    "encoder_params": {"output_dims": 8, "hidden_dims": 8, "depth": 2},
    "max_epochs": 1,
    "batch_size": 64,
}

LEARN: dict[str, Any] = {
    "encoder_params": {"output_dims": 16, "hidden_dims": 16, "depth": 3},
    "max_epochs": 15,
    "batch_size": 20,
    "lr": 3e-3,
}


def transformer(method: str = "simclr", **changes: Any) -> ContrastiveTransformer:
    return ContrastiveTransformer(method, **{**SMALL, **changes})


def classifier(method: str = "simclr", **changes: Any) -> ContrastiveClassifier:
    return ContrastiveClassifier(method, **{**SMALL, **changes})


def clusterer(n_clusters: int = 3, **changes: Any) -> ContrastiveClusterer:
    return ContrastiveClusterer(n_clusters, transformer=transformer(**changes), n_init=2)


def retrieval(**changes: Any) -> PatientRetrieval:
    return PatientRetrieval(transformer(**changes))


def waves(n: int = 24, steps: int = 60, channels: int = 2, seed: int = 0) -> tuple[Any, Any]:
    """Half rising, half falling sawtooth waves whose teeth wander: (n, T, C), classes 0 and 1.

    Both classes have the same values and the same spectrum, and no two series are in phase for
    long, so neither a linear model of raw values nor their distances know the class.
    """
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    start = rng.uniform(0, 1, (n, 1, channels))
    phase = start + np.cumsum(rng.gamma(2.0, 1 / 24, (n, steps, channels)), axis=1)
    tooth = 2 * (phase % 1) - 1
    x = np.where(y[:, None, None] == 0, tooth, -tooth)
    return (x + 0.1 * rng.normal(size=x.shape)).astype(np.float32), y
