"""Sample compactness: how well a sample keeps the contrastive principle under every augmentation.

Yu et al., "Provable Training for Graph Contrastive Learning" (POT), arXiv 2309.13944. Node
compactness is the least, over a range of augmentations x^ of sample i, of

    G_i(x^) = f(x^) . W_i,      W_i = u_i - mean_{j != i} u_j,   u = unit embeddings of the batch

i.e. by how much a sample's own view stays more similar than the others' in the worst case. The
paper bounds it from below by linear bound propagation through a two-layer graph network. For
series two forms stand here:

* :func:`sampled_compactness`: the least over augmentations drawn, for any encoder. It bounds the
  true least from above.
* :func:`bounded_compactness`: a guaranteed lower bound over the box |x^ - x| <= radius by interval
  arithmetic, for a stack of linear, convolutional and monotone layers. It is looser than the
  paper's linear bounds; residual or attention encoders are refused.

:func:`compactness_loss` is POT's regulariser, binary cross entropy of G_i against 1.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.errors import InputError
from tscl.losses.base import stack_views, unit

MONOTONE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Identity)
POOLS = (nn.Flatten, nn.AvgPool1d, nn.MaxPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d)


def contrast_directions(z: Tensor) -> Tensor:
    """W (B, D) of the embeddings z (B, D), B >= 2."""
    if z.ndim != 2 or len(z) < 2:
        raise InputError("z", tuple(z.shape), "pass at least two embeddings, (B, D)")
    u = unit(stack_views(z.unsqueeze(0), None)[0])
    others = (u.sum(dim=0, keepdim=True) - u) / (len(u) - 1)
    return u - others


def sampled_compactness(views: Tensor, z: Tensor, *, normalize: bool = True) -> Tensor:
    """Least G_i over K augmentations drawn.

    Args:
        views: (K, B, D) embeddings of augmented samples.
        z: (B, D) embeddings they are compared with.
        normalize: unit-length view embeddings, which bounds the result to [-2, 2].

    Returns:
        (B,); low values mark samples that the augmentations throw among the others.
    """
    checked = stack_views(views, None)
    if checked.shape[1:] != z.shape:
        raise InputError("views", tuple(views.shape), f"pass (K, {tuple(z.shape)})")
    result = unit(checked) if normalize else checked
    return (result * contrast_directions(z)).sum(dim=-1).amin(dim=0)


def _interval_bounds(
    layers: Iterable[nn.Module], low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """Bounds of the output of ``layers`` for every input between ``low`` and ``high``.

    Dropout is taken as in evaluation mode, batch normalisation by its running figures.

    Raises:
        InputError: a layer whose bounds are not known here.
    """
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            low, high = _interval_bounds(layer, low, high)
        elif isinstance(layer, nn.Linear | nn.Conv1d):
            low, high = _linear(layer, (low + high) / 2, (high - low) / 2)
        elif isinstance(layer, nn.BatchNorm1d) and layer.running_var is not None:
            low, high = _scaled(layer, low, high)
        elif isinstance(layer, MONOTONE + POOLS):
            low, high = layer(low), layer(high)
        elif not isinstance(layer, nn.Dropout):
            raise InputError("layer", type(layer).__name__, "use sampled_compactness instead")
    return low, high


def bounded_compactness(
    network: nn.Sequential, x: Tensor, radius: float | Tensor, z: Tensor
) -> Tensor:
    """Lower bound (B,) of G_i over the box of half-width ``radius`` around x, no unit scaling.

    Args:
        network: stack of layers from ``x`` to embeddings (B, D).
        x: (B, ...) input of the network.
        radius: half-width >= 0, or a tensor of ``x``'s shape.
        z: (B, D) embeddings of the samples, for the directions W.

    Raises:
        InputError: a negative radius, or a layer that cannot be bounded.
    """
    if bool((torch.as_tensor(radius) < 0).any()):
        raise InputError("radius", radius, "use 0 or more")
    low, high = _interval_bounds(network, x - radius, x + radius)
    w = contrast_directions(z)
    return (w.clamp_min(0) * low + w.clamp_max(0) * high).sum(dim=-1)


def compactness_loss(compactness: Tensor) -> Tensor:
    """POT's regulariser: mean of -log sigmoid(G_i) over (B,)."""
    return F.softplus(-compactness).mean()


def _linear(layer: nn.Linear | nn.Conv1d, mid: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    spread_weight = layer.weight.abs()
    if isinstance(layer, nn.Linear):
        centre, spread = layer(mid), F.linear(half, spread_weight)
    else:
        if layer.padding_mode != "zeros":
            raise InputError("padding_mode", layer.padding_mode, "pad with zeros")
        spread = F.conv1d(
            half,
            spread_weight,
            None,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
        )
        centre = layer(mid)
    return centre - spread, centre + spread


def _scaled(layer: nn.BatchNorm1d, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    ends = [
        F.batch_norm(
            end,
            layer.running_mean,
            layer.running_var,
            layer.weight,
            layer.bias,
            False,
            0.0,
            layer.eps,
        )
        for end in (low, high)
    ]
    return torch.minimum(*ends), torch.maximum(*ends)
