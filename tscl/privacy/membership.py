"""Membership inference against an encoder: can one tell which samples it was trained on?

An attacker who can encode a series looks at how the contrastive objective treats it. Training makes
embeddings of training samples agree across augmentations and stand apart from others, more than
embeddings of unseen samples. From the embeddings of K augmented copies of sample i, two scores:

    stability   mean cosine similarity of the copies
    contrast    stability - tau log mean_{j != i} exp(cos(c_i, c_j) / tau),  c the mean code

over all samples attacked together, members and others; tau = 0.2. The attack's strength is the AUC
of members against non-members; 0.5 means nothing can be told by this attack (a stronger one may
still tell).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score
from torch import nn

from tscl.augmentations import AugmentationSpec, build_augmentation
from tscl.errors import InputError, check_choice
from tscl.seeding import torch_generator

TAU = 0.2


@dataclass(frozen=True)
class MembershipAttack:
    """Outcome of an attack.

    Attributes:
        auc: area under the ROC curve, members as positives.
        advantage: 2 |auc - 0.5|, in [0, 1].
        members, others: the scores.
    """

    auc: float
    advantage: float
    members: NDArray[np.float64]
    others: NDArray[np.float64]


@torch.no_grad()
def attack_scores(
    encoder: nn.Module,
    X: ArrayLike,
    *,
    score: Literal["stability", "contrast"] = "contrast",
    augmentation: AugmentationSpec = "scale_shift_jitter",
    copies: int = 4,
    seed: int = 0,
    batch_size: int = 256,
) -> NDArray[np.float64]:
    """Scores (n,): the higher, the more likely a training sample.

    Args:
        encoder: (B, T, C) to (B, T, D).
        X: (n, T, C) series.
        score: ``stability`` of the embeddings under augmentation; ``contrast`` takes their nearness
            to the other samples off it.
        augmentation: of the copies.
        copies: augmented copies a sample, >= 2.
        seed: of the augmentations.
        batch_size: series at a time.

    Raises:
        InputError: fewer than two copies, not three axes, fewer than two samples.
    """
    check_choice("score", score, ("stability", "contrast"))
    if copies < 2:
        raise InputError("copies", copies, "compare two copies or more")
    x = torch.as_tensor(np.asarray(X, dtype=np.float32))
    if x.ndim != 3 or len(x) < 2:
        raise InputError("X", f"shape {tuple(x.shape)}", "give (n, T, C) with two samples or more")
    augment = build_augmentation(augmentation)
    device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    generator = torch_generator(seed, "membership")
    training = encoder.training
    encoder.eval()
    try:
        parts = [
            torch.stack([encoder(augment(part, generator)).amax(dim=1) for _ in range(copies)])
            for part in (part.to(device) for part in x.split(batch_size))
        ]
    finally:
        encoder.train(training)
    z = nn.functional.normalize(torch.cat(parts, dim=1), dim=-1).double()
    out = (z.sum(dim=0).square().sum(-1) - z.square().sum((0, 2))) / (copies * (copies - 1))
    if score == "contrast":
        centre = nn.functional.normalize(z.mean(dim=0), dim=-1)
        own = torch.eye(len(centre), dtype=torch.bool, device=z.device)
        others = (centre @ centre.T / TAU).masked_fill(own, -torch.inf).logsumexp(dim=1)
        out = out - TAU * (others - math.log(len(centre) - 1))
    return out.cpu().numpy()


def membership_inference(
    encoder: nn.Module,
    members: ArrayLike,
    others: ArrayLike,
    *,
    score: Literal["stability", "contrast"] = "contrast",
    augmentation: AugmentationSpec = "scale_shift_jitter",
    copies: int = 4,
    seed: int = 0,
) -> MembershipAttack:
    """Attack ``encoder`` with samples it was trained on and samples it never saw.

    Args:
        encoder: (B, T, C) to (B, T, D).
        members: (n, T, C) series of the training.
        others: (m, T, C) from the same kind of patients, or the attack measures the difference
            between the groups.
        score: what the attacker looks at.
        augmentation: of the copies, best the one of the training.
        copies: augmented copies a sample, >= 2.
        seed: of the augmentations.

    Raises:
        InputError: empty or misshapen input.
    """
    groups = [np.asarray(part, dtype=np.float32) for part in (members, others)]
    if any(g.ndim != 3 or not len(g) for g in groups) or groups[0].shape[1:] != groups[1].shape[1:]:
        shapes = tuple(g.shape for g in groups)
        raise InputError("members, others", shapes, "give (n, T, C) each, alike but for n")
    scores = attack_scores(
        encoder,
        np.concatenate(groups),
        score=score,
        augmentation=augmentation,
        copies=copies,
        seed=seed,
    )
    truth = np.arange(len(scores)) < len(groups[0])
    auc = float(roc_auc_score(truth, scores))
    return MembershipAttack(auc, 2 * abs(auc - 0.5), scores[truth], scores[~truth])
