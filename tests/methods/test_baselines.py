"""What is particular to each baseline: equations by slow loops, views, options, named errors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from tests.reference import baseline_losses as slow
from tscl.augmentations import Jitter
from tscl.encoders import Encoder
from tscl.errors import ConfigError, InputError
from tscl.losses import InfoNCE, MixupContrast
from tscl.methods import CLOCS, TFC, TSTCC, MixingUp, SimCLR, TS2Vec
from tscl.methods.base import Batch
from tscl.methods.heads import ProjectionHead, fresh_copy
from tscl.methods.mixing_up import draw_beta
from tscl.methods.tf_c import amplitude_spectrum, perturb_spectrum
from tscl.methods.ts2vec import overlapping_crops
from tscl.methods.ts_tcc import ContextModel, prediction_loss
from tscl.seeding import torch_generator


class Identity(Encoder):
    """Embeddings are the (masked) input, so that a method's arithmetic shows."""

    causal = True
    receptive_field = 1

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.input_dims = self.output_dims = dims
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x * self.scale if mask is None else x * self.scale * mask.unsqueeze(-1)


def batch(n: int = 5, t: int = 12, c: int = 3, **ids: list[int]) -> Batch:
    x = torch.randn(n, t, c, generator=torch_generator(8), dtype=torch.float64)
    return Batch(x, torch.arange(n), {k: torch.tensor(v) for k, v in ids.items()})


def loss_of(method: Any, data: Batch, seed: int = 0) -> Tensor:
    return method.losses(data, "encoder", torch_generator(seed))["loss"]


# TS2Vec


@pytest.mark.parametrize("least", [1, 2, 8])
def test_crops_overlap_where_they_say(least: int) -> None:
    x = torch.arange(20.0)[None, :, None].repeat(6, 1, 1) + 100 * torch.arange(6.0)[:, None, None]
    lengths, starts = set(), set()
    for seed in range(60):
        left, right, overlap = overlapping_crops(x, least, torch_generator(seed))
        assert torch.equal(left[:, -overlap:], right[:, :overlap])
        assert overlap >= least
        assert (left.diff(dim=1) == 1).all()
        assert (right.diff(dim=1) == 1).all()
        lengths.add(overlap)
        starts |= set((left[:, 0, 0] % 100).tolist())
    assert min(lengths) <= least + 2
    assert max(lengths) >= 17
    assert len(starts) > 5


def test_ts2vec_without_crop_and_mask_is_the_loss_of_the_series() -> None:
    data = batch()
    ours = loss_of(TS2Vec(Identity(3), mask="all_true", crop=False, alpha=0.3), data)
    x = data.x.numpy()
    assert float(ours) == pytest.approx(slow.ts2vec_hierarchical(x, x, 0.3, 0))


def test_ts2vec_needs_steps_for_its_scales() -> None:
    with pytest.raises(InputError, match="series length: got 12"):
        loss_of(TS2Vec(Identity(3), temporal_unit=3), batch())
    with pytest.raises(InputError, match="least"):
        overlapping_crops(torch.zeros(1, 3, 1), 4, None)


# SimCLR


def test_simclr_is_ntxent_of_two_views() -> None:
    data = batch()
    method = SimCLR(
        Identity(3), augmentation=Jitter(0.5), projection_dims=0, loss_params={"temperature": 0.3}
    )
    generator = torch_generator(0)
    a, b = (Jitter(0.5)(data.x, generator).amax(dim=1).numpy() for _ in range(2))
    assert float(loss_of(method, data)) == pytest.approx(slow.ntxent(a, b, 0.3))


def test_simclr_takes_any_augmentation_and_loss() -> None:
    data = batch()
    by_name = SimCLR(Identity(3), augmentation="time_warp", loss="infonce", projection_dims=0)
    by_object = SimCLR(
        Identity(3),
        augmentation={"name": "time_warp"},
        augmentation2="time_warp",
        loss=InfoNCE(),
        projection_dims=0,
    )
    assert float(loss_of(by_name, data)) == float(loss_of(by_object, data))


def test_simclr_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="loss_params"):
        SimCLR(Identity(3), loss=InfoNCE(), loss_params={"temperature": 1.0})
    with pytest.raises(InputError, match="pooling"):
        SimCLR(Identity(3), pooling="min")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="augmentation"):
        SimCLR(Identity(3), augmentation="warp")


# TS-TCC


def test_prediction_loss_equals_the_slow_loops() -> None:
    both = torch.randn(2, 3, 4, 2, generator=torch_generator(0), dtype=torch.float64)
    expected = slow.tcc_prediction(both[0].numpy(), both[1].numpy())
    assert float(prediction_loss(both[0], both[1])) == pytest.approx(expected)
    both.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: prediction_loss(z[0], z[1]), (both,))


def test_context_sees_the_given_steps_only_and_terms_are_weighted() -> None:
    options: dict[str, Any] = {"context_dims": 8, "context_depth": 1, "context_dropout": 0.0}
    data = batch()
    data = Batch(data.x.float(), data.index)
    method = TSTCC(Identity(3).float(), horizon=3, tokens=6, **options)
    terms = method.losses(data, "encoder", torch_generator(0))
    expected = terms["temporal"] + 0.7 * terms["contextual"]
    torch.testing.assert_close(terms["loss"], expected)
    assert method._steps(data.x, torch_generator(0)).shape == (5, 6, 3)

    seen: list[int] = []
    method.context.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    for seed in range(30):
        loss_of(method, data, seed)
    assert set(seen) == {1, 2, 3}  # t + 1 known steps leave 3 of 6 to predict


def test_ts_tcc_default_views_and_named_errors() -> None:
    with pytest.raises(InputError, match="tokens"):
        TSTCC(Identity(3), horizon=6, tokens=6)
    with pytest.raises(InputError, match="horizon"):
        TSTCC(Identity(3), horizon=0)
    with pytest.raises(InputError, match="context_dims"):
        ContextModel(3, dims=10, heads=4)
    with pytest.raises(InputError, match="series length: got 6"):
        loss_of(TSTCC(Identity(3)), batch(t=6))


# TF-C


def test_spectrum_is_the_fourier_amplitude() -> None:
    x = batch().x
    expected = np.abs(np.fft.rfft(x.numpy(), axis=1)) / np.sqrt(12)
    np.testing.assert_allclose(amplitude_spectrum(x).numpy(), expected, atol=1e-12)
    assert amplitude_spectrum(x.bfloat16()).dtype == torch.bfloat16


def test_perturbed_spectrum_removes_and_raises() -> None:
    amplitude = 1 + torch.rand(50, 40, 2, generator=torch_generator(0))
    out = perturb_spectrum(amplitude, 0.2, 0.9, torch_generator(1))
    largest = amplitude.amax(dim=1, keepdim=True)
    removed, raised = out == 0, out == 0.9 * largest
    assert abs(float(removed.float().mean()) - 0.2 * 0.8) < 0.02
    assert 0.1 < float(raised.float().mean()) < 0.2
    assert torch.equal(out[~removed & ~raised], amplitude[~removed & ~raised])
    assert torch.equal(perturb_spectrum(amplitude, 0.0, 0.5, None), amplitude)


@pytest.mark.parametrize("consistency", ["direct", "margin"])
def test_tf_c_adds_up_its_terms(consistency: str) -> None:
    data = batch(n=6)
    method = TFC(
        Identity(3),
        frequency_encoder=Identity(3),
        augmentation=Jitter(0.3),
        consistency=consistency,  # type: ignore[arg-type]
        weight=0.3,
        delta=2.0,
        projection_dims=4,
    ).double()
    terms = method.losses(data, "encoder", torch_generator(0))
    generator = torch_generator(0)
    spectrum = amplitude_spectrum(data.x)
    noisy = perturb_spectrum(spectrum, 0.1, 0.5, generator)
    h_t, h_f, h_f2 = (z.amax(dim=1) for z in (data.x, spectrum, noisy))
    h_t2 = Jitter(0.3)(data.x, generator).amax(dim=1)
    pair = {
        "time": slow.ntxent(h_t.numpy(), h_t2.numpy(), 0.2),
        "frequency": slow.ntxent(h_f.numpy(), h_f2.numpy(), 0.2),
    }
    for name, expected in pair.items():
        assert float(terms[name]) == pytest.approx(expected)
    with torch.no_grad():
        z_t, z_t2 = (method.time_head(h).numpy() for h in (h_t, h_t2))
        z_f, z_f2 = (method.frequency_head(h).numpy() for h in (h_f, h_f2))
    direct = slow.ntxent(z_t, z_f, 0.2)
    if consistency == "direct":
        expected = 0.3 * sum(pair.values()) + direct
    else:
        others = [slow.ntxent(a, b, 0.2) for a, b in ((z_t, z_f2), (z_t2, z_f), (z_t2, z_f2))]
        margins = sum(max(0.0, direct - other + 2.0) for other in others)
        expected = 0.3 * sum(pair.values()) + 0.7 * margins
    assert float(terms["loss"]) == pytest.approx(expected)


def test_polynomial_loss_is_the_public_formula_and_moves_the_gradient() -> None:
    rng = torch_generator(0)
    a, b = (torch.randn(5, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    expected = slow.polynomial(a.numpy(), b.numpy(), 0.2)
    method = TFC(Identity(3), polynomial=True, projection_dims=4)
    assert float(method.contrast(a, b)) == pytest.approx(expected, rel=1e-12)
    a.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: method.contrast(v, b), (a,))


def test_tf_c_has_an_encoder_of_its_own_for_frequency() -> None:
    source = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    twin = fresh_copy(source)
    assert not torch.equal(twin[0].weight, source[0].weight)  # type: ignore[index]
    method = TFC(Identity(3).float(), projection_dims=4)
    assert method.frequency_encoder is not method.encoder
    assert method.embed(batch().x.float()).shape == (5, 8)
    with pytest.raises(InputError, match="consistency"):
        TFC(Identity(3), consistency="both")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="perturb"):
        TFC(Identity(3), perturb=2.0)


# CLOCS


def test_clocs_segments_equal_the_slow_loops() -> None:
    ids = [4, 7, 4, 9, 7]
    data = batch(t=13, patient=ids)
    ours = loss_of(CLOCS(Identity(3), segments=3), data)
    cuts = [data.x[:, 4 * k : 4 * k + 4].amax(dim=1).numpy() for k in range(3)]
    expected = [slow.clocs(a, b, ids, 0.1) for a, b in itertools.combinations(cuts, 2)]
    assert float(ours) == pytest.approx(sum(expected) / 3)


def test_clocs_leads_one_at_a_time_for_a_one_lead_encoder() -> None:
    data = batch(patient=[0, 0, 1, 1, 2])
    method = CLOCS(Identity(1), variant="cmlc")
    views = method.views(data.x, torch_generator(3))
    assert views.shape == (2, 5, 12, 1)
    leads = [[c for c in range(3) if torch.equal(v[..., 0], data.x[..., c])] for v in views]
    assert all(len(match) == 1 for match in leads)
    assert leads[0] != leads[1]
    assert torch.isfinite(loss_of(method, data))


def test_clocs_leads_with_the_others_at_zero_for_a_full_encoder() -> None:
    data = batch(patient=[0, 0, 1, 1, 2])
    views = CLOCS(Identity(3), variant="cmsmlc", leads=3).views(data.x, torch_generator(0))
    assert views.shape == (6, 5, 6, 3)
    assert ((views != 0).any(dim=(1, 2)).sum(dim=1) == 1).all()
    torch.testing.assert_close(views[::2].sum(dim=0), data.x[:, :6])
    torch.testing.assert_close(views[1::2].sum(dim=0), data.x[:, 6:])


def test_clocs_without_a_pair_is_a_differentiable_zero() -> None:
    data = batch(patient=[0, 1, 2, 3, 4])
    method = CLOCS(Identity(3), own_pair=False)
    loss = loss_of(method, data)
    loss.backward()
    assert float(loss) == 0.0
    assert float(method.encoder.scale.grad) == 0.0  # type: ignore[arg-type]
    paired = loss_of(method, batch(patient=[0, 0, 2, 3, 4]))
    assert float(paired) > 0


def test_clocs_does_not_care_how_patients_are_coded() -> None:
    first = loss_of(CLOCS(Identity(3)), batch(patient=[0, 0, 1, 1, 2]))
    other = loss_of(CLOCS(Identity(3)), batch(patient=[9, 9, 2**40, 2**40, 2**40 + 1]))
    assert float(first) == float(other)


def test_clocs_named_errors() -> None:
    with pytest.raises(InputError, match=r"batch\.ids"):
        loss_of(CLOCS(Identity(3)), batch(trial=[0, 0, 1, 1, 2]))
    with pytest.raises(InputError, match="channels"):
        loss_of(CLOCS(Identity(3), variant="cmlc", leads=4), batch(patient=[0] * 5))
    with pytest.raises(InputError, match="series length"):
        loss_of(CLOCS(Identity(3), segments=13), batch(patient=[0] * 5))
    with pytest.raises(InputError, match="did you mean 'cmsc'"):
        CLOCS(Identity(3), variant="cmsx")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="segments"):
        CLOCS(Identity(3), segments=1)


# Mixing-up


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("pairing", ["halves", "shuffle"])
def test_mixing_up_mixes_what_it_contrasts(pairing: Any, per_sample: bool) -> None:
    data = batch(n=7)
    method = MixingUp(Identity(3), pairing=pairing, per_sample=per_sample, pooling="mean").double()
    method.head = nn.Identity()  # type: ignore[assignment]
    seen: list[tuple[Tensor, ...]] = []
    method.loss.register_forward_hook(lambda _, inputs, __: seen.append(inputs))
    loss = loss_of(method, data)
    mixed, z1, z2, weight = seen[0]
    n = 3 if pairing == "halves" else 7
    assert weight.shape == ((n,) if per_sample else ())
    lam = weight.reshape(-1, 1)
    torch.testing.assert_close(mixed, lam * z1 + (1 - lam) * z2)
    assert z1.shape == (n, 3)
    if pairing == "halves":
        assert len(torch.cat((z1, z2)).unique(dim=0)) == 6
    torch.testing.assert_close(loss, MixupContrast()(mixed, z1, z2, weight))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_lambda_follows_the_beta_distribution(alpha: float) -> None:
    drawn = draw_beta(alpha, 2000, torch_generator(0), torch.zeros((), dtype=torch.float64))
    assert stats.kstest(drawn.numpy(), stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_mixing_up_named_errors() -> None:
    for params in ({"alpha": 0.0}, {"pairing": "thirds"}, {"temperature": 0.0}):
        with pytest.raises(InputError, match=next(iter(params))):
            MixingUp(Identity(3), **params)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="batch size: got 3"):
        loss_of(MixingUp(Identity(3)), batch(n=3))


def test_projection_head_sizes_are_checked() -> None:
    assert ProjectionHead(3, 5, 2)(torch.randn(4, 3)).shape == (4, 2)
    with pytest.raises(InputError, match="out_dims"):
        ProjectionHead(3, 5, 0)
