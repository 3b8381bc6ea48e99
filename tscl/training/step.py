"""One optimiser step: the batch's parts, the phases of a method, gradients across processes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tscl.errors import InputError
from tscl.methods.base import Batch, Losses, Method, ParameterGroup
from tscl.seeding import seeded, torch_generator
from tscl.training.data import Source
from tscl.training.distributed import EncoderRows, cut_batch
from tscl.training.selection import batch_norms
from tscl.training.settings import TrainingDiverged, TrainSettings

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def rate_factor(settings: TrainSettings, step: int, total: int, per_epoch: int) -> float:
    """What the learning rate is multiplied by at ``step``.

    A function of its arguments alone, so that a resumed run needs no schedule of its own.

    Args:
        settings: its ``schedule``, ``warmup``, ``final_lr``, ``decay_epochs``, ``decay_factor``,
            ``hold_epochs``.
        step: from 0.
        total: steps of the run.
        per_epoch: steps of an epoch.
    """
    s = settings
    if s.schedule == "one_cycle":
        rise = s.warmup or max(1, total // 4)
        low, share = (0.04, 1.0 - step / rise) if step < rise else (s.final_lr, 0.0)
        if step >= rise:
            share = (step - rise) / max(1, total - rise)
        return low + (1.0 - low) * 0.5 * (1.0 + math.cos(math.pi * share))
    if step < s.warmup:
        return (step + 1) / s.warmup
    done = (step - s.warmup) / max(1, total - s.warmup)
    if s.schedule == "cosine":
        return s.final_lr + (1.0 - s.final_lr) * 0.5 * (1.0 + math.cos(math.pi * done))
    if s.schedule == "linear":
        return s.final_lr + (1.0 - s.final_lr) * (1.0 - done)
    if s.schedule == "step":
        epoch = max(0, step // max(1, per_epoch) - s.hold_epochs)
        return float(s.decay_factor ** (epoch // s.decay_epochs))
    return 1.0


class _Call:
    """Arguments of ``Method.losses`` as one object that wrappers pass on untouched."""

    def __init__(self, batch: Batch, phase: str, generator: torch.Generator) -> None:
        self.batch, self.phase, self.generator = batch, phase, generator


class _Losses(nn.Module):
    """``Method.losses`` as the forward pass that Fabric wraps."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, call: _Call) -> Losses:
        return self.method.losses(call.batch, call.phase, call.generator)


class Stepper:
    """Optimisers of a method and how they take a step, in one process.

    Args:
        method: trained in place.
        settings: how to train.
        fabric: device, precision and process group.
        trials: trial of every sample, not to be cut where a batch is; None when there are none.

    Attributes:
        rank, world: this process and the number of processes.
        optimizers: one a group of the method.
    """

    def __init__(
        self,
        method: Method,
        settings: TrainSettings,
        fabric: Fabric,
        trials: NDArray[np.generic] | None,
    ) -> None:
        s = settings
        self.method, self.settings, self.fabric, self.trials = method, s, fabric, trials
        self.rank, self.world = fabric.global_rank, fabric.world_size
        self.apart = self.world > 1 and not s.gather
        self.gathers = any(getattr(m, "gather", False) is True for m in method.modules())
        if self.world > 1 and s.gather and self.gathers:
            raise InputError("gather", True, "leave it to the engine, or set train.gather false")
        self._check_batch_norms()
        self.groups = {
            k: replace(g, parameters=list(g.parameters)) for k, g in method.groups().items()
        }
        raw = {name: self._optimizer(group) for name, group in self.groups.items()}
        self.base_lr = {name: o.param_groups[0]["lr"] for name, o in raw.items()}
        wrapped = self.fabric.setup(_Losses(method), *raw.values())
        self.module = wrapped[0]
        self.optimizers: dict[str, Any] = dict(zip(raw, wrapped[1:], strict=True))
        self.rows = EncoderRows(
            method.encoder,
            s.seed,
            rank=0 if self.apart else self.rank,
            world=1 if self.apart else self.world,
            parts=s.accumulate if s.cache_gradients else 1,
        )

    def _optimizer(self, group: ParameterGroup) -> torch.optim.Optimizer:
        s = self.settings
        parameters = list(group.parameters)
        lr = s.lr if group.lr is None else group.lr
        decay = s.weight_decay if group.weight_decay is None else group.weight_decay
        if s.momentum is not None:
            return torch.optim.SGD(parameters, lr, momentum=s.momentum, weight_decay=decay)
        # fused steps unscale, so nothing could be clipped
        fused = s.precision != "16-mixed"
        return torch.optim.AdamW(parameters, lr, weight_decay=decay, fused=fused)

    def _check_batch_norms(self) -> None:
        """Batch norms of the encoder need the rows of a batch together.

        Raises:
            InputError: they are shared out to parts or processes, whose statistics differ.
        """
        norms = batch_norms(self.method.encoder)
        s = self.settings
        remedy = "the encoder's batch norm needs the whole batch: build it with norm='group'"
        if norms and s.cache_gradients and s.accumulate > 1:
            raise InputError("cache_gradients", True, remedy)
        shared = self.world > 1 and s.gather
        if shared and not all(isinstance(norm, nn.SyncBatchNorm) for norm in norms):
            raise InputError(
                "devices",
                self.world,
                f"{remedy}, or with train.gather false (statistics of each process), or pass it "
                "through torch.nn.SyncBatchNorm.convert_sync_batchnorm on GPUs",
            )

    def take(
        self, source: Source, indices: NDArray[np.int64], step: int, total: int, per_epoch: int
    ) -> dict[str, float]:
        """Take one step; the mean of every loss term.

        Args:
            source: of the batches.
            indices: samples of the batch.
            step: from 0.
            total: steps of the run.
            per_epoch: steps of an epoch.
        """
        seed = self.settings.seed
        parts, own = self._parts(indices)
        batches = [
            self.to_device(source.batch(part, torch_generator(seed, "batch", step)))
            for part in parts
        ]
        size = sum(len(part) for part in parts)
        terms: dict[str, float] = {}
        with seeded(seed, "layers", step, *own):
            for number, phase in enumerate(self.method.phases(step)):
                optimizer = self.optimizers[phase]
                factor = rate_factor(self.settings, step, total, per_epoch)
                for group in optimizer.param_groups:
                    group["lr"] = self.base_lr[phase] * factor
                optimizer.zero_grad(set_to_none=True)
                prefix = "" if phase == "encoder" else f"{phase}."
                with self._only(phase):
                    for k, batch in enumerate(batches):
                        counters = (step, number, *own, *([k] if len(batches) > 1 else []))
                        share = len(batch.x) / size
                        if self.apart and not self.gathers:
                            share = len(batch.x) * self.world / len(indices)
                        last = k == len(batches) - 1
                        gradient = self._gradient(batch, phase, counters, share, last)
                        for name, value in gradient.items():
                            key = prefix + name
                            terms[key] = terms.get(key, 0.0) + value
                    self._clip(optimizer, phase, step)
                    optimizer.step()
            self.method.after_step(step)
        return self._mean_over_processes(terms)

    def _parts(self, indices: NDArray[np.int64]) -> tuple[list[Any], tuple[int, ...]]:
        """Samples of each forward pass here, and the counters of this process's own draws."""
        own: tuple[int, ...] = ()
        if self.apart:
            indices = cut_batch(indices, self.world, self.trials)[self.rank]
            own = (self.rank,)
        if self.settings.accumulate == 1 or self.settings.cache_gradients:
            return [indices], own
        return cut_batch(indices, self.settings.accumulate, self.trials), own

    def _gradient(
        self, batch: Batch, phase: str, counters: tuple[int, ...], share: float, last: bool
    ) -> dict[str, float]:
        """Add ``share`` of the gradient of one part; its terms, times ``share``."""
        call = _Call(batch, phase, torch_generator(self.settings.seed, "method", *counters))
        with self._held(not last):
            with self.rows.shared(*counters):
                losses = self.module(call)
            loss = losses["loss"]
            finite = torch.isfinite(loss.detach())
            if self.apart:
                finite = self.fabric.all_reduce(finite.float(), reduce_op="sum") == self.world
            if not bool(finite):
                raise TrainingDiverged(
                    f"loss of phase {phase} is {float(loss.detach())} at step {counters[0]}; "
                    "lower lr or check the input for extreme values"
                )
            self.fabric.backward(loss if share == 1.0 else loss * share)
        return {k: float(v.detach()) * share for k, v in losses.items()}

    @contextmanager
    def _held(self, held: bool) -> Iterator[None]:
        """Leave gradients in this process for now."""
        if self.world == 1 or not held:
            yield
            return
        with self.fabric.no_backward_sync(self.module):
            yield

    def _clip(self, optimizer: Any, phase: str, step: int) -> None:
        limit = self.settings.clip_norm
        if limit is None:
            return
        norm = self.fabric.clip_gradients(
            self.module, optimizer, max_norm=limit, error_if_nonfinite=False
        )
        scaled = self.settings.precision == "16-mixed"  # whose scaler skips such a step
        if norm is not None and not scaled and not bool(torch.isfinite(norm)):
            raise TrainingDiverged(
                f"gradient of phase {phase} is {float(norm)} at step {step}; "
                "lower lr or check the input for extreme values"
            )

    @contextmanager
    def _only(self, phase: str) -> Iterator[None]:
        """Let only the parameters of ``phase`` collect gradients."""
        mine = {id(p) for p in self.groups[phase].parameters}
        frozen = [
            p
            for name, group in self.groups.items()
            if name != phase
            for p in group.parameters
            if id(p) not in mine and p.requires_grad
        ]
        for p in frozen:
            p.requires_grad_(False)
        try:
            yield
        finally:
            for p in frozen:
                p.requires_grad_(True)

    def _mean_over_processes(self, terms: dict[str, float]) -> dict[str, float]:
        if not self.apart:
            return terms
        given = torch.tensor(list(terms.values()), dtype=torch.float64, device=self.fabric.device)
        reduced: Any = self.fabric.all_reduce(given, reduce_op="mean")
        return dict(zip(terms, reduced.tolist(), strict=True))

    def rates(self) -> dict[str, float]:
        """Learning rate of every group."""
        return {name: float(o.param_groups[0]["lr"]) for name, o in self.optimizers.items()}

    def agree(self, *flags: bool) -> list[bool]:
        """Each flag, set when any process has set it."""
        if self.world == 1:
            return list(flags)
        given = torch.tensor(flags, dtype=torch.float32, device=self.fabric.device)
        reduced: Any = self.fabric.all_reduce(given, reduce_op="sum")
        return [bool(v > 0) for v in reduced]

    def to_device(self, batch: Batch) -> Batch:
        """The batch where the method is."""
        device = self.fabric.device
        return Batch(
            x=batch.x.to(device),
            index=batch.index.to(device),
            ids={k: v.to(device) for k, v in batch.ids.items()},
            labels=None if batch.labels is None else batch.labels.to(device),
            extra={k: v.to(device) for k, v in batch.extra.items()},
            views=tuple(v.to(device) for v in batch.views),
        )
