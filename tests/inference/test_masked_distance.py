"""The score against a loop that masks the latent of each window's last step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.inference.test_encode import CENTRED, FINITE, UNBOUNDED, _build, _series
from tscl.encoders import ENCODERS
from tscl.errors import InputError
from tscl.inference import masked_distance
from tscl.masking import draw_mask


@pytest.mark.parametrize(("name", "params"), FINITE + UNBOUNDED + CENTRED)
def test_equals_a_loop_over_windows_and_masks(name, params):
    encoder = _build(name, params).eval()
    x = _series(2, 30)
    x[1, 20, 0] = np.nan  # the other channel is still seen
    found = masked_distance(encoder, x, window=40, batch_size=7)
    for i in range(2):
        for t in range(30):
            if np.isnan(x[i, t]).all():
                assert np.isnan(found[i, t])
                continue
            window = torch.full((1, 41, 2), torch.nan)
            window[0, 40 - t :] = torch.from_numpy(x[i, : t + 1])
            with torch.no_grad():
                seen = encoder(window)[0, -1]
                hidden = encoder(window, draw_mask("last", 1, 41))[0, -1]
            assert found[i, t] == pytest.approx(float((hidden - seen).abs().sum()), rel=2e-4)


def test_bad_input_is_named():
    encoder = _build(*FINITE[0])
    with pytest.raises(InputError, match=r"encoder.stride: got 32; the score of a step"):
        masked_distance(ENCODERS.build("resnet1d", input_dims=2), np.zeros((2, 50, 2)))
    for x, options, match in (
        (np.zeros((2, 5, 3)), {}, "n_timesteps, 2"),
        (np.zeros((2, 5)), {}, "n_timesteps, 2"),
        (np.full((2, 5, 2), np.inf), {}, "infinite"),
        (np.zeros((2, 5, 2)), {"window": 0}, "window"),
    ):
        with pytest.raises(InputError, match=match):
            masked_distance(encoder, x, **options)
