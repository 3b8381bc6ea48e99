"""One linear map of the window, trained by steps and stopped early, as a member of a mean of heads.

Where a ridge's penalty draws all directions alike, few steps leave those that vary little as they
were, and what is forecast far ahead generalises better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tscl.forecasters.simple_networks import NLinear
from tscl.forecasters.training import train_forecaster
from tscl.forecasters.window_data import (
    Float32,
    Float64,
    Origins,
    WindowData,
    shares,
    thinned,
    weighted_mean,
)
from tscl.seeding import seeded
from tscl.training.settings import TrainSettings

RATES = (1e-2, 1e-3)
POWER = 4.0
STEPS = TrainSettings(max_epochs=10, max_steps=1000, weight_decay=0.0, averaging="none", patience=4)
BATCH = 64


@dataclass(eq=False)
class LinearForecast:
    """The mean of :class:`NLinear` maps of the two longest pasts and of two rates.

    Attributes:
        maps: (H, L) of the past less its last value. biases: (H,). weights: of each in the mean,
            by the inverse held-out error to the fourth power.
    """

    maps: list[Float32] = field(default_factory=list)
    biases: list[Float32] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def choose(
        self, data: WindowData, train: Origins, held: Origins, pasts: Sequence[int], seed: int = 0
    ) -> Float64:
        """Train on ``train``, stop by ``held``; forecasts (n, H, C) of those.

        Args:
            data: series.
            train: origins to train on; a map leaves out those that lack its past.
            held: origins to stop by.
            pasts: lengths of the past; 0 is the whole window.
            seed: of the order of windows.
        """
        some, errors = thinned(held, 500), []
        data = replace(data, marks=None)
        for past in sorted({past or data.length for past in pasts})[-2:]:
            origins = train[data.room(train) >= past]
            for lr in RATES:
                with seeded(seed, "weights"):
                    network = NLinear(data.values.shape[1], data.horizon, past)
                settings = STEPS.replace(lr=lr, seed=seed)
                trained = train_forecaster(network, data, origins, some, BATCH, settings)
                self.maps.append(trained.weight[1, 0].detach().numpy().copy())
                self.biases.append(trained.bias[:, 0].sum(dim=0).detach().numpy().copy())
                forecast = self._member(data, held, len(self.maps) - 1)
                errors.append(float(np.square(forecast - data.future(held)).mean()))
        self.weights = shares(errors, POWER)
        return self.predict(data, held)

    def predict(self, data: WindowData, origins: Origins) -> Float64:
        """Forecasts (n, H, C)."""
        each = (self._member(data, origins, i) for i in range(len(self.maps)))
        return weighted_mean(each, self.weights)

    def _member(self, data: WindowData, origins: Origins, i: int) -> Float32:
        past = data.past(origins, self.maps[i].shape[1])
        last = past[:, -1:]
        change = np.einsum("hl,nlc->nhc", self.maps[i], past - last, optimize=True)
        return np.asarray(change + self.biases[i][:, None] + last, np.float32)
