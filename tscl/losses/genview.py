"""Weights of positive pairs by the quality of the view: same foreground, different background.

Li et al., "GenView: Enhancing View Quality with Pretrained Generative Model for Self-Supervised
Learning", arXiv 2403.12003. With foreground and background parts f, b of two views of sample i,

    q_i = cos(f_i, f'_i) - cos(b_i, b'_i),      w_i = B exp(gamma q_i) / sum_k exp(gamma q_k)

weigh the pairs of any contrastive loss; no gradient passes. As in the authors' released code. There
an image's foreground is the projection of patch tokens on the first principal direction, scaled to
[0, 1] within the image. For series the tokens are time steps, and the map is either the same
projection (:func:`principal_map`) or a mask that says which steps matter: AutoTCL's h.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import check_size, unit
from tscl.losses.shared.columns import require
from tscl.losses.shared.settings import floor_setting


@torch.no_grad()
def principal_map(z: Tensor, direction: Tensor | None = None) -> Tensor:
    """Foreground map (B, T) in [0, 1] of step embeddings (B, T, D).

    Args:
        z: embeddings.
        direction: (D,) to project on; None takes the first principal direction of all steps of
            the batch. Its sign is set so that the map is higher where embeddings are longer.
    """
    steps = z.flatten(0, 1)
    if direction is None:
        centred = steps - steps.mean(dim=0)
        direction = torch.linalg.eigh(centred.T @ centred)[1][:, -1]
        projection = centred @ direction
        length = steps.norm(dim=1)
        upside_down = (projection * (length - length.mean())).sum() < 0
        direction = torch.where(upside_down, -direction, direction)
    score = z @ direction.to(z.dtype)
    low, high = score.amin(dim=1, keepdim=True), score.amax(dim=1, keepdim=True)
    return (score - low) / (high - low).clamp_min(torch.finfo(z.dtype).eps)


@torch.no_grad()
def quality_weights(
    z1: Tensor,
    z2: Tensor,
    *,
    gamma: float = 1.0,
    foreground: Tensor | None = None,
    foreground2: Tensor | None = None,
) -> Tensor:
    """Weights (B,) of mean 1 for the pairs of two views' step embeddings (B, T, D).

    Pass them as ``weights=`` to a loss. A view without foreground, or without background, has
    similarity 0 there.

    Args:
        z1: embeddings of the first view.
        z2: embeddings of the second view.
        gamma: sharpness >= 0; 0 weighs all pairs alike.
        foreground: (B, T) in [0, 1], how much a step belongs to the foreground; None takes
            :func:`principal_map` of z1, and its direction for z2.
        foreground2: the same for z2; None takes ``foreground``.

    Raises:
        InputError: shapes that do not fit, maps outside [0, 1], gamma < 0, non-finite embeddings.

    Example:
        >>> z = torch.ones(2, 5, 3)
        >>> quality_weights(z, z, foreground=torch.ones(2, 5))  # no view is better than the other
        tensor([1., 1.])
    """
    if z1.ndim != 3 or z1.shape != z2.shape:
        raise InputError("z1, z2", (tuple(z1.shape), tuple(z2.shape)), "both (B, T, D)")
    floor_setting("gamma", gamma)
    if z1.dtype in (torch.float16, torch.bfloat16):
        z1, z2 = z1.float(), z2.float()
    for z in (z1, z2):
        check_size(z, "z1, z2")
    if foreground is None:
        both = principal_map(torch.cat((z1, z2)))
        foreground, foreground2 = both.chunk(2)
    second = foreground if foreground2 is None else foreground2
    for name, value in (("foreground", foreground), ("foreground2", second)):
        if value.shape != z1.shape[:2]:
            raise InputError(name, tuple(value.shape), f"pass (B, T) = {tuple(z1.shape[:2])}")
        ok = ((value >= 0) & (value <= 1)).all()
        require(ok, name, lambda: "values outside [0, 1]", "scale the map to [0, 1]")
    score = _similar(z1, z2, foreground, second) - _similar(z1, z2, 1 - foreground, 1 - second)
    return torch.softmax(gamma * score, dim=0) * len(score)


def _similar(z1: Tensor, z2: Tensor, w1: Tensor, w2: Tensor) -> Tensor:
    a = (w1.to(z1.dtype).unsqueeze(-1) * z1).sum(dim=1)
    b = (w2.to(z2.dtype).unsqueeze(-1) * z2).sum(dim=1)
    return (unit(a) * unit(b)).sum(dim=-1)
