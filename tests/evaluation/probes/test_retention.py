"""Planted factors are read back from embeddings that keep them, and only from those."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recipes.e2e.figures import receptive_field_figure, retention_figure
from tscl.errors import InputError
from tscl.evaluation.probes.retention import (
    FACTORS,
    controlled_series,
    network_embeddings,
    retained,
    retention,
    window_embeddings,
)
from tscl.forecasters import ForecastNetwork, WindowSource
from tscl.forecasters.windows import EpochSampler
from tscl.methods.end_to_end.method import EndToEnd
from tscl.seeding import seeded
from tscl.training.trainer import Trainer, TrainSettings

N, LENGTH = 240, 48


def spectrum(x):
    """Amplitudes: phase is gone, everything else is kept."""
    return np.log1p(np.abs(np.fft.rfft(x[:, :, 0], axis=1)))


def values_without_order(x):
    return np.sort(x[:, :, 0], axis=1)


def unit_windows(x):
    z = x[:, :, 0] - x[:, :, 0].mean(axis=1, keepdims=True)
    return spectrum((z / z.std(axis=1, keepdims=True))[:, :, None])


def kept(encode, factor):
    made = controlled_series(factor, N, LENGTH)
    return retained(encode(made.x), made.value)


def test_factors_are_lost_exactly_where_the_code_loses_them():
    assert kept(spectrum, "scale") > 0.8
    assert kept(spectrum, "period") > 0.8
    assert kept(values_without_order, "scale") > 0.8
    assert kept(values_without_order, "period") < 0.3  # order is gone
    assert kept(unit_windows, "scale") < 0.3  # every window has unit deviation
    assert kept(unit_windows, "period") > 0.8
    assert kept(window_embeddings, "trend") > 0.8
    assert kept(window_embeddings, "period") < 0.2  # not linear in values of unknown phase
    noise = np.random.default_rng(0).normal(size=(N, 8))
    for factor in FACTORS:
        assert kept(lambda x: noise, factor) < 0.1


def trained(instance_norm: str) -> ForecastNetwork:
    """A causal network trained for a minute at most to forecast waves of many periods."""
    rng = np.random.default_rng(1)
    parts = [controlled_series(f, 40, LENGTH + 8, seed=9).x[:, :, 0] for f in FACTORS]
    values = rng.permutation(np.concatenate(parts)).reshape(-1, 1).astype(np.float32)
    origins = np.arange(LENGTH - 1, len(values) - 8, LENGTH + 8)  # windows of one series each
    source = WindowSource(values, origins, LENGTH, 8)
    with seeded(0, "weights"):
        network = ForecastNetwork(
            1,
            8,
            encoder="tcn",
            encoder_params={"hidden_dims": 16, "depth": 5, "dropout": 0.0},
            output_dims=32,
            decoder_dims=0,
            instance_norm=instance_norm,
        )
    settings = TrainSettings(max_epochs=25, lr=3e-3, weight_decay=0.0, averaging="none")
    method = EndToEnd(network, weight=0.0)
    made = Trainer(settings).fit(method, source, EpochSampler(len(source), 30)).encoder
    assert isinstance(made, ForecastNetwork)
    return made


def test_a_trained_causal_network_keeps_what_it_was_shown():
    plain, scaled = trained("none"), trained("standard")
    assert plain.encoder.causal
    frame = retention(
        {
            "plain": network_embeddings(plain, "mean"),
            "own scale": network_embeddings(scaled, "mean"),
        },
        n=N,
        length=LENGTH,
        seeds=(0,),
    )
    r2 = frame.set_index(["encoder", "factor"])["r2"]
    assert r2["plain", "trend"] > 0.6
    assert r2["plain", "scale"] > 0.8
    assert r2["plain", "period"] > 0.8
    assert r2["own scale", "scale"] < 0.2  # windows in their own scale have lost the amplitude
    assert r2["own scale", "period"] > 0.8
    figure = retention_figure(frame)
    heights = [p.get_height() for p in figure.axes[0].patches]
    assert heights[:3] == pytest.approx([min(1, r2["plain", f]) for f in FACTORS])


def test_embeddings_of_a_network_are_pooled_and_its_mode_kept():
    with seeded(0, "weights"):
        network = ForecastNetwork(1, 4, encoder="tcn", encoder_params={"hidden_dims": 4}).train()
    x = controlled_series("trend", 20, 32).x
    last, mean = (
        network_embeddings(network)(x),
        network_embeddings(network, "mean", batch_size=7)(x),
    )
    assert network.training
    network.eval()
    z = network.represent(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(last, z[:, -1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mean, z.mean(axis=1), rtol=1e-4, atol=1e-5)
    both = network_embeddings(network, "last+log_std")(x)
    assert both.shape == (20, 2 * z.shape[2])
    np.testing.assert_array_equal(both[:, : z.shape[2]], last)


def test_draws_repeat_and_bad_arguments_are_named():
    one, two = controlled_series("scale", 30), controlled_series("scale", 30)
    assert np.array_equal(one.x, two.x)
    assert not np.array_equal(one.x, controlled_series("scale", 30, seed=1).x)
    with pytest.raises(InputError, match="period"):
        controlled_series("periods")
    with pytest.raises(InputError, match="length"):
        controlled_series("scale", length=8)
    with pytest.raises(InputError, match="pooled"):
        retained(np.zeros((20, 5, 2)), np.zeros(20))
    with pytest.raises(InputError, match="pooling"):
        network_embeddings(torch.nn.Identity(), "first")  # type: ignore[arg-type]


def test_receptive_field_figure_has_a_panel_a_network():
    field = np.eye(4, 9) + 0.1
    field /= field.sum(axis=1, keepdims=True)
    figure = receptive_field_figure({"a": field, "b": field[:, ::-1]})
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    np.testing.assert_allclose(shown[0], field)
    np.testing.assert_allclose(shown[1], field[:, ::-1])
    with pytest.raises(InputError, match="fields"):
        receptive_field_figure({})
