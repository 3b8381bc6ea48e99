"""The clinical job: split by patient, pretrain on training patients, score the others."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from torch import nn

from data_loaders import MedicalDataset, ecg_quality
from data_loaders.splits.leakage import check_split
from tscl.disk import atomic_file, new_folder
from tscl.encoders import ENCODERS
from tscl.errors import CheckpointError, ConfigError, nearest
from tscl.estimators.labels import supervision
from tscl.evaluation.clinical.bandpower import BandPower, bands_within
from tscl.evaluation.clinical.evaluate import evaluate_cells, pooled_embeddings
from tscl.evaluation.clinical.fitted import FittedClassifier
from tscl.evaluation.metrics.labels import MAIN, SCORES, label_scores
from tscl.evaluation.probes.any_label import apply_probe, fit_probe
from tscl.losses.base import ContrastiveLoss
from tscl.methods import METHODS
from tscl.methods.instance_loss import instance_losses
from tscl.runs.clinical.config import ClinicalConfig, ClinicalTrainSection
from tscl.runs.clinical.data import (
    Fold,
    hashed_ids,
    load_patients,
    make_folds,
    standardised,
    training_stats,
    unlabelled_for_training,
)
from tscl.runs.clinical.rows import Row, table_rows
from tscl.runs.config import under
from tscl.runs.external import external_parts, with_external
from tscl.runs.folder import RunFolder
from tscl.runs.new_data import input_facts
from tscl.saving.card import ModelCard, RowsOf, sha256_of_array
from tscl.saving.cells import Cell, ResultStore
from tscl.saving.encoder import load_encoder, save_encoder, update_card
from tscl.seeding import seeded
from tscl.training.callbacks import ProgressReporter, Silent
from tscl.training.data import ArraySource, GroupedSampler, RandomSampler, Sampler, WeightedSampler
from tscl.training.diagnostics import EmbeddingDiagnostics
from tscl.training.trainer import Trainer, TrainResult


def class_names(data: MedicalDataset) -> tuple[str, ...]:
    """Names of the predictions: of classes, two or more; of labels; or of a number."""
    if data.label_kind != "classes":
        return tuple(data.label_names) or ("value",)
    count = max(2, len(data.label_names), int(data.label.max()) + 1)
    return tuple(data.label_names) + tuple(map(str, range(len(data.label_names), count)))


def mean_scores(cells: Sequence[Cell], metric: str) -> dict[str, float]:
    """Mean score over the samples and seeds of the cells of one row and fold, by protocol.

    Keys read ``partial, 0.1 of patients``; values that are undefined (test samples of one class)
    are left out.
    """
    scores: dict[str, list[float]] = {}
    for cell in cells:
        name = f"{cell.key['protocol']}, {cell.key['fraction']:g} of {cell.key['by']}"
        value = label_scores(cell.arrays["y"], cell.arrays["proba"])[metric]
        if np.isfinite(value):
            scores.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in scores.items()}


@dataclass(frozen=True)
class ProbeMonitor:
    """1 minus the validation score of a linear probe fitted on training labels.

    Attributes:
        X: (n, T, C) samples, also memory-mapped. label: of each, of any kind.
        train, valid: rows of ``X``; no others are read.
        n_outputs: number of classes or labels, 1 of a number.
        metric: of :func:`tscl.evaluation.metrics.labels.label_scores`, higher is better.
        C: of the logistic regression.
        pooling: of the embeddings over time (:func:`tscl.pooling.pool_time`).
    """

    X: Any
    label: NDArray[Any]
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    n_outputs: int
    metric: str
    C: float
    pooling: str = "max"

    def __call__(self, encoder: nn.Module) -> float:
        """The score of ``encoder``; infinite when it is not defined."""
        embeddings = [
            pooled_embeddings(encoder, self.X, index, pooling=self.pooling)
            for index in (self.train, self.valid)
        ]
        train, valid = self.label[self.train], self.label[self.valid]
        model, _ = fit_probe(embeddings[0], train, self.C)
        value = label_scores(valid, apply_probe(model, embeddings[1], self.n_outputs))[self.metric]
        return 1.0 - value if math.isfinite(value) else math.inf


Supervision = tuple[NDArray[Any], dict[str, NDArray[np.int64]]]


def _supervised_by(
    data: MedicalDataset, losses: Sequence[ContrastiveLoss], train: ClinicalTrainSection
) -> Supervision:
    """What supervised pretraining reads of training samples: classes, numbers, the background.

    Raises:
        ConfigError: losses that read numbers or a background without their column or label.
    """
    needs = {need for loss in losses for need in loss.needs}
    y: ArrayLike = data.label
    if data.label_kind == "classes":
        y = np.asarray(data.label_names)[data.label]
    elif "targets" not in needs:
        remedy = f"pretraining reads classes, these are {data.label_kind}: set it to false"
        raise ConfigError("train.labels", True, remedy)
    if "targets" in needs:
        numbers = data.columns.select_dtypes("number")
        if train.targets not in numbers:
            known = ", ".join(map(str, numbers)) or "none here"
            remedy = f"the loss reads numbers: name a column that holds them ({known})"
            raise ConfigError("train.targets", train.targets, remedy)
        y = numbers[train.targets].to_numpy()
    supervised: Supervision = under("train", supervision, y, len(data), needs, train.background)
    return supervised


logger = logging.getLogger(__name__)


class ClinicalRun:
    """All stages of one clinical configuration, in a run folder.

    Args:
        config: validated configuration.
        progress: where training progress is shown.

    Attributes:
        data: all samples as loaded.
        folds: the splits by patient.
        rows: rows of the table.
    """

    def __init__(self, config: ClinicalConfig, progress: ProgressReporter | None = None) -> None:
        self.config = config
        self.folder = RunFolder(Path(config.out))
        self.progress = progress or Silent()
        self.rows: list[Row] = table_rows(config)
        self.data: MedicalDataset = load_patients(config.data, self.folder.path)
        self.folds: list[Fold] = self._folds()
        if config.data.hash_ids:
            self.data = hashed_ids(self.data, config.data.keep_columns)
        for name in config.evaluate.subgroups:
            if name not in self.data.columns:
                known = [str(column) for column in self.data.columns]
                raise ConfigError("evaluate.subgroups", name, nearest(name, known))
        scores = SCORES[self.data.label_kind]
        probing = config.train.probe or config.train.select == "validation"
        if probing and config.train.monitor not in scores:
            allowed = [name for name in scores if name in ("auroc", "f1", "accuracy", "r2")]
            remedy = f"the labels are {self.data.label_kind}: choose among {allowed}"
            raise ConfigError("train.monitor", config.train.monitor, remedy)
        if any("valid" not in fold.parts for fold in self.folds):
            config.refuse_probing("give split.params.valid")
        self._seen: tuple[int, MedicalDataset] | None = None
        self._facts: dict[tuple[int, str], dict[str, Any]] = {}

    def _folds(self) -> list[Fold]:
        """The splits, or training and another hospital's patients; then ``data`` holds both."""
        config, external = self.config, self.config.data.external
        if external is None:
            return make_folds(
                self.data, config.split, config.seed, unlabelled=config.data.unlabelled
            )
        loader = config.data.model_dump(include={"kind", "params", "label", "label_kind"})
        if isinstance(config.data.label, str):
            loader["label_kind"] = self.data.label_kind
        self.data = with_external(self.data, external, loader)
        parts = external_parts(self.data, external.valid, config.seed)
        checked = check_split(self.data, parts)
        if config.data.unlabelled == "leave_out":
            return [Fold(0, checked)]
        return [Fold(0, checked, unlabelled_for_training(self.data, checked))]

    def begin(self, *, resume: bool) -> None:
        """Open the run folder and write the record log of the loader there."""
        self.folder.begin(self.config, resume=resume)
        if self.data.log is not None:
            self.data.log.to_csv(self.folder.path / "records.csv")

    def row(self, name: str) -> Row:
        """The row called ``name`` in the configuration."""
        return next(row for row in self.rows if row.name == name)

    def seen(self, fold: Fold) -> MedicalDataset:
        """The samples as the encoder sees them in ``fold``."""
        if self._seen is None or self._seen[0] != fold.number:
            how = self.config.data.standardize
            self._seen = fold.number, standardised(self.data, how, fold.parts["train"])
        return self._seen[1]

    def fresh_encoder(self) -> nn.Module:
        """A newly initialised encoder, from torch's generator."""
        encoder: nn.Module = ENCODERS.build(
            self.config.encoder.name,
            input_dims=self.data.n_channels,
            **self.config.encoder.params,
        )
        return encoder

    # -- pretraining ---------------------------------------------------------------------------

    def train(self, row: Row, fold: Fold, *, resume: bool = False) -> nn.Module:
        """Pretrain a row and keep its encoder.

        Every row of one repeat starts from the same weights and takes the same number of steps.

        Args:
            row: of the table: method and repeat.
            fold: on whose training patients.
            resume: take an encoder that is there already.
        """
        home = self.folder.model(f"{row.slug}/fold{fold.number}")
        if resume and (home / "encoder.json").is_file():
            return self.load(row, fold)
        config = self.config
        seed = config.seed + row.repeat
        data = self.seen(fold).subset(fold.parts["train"] if row.labels else fold.pretrain)
        with seeded(seed, "weights"):
            encoder = self.fresh_encoder()
        with seeded(seed, "method", len(row.method)):
            method = METHODS.build(row.method, encoder=encoder, **row.params)
        ids = {"patient": data.patient_codes, "trial": data.trial_codes}
        for column in data.columns.columns:
            ids.setdefault(str(column), pd.factorize(data.columns[column])[0].astype(np.int64))
        sampler = self.weighted(self.sampler(row, data), data)
        probing = config.train.probe or config.train.select == "validation"
        steps = self.steps(data if not row.labels else self.data.subset(fold.pretrain, lazy=True))
        settings = config.train.settings(
            seed,
            keep="best" if config.train.select == "validation" else "last",
            max_steps=steps,
            max_epochs=math.ceil(steps / max(len(sampler.epoch(seed, 0)), 1)),
        )
        watch = None
        if config.train.diagnostics:
            shown = np.linspace(0, len(data) - 1, min(len(data), 256)).astype(np.int64)
            pooling = config.evaluate.pooling
            watch = EmbeddingDiagnostics(method, data.X[shown], pooling=pooling, seed=seed)
        trainer = Trainer(
            settings,
            callbacks=[watch] if watch else [],
            checkpoints=self.folder.path / "checkpoints" / f"{row.slug}-fold{fold.number}",
            progress=self.progress,
            monitor=self.monitor(fold) if probing else None,
            logs=self.folder.path / "logs" / f"{row.slug}-fold{fold.number}",
        )
        title = f"{row.label}, fold {fold.number}"
        labels = None
        if row.labels:
            labels, background = _supervised_by(data, instance_losses(method), config.train)
            ids |= background
        source = ArraySource(data.X, ids=ids, labels=labels)  # type: ignore[arg-type]
        result = trainer.fit(method, source, sampler, resume=resume, title=title)
        if watch is not None:
            path = self.folder.path / f"diagnostics-{row.slug}-fold{fold.number}.csv"
            with atomic_file(path) as work:
                pd.DataFrame(watch.rows).to_csv(work, index=False)
        self._keep(row, fold, home, result)
        assert trainer.store is not None
        trainer.store.clear()
        return result.encoder

    def sampler(self, row: Row, data: MedicalDataset) -> RandomSampler | GroupedSampler:
        """How the batches of ``row`` are drawn from the training samples ``data``."""
        train = self.config.train
        size = min(train.batch_size, len(data))
        sampler: RandomSampler | GroupedSampler = RandomSampler(len(data), size, drop_last=True)
        if row.sampler != "random":
            sampler = GroupedSampler(
                data.trial_codes,
                data.patient_codes,
                size,
                row.sampler,
                trials_per_patient=train.trials_per_patient,
                refresh=train.refresh,
                drop_last=True,
            )
        return sampler

    def weighted(self, sampler: RandomSampler | GroupedSampler, data: MedicalDataset) -> Sampler:
        """``sampler``, drawing ``data`` by the quality of their signal where that is asked for."""
        power = self.config.train.quality
        if not power:
            return sampler
        quality = under("train.quality", ecg_quality, data.X, float(data.sampling_rate.min()))
        return WeightedSampler(sampler, quality**power)

    def steps(self, data: MedicalDataset) -> int:
        """Optimiser steps of every row: those of the configured method's epochs."""
        train = self.config.train
        steps = len(self.sampler(self.rows[0], data).epoch(self.config.seed, 0)) * train.max_epochs
        return steps if train.max_steps is None else min(steps, train.max_steps)

    def monitor(self, fold: Fold) -> ProbeMonitor:
        """1 minus the validation score of a linear probe; it never sees the test part."""
        C = self.config.evaluate.C
        return ProbeMonitor(
            self.seen(fold).X,
            self.data.label,
            fold.parts["train"],
            fold.parts["valid"],
            n_outputs=len(class_names(self.data)),
            metric=self.config.train.monitor,
            C=C[0] if isinstance(C, list) else C,
            pooling=self.config.evaluate.pooling,
        )

    def _keep(self, row: Row, fold: Fold, home: Path, result: TrainResult) -> None:
        """Write history, validation curve and encoder; the encoder's card comes last."""
        name = f"{row.slug}-fold{fold.number}"
        self.folder.write_history(name, result.history)
        if result.monitored:
            curve = pd.DataFrame(result.monitored)
            curve[self.config.train.monitor] = 1.0 - curve.pop("score")
            curve["epoch"] = curve["epoch"].astype(int) + 1
            with atomic_file(self.folder.path / f"probe-{name}.csv") as work:
                curve.to_csv(work, index=False)
        data = self.data
        by_validation = self.config.train.select == "validation"
        card = ModelCard(
            row.method,
            data={
                "name": data.name,
                "source": data.source,
                "fold": fold.number,
                "training_sha256": sha256_of_array(RowsOf(self.seen(fold).X, fold.pretrain)),
            },
            preprocessing=self.input_facts(fold),
            training={
                "params": row.params,
                "seed": self.config.seed,
                "steps": result.steps,
                "best_epoch": result.best_epoch if by_validation else None,
            },
            licence=self.config.licence,
        )
        with new_folder(home) as work:
            save_encoder(work, result.encoder, card)

    def input_facts(self, fold: Fold, how: str | None = None) -> dict[str, Any]:
        """What cards keep of the input; ``how`` None is the configuration's standardisation."""
        how = how or self.config.data.standardize
        place = fold.number, how
        if place not in self._facts:  # asked for by every classifier that is kept
            stats = training_stats(self.data, how, fold.parts["train"])
            self._facts[place] = input_facts(self.data, how, stats)
        return self._facts[place]

    def keep_classifier(
        self, row: Row, fold: Fold, key: dict[str, Any], encoder: Any, model: Any
    ) -> None:
        """Save what was fitted on the largest share of labels in ``classifiers/``.

        Args:
            row: of the table.
            fold: split of the patients.
            key: of the cell: protocol, fraction, by, seed and fold.
            encoder: in front of the model.
            model: probe or network that was fitted.
        """
        e = self.config.evaluate
        if key["fraction"] < max(e.fractions) or key["by"] not in ("all", e.by[0]):
            return
        facts = {name: key[name] for name in ("protocol", "fraction", "seed", "fold")}
        loaded = row.baseline is not None and row.baseline.loaded
        fitted = FittedClassifier.of(
            encoder,
            model,
            class_names(self.data),
            pooling=e.pooling,
            card={
                "row": row.label,
                **facts,
                "loader": self.config.data.model_dump(include={"kind", "params"}),
                "preprocessing": self.input_facts(fold, "none" if loaded else None),
                "licence": self.config.licence,
            },
        )
        name = f"{row.slug}-fold{fold.number}-{key['protocol']}-seed{key['seed']}"
        fitted.save(self.folder.path / "classifiers" / name)

    def load(self, row: Row, fold: Fold) -> nn.Module:
        """The encoder of ``row`` trained earlier in this run folder."""
        encoder, _ = load_encoder(self.folder.model(f"{row.slug}/fold{fold.number}"))
        if encoder.input_dims != self.data.n_channels:
            raise CheckpointError(
                "input_dims",
                encoder.input_dims,
                f"the data has {self.data.n_channels} channels; use the data of the run",
            )
        return encoder

    # -- evaluation ----------------------------------------------------------------------------

    def evaluate(self, *, resume: bool = True) -> list[Cell]:
        """Cells of all rows and folds, training what is missing; finished ones are not redone."""
        store = ResultStore(self.folder.path / "results")
        cells: list[Cell] = []
        for fold in self.folds:
            for row in self.rows:
                cells += self._evaluate_row(row, fold, store, resume=resume)
                logger.info("%s, fold %s: done", row.label, fold.number)
        return cells

    def _evaluate_row(
        self, row: Row, fold: Fold, store: ResultStore, *, resume: bool = True
    ) -> list[Cell]:
        """Cells of one row in one fold; a row without protocols of its own has none."""
        cells: list[Cell] = []
        repeats = row.repeats(self.config.train.repeats)
        for repeat in repeats:
            seeds = range(repeat.repeat, self.config.evaluate.seeds, len(repeats))
            cells += self._evaluate_repeat(repeat, fold, store, seeds, resume)
        return cells

    def _evaluate_repeat(
        self, row: Row, fold: Fold, store: ResultStore, seeds: range, resume: bool
    ) -> list[Cell]:
        """Cells of one pretraining of a row, by the seeds that use it."""
        e, baseline = self.config.evaluate, row.baseline
        frozen = [name for name in e.protocols if name != "full"]
        protocols: list[str] = list(frozen)
        data = self.seen(fold)
        encoder: Any
        if baseline is None:
            encoder = self.train(row, fold, resume=resume)
            if "full" in e.protocols and (e.full_rows is None or row.name in e.full_rows):
                protocols.append("full")
        elif baseline.features:
            rate = float(self.data.sampling_rate[0])
            encoder = BandPower(rate, bands_within(e.bands, rate, self.data.source.get("band")))
            protocols = [name for name in frozen if name != "head"]
            data = self.data if baseline.loaded else data
        else:
            encoder = self.fresh_encoder
            protocols = ["full"] if baseline.full else protocols
        if not protocols:
            return []
        cells = evaluate_cells(
            encoder,
            data,
            fold.parts,
            method=row.label,
            protocols=protocols,
            fractions=e.fractions,
            by=list(e.by),
            seeds=seeds,
            fold=fold.number,
            C=e.C,
            n_neighbors=e.n_neighbors,
            finetune=e.finetune,
            epochs=e.epochs(),
            pooling=e.pooling,
            one_vs_rest=e.one_vs_rest,
            class_weight=e.class_weight,
            store=store,
            on_fitted=partial(self.keep_classifier, row, fold),
        )
        if baseline is None:
            home = self.folder.model(f"{row.slug}/fold{fold.number}")
            metric = MAIN[self.data.label_kind]
            called = f"test {metric.upper()} by sample, mean over seeds"
            update_card(home, metrics={called: mean_scores(cells, metric)})
        return cells
