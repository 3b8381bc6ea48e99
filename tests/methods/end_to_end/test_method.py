"""The end-to-end loss: mixing, schedules, every contrast, momentum and queue."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, InputError
from tscl.forecasters import DLinear, ForecastNetwork
from tscl.losses import HierarchicalContrastiveLoss
from tscl.masking import draw_mask
from tscl.methods import METHODS
from tscl.methods.base import Batch
from tscl.methods.end_to_end.momentum import MoCoTerm, frequency_contrast
from tscl.methods.end_to_end.terms import CONTRASTS, HierarchicalTerm, Windows
from tscl.seeding import seeded, torch_generator

CONTRAST_NAMES = ["hierarchical", "moco", "cost", "simclr", "byol", "infonce"]


def network(dropout=0.1):
    with seeded(0, "weights"):
        return ForecastNetwork(
            2,
            3,
            marks=1,
            encoder="dilated",
            encoder_params={"hidden_dims": 4, "depth": 2, "dropout": dropout},
            output_dims=6,
            decoder_dims=5,
            dropout=dropout,
        )


def batch(n=5, length=8):
    g = torch_generator(3, "batch")
    draw = {"generator": g}
    extra = {
        "future": torch.randn(n, 3, 2, **draw),
        "past_marks": torch.randn(n, length, 1, **draw),
        "future_marks": torch.randn(n, 3, 1, **draw),
    }
    return Batch(x=torch.randn(n, length, 2, **draw), index=torch.arange(n), extra=extra)


def build(dropout=0.1, **params):
    with seeded(1, "method"):
        return METHODS.build("e2e", encoder=network(dropout), **params)


def run(method, step=0):
    with seeded(2, "layers"):
        method.phases(step)
        return method.losses(batch(), "encoder", torch_generator(4, "method", step))


@pytest.mark.parametrize("contrast", CONTRAST_NAMES)
def test_every_contrast_mixes_with_the_forecast_error_and_trains_the_encoder(contrast):
    method = build(weight=0.25, contrast=contrast).train()
    for step in range(2):  # a queue is empty in the first step
        terms = run(method, step)
        method.after_step(step)
    wanted = 0.75 * terms["mse"] + 0.25 * terms["contrast"]
    torch.testing.assert_close(terms["loss"], wanted)
    (terms["contrast"]).backward()
    grads = [p.grad for p in method.encoder.encoder.parameters() if p.grad is not None]
    assert sum(float(g.abs().sum()) for g in grads) > 0
    assert method.encoder.decoder[0].weight.grad is None or not bool(
        method.encoder.decoder[0].weight.grad.any()
    )


@pytest.mark.parametrize("contrast", ["simclr", "moco", "byol"])
def test_embeddings_are_pooled_by_any_one_name(contrast):
    terms = {}
    for pooling in ("mean", "max", "log_std", "last"):
        method = build(weight=1.0, contrast=contrast, contrast_params={"pooling": pooling}).train()
        run(method)
        method.after_step(0)
        terms[pooling] = float(run(method)["contrast"].detach())
    assert len(set(terms.values())) == 4, terms
    for pooling in ("mean+max", "first"):
        with pytest.raises(ConfigError, match=r"pooling.*random"):
            build(contrast=contrast, contrast_params={"pooling": pooling})


def test_extreme_weights_leave_the_other_term_out():
    assert set(run(build(weight=0.0))) == {"loss", "mse"}
    assert build(weight=0.0).contrast is None
    assert "mse" not in run(build(weight=1.0))


def test_linear_schedule_falls_by_epoch_and_stops_at_zero():
    method = build(weight=0.25, schedule="linear", decay=0.1, steps_per_epoch=4)
    seen = []
    for step in (0, 3, 4, 8, 12, 40):
        method.phases(step)
        seen.append(method.current_weight())
    assert seen == pytest.approx([0.25, 0.25, 0.15, 0.05, 0.0, 0.0])
    method.phases(12)
    assert "contrast" not in run(method, 12)
    with pytest.raises(InputError, match="steps_per_epoch"):
        build(schedule="linear")


def test_mask_rate_is_the_share_hidden():
    class Spy(nn.Module):
        output_dims = 2

        def token_shape(self, past):
            return len(past), past.shape[1]

        def represent(self, past, marks=None, mask=None):
            self.mask = mask
            return torch.randn(len(past), past.shape[1], 2)

    spy = Spy()
    HierarchicalTerm(mask_rate=0.3)(Windows(spy, torch.zeros(50, 40, 1)), torch_generator(0))
    assert float(spy.mask.float().mean()) == pytest.approx(0.7, abs=0.03)
    assert spy.mask.shape == (100, 40)
    assert not torch.equal(spy.mask[:50], spy.mask[50:])


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_one_masked_view_is_compared_with_the_embeddings_of_the_forecast(weight):
    method = build(dropout=0.0, weight=weight, contrast_params={"masked_views": 1})
    term = method.contrast
    data = batch()
    net = method.encoder
    found = run(method)
    _, embeddings = net.forecast(data.x, data.extra["past_marks"], data.extra["future_marks"])
    mask = draw_mask("binomial", 5, 8, generator=torch_generator(4, "method", 0), keep=0.7)
    hidden = net.represent(data.x, data.extra["past_marks"], mask)
    torch.testing.assert_close(found["contrast"], term.loss(embeddings, hidden))
    calls = []
    net.encoder.register_forward_hook(lambda module, args, out: calls.append(len(args[0])))
    run(method)
    assert calls == [5, 5]
    with pytest.raises(InputError, match="masked_views"):
        HierarchicalTerm(masked_views=3)


def test_moco_queue_takes_any_batch_and_only_training_fills_it():
    method = build(dropout=0.0, contrast="moco", contrast_params={"queue": 7})
    term = method.contrast
    assert isinstance(term, MoCoTerm)
    method.eval()
    assert float(run(method)["contrast"]) == 0.0  # nothing remembered, nothing to tell apart
    term.after_step(method.encoder)
    assert int(term.filled) == 0
    method.train()
    run(method)
    method.after_step(0)
    assert int(term.filled) == 5
    first = term.queue.clone()
    torch.testing.assert_close(first[:5].norm(dim=1), torch.ones(5))
    run(method)
    method.after_step(1)
    assert int(term.filled) == 7
    assert int(term.place) == 3
    torch.testing.assert_close(term.queue[3:5], first[3:5])
    before = {k: v.clone() for k, v in method.state_dict().items()}
    method.eval()
    run(method)
    after = method.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_moco_value_and_momentum_are_the_formulas():
    method = build(
        dropout=0.0,
        contrast="moco",
        contrast_params={"queue": 6, "momentum": 0.9, "temperature": 0.5},
    ).train()
    term = method.contrast
    run(method)
    method.after_step(0)
    with torch.no_grad():
        for p in method.encoder.parameters():
            p.add_(0.1)
    old = copy.deepcopy(term.target)
    terms = run(method, 1)
    data = batch()
    z = method.encoder.represent(data.x, data.extra["past_marks"]).mean(1).detach().double()
    k = old.represent(data.x, data.extra["past_marks"]).mean(1).double()
    values = []
    for i in range(5):
        q = z[i] / z[i].norm()
        positive = float(q @ (k[i] / k[i].norm())) / 0.5
        negatives = [float(q @ term.queue[j].double()) / 0.5 for j in range(5)]
        total = sum(math.exp(v) for v in [positive, *negatives])
        values.append(math.log(total) - positive)
    assert float(terms["contrast"]) == pytest.approx(sum(values) / 5, rel=1e-4)
    method.after_step(1)
    for new, was, now in zip(
        term.target.parameters(), old.parameters(), method.encoder.parameters(), strict=True
    ):
        torch.testing.assert_close(new, 0.9 * was + 0.1 * now)


def test_frequency_contrast_against_loops():
    g = torch_generator(5)
    z1, z2 = torch.randn(3, 6, 4, generator=g).double(), torch.randn(3, 6, 4, generator=g).double()
    made = frequency_contrast(z1, z2)
    views = [
        [torch.fft.rfft(z / z.norm(dim=-1, keepdim=True), dim=0) for z in view] for view in (z1, z2)
    ]
    parts = (
        lambda f: f.abs(),
        lambda f: torch.cat([torch.cos(f.angle()), torch.sin(f.angle())]) / 2.0,
    )
    for value, part in zip(made, parts, strict=True):
        total, count = 0.0, 0
        for frequency in range(4):
            rows = [part(views[v][i][frequency]) for v in range(2) for i in range(3)]
            for a in range(6):
                b = (a + 3) % 6
                rest = sum(math.exp(float(rows[a] @ rows[c])) for c in range(6) if c != a)
                total += math.log(rest) - float(rows[a] @ rows[b])
                count += 1
        assert float(value) == pytest.approx(total / count, rel=1e-5)
    z1.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda a: sum(frequency_contrast(a, z2)), (z1,))


def test_frozen_encoder_trains_the_decoder_alone():
    method = build(weight=0.0, freeze_encoder=True).train()
    assert not method.encoder.encoder.training
    assert method.encoder.decoder.training
    run(method)["loss"].backward()
    assert all(p.grad is None for p in method.encoder.encoder.parameters())
    names = {id(p) for p in method.groups()["encoder"].parameters}
    assert names == {id(p) for p in method.encoder.decoder.parameters()}
    with seeded(0, "weights"):
        linear = ForecastNetwork(1, 2, encoder="lstm", input_length=4, skip="linear")
    group = METHODS.build("e2e", encoder=linear, weight=0.0, freeze_encoder=True).groups()
    assert any(p is linear.skip.weight for p in group["encoder"].parameters)
    with pytest.raises(InputError, match="frozen"):
        build(weight=0.5, freeze_encoder=True)


def test_bad_uses_are_named():
    plain = ENCODERS.build("tcn", input_dims=1, hidden_dims=2, depth=1)
    with pytest.raises(ConfigError, match="ForecastNetwork"):
        METHODS.build("e2e", encoder=plain)
    with pytest.raises(ConfigError, match="weight=0"):
        METHODS.build("e2e", encoder=DLinear(1, 2, 4))
    METHODS.build("e2e", encoder=DLinear(1, 2, 4), weight=0.0)
    with pytest.raises(ConfigError, match="hierarchical"):
        build(contrast="hierarchic")
    with pytest.raises(InputError, match="weight"):
        build(weight=1.5)
    with pytest.raises(InputError, match="future"):
        build().losses(Batch(x=torch.zeros(2, 8, 2), index=torch.arange(2)), "encoder", None)
    assert set(CONTRAST_NAMES) - {"infonce"} == set(CONTRASTS.names())


def test_the_key_alone_is_augmented_and_both_pass_a_head():
    params = {"augment": "key", "augmentation": "jitter", "head": True, "queue": 6}
    method = build(dropout=0.0, contrast="moco", contrast_params=params).train()
    term, net, data = method.contrast, method.encoder, batch()
    assert [type(layer).__name__ for layer in term.head] == ["Linear", "ReLU", "Linear"]
    run(method)
    method.after_step(0)
    with torch.no_grad():
        for p in [*net.parameters(), *term.head.parameters()]:
            p.add_(0.1)
    seen = []
    net.encoder.register_forward_hook(lambda module, args, out: seen.append("query"))
    hook = term.target.encoder.register_forward_hook(lambda m, args, out: seen.append(args[0]))
    value = float(run(method, 1)["contrast"])
    hook.remove()
    assert seen[0] == "query"
    assert len(seen) == 2  # the forecast's embeddings are the query
    marks = data.extra["past_marks"]
    assert not torch.equal(seen[1][..., :2], data.x)
    z = term.head(net.represent(data.x, marks).mean(1)).double()
    k = term.target_head(term.target.represent(seen[1][..., :2], marks).mean(1)).double()
    total = 0.0
    for i in range(5):
        q = z[i] / z[i].norm()
        logits = [float(q @ k[i] / k[i].norm())]
        logits += [float(q @ term.queue[j].double()) for j in range(5)]
        total += math.log(sum(map(math.exp, logits))) - logits[0]
    assert value == pytest.approx(total / 5, rel=1e-4)
    before = [p.clone() for p in term.target_head.parameters()]
    method.after_step(1)
    for kept, was, now in zip(
        term.target_head.parameters(), before, term.head.parameters(), strict=True
    ):
        torch.testing.assert_close(kept, 0.999 * was + 0.001 * now)
    assert any(p is term.head[0].weight for g in method.groups().values() for p in g.parameters)
    with pytest.raises(InputError, match="augment"):
        MoCoTerm(augment="query")


def test_moco_beside_the_hierarchical_loss():
    params = {"hierarchical": 0.25, "queue": 6}
    method = build(dropout=0.0, contrast="moco", contrast_params=params).train()
    run(method)
    method.after_step(0)
    found = run(method, 1)
    data, net, term = batch(), method.encoder, method.contrast
    marks = data.extra["past_marks"]
    embeddings, copied = net.represent(data.x, marks), term.target.represent(data.x, marks)
    levels = HierarchicalContrastiveLoss()(embeddings, copied)
    torch.testing.assert_close(found["hierarchical"], levels)
    torch.testing.assert_close(found["contrast"], 0.75 * found["moco"] + 0.25 * levels)
    with pytest.raises(InputError, match="hierarchical"):
        MoCoTerm(hierarchical=1.5)
