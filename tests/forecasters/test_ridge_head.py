"""The ridge on frozen embeddings of independent channels against sklearn, row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from data_loaders.series.splits import ForecastSplit
from tscl.errors import ConfigError
from tscl.forecasters import ForecastNetwork, StrategySettings, run_strategy
from tscl.forecasters.ridge_head import ALPHAS, RidgeHead, ridge_head
from tscl.seeding import seeded

LENGTH, HORIZON = 9, 3
SPLIT = ForecastSplit(slice(0, 60), slice(60, 90), slice(90, 120))


def network(**options):
    with seeded(0, "weights"):
        return ForecastNetwork(
            2,
            HORIZON,
            encoder="dilated",
            encoder_params={"hidden_dims": 4, "depth": 1},
            output_dims=3,
            targets=[1, 0],
            **({"channel_independent": True} | options),
        )


def series():
    rng = np.random.default_rng(1)
    wave = np.sin(np.arange(120) / 3.0)[:, None] * [1.0, 4.0] + [0.0, 10.0]
    return (wave + 0.1 * rng.standard_normal((120, 2))).astype(np.float32)


@pytest.mark.parametrize("norm", ["none", "last", "standard"])
@pytest.mark.parametrize("flatten", [False, True])
def test_fit_and_errors_are_those_of_sklearn_row_by_row(norm, flatten):
    values = series()
    plain = network(patch=2, flatten=flatten, input_length=LENGTH).eval()
    made = network(instance_norm=norm, patch=2, flatten=flatten, input_length=LENGTH).eval()

    def rows(part, first):
        x, y = [], []
        for t in range(first, part.stop - HORIZON):
            for channel in (1, 0):
                past = values[t - LENGTH + 1 : t + 1, [channel]].astype(np.float64)
                center = {"none": 0.0, "last": past[-1, 0], "standard": past.mean()}[norm]
                size = np.sqrt(past.var() + 1e-5) if norm == "standard" else 1.0
                both = np.repeat((past - center) / size, 2, axis=1).astype(np.float32)
                with torch.no_grad():
                    z = plain.represent(torch.from_numpy(both)[None])[0].double().numpy()
                feature = (z.ravel() if flatten else z[-1]) * size
                x.append(feature if norm == "none" else np.append(feature, size))
                y.append(values[t + 1 : t + 1 + HORIZON, channel].astype(np.float64) - center)
        return np.array(x), np.array(y)

    train, valid = rows(SPLIT.train, LENGTH - 1), rows(SPLIT.valid, 60)
    test = rows(SPLIT.test, 90)
    fitted = [Ridge(alpha=a).fit(*train) for a in ALPHAS]
    scores = [np.square(m.predict(valid[0]) - valid[1]).mean() for m in fitted]
    best = int(np.argmin(scores))
    alpha, errors, seen = ridge_head(made, values, SPLIT, LENGTH)
    assert alpha == ALPHAS[best]
    assert seen.mse() == pytest.approx(scores[best], rel=1e-3)
    wanted = fitted[best].predict(test[0]) - test[1]
    assert errors.mse() == pytest.approx(np.square(wanted).mean(), rel=1e-3)
    assert errors.mae() == pytest.approx(np.abs(wanted).mean(), rel=1e-3)
    per = np.square(wanted[0::2]).sum()  # the first target, channel 1
    assert errors.squared[0] == pytest.approx(per, rel=1e-3)


def test_two_stages_use_it_when_channels_are_independent():
    settings = StrategySettings(
        length=LENGTH,
        backbone="dilated",
        backbone_params={"hidden_dims": 4, "depth": 1},
        network_params={"output_dims": 3, "channel_independent": True, "instance_norm": "last"},
        pretrain_epochs=1,
        steps_per_epoch=2,
        lr_schedule="cosine",
    )
    made = run_strategy(series(), SPLIT, HORIZON, "two_stage_ridge", settings)
    again, test, _ = ridge_head(made.network, series(), SPLIT, LENGTH)
    assert made.result.alpha == again
    assert made.result.mse == pytest.approx(test.mse())
    assert np.isfinite(made.per_variable).all()


def test_channels_that_mix_are_refused():
    with pytest.raises(ConfigError, match="channel_independent"):
        RidgeHead(network(channel_independent=False), series(), LENGTH)
