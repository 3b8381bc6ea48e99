"""Forgetting patients: what it changes, what it leaves, and the membership attack around it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tscl.encoders import ENCODERS
from tscl.errors import InputError
from tscl.losses import NTXent
from tscl.privacy.membership import attack_scores, membership_inference
from tscl.privacy.unlearning import forget
from tscl.seeding import numpy_generator, seeded, torch_generator


def series(n: int, seed: int) -> np.ndarray:
    return numpy_generator(seed, "forget test").standard_normal((n, 16, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def overfitted() -> tuple[nn.Module, np.ndarray, np.ndarray]:
    """An encoder that learned 24 noise series of six patients by heart."""
    return trained(0)


def trained(seed: int) -> tuple[nn.Module, np.ndarray, np.ndarray]:
    x, owner = series(24, 0), np.arange(24) // 4
    with seeded(seed):
        encoder = ENCODERS.build("dilated", input_dims=2, output_dims=16, hidden_dims=32, depth=2)
        encoder.eval()  # no dropout: the encoder shall learn its series by heart
        optimiser = torch.optim.Adam(encoder.parameters(), lr=5e-3)
        generator, data = torch_generator(seed), torch.from_numpy(x)
        for _ in range(150):
            views = [data + 0.5 * torch.randn(data.shape, generator=generator) for _ in range(2)]
            optimiser.zero_grad()
            NTXent(0.2)(*(encoder(v).amax(1) for v in views)).backward()
            optimiser.step()
    return encoder.eval(), x, owner


NOISE = {"name": "jitter", "sigma": 0.5}


def test_forgetting_weakens_the_membership_attack(
    overfitted: tuple[nn.Module, np.ndarray, np.ndarray],
) -> None:
    encoder, x, owner = overfitted
    before_state = {k: v.clone() for k, v in encoder.state_dict().items()}
    gone = owner < 2
    settings = {"augmentation": NOISE, "copies": 8}
    before = membership_inference(encoder, x[gone], series(40, 9), **settings)
    assert before.auc > 0.9
    how = {"epochs": 40, "batch_size": 16, "augmentation": NOISE}
    made = forget(encoder, (x, owner), [0, 1], **how)
    after = membership_inference(made.encoder, x[gone], series(40, 9), **settings)
    assert after.auc < 0.75
    remaining = membership_inference(made.encoder, x[~gone], series(40, 9), **settings)
    assert remaining.auc > 0.85
    assert all(torch.equal(v, before_state[k]) for k, v in encoder.state_dict().items())
    with torch.no_grad():
        old, new = (e(torch.from_numpy(x)).amax(1) for e in (encoder, made.encoder))
    kept = nn.functional.cosine_similarity(old, new, dim=1).numpy()
    assert kept[~gone].mean() > kept[gone].mean() + 0.02
    assert len(made.alignment) == 40
    again = forget(encoder, (x, owner), [0, 1], **how)
    assert again.alignment == made.alignment


def test_membership_of_an_untrained_encoder_is_a_guess() -> None:
    with seeded(3):
        encoder = ENCODERS.build("dilated", input_dims=2, output_dims=8, hidden_dims=8, depth=1)
    attack = membership_inference(encoder, series(60, 1), series(60, 2), augmentation=NOISE)
    assert attack.advantage < 0.35
    assert encoder.training
    scores = attack_scores(encoder, series(5, 1), augmentation=NOISE)
    stable = attack_scores(encoder, series(5, 1), augmentation=NOISE, score="stability")
    assert ((stable >= -1) & (stable <= 1 + 1e-6)).all()
    assert not np.allclose(stable, scores)
    with pytest.raises(InputError, match="members"):
        membership_inference(encoder, series(5, 1), series(5, 1)[:, :4])
    with pytest.raises(InputError, match="copies"):
        attack_scores(encoder, series(5, 1), copies=1)


def test_forget_names_bad_input(overfitted: tuple[nn.Module, np.ndarray, np.ndarray]) -> None:
    encoder, x, owner = overfitted
    with pytest.raises(InputError, match="patients"):
        forget(encoder, (x, owner), [99])
    with pytest.raises(InputError, match="must remain"):
        forget(encoder, (x, owner), list(range(6)))
    with pytest.raises(InputError, match="patients"):
        forget(encoder, (x, owner), [])
    with pytest.raises(InputError, match="data"):
        forget(encoder, (x, owner[:3]), [0])
    with pytest.raises(InputError, match="temperature"):
        forget(encoder, (x, owner), [0], temperature=0.0)
