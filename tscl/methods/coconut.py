"""COCONUT on series: replay with supervised contrast, for new classes or patients over time.

Cappellazzo et al., "Continual Contrastive Spoken Language Understanding", arXiv 2310.02699,
carried from speech commands to series. Per task:

* a memory of earlier samples, equal shares for all classes seen, is rehearsed in every batch;
* new samples and rehearsed ones learn by supervised contrast;
* rehearsed samples are tied to the previous model by :class:`ReplayContrast` (NSPT).

The paper's multimodal loss aligns audio with text; here its place is taken by supervised contrast
of two augmented views, as most series come without text.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tscl.augmentations import AugmentationSpec, build_augmentation
from tscl.encoders.base import EncoderLike
from tscl.errors import InputError, nearest
from tscl.losses.coconut import ReplayContrast
from tscl.losses.labelled import class_labels
from tscl.losses.supcon import SupCon
from tscl.methods.base import METHODS, Batch, Losses, Method, ParameterGroup
from tscl.methods.heads import check_batch, embed, mlp_head, output_dims
from tscl.seeding import randint


class ReplayMemory(nn.Module):
    """Samples kept from earlier tasks, with equal room for every class seen.

    Stored in buffers, hence part of checkpoints. A class that needs room takes it from the
    largest: its latest samples go.

    Args:
        capacity: number of samples in all, >= 1.
    """

    x: Tensor
    y: Tensor

    def __init__(self, capacity: int) -> None:
        super().__init__()
        if capacity < 1:
            raise InputError("capacity", capacity, "keep one sample or more")
        self.capacity = capacity
        self.register_buffer("x", torch.empty(0, 0, 0))
        self.register_buffer("y", torch.empty(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.y)

    def add(self, x: Tensor, y: Tensor, generator: torch.Generator | None = None) -> None:
        """Add samples, drawn at random up to a class's share.

        Args:
            x: (N, T, C) series.
            y: (N,) classes.
            generator: source of the draws.
        """
        y = class_labels(y).long().to(self.y.device)
        x = x.detach().to(self.y.device)
        order = torch.randperm(len(y), generator=generator).to(self.y.device)
        x, y = x[order], y[order]
        if len(self):
            self.check(x)
            x, y = torch.cat((self.x, x)), torch.cat((self.y, y))
        share = self._shares(y)
        kept = torch.cat([(y == k).nonzero().squeeze(1)[:n] for k, n in share.items()])
        self.x, self.y = x[kept].contiguous(), y[kept]

    def check(self, x: Tensor) -> None:
        """Raise InputError unless (N, T, C) samples are as long and wide as those kept."""
        if len(self) and x.shape[1:] != self.x.shape[1:]:
            raise InputError("x", tuple(x.shape), f"the memory has {tuple(self.x.shape[1:])}")

    def remove(self, x: Tensor) -> int:
        """Leave out the samples that equal one of ``x`` (N, T, C); how many there were."""
        if not len(self):
            return 0
        known = {sample.tobytes() for sample in x.to(self.x.dtype).cpu().contiguous().numpy()}
        held = [sample.tobytes() not in known for sample in self.x.cpu().numpy()]
        kept = torch.tensor(held, device=self.y.device)
        self.x, self.y = self.x[kept], self.y[kept]
        return len(held) - sum(held)

    def _shares(self, y: Tensor) -> dict[int, int]:
        """Samples a class: the capacity dealt out one by one among classes that have more."""
        classes, counts = torch.unique(y, return_counts=True)
        share = dict.fromkeys(classes.tolist(), 0)
        have = dict(zip(classes.tolist(), counts.tolist(), strict=True))
        left = min(self.capacity, len(y))
        while left:
            for k in share:
                if left and share[k] < have[k]:
                    share[k] += 1
                    left -= 1
        return share

    def draw(self, n: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """``n`` samples with replacement; none from an empty memory."""
        if not len(self):
            return self.x, self.y
        rows = randint(0, len(self), (n,), generator, self.y.device)
        return self.x[rows], self.y[rows]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: object) -> None:
        for name in ("x", "y"):
            if prefix + name in state_dict:
                setattr(
                    self, name, torch.empty_like(state_dict[prefix + name], device=self.y.device)
                )
        super()._load_from_state_dict(state_dict, prefix, *args)


@METHODS.register("coconut")
class Coconut(Method):
    """Continual pretraining on labelled tasks that arrive one after the other.

    Train on a task, call :meth:`end_task` with its data, train on the next. In the first task the
    memory is empty and only the supervised contrast acts.

    Args:
        encoder: the encoder to train.
        augmentation: of both views: name, mapping or module.
        by: ``labels`` keeps classes apart, or a level of ``batch.ids`` such as ``patient``.
        capacity: size of the memory, in samples.
        replay: rehearsed samples a batch; None takes the batch's size.
        replay_weight: factor >= 0 of the NSPT loss.
        temperature: of both losses.
        repel: what the rehearsed samples are pushed from, see :class:`ReplayContrast`.
        projection_dims: output of the projection head; 0 leaves the head out.
        pooling: over time, of :data:`tscl.pooling.POOLS`, several joined by ``+``.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> from tscl.methods.base import Batch
        >>> x = torch.randn(8, 60, 2, generator=torch.Generator().manual_seed(0))
        >>> encoder = ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4, depth=2)
        >>> batch = Batch(x, torch.arange(8), labels=torch.arange(8) % 2)
        >>> method = Coconut(encoder)
        >>> sorted(method.losses(batch, method.phases(0)[0], torch.Generator().manual_seed(0)))
        ['loss', 'supcon']
    """

    title = "COCONUT"

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        augmentation: AugmentationSpec = "scale_shift_jitter",
        by: str = "labels",
        capacity: int = 200,
        replay: int | None = None,
        replay_weight: float = 1.0,
        temperature: float = 0.1,
        repel: Literal["others", "all"] = "others",
        projection_dims: int = 64,
        pooling: str = "max",
    ) -> None:
        super().__init__(encoder)
        if replay is not None and replay < 1:
            raise InputError("replay", replay, "rehearse one sample or more")
        if not replay_weight >= 0:
            raise InputError("replay_weight", replay_weight, "use 0 or more")
        dims = output_dims(self.encoder, pooling)
        self.augmentation = build_augmentation(augmentation)
        self.head = mlp_head(dims, projection_dims or dims, depth=2 if projection_dims else 0)
        self.memory = ReplayMemory(capacity)
        self.supcon = SupCon(temperature)
        self.nspt = ReplayContrast(temperature, repel=repel)
        self.by = by
        self.needs = (by,)
        self.replay = replay
        self.replay_weight = replay_weight
        self.pooling = pooling
        # The previous model is state of the method, not part of what is trained.
        self.teacher_encoder = copy.deepcopy(self.encoder).requires_grad_(False).eval()
        self.teacher_head = copy.deepcopy(self.head).requires_grad_(False).eval()

    def groups(self) -> dict[str, ParameterGroup]:
        """The encoder and its head; the previous model stands still."""
        return {"encoder": ParameterGroup([*self.encoder.parameters(), *self.head.parameters()])}

    def train(self, mode: bool = True) -> Coconut:
        """Training mode for everything but the previous model."""
        super().train(mode)
        self.teacher_encoder.eval()
        self.teacher_head.eval()
        return self

    def end_task(self, x: Tensor, codes: Tensor, generator: torch.Generator | None = None) -> None:
        """Keep samples of the task, and freeze the model as teacher.

        Args:
            x: (N, T, C).
            codes: (N,) classes (or patients).
            generator: of the draw.
        """
        self.memory.add(x, codes, generator)
        self.teacher_encoder.load_state_dict(self.encoder.state_dict())
        self.teacher_head.load_state_dict(self.head.state_dict())

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """Supervised contrast of all samples plus NSPT of the rehearsed ones.

        Raises:
            InputError: fewer than two samples, or a batch without the codes ``by`` names.
        """
        x, codes = check_batch(batch, samples=2), self._codes(batch)
        self.memory.check(x)
        old_x, old_y = self.memory.draw(self.replay or len(x), generator)
        rehearsed = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        if len(old_y):
            x = torch.cat((x, old_x.to(x)))
            codes = torch.cat((codes, old_y.to(codes.device)))
            rehearsed = torch.cat((rehearsed, torch.ones_like(old_y, dtype=torch.bool)))
        views = [self.augmentation(x, generator) for _ in range(2)]
        z1, z2 = (self.head(embed(self.encoder, v, pooling=self.pooling)) for v in views)
        terms = {"supcon": self.supcon(z1, z2, labels=codes)}
        total = terms["supcon"]
        if self.replay_weight and len(old_y):
            with torch.no_grad():
                old = self.teacher_head(embed(self.teacher_encoder, views[0], pooling=self.pooling))
            terms["replay"] = self.nspt(z1, old, codes, rehearsed)
            total = total + self.replay_weight * terms["replay"]
        return {"loss": total, **terms}

    def _codes(self, batch: Batch) -> Tensor:
        if self.by == "labels":
            if batch.labels is None:
                raise InputError("labels", None, "contrast by labels needs them in the batch")
            return class_labels(batch.labels).long()
        if self.by not in batch.ids:
            raise InputError("batch.ids", sorted(batch.ids), nearest(self.by, batch.ids))
        return batch.ids[self.by]
