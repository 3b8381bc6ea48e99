"""The forecasting job: pretrain an encoder, encode causally, score ridge forecasts, keep it all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from tscl.disk import new_folder
from tscl.encoders import ENCODERS
from tscl.encoders.base import require_every_step
from tscl.errors import CheckpointError, ConfigError, DataError, InputError
from tscl.evaluation.forecasting.baselines import (
    Baseline,
    season_of,
    season_or_step,
    standard_forecasters,
)
from tscl.evaluation.forecasting.coverage import tracked_widths
from tscl.evaluation.forecasting.head import TS2VEC_ALPHAS
from tscl.evaluation.forecasting.protocol import forecast_protocol, predict_last, validation_score
from tscl.evaluation.forecasting.scores import ErrorSums, HorizonResult, seasonal_change
from tscl.forecasters.direct_protocol import DirectRow
from tscl.inference.encode import CausalEmbeddings, encode_causal
from tscl.methods import METHODS, Method
from tscl.runs.folder import RunFolder
from tscl.runs.forecasting.config import UNTRAINED, RunConfig
from tscl.runs.forecasting.data import ForecastingData, direct_rows, future_rows, prepare
from tscl.saving.card import ModelCard, sha256_of_array
from tscl.saving.encoder import load_encoder, save_encoder, update_card
from tscl.saving.tensors import load_module, load_tensors, save_tensors
from tscl.seeding import seeded
from tscl.training.callbacks import ProgressReporter, Silent
from tscl.training.data import ArraySource, RandomSampler, cut_sections
from tscl.training.trainer import Trainer

logger = logging.getLogger(__name__)
Table = dict[str, list[HorizonResult]]
NO_ENCODER, TREES = "no encoder, same head", "gradient boosting on lags"
"""Rows of heads without an encoder."""


@dataclass
class Trained:
    """One trained method.

    Attributes:
        name: method name, or ``random``.
        encoder: in evaluation mode.
        method: the whole method; None for ``random``.
        history: one row a training step.
        seconds: of processor time to train, summed over threads; None where that is not known.
    """

    name: str
    encoder: nn.Module
    method: Method | None
    history: list[dict[str, float]]
    seconds: float | None = None


class ForecastingRun:
    """All stages of one configuration, in a run folder.

    Args:
        config: validated configuration.
        progress: where training progress is shown.
    """

    def __init__(self, config: RunConfig, progress: ProgressReporter | None = None) -> None:
        self.config = config
        self.folder = RunFolder(Path(config.out))
        self.progress = progress or Silent()
        self.data: ForecastingData = prepare(config.data, config.evaluate.horizons)
        self.encoded: dict[str, CausalEmbeddings] = {}
        self.heads: dict[str, dict[int, DirectRow]] = {}
        self.baselines: dict[str, Baseline] = {}
        self.costs: dict[str, dict[str, float | None]] = {}
        self.season = self._season() if config.evaluate.baselines else 1

    def _season(self) -> int:
        """Steps of the season that baselines repeat.

        Raises:
            InputError: an uneven axis. DataError: the training part has no whole season.
        """
        steps, train = len(self.data.series), self.data.split.train
        season = season_of(self.data.series.freq)
        if train.stop - train.start < season:
            value = f"{steps} steps, {train.stop - train.start} of them to train on"
            raise DataError("data", value, f"give a longer series: a season has {season} steps")
        return season

    def names(self) -> list[str]:
        """The configured method, then those it is compared with."""
        wanted = [self.config.method.name, *self.config.evaluate.compare]
        return list(dict.fromkeys(wanted))

    def build(self, name: str) -> tuple[nn.Module, Method | None]:
        """Encoder and method ``name`` with weights drawn from the run's seed."""
        config = self.config
        with seeded(config.seed, "weights"):
            encoder = ENCODERS.build(
                config.encoder.name, input_dims=self.data.width, **config.encoder.params
            )
        require_every_step(encoder, "forecasting")
        if name == UNTRAINED:
            return encoder.eval(), None
        covariates = self.data.n_covariates
        params = {k: covariates if v == "covariates" else v for k, v in config.params(name).items()}
        with seeded(config.seed, "method", len(name)):
            method = METHODS.build(name, encoder=encoder, **params)
        return encoder, method

    def source(self) -> ArraySource:
        """The training part, cut into sections and cropped as configured."""
        length = self.config.train.max_train_length
        part = self.data.arrays(self.data.split.train)
        return ArraySource(cut_sections(part, length), crop=length)

    def train(self, name: str, *, resume: bool = False) -> Trained:
        """Pretrain method ``name`` and save encoder, method and history in the run folder."""
        encoder, method = self.build(name)
        home = self.folder.model(name)
        if resume and (home / "encoder.json").is_file():
            return self.load(name)
        history: list[dict[str, float]] = []
        training: dict[str, Any] = {"params": self.config.params(name)}
        began, whole = time.process_time(), not resume
        if method is not None:
            settings = self.config.train.settings(self.config.seed)
            source = self.source()
            if len(source) < 2:
                raise InputError(
                    "train.max_train_length",
                    self.config.train.max_train_length,
                    f"the training part has {self.data.inputs[self.data.split.train].shape[0]} "
                    "steps, one section only, and contrast needs two: use half of them or fewer",
                )
            batch = min(self.config.train.batch_size, len(source))
            by_validation = self.config.train.select == "validation"
            trainer = Trainer(
                settings,
                checkpoints=self.folder.path / "checkpoints" / name,
                progress=self.progress,
                monitor=self.validation_score if by_validation else None,
                logs=self.folder.path / "logs" / name,
            )
            result = trainer.fit(
                method,
                source,
                RandomSampler(len(source), batch, drop_last=True),
                resume=resume,
                title=name,
            )
            encoder, history = result.encoder, result.history
            training |= {"steps": result.steps, "best_epoch": result.best_epoch}
            if whole:
                training["seconds"] = round(time.process_time() - began, 2)
            self.folder.write_history(name, history)
            if result.monitored:
                self.folder.write_history(name, result.monitored, kind="probe")
        with new_folder(home) as work:
            if method is not None:
                save_tensors(work / "method.safetensors", method.state_dict())
            save_encoder(work, encoder, self.card(name, training))
        if method is not None and trainer.store is not None:
            trainer.store.clear()
        return Trained(name, encoder, method, history, training.get("seconds"))

    def card(self, name: str, training: dict[str, Any]) -> ModelCard:
        """What is known of a model before it is evaluated; ``training`` gets the seed."""
        data, section = self.data, self.config.data
        return ModelCard(
            name,
            data={
                **data.series.source,
                "training_sha256": sha256_of_array(data.inputs[data.split.train]),
            },
            preprocessing={
                "columns": list(data.series.columns),
                "covariates": data.n_covariates,
                "future_covariates": section.future_covariates,
                "mean": data.scaler.mean.tolist(),
                "scale": data.scaler.scale.tolist(),
                "input_form": section.input_form,
                "relative_windows": list(section.relative_windows),
            },
            training={"seed": self.config.seed, **training},
            licence=self.config.licence,
        )

    def load(self, name: str) -> Trained:
        """A method trained earlier in this run folder."""
        encoder, card = load_encoder(self.folder.model(name))
        if encoder.input_dims != self.data.width:
            raise CheckpointError(
                "input_dims",
                encoder.input_dims,
                f"the data has {self.data.width} channels; use the data of the run",
            )
        _, method = self.build(name)
        if method is not None:
            tensors = load_tensors(self.folder.model(name) / "method.safetensors")
            load_module(method, tensors, "method weights")
            method.encoder = encoder
            method.eval()
        seconds = card.get("training", {}).get("seconds")
        return Trained(name, encoder, method, self.folder.history(name), seconds)

    def encode(self, encoder: nn.Module, *, until: int | None = None) -> CausalEmbeddings:
        """Embeddings of the whole series (or its first ``until`` steps), each of its past only."""
        settings = self.config.evaluate
        return encode_causal(
            encoder,  # type: ignore[arg-type]
            self.data.arrays(slice(until)),
            mode=settings.route,
            window=settings.window,
            batch_size=settings.batch_size,
        )

    def head_options(self) -> dict[str, Any]:
        """Arguments of the forecasting head from the configuration."""
        e = self.config.evaluate
        return {
            "drop": e.drop,
            "alphas": tuple(e.alphas) if e.alphas else TS2VEC_ALPHAS,
            "residual": e.residual,
            "window_features": e.window_features,
            "standardize": e.standardize,
        }

    def validation_score(self, encoder: nn.Module) -> float:
        """Mean RMSE + MAE over horizons on the validation part; the test part is cut off first."""
        split = self.data.split
        embeddings = self.encode(encoder, until=split.valid.stop)
        return validation_score(
            self.features(embeddings),
            self.data.targets[: split.valid.stop],
            split,
            self.config.evaluate.horizons,
            **self.head_options(),
        )

    def evaluate(self, trained: list[Trained]) -> Table:
        """Rows of the table: every trained method, then the baselines, on the same test rows.

        What each cost stands in ``costs``: seconds to train and to score, parameters.
        """
        table: Table = {}
        e, data = self.config.evaluate, self.data
        freq = data.series.freq
        change = seasonal_change(data.targets, data.split.train, season_or_step(freq))

        def add(name: str, score: Callable[[], list[HorizonResult]], **cost: float | None) -> None:
            began = time.process_time()
            table[name] = [result.with_mase(change) for result in score()]
            self.costs[name] = {**cost, "seconds to score": time.process_time() - began}

        for item in trained:
            size = sum(p.numel() for p in item.encoder.parameters())
            add(
                item.name,
                partial(self.scored, item),
                **{"seconds to train": item.seconds, "parameters": size},
            )
            if (self.folder.model(item.name) / "encoder.json").is_file():
                rows = {str(r.horizon): {"mse": r.mse, "mae": r.mae} for r in table[item.name]}
                update_card(self.folder.model(item.name), metrics={"test, by horizon": rows})
        if e.baselines:
            self.baselines = standard_forecasters(
                data.targets,
                data.split,
                e.horizons,
                season=self.season,
                window=min(200, max(2, data.split.train.stop // 4)),  # short series have no 200
                drop=e.drop,
                scale=data.target_scaler.scale,
            )
            for name, baseline in self.baselines.items():
                add(name, baseline.results)
            if e.head != "protocol":
                add(NO_ENCODER, partial(self.direct, NO_ENCODER, None, e.head))
                add(TREES, partial(self.direct, TREES, None, "trees"))
        return table

    def scored(self, item: Trained) -> list[HorizonResult]:
        """Results of a trained method with the configured head."""
        e, data = self.config.evaluate, self.data
        result = self.encode(item.encoder)
        self.encoded[item.name] = result
        if e.head != "protocol":
            return self.direct(item.name, self.features(result), e.head)
        return forecast_protocol(
            self.features(result),
            data.targets,
            data.split,
            e.horizons,
            scale=data.target_scaler.scale,
            **self.head_options(),
        )

    def direct(
        self, name: str, embeddings: NDArray[np.float32] | None, head: str
    ) -> list[HorizonResult]:
        """Results of a head on lags, calendar and embeddings, one a horizon; the heads are kept.

        Args:
            name: of the row, under which the heads are kept.
            embeddings: what :meth:`features` gives, or None.
            head: ``evaluate.head`` of the configuration.
        """
        rows = self._direct_rows(embeddings, head, self.config.evaluate.horizons)
        self.heads[name] = {row.result.horizon: row for row in rows}
        return [row.result for row in rows]

    def _direct_rows(
        self,
        embeddings: NDArray[np.float32] | None,
        head: str,
        horizons: list[int],
        future: NDArray[np.float32] | None = None,
    ) -> list[DirectRow]:
        """Heads that forecast beyond the end, of columns known ahead with their ``future`` rows."""
        drop, seed = self.config.evaluate.drop, self.config.seed
        return direct_rows(
            self.data, horizons, head, embeddings, drop=drop, seed=seed, future=future
        )

    def forecasts(self, name: str, horizon: int, origins: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scaled forecasts (n, horizon, C).

        Args:
            name: of the table's row.
            horizon: steps ahead.
            origins: (n,) steps to forecast from.
        """
        if name in self.baselines:
            forecast = self.baselines[name].forecast
            return np.stack([forecast(horizon, int(o)) for o in origins]).astype(np.float32)
        if name in self.heads:
            row = self.heads[name][horizon]
            return np.asarray(row.head.forecast(None, row.data, origins))
        return predict_last(
            self.features(self.embeddings(name)),
            self.data.targets,
            self.data.split,
            horizon,
            origins=origins.tolist(),
            **self.head_options(),
        ).forecast

    def _half_widths(self, name: str, horizon: int, coverage: float) -> NDArray[np.float64]:
        """Scaled half widths (horizon, C) of intervals after the last step.

        They begin with the errors of the first half of the test part and follow those since, to the
        end of the series (:func:`tscl.evaluation.forecasting.coverage.tracked_widths`).

        Raises:
            InputError: a test part too short for that.
        """
        values, test = self.data.targets, self.data.split.test
        middle = (test.start + test.stop) // 2
        if middle - horizon - test.start < 10:
            steps = test.stop - test.start
            remedy = "intervals need 10 windows in its first half: a shorter horizon or more steps"
            raise InputError("test part", f"{steps} steps", remedy)
        stride = max(1, (middle - test.start) // 150)
        first = np.arange(test.start, middle - horizon, stride)
        later = np.arange(middle, len(values) - 1, stride)
        coming = np.full((horizon, values.shape[1]), np.nan, np.float32)
        padded = np.concatenate([values, coming]).astype(np.float64)
        every = np.concatenate([first, later, [len(values) - 1]])
        truth = padded[every[:, None] + np.arange(1, horizon + 1)]
        sums = ErrorSums()
        sums.keep(values, every, truth - self.forecasts(name, horizon, every))
        assert sums.kept is not None
        least = 0.1 * np.median(sums.kept.spread, axis=0) + 1e-6
        unit = np.maximum(sums.kept.spread, least)[:, None]
        scores = np.abs(sums.kept.errors) / unit
        held, since = scores[: len(first)], scores[len(first) : -1]
        return np.asarray(tracked_widths(held, since, coverage, stride=stride)[-1] * unit[-1])

    def embeddings(self, name: str) -> CausalEmbeddings:
        """Embeddings made by :meth:`evaluate` for method ``name``."""
        if name not in self.encoded:
            raise InputError("method", name, "call evaluate first")
        return self.encoded[name]

    def features(self, embeddings: CausalEmbeddings) -> NDArray[np.float32]:
        """What the head reads: embeddings (T, D), (C, T, D) of columns that are series.

        The warm-up of sliding windows (NaN) is set to zero; it is dropped anyway.
        """
        clean = np.nan_to_num(embeddings.embeddings, nan=0.0)
        return clean if self.data.instances else clean[0]

    def learned_mask(self, trained: Trained, start: int, stop: int) -> NDArray[np.float32] | None:
        """What a learned augmentation keeps of the last input channel, (stop - start,).

        Args:
            trained: method and encoder; None is returned where it learns no mask.
            start: first step.
            stop: the step after the last.
        """
        if trained.method is None:
            return None
        kept = trained.method.learned_mask(
            torch.from_numpy(self.data.arrays(slice(start, stop))[-1:])
        )
        return None if kept is None else kept[0, :, -1].numpy()


def forecast_beyond(
    job: ForecastingRun,
    horizon: int,
    coverage: float | None = None,
    future: Path | None = None,
) -> pd.DataFrame:
    """Forecast beyond the end of the series, in original units.

    The head is fitted on the training part with its penalty chosen on validation, as in the
    evaluation.

    Args:
        job: a finished run.
        horizon: steps after the last one.
        coverage: share of the truth that intervals should hold; None for no intervals.
        future: CSV or Parquet file with the columns known ahead, of a run that has some.

    Returns:
        One row a future time stamp, one column a target; with ``coverage`` also ``TARGET.lower``
        and ``TARGET.upper``, of intervals that should hold that share.

    Raises:
        InputError: a horizon below 1 or too long for the parts; a series without a regular step.
        ConfigError, DataError: future rows missing, or those of a run that reads none.
    """
    data = job.data
    if horizon < 1:
        raise InputError("horizon", horizon, "forecast at least one step")
    if coverage is not None and not 0 < coverage < 1:
        raise InputError("coverage", coverage, "choose a share between 0 and 1")
    if data.series.freq is None:
        raise InputError("freq", None, "the series has no regular step to extend")
    if future is not None and data.known is None:
        raise ConfigError("--future", future, "the run has no data.future_covariates")
    times, coming = data.times_ahead(horizon), None
    if data.known is not None:
        coming = future_rows(data, future, times, job.config.data.time_column)
    name, head = job.config.method.name, job.config.evaluate.head
    job.encoded[name] = job.encode(job.load(name).encoder)
    if head != "protocol":
        rows = job._direct_rows(job.features(job.encoded[name]), head, [horizon], coming)
        job.heads[name] = {horizon: rows[0]}
    forecast = job.forecasts(name, horizon, np.array([len(data.targets) - 1]))[0]
    inverse, names = data.target_scaler.inverse, data.series.targets
    frame = pd.DataFrame(inverse(forecast), index=times, columns=list(names))
    if coverage is None:
        return frame
    half = job._half_widths(name, horizon, coverage)
    low, high = inverse(forecast - half), inverse(forecast + half)
    for i, target in enumerate(names):
        frame[f"{target}.lower"], frame[f"{target}.upper"] = low[:, i], high[:, i]
    return frame
