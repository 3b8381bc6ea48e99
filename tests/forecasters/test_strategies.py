"""Strategies on a series with a period: they learn, score the shared rows, and repeat."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_loaders.series.splits import ForecastSplit
from tscl.errors import ConfigError, InputError
from tscl.evaluation.forecasting.baselines import last_value
from tscl.evaluation.forecasting.protocol import forecast_protocol
from tscl.forecasters import STRATEGIES, StrategySettings, run_strategy, strategies
from tscl.training.callbacks import Callback

SPLIT = ForecastSplit(slice(0, 300), slice(300, 400), slice(400, 500))
SMALL = StrategySettings(
    length=24,
    backbone="dilated",
    backbone_params={"hidden_dims": 8, "depth": 2, "dropout": 0.0},
    network_params={"output_dims": 8, "decoder_dims": 8, "query": "reuse"},
    max_epochs=4,
    pretrain_epochs=1,
    patience=2,
    lr=1e-2,
    weight=0.2,
)


def sine():
    rng = np.random.default_rng(0)
    t = np.arange(500)
    wave = np.stack([np.sin(2 * np.pi * t / 12), np.cos(2 * np.pi * t / 12)], axis=1)
    return (wave + 0.05 * rng.standard_normal(wave.shape)).astype(np.float32)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_beats_the_last_value_on_a_period(strategy):
    values = sine()
    made = run_strategy(values, SPLIT, 6, strategy, SMALL, scale=[2.0, 3.0], seed=1)
    naive = last_value(values, SPLIT, [6])[0]
    assert made.result.mse < 0.5 * naive.mse
    assert made.result.n_test == naive.n_test
    assert made.result.mse_raw > made.result.mse
    if strategy != "two_stage_ridge":
        assert float(made.per_variable[:, 0].mean()) == pytest.approx(made.result.mse)


def test_runs_repeat_exactly_and_seeds_differ():
    settings = SMALL.replace(max_epochs=1, steps_per_epoch=5)
    a, b, c = (
        run_strategy(sine(), SPLIT, 6, "end_to_end", settings, seed=s).result.mse for s in (1, 1, 2)
    )
    assert a == b
    assert a != c


def test_end_to_end_with_weight_zero_is_supervised():
    settings = SMALL.replace(max_epochs=1, steps_per_epoch=5)
    a = run_strategy(sine(), SPLIT, 6, "end_to_end", settings.replace(weight=0.0))
    b = run_strategy(sine(), SPLIT, 6, "supervised", settings)
    assert a.result.mse == b.result.mse


def test_early_stopping_keeps_the_best_epoch():
    made = run_strategy(
        sine(), SPLIT, 6, "supervised", SMALL.replace(max_epochs=6, patience=1, lr=0.05)
    )
    best = min(made.monitored, key=lambda row: row["score"])
    assert made.best_epoch == best["epoch"]
    assert made.result.valid_mse == pytest.approx(best["score"], rel=1e-5)


def test_rates_are_halved_after_each_epoch(monkeypatch):
    rates = []

    class Watched(strategies.Trainer):
        def __init__(self, settings, **options):
            super().__init__(settings, callbacks=[Rates()], **options)

    class Rates(Callback):
        def on_step(self, report):
            rates.extend(report.rates.values())

    monkeypatch.setattr(strategies, "Trainer", Watched)
    settings = SMALL.replace(max_epochs=3, steps_per_epoch=2, patience=3, lr=1e-2)
    run_strategy(sine(), SPLIT, 6, "supervised", settings.replace(lr_schedule="halving"))
    assert rates == pytest.approx([1e-2, 1e-2, 5e-3, 5e-3, 2.5e-3, 2.5e-3])
    rates.clear()
    held = settings.replace(lr_schedule="halving", hold_epochs=1)
    run_strategy(sine(), SPLIT, 6, "supervised", held)
    assert rates == pytest.approx([1e-2] * 4 + [5e-3] * 2)


def test_ridge_on_windows_of_another_length():
    settings = SMALL.replace(ridge_window=40, ridge_drop=60)
    made = run_strategy(sine(), SPLIT, 6, "two_stage_ridge", settings)
    run = strategies.StrategyRun(sine(), SPLIT, 6, settings)
    embeddings = run.embeddings(made.network)
    assert np.isnan(embeddings[:39]).all()
    window = torch.from_numpy(sine()[100 - 39 : 101])[None]
    with torch.no_grad():
        last = made.network.represent(window)[0, -1].numpy()
    np.testing.assert_allclose(embeddings[100], last, atol=1e-6)
    (wanted,) = forecast_protocol(embeddings, sine(), SPLIT, [6], drop=60)
    assert made.result.mse == pytest.approx(wanted.mse)
    assert made.result.n_train == 300 - 6 - 60


def test_pretraining_on_sections_is_that_of_the_public_code(monkeypatch):
    seen = {}

    class Watched(strategies.Trainer):
        def fit(self, method, source, sampler, **options):
            seen.update(source=source, settings=self.settings)
            return super().fit(method, source, sampler, **options)

    monkeypatch.setattr(strategies, "Trainer", Watched)
    settings = SMALL.replace(ridge_window=40, pretrain="sections", max_steps=3, contrast="moco")
    made = run_strategy(sine(), SPLIT, 6, "two_stage_ridge", settings)
    assert made.steps == 3
    own = seen["settings"]
    assert (own.momentum, own.weight_decay, own.schedule, own.final_lr) == (0.9, 1e-4, "cosine", 0)
    starts = seen["source"].origins - 39
    assert starts.tolist() == list(range(0, 300 - 40, 40))
    run = strategies.StrategyRun(sine(), SPLIT, 6, settings.replace(max_steps=None))
    assert run.sections()[1]["max_steps"] == 200
    wide = np.tile(sine(), (1, 400))
    run = strategies.StrategyRun(wide, SPLIT, 6, settings.replace(max_steps=None))
    assert run.sections()[1]["max_steps"] == 600
    with pytest.raises(InputError, match="window"):
        run_strategy(sine(), SPLIT, 6, "two_stage_ridge", settings.replace(ridge_window=301))


def test_options_that_came_later_leave_old_digests_alone():
    facts = SMALL.facts()
    assert not {"hold_epochs", "ridge_window", "ridge_drop"} & set(facts)
    assert SMALL.replace(hold_epochs=1).facts()["hold_epochs"] == 1


@pytest.mark.parametrize("backbone", ["dlinear", "patch_transformer", "informer_forecaster"])
def test_simple_networks_are_supervised_only(backbone):
    small = {"hidden_dims": 8, "heads": 2, "ffn_dims": 16, "layers": [2, 1]}
    params = small if backbone == "informer_forecaster" else {}
    settings = SMALL.replace(backbone=backbone, backbone_params=params)
    made = run_strategy(sine()[:, :1], SPLIT, 6, "supervised", settings.replace(max_epochs=1))
    assert made.result.mse < 1.0
    with pytest.raises(ConfigError, match="supervised only"):
        run_strategy(sine(), SPLIT, 6, "end_to_end", settings)


def test_bad_runs_are_named():
    with pytest.raises(ConfigError, match="supervised"):
        run_strategy(sine(), SPLIT, 6, "supervise", SMALL)
    with pytest.raises(InputError, match="length \\+ horizon"):
        run_strategy(sine(), SPLIT, 60, "supervised", SMALL.replace(length=250))
    values = sine()
    values[7, 1] = np.nan
    with pytest.raises(InputError, match="step 7"):
        run_strategy(values, SPLIT, 6, "supervised", SMALL)
