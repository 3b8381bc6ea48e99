"""Forecasting networks: shapes, long horizons, masks, normalisation, baselines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tscl.errors import ConfigError, InputError
from tscl.forecasters import DLinear, ForecastNetwork, patch_transformer
from tscl.seeding import seeded

TINY = {
    "transformer": {"hidden_dims": 8, "depth": 1, "heads": 2, "ffn_dims": 8},
    "dilated": {"hidden_dims": 4, "depth": 2},
    "tcn": {"hidden_dims": 4, "depth": 2},
    "lstm": {"hidden_dims": 4, "depth": 1},
}


def make(encoder="transformer", horizon=3, channels=2, **options):
    with seeded(0, "weights"):
        return ForecastNetwork(
            channels,
            horizon,
            encoder=encoder,
            encoder_params=TINY[encoder],
            output_dims=6,
            decoder_dims=5,
            **options,
        ).eval()


def test_what_the_network_sets_is_not_taken_from_encoder_params():
    for name in ("input_dims", "output_dims"):
        with pytest.raises(ConfigError, match=rf"encoder_params\.{name}: got 8; .*network_params"):
            ForecastNetwork(1, 3, encoder="tcn", encoder_params={name: 8}, input_length=12)


@pytest.mark.parametrize("encoder", sorted(TINY))
@pytest.mark.parametrize("query", ["auto", "append", "reuse"])
@pytest.mark.parametrize("horizon", [3, 11])
def test_every_encoder_forecasts_any_horizon(encoder, query, horizon):
    network = make(encoder, horizon, marks=2, query=query, targets=[1])
    x = torch.randn(4, 7, 2)
    out, embeddings = network.forecast(x, torch.randn(4, 7, 2), torch.randn(4, horizon, 2))
    assert out.shape == (4, horizon, 1)
    assert embeddings.shape == (4, 7, 6)
    assert torch.isfinite(out).all()
    # every forecast step differs from its neighbours: queries and positions are not identical
    assert (out[:, 1:] - out[:, :-1]).abs().max() > 1e-6


@settings(max_examples=12, deadline=None)
@given(
    length=st.integers(1, 12),
    horizon=st.integers(1, 12),
    patch=st.integers(1, 5),
    marks=st.integers(0, 2),
    independent=st.booleans(),
)
def test_patches_and_independent_channels_keep_shapes(length, horizon, patch, marks, independent):
    network = make(horizon=horizon, patch=patch, marks=marks, channel_independent=independent)
    past, ahead = torch.randn(2, length, marks), torch.randn(2, horizon, marks)
    out, embeddings = network.forecast(torch.randn(2, length, 2), past, ahead)
    assert out.shape == (2, horizon, 2)
    assert embeddings.shape[:2] == network.token_shape(torch.zeros(2, length, 2))


def test_independent_channels_do_not_see_each_other():
    network = make(channel_independent=True)
    x = torch.randn(2, 8, 2)
    changed = x.clone()
    changed[..., 1] += 3.0
    difference = (network(x) - network(changed)).abs().amax(dim=(0, 1))
    assert difference[0] == 0
    assert difference[1] > 1e-4


@pytest.mark.parametrize("independent", [False, True])
def test_linear_skip_adds_one_map_over_time_to_the_network(independent):
    options = {"targets": [1], "instance_norm": "last", "channel_independent": independent}
    plain, network = make(**options), make(**options, input_length=6, skip="linear")
    x = torch.randn(4, 6, 2)
    torch.testing.assert_close(network(x), plain(x))  # zero at the start
    torch.nn.init.normal_(network.skip.weight)
    torch.nn.init.normal_(network.skip.bias)
    weight, bias = network.skip.weight.detach().double(), network.skip.bias.detach().double()
    wanted = plain(x).detach().double()
    for n in range(4):
        past = x[n, :, 1].double() - x[n, -1, 1].double()
        for h in range(3):
            wanted[n, h, 0] += float((weight[h] * past).sum() + bias[h])
    torch.testing.assert_close(network(x).double(), wanted, atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="6 steps"):
        network(x[:, 1:])


@pytest.mark.parametrize("kind", ["standard", "last"])
def test_instance_norm_moves_the_forecast_with_the_level(kind):
    network = make(instance_norm=kind)
    x = torch.randn(3, 9, 2)
    torch.testing.assert_close(network(x + 5.0), network(x) + 5.0, atol=1e-4, rtol=1e-4)
    assert (make()(x + 5.0) - make()(x) - 5.0).abs().max() > 0.1


def test_standard_norm_moves_with_the_scale_of_each_target():
    network = make(instance_norm="standard", targets=[1])
    x = torch.randn(3, 30, 2)
    scaled = x * torch.tensor([1.0, 10.0])
    torch.testing.assert_close(network(scaled), network(x) * 10.0, atol=1e-3, rtol=1e-3)


def test_future_covariates_reach_the_forecast():
    network = make(marks=1, horizon=4)
    x, past, ahead = torch.randn(2, 6, 2), torch.randn(2, 6, 1), torch.randn(2, 4, 1)
    assert (network(x, past, ahead) - network(x, past, ahead + 1)).abs().max() > 1e-5
    with pytest.raises(InputError, match="future_marks"):
        network(x, past, ahead[:, :2])


def test_masked_steps_are_hidden_from_the_representation():
    network = make("dilated")
    x = torch.randn(2, 8, 2)
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[:, 3] = False
    changed = x.clone()
    changed[:, 3] += 1.0
    torch.testing.assert_close(
        network.represent(x, mask=mask), network.represent(changed, mask=mask)
    )
    assert (network.represent(x) - network.represent(changed)).abs().max() > 1e-5


def test_network_is_rebuilt_from_its_config():
    network = make(marks=1, targets=[1], patch=2, input_length=8, skip="linear")
    torch.nn.init.normal_(network.skip.weight)
    again = ForecastNetwork(**network.config())
    again.load_state_dict(network.state_dict())
    x = (torch.randn(2, 8, 2), torch.randn(2, 8, 1), torch.randn(2, 3, 1))
    torch.testing.assert_close(again.eval()(*x), network(*x))


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="targets"):
        make(targets=[2])
    with pytest.raises(InputError, match="query"):
        make(query="somewhere")
    with pytest.raises(InputError, match="skip"):
        make(skip="cubic")
    with pytest.raises(InputError, match="input_length"):
        make(skip="linear")
    with pytest.raises(InputError, match="instance_norm"):
        make(instance_norm="batch")(torch.zeros(1, 4, 2))
    with pytest.raises(ConfigError, match="transformer"):
        ForecastNetwork(1, 1, encoder="transformr")
    with pytest.raises(InputError, match="past"):
        make()(torch.zeros(1, 4, 3))


@pytest.mark.parametrize("individual", [False, True])
def test_dlinear_is_two_linear_maps(individual):
    with seeded(1, "weights"):
        network = DLinear(3, 4, 10, targets=[0, 2], kernel=5, individual=individual)
        torch.nn.init.normal_(network.weight)
        torch.nn.init.normal_(network.bias)
    x = torch.randn(2, 10, 3)
    out = network(x).detach().numpy()
    w, b = network.weight.detach().double().numpy(), network.bias.detach().double().numpy()
    for n in range(2):
        for k, channel in enumerate([0, 2]):
            series = x[n, :, channel].double().numpy()
            padded = np.concatenate([[series[0]] * 2, series, [series[-1]] * 2])
            trend = np.array([padded[i : i + 5].mean() for i in range(10)])
            g = k if individual else 0
            wanted = w[0, g] @ (series - trend) + w[1, g] @ trend + b[0, g] + b[1, g]
            np.testing.assert_allclose(out[n, :, k], wanted, rtol=1e-4, atol=1e-4)


def test_dlinear_starts_as_the_window_mean():
    x = torch.randn(2, 10, 1)
    out = DLinear(1, 3, 10)(x)
    torch.testing.assert_close(out, x.mean(dim=1, keepdim=True).expand(2, 3, 1))
    with pytest.raises(InputError, match="past"):
        DLinear(1, 3, 10)(x[:, :9])


def test_patch_transformer_follows_the_level_and_checks_the_length():
    with seeded(0, "weights"):
        network = patch_transformer(2, 5, 20, patch=6, hidden_dims=8, heads=2).eval()
    x = torch.randn(3, 20, 2)
    assert network(x).shape == (3, 5, 2)
    torch.testing.assert_close(network(x + 2.0), network(x) + 2.0, atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match="20 steps"):
        network(x[:, :19])
