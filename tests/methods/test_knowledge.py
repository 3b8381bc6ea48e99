"""Distillation: planted figures are learnt, unknown ones change nothing, contrast is added."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tscl.encoders import ENCODERS
from tscl.encoders.read_out import ReadOutEncoder
from tscl.errors import InputError
from tscl.losses.infonce import InfoNCE
from tscl.methods import METHODS
from tscl.methods.base import Batch
from tscl.saving.encoder import load_encoder, save_encoder
from tscl.seeding import seeded, torch_generator
from tscl.training.data import RandomSampler
from tscl.training.trainer import Trainer, TrainSettings

LABELLED = 24
SIZES = {"crops": {"pace": 1, "kind": 2}, "steps": {"phase": 2}, "events": {"peak": 2}}


class Rhythms:
    """Pulses whose pace is the figure of a crop; size, sign and noise say nothing of it."""

    def __init__(self, n: int, seed: int, views: int = 1, unknown: float = 0.0) -> None:
        rng = np.random.default_rng(seed)
        self.pace = rng.uniform(-1, 1, n)
        period = 16 * 2.0**self.pace
        step = np.arange(128)
        turns = (step / period[:, None] + rng.random((n, 1)))[:, None]
        pulses = np.exp(-(((turns + 0.5) % 1 - 0.5) ** 2) * (period[:, None, None] / 2) ** 2)
        gain = rng.choice([-1.0, 1.0], (n, 1, 1)) * rng.uniform(0.5, 2, (n, 1, 1))
        noise = 0.3 * rng.standard_normal((n, views, 128))
        self.x = torch.from_numpy((gain * pulses + noise).astype(np.float32))
        self.unknown = rng.random(n) < unknown

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: np.ndarray, generator: torch.Generator) -> Batch:
        views = self.x[indices].transpose(0, 1).unsqueeze(-1).unbind(0)
        pace = torch.from_numpy(self.pace[indices].astype(np.float32))[:, None, None]
        pace = pace.expand(-1, len(views), 1).clone()
        pace[self.unknown[indices]] = torch.nan
        extra = {"crops.pace": pace}
        return Batch(views[0], torch.from_numpy(indices), extra=extra, views=views[: len(views)])


def build(**params):
    with seeded(0, "encoder"):
        encoder = ENCODERS.build(
            "resnet1d", input_dims=1, widths=[8, 16], strides=[1, 2], stem_stride=2, kernel_size=7
        )
        return METHODS.build("knowledge_distillation", encoder=encoder, **params)


def random_batch(views: int = 1, n: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(4)
    x = tuple(torch.randn(n, 40, 1, generator=generator) for _ in range(views))
    extra = {
        "crops.pace": torch.randn(n, views, 1, generator=generator),
        "crops.kind": torch.randn(n, views, 2, generator=generator),
        "steps.phase": torch.randn(n, views, 10, 2, generator=generator),
        "events.peak": (torch.rand(n, views, 10, 2, generator=generator) < 0.3).float(),
    }
    return Batch(x[0], torch.arange(n), extra=extra, views=x if views > 1 else ())


def explained(encoder, data: Rhythms) -> float:
    """Share of the pace's variance that a ridge regression finds, on samples it has not seen."""
    with torch.no_grad():
        z = encoder(data.x[:, 0, :, None])[:, 0].double().numpy()
    z = (z - z[:LABELLED].mean(0)) / (z[:LABELLED].std(0) + 1e-6)
    z = np.c_[z, np.ones(len(z))]
    gram = z[:LABELLED].T @ z[:LABELLED] + 10 * np.eye(z.shape[1])
    weights = np.linalg.solve(gram, z[:LABELLED].T @ data.pace[:LABELLED])
    return (
        1
        - np.mean((z[LABELLED:] @ weights - data.pace[LABELLED:]) ** 2) / data.pace[LABELLED:].var()
    )


def test_a_planted_figure_is_learnt_and_the_untrained_network_does_not_know_it(tmp_path):
    method = build(crops={"pace": 1}, output="both")
    tests = Rhythms(512, 1)
    before = explained(method.encoder.eval(), tests)
    settings = TrainSettings(
        max_epochs=12, lr=5e-3, schedule="one_cycle", averaging="ema", ema_decay=0.9, ema_warmup=10
    )
    result = Trainer(settings).fit(method, Rhythms(512, 0, unknown=0.3), RandomSampler(512, 32))
    assert explained(result.encoder, tests) > 0.7
    assert before < 0.5
    with torch.no_grad():
        figure = result.encoder(tests.x[:, 0, :, None])[:, 0, -1].numpy()
    assert np.corrcoef(figure, tests.pace)[0, 1] > 0.85
    save_encoder(tmp_path, result.encoder)
    again, _ = load_encoder(tmp_path)
    assert torch.equal(again(tests.x[:3, 0, :, None]), result.encoder(tests.x[:3, 0, :, None]))


@pytest.mark.parametrize("views", [1, 2])
def test_the_loss_by_loops(views):
    weights = {"kind": 0.3, "peak": 2.0}
    method = build(**SIZES, weights=weights, beta=0.5).double().eval()
    batch = random_batch(views)
    batch = Batch(
        batch.x.double(), batch.index, extra={k: v.double() for k, v in batch.extra.items()},
        views=tuple(v.double() for v in batch.views),
    )  # fmt: skip
    batch.extra["crops.kind"][2, :, 1] = torch.nan
    batch.extra["steps.phase"][1, :, 4:] = torch.nan
    batch.extra["events.peak"][3, :, :2] = torch.nan
    terms = method.losses(batch, "encoder", torch_generator(0))
    sums = {name: [] for name in ("pace", "kind", "phase", "peak")}
    for v, view in enumerate(batch.views or (batch.x,)):
        steps = method.encoder.backbone(view)
        figures = method.encoder.read(steps)[2]
        read = {
            "pace": (figures[:, :1], batch.extra["crops.pace"][:, v]),
            "kind": (figures[:, 1:], batch.extra["crops.kind"][:, v]),
            "phase": (method.step_heads["phase"](steps), batch.extra["steps.phase"][:, v]),
            "peak": (method.step_heads["peak"](steps), batch.extra["events.peak"][:, v]),
        }
        for name, (given, wanted) in read.items():
            for a, b in zip(given.flatten().tolist(), wanted.flatten().tolist(), strict=True):
                if math.isnan(b):
                    continue
                if name == "peak":
                    p = 1 / (1 + math.exp(-a))
                    sums[name].append(-math.log(p if b else 1 - p))
                else:
                    d = abs(a - b)
                    sums[name].append(d * d if d < 0.5 else d - 0.25)
    means = {name: np.mean(values) for name, values in sums.items()}
    for name, mean in means.items():
        assert float(terms[name].detach()) == pytest.approx(mean, rel=1e-6)
    total = means["pace"] + 0.3 * means["kind"] + means["phase"] + 2.0 * means["peak"]
    assert float(terms["loss"].detach()) == pytest.approx(total, rel=1e-6)


def test_what_is_unknown_has_no_gradient_and_all_else_does():
    batch = random_batch()
    for target in batch.extra.values():
        target[:] = torch.nan
    method = build(**SIZES)
    loss = method.losses(batch, "encoder", torch_generator(0))["loss"]
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert all(p.grad is None or (p.grad == 0).all() for p in method.parameters())
    method.losses(random_batch(), "encoder", torch_generator(0))["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_contrast_of_views_is_a_loss_of_the_library():
    method = build(**SIZES, contrast="infonce", contrast_weight=0.5).eval()
    batch = random_batch(2)
    terms = method.losses(batch, "encoder", torch_generator(0))
    z = [method.projection(method.encoder.read(method.encoder.backbone(v))[1]) for v in batch.views]
    torch.testing.assert_close(terms["contrast"], InfoNCE()(*z), rtol=1e-4, atol=1e-5)
    rest = sum(float(terms[name].detach()) for name in ("pace", "kind", "phase", "peak"))
    whole = rest + 0.5 * float(terms["contrast"].detach())
    assert float(terms["loss"].detach()) == pytest.approx(whole, rel=1e-5)
    with pytest.raises(InputError, match="two views"):
        method.losses(random_batch(1), "encoder", torch_generator(0))


def test_bfloat16_is_near():
    method = build(**SIZES)
    batch = random_batch()
    full = float(method.losses(batch, "encoder", torch_generator(0))["loss"])
    with torch.autocast("cpu", torch.bfloat16):
        half = method.losses(batch, "encoder", torch_generator(0))["loss"]
    assert half.dtype == torch.float32
    assert float(half) == pytest.approx(full, rel=0.03)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"crops": {}}, "targets"),
        ({"crops": {"a": 0}}, "targets"),
        ({"crops": {"a": 1}, "weights": {"b": 1.0}}, "weights"),
        ({"crops": {"a": 1}, "steps": {"a": 2}}, "weights"),
        ({"crops": {"a": 1}, "weights": {"a": -1.0}}, "weights"),
        ({"crops": {"a": 1}, "beta": 0.0}, "beta"),
        ({"crops": {"a": 1}, "contrast_weight": math.inf}, "contrast_weight"),
    ],
)
def test_bad_arguments_are_named(params, field):
    with pytest.raises(InputError) as caught:
        build(**params)
    assert caught.value.field == field


def test_targets_and_encoders_that_do_not_fit_are_named():
    method = build(**SIZES)
    batch = random_batch()
    with pytest.raises(InputError, match=r"crops\.kind"):
        method.losses(
            Batch(batch.x, batch.index, extra={"crops.pace": batch.extra["crops.pace"]}),
            "encoder", torch_generator(0),
        )  # fmt: skip
    batch.extra["steps.phase"] = batch.extra["steps.phase"][:, :, :9]
    with pytest.raises(InputError, match=r"steps.phase.*\(6, 1, 10, 2\)"):
        method.losses(batch, "encoder", torch_generator(0))
    with pytest.raises(InputError, match="2 figures"):
        METHODS.build("knowledge_distillation", encoder=ReadOutEncoder(1, 3), crops={"a": 2})
