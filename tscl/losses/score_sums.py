"""Sums over score differences without the differences: piecewise Chebyshev interpolation.

For scores s_n in [-1, 1] with weights w_n, and any score x in [-1, 1],

    sum_n w_n softplus((s_n - x) / tau),    sum_n w_n sigmoid((s_n - x) / tau)

are smooth in s_n and in x on the scale of tau: both functions are analytic within a distance pi tau
of the real axis. So [-1, 1] is cut into intervals of at most tau, on which polynomials through p
Chebyshev nodes reproduce them with an error of about 12.6^-p: 8 nodes for float32 and 14 for
float64 leave rounding alone. What the scores of an interval give is then a sum over its p nodes
with weights that are moments of the scores (the interpolation transposed), and the sum over all
intervals is a convolution, of those nearer than 40 tau; beyond, softplus is its argument or 0 and
the sigmoid 1 or 0, to rounding. N scores and M values of x cost N + M instead of N M.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from tscl.errors import InputError

EDGE = 1.001
"""Scores of unit vectors lie in [-EDGE, EDGE], rounding included."""
FAR = 40
"""Differences in units of tau beyond which softplus and sigmoid are at their limits."""
MOST = 1 << 18
"""Most intervals."""


class ScoreSums:
    """Sums over the differences to scores that are given block by block.

    Args:
        temperature: tau > 0.
        like: a tensor of the scores' type and device.

    Raises:
        InputError: a temperature that needs more than :data:`MOST` intervals.
    """

    def __init__(self, temperature: float, like: Tensor) -> None:
        if 2 * EDGE / temperature > MOST:
            low = 2 * EDGE / MOST
            raise InputError("temperature", temperature, f"choose {low:.2g} or more for this batch")
        self.temperature = temperature
        self.n = max(1, math.ceil(2 * EDGE / temperature))
        self.half = EDGE / self.n  # of an interval
        self.p = 14 if like.dtype == torch.float64 else 8
        options = {"dtype": torch.float64, "device": like.device}
        order = torch.arange(self.p, **options)  # type: ignore[call-overload]
        angle = (order + 0.5) * math.pi / self.p
        self.nodes = angle.cos()
        scale = torch.full_like(order, 2.0 / self.p)
        scale[0] = 1.0 / self.p
        # (polynomial, node): from values at the nodes to coefficients, and from moments to nodes
        self.basis = torch.cos(order.unsqueeze(1) * angle) * scale.unsqueeze(1)
        self.centres = (2 * torch.arange(self.n, **options) + 1) * self.half - EDGE  # type: ignore[call-overload]
        self.moments = torch.zeros(self.p, self.n, **options)  # type: ignore[call-overload]

    def add(self, scores: Tensor, weights: Tensor) -> None:
        """Take in ``scores`` with ``weights`` of the same shape."""
        place, local = self._locate(scores)
        w = weights.reshape(-1).double()
        for k, polynomial in enumerate(self._polynomials(local)):
            self.moments[k].scatter_add_(0, place, polynomial * w)

    def softplus_above(self) -> Callable[[Tensor], Tensor]:
        """x -> sum_n w_n softplus((s_n - x) / tau)."""
        amount, first = (
            self.moments[0],
            self.moments[0] * self.centres + self.moments[1] * self.half,
        )
        near = self._near(F.softplus, 1.0)
        x = self.centres + self.nodes.unsqueeze(1) * self.half
        far = (_beyond(first, self.reach) - x * _beyond(amount, self.reach)) / self.temperature
        return self._function(near + far)

    def sigmoid_above(self) -> Callable[[Tensor], Tensor]:
        """x -> sum_n w_n sigmoid((s_n - x) / tau)."""
        return self._function(self._near(torch.sigmoid, 1.0) + _beyond(self.moments[0], self.reach))

    def sigmoid_below(self) -> Callable[[Tensor], Tensor]:
        """x -> sum_n w_n sigmoid((x - s_n) / tau)."""
        far = _beyond(self.moments[0].flip(0), self.reach).flip(0)
        return self._function(self._near(torch.sigmoid, -1.0) + far)

    @property
    def reach(self) -> int:
        """How many intervals away a score can be near."""
        return min(self.n, math.ceil(FAR * self.temperature / (2 * self.half)) + 1)

    def _near(self, kernel: Callable[[Tensor], Tensor], sign: float) -> Tensor:
        """(p, n): sum of ``kernel(sign (s - x) / tau)`` over near intervals, x at the nodes."""
        away = torch.arange(-self.reach, self.reach + 1, device=self.nodes.device) * 2.0
        gaps = self.nodes.unsqueeze(1) + away - self.nodes.reshape(-1, 1, 1)  # (x, s, intervals)
        at_nodes = kernel(sign * gaps * (self.half / self.temperature))
        sources = F.pad(self.basis.T @ self.moments, (self.reach, self.reach))
        return F.conv1d(sources.unsqueeze(0), at_nodes).squeeze(0)

    def _function(self, at_nodes: Tensor) -> Callable[[Tensor], Tensor]:
        """The function with values (p, n) at the nodes."""
        coefficients = self.basis @ at_nodes

        def value(x: Tensor) -> Tensor:
            place, local = self._locate(x)
            total = torch.zeros_like(local)
            for k, polynomial in enumerate(self._polynomials(local)):
                total.addcmul_(coefficients[k][place], polynomial)
            return total.view(x.shape).to(x.dtype)

        return value

    def _locate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Interval of each entry, and where in it the entry lies, in [-1, 1]."""
        x = x.detach().reshape(-1).double()
        place = ((x + EDGE) / (2 * self.half)).long().clamp_(0, self.n - 1)
        return place, (x - self.centres[place]) / self.half

    def _polynomials(self, x: Tensor) -> Iterator[Tensor]:
        """Chebyshev polynomials of degree 0 to p - 1."""
        before, now = torch.ones_like(x), x
        yield before
        for _ in range(self.p - 1):
            yield now
            before, now = now, (x * now).mul_(2.0).sub_(before)


def _beyond(x: Tensor, reach: int) -> Tensor:
    """Sum of the entries (n,) more than ``reach`` places further on."""
    after = x.flip(0).cumsum(0).flip(0)
    return F.pad(after, (0, reach + 1))[reach + 1 :]
