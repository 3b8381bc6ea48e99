"""Methods around encoders whose embeddings are coarser than their input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.methods.test_baselines_contract import SMALL, planted
from tscl.encoders import ENCODERS, Encoder
from tscl.encoders.base import project_input
from tscl.errors import InputError
from tscl.losses.series.hierarchical import HierarchicalContrastiveLoss
from tscl.masking import draw_mask
from tscl.methods import METHODS, TS2Vec
from tscl.methods.heads import draw_latent_mask
from tscl.methods.ts2vec import overlapping_crops
from tscl.seeding import seeded, torch_generator

METHODS_HERE: dict[str, dict[str, Any]] = {
    **SMALL,
    "ts_tcc": {**SMALL["ts_tcc"], "tokens": 4},
    "comet": {"augmentations": "jitter"},
    "autotcl": {"aug_dim": 4, "aug_hidden": 4, "aug_depth": 1, "local_params": {"n_segments": 4},
                "view_quality": 1.0, "mask": "binomial"},
    "coconut": {},
}  # fmt: skip
RESNET = {"widths": [6, 8], "strides": [1, 2], "stem_stride": 2}


def resnet(**params: Any) -> Encoder:
    with seeded(0, "encoder"):
        return ENCODERS.build("resnet1d", input_dims=3, **(RESNET | params))


class Cells(nn.Module):
    """Each embedding is the values of its own three steps, times a weight: nothing else."""

    input_dims, output_dims, causal, receptive_field, stride = 2, 6, False, 3, 3

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.weight * x[:, : x.shape[1] // 3 * 3].reshape(len(x), -1, 6)


@pytest.mark.parametrize("name", sorted(METHODS_HERE))
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_every_method_trains_a_coarse_encoder(name: str, norm: str) -> None:
    with seeded(0, "method"):
        method = METHODS.build(name, encoder=resnet(norm=norm), **METHODS_HERE[name])
    batch = planted()
    batch.ids["trial"] = batch.ids["patient"] * 4 + batch.index % 2
    batch.x[0, 3:9] = torch.nan
    batch.x[1, :, 1] = torch.nan
    for phase in method.phases(0):
        method.zero_grad()
        losses = method.losses(batch, phase, torch_generator(1, "step"))
        assert torch.isfinite(losses["loss"])
        losses["loss"].backward()
    grads = [p.grad for p in method.encoder.parameters() if p.requires_grad]
    assert all(g is not None and g.isfinite().all() for g in grads)
    assert any(bool((g != 0).any()) for g in grads if g is not None)


def test_crops_share_whole_strides() -> None:
    x = torch.arange(31.0)[None, :, None].repeat(6, 1, 1) + 100 * torch.arange(6.0)[:, None, None]
    lengths = set()
    for seed in range(40):
        left, right, overlap = overlapping_crops(x, 2, torch_generator(seed), 3)
        assert left.shape[1] % 3 == right.shape[1] % 3 == 0
        assert torch.equal(left[:, -3 * overlap :], right[:, : 3 * overlap])
        lengths.add(overlap)
    assert min(lengths) <= 3
    assert max(lengths) == 10
    with pytest.raises(InputError, match="1 to 10 strides of 3"):
        overlapping_crops(x, 11, None, 3)


def test_ts2vec_compares_embeddings_of_the_same_steps() -> None:
    """Embeddings of the overlap are equal in both crops, so the loss is that of a view twice."""
    encoder, seen = Cells(), []
    method = TS2Vec(encoder, mask="all_true")

    def terms(z1: Tensor, z2: Tensor) -> tuple[Tensor, Tensor]:
        seen.append((z1, z2))
        return HierarchicalContrastiveLoss().terms(z1, z2)

    method.loss.terms = terms  # type: ignore[method-assign]
    batch = replace(planted(t=40), x=planted(t=40).x[..., :2])
    for seed in range(10):
        method.losses(batch, "encoder", torch_generator(seed))
    assert len({z1.shape[1] for z1, _ in seen}) > 3
    for z1, z2 in seen:
        assert z1.shape == z2.shape
        assert torch.equal(z1, z2)


def test_masks_are_drawn_at_the_rate_of_the_latent() -> None:
    encoder, x = resnet(stem_stride=4), torch.zeros(5, 33, 3)
    mask = draw_latent_mask(encoder, "continuous", x, torch_generator(3))
    assert torch.equal(mask, draw_mask("continuous", 5, 9, generator=torch_generator(3)))
    last = draw_latent_mask(encoder, "last", x, None)
    assert last.shape == (5, 9)
    assert not last[:, -1].any()
    assert draw_latent_mask(encoder, "channel", x, None).shape == (5, 9, 6)
    plain = ENCODERS.build("tcn", input_dims=3, hidden_dims=7)
    assert draw_latent_mask(plain, "channel", x, None).shape == (5, 33, 7)


def test_comet_contrasts_observations_at_the_coarse_rate() -> None:
    """The observation term equals the loss of two views encoded here under the same masks."""
    encoder = resnet(norm="group").double()
    level = {"name": "observation", "loss": "observation", "mask": "continuous"}
    method = METHODS.build("comet", encoder=encoder, levels=[level])
    batch = replace(planted(), x=planted().x.double())
    found = method.losses(batch, "encoder", torch_generator(2))["loss"]
    draws = torch_generator(2)
    views = []
    for _ in range(2):
        mask = draw_mask("continuous", 16, 16, generator=draws)
        views.append(encoder(batch.x, mask.repeat_interleave(2, dim=1)))
    assert views[0].shape == (16, 8, 8)
    z1, z2 = views
    scales = []  # 8, 4 and 2 embeddings; one alone has nothing to be told from
    while z1.shape[1] > 1:
        scales.append(slow_temporal(z1, z2))
        z1, z2 = (z[:, : z.shape[1] // 2 * 2].unflatten(1, (-1, 2)).amax(2) for z in (z1, z2))
    torch.testing.assert_close(found, torch.stack(scales).mean())


def slow_temporal(z1: Tensor, z2: Tensor) -> Tensor:
    """TS2Vec's temporal term of one scale by loops, both views as anchors."""
    terms = []
    for anchor, other in ((z1, z2), (z2, z1)):
        for i in range(len(z1)):
            for t in range(z1.shape[1]):
                across = other[i] @ anchor[i, t]
                within = torch.cat((anchor[i, :t], anchor[i, t + 1 :])) @ anchor[i, t]
                terms.append(torch.logsumexp(torch.cat((across, within)), 0) - across[t])
    return torch.stack(terms).mean()


def test_ts_tcc_says_which_encoder_or_series_it_needs() -> None:
    method = METHODS.build("ts_tcc", encoder=resnet(), **METHODS_HERE["ts_tcc"])
    with pytest.raises(InputError, match="2 embeddings of it; horizon = 2 needs more"):
        method.losses(planted(t=8), "encoder", torch_generator(0))


@pytest.mark.parametrize("aug_encoder", ["resnet1d", "eegnet"])
def test_a_learned_mask_needs_every_step(aug_encoder: str) -> None:
    from tscl.augmentations.parametric import ParametricAugmentation

    with pytest.raises(InputError, match=r"embedder.stride: got 32; .* stride 1"):
        ParametricAugmentation(ENCODERS.build(aug_encoder, input_dims=3))


class Own(Encoder):
    """A user's encoder by the base class alone."""

    causal, receptive_field = False, 1

    def __init__(self) -> None:
        super().__init__()
        self.input_dims = self.output_dims = self.hidden_dims = 3
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return project_input(x, self.fc, mask)


def test_missing_channels_reach_the_latent_of_a_users_encoder_as_zeros() -> None:
    encoder, x = Own(), torch.randn(2, 5, 3)
    x[0, 1, 2], x[1, 3] = torch.nan, torch.nan
    out = encoder(x)
    torch.testing.assert_close(out[0, 1], encoder.fc(torch.nan_to_num(x[0, 1])))
    assert (out[1, 3] == 0).all()
