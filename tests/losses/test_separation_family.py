"""Few-shot, SepCLR, Hydra, PamC, MEOW, compactness, replay, view quality: loops and limits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.reference import supervised_losses as slow
from tscl.errors import InputError
from tscl.losses import (
    ICNN,
    Hydra,
    InfoNCE,
    Meow,
    PamC,
    ProtoTriplet,
    ReplayContrast,
    SepCLR,
    bounded_compactness,
    compactness_loss,
    quality_weights,
    sampled_compactness,
)
from tscl.losses.hydra import gated_cosine
from tscl.losses.shared.clusters import kmeans
from tscl.seeding import torch_generator


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator(seed), dtype=torch.float64)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5], [0] * 6, [0] * 5 + [1]])
def test_few_shot_equal_loops(labels: list[int]) -> None:
    z, y = draw(2, 6, 3), torch.tensor(labels)
    got = ProtoTriplet(reduction="none", margin=0.4)(z, labels=y)
    for query, support in ((0, 1), (1, 0)):
        want = slow.proto_triplet(z[query].numpy(), z[support].numpy(), labels, 0.4)
        assert got[query].tolist() == pytest.approx(want, abs=1e-6)
    want = -math.log(slow.icnn_score(z.flatten(0, 1).numpy(), labels * 2, 4))
    assert float(ICNN(k=4)(z, labels=y)) == pytest.approx(want, abs=1e-6)
    for k in (3, 20):
        want = -math.log(slow.icnn_score(z.flatten(0, 1).numpy(), labels * 2, k, released=True))
        assert float(ICNN(k=k, released=True)(z, labels=y)) == pytest.approx(want, abs=1e-6)


def test_icnn_prefers_separated_classes() -> None:
    y = torch.tensor([0, 0, 0, 1, 1, 1])
    centre = torch.tensor([[5.0, 0], [-5.0, 0]], dtype=torch.float64)[y]
    near, far = centre + 0.1 * draw(6, 2), draw(6, 2, seed=1)
    loss = ICNN(k=3)
    assert float(loss(near[None], labels=y)) < float(loss(far[None], labels=y))
    with pytest.raises(InputError, match="k"):
        ICNN(k=0)


@pytest.mark.parametrize("labels", [[0, 1, 0, 2, 1], [0] * 5, [1] * 5, [0, 0, 0, 0, 1]])
def test_sepclr_terms_equal_loops(labels: list[int]) -> None:
    z = draw(2, 5, 5)
    loss = SepCLR(0.7, common_dims=3)
    got = loss.terms(z, torch.tensor(labels) == 0)
    want = slow.sepclr(z.numpy(), labels, 3, 0.7)
    for name, value in want.items():
        assert float(got[name]) == pytest.approx(value, abs=1e-9), name
    total = want["common"] + want["salient"] + 100 * want["null"] + 10 * want["joint"]
    assert float(loss(z, labels=torch.tensor(labels))) == pytest.approx(total)
    assert loss(z, background=torch.tensor(labels) == 0) == loss(z, labels=torch.tensor(labels))


def test_sepclr_joint_term_sees_dependence() -> None:
    """Independent c and s have a higher joint entropy than s = c."""
    loss, none = SepCLR(0.5), torch.zeros(64, dtype=torch.bool)
    c = torch.nn.functional.normalize(draw(2, 64, 2), dim=-1)
    tied = loss.terms(torch.cat((c, c), -1), none)["joint"]
    order = torch.randperm(64, generator=torch_generator(1))
    free = loss.terms(torch.cat((c, c[:, order]), -1), none)["joint"]
    assert float(free) < float(tied) - 0.1
    assert -math.log(64) <= float(free) <= 0
    with pytest.raises(InputError, match="common_dims"):
        SepCLR(common_dims=4)(c, background=none)


def test_sepclr_training_separates() -> None:
    """Gradient steps pull healthy salient parts to zero and spread the diseased ones."""
    y = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    z = draw(1, 8, 4).repeat(2, 1, 1).requires_grad_()
    loss, optimiser = SepCLR(0.5), torch.optim.Adam([z], lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        loss(z, labels=y).backward()
        optimiser.step()
    length = z.detach()[..., 2:].norm(dim=-1).mean(0)
    assert float(length[:4].max()) < 0.1 < 0.5 < float(length[4:].mean())


def test_hydra_equals_loops() -> None:
    z, y = draw(2, 6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    for pairs in ("arbitrary", "identical", "distinct"):
        loss = Hydra(0.3, n_classes=3, dims=4, pairs=pairs).double().eval()
        partner = loss._partners(y)
        gate = loss.gate(y, partner)
        want = [
            value
            for a, b in ((0, 1), (1, 0))
            for value in slow.hydra(
                z[a].numpy(),
                z[b].numpy(),
                gate.detach().numpy(),
                y.tolist(),
                partner.tolist(),
                0.3,
            )
        ]
        assert float(loss(z, labels=y)) == pytest.approx(sum(want) / len(want), abs=1e-9)
    torch.testing.assert_close(loss.gate(y, y.flip(0)), loss.gate(y.flip(0), y))
    open_gate = gated_cosine(z[0], z[1], torch.ones(6, 4, dtype=torch.float64))
    want_open = nn.functional.cosine_similarity(z[0][:, None], z[1][None], dim=-1)
    torch.testing.assert_close(open_gate, want_open)
    loss(z, labels=y).backward()
    assert all(p.grad is not None for p in loss.parameters())
    with pytest.raises(InputError, match="labels"):
        loss(z, labels=y + 1)
    with pytest.raises(InputError, match="dimensions"):
        loss(z[..., :3], labels=y)


def test_hydra_of_one_class_is_zero() -> None:
    z = draw(2, 4, 3)
    assert float(Hydra(n_classes=1, dims=3).double()(z, labels=torch.zeros(4).long())) == 0.0


def test_pamc_equals_loops_and_its_limit() -> None:
    z = draw(2, 6, 3)
    code = [0, 0, 1, 1, 2, 2]
    got = PamC(0.4)(z, labels=torch.tensor(code))
    assert float(got) == pytest.approx(slow.pamc(z.numpy(), code, 0.4), abs=1e-9)
    twice = z[:1].repeat(2, 1, 1)
    u = torch.nn.functional.normalize(z[0], dim=-1)
    logits = (u @ u.T / 0.4).masked_fill(torch.eye(6, dtype=torch.bool), -torch.inf)
    torch.testing.assert_close(PamC(0.4, n_clusters=6)(twice), logits.logsumexp(1).mean() - 2.5)
    single = PamC(0.4)(twice, labels=torch.zeros(6))
    torch.testing.assert_close(single, torch.tensor(-2.5, dtype=torch.float64))


def test_kmeans_finds_groups() -> None:
    y = torch.arange(12) % 3
    z = torch.eye(3, dtype=torch.float64)[y] * 9 + draw(12, 3) * 0.1
    code = kmeans(z, 3)
    assert len(code.unique()) == 3
    assert all(len(code[y == k].unique()) == 1 for k in range(3))
    assert kmeans(torch.ones(4, 2), 3).tolist() == [0, 0, 0, 0]
    assert sorted(kmeans(z[:4], 9).tolist()) == [0, 1, 2, 3]


def test_meow_equals_loops_and_infonce() -> None:
    z = draw(2, 6, 3)
    loss = Meow(0.5, n_clusters=(2, 3), prototype_weight=0.0)
    mean = torch.nn.functional.normalize(z, dim=-1).mean(0)
    codes = [kmeans(mean, 2).tolist(), kmeans(mean, 3).tolist()]
    want = [
        value
        for a, b in ((0, 1), (1, 0))
        for value in slow.meow_hard(z[a].numpy(), z[b].numpy(), codes, 0.5)
    ]
    assert float(loss(z)) == pytest.approx(sum(want) / len(want), abs=1e-9)
    own = Meow(0.5, n_clusters=(6,), prototype_weight=0.0)
    torch.testing.assert_close(own(z), InfoNCE(0.5)(z[0], z[1]))
    for alone in (lambda: Meow(n_clusters=(4, 1)), lambda: PamC(n_clusters=1)):
        with pytest.raises(InputError, match="n_clusters"):
            alone()
    soft = Meow(0.5, weighting="soft", dims=3, prototype_weight=0.0).double()
    for p in soft.parameters():
        nn.init.zeros_(p)
    torch.testing.assert_close(soft(z), InfoNCE(0.5)(z[0], z[1]))
    with pytest.raises(InputError, match="dims"):
        Meow(weighting="soft")


def test_bounds_hold_for_every_augmentation() -> None:
    network = nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=2, dilation=2),
        nn.BatchNorm1d(4),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    network = network.double().eval()
    x, z = draw(5, 2, 8), draw(5, 3, seed=1)
    low = bounded_compactness(network, x, 0.1, z)
    noise = torch.rand(40, 5, 2, 8, generator=torch_generator(2), dtype=torch.float64) * 0.2 - 0.1
    views = torch.stack([network(x + e) for e in noise])
    sampled = sampled_compactness(views, z, normalize=False)
    assert bool((low <= sampled).all())
    exact = bounded_compactness(network, x, 0.0, z)
    torch.testing.assert_close(exact, sampled_compactness(network(x)[None], z, normalize=False))
    assert bool((low < exact).all())
    assert compactness_loss(low) > compactness_loss(exact)
    with pytest.raises(InputError, match="GELU"):
        bounded_compactness(nn.Sequential(nn.GELU()), z, 0.1, z)
    with pytest.raises(InputError, match="radius"):
        bounded_compactness(network, x, -0.1, z)


def test_sampled_compactness_limits() -> None:
    u = torch.eye(3, dtype=torch.float64)
    assert sampled_compactness(u[None], u).tolist() == pytest.approx([1.0] * 3)
    swapped = u[[1, 0, 2]]
    got = sampled_compactness(torch.stack((u, swapped)), u)
    assert got.tolist() == pytest.approx([-0.5, -0.5, 1.0])
    with pytest.raises(InputError, match="two embeddings"):
        sampled_compactness(u[None, :1], u[:1])


def test_replay_contrast_equals_loops() -> None:
    h, g = draw(7, 4).requires_grad_(), draw(7, 4, seed=1)
    y = torch.tensor([0, 0, 1, 1, 1, 2, 0])
    old = torch.tensor([1, 1, 1, 1, 0, 1, 1], dtype=torch.bool)
    loss = ReplayContrast(0.5)
    want = slow.replay(h.detach().numpy(), g.numpy(), y.tolist(), old.tolist(), 0.5)
    assert float(loss(h, g, y, old)) == pytest.approx(want, abs=1e-12)  # a teacher in float64
    assert float(loss(h, g, y, ~old)) == 0.0
    assert torch.autograd.gradcheck(lambda x: loss(x, g, y, old), (h,))
    every = ReplayContrast(0.5, repel="all")
    want = slow.replay(h.detach().numpy(), g.numpy(), y.tolist(), old.tolist(), 0.5, every=True)
    assert float(every(h, g, y, old)) == pytest.approx(want, abs=1e-6)
    assert float(every(h, g, y, old)) > float(loss(h, g, y, old))
    assert torch.autograd.gradcheck(lambda x: every(x, g, y, old), (h,))
    with pytest.raises(InputError, match="repel"):
        ReplayContrast(repel="none")
    with pytest.raises(InputError, match="rehearsed"):
        loss(h, g, y, old[:3])
    with pytest.raises(InputError, match="student, teacher"):
        loss(h, g[:3], y, old)


def test_quality_weights_prefer_kept_foreground() -> None:
    z = draw(4, 6, 5)
    mask = torch.zeros(4, 6, dtype=torch.float64)
    mask[:, :3] = 1.0
    view = z.clone()
    view[0, :3] = draw(3, 5, seed=1)
    view[1, 3:] = draw(3, 5, seed=2)
    weights = quality_weights(z, view, foreground=mask, gamma=2.0)
    f = nn.functional.cosine_similarity(z[:, :3].sum(1), view[:, :3].sum(1))
    b = nn.functional.cosine_similarity(z[:, 3:].sum(1), view[:, 3:].sum(1))
    e = (2.0 * (f - b)).exp()
    torch.testing.assert_close(weights, e / e.mean())
    assert weights[1] > weights[2] > weights[0]
    torch.testing.assert_close(
        quality_weights(z, view, gamma=0.0), torch.ones(4, dtype=torch.float64)
    )
    free = quality_weights(z.half(), view.half())
    assert float(free.sum()) == pytest.approx(4.0, rel=1e-5)
    assert bool(torch.isfinite(quality_weights(z * 0, z * 0)).all())
    weighted = InfoNCE()(z.amax(1), view.amax(1), weights=weights)
    assert float(weighted) != pytest.approx(float(InfoNCE()(z.amax(1), view.amax(1))))
    with pytest.raises(InputError, match="gamma"):
        quality_weights(z, view, gamma=-1.0)
    with pytest.raises(InputError, match="foreground"):
        quality_weights(z, view, foreground=mask * 2)
