"""A temperature for every sample, by distributionally robust optimisation (iSogCLR).

Qiu et al., "Not All Semantics are Created Equal: Contrastive Self-supervised Learning with
Automatic Temperature Individualization", arXiv 2305.11965. For an anchor i with positive similarity
s_i+ and negatives s_ij, h_ij = s_ij - s_i+, the robust contrastive loss over all reweightings of
the negatives within a Kullback-Leibler ball is

    L_i = min over tau_i in [tau_min, tau_max] of  tau_i log mean_j exp(h_ij / tau_i) + tau_i rho.

tau_i is the multiplier of the ball's constraint: a sample with many similar negatives keeps a
large one. Both the mean and tau_i are tracked a sample at a time, with the estimators of the
authors' code (zhqiu/contrastive-learning-iSogCLR):

    s_i   <- (1 - gamma) s_i + gamma mean_j exp(h_ij / tau_i)
    w_ij   = exp(h_ij / tau_i) / s_i, constant;  gradient of the encoder: mean_j w_ij grad h_ij
    u_i   <- (1 - beta) u_i + beta [log s_i + rho - mean_j w_ij h_ij / tau_i]
    tau_i <- clip(tau_i - eta u_i, tau_min, tau_max)

The first visit of a sample takes s_i as it is. s is kept as a logarithm, so nothing overflows.
"""

from __future__ import annotations

import math
from itertools import permutations

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import LOSSES, Extra, GrowingState, Reduction, off_diagonal, unit
from tscl.losses.labelled import same_label
from tscl.losses.series.id_contrast import check_ids
from tscl.losses.shared.columns import require
from tscl.losses.shared.settings import floor_setting, number_setting, pair_setting, whole_setting

LARGEST = 1 << 26
"""Largest sample index without ``n_samples`` (0.8 GB of state)."""


@LOSSES.register("individual_temperature")
class IndividualTemperature(GrowingState):
    """Robust contrastive loss with a temperature per sample, kept by sample index.

    ``index`` (or ``ids``) are the places of the samples in the data set, 0 .. N - 1; methods hand
    them over. State changes in training mode only. A second derivative takes the weights w as
    constants, as the algorithm does.

    Args:
        temperature: initial tau of every sample, inside ``bounds``.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (pairs, B)).
        n_samples: size of the data set; None grows with the indices seen, which on a GPU waits for
            each batch's largest index.
        rho: radius of the ball, >= 0.
        gamma: share of the new estimate of s in (0, 1]; 1 keeps no memory.
        beta: share of the new gradient of tau in (0, 1].
        eta: step size of tau, >= 0; 0 keeps the temperatures.
        bounds: (tau_min, tau_max).
        clip: bound of the gradient of tau.
        gather: see :class:`ContrastiveLoss`.

    Attributes:
        tau: temperatures by sample index (N,); as are ``log_s`` (-inf when unseen) and
            ``velocity`` u.

    Example:
        >>> z = torch.eye(4)
        >>> loss = IndividualTemperature(temperature=0.5, rho=0.0)
        >>> float(loss(z, z, index=[0, 1, 2, 7]))  # every h is -1
        -1.0
        >>> len(loss.tau)
        8
    """

    needs = ("index",)
    growing = ("tau", "log_s", "velocity")
    tau: Tensor
    log_s: Tensor
    velocity: Tensor

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        n_samples: int | None = None,
        rho: float = 0.3,
        gamma: float = 0.8,
        beta: float = 0.9,
        eta: float = 0.001,
        bounds: tuple[float, float] = (0.05, 1.0),
        clip: float = 3.0,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        low, high = pair_setting("bounds", bounds)
        if not low <= self.temperature <= high:
            raise InputError("bounds", bounds, f"need 0 < low <= temperature {temperature} <= high")
        for name, share in (("gamma", gamma), ("beta", beta)):
            if not 0 < number_setting(name, share) <= 1:
                raise InputError(name, share, "choose a share in (0, 1]")
        if n_samples is not None:
            whole_setting("n_samples", n_samples)
        self.bounds = (low, high)
        self.rho, self.gamma, self.beta = floor_setting("rho", rho), float(gamma), float(beta)
        self.eta, self.clip = floor_setting("eta", eta), floor_setting("clip", clip)
        self.n_samples = n_samples
        for name in self.growing:
            self.register_buffer(name, torch.zeros(0))
        self._grow(n_samples or 0)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean of the robust loss over ordered pairs of views and anchors."""
        z = unit(views)
        v, n, _ = z.shape
        h = torch.stack([_differences(z[a], z[b]) for a, b in permutations(range(v), 2)])
        index = self._known(extra["index"], n)
        tau, before = self.tau[index].to(z), self.log_s[index].to(z)
        with torch.no_grad():
            count = math.log(h.shape[2])
            scaled = h / tau.unsqueeze(1)
            log_s = scaled.logsumexp(2) - count
            if self.gamma < 1:
                mixed = torch.logaddexp(
                    before + math.log(1.0 - self.gamma), log_s + math.log(self.gamma)
                )
                log_s = torch.where(before > -math.inf, mixed, log_s)
            share = torch.exp(scaled - log_s.unsqueeze(2) - count)
            value = tau * (log_s + self.rho)
            slope = log_s + self.rho - (share * scaled).sum(2)
        linear = (share * h).sum(2)
        per_anchor = linear + (value - linear).detach()
        if self.training:
            self._update(index, log_s.logsumexp(0) - math.log(len(log_s)), slope.mean(0))
        return self.reduce(per_anchor, extra.weights)

    def _known(self, ids: Tensor, n: int) -> Tensor:
        """Checked sample indices, with room for them in the state."""
        index = check_ids(ids, n, "index").long().to(self.tau.device)
        largest = self.n_samples or LARGEST
        require(
            ((index >= 0) & (index < largest)).all(),
            "index",
            lambda: f"{int(index.min())}..{int(index.max())}",
            f"pass the samples' places in the data set, 0..{largest - 1}",
        )
        needed = self.n_samples or int(index.max()) + 1
        if needed > len(self.tau):
            self._grow(max(needed, min(2 * len(self.tau), largest)))
        return index

    def _grow(self, size: int) -> None:
        """Room for ``size`` samples; new ones start unseen at the initial temperature."""
        extra = size - len(self.tau)
        if extra <= 0:
            return
        fresh = {"tau": self.temperature, "log_s": -math.inf, "velocity": 0.0}
        for name, start in fresh.items():
            old = getattr(self, name)
            setattr(self, name, torch.cat((old, old.new_full((extra,), start))))

    @torch.no_grad()
    def _update(self, index: Tensor, log_s: Tensor, slope: Tensor) -> None:
        """Step of the samples in ``index``; a sample that occurs twice takes the mean."""
        first = same_label(index).to(torch.uint8).argmax(1)  # the first row of the same sample
        count = torch.zeros_like(log_s).index_add_(0, first, torch.ones_like(log_s)).to(self.tau)

        def mean(x: Tensor) -> Tensor:
            return (torch.zeros_like(count).index_add_(0, first, x.to(count)) / count)[first]

        step = mean(slope.clamp(-self.clip, self.clip))
        velocity = (1.0 - self.beta) * self.velocity[index] + self.beta * step
        # rows of one sample write the same
        self.log_s[index] = mean(log_s)
        self.velocity[index] = velocity
        self.tau[index] = (self.tau[index] - self.eta * velocity).clamp(*self.bounds)


def _differences(a: Tensor, b: Tensor) -> Tensor:
    """h (B, 2 (B - 1)): similarity of a_i to other samples in both views, less that to b_i."""
    negatives = torch.cat((off_diagonal(a @ b.T), off_diagonal(a @ a.T)), dim=1)
    return negatives - (a * b).sum(-1, keepdim=True)
