"""The label-efficiency job: pretrain without labels, embed once, and probe with few labels."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data_loaders.container.fields import known_labels, label_kind
from data_loaders.container.recordings import Recordings
from data_loaders.container.standardize import ChannelStats
from data_loaders.container.targets import CropTargets
from data_loaders.ecg.beat_knowledge import BeatKnowledge, beat_knowledge
from tscl.augmentations import build_augmentation
from tscl.disk import atomic_file, new_folder
from tscl.encoders import ENCODERS
from tscl.encoders.base import stride_of
from tscl.encoders.read_out import WHOLE
from tscl.errors import ConfigError
from tscl.evaluation.clinical.finetune_recordings import (
    LabelledSettings,
    fit_on_labels,
    predict_recordings,
)
from tscl.evaluation.clinical.fitted import FittedClassifier
from tscl.evaluation.clinical.recording_features import (
    PLAIN,
    RecordingFeatures,
    convolution_targets,
    fit_minirocket,
)
from tscl.evaluation.metrics.labels import MAIN, label_scores
from tscl.evaluation.probes.any_label import apply_probe, fit_probe
from tscl.evaluation.probes.balanced import fit_balanced, fit_ridge, ridge_proba
from tscl.evaluation.probes.classifiers import spread_classes
from tscl.evaluation.probes.together import mean_of_probes
from tscl.evaluation.recordings import embed_recordings
from tscl.methods import METHODS
from tscl.runs.external import SIDE, with_external
from tscl.runs.folder import RunFolder
from tscl.runs.label_efficiency.config import (
    TRAINED,
    LabelEfficiencyConfig,
    RowSection,
    labelled_settings,
    row_slug,
)
from tscl.runs.label_efficiency.data import (
    Fold,
    Index,
    Task,
    digests,
    draw_labels,
    group_copies,
    load_recordings,
    make_folds,
    make_tasks,
    scaling,
)
from tscl.runs.new_data import input_facts
from tscl.runs.weights import load_weights
from tscl.saving.card import ModelCard
from tscl.saving.cells import Cell, ResultStore
from tscl.saving.encoder import load_encoder, save_encoder
from tscl.saving.tensors import load_tensors, save_tensors
from tscl.seeding import derive_seed, seeded
from tscl.training.callbacks import ProgressReporter, Silent
from tscl.training.recordings_pretraining import pretrain_recordings
from tscl.training.settings import TrainSettings

logger = logging.getLogger(__name__)


class LabelEfficiencyRun:
    """All stages of one label-efficiency configuration, in a run folder.

    Args:
        config: validated configuration.
        progress: where progress is shown.
        recordings: instead of those of ``config.data``, such as a recipe's own; as they are to be
            seen, standardised or not.

    Attributes:
        data: all recordings. group: (n,) what folds keep together.
        tasks, folds: see :mod:`tscl.runs.label_efficiency.data`.
        encoded: how often the recordings were embedded in this process, by row and fold.
    """

    def __init__(
        self,
        config: LabelEfficiencyConfig,
        progress: ProgressReporter | None = None,
        recordings: Recordings | None = None,
    ) -> None:
        self.config = config
        self.folder = RunFolder(Path(config.out))
        self.progress = progress or Silent()
        self.data = (
            load_recordings(config.data, self.folder.path) if recordings is None else recordings
        )
        split = config.split
        if config.data.external is not None:
            loader = config.data.model_dump(include={"kind", "params"})
            self.data = with_external(
                self.data, config.data.external, loader, *scaling(config.data, self.data.n_channels)
            )
            split = split.model_copy(update={"column": SIDE, "train": None, "test": ["external"]})
        sums = digests(self.data)
        self.group = group_copies(self.data, sums)
        self.copies = len(sums) - len(set(sums))
        labels = [str(self.data.label.tolist()), str(self.data.patient_codes.tolist())]
        self.tasks: list[Task] = make_tasks(self.data, config.tasks)
        own = [task for task in self.tasks if config.tasks[task.name].label is not None]
        labels += [f"{task.classes} {task.label.tolist()}" for task in own]
        self.data_digest = hashlib.sha256("".join([*sums, *labels]).encode()).hexdigest()[:16]
        self.folds: list[Fold] = make_folds(self.data, self.group, split, config.seed, self.tasks)
        config.check_rate("data.params.rate", self.data.sampling_rate)
        self._check_crops()
        self.encoded: Counter[tuple[str, int]] = Counter()
        self._plain: dict[tuple[str, int], NDArray[np.float32]] = {}
        self._features: tuple[tuple[str, int], NDArray[np.float32]] | None = None
        self._knowledge: dict[int, BeatKnowledge] = {}
        self._scaled: tuple[int, Recordings, ChannelStats] | None = None

    def _check_crops(self) -> None:
        """Raise ConfigError where no recording fills a crop."""
        longest = int(self.data.lengths.max())
        crops = {f"rows.{n}.crop": r.crop for n, r in self.config.rows.items() if r.crop}
        for key, crop in ({"crop": self.config.crop} | crops).items():
            if crop > longest:
                seconds = longest / self.data.sampling_rate
                remedy = f"the longest recording has {longest} steps ({seconds:.3g} s): give fewer"
                raise ConfigError(key, crop, remedy)

    def begin(self, *, resume: bool) -> None:
        """Open the run folder; without ``resume`` what an earlier run left there goes."""
        self.folder.begin(self.config, resume=resume)
        if not resume:
            for name in ("cells", "embeddings"):
                shutil.rmtree(self.folder.path / name, ignore_errors=True)
        if self.data.log is not None:
            self.data.log.to_csv(self.folder.path / "records.csv")

    # -- cells -----------------------------------------------------------------------------

    def shares(self, row: RowSection) -> list[float]:
        """Shares of labels of a row, largest first."""
        return [s for s in self.config.shares if row.shares is None or s in row.shares]

    def draws(self, share: float) -> int:
        """Draws of labels: one where all are used."""
        return 1 if share == 1 else self.config.draws

    def keys(self, name: str, fold: Fold) -> list[dict[str, Any]]:
        """Keys of all cells of a row in a fold."""
        return [
            {
                "row": name,
                "fold": fold.number,
                "task": task.name,
                "share": share,
                "draw": draw,
                "data": self.data_digest,
            }
            for task in self.tasks
            for share in self.shares(self.config.rows[name])
            for draw in range(self.draws(share))
        ]

    def evaluate(self) -> list[Cell]:
        """Cells of all rows and folds; finished ones are not computed again.

        A cell holds ``rows`` (m,) of the test recordings, their ``y`` and ``proba`` (m, K).
        """
        store = ResultStore(self.folder.path / "cells")
        for fold in self.folds:
            for name, row in self.config.rows.items():
                keys = self.keys(name, fold)
                missing = [key for key in keys if key not in store]
                if not missing:
                    continue
                start = self.encoder(row.base, fold) if row.base is not None else None
                start = getattr(start, "backbone", start)  # embeddings of steps, without read-out
                for member in row.members or ([] if row.kind in TRAINED else [name]):
                    self.features(member, fold)
                title = f"{row.title or name}, fold {fold.number}"
                self.progress.start(len(keys), len(keys) - len(missing), title)
                try:
                    for key in missing:
                        cell = self.cell(key, fold, start)
                        store.add(cell)
                        main = MAIN[label_kind(cell.arrays["y"])]
                        scores = label_scores(cell.arrays["y"], cell.arrays["proba"])
                        self.progress.advance({main.upper(): scores[main]})
                finally:
                    self.progress.stop()
                logger.info("%s: done", title)
        return [
            store.get(key) for f in self.folds for n in self.config.rows for key in self.keys(n, f)
        ]

    def cell(self, key: Mapping[str, Any], fold: Fold, start: nn.Module | None) -> Cell:
        """Fit on the drawn labels of the training part and predict the test part.

        Args:
            key: row, task, fold, share and draw.
            fold: recordings to train on and to test.
            start: network that training begins with; None for rows on fixed features.
        """
        name, row = str(key["row"]), self.config.rows[str(key["row"])]
        task = next(task for task in self.tasks if task.name == key["task"])
        drawn = draw_labels(task, fold.train, self.group, key["share"], int(key["draw"]))
        test = fold.test[known_labels(task.label[fold.test])]
        facts: dict[str, Any] = {"n_labels": len(drawn), "n_test": len(test)}
        if task.kind == "multilabel":
            facts["labels"] = list(task.classes)
        if row.kind in TRAINED:
            proba, facts["step"] = self._trained(name, start, drawn, test, task, key)
        elif row.kind == "together":
            probes = [self._probe(member, fold, task, drawn)[2] for member in row.members]
            parts = [(predict(fold.train), predict(test)) for predict in probes]
            proba = mean_of_probes(parts, task.kind)
        else:
            model, used, predict = self._probe(name, fold, task, drawn)
            facts |= used
            proba = predict(test)
            if self.is_kept(key):
                frozen = self.encoder_of(name, fold)
                self.keep_classifier(key, task, frozen, model, self.pooling_of(frozen))
        return Cell(dict(key), facts, {"rows": test, "y": task.label[test], "proba": proba})

    def _probe(
        self, name: str, fold: Fold, task: Task, drawn: Index
    ) -> tuple[Any, dict[str, Any], Callable[[Index], NDArray[np.float64]]]:
        """A row's probe fitted on the drawn labels, its choices, and what it predicts."""
        settings, groups = self.config.probe, self.group[drawn]
        z, y, classes = self.features(name, fold), task.label[drawn], len(task.classes)
        model: Any
        if task.kind != "classes":
            weight = "balanced" if task.kind == "multilabel" else None
            model, used = fit_probe(z[drawn], y, settings.C, patients=groups, class_weight=weight)
            return model, used, lambda at: apply_probe(model, z[at], classes)
        if self.config.rows[name].kind == "minirocket":
            model = fit_ridge(z[drawn], y)
            used = {"alpha": float(model[-1].alpha_)}
            return model, used, lambda at: ridge_proba(model, z[at], classes)
        model, strength = fit_balanced(
            z[drawn], y, classes, C=settings.C, groups=groups, inner_folds=settings.inner_folds
        )
        return model, {"C": strength}, lambda at: spread_classes(model, z[at], classes)

    def _trained(
        self,
        name: str,
        start: nn.Module | None,
        drawn: Index,
        test: Index,
        task: Task,
        key: Mapping[str, Any],
    ) -> tuple[NDArray[np.float64], int]:
        """Probabilities of a network trained on the drawn labels, and the step it was taken at."""
        config, row = self.config, self.config.rows[name]
        settings = LabelledSettings(
            crop=row.crop or config.crop,
            whole=config.whole,
            window=config.window,
            pooling=config.pooling,
            bf16=config.bf16,
            **labelled_settings(config, row).model_dump(),
        )
        view = None if config.augmentation is None else build_augmentation(config.augmentation)
        seed = derive_seed(config.seed, "labelled", int(key["fold"]), int(key["draw"])) % 2**31
        data = self.scaled(int(key["fold"]))
        network, step = fit_on_labels(
            start or self.fresh_encoder(),
            data,
            drawn,
            task.label[drawn],
            len(task.classes),
            settings,
            augmentation=view,
            groups=self.group[drawn],
            seed=seed,
        )
        if self.is_kept(key):
            self.keep_classifier(key, task, None, network, config.pooling)
        return predict_recordings(network, data, test, settings), step

    def is_kept(self, key: Mapping[str, Any]) -> bool:
        """Whether a cell's classifier is saved: that of the largest share of labels, first draw."""
        return bool(
            key["share"] == max(self.shares(self.config.rows[str(key["row"])])) and key["draw"] == 0
        )

    def keep_classifier(
        self, key: Mapping[str, Any], task: Task, encoder: Any, model: Any, pooling: str
    ) -> None:
        """Save a classifier in ``classifiers/``.

        Args:
            key: of the cell: row, task, fold, share and draw.
            task: what it tells.
            encoder: in front of the model.
            model: probe or network that was fitted.
            pooling: of the embeddings.
        """
        config, name = self.config, str(key["row"])
        fitted = FittedClassifier.of(
            encoder,
            model,
            task.classes,
            pooling=pooling,
            card={
                **{part: key[part] for part in ("row", "task", "fold", "share", "draw")},
                "loader": config.data.model_dump(include={"kind", "params"}),
                "preprocessing": self.input_facts(int(key["fold"])),
                "whole": config.whole,
                "window": config.window,
                "bf16": config.bf16,
                "average": "embeddings" if encoder is not None else "probabilities",
                "licence": config.licence,
            },
        )
        place = f"{row_slug(name)}-fold{key['fold']}-{row_slug(task.name)}"
        fitted.save(self.folder.path / "classifiers" / place)

    def input_facts(self, number: int) -> dict[str, Any]:
        """What cards keep of the input of a fold."""
        if self.config.data.standardize == "train":
            return input_facts(self.data, "train", self._by_training(number)[2])
        return input_facts(self.data, *scaling(self.config.data, self.data.n_channels))

    def scaled(self, number: int) -> Recordings:
        """The recordings as a fold's networks see them."""
        by_training = self.config.data.standardize == "train"
        return self._by_training(number)[1] if by_training else self.data

    def _by_training(self, number: int) -> tuple[int, Recordings, ChannelStats]:
        if self._scaled is None or self._scaled[0] != number:
            fold = next(fold for fold in self.folds if fold.number == number)
            stats = self.data.subset(fold.train).channel_stats()
            self._scaled = number, self.data.standardize(stats), stats
        return self._scaled

    # -- features --------------------------------------------------------------------------

    def features(self, name: str, fold: Fold) -> NDArray[np.float32]:
        """Features (n, D) of all recordings, kept on disk: computed once for a row and fold."""
        if self._features is not None and self._features[0] == (name, fold.number):
            return self._features[1]
        path = self._features_file(name, fold, "npy")
        if path.is_file():
            result: NDArray[np.float32] = np.load(path, allow_pickle=False)
        else:
            result = self._computed(name, fold)
            self.encoded[name, fold.number] += 1
            with atomic_file(path) as work, work.open("wb") as file:
                np.save(file, result)
        self._features = (name, fold.number), result
        return result

    def _computed(self, name: str, fold: Fold) -> NDArray[np.float32]:
        config = self.config
        encoder = self.encoder_of(name, fold)
        if isinstance(encoder, RecordingFeatures):
            if encoder.kind in PLAIN:
                return encoder.scaled(self.plain(encoder.kind, fold.number))
            return encoder.transform(self.scaled(fold.number))
        return embed_recordings(
            encoder,
            self.scaled(fold.number),
            pooling=self.pooling_of(encoder),
            whole=config.whole,
            window=config.window,
            bf16=config.bf16,
        )

    def _features_file(self, name: str, fold: Fold, ending: str) -> Path:
        """Where the features of a row and fold are kept, or what they were fitted as."""
        return self.folder.path / "embeddings" / f"{row_slug(name)}-fold{fold.number}.{ending}"

    def plain(self, kind: str, number: int) -> NDArray[np.float32]:
        """Features of a kind before they are scaled, computed once for what all folds see alike."""
        data = self.scaled(number)
        place = kind, 0 if data is self.data else number
        if place not in self._plain:
            self._plain[place] = PLAIN[kind](data)
        return self._plain[place]

    def encoder_of(self, name: str, fold: Fold) -> nn.Module | RecordingFeatures:
        """The encoder of a row that is not trained on labels, or its features without one."""
        config, row = self.config, self.config.rows[name]
        if row.kind in ("pretrained", "untrained"):
            return self.encoder(name, fold) if row.kind == "pretrained" else self.fresh_encoder()
        path, length = self._features_file(name, fold, "safetensors"), row.crop or config.crop
        if path.is_file():
            arrays = {key: value.numpy() for key, value in load_tensors(path).items()}
            return RecordingFeatures(row.kind, arrays, length)
        if row.kind == "minirocket":
            data = self.scaled(fold.number)
            fitted = fit_minirocket(data, fold.train, length, seed=config.seed, **row.params)
        else:
            fitted = RecordingFeatures.scaled_by(
                row.kind, self.plain(row.kind, fold.number), fold.train
            )
        save_tensors(path, {key: torch.from_numpy(value) for key, value in fitted.arrays.items()})
        return fitted

    def pooling_of(self, encoder: nn.Module | RecordingFeatures) -> str:
        """The job's pooling, unless the encoder pools by itself."""
        return "mean" if stride_of(encoder) >= WHOLE else self.config.pooling

    def fresh_encoder(self) -> nn.Module:
        """The untrained network: the same weights for every row and fold."""
        with seeded(self.config.seed, "model"):
            encoder: nn.Module = ENCODERS.build(
                self.config.encoder.name,
                input_dims=self.data.n_channels,
                **self.config.encoder.params,
            )
        return encoder

    # -- pretraining -----------------------------------------------------------------------

    def home(self, name: str, fold: Fold) -> Path:
        """Folder of the encoder of a pretrained row."""
        return self.folder.model(f"{row_slug(name)}/fold{fold.number}")

    def encoder(self, name: str, fold: Fold) -> nn.Module:
        """The encoder of a pretrained row, trained on the training part where it is missing.

        No label is read: the recordings go to training without them.
        """
        home = self.home(name, fold)
        if (home / "encoder.json").is_file():
            return load_encoder(home)[0]
        config, row = self.config, self.config.rows[name]
        if row.weights is not None:
            return self._from_weights(name, fold, home)
        data = without_labels(self.scaled(fold.number).subset(fold.train))
        targets: CropTargets | None = None
        crop = row.crop or config.crop
        if row.targets:
            targets = self.targets(row.targets, fold.train, crop)
        assert row.method is not None
        checkpoints = self.folder.path / "checkpoints" / f"{row_slug(name)}-fold{fold.number}"
        result = pretrain_recordings(
            data,
            targets,
            crop=crop,
            views=row.views,
            as_samples=row.as_samples,
            batch_size=row.batch_size or config.batch_size,
            encoder={"name": config.encoder.name, **config.encoder.params},
            method=row.method,
            method_params=self.method_params(row),
            settings=TrainSettings(seed=config.seed, **{**config.train, **row.train}),
            checkpoints=checkpoints,
            progress=self.progress,
        )
        self.folder.write_history(f"{row_slug(name)}-fold{fold.number}", result.history)
        card = ModelCard(
            row.method,
            data={"name": data.name, "source": data.source, "fold": fold.number},
            preprocessing=self.input_facts(fold.number),
            training={"params": row.params, "seed": config.seed, "steps": result.steps},
            licence=config.licence,
        )
        with new_folder(home) as work:
            save_encoder(work, result.encoder, card)
        shutil.rmtree(checkpoints, ignore_errors=True)
        return result.encoder

    def _from_weights(self, name: str, fold: Fold, home: Path) -> nn.Module:
        """Weights trained elsewhere, kept in the run so that it does not change with them."""
        row, data = self.config.rows[name], self.data
        encoder, card = load_weights(
            f"rows.{name}",
            str(row.weights),
            data.channel_names,
            data.sampling_rate,
            row.channels,
            self.config.seed,
        )
        facts = {"weights": row.weights, "preprocessing": self.input_facts(fold.number)}
        with new_folder(home) as work:
            save_encoder(work, encoder, {**card, **facts})
        return encoder

    def targets(self, names: Sequence[str], fit: Index, crop: int) -> CropTargets:
        """What is known of recordings without labels, scaled by themselves.

        Args:
            names: ``beats``, ``minirocket`` or both.
            fit: rows of the recordings.
            crop: steps of the crops they are told of.
        """
        bare, parts = without_labels(self.data), []
        if "beats" in names:
            if crop not in self._knowledge:
                cache = self.folder.path / "knowledge"
                self._knowledge[crop] = beat_knowledge(bare, crop=crop, cache=cache)
            parts.append(self._knowledge[crop].targets(fit=fit).subset(fit))
        if "minirocket" in names:
            parts.append(convolution_targets(bare.subset(fit), crop, seed=self.config.seed))
        return parts[0] if len(parts) == 1 else parts[0].joined(parts[1])

    def method_params(self, row: RowSection) -> dict[str, Any]:
        """Arguments of the row's method: the job's augmentation and pooling unless it has its
        own."""
        takes = METHODS.parameters(str(row.method))
        shared: dict[str, Any] = {"pooling": self.config.pooling}
        # Where augmentation is learned, the argument of that name is a network.
        if "AugmentationSpec" in str(getattr(takes.get("augmentation"), "annotation", "")):
            shared["augmentation"] = self.config.augmentation
        return {**{k: v for k, v in shared.items() if k in takes}, **row.params}


def without_labels(data: Recordings) -> Recordings:
    """The recordings with every label unknown."""
    bare = data.subset(np.arange(len(data)))
    bare.label = np.full(len(data), -1)
    return bare
