"""Learning strategies: supervised, two-stage, pretrain then fine-tune, end to end.

The strategies arXiv 2306.12086 compares, each scored on the rows of
:mod:`tscl.evaluation.forecasting.protocol`, so that figures stand beside those of frozen
representations and simple baselines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from torch import nn

from tscl.errors import ConfigError, InputError, check_choice
from tscl.evaluation.forecasting.protocol import forecast_protocol
from tscl.evaluation.forecasting.scores import (
    ErrorSums,
    Float64,
    HorizonResult,
    SplitLike,
    check_finite,
    check_scale,
    make_result,
    score,
)
from tscl.forecasters.informer import InformerForecaster
from tscl.forecasters.network import ForecastNetwork
from tscl.forecasters.ridge_head import ridge_head
from tscl.forecasters.simple_networks import DLinear, patch_transformer
from tscl.forecasters.windows import EpochSampler, WindowSource, window_forecasts
from tscl.methods.end_to_end.method import EndToEnd
from tscl.seeding import seeded
from tscl.training.callbacks import ProgressReporter
from tscl.training.settings import Accelerator, Section, TrainSettings
from tscl.training.trainer import Trainer

Strategy = Literal[
    "supervised", "two_stage_ridge", "two_stage_mlp", "pretrain_finetune", "end_to_end"
]
STRATEGIES: tuple[str, ...] = get_args(Strategy)
SIMPLE_NETWORKS = ("dlinear", "patch_transformer", "informer_forecaster")


class StrategyTraining(Section):
    """How a strategy trains, whatever the network; the defaults are the paper's.

    Attributes:
        weight, schedule, decay: lambda, and how it changes.
        pretrain_epochs: of contrast alone, in the strategies of two stages.
        pretrain: what contrast alone sees: ``windows``, as a forecast; or ``sections`` of the
            ridge's windows, as in the public code of two steps: 600 steps (200 where the training
            part has up to 100,000 values) of SGD whose rate falls by a cosine.
        max_epochs, patience, batch_size, lr, weight_decay: of training on validation MSE.
        steps_per_epoch: at most this many batches an epoch; None for all windows.
        max_steps: optimiser steps of a stage at most; None for no limit.
        stride: steps between training windows.
        accelerator: where to train: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        clip_norm: gradient clipping, or None.
        lr_schedule: ``constant``, ``cosine`` to zero at the last epoch, or ``halving`` after each;
            the first ``hold_epochs`` are left out of it (1 in the public code).
        ridge_window: steps of the windows whose last code ``two_stage_ridge`` reads (None: those
            of the past; 200 in the public code), and ridge_drop: training steps left out at its
            start (None: one fewer than the window).
        monitor_stride: steps between the validation windows that early stopping looks at.
        network_params: further arguments of the network (``query``, ``instance_norm``, ...).
    """

    weight: float = Field(default=0.5, ge=0, le=1)
    schedule: Literal["constant", "linear"] = "constant"
    decay: float = Field(default=0.1, ge=0)
    pretrain_epochs: int = Field(default=5, ge=0)
    pretrain: Literal["windows", "sections"] = "windows"
    max_epochs: int = Field(default=20, ge=0)
    patience: int = Field(default=5, ge=0)
    batch_size: int = Field(default=16, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    steps_per_epoch: int | None = Field(default=None, ge=1)
    stride: int = Field(default=1, ge=1)
    clip_norm: float | None = Field(default=None, gt=0)
    lr_schedule: Literal["constant", "cosine", "halving"] = "constant"
    hold_epochs: int = Field(default=0, ge=0)
    ridge_window: int | None = Field(default=None, ge=1)
    ridge_drop: int | None = Field(default=None, ge=0)
    monitor_stride: int = Field(default=1, ge=1)
    network_params: dict[str, Any] = Field(default_factory=dict)
    max_steps: int | None = Field(default=None, ge=1)
    accelerator: Accelerator = "cpu"


class StrategySettings(StrategyTraining):
    """What is trained, and how (:class:`StrategyTraining`).

    Attributes:
        length: steps of the past a forecast sees.
        backbone: registered encoder, or ``dlinear``, ``patch_transformer`` or
            ``informer_forecaster`` (supervised only).
        backbone_params: arguments of the encoder (or of the simple network).
        contrast, contrast_params: see :class:`tscl.methods.end_to_end.method.EndToEnd`.
    """

    length: int = Field(default=48, ge=1)
    backbone: str = "transformer"
    backbone_params: dict[str, Any] = Field(default_factory=dict)
    contrast: str = "hierarchical"
    contrast_params: dict[str, Any] = Field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """The values, without options that came later where they are neutral.

        So the digests of cells finished before stay theirs.
        """
        later: dict[str, Any] = {"hold_epochs": 0, "ridge_window": None, "ridge_drop": None}
        later |= {"max_steps": None, "accelerator": "cpu", "pretrain": "windows"}
        values = self.model_dump()
        return {k: v for k, v in values.items() if k not in later or v != later[k]}


@dataclass(frozen=True, eq=False)
class StrategyResult:
    """Errors of one strategy at one horizon.

    Attributes:
        result: the row of a table; scaled and, with a scale, original units.
        per_variable: (C_target, 2) test MSE and MAE of every target.
        network: the trained network (the encoder inside is what ``two_stage_ridge`` used).
        steps: optimiser steps, all stages together.
        best_epoch: by validation, of the last stage; None when none was monitored.
        monitored: rows (epoch, validation MSE) of the last stage.
    """

    result: HorizonResult
    per_variable: Float64
    network: nn.Module
    steps: int
    best_epoch: int | None
    monitored: list[dict[str, float]]


class StrategyRun:
    """Data and settings of one run.

    Arguments as :func:`run_strategy`.
    """

    def __init__(
        self,
        values: NDArray[np.float32],
        split: SplitLike,
        horizon: int,
        settings: StrategySettings,
        *,
        marks: NDArray[np.float32] | None = None,
        targets: Sequence[int] | None = None,
        seed: int = 0,
        progress: ProgressReporter | None = None,
        checkpoints: Path | None = None,
        resume: bool = False,
    ) -> None:
        check_finite("values", np.asarray(values, np.float32))
        self.values, self.split, self.horizon, self.settings = values, split, horizon, settings
        self.marks = marks if marks is not None and marks.shape[1] else None
        self.targets = list(range(values.shape[1])) if targets is None else list(targets)
        self.seed, self.progress = seed, progress
        self.checkpoints, self.resume = checkpoints, resume
        self.truth = np.ascontiguousarray(values[:, self.targets])
        length = settings.length
        origins = WindowSource.inside(split.train, length, horizon, settings.stride)
        if not len(origins):
            steps = split.train.stop - split.train.start
            raise InputError(
                "length + horizon",
                length + horizon,
                f"the training part has {steps} steps; shorten the context or the horizon",
            )
        self.source = WindowSource(
            values, origins, length, horizon, targets=self.targets, marks=self.marks
        )
        self.steps = 0
        self.last: Any = None

    def network(self) -> nn.Module:
        """The network with weights drawn from the seed."""
        s, c = self.settings, self.values.shape[1]
        marks = 0 if self.marks is None else self.marks.shape[1]
        common: dict[str, Any] = {"targets": self.targets}
        with seeded(self.seed, "weights"):
            if s.backbone == "dlinear":
                return DLinear(c, self.horizon, s.length, **common, **s.backbone_params)
            if s.backbone in SIMPLE_NETWORKS:
                build = {"patch_transformer": patch_transformer}.get(s.backbone, InformerForecaster)
                common |= s.backbone_params
                return build(c, self.horizon, s.length, marks=marks, **common)
            return ForecastNetwork(
                c,
                self.horizon,
                marks=marks,
                encoder=s.backbone,
                encoder_params=s.backbone_params,
                input_length=s.length,
                **common,
                **s.network_params,
            )

    def train(
        self, network: nn.Module, weight: float, *, stage: str, freeze: bool = False
    ) -> nn.Module:
        """One stage; contrast alone keeps the last weights, all others the best on validation.

        Args:
            network: is trained in place.
            weight: share of the contrast in the loss.
            stage: name of the stage, for checkpoints and the progress bar.
            freeze: leave the encoder as it is.
        """
        s = self.settings
        alone = weight >= 1.0 and stage == "pretrain"
        source, own = self.source, dict[str, Any]()
        if alone and s.pretrain == "sections":
            source, own = self.sections()
        sampler = EpochSampler(len(source), s.batch_size, s.steps_per_epoch)
        with seeded(self.seed, "method"):
            method = EndToEnd(
                network,
                weight=weight,
                contrast=s.contrast,
                contrast_params=s.contrast_params,
                schedule="constant" if alone else s.schedule,
                decay=s.decay,
                steps_per_epoch=len(sampler.epoch(self.seed, 0)),
                freeze_encoder=freeze,
            )
        settings = TrainSettings(
            max_epochs=s.pretrain_epochs if alone else s.max_epochs,
            lr=s.lr,
            weight_decay=s.weight_decay,
            schedule="step" if s.lr_schedule == "halving" else s.lr_schedule,
            decay_epochs=1,
            decay_factor=0.5,
            hold_epochs=s.hold_epochs,
            clip_norm=s.clip_norm,
            averaging="none",
            patience=s.patience,
            max_steps=s.max_steps,
            accelerator=s.accelerator,
            seed=self.seed,
        ).replace(**own)
        folder = None if self.checkpoints is None else self.checkpoints / stage
        trainer = Trainer(
            settings,
            checkpoints=folder,
            progress=self.progress,
            monitor=None if alone else self.validation_mse,
        )
        result = trainer.fit(method, source, sampler, resume=self.resume, title=stage)
        self.steps += result.steps
        self.last = result
        return result.encoder.cpu()

    def sections(self) -> tuple[WindowSource, dict[str, Any]]:
        """The training part in the ridge's windows, side by side, and settings to train on them."""
        part, length = self.split.train, self.settings.ridge_window or self.settings.length
        origins = WindowSource.inside(part, length, 1, length)
        source = WindowSource(self.values, origins, length, 1, marks=self.marks)
        steps = 200 if (part.stop - part.start) * self.values.shape[1] <= 100_000 else 600
        steps = min(steps, self.settings.max_steps or steps)
        own = {"max_epochs": steps, "max_steps": steps, "schedule": "cosine"}
        return source, {**own, "momentum": 0.9, "weight_decay": 1e-4}

    def validation_mse(self, network: nn.Module) -> float:
        """Mean squared error of the monitored validation windows."""
        s = self.settings
        origins = WindowSource.after(self.split.valid, s.length, self.horizon, s.monitor_stride)
        result = self.forecasts(network, origins)
        truth = self.truth[origins[:, None] + np.arange(1, self.horizon + 1)]
        return float(np.mean(np.square(result - truth, dtype=np.float64)))

    def forecasts(self, network: nn.Module, origins: NDArray[np.int64]) -> NDArray[np.float32]:
        """Forecasts (n, H, C_target) from ``origins``."""
        return window_forecasts(
            network, self.values, origins, self.settings.length, marks=self.marks
        )

    def errors(self, network: nn.Module, part: slice) -> ErrorSums:
        """Error sums over every row of a part."""
        if part.start < self.settings.length - 1:
            raise InputError(
                "length", self.settings.length, f"a part begins at step {part.start} already"
            )

        def predict(start: int, stop: int) -> Float64:
            return self.forecasts(network, np.arange(start, stop)).astype(np.float64)

        return score(predict, self.truth, part, self.horizon)

    def embeddings(self, network: ForecastNetwork) -> NDArray[np.float32]:
        """Representation of the last token of the window that ends at each step, (T, D').

        Independent channels stand side by side. Steps without a whole window are NaN.
        """
        length = self.settings.ridge_window or self.settings.length
        n_steps = len(self.values)
        back = np.arange(1 - length, 1)
        parts = []
        network.eval()
        with torch.no_grad():
            for start in range(length - 1, n_steps, 256):
                at = np.arange(start, min(start + 256, n_steps))[:, None] + back
                marks = None if self.marks is None else torch.from_numpy(self.marks[at])
                z = network.represent(torch.from_numpy(self.values[at]), marks)[:, -1]
                parts.append(z.reshape(len(at), -1).numpy())
        embeddings = np.concatenate(parts)
        lead = np.full((length - 1, embeddings.shape[1]), np.nan, dtype=np.float32)
        return np.concatenate([lead, embeddings])


def run_strategy(
    values: NDArray[np.float32],
    split: SplitLike,
    horizon: int,
    strategy: Strategy | str,
    settings: StrategySettings | None = None,
    *,
    marks: NDArray[np.float32] | None = None,
    targets: Sequence[int] | None = None,
    scale: ArrayLike | None = None,
    seed: int = 0,
    progress: ProgressReporter | None = None,
    checkpoints: Path | None = None,
    resume: bool = False,
) -> StrategyResult:
    """Train by one strategy and score on the test part.

    Args:
        values: (T, C) float32, scaled by the training part.
        split: slices ``train``, ``valid``, ``test``.
        horizon: steps ahead.
        strategy: ``supervised`` (lambda 0); ``two_stage_ridge`` and ``two_stage_mlp`` (contrast
            alone, then a frozen encoder under a ridge or the network's decoder);
            ``pretrain_finetune`` (contrast alone, then everything on MSE); ``end_to_end``.
        settings: see :class:`StrategySettings`.
        marks: (T, K) covariates known ahead, or None.
        targets: channels to forecast; all when None.
        scale: (C_target,) training deviations, for errors in the original unit.
        seed: of weights, batches and views.
        progress: told of every step.
        checkpoints: folder of checkpoints, one inside for each stage.
        resume: go on from what is there.

    Raises:
        ConfigError: unknown strategy, or one a simple network cannot follow.
        InputError: context and horizon longer than the training part, non-finite values.
    """
    s = settings or StrategySettings()
    check_choice("strategy", strategy, STRATEGIES, error=ConfigError)
    if s.backbone in SIMPLE_NETWORKS and strategy != "supervised":
        raise ConfigError("strategy", strategy, f"{s.backbone} is trained supervised only")
    run = StrategyRun(
        values,
        split,
        horizon,
        s,
        marks=marks,
        targets=targets,
        seed=seed,
        progress=progress,
        checkpoints=checkpoints,
        resume=resume,
    )
    network = run.network()
    deviations = check_scale(scale, len(run.targets))
    if strategy == "end_to_end":
        network = run.train(network, s.weight, stage="end to end")
    elif strategy == "supervised":
        network = run.train(network, 0.0, stage="supervised")
    else:
        network = run.train(network, 1.0, stage="pretrain")
        if strategy == "two_stage_ridge":
            assert isinstance(network, ForecastNetwork)
            return _ridge(run, network, deviations)
        network = run.train(network, 0.0, stage="head", freeze=strategy == "two_stage_mlp")
    test, valid = run.errors(network, split.test), run.errors(network, split.valid)
    result = make_result(horizon, test, valid, split, deviations, n_train=len(run.source))
    return StrategyResult(
        result, _by_variable(test), network, run.steps, run.last.best_epoch, run.last.monitored
    )


def _ridge(
    run: StrategyRun, network: ForecastNetwork, deviations: Float64 | None
) -> StrategyResult:
    """Ridge on frozen embeddings: in the head's place when channels are independent.

    Else on the embedding of the last step, for changes when windows lost their level.
    """
    if network.channel_independent:
        alpha, test, valid = ridge_head(
            network, run.values, run.split, run.settings.length, marks=run.marks
        )
        n_train = len(WindowSource.inside(run.split.train, run.settings.length, run.horizon))
        result = make_result(
            run.horizon, test, valid, run.split, deviations, alpha=alpha, n_train=n_train
        )
        return StrategyResult(result, _by_variable(test), network, run.steps, None, [])
    embeddings = run.embeddings(network)
    s = run.settings
    window = s.ridge_window or s.length
    rows = forecast_protocol(
        embeddings,
        run.truth,
        run.split,
        [run.horizon],
        drop=window - 1 if s.ridge_drop is None else s.ridge_drop,
        residual=network.instance_norm != "none",
        scale=deviations,
    )
    per = np.array(rows[0].variables)
    return StrategyResult(rows[0], per, network, run.steps, None, [])


def _by_variable(sums: ErrorSums) -> Float64:
    return np.stack([sums.squared, sums.absolute], axis=1) / sums.count
