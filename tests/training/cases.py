"""Small trainings that other processes run too; in a module of its own, so that spawn finds it."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from tscl.encoders import ENCODERS
from tscl.methods import METHODS
from tscl.methods.base import Batch, Losses, Method
from tscl.seeding import seeded
from tscl.training.callbacks import Callback, EpochReport, Start, StepReport
from tscl.training.data import ArraySource, GroupedSampler, Sampler
from tscl.training.trainer import Trainer, TrainResult, TrainSettings

N, STEPS, CHANNELS = 22, 32, 2
TRIAL = np.repeat(np.arange(11), 2)
PATIENT = np.repeat(np.arange(4), [6, 6, 6, 4])
METHODS_HERE = ("autotcl", "comet", "simclr", "ts2vec")


def series(n: int = N) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, STEPS, CHANNELS)).astype(np.float32)


class Doubles(ArraySource):
    """The same samples as float64 tensors."""

    def batch(self, indices: np.ndarray, generator: torch.Generator) -> Batch:
        batch = super().batch(indices, generator)
        return replace(batch, x=batch.x.double())


def source(kind: type[ArraySource] = ArraySource) -> ArraySource:
    return kind(series(), ids={"trial": TRIAL, "patient": PATIENT}, crop=STEPS - 4)


def encoder(dropout: float = 0.0, name: str = "dilated", **params: Any) -> Any:
    sizes = {"hidden_dims": 8, "depth": 2} if name == "dilated" else {}
    with seeded(0, "encoder"):
        return ENCODERS.build(
            name, input_dims=CHANNELS, output_dims=8, dropout=dropout, **(sizes | params)
        )


def build(name: str, dropout: float = 0.0, **params: Any) -> Method:
    own: dict[str, dict[str, Any]] = {
        "autotcl": {"aug_dim": 4, "aug_hidden": 4, "aug_depth": 1, "aug_dropout": 0.0,
                    "mask": "binomial"},
        "comet": {"augmentations": "jitter"},
        "simclr": {},
        "ts2vec": {},
    }  # fmt: skip
    with seeded(1, "method"):
        return METHODS.build(name, encoder=encoder(dropout), **(own[name] | params))


def sampler() -> Sampler:
    return GroupedSampler(TRIAL, PATIENT, 11, "trial", drop_last=True)


def fit(made: Method, *, resume: bool = False, sampled: Sampler | None = None, **kwargs: Any):
    names = {"checkpoints", "monitor", "callbacks", "logs", "progress"}
    passed = {k: kwargs.pop(k) for k in names & set(kwargs)}
    settings = TrainSettings(**({"max_epochs": 2, "lr": 1e-2, "seed": 3} | kwargs))
    trainer = Trainer(settings, **passed)
    double = next(made.parameters()).dtype == torch.float64
    kind = Doubles if double else ArraySource
    return trainer.fit(made, source(kind), sampled or sampler(), resume=resume)


def summary(result: TrainResult, made: Method) -> dict[str, Any]:
    return {
        "history": result.history,
        "method": {k: v.detach().clone() for k, v in made.state_dict().items()},
        "encoder": {k: v.detach().clone() for k, v in result.encoder.state_dict().items()},
    }


def train_all(dropout: float = 0.0, **options: Any) -> dict[str, Any]:
    """Every method, trained in this process (or as one of several)."""
    made = {name: build(name, dropout).double() for name in METHODS_HERE}
    return {name: summary(fit(one, **options), one) for name, one in made.items()}


class Fixed(torch.nn.Module):
    """A view without randomness."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        return torch.tanh(x * self.scale)


def simclr_with_gathering_loss() -> Method:
    return build(
        "simclr",
        augmentation=Fixed(1.0),
        augmentation2=Fixed(0.3),
        loss_params={"gather": True},
    )


def train_apart() -> dict[str, Any]:
    """SimCLR whose loss gathers by itself, and a mean over samples, each process on its part."""
    out = {}
    for name, made in (
        ("gathering", simclr_with_gathering_loss().double()),
        ("mean", MeanSquare().double()),
    ):
        out[name] = summary(fit(made, gather=False), made)
    return out


def everything(folder: Path) -> dict[str, Any]:
    """What the two-process test compares, from one start of the processes."""
    with_dropout = build("autotcl", dropout=0.3)
    fit(with_dropout)
    return {
        "together": train_all(),
        "cached": train_all(accumulate=3, cache_gradients=True, clip_norm=0.5),
        "apart": train_apart(),
        "in step": same_everywhere(with_dropout),
        "resumed": resumes(folder, build, "autotcl", dropout=0.1),
    }


def same_everywhere(module: torch.nn.Module) -> list[bool]:
    """Whether each process holds the parameters of the first, to the bit."""
    mine = torch.cat([p.detach().flatten() for p in module.parameters()])
    all_of_them = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
    distributed.all_gather(all_of_them, mine)
    return [bool(torch.equal(all_of_them[0], one)) for one in all_of_them]


def resumes(folder: Path, make: Any, *args: Any, options: Any = None, **kwargs: Any) -> bool:
    """Whether a training interrupted after one and three of four steps gives the same bits."""
    options = options or {}
    one = make(*args, **kwargs)
    whole = summary(fit(one, **options), one)
    rest: dict[str, Any] = {}
    for stop in (1, 3, None):
        made = make(*args, **kwargs)
        try:
            found = fit(
                made,
                checkpoints=folder,
                resume=True,
                callbacks=[Interrupt(stop)],
                **options,
            )
        except KeyboardInterrupt:
            continue
        rest = summary(found, made)
    return equal(whole, rest)


def equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two summaries agree to the bit."""
    parts = all(
        set(a[part]) == set(b[part]) and all(torch.equal(v, b[part][k]) for k, v in a[part].items())
        for part in ("method", "encoder")
    )
    return parts and a["history"] == b["history"]


class MeanSquare(Method):
    """A loss that is a mean over samples: embeddings near the next value of the first channel."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__(encoder(dropout))

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        made = self.encoder(batch.x)[:, :-1, 0]
        return {"loss": (made - batch.x[:, 1:, 0]).square().mean()}


class Recorder(Callback):
    """Remembers what it was told, through resumes, and can end the training."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.calls: list[str] = []
        self.closed = 0
        self.stop_after = stop_after

    def on_start(self, start: Start) -> None:
        self.calls.append(f"start {start.step}/{start.total}")

    def on_step(self, report: StepReport) -> bool:
        self.calls.append(f"step {report.step} {report.terms['loss']:.6f}")
        return report.step + 1 == self.stop_after

    def on_epoch(self, report: EpochReport) -> None:
        self.calls.append(f"epoch {report.epoch} {report.score}")

    def on_end(self, result: TrainResult) -> None:
        self.calls.append(f"end {result.steps}")

    def close(self) -> None:
        self.closed += 1

    def state(self) -> dict[str, Any]:
        return {"calls": self.calls}

    def restore(self, state: dict[str, Any]) -> None:
        self.calls = list(state["calls"])


def score(encoder: torch.nn.Module) -> float:
    """A monitor: size of the embeddings."""
    dtype = next(encoder.parameters()).dtype
    return float(encoder(torch.ones(1, STEPS, CHANNELS, dtype=dtype)).square().mean())


class Interrupt(Callback):
    """Ctrl-C during a step."""

    def __init__(self, after: int | None) -> None:
        self.after = after

    def on_step(self, report: StepReport) -> None:
        if report.step + 1 == self.after:
            signal.raise_signal(signal.SIGINT)
