"""One training loop for all methods, on Lightning Fabric.

Every random number of step n is drawn from a generator seeded by (seed, stream, n), so a run that
is resumed at step n goes on exactly as an uninterrupted one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tscl.errors import CheckpointError, InputError
from tscl.methods.base import Batch, Method
from tscl.saving.tensors import load_module
from tscl.seeding import numpy_generator, seeded, torch_generator
from tscl.training.callbacks import (
    Callback,
    Callbacks,
    EpochReport,
    History,
    ProgressReporter,
    Silent,
    Start,
    StepReport,
)
from tscl.training.checkpoint import CheckpointStore, interrupt_between_steps
from tscl.training.data import Sampler, Source
from tscl.training.distributed import in_processes, make_fabric, started_outside
from tscl.training.loggers import build_loggers
from tscl.training.selection import Selection, WeightAverage, batch_norms, estimate_norms
from tscl.training.settings import Monitor, TrainingDiverged, TrainResult, TrainSettings
from tscl.training.step import Stepper

__all__ = ["Monitor", "TrainResult", "TrainSettings", "Trainer", "TrainingDiverged"]

_NORM_SAMPLES = 2048


class Trainer:
    """Trains a method on a source.

    Args:
        settings: see :class:`TrainSettings`.
        checkpoints: folder for checkpoints, or None to keep none.
        progress: where progress is shown.
        monitor: called with the (averaged) encoder every ``monitor_every`` epochs, in the first
            process; lower is better; the best encoder is the result. It must only see validation
            data.
        callbacks: see :class:`tscl.training.callbacks.Callback`.
        logs: folder of the settings' loggers.

    Raises:
        InputError: loggers without a folder.
    """

    def __init__(
        self,
        settings: TrainSettings,
        *,
        checkpoints: Path | None = None,
        progress: ProgressReporter | None = None,
        monitor: Monitor | None = None,
        callbacks: Sequence[Callback] = (),
        logs: Path | None = None,
    ) -> None:
        self.settings = settings
        self.store = None if checkpoints is None else CheckpointStore(checkpoints)
        self.progress = progress or Silent()
        self.monitor = monitor
        self.callbacks = Callbacks([*callbacks, *build_loggers(settings.loggers, logs)])

    def fit(
        self,
        method: Method,
        source: Source,
        sampler: Sampler,
        *,
        resume: bool = False,
        title: str = "training",
    ) -> TrainResult:
        """Train ``method`` in place and return the encoder to use with the history.

        Args:
            method: what is trained.
            source: gives batches by index.
            sampler: gives the indices of every step.
            resume: continue from the newest intact checkpoint, when there is one.
            title: shown beside the progress.

        Raises:
            TrainingDiverged: a loss or gradient is not finite; the last checkpoint stays.
            KeyboardInterrupt: on Ctrl-C or SIGTERM, after the step and a checkpoint are done.
        """
        s = self.settings
        per_epoch = len(sampler.epoch(s.seed, 0))
        if per_epoch == 0 and s.max_epochs > 0:
            raise InputError(
                "batch_size", len(source), "no full batch: lower batch_size or max_train_length"
            )
        arguments = (self, method, source, sampler, per_epoch, resume, title)
        if s.devices == 1 or started_outside():
            return _fit(*arguments)[0]
        result, weights, kept = in_processes(s.devices, _fit, *arguments)
        load_module(method, weights, "method")
        method.eval()
        self.callbacks.restore(kept)
        output: TrainResult = result
        return output


def _fit(
    trainer: Trainer,
    method: Method,
    source: Source,
    sampler: Sampler,
    per_epoch: int,
    resume: bool,
    title: str,
) -> tuple[TrainResult, dict[str, Tensor], dict[str, Any]]:
    """Train in this process; the result, the method's weights and the callbacks' states."""
    s, progress = trainer.settings, trainer.progress
    total = per_epoch * s.max_epochs
    if s.max_steps is not None:
        total = min(total, s.max_steps)
    run = _Run(trainer, method, source, total, per_epoch, getattr(sampler, "groups", None))
    if resume and trainer.store is not None:
        state = trainer.store.load_latest() if run.is_main_process else None
        state = run.fabric.broadcast(state)
        if state is not None:
            run.restore(state)
    if run.is_main_process:
        progress.start(total, run.step, title)
    try:
        if run.is_main_process:
            trainer.callbacks.start(Start(title, s, run.step, total))
        with interrupt_between_steps() as signals:
            run.loop(sampler, signals)
        result = run.finish()
        if run.is_main_process:
            trainer.callbacks.end(result)
    finally:
        if run.is_main_process:
            progress.stop()
            trainer.callbacks.close()
    weights = {k: v.detach().cpu() for k, v in method.state_dict().items()}
    return result, weights, trainer.callbacks.state()


class _Run:
    """State of one call of fit, in one process."""

    def __init__(
        self,
        trainer: Trainer,
        method: Method,
        source: Source,
        total: int,
        per_epoch: int,
        trials: NDArray[np.generic] | None,
    ) -> None:
        s = trainer.settings
        self.trainer, self.settings, self.total, self.per_epoch = trainer, s, total, per_epoch
        self.method, self.source, self.trials = method, source, trials
        self.fabric = make_fabric(s)
        self.stepper = Stepper(method, s, self.fabric, trials)
        self.is_main_process = self.fabric.global_rank == 0
        self.average = WeightAverage(
            method.encoder, s.averaging, s.average_start, s.ema_decay, s.ema_warmup
        )
        self.selection = Selection(s.patience, s.min_delta)
        self.step = 0
        self.stopped = False
        self.history = History()

    def loop(self, sampler: Sampler, signals: list[int]) -> None:
        """Run from the current step to the end; ``signals`` fills when one asks to stop."""
        s, callbacks = self.settings, self.trainer.callbacks
        last_saved = time.monotonic()
        self.method.train()
        while self.step < self.total and not self.selection.exhausted and not self.stopped:
            epoch, first = divmod(self.step, self.per_epoch)
            for indices in sampler.epoch(s.seed, epoch)[first:]:
                terms = self._train_step(indices)
                self.history.append({"step": self.step, "epoch": epoch, **terms})
                stop = False
                if self.is_main_process:
                    self.trainer.progress.advance(terms)
                    stop = callbacks.step(StepReport(self.step, epoch, terms, self.stepper.rates()))
                self.step += 1
                if self.step % self.per_epoch == 0:
                    score = self._monitor(epoch)
                    if self.is_main_process:
                        means = self._epoch_means()
                        stop |= callbacks.epoch(EpochReport(epoch, self.step, means, score))
                interrupted, self.stopped = self.stepper.agree(bool(signals), stop)
                if interrupted or time.monotonic() - last_saved > s.checkpoint_seconds:
                    self.save()
                    last_saved = time.monotonic()
                if interrupted:
                    self.fabric.barrier()
                    raise KeyboardInterrupt
                if self.step >= self.total or self.stopped:
                    break

    def _train_step(self, indices: NDArray[np.int64]) -> dict[str, float]:
        terms = self.stepper.take(self.source, indices, self.step, self.total, self.per_epoch)
        self.average.update(self.step)
        return terms

    def _monitor(self, epoch: int) -> float | None:
        monitor, every = self.trainer.monitor, self.settings.monitor_every
        if monitor is None or (epoch + 1) % every:
            return None
        encoder = self._averaged()
        score = 0.0
        if self.is_main_process:
            encoder.eval()
            with torch.no_grad(), seeded(self.settings.seed, "monitor", epoch):
                score = float(monitor(encoder))
            self.method.train()
        score = self.fabric.broadcast(score)
        self.selection.record(epoch, score, encoder)
        result: float | None = score
        return result

    def _averaged(self) -> nn.Module:
        """The averaged encoder, its batch norms measured on samples of the source."""
        encoder = self.average.module
        if encoder is not self.method.encoder and batch_norms(encoder):
            estimate_norms(encoder, self._norm_batches())
        return encoder

    def _norm_batches(self) -> Iterator[Batch]:
        """Up to 2,048 samples of the source, the same ones in every process and resumed run."""
        order = numpy_generator(self.settings.seed, "norms").permutation(len(self.source))
        draws = torch_generator(self.settings.seed, "norms")
        rows = order[:_NORM_SAMPLES]
        for part in np.array_split(rows, -(-len(rows) // 256)):
            yield self.stepper.to_device(self.source.batch(np.sort(part), draws))

    def _epoch_means(self) -> dict[str, float]:
        rows = self.history[-self.per_epoch :]
        names = [k for k in rows[-1] if k not in ("step", "epoch")]
        return {k: float(np.mean([row[k] for row in rows if k in row])) for k in names}

    def save(self) -> None:
        """Write a checkpoint, from the first process."""
        if self.trainer.store is not None and self.is_main_process:
            self.trainer.store.save(self.step, self.state())

    def state(self) -> dict[str, Any]:
        """Everything a later call needs to go on from here."""
        return {
            "step": self.step,
            "total": self.total,
            "seed": self.settings.seed,
            "stopped": self.stopped,
            "method": dict(self.method.state_dict()),
            "optimizers": {k: o.state_dict() for k, o in self.stepper.optimizers.items()},
            "precision": self.fabric.strategy.precision.state_dict(),
            "average": {} if self.average.model is None else dict(self.average.model.state_dict()),
            "history": self.history.state(),
            "callbacks": self.trainer.callbacks.state(),
            **self.selection.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state; CheckpointError when it is of another run."""
        if state["seed"] != self.settings.seed:
            raise CheckpointError("seed", state["seed"], f"this run has seed {self.settings.seed}")
        load_module(self.method, state["method"], "method")
        for name, optimizer in self.stepper.optimizers.items():
            if name not in state["optimizers"]:
                raise CheckpointError("optimizer", name, "the checkpoint is of another method")
            optimizer.load_state_dict(state["optimizers"][name])
            _as_parameters_lie(optimizer)
        if self.average.model is not None:
            load_module(self.average.model, state["average"], "average")
        scaler = state.get("precision", {})
        if scaler:
            self.fabric.strategy.precision.load_state_dict(scaler)
        self.step = int(state["step"])
        self.stopped = bool(state.get("stopped", False))
        self.history = History.restored(state["history"])
        self.selection.restore(state)
        self.trainer.callbacks.restore(state.get("callbacks", {}))

    def finish(self) -> TrainResult:
        """The encoder to use, in evaluation mode, with the history."""
        encoder, best = self._averaged(), self.selection
        if best.best_weights is not None and self.settings.keep == "best":
            encoder.load_state_dict(best.best_weights)
        encoder.eval()
        self.method.eval()
        self.save()
        return TrainResult(
            encoder=encoder,
            history=list(self.history),
            steps=self.step,
            best_epoch=best.best_epoch,
            best_score=best.best_score,
            monitored=list(best.monitored),
        )


def _as_parameters_lie(optimizer: Any) -> None:
    """Give an optimiser's loaded tensors the memory layout of their parameters.

    Checkpoints hold them row by row. Fused steps go through memory, so for a parameter of another
    layout (``channels_last``) they would take the moments of other weights.
    """
    for parameter, moments in getattr(optimizer, "optimizer", optimizer).state.items():
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
