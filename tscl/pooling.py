"""From embeddings of every time step to one vector a series: pooling over time.

The papers pool by the maximum (COMET, arXiv 2310.14017, section 5.1; TS2Vec, arXiv 2106.10466).
A maximum over noise says little about a rhythm, whose phase differs in every sample; the log
standard deviation over time is the log power behind a learned filter, what band power measures
with fixed ones. The last step is what a forecast is read from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tscl.errors import ConfigError, check_choice, nearest

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
    """``pooling`` when it is one name of :data:`POOLS` or ``more``: the width of embeddings stays.

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
