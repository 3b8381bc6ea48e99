"""The mixture of autoregressive experts over another encoder."""

from __future__ import annotations

import pytest
import torch

from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, InputError
from tscl.seeding import seeded


@pytest.mark.parametrize("mixture", ["folded_fft", "folded", "separate"])
def test_output_is_the_mean_of_experts_on_the_backbones_embeddings(mixture):
    with seeded(0):
        encoder = ENCODERS.build(
            "experts",
            input_dims=2,
            output_dims=5,
            backbone="tcn",
            backbone_params={"hidden_dims": 4, "depth": 2},
            kernels=[1, 3, 8],
            mixture=mixture,
        ).double()
    x = torch.randn(20, 30, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    encoder.backbone.eval()
    embeddings = encoder.backbone(x)
    wanted = torch.zeros_like(embeddings)
    for weight, bias in zip(encoder.weights, encoder.biases, strict=True):
        for t in range(30):
            for lag in range(min(len(weight), t + 1)):
                wanted[:, t] += embeddings[:, t - lag] @ weight[-1 - lag] / 3
        wanted += bias / 3
    torch.testing.assert_close(encoder(x), wanted)
    assert encoder.causal
    assert encoder.receptive_field == encoder.backbone.receptive_field + 7


def test_transformer_backbone_and_bad_arguments():
    params = {"hidden_dims": 8, "depth": 1, "heads": 2}
    encoder = ENCODERS.build("experts", input_dims=2, output_dims=4, backbone_params=params)
    assert encoder.receptive_field is None
    assert not encoder.causal
    assert encoder(torch.zeros(2, 9, 2)).shape == (2, 9, 4)
    with pytest.raises(ConfigError, match="transformer"):
        ENCODERS.build("experts", input_dims=2, backbone="transformr")
    with pytest.raises(InputError, match="kernels"):
        ENCODERS.build("experts", input_dims=2, output_dims=4, kernels=[])
    with pytest.raises(InputError, match="heads"):
        ENCODERS.build("experts", input_dims=2, backbone_params={"hidden_dims": 12, "heads": 8})
