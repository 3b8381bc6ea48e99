"""AutoTCL: its terms, whom each phase trains, and a planted motif it must find."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, InputError
from tscl.losses import InfoNCE
from tscl.methods.autotcl import AutoTCLMethod, smoothness, sparsity
from tscl.methods.base import Batch
from tscl.seeding import randint, randn, seeded, torch_generator
from tscl.training.data import ArraySource, RandomSampler
from tscl.training.trainer import Trainer, TrainSettings


def build(seed: int = 0, encoder: str = "dilated", channels: int = 2, **options) -> AutoTCLMethod:
    with seeded(seed):
        made = ENCODERS.build(
            encoder, input_dims=channels, output_dims=8, hidden_dims=8, depth=2, dropout=0.0
        )
        return AutoTCLMethod(made, **({"aug_dim": 4, "aug_hidden": 4, "aug_depth": 1} | options))


def batch(channels: int = 2) -> Batch:
    x = randn((6, 40, channels), torch_generator(1), torch.zeros(1))
    return Batch(x=x, index=torch.arange(6))


@pytest.mark.parametrize("discrepancy", ["mmd", "adversarial", "cooperative", "none"])
@pytest.mark.parametrize("phase", ["encoder", "augmentation"])
def test_each_phase_reaches_its_own_parameters(phase, discrepancy):
    method = build(discrepancy=discrepancy, reg_weight=1.0, threshold=0.0, regular_weight=0.1)
    terms = method.losses(batch(), phase, torch_generator(2))
    terms["loss"].backward()
    named = {"encoder": method.encoder, "augmentation": method.augmentation}
    grads = [p.grad for p in named[phase].parameters()]
    assert any(g is not None and g.abs().sum() > 0 for g in grads)
    if phase == "encoder":
        assert all(p.grad is None for p in method.augmentation.parameters())
    assert all(torch.isfinite(v) for v in terms.values())


def test_terms_add_up():
    method = build(local_weight=0.7, local_params={"n_segments": 4}, temperature=0.3)
    terms = method.losses(batch(), "encoder", torch_generator(2))
    assert float(terms["loss"]) == pytest.approx(float(terms["global"] + 0.7 * terms["local"]))
    method = build(reg_weight=0.5, threshold=0.1, regular_weight=0.25)
    terms = method.losses(batch(), "augmentation", torch_generator(2))
    expected = terms["discrepancy"] + 0.5 * terms["sparsity"] + 0.25 * terms["smoothness"]
    assert float(terms["loss"]) == pytest.approx(float(expected), rel=1e-6)


def test_global_term_is_infonce_of_max_pooled_embeddings_of_input_and_view():
    method = build(local_weight=0.0, temperature=0.5).eval()
    x = batch().x
    got = method.losses(Batch(x, torch.arange(6)), "encoder", torch_generator(3))["loss"]
    view = method.augmentation(x, torch_generator(3)).view
    z = [method.encoder(part).amax(dim=1) for part in (x, view)]
    assert float(got) == pytest.approx(float(InfoNCE(0.5)(*z)), rel=1e-5)


def test_encoder_is_put_back_in_training_mode_and_dropout_is_off_for_the_augmentation():
    method = build()
    method.encoder.train()
    seen: list[bool] = []
    method.encoder.register_forward_hook(lambda m, a, o: seen.append(m.training))
    method.losses(batch(), "augmentation", torch_generator(2))
    assert seen == [False, False]
    assert method.encoder.training


def test_public_forms_differ_where_they_should():
    weights = torch.rand(5, 30, 3, generator=torch.Generator().manual_seed(1))
    assert float(sparsity(weights, 0.4, "channel_sum")) == pytest.approx(
        float(weights.sum(-1).mean() - 0.4)
    )
    assert float(sparsity(weights, 0.4)) == pytest.approx(float(weights.mean() - 0.4))
    assert float(sparsity(weights * 0.1, 0.4)) == 0.0


def test_smoothness_equals_the_loop():
    w = torch.rand(5, 30, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    generator = torch_generator(9)
    t, s = (randint(1, 28, (5,), generator).tolist() for _ in range(2))
    paper, public = [], []
    for b in range(5):
        for c in range(3):
            here, other = w[b, t[b], c], w[b, s[b], c]
            side = abs(here - w[b, t[b] - 1, c]) + abs(here - w[b, t[b] + 1, c])
            near = abs(here - other) if abs(s[b] - t[b]) <= 1 else 1 - abs(here - other)
            paper.append(float(side + near))
            for i in range(5):
                here, other = w[b, t[i], c], w[b, s[i], c]
                side = abs(here - w[b, t[i] - 1, c]) + abs(here - w[b, t[i] + 1, c])
                far = s[i] - t[i] > 1
                public.append(float(side + (abs(here - other) if far else 1 - abs(here - other))))
    assert float(smoothness(w, torch_generator(9))) == pytest.approx(np.mean(paper))
    assert float(smoothness(w, torch_generator(9), form="public")) == pytest.approx(np.mean(public))


def test_missing_steps_do_not_spoil_the_losses():
    x = batch().x
    x[0, :5] = torch.nan
    for phase in ("augmentation", "encoder"):
        method = build()
        loss = method.losses(Batch(x, torch.arange(6)), phase, torch_generator(2))["loss"]
        loss.backward()
        grads = [p.grad for p in method.parameters() if p.grad is not None]
        assert all(torch.isfinite(g).all() for g in grads)


@pytest.mark.parametrize("mode", ["binomial", "continuous", "last", "all_false", "channel"])
def test_masks_change_the_loss(mode):
    plain = build().eval().losses(batch(), "encoder", torch_generator(2))["loss"]
    masked = build(mask=mode).eval().losses(batch(), "encoder", torch_generator(2))["loss"]
    assert float(plain) != float(masked)


def test_ratio_step_and_any_registered_loss_and_encoder():
    method = build(ratio_step=3, loss="ntxent", loss_params={"temperature": 0.5})
    assert [len(method.phases(s)) for s in range(4)] == [2, 1, 1, 2]
    assert torch.isfinite(method.losses(batch(), "encoder", torch_generator(2))["loss"])
    for name in ("cost", "tcn"):
        loss = build(encoder=name).losses(batch(), "encoder", torch_generator(2))["loss"]
        assert torch.isfinite(loss)
    seen = build(encoder="cost", augmentation_sees="backbone")
    assert torch.isfinite(seen.losses(batch(), "augmentation", torch_generator(2))["loss"])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ratio_step": 0}, InputError),
        ({"discrepancy": "kl"}, ConfigError),
        ({"augmentation_sees": "backbone"}, ConfigError),
        ({"loss": "infonse"}, ConfigError),
    ],
)
def test_bad_options(options, error):
    with pytest.raises(error):
        build(**options)


def planted(seed: int, n: int = 128, length: int = 64, width: int = 16):
    """White noise with a square wave of zero mean at a random place of each sample."""
    rng = np.random.default_rng(seed)
    x = 0.5 * rng.normal(size=(n, length, 1))
    truth = np.zeros((n, length), dtype=bool)
    wave = 2.0 * np.sign(np.sin(np.arange(width) * np.pi / 2 + 0.1))
    for i, start in enumerate(rng.integers(0, length - width, n)):
        x[i, start : start + width, 0] = wave
        truth[i, start : start + width] = True
    return x.astype(np.float32), truth


@pytest.mark.slow
@pytest.mark.parametrize("discrepancy", ["mmd", "none"])
def test_mask_keeps_a_planted_motif_only_when_trained_by_relevance(discrepancy):
    """The discrepancy finds the motif; neither chance nor the sparsity term alone does."""
    x, _ = planted(0)
    fresh, truth = planted(100)
    with seeded(0):
        encoder = ENCODERS.build("dilated", input_dims=1, output_dims=32, hidden_dims=16, depth=3)
        method = AutoTCLMethod(
            encoder,
            aug_hidden=16,
            aug_params={"use_g": False},
            temperature=0.2,
            local_weight=0.1,
            reg_weight=1.0,
            threshold=0.25,
            meta_lr=3e-3,
            discrepancy=discrepancy,
        )

    def area() -> float:
        with torch.no_grad():
            openness = method.view(torch.from_numpy(fresh)).openness[..., 0].numpy()
        return float(roc_auc_score(truth.ravel(), openness.ravel()))

    method.eval()
    assert 0.3 < area() < 0.7
    settings = TrainSettings(max_epochs=40, lr=1e-3, seed=0)
    Trainer(settings).fit(method, ArraySource(x), RandomSampler(128, 32, drop_last=True))
    assert area() > 0.8 if discrepancy == "mmd" else area() < 0.8
