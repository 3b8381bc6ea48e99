"""SupCon, focal SupCon, SupReMix, Metrix, M3Co, MW: loops, limits, gradients, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import supervised_losses as slow
from tscl.errors import InputError
from tscl.losses import (
    LOSSES,
    FocalSupCon,
    InfoNCE,
    M3Co,
    MannWhitney,
    Metrix,
    NTXent,
    SupCon,
    SupReMix,
    mann_whitney_loss,
)
from tscl.losses.focal_supcon import core_contrast, hard_pairs
from tscl.losses.m3col import mixed_contrast, soft_contrast
from tscl.losses.mann_whitney import one_against_rest
from tscl.seeding import torch_generator

NAMES = [
    ("supcon", {}),
    ("supcon", {"form": "in"}),
    ("focal_supcon", {}),
    ("supremix", {}),
    ("metrix", {}),
    ("metrix", {"base": "contrastive"}),
    ("m3col", {}),
    ("m3col", {"phase": "soft"}),
    ("mann_whitney", {}),
    ("proto_triplet", {}),
    ("icnn", {}),
    ("sepclr", {}),
    ("hydra", {"n_classes": 6, "dims": 4}),
    ("pamc", {}),
    ("meow", {}),
    ("meow", {"weighting": "soft", "dims": 4}),
]


def draw(v: int, n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(v, n, d, generator=torch_generator(seed), dtype=torch.float64)


@pytest.mark.parametrize(("name", "params"), NAMES)
def test_supervised_gradient_and_edges(name: str, params: dict) -> None:
    loss = LOSSES.build(name, **params).double().eval()
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    z = draw(2, 6, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, None, labels=y), (z,), atol=1e-4)
    single = LOSSES.build(name, **params).eval()
    for labels in (torch.zeros(6, dtype=torch.int64), torch.arange(6)):
        for fill in (0.0, 1.0, 100.0):
            half = torch.full((2, 6, 4), fill, dtype=torch.float16, requires_grad=True)
            value = single(half, None, labels=labels)
            value.sum().backward()
            assert torch.isfinite(value).all()
            assert half.grad is not None
            assert torch.isfinite(half.grad).all()
    with pytest.raises(InputError, match="batch size"):
        loss(z[:, :1], None, labels=y[:1])
    with pytest.raises(InputError, match="NaN"):
        loss(z * torch.nan, None, labels=y)
    with pytest.raises(InputError, match="z1, z2"):
        loss(z[0], z[1, :3], labels=y)
    with pytest.raises(InputError, match="temperature"):
        LOSSES.build(name, temperature=0.0, **params)


@pytest.mark.parametrize(("name", "params"), NAMES)
def test_supervised_weights_choose_samples(name: str, params: dict) -> None:
    """Equal weights change nothing; other weights change the mean."""
    loss = LOSSES.build(name, **params).double().eval()
    z, y = draw(2, 6, 4, 3), torch.tensor([0, 0, 1, 1, 2, 2])
    plain = loss(z, None, labels=y)
    torch.testing.assert_close(loss(z, None, labels=y, weights=torch.full((6,), 2.0)), plain)
    uneven = loss(z, None, labels=y, weights=torch.tensor([9.0, 1, 1, 1, 1, 4]))
    assert not torch.allclose(uneven, plain, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(
    v=st.integers(1, 3),
    n=st.integers(2, 5),
    d=st.integers(1, 4),
    k=st.integers(1, 4),
    tau=st.sampled_from([0.2, 1.0]),
)
def test_supcon_and_focal_equal_loops(v: int, n: int, d: int, k: int, tau: float) -> None:
    z = draw(v, n, d, seed=n + 7 * d)
    y = torch.arange(n) % k
    for form in ("out", "in"):
        want = slow.mean(slow.supcon(z.numpy(), y.tolist(), tau, form))
        assert float(SupCon(tau, form=form)(z, labels=y)) == pytest.approx(want, abs=1e-9)
    want = slow.mean(slow.focal_supcon(z.numpy(), y.tolist(), tau))
    assert float(FocalSupCon(tau)(z, labels=y)) == pytest.approx(want, abs=1e-9)
    target = y.double() * 1.5
    want = slow.mean(slow.weighted_regression(z.numpy(), target.tolist(), tau))
    got = SupReMix(tau, n_mix=0)(z, labels=target)
    assert float(got) == pytest.approx(want, abs=1e-9)


def test_supcon_limits() -> None:
    z = draw(2, 5, 3)
    alone = torch.arange(5)
    for form in ("out", "in"):
        got = SupCon(0.3, form=form)(z, labels=alone)
        torch.testing.assert_close(got, NTXent(0.3)(z[0], z[1]))
    equal = torch.ones(2, 5, 3, dtype=torch.float64)
    value = SupCon()(equal, labels=torch.zeros(5))
    assert float(value) == pytest.approx(math.log(9))
    assert float(SupCon()(z[:1], labels=alone)) == 0.0
    with pytest.raises(InputError, match="labels"):
        SupCon()(z)
    with pytest.raises(InputError, match="labels"):
        SupCon()(z, labels=torch.tensor([0.0, 1, 2, 3, torch.nan]))
    with pytest.raises(InputError, match="form"):
        SupCon(form="both")


def test_supremix_mixtures_are_hard() -> None:
    """Mixtures raise the loss: negatives closer to the anchor, positives farther off."""
    z, y = draw(2, 8, 6), torch.linspace(0, 7, 8, dtype=torch.float64)
    loss = SupReMix(0.5, n_mix=16).double()
    plain = SupReMix(0.5, n_mix=0)(z, labels=y)
    first = loss(z, labels=y)
    assert float(first) > float(plain)
    assert float(loss(z, labels=y)) != float(first)
    again = SupReMix(0.5, n_mix=16).double()
    assert float(again(z, labels=y)) == float(first)
    resumed = SupReMix(0.5, n_mix=16).double()
    resumed.load_state_dict(again.state_dict())
    assert float(resumed(z, labels=y)) == float(again(z, labels=y))
    same = torch.zeros(8, dtype=torch.float64)
    torch.testing.assert_close(loss(z, labels=same), SupCon(0.5)(z, labels=same))
    with pytest.raises(InputError, match="scale"):
        SupReMix(scale=0.0)


def test_supremix_released_mixtures_are_constant_and_keep_their_length() -> None:
    z = draw(1, 6, 4)[0].requires_grad_()
    u = torch.nn.functional.normalize(z, dim=1)
    y = torch.arange(6, dtype=torch.float64)
    ours, theirs = (SupReMix(1.0, n_mix=3, released=flag).eval() for flag in (False, True))
    first, second = (loss._hard_positives(u, y, 0)[0] for loss in (ours, theirs))
    valid = ours._hard_positives(u, y, 0)[2]
    assert bool((second.abs() < first.abs())[valid].all())  # a chord is shorter than its radius
    mixed = second[2, 0]
    (gradient,) = torch.autograd.grad(mixed, z, retain_graph=True)
    assert float(gradient[2].abs().sum()) > 0
    assert float(gradient[[0, 1, 3, 4, 5]].abs().sum()) == 0.0


def test_supremix_keeps_targets_of_large_magnitude_apart() -> None:
    z = draw(2, 6, 4).float()
    small = torch.arange(6)
    for n_mix in (0, 4):
        want = SupReMix(0.5, n_mix=n_mix)(z, labels=small)
        for large in (small + 1_700_000_000, small.double() + 1.7e9, small + (1 << 60)):
            got = SupReMix(0.5, n_mix=n_mix)(z, labels=large)
            torch.testing.assert_close(got, want)
    wide = torch.tensor([-3e38, 0, 1, 2, 3, 3e38])
    with pytest.raises(InputError, match="targets"):
        SupReMix()(z, targets=wide)


def test_supremix_positive_mixture_has_the_anchors_target() -> None:
    """On a line z = (1, y) mixtures with the anchor's target are the anchor itself."""
    y = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)
    z = torch.nn.functional.normalize(torch.stack((torch.ones(3).double(), y), 1), dim=1)
    loss = SupReMix(1.0, n_mix=4).eval()
    logits, gap, valid = loss._hard_positives(z, y, 0)
    assert valid.tolist() == [[False] * 4, [True] * 4, [False] * 4]
    mixed = torch.nn.functional.normalize(2 / 3 * z[0] + 1 / 3 * z[2], dim=0)
    torch.testing.assert_close(logits[1], (mixed @ z[1]).expand(4))
    assert float(gap.abs().sum()) == 0.0


def test_metrix_equals_loops_and_reduces_to_pairs() -> None:
    z, y = draw(2, 5, 3), torch.tensor([0, 0, 1, 1, 2])
    plain = Metrix(mix_weight=0.0, margin=0.3, sharpness=(2.0, 5.0))
    want = slow.mean(slow.multi_similarity(z.numpy(), y.tolist(), 0.3, 2.0, 5.0))
    assert float(plain(z, labels=y)) == pytest.approx(want, abs=1e-9)
    mixed = Metrix(margin=0.3, sharpness=(2.0, 5.0)).eval()
    assert float(mixed(z, labels=y)) > want
    similarity = draw(1, 4, 6)[0].tanh()
    label = (draw(1, 4, 6, 1)[0] > 0).double()
    for base in ("contrastive", "multi_similarity"):
        loss = Metrix(base=base)
        hard = loss._pairs(similarity, label, 1 - label)
        soft = loss._pairs(similarity, label * 0.5 + 0.25, 0.75 - label * 0.5)
        assert not torch.allclose(hard, soft)


def test_m3co_equals_loops_and_infonce() -> None:
    z = draw(2, 5, 3)
    partner = torch.tensor([1, 1, 4, 0, 2])
    share = torch.tensor([0.1, 0.7, 1.0, 0.0, 0.5], dtype=torch.float64)
    got = mixed_contrast(z[0], z[1], partner, share, 0.4)
    want = slow.mixed_contrast(z[0].numpy(), z[1].numpy(), partner.tolist(), share.tolist(), 0.4)
    assert got.tolist() == pytest.approx(want, abs=1e-9)
    unmixed = M3Co(0.4, mix_share=0.0)(z[0], z[1])
    torch.testing.assert_close(unmixed, InfoNCE(0.4)(z[0], z[1]))
    assert float(M3Co(0.4, mix_share=1.0, beta=5.0)(z[0], z[1])) != pytest.approx(float(unmixed))
    entropy = (z[1] @ z[1].T * 0).exp()
    assert soft_contrast(z[1], z[1], 0.5).mean() < soft_contrast(z[0], z[1], 0.5).mean()
    assert entropy.shape == (5, 5)
    with pytest.raises(InputError, match="share"):
        mixed_contrast(z[0], z[1], partner, share * 2, 0.4)
    with pytest.raises(InputError, match="views"):
        M3Co()(z[:1])


def test_mann_whitney_equals_loops_and_bounds_the_auc() -> None:
    from sklearn.metrics import roc_auc_score

    scores = draw(1, 30, 1)[0, :, 0] * 3
    target = draw(1, 30, 1, 5)[0, :, 0] > 0.8
    value = mann_whitney_loss(scores, target, 0.7)
    want = slow.mann_whitney(scores[target].tolist(), scores[~target].tolist(), 0.7)
    assert float(value) == pytest.approx(want)
    lost = 1 - roc_auc_score(target.numpy(), scores.numpy())
    assert lost <= float(value) / math.log(2)
    assert float(mann_whitney_loss(scores, torch.ones(30))) == 0.0
    assert float(mann_whitney_loss(torch.zeros(4), torch.tensor([0, 1, 0, 1]))) == pytest.approx(
        math.log(2)
    )
    z = draw(2, 5, 3)
    cos = torch.nn.functional.normalize(z, dim=-1)
    matrix = cos[0] @ cos[1].T
    own = torch.eye(5, dtype=torch.bool)
    want = slow.mann_whitney(matrix[own].tolist(), matrix[~own].tolist(), 0.2)
    assert float(MannWhitney(0.2)(z)) == pytest.approx(want)
    assert float(MannWhitney(0.2, negatives="sum")(z)) == pytest.approx(20 * want)
    with pytest.raises(InputError, match="negatives"):
        MannWhitney(negatives="max")
    logits = draw(1, 9, 2)[0]
    code = torch.tensor([0, 1, 1, 0, 1, 1, 1, 1, 1])
    torch.testing.assert_close(
        one_against_rest(logits, code), mann_whitney_loss(logits[:, 0] - logits[:, 1], code == 0)
    )
    with pytest.raises(InputError, match="scores"):
        mann_whitney_loss(scores * torch.nan, target)


def test_mann_whitney_with_classes_of_unequal_size_is_the_mean_over_all_pairs() -> None:
    from sklearn.metrics import roc_auc_score

    y = torch.tensor([0] * 8 + [1, 2, 3, 4])
    same = y.unsqueeze(0) == y.unsqueeze(1)
    axes = torch.eye(13, dtype=torch.float64)
    first = torch.cat((axes[:1].expand(8, -1), axes[8:12]))
    second = torch.cat(((axes[12] - 0.001 * axes[0]).expand(8, -1), axes[8:12]))
    for z in (torch.stack((first, second)), draw(2, 12, 4, 8)):
        cos = torch.nn.functional.normalize(z, dim=-1)
        scores = cos[0] @ cos[1].T
        want = slow.mann_whitney(scores[same].tolist(), scores[~same].tolist(), 0.2)
        value = MannWhitney(0.2)(z, labels=y)
        assert float(value) == pytest.approx(want)
        lost = 1 - roc_auc_score(same.flatten().numpy(), scores.flatten().numpy())
        assert lost <= float(value) / math.log(2)
        # a weight counts the positive pairs of its anchor
        weights = torch.arange(12.0, dtype=torch.float64) % 3
        each = torch.tensor(
            [slow.mann_whitney([float(s)], scores[~same].tolist(), 0.2) for s in scores[same]]
        )
        share = weights.unsqueeze(1).expand(12, 12)[same]
        want = float((each * share).sum() / share.sum())
        got = MannWhitney(0.2)(z, labels=y, weights=weights)
        assert float(got) == pytest.approx(want, rel=1e-6)
    several = MannWhitney(0.2, negatives="sum")(z, labels=y)
    assert float(several) == pytest.approx(int((~same).sum()) * float(value))


def test_core_tuning_hard_pairs() -> None:
    x = torch.tensor([[1.0, 0], [0.8, 0.6], [0, 1.0], [-1.0, 0]], dtype=torch.float64)
    y = torch.tensor([0, 0, 1, 1])
    share = torch.tensor([[0.25] * 4, [0.1] * 4], dtype=torch.float64)
    pairs = hard_pairs(x, y, 2, share, torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(pairs.features[0], 0.25 * x[1] + 0.75 * x[2])
    torch.testing.assert_close(pairs.labels[0], torch.tensor([0.25, 0.75], dtype=torch.float64))
    torch.testing.assert_close(pairs.features[4], 0.2 * x[0] + 0.8 * x[2])
    torch.testing.assert_close(pairs.labels[4], torch.tensor([0.2, 0.8], dtype=torch.float64))
    assert len(hard_pairs(x, y * 0, 2, share, torch.zeros(4)).features) == 0
    one_hot = torch.eye(2, dtype=torch.float64)[y]
    none = x[:0]
    torch.testing.assert_close(
        core_contrast(x, one_hot, none, one_hot[:0], 0.2), FocalSupCon(0.2)(x[None], labels=y)
    )
    with pytest.raises(InputError, match="temperature"):
        core_contrast(x, one_hot, none, one_hot[:0], 0.0)
