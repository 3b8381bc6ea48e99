"""Label-agnostic forgetting of patients: unlearn their series from a trained encoder.

Shen et al., "Label-Agnostic Forgetting: A Supervision-Free Unlearning in Deep Models", arXiv
2404.00506, on pooled embeddings e of an encoder. Two variational auto-encoders learn the
distribution of the old embeddings of the remaining and of the forgotten samples. Then, in turn,
with r the squared error of reconstruction and g(r) = exp(r / (r + 1)),

    extractor unlearning      mean g(r_remain(e_remain)) - mean g(r_forget(e_forget))
    representation alignment  mean_i d_i - log mean_j exp(d'_j / tau)

where d = 1 - cos(e, e_old) of remaining, d' of forgotten samples: remaining embeddings stay both
typical and where they were, forgotten ones leave the distribution they were learned in. The two
losses and their order are those of the authors' released code (sums there are means here). The
paper repairs a classifier with labels afterwards; an encoder has none.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from tscl.augmentations import AugmentationSpec, build_augmentation
from tscl.errors import InputError
from tscl.seeding import numpy_generator, seeded, torch_generator


@dataclass(frozen=True)
class Forgotten:
    """Result of :func:`forget`.

    Attributes:
        encoder: the encoder after unlearning; the one passed in is unchanged.
        unlearning, alignment: the two losses, mean over each epoch.
    """

    encoder: nn.Module
    unlearning: tuple[float, ...]
    alignment: tuple[float, ...]


class _EmbeddingVAE(nn.Module):
    """A small variational auto-encoder of embeddings (B, D)."""

    def __init__(self, dims: int, hidden: int = 64, latent: int = 8) -> None:
        super().__init__()
        self.inward = nn.Sequential(
            nn.Linear(dims, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent)
        )
        self.outward = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, dims))

    def forward(self, e: Tensor) -> Tensor:
        """Reconstruction from the latent mean."""
        out: Tensor = self.outward(self.inward(e).chunk(2, dim=-1)[0])
        return out

    def loss(self, e: Tensor, generator: torch.Generator) -> Tensor:
        """Negative evidence bound, mean over samples."""
        mean, log_var = self.inward(e).chunk(2, dim=-1)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        rebuilt = self.outward(mean + noise * (log_var / 2).exp())
        divergence = (mean.square() + log_var.exp() - 1 - log_var).sum(-1) / 2
        result: Tensor = ((rebuilt - e).square().sum(-1) + divergence).mean()
        return result


def forget(
    encoder: nn.Module,
    data: tuple[ArrayLike, ArrayLike],
    patients: Sequence[int],
    *,
    epochs: int = 10,
    batch_size: int = 64,
    lr: float = 1e-4,
    align_lr: float = 1e-3,
    vae_epochs: int = 50,
    vae_lr: float = 1e-3,
    temperature: float = 1.0,
    augmentation: AugmentationSpec | None = None,
    seed: int = 0,
) -> Forgotten:
    """Unlearn ``patients`` from a copy of ``encoder``, without labels.

    Args:
        encoder: (B, T, C) to (B, T, D), trained on ``data``.
        data: the training series (n, T, C) and each sample's patient (n,).
        patients: who shall be forgotten; some others must remain.
        epochs: passes over the longer of both parts.
        batch_size: samples of each part a step.
        lr: of the unlearning steps.
        align_lr: of the alignment steps, best larger: with equal rates the remaining embeddings
            suffered as much as the forgotten ones.
        vae_epochs: epochs of the auto-encoders.
        vae_lr: their learning rate.
        temperature: tau > 0 of the alignment.
        augmentation: of the series at every step, name, mapping or module; the encoder before and
            after see the same view. None takes the series as they are, as the paper does. With the
            training's own augmentation remaining embeddings keep their stability too.
        seed: of initialisation, order and noise.

    Test the outcome with :func:`tscl.privacy.membership.membership_inference` before and after.
    Approximate unlearning is no proof of deletion.

    Raises:
        InputError: unknown patients, nobody left, shapes or settings that do not fit.
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("vae_epochs", vae_epochs)):
        if value < 1:
            raise InputError(name, value, "use 1 or more")
    for name, rate in (
        ("lr", lr),
        ("align_lr", align_lr),
        ("vae_lr", vae_lr),
        ("temperature", temperature),
    ):
        if not rate > 0:
            raise InputError(name, rate, "choose a value above 0")
    x, gone = _parts(data, patients)
    student = copy.deepcopy(encoder).requires_grad_(True)
    teacher = copy.deepcopy(encoder).requires_grad_(False).eval()
    student.eval()  # running figures of normalisation layers stay those of the training
    device = next((p.device for p in student.parameters()), torch.device("cpu"))
    old = _encode(teacher, x, device, batch_size)
    noise = torch_generator(seed, "forget noise")
    augment = None if augmentation is None else build_augmentation(augmentation)
    with seeded(seed, "forget"):
        typical = [
            _fit_vae(old[part], noise, vae_epochs, vae_lr, batch_size) for part in (~gone, gone)
        ]
    optimisers = [torch.optim.Adam(student.parameters(), lr=r) for r in (lr, align_lr)]
    order = numpy_generator(seed, "forget order")
    rows = [np.flatnonzero(~gone.numpy()), np.flatnonzero(gone.numpy())]
    steps = -(-max(len(r) for r in rows) // batch_size)
    history: list[tuple[float, float]] = []
    for _ in range(epochs):
        picks = [np.resize(order.permutation(r), steps * min(batch_size, len(r))) for r in rows]
        sums = [0.0, 0.0]
        for keep, drop in zip(*(np.array_split(p, steps) for p in picks), strict=True):
            kept, dropped = x[keep].to(device), x[drop].to(device)
            if augment is not None:
                kept, dropped = augment(kept, noise), augment(dropped, noise)
            unlearn = _atypical(typical[0], _embeddings(student, kept))
            unlearn = unlearn - _atypical(typical[1], _embeddings(student, dropped))
            sums[0] += _step(optimisers[0], unlearn)
            near = _moved(_embeddings(student, kept), _embeddings(teacher, kept))
            far = _moved(_embeddings(student, dropped), _embeddings(teacher, dropped)) / temperature
            spread = torch.logsumexp(far, dim=0) - float(np.log(len(far)))
            sums[1] += _step(optimisers[1], near.mean() - spread)
        history.append((sums[0] / steps, sums[1] / steps))
    student.train(encoder.training)
    return Forgotten(student, tuple(h[0] for h in history), tuple(h[1] for h in history))


def _parts(data: tuple[ArrayLike, ArrayLike], patients: Sequence[int]) -> tuple[Tensor, Tensor]:
    series, owner = np.asarray(data[0], dtype=np.float32), np.asarray(data[1])
    if series.ndim != 3 or owner.shape != series.shape[:1]:
        raise InputError("data", (series.shape, owner.shape), "give X (n, T, C) and patients (n,)")
    unknown = sorted(set(np.asarray(patients).tolist()) - set(owner.tolist()))
    if unknown or not len(patients):
        raise InputError("patients", unknown or "none", "name patients of the data")
    gone = np.isin(owner, np.asarray(patients))
    if gone.all():
        raise InputError("patients", "all", "some patients must remain")
    return torch.from_numpy(series), torch.from_numpy(gone)


def _embeddings(encoder: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = encoder(x)
    return out.amax(dim=1)


@torch.no_grad()
def _encode(encoder: nn.Module, x: Tensor, device: torch.device, size: int) -> Tensor:
    return torch.cat([_embeddings(encoder, part.to(device)) for part in x.split(size)])


def _fit_vae(e: Tensor, noise: torch.Generator, epochs: int, lr: float, size: int) -> _EmbeddingVAE:
    vae = _EmbeddingVAE(e.shape[1]).to(e.device)
    optimiser = torch.optim.Adam(vae.parameters(), lr=lr)
    for _ in range(epochs):
        for part in e[torch.randperm(len(e), generator=noise).to(e.device)].split(size):
            _step(optimiser, vae.loss(part, noise))
    return vae.requires_grad_(False).eval()


def _atypical(vae: _EmbeddingVAE, e: Tensor) -> Tensor:
    r = (vae(e) - e).square().sum(dim=-1)
    result: Tensor = (r / (r + 1)).exp().mean()
    return result


def _moved(e: Tensor, old: Tensor) -> Tensor:
    return 1 - nn.functional.cosine_similarity(e, old, dim=-1)


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> float:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return float(loss.detach())
