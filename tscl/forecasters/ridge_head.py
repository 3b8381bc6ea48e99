"""Ridge in the place of a linear head: what frozen embeddings of independent channels are worth.

The two-stage protocol of TS2Vec (arXiv 2106.10466, section 4.2) for networks that encode every
channel alone: one row is one channel of one window, so that the ridge is shared by the channels
as the network's own head is, and sees the tokens that head sees.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from tscl.errors import ConfigError
from tscl.evaluation.forecasting.head import TS2VEC_ALPHAS, RidgePath
from tscl.evaluation.forecasting.scores import ErrorSums, Float64, SplitLike, score
from tscl.forecasters.network import ForecastNetwork
from tscl.forecasters.normalize import window_scale
from tscl.forecasters.windows import WindowSource

ALPHAS = (*TS2VEC_ALPHAS, 1e4, 1e5, 1e6)


class RidgeHead:
    """Ridge from frozen embeddings to forecasts, penalty chosen on validation.

    Features are the embeddings of a channel (all tokens when the network flattens them, else the
    last one) times the window's scale, and the scale itself; targets are the future minus the
    window's centre. That is the network's linear head, which works in the window's own scale, with
    the squared error of the series' scale.

    Args:
        network: frozen, with independent channels.
        values: (T, C) float32.
        length: steps of the past.
        marks: (T, K) covariates, or None.
        block: windows at a time.

    Attributes:
        alpha: the penalty in use after :meth:`fit`.

    Raises:
        ConfigError: a network that mixes channels.
    """

    def __init__(
        self,
        network: ForecastNetwork,
        values: NDArray[np.float32],
        length: int,
        *,
        marks: NDArray[np.float32] | None = None,
        block: int = 128,
    ) -> None:
        if not network.channel_independent:
            raise ConfigError("channel_independent", False, "this ridge is shared by channels")
        self.network, self.values, self.marks = network.eval(), values, marks
        self.block, self.horizon = block, network.horizon
        self.alpha = float("nan")
        self._back, self._ahead = np.arange(1 - length, 1), np.arange(1, network.horizon + 1)
        self._path = RidgePath(ALPHAS)

    def features(self, origins: NDArray[np.int64]) -> tuple[Float64, Float64]:
        """Features (n * targets, D) and centres (n, 1, targets) of the windows at ``origins``."""
        at = origins[:, None] + self._back
        past = torch.from_numpy(self.values[at])
        marks = None if self.marks is None else torch.from_numpy(self.marks[at])
        with torch.no_grad():
            embeddings = self.network.represent(past, marks)
            embeddings = embeddings.flatten(1) if self.network.flatten else embeddings[:, -1]
            scale = window_scale(past, self.network.instance_norm)
        targets = self.network.targets
        shape = (len(origins), 1, len(targets))
        if scale is None:
            return embeddings.numpy().astype(np.float64), np.zeros(shape)
        each = scale.scale[..., targets].reshape(-1, 1)
        result = torch.cat([embeddings * each, each], dim=1).numpy().astype(np.float64)
        return result, scale.center[..., targets].numpy().astype(np.float64)

    def fit(self, origins: NDArray[np.int64], valid: NDArray[np.int64]) -> RidgeHead:
        """Fit on the windows at ``origins``; the penalty with the least error at ``valid``."""
        self._path.fit_blocks(lambda: self._rows(origins))
        errors = dict.fromkeys(ALPHAS, 0.0)
        for x, y in self._rows(valid):
            for alpha, result in self._path.predict_path(x):
                errors[alpha] += float(np.square(result - y).sum())
        self.alpha = min(errors, key=errors.__getitem__)
        self._weights, self._intercept = self._path.coefficients(self.alpha)
        return self

    def predict(self, origins: NDArray[np.int64]) -> Float64:
        """Forecasts (n, H, targets)."""
        result = []
        for start in range(0, len(origins), self.block):
            x, center = self.features(origins[start : start + self.block])
            flat = (x @ self._weights + self._intercept).reshape(len(center), -1, self.horizon)
            result.append(flat.transpose(0, 2, 1) + center)
        return np.concatenate(result)

    def errors(self, part: slice) -> ErrorSums:
        """Error sums over every row of a part."""
        truth = np.ascontiguousarray(self.values[:, self.network.targets])
        return score(lambda a, b: self.predict(np.arange(a, b)), truth, part, self.horizon)

    def _rows(self, origins: NDArray[np.int64]) -> Iterator[tuple[Float64, Float64]]:
        targets = self.network.targets
        for start in range(0, len(origins), self.block):
            at = origins[start : start + self.block]
            x, center = self.features(at)
            future = self.values[at[:, None] + self._ahead][..., targets] - center
            yield x, future.transpose(0, 2, 1).reshape(-1, self.horizon)


def ridge_head(
    network: ForecastNetwork,
    values: NDArray[np.float32],
    split: SplitLike,
    length: int,
    *,
    marks: NDArray[np.float32] | None = None,
) -> tuple[float, ErrorSums, ErrorSums]:
    """Fit on the training part; the penalty and the error sums of test and validation part.

    ``split`` has the three parts. Arguments as :class:`RidgeHead`.
    """
    head = RidgeHead(network, values, length, marks=marks)
    horizon = network.horizon
    head.fit(
        WindowSource.inside(split.train, length, horizon),
        WindowSource.after(split.valid, length, horizon),
    )
    return head.alpha, head.errors(split.test), head.errors(split.valid)
