"""Diagnostics of training: the figures of a loop, a collapse seen, and a resumed table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.estimators.tiny import waves
from tscl.augmentations import build_augmentation
from tscl.encoders import ENCODERS
from tscl.errors import InputError
from tscl.methods import SimCLR
from tscl.methods.base import METHODS, Method
from tscl.seeding import seeded, torch_generator
from tscl.training.data import ArraySource, RandomSampler
from tscl.training.diagnostics import EmbeddingDiagnostics
from tscl.training.trainer import Trainer, TrainSettings

X, _ = waves(40, steps=30, channels=1, seed=0)


def simclr(projection_dims: int = 6) -> SimCLR:
    with seeded(0, "method"):
        encoder = ENCODERS.build("dilated", input_dims=1, output_dims=6, hidden_dims=6, depth=1)
        return SimCLR(encoder, projection_dims=projection_dims)


def train(method: Method, epochs: int = 4, lr: float = 5e-3, **options) -> EmbeddingDiagnostics:
    watch = EmbeddingDiagnostics(method, X[:12], **options)
    settings = TrainSettings(max_epochs=epochs, lr=lr, averaging="none")
    sampler = RandomSampler(len(X), 20, drop_last=True)
    Trainer(settings, callbacks=[watch]).fit(method, ArraySource(X), sampler)
    return watch


def test_figures_are_those_of_a_loop():
    method = simclr()
    got = EmbeddingDiagnostics(method, X[:12], views=3, pooling="mean").figures()
    augment, generator = build_augmentation("scale_shift_jitter"), torch_generator(0, "diagnostics")
    series = torch.from_numpy(X[:12])
    views = [augment(series, generator) for _ in range(3)]

    def unit(x):
        with torch.no_grad():
            z = method.encoder.eval()(x).mean(dim=1).double().numpy()
        return z / np.linalg.norm(z, axis=1, keepdims=True)

    clean, seen = unit(series), [unit(view) for view in views]
    least, spread = [], []
    for i in range(12):
        others = np.mean([clean[j] for j in range(12) if j != i], axis=0)
        least.append(min(view[i] @ (clean[i] - others) for view in seen))
        spread += [np.exp(-2 * ((clean[i] - clean[j]) ** 2).sum()) for j in range(12) if j != i]
    assert got["compactness"] == pytest.approx(np.mean(least), rel=1e-3, abs=1e-5)
    assert got["below 0"] == pytest.approx(np.mean(np.array(least) < 0))
    apart = ((seen[0] - seen[1]) ** 2).sum(axis=1).mean()
    assert got["alignment"] == pytest.approx(apart, rel=1e-3, abs=1e-6)
    assert got["uniformity"] == pytest.approx(np.log(np.mean(spread)), rel=1e-3, abs=1e-5)


def test_a_collapse_shows_and_contrast_does_not_collapse():
    class Pull(Method):
        """Nothing but attraction."""

        def losses(self, batch, phase, generator):
            z = self.encoder(batch.x).amax(dim=1)
            return {"loss": nn.functional.normalize(z, dim=1).var(dim=0).sum()}

    assert "Pull" not in METHODS.names()
    good = train(simclr(projection_dims=0), epochs=20, lr=2e-2, every=10)
    assert [row["epoch"] for row in good.rows] == [10, 20]
    bad = train(Pull(simclr().encoder), epochs=20, lr=2e-2)
    assert bad.rows[-1]["uniformity"] > -0.05
    assert good.rows[-1]["uniformity"] < -0.5
    assert good.rows[-1]["compactness"] > bad.rows[-1]["compactness"]


def test_it_changes_no_training_and_is_kept():
    watched, plain = simclr(), simclr()
    watch = train(watched)
    settings = TrainSettings(max_epochs=4, lr=5e-3, averaging="none")
    Trainer(settings).fit(plain, ArraySource(X), RandomSampler(len(X), 20, drop_last=True))
    for one, other in zip(watched.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)
    again = EmbeddingDiagnostics(watched, X[:12])
    again.restore(watch.state())
    assert again.rows == watch.rows
    for given in ({"views": 1}, {"every": 0}):
        with pytest.raises(InputError, match=next(iter(given))):
            EmbeddingDiagnostics(watched, X[:12], **given)
    with pytest.raises(InputError, match="two series"):
        EmbeddingDiagnostics(watched, X[:1])
