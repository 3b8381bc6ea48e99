"""Several projection heads with a temperature for every head and pair (AMCL).

Wang et al., "Adaptive Multi-head Contrastive Learning", arXiv 2310.05615. A pair (x, y) seen by
head c has similarity s = u . v and an adaptive temperature

    tau(u, v) = tau_min + (tau_max - tau_min) sigmoid(-phi(u) . phi(v))

with phi shared by the heads. Likelihood of a pair under a head whose noise is tau, up to constants:

    l = s / tau - beta Omega(tau),    Omega(tau) = d / 2 log tau + 1 / tau

and the loss of an anchor is the sum over heads of -l+ + A(l over negatives). Temperature (the
paper's eq. 3) and Omega (eq. 2.1) are those of the authors' code, which names the equations; the
paper's page could be read in part only. A is derived: ``softmax`` is the log-sum-exp over the
positive and all negatives of both views, so that a constant temperature gives NT-Xent back (the
case the paper names); ``hardest`` is the mean over the most similar negatives (top k, eq. 5 in that
code). With ``released=True`` the regulariser of these is that code's, sum_k log tau_k + 1 / tau_k:
a sum without the factor d / 2. Its bounds are (1e-5, 2), its heads three.
"""

from __future__ import annotations

import math
from itertools import permutations
from typing import Literal

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, diagonal, unit
from tscl.losses.shared.settings import choice_setting, floor_setting, pair_setting, whole_setting
from tscl.seeding import seeded


@LOSSES.register("adaptive_multi_head")
class AdaptiveMultiHead(ContrastiveLoss):
    """AMCL over embeddings, with heads of its own or over slices of the embedding.

    Args:
        n_heads: number of heads, >= 1.
        dims: D; given, the loss holds ``n_heads`` two-layer heads D -> D -> ``head_dims`` and the
            temperature network phi as parameters. None takes the embedding as the heads' outputs
            side by side (D divisible by ``n_heads``) and phi as the identity.
        head_dims: output dimensions of a head of its own.
        bounds: (tau_min, tau_max), > 0; equal bounds fix the temperature.
        beta: factor >= 0 of the regulariser.
        negatives: ``softmax`` or ``hardest``.
        n_hardest: how many negatives ``hardest`` averages (at most 2 B - 2 are there).
        released: regulariser of the hardest negatives as in the authors' code.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (pairs, B)).
        seed: of the initial parameters.
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(4)
        >>> loss = AdaptiveMultiHead(n_heads=1, bounds=(0.5, 0.5))
        >>> float(loss(z, z))  # one head of one temperature is NT-Xent
        0.5944...
    """

    def __init__(
        self,
        n_heads: int = 4,
        dims: int | None = None,
        *,
        head_dims: int = 64,
        bounds: tuple[float, float] = (0.05, 2.0),
        beta: float = 0.01,
        negatives: Literal["softmax", "hardest"] = "softmax",
        n_hardest: int = 100,
        released: bool = False,
        reduction: Reduction = "mean",
        seed: int = 0,
        gather: bool = False,
    ) -> None:
        super().__init__(1.0, reduction, gather=gather)
        for name, count in (
            ("n_heads", n_heads),
            ("head_dims", head_dims),
            ("n_hardest", n_hardest),
        ):
            whole_setting(name, count)
        whole_setting("seed", seed, 0)
        low, high = pair_setting("bounds", bounds)
        if not low <= high:
            raise InputError("bounds", bounds, "need 0 < low <= high")
        self.n_heads = n_heads
        self.dims = dims
        self.bounds = (low, high)
        self.beta = floor_setting("beta", beta)
        self.negatives = choice_setting("negatives", negatives, ("softmax", "hardest"))
        self.n_hardest = n_hardest
        if released and negatives != "hardest":
            raise InputError("released", released, "the authors' code has negatives='hardest'")
        self.released = released
        self.heads = nn.ModuleList()
        self.phi: nn.Module = nn.Identity()
        if dims is not None:
            whole_setting("dims", dims)
            with seeded(seed, "multi head"):
                for _ in range(n_heads):
                    self.heads.append(_mlp(dims, dims, head_dims))
                self.phi = _mlp(head_dims, head_dims, head_dims)

    def project(self, z: Tensor) -> Tensor:
        """Unit outputs of all heads: (..., B, D) to (n_heads, ..., B, d)."""
        d = z.shape[-1]
        if self.dims is not None:
            if d != self.dims:
                raise InputError("z1", tuple(z.shape), f"the heads take {self.dims} dimensions")
            return unit(torch.stack([head(z) for head in self.heads]))
        if d % self.n_heads:
            raise InputError(
                "z1", tuple(z.shape), f"dimensions must divide by n_heads={self.n_heads}"
            )
        return unit(z.unflatten(-1, (self.n_heads, d // self.n_heads)).movedim(-2, 0))

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Sum over heads, mean over ordered pairs of views and anchors."""
        terms: list[Tensor] = []
        heads = self.project(views)
        for a, b in permutations(range(len(views)), 2):
            terms.append(torch.stack([self._direction(h[a], h[b]) for h in heads]).sum(0))
        return self.reduce(torch.stack(terms), extra.weights)

    def temperatures(self, u: Tensor, v: Tensor) -> Tensor:
        """tau (n, m) of all pairs of unit head outputs u (n, d) and v (m, d)."""
        low, high = self.bounds
        return low + (high - low) * torch.sigmoid(-self.phi(u) @ self.phi(v).T)

    def _direction(self, u: Tensor, v: Tensor) -> Tensor:
        n, d = u.shape
        every = torch.cat((v, u))
        similarity = u @ every.T
        tau = self.temperatures(u, every)
        score = similarity / tau - self.beta * (0.5 * d * tau.log() + tau.reciprocal())
        positive = score[:, :n].diagonal()
        eye = diagonal(u)
        if self.negatives == "softmax":
            own = torch.cat((torch.zeros_like(eye), eye), dim=1)
            return score.masked_fill(own, -math.inf).logsumexp(1) - positive
        own = torch.cat((eye, eye), dim=1)
        k = min(self.n_hardest, 2 * n - 2)
        hardest = similarity.detach().masked_fill(own, -math.inf).topk(k, dim=1).indices
        if self.released:
            chosen = tau.gather(1, hardest)
            drawn = (similarity.gather(1, hardest) / chosen).mean(1)
            return drawn - self.beta * (chosen.log() + chosen.reciprocal()).sum(1) - positive
        return score.gather(1, hardest).mean(1) - positive


def _mlp(dims_in: int, hidden: int, dims_out: int) -> nn.Module:
    return nn.Sequential(nn.Linear(dims_in, hidden), nn.ReLU(), nn.Linear(hidden, dims_out))
