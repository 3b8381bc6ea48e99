"""Contrastive terms with a momentum copy of the network: MoCo, CoST, BYOL."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from tscl.augmentations import AugmentationSpec, build_augmentation
from tscl.errors import InputError, check_choice
from tscl.losses.base import unit
from tscl.losses.series.hierarchical import HierarchicalContrastiveLoss
from tscl.methods.end_to_end.terms import (
    CONTRASTS,
    ContrastTerm,
    Windows,
    check_pooling_name,
    pool_embeddings,
    two_views,
)
from tscl.methods.heads import ProjectionHead
from tscl.methods.momentum import follow

Augment = Literal["both", "key"]


class MomentumTerm(ContrastTerm):
    """Views and a slowly moving copy of the network.

    Args:
        momentum: share of the copy kept at each step, in [0, 1].
        augmentation: of each view; None leaves the difference to dropout and the copy.
        pooling: one of :data:`tscl.pooling.POOLS`, or ``random`` (one step for the batch).
        augment: ``both`` views, or the ``key`` alone, as the public code of arXiv 2306.12086 does:
            the query is then the code that the forecast was made from.
    """

    def __init__(
        self,
        momentum: float,
        augmentation: AugmentationSpec | None,
        pooling: str,
        augment: Augment = "both",
    ) -> None:
        super().__init__()
        check_choice("augment", augment, ("both", "key"))
        self.augment: Augment = augment
        if not 0.0 <= momentum <= 1.0:
            raise InputError("momentum", momentum, "choose a value in [0, 1]")
        self.momentum = momentum
        self.augmentation = None if augmentation is None else build_augmentation(augmentation)
        self.pooling = check_pooling_name(pooling)
        self.target: nn.Module = nn.Identity()

    def attach(self, network: nn.Module) -> None:
        """Copy the network."""
        self.target = copy.deepcopy(network).requires_grad_(False)

    def views(self, windows: Windows, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Embeddings of one view by the network, and of the other by the copy without gradients.

        Without augmentation the first are those of the forecast, when it has made them.
        """
        if self.augmentation is None or self.augment == "key":
            query = windows.plain()
        else:
            query = windows.represent(self.augmentation(windows.x, generator))
        with torch.no_grad():
            view = windows.x
            if self.augmentation is not None:
                view = self.augmentation(view, generator)
            key = replace(windows, network=self.target).represent(view)
        return query, key

    def follow(self, target: nn.Module, source: nn.Module) -> None:
        """Move the parameters of ``target`` towards those of ``source``."""
        follow(target, source, self.momentum)

    def after_step(self, network: nn.Module) -> None:
        """Move the copy towards the network: theta_k = m theta_k + (1 - m) theta_q."""
        self.follow(self.target, network)
        with torch.no_grad():
            for kept, new in zip(self.target.buffers(), network.buffers(), strict=True):
                kept.copy_(new)


@CONTRASTS.register("moco")
class MoCoTerm(MomentumTerm):
    """InfoNCE of a query against its key and a queue of earlier keys.

    He et al. 2020, arXiv 1911.05722, eq. 1 and algorithm 1. The queue takes batches of any size
    and holds only keys of training steps: an evaluation of the loss leaves queue and copy as
    they are, and an empty queue means no negatives (the first step's loss is zero).

    Arguments as :class:`MomentumTerm`, and those below.

    Args:
        queue: keys remembered.
        temperature: softmax temperature, > 0.
        normalize: compare unit vectors; the queue then holds unit vectors.
        head: a projection of two layers on query and key, that of the key a moving copy.
        hierarchical: share of TS2Vec's hierarchical loss between the network's embeddings and the
            copy's, both of the window itself, which stands beside MoCo's with the rest (0: none).
    """

    queue: Tensor
    filled: Tensor
    place: Tensor

    def __init__(
        self,
        queue: int = 512,
        momentum: float = 0.999,
        temperature: float = 1.0,
        normalize: bool = True,
        pooling: str = "mean",
        augmentation: AugmentationSpec | None = None,
        augment: Augment = "both",
        head: bool = False,
        hierarchical: float = 0.0,
    ) -> None:
        super().__init__(momentum, augmentation, pooling, augment)
        if not 0.0 <= hierarchical <= 1.0:
            raise InputError("hierarchical", hierarchical, "choose a share in [0, 1]")
        if queue < 1:
            raise InputError("queue", queue, "remember at least one key")
        if not temperature > 0:
            raise InputError("temperature", temperature, "choose a value above 0")
        self.size, self.temperature, self.normalize = queue, temperature, normalize
        self.with_head, self.share = head, hierarchical
        self.head: nn.Module = nn.Identity()
        self.target_head: nn.Module = nn.Identity()
        self.hierarchical = HierarchicalContrastiveLoss()
        self._pending: Tensor | None = None
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    def attach(self, network: nn.Module) -> None:
        """Copy the network and make room for the queue."""
        super().attach(network)
        dims = int(network.output_dims)  # type: ignore[arg-type]
        if self.with_head:
            self.head = ProjectionHead(dims, dims, dims, batch_norm=False)
            self.target_head = copy.deepcopy(self.head).requires_grad_(False)
        self.register_buffer("queue", torch.zeros(self.size, dims))

    def forward(self, windows: Windows, generator: torch.Generator | None) -> dict[str, Tensor]:
        """``contrast``; its parts with a share of the hierarchical loss."""
        query, key = self.views(windows, generator)
        momentum = self.compare(query, key, generator)
        if not self.share:
            return {"contrast": momentum}
        plain = windows.plain()
        with torch.no_grad():
            copied = replace(windows, network=self.target).represent(windows.x)
        levels = self.hierarchical(plain, copied)
        total = (1.0 - self.share) * momentum + self.share * levels
        return {"contrast": total, "moco": momentum, "hierarchical": levels}

    def compare(self, query: Tensor, key: Tensor, generator: torch.Generator | None) -> Tensor:
        """MoCo's loss of both views; remembers the keys of training.

        Args:
            query: (B, N, D) embeddings of one view.
            key: (B, N, D) of the other, by the moving copy.
            generator: source of a random step, the same of both views.
        """
        state = None if generator is None else generator.get_state()
        q = pool_embeddings(query, self.pooling, generator)
        if generator is not None and state is not None:
            generator.set_state(state)  # the same random step of both views
        q = self.head(q)
        with torch.no_grad():
            k = self.target_head(pool_embeddings(key, self.pooling, generator)).detach()
        if self.normalize:
            q, k = unit(q), unit(k)
        negatives = self.queue[: int(self.filled)].to(q.dtype, copy=True)
        logits = torch.cat([(q * k).sum(-1, keepdim=True), q @ negatives.T], dim=1)
        logits = logits / self.temperature
        if self.training:
            self._pending = k
        return (torch.logsumexp(logits, dim=1) - logits[:, 0]).mean()

    def after_step(self, network: nn.Module) -> None:
        """Move the copy and put the step's keys into the queue, the oldest leave."""
        super().after_step(network)
        self.follow(self.target_head, self.head)
        if self._pending is None:
            return
        keys = self._pending[-self.size :].to(self.queue.dtype)
        where = (int(self.place) + torch.arange(len(keys), device=keys.device)) % self.size
        self.queue[where] = keys
        self.place.fill_((int(self.place) + len(keys)) % self.size)
        self.filled.fill_(min(self.size, int(self.filled) + len(keys)))
        self._pending = None


@CONTRASTS.register("cost")
class CoSTTerm(MoCoTerm):
    """CoST's time and frequency contrast of one representation.

    Woo et al. 2022, arXiv 2202.01575: the time term is MoCo on a random step (eq. 2), the
    frequency term contrasts, at every frequency, amplitude and phase of the samples of a batch
    (eqs. 3 and 4). The phase enters as the unit vector (cos, sin), so that -pi and pi are equal.

    Arguments as :class:`MoCoTerm`, and those below.

    Args:
        time_weight: of the time term, >= 0.
        frequency_weight: of the frequency term, >= 0 (the public code of arXiv 2306.12086 has
            0.0005, and 1 for the other).
    """

    def __init__(
        self,
        time_weight: float = 1.0,
        frequency_weight: float = 1.0,
        queue: int = 512,
        momentum: float = 0.999,
        temperature: float = 1.0,
        normalize: bool = True,
        pooling: str = "random",
        augmentation: AugmentationSpec | None = "scale_shift_jitter",
        augment: Augment = "both",
        head: bool = False,
    ) -> None:
        super().__init__(
            queue, momentum, temperature, normalize, pooling, augmentation, augment, head
        )
        if min(time_weight, frequency_weight) < 0:
            weights = (time_weight, frequency_weight)
            raise InputError("time_weight, frequency_weight", weights, "use 0 or more")
        self.time_weight, self.frequency_weight = time_weight, frequency_weight

    def forward(self, windows: Windows, generator: torch.Generator | None) -> dict[str, Tensor]:
        """``contrast``, ``time``, ``amplitude``, ``phase``."""
        query, key = self.views(windows, generator)
        time = self.compare(query, key, generator)
        other = key
        if self.frequency_weight:
            # the frequency term compares two views of the network itself
            view = windows.x
            if self.augmentation is not None:
                view = self.augmentation(view, generator)
            other = windows.represent(view)
        amplitude, phase = frequency_contrast(query, other)
        total = self.time_weight * time + self.frequency_weight * 0.5 * (amplitude + phase)
        return {"contrast": total, "time": time, "amplitude": amplitude, "phase": phase}


def frequency_contrast(z1: Tensor, z2: Tensor) -> tuple[Tensor, Tensor]:
    """Instance contrast of amplitude and of phase at every frequency, averaged over them.

    ``z1``, ``z2``: (B, N, D), made unit vectors per step before the transform along time.
    """
    f1, f2 = (torch.fft.rfft(unit(z), dim=1).transpose(0, 1) for z in (z1, z2))
    prediction = []
    for part in (_amplitude, _phase):
        both = torch.cat([part(f1), part(f2)], dim=1)  # (F, 2B, D)
        logits = both @ both.transpose(1, 2)
        n = z1.shape[0]
        eye = torch.eye(2 * n, dtype=torch.bool, device=both.device)
        index = torch.arange(2 * n, device=both.device)
        positive = logits[:, index, (index + n) % (2 * n)]
        rest = torch.logsumexp(logits.masked_fill(eye, -torch.inf), dim=-1)
        prediction.append((rest - positive).mean())
    return prediction[0], prediction[1]


def _amplitude(f: Tensor) -> Tensor:
    return (f.real.square() + f.imag.square() + 1e-12).sqrt()


def _phase(f: Tensor) -> Tensor:
    size = _amplitude(f)
    return torch.cat([f.real / size, f.imag / size], dim=-1) / math.sqrt(f.shape[-1])


@CONTRASTS.register("byol")
class BYOLTerm(MomentumTerm):
    """A predictor of one view's projection from the other's; no negatives.

    Grill et al. 2020, arXiv 2006.07733, eqs. 2 and 3, both directions.

    Args:
        momentum: see :class:`MomentumTerm`.
        projection_dims: width of projection and predictor.
        pooling, augmentation: see :class:`MomentumTerm`.
    """

    def __init__(
        self,
        momentum: float = 0.99,
        projection_dims: int = 64,
        pooling: str = "mean",
        augmentation: AugmentationSpec | None = "scale_shift_jitter",
    ) -> None:
        super().__init__(momentum, augmentation, pooling)
        self.projection_dims = projection_dims
        self.head: nn.Module = nn.Identity()
        self.target_head: nn.Module = nn.Identity()
        self.predictor: nn.Module = nn.Identity()

    def attach(self, network: nn.Module) -> None:
        """Copy the network and build projections and predictor."""
        super().attach(network)
        dims, width = int(network.output_dims), self.projection_dims  # type: ignore[arg-type]
        self.head = ProjectionHead(dims, dims, width)
        self.target_head = copy.deepcopy(self.head).requires_grad_(False)
        self.predictor = ProjectionHead(width, width, width)

    def forward(self, windows: Windows, generator: torch.Generator | None) -> dict[str, Tensor]:
        """``contrast``, from 0 (predicted) to 4."""
        views = two_views(self.augmentation, windows.x, generator)
        copied = replace(windows, network=self.target)
        total: Tensor = windows.x.new_zeros(())
        for mine, other in (views, views[::-1]):
            z = pool_embeddings(windows.represent(mine), self.pooling, generator)
            prediction = unit(self.predictor(self.head(z)))
            with torch.no_grad():
                seen = copied.represent(other)
                aim = unit(self.target_head(pool_embeddings(seen, self.pooling, generator)))
            total = total + 0.5 * (2.0 - 2.0 * (prediction * aim).sum(dim=-1)).mean()
        return {"contrast": total}

    def after_step(self, network: nn.Module) -> None:
        """Move network copy and target projection."""
        super().after_step(network)
        self.follow(self.target_head, self.head)
