"""A planted lag is where the receptive field is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_loaders.series.splits import ForecastSplit
from tscl.errors import InputError
from tscl.forecasters import StrategySettings, run_strategy
from tscl.forecasters.receptive_field import receptive_field

LAG = 9


@pytest.fixture(scope="module")
def trained():
    # noise that repeats after LAG steps with fresh noise on top: only step t+1-LAG tells t+1
    rng = np.random.default_rng(0)
    values = rng.standard_normal((900, 1))
    for t in range(LAG, 900):
        values[t] = 0.95 * values[t - LAG] + 0.3 * values[t]
    values = (values / values.std()).astype(np.float32)
    split = ForecastSplit(slice(0, 700), slice(700, 800), slice(800, 900))
    settings = StrategySettings(
        length=20,
        backbone="transformer",
        backbone_params={"hidden_dims": 16, "depth": 1, "heads": 2, "ffn_dims": 16, "dropout": 0.0},
        network_params={"output_dims": 16, "decoder_dims": 16, "query": "append", "dropout": 0.0},
        weight=0.1,
        max_epochs=12,
        batch_size=32,
        lr=1e-2,
    )
    return run_strategy(values, split, 3, "end_to_end", settings), values


@pytest.mark.parametrize("how", ["gradient", "occlusion"])
def test_planted_period_is_found(trained, how):
    made, values = trained
    assert made.result.mse < 0.4
    past = torch.from_numpy(np.stack([values[s : s + 20] for s in range(800, 870)]))
    field = receptive_field(made.network, past, how=how)
    assert field.shape == (3, 20)
    torch.testing.assert_close(field.sum(dim=1), torch.ones(3))
    # forecast step h (from 0) repeats input step 20 + h - LAG
    assert field.argmax(dim=1).tolist() == [20 - LAG, 21 - LAG, 22 - LAG]


def test_unknown_way_is_named(trained):
    with pytest.raises(InputError, match="how"):
        receptive_field(trained[0].network, torch.zeros(1, 20, 1), how="guess")
