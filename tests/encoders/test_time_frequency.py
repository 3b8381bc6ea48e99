"""Both encoders of TF-C as one: what it puts side by side, and that both are trained and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tscl.encoders import ENCODERS
from tscl.encoders.time_frequency import amplitude_spectrum
from tscl.errors import InputError
from tscl.estimators import ContrastiveTransformer
from tscl.methods import TFC
from tscl.seeding import torch_generator

SMALL = {"output_dims": 8, "backbone_params": {"hidden_dims": 4, "depth": 2}}


def test_pooled_embeddings_are_those_of_both() -> None:
    encoder = ENCODERS.build("time_frequency", input_dims=2, **SMALL).eval()
    x = torch.randn(3, 30, 2, generator=torch_generator(0))
    time = encoder.time(x).amax(dim=1)
    spectrum = encoder.frequency(amplitude_spectrum(x)).amax(dim=1)
    assert torch.equal(encoder(x).amax(dim=1), torch.cat([time, spectrum], dim=1))
    later = x.roll(7, dims=1)  # a shift in time is none in the spectrum
    torch.testing.assert_close(encoder(later)[:, 0, 4:], encoder(x)[:, 0, 4:])


def test_tf_c_trains_and_keeps_both(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(12, 30, 2))
    before, after = (
        ContrastiveTransformer(
            "tf_c", encoder="time_frequency", encoder_params=SMALL, max_epochs=epochs
        ).fit(X)
        for epochs in (0, 2)
    )
    for name in ("time", "frequency"):
        old, new = (list(getattr(m.encoder_, name).parameters()) for m in (before, after))
        assert all(not torch.equal(a, b) for a, b in zip(old, new, strict=True))
    after.save(tmp_path / "model")
    again = ContrastiveTransformer.load(tmp_path / "model")
    np.testing.assert_array_equal(again.transform(X), after.transform(X))


def test_settings_are_named() -> None:
    with pytest.raises(InputError, match="even number"):
        ENCODERS.build("time_frequency", input_dims=2, output_dims=7)
    with pytest.raises(InputError, match="keeps all steps"):
        ENCODERS.build("time_frequency", input_dims=2, output_dims=8, backbone="resnet1d")
    encoder = ENCODERS.build("time_frequency", input_dims=2, **SMALL)
    with pytest.raises(InputError, match="has its own"):
        TFC(encoder, frequency_encoder=ENCODERS.build("dilated", input_dims=2, output_dims=4))
