"""Embeddings of whole recordings: each at its own length, long ones by windows that cover them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data_loaders.container.recordings import Recordings
from tscl.encoders import ENCODERS
from tscl.errors import InputError
from tscl.evaluation.recordings import embed_recordings
from tscl.pooling import pool_time
from tscl.seeding import seeded

LENGTHS = [40, 100, 57, 40, 250, 101]


def recordings():
    rng = np.random.default_rng(0)
    return Recordings.from_arrays([rng.standard_normal((n, 2)) for n in LENGTHS], 10.0)


class Values(nn.Module):
    """The first channel as it is."""

    input_dims, output_dims, causal, receptive_field = 2, 1, True, 1

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x[:, :, :1]


@pytest.mark.parametrize("pooling", ["mean", "mean+std+max"])
def test_against_one_recording_at_a_time(pooling):
    data = recordings()
    with seeded(0):
        encoder = ENCODERS.build("resnet1d", input_dims=2, widths=[8], strides=[2]).train()
    z = embed_recordings(encoder, data, pooling=pooling, whole=100, window=80, batch_size=2)
    assert encoder.training
    encoder.eval()
    for k, n in enumerate(LENGTHS):
        starts = {250: (0, 56, 113, 170), 101: (0, 21)}.get(n, (0,))
        size = n if len(starts) == 1 else 80
        x = torch.from_numpy(data[k])
        with torch.no_grad():
            parts = [pool_time(encoder(x[None, s : s + size]), pooling) for s in starts]
        np.testing.assert_allclose(z[k], torch.stack(parts).mean(0)[0], rtol=1e-4, atol=1e-5)


def test_windows_cover_every_step_and_half_precision_is_near():
    n = 1234
    for place in (0, 99, 100, 617, 1134, 1233):
        spike = np.zeros((n, 2))
        spike[place] = 1.0
        data = Recordings.from_arrays([spike], 10.0)
        assert embed_recordings(Values(), data, pooling="max", whole=100, window=100)[0, 0] > 0
    with seeded(0):
        encoder = ENCODERS.build("resnet1d", input_dims=2)
    full = embed_recordings(encoder, recordings(), window=60, whole=60)
    half = embed_recordings(encoder, recordings(), window=60, whole=60, bf16=True)
    assert half.dtype == np.float32
    assert np.abs(half - full).mean() < 0.02 * np.abs(full).mean()


@pytest.mark.parametrize("sizes", [{"window": 0}, {"batch_size": 0}, {"whole": 20, "window": 30}])
def test_bad_sizes_are_named(sizes):
    with pytest.raises(InputError) as caught:
        embed_recordings(Values(), recordings(), **sizes)
    assert caught.value.field in sizes
