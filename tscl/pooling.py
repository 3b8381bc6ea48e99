"""From embeddings of every time step to one vector a series: pooling over time.

The papers pool by the maximum (COMET, arXiv 2310.14017, section 5.1; TS2Vec, arXiv 2106.10466).
A maximum over noise says little about a rhythm, whose phase differs in every sample; the log
standard deviation over time is the log power behind a learned filter, what band power measures
with fixed ones. The last step is what a forecast is read from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tscl.errors import ConfigError, InputError, check_choice, nearest

if TYPE_CHECKING:
    from torch import Tensor

VARIANCE_FLOOR = 1e-6


def _log_std(z: Tensor) -> Tensor:
    """Half the log of the variance over time plus a floor, so that a constant stays finite."""
    return 0.5 * (z.var(dim=1, correction=0) + VARIANCE_FLOOR).log()


def _std(z: Tensor) -> Tensor:
    """Standard deviation over time, with the same floor, so that its slope is finite."""
    return (z.var(dim=1, correction=0) + VARIANCE_FLOOR).sqrt()


_POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda z: z.amax(dim=1),
    "mean": lambda z: z.mean(dim=1),
    "std": _std,
    "log_std": _log_std,
    "last": lambda z: z[:, -1],
}
POOLS: tuple[str, ...] = tuple(_POOLS)


def check_pooling(pooling: str, field: str = "pooling") -> list[str]:
    """The parts of ``pooling``: names of :data:`POOLS` joined by ``+``, each once.

    Raises:
        ConfigError: an unknown or repeated name.
    """
    parts = [part.strip() for part in str(pooling).split("+")]
    for part in parts:
        if part not in _POOLS:
            raise ConfigError(field, pooling, f"join names by +; {nearest(part, POOLS)}")
    if len(set(parts)) < len(parts):
        raise ConfigError(field, pooling, "name each pooling once")
    return parts


def check_one_pooling(pooling: str, field: str = "pooling", *, more: tuple[str, ...] = ()) -> str:
    """One name of a pooling, so that the width of embeddings stays.

    Args:
        pooling: one of :data:`POOLS`, or of ``more``.
        field: name of the setting, for the error.
        more: further names that are allowed.

    Raises:
        ConfigError: an unknown name, or several.
    """
    known = (*POOLS, *more)
    check_choice(field, pooling, known, error=ConfigError)
    return pooling


def pool_time(z: Tensor, pooling: str = "max") -> Tensor:
    """Pool embeddings (B, T, D) over time to (B, k D), k the number of poolings named.

    Args:
        z: embeddings of every step.
        pooling: ``max``, ``mean``, ``std`` (standard deviation, floored at 1e-3), ``log_std`` (its
            logarithm) or ``last``, or several joined by ``+``, such as ``mean+max`` or
            ``mean+std+max``, whose vectors are put side by side.

    Raises:
        ConfigError: an unknown name.
    """
    parts = [_POOLS[name](z) for name in check_pooling(pooling)]
    if len(parts) == 1:
        return parts[0]
    import torch  # late: names of poolings are told without it

    return torch.cat(parts, dim=1)


def pool_multiscale(z: Tensor) -> Tensor:
    """Embeddings of every step at every scale, (B, T, D) to (B, T, k D).

    Scale p = 0, 1, ... is the maximum over the 2^(p+1) + 1 steps around a step, fewer at the ends,
    while 2^p + 1 < T: ``encoding_window="multiscale"`` of TS2Vec's code (arXiv 2106.10466).

    Args:
        z: embeddings of every step, T > 2.

    Raises:
        InputError: another rank, or fewer than three steps.

    Example:
        >>> import torch
        >>> pool_multiscale(torch.arange(5.0).reshape(1, 5, 1))[0].tolist()
        [[1.0, 2.0], [2.0, 3.0], [3.0, 4.0], [4.0, 4.0], [4.0, 4.0]]
    """
    if z.ndim != 3 or z.shape[1] < 3:
        raise InputError("z", tuple(z.shape), "pass (B, T, D) of three steps or more")
    import torch

    steps, scales, reach = z.transpose(1, 2), [], 1
    while reach + 1 < z.shape[1]:
        pooled = torch.nn.functional.max_pool1d(steps, 2 * reach + 1, stride=1, padding=reach)
        scales.append(pooled.transpose(1, 2))
        reach *= 2
    return torch.cat(scales, dim=2)
