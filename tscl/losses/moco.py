"""InfoNCE against a queue of earlier keys (MoCo).

He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", arXiv 1911.05722,
eq. 1: query q, its key k+ (another view, from a momentum encoder, without gradient) and the keys of
earlier batches in a queue of K,

    L = -log( exp(q . k+ / tau) / (exp(q . k+ / tau) + sum_queue exp(q . k / tau)) ).

After each batch its keys enter the queue and the oldest leave. The queue starts with random unit
vectors, as in the paper's code.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tscl.errors import CheckpointError, InputError
from tscl.losses.base import LOSSES, Extra, GrowingState, Reduction, unit
from tscl.losses.shared.settings import whole_setting
from tscl.losses.shared.tiled_infonce import key_lse
from tscl.seeding import randn, torch_generator


@LOSSES.register("moco")
class MoCo(GrowingState):
    """InfoNCE with a queue; view 0 holds the queries, the other views hold keys.

    Keys enter the queue in training mode only. Batches of any size fit: of one larger than the
    queue the last keys stay. Similarities to the queue are computed in blocks and the gradient with
    them, so memory does not grow with batch times queue. Second derivatives are there in evaluation
    mode, and an InputError in training mode, where the queue has moved on.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (V - 1, B)).
        queue_size: K >= 1.
        dims: D; None takes the first batch's.
        seed: of the first queue.
        gather: see :class:`ContrastiveLoss`; keys of all processes enter.

    A saved queue of another size than ``queue_size`` is refused (CheckpointError).

    Attributes:
        queue: (K, D) unit keys; ``position`` is where the next one goes.

    Example:
        >>> z = torch.eye(4)
        >>> loss = MoCo(queue_size=8)
        >>> first = loss(z, z)  # against the random keys the queue starts with
        >>> loss.queue[:4].equal(z), int(loss.position)
        (True, 4)
    """

    min_batch = 1
    growing = ("queue",)
    queue: Tensor
    position: Tensor

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        queue_size: int = 4096,
        dims: int | None = None,
        seed: int = 0,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, gather=gather)
        if dims is not None:
            whole_setting("dims", dims)
        self.queue_size = whole_setting("queue_size", queue_size)
        self.seed = whole_setting("seed", seed, 0)
        self.register_buffer("queue", torch.zeros(0, 0))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        if dims is not None:
            self._fill(dims, self.queue)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over key views and queries; then the keys enter the queue."""
        d = views.shape[2]
        if self.queue.numel() == 0:
            self._fill(d, views)
        if self.queue.shape[1] != d:
            raise InputError(
                "z1", tuple(views.shape), f"the queue holds {self.queue.shape[1]} dims"
            )
        query, keys = unit(views[0]), unit(views[1:].detach())
        others = key_lse(query, self.queue.to(query), self.temperature, 1.0)
        positive = (query * keys).sum(-1) / self.temperature
        loss = self.reduce(torch.logaddexp(positive, others) - positive, extra.weights)
        if self.training:
            self.enqueue(keys.reshape(-1, d))
        return loss

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        saved = state_dict.get(f"{prefix}queue")
        shape = saved.shape if isinstance(saved, Tensor) and saved.numel() else None
        if shape is not None and (len(shape) != 2 or shape[0] != self.queue_size):
            remedy = f"build the loss with queue_size={shape[0]}, not {self.queue_size}"
            raise CheckpointError(f"{prefix}queue", tuple(shape), remedy)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Put unit ``keys`` (n, D) in, over the oldest; of more than K the last K."""
        keys = keys[-self.queue_size :].to(self.queue)
        place = (self.position + torch.arange(len(keys), device=keys.device)) % self.queue_size
        # in place: the gradient of the loss is known by now and does not read the queue again
        self.queue.index_copy_(0, place, keys)
        self.position.copy_((self.position + len(keys)) % self.queue_size)

    def _fill(self, dims: int, like: Tensor) -> None:
        generator = torch_generator(self.seed, "moco queue")
        self.queue = unit(randn((self.queue_size, dims), generator, like.detach()))
