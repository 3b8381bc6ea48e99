"""What an embedding keeps of a series: trend, scale and period read back from controlled series.

The question of arXiv 2306.12086, section 5, asked by a probe: series are drawn in which one factor
is known, they are encoded, and a ridge predicts the factor of series it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from tscl.encoders.base import evaluating
from tscl.errors import InputError, check_choice
from tscl.pooling import check_pooling, pool_time
from tscl.seeding import numpy_generator

Factor = Literal["trend", "scale", "period"]
FACTORS: tuple[str, ...] = get_args(Factor)
Encode = Callable[[NDArray[np.float32]], NDArray[np.floating]]
"""Takes series (n, T, 1), gives embeddings (n, D)."""


@dataclass(frozen=True, eq=False)
class ControlledSeries:
    """Series that differ in one known factor.

    Attributes:
        x: (n, T, 1) float32.
        value: (n,) the factor: rise over the window (trend), logarithm of the amplitude (scale),
            logarithm of the steps of a period (period).
        factor: which one it is.
    """

    x: NDArray[np.float32]
    value: NDArray[np.float64]
    factor: str


def controlled_series(
    factor: Factor | str, n: int = 400, length: int = 96, *, noise: float = 0.1, seed: int = 0
) -> ControlledSeries:
    """Draw ``x_t = r (t / T - 1/2) + a (sin(2 pi t / p + phase) + noise)``.

    One of rise r in [-2, 2], amplitude a in [0.25, 4] (uniform in its logarithm) and period p in
    [4, T / 4] (likewise) is drawn a series; the others are 0, 1 and T / 8. The phase is always
    drawn, so no factor but the trend can be read from single values. The noise grows with the
    amplitude, so the amplitude cannot be read from its ratio to the noise.

    Args:
        factor: ``trend``, ``scale`` or ``period``.
        n: series.
        length: T, steps.
        noise: deviation of the noise, of the amplitude.
        seed: of all draws.

    Raises:
        InputError: unknown factor, fewer than 32 steps or 20 series.
    """
    check_choice("factor", factor, FACTORS)
    for field, number, least in (("length", length, 32), ("n", n, 20)):
        if number < least:
            raise InputError(field, number, f"use at least {least}")
    rng = numpy_generator(seed, f"retention-{factor}", length)
    rise, size, period = np.zeros(n), np.ones(n), np.full(n, length / 8)
    if factor == "trend":
        rise = value = rng.uniform(-2, 2, n)
    elif factor == "scale":
        value = rng.uniform(np.log(0.25), np.log(4), n)
        size = np.exp(value)
    else:
        value = rng.uniform(np.log(4), np.log(length / 4), n)
        period = np.exp(value)
    t = np.arange(length)
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    wave = np.sin(2 * np.pi * t / period[:, None] + phase) + noise * rng.normal(size=(n, length))
    x = rise[:, None] * (t / length - 0.5) + size[:, None] * wave
    return ControlledSeries(x[:, :, None].astype(np.float32), value, factor)


def retained(embeddings: ArrayLike, value: ArrayLike, *, folds: int = 5) -> float:
    """Share of the factor's variance that a ridge on the embeddings predicts for unseen series.

    R2 over ``folds`` folds together; about 0 when the embedding has lost the factor, slightly below
    when the ridge fits noise. The penalty is chosen inside each training part.

    Args:
        embeddings: (n, D), pooled over time.
        value: (n,) of the factor.
        folds: parts of the series.

    Raises:
        InputError: shapes that do not fit, or embeddings that are not finite.
    """
    z = np.asarray(embeddings, dtype=np.float64)
    y = np.asarray(value, dtype=np.float64)
    if z.ndim != 2 or len(z) != len(y):
        raise InputError("embeddings", z.shape, f"pass (n, D) with n = {len(y)}, pooled over time")
    if not np.isfinite(z).all():
        raise InputError("embeddings", "NaN or infinite values", "encode complete windows only")
    probe = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-3, 4, 15)))
    predicted = cross_val_predict(probe, z, y, cv=KFold(folds, shuffle=True, random_state=0))
    return float(r2_score(y, predicted))


def retention(
    encoders: Mapping[str, Encode],
    *,
    factors: Sequence[str] = FACTORS,
    n: int = 400,
    length: int = 96,
    noise: float = 0.1,
    seeds: Sequence[int] = (0, 1, 2),
) -> pd.DataFrame:
    """What every encoder keeps: rows (encoder, factor, seed, r2), a new draw of series a seed.

    Args:
        encoders: name to a function from (n, T, 1) to (n, D); see :func:`network_embeddings`.
        factors, n, length, noise: see :func:`controlled_series`.
        seeds: of the series.
    """
    rows = []
    for factor in factors:
        for seed in seeds:
            series = controlled_series(factor, n, length, noise=noise, seed=seed)
            for name, encode in encoders.items():
                score = retained(encode(series.x), series.value)
                rows.append({"encoder": name, "factor": factor, "seed": seed, "r2": score})
    return pd.DataFrame(rows)


def network_embeddings(network: nn.Module, pooling: str = "last", batch_size: int = 256) -> Encode:
    """Embeddings of an encoder, or of a univariate forecasting network, pooled over the window.

    Args:
        network: called as ``network(x)`` on (B, T, 1), or its ``represent`` where it has one, as
            :class:`tscl.forecasters.network.ForecastNetwork` does.
        pooling: over time (:func:`tscl.pooling.pool_time`); a forecast is read from the last step.

    Raises:
        ConfigError: unknown pooling.
    """
    check_pooling(pooling)
    represent: Any = getattr(network, "represent", network)

    def encode(x: NDArray[np.float32]) -> NDArray[np.floating]:
        parts = []
        with torch.no_grad(), evaluating(network):
            for start in range(0, len(x), batch_size):
                z = represent(torch.from_numpy(x[start : start + batch_size]))
                parts.append(pool_time(z, pooling).numpy())
        return np.concatenate(parts)

    return encode


def window_embeddings(x: NDArray[np.float32]) -> NDArray[np.floating]:
    """The raw window as its own embedding: what a linear probe finds without any encoder."""
    return x[:, :, 0]
