"""A comparison of objectives: the same encoder, views and steps with every loss on every data set.

One cell is one data set, objective and seed, and one JSON file; a killed comparison goes on with
the cells that are missing. Objectives are trained in SimCLR's frame (two views, a projection head
that is thrown away) and scored by a linear head on frozen embeddings. Beside them stand an
untrained encoder and features without a model. What changes with the seed: initial weights,
batches, views, and for a cohort the patients held out.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from recipes.objectives.config import Objective, ObjectivesConfig, ObjectiveTraining, SeriesTask
from recipes.objectives.feeds import BASELINE, build_objective, default_objectives, group_of
from recipes.objectives.tasks import Series, Task, TaskSource
from tscl.augmentations import Compose, KeepChannels, build_augmentation
from tscl.encoders import ENCODERS
from tscl.evaluation.probes.plain_features import raw_features, summary_features
from tscl.inference.encode import encode
from tscl.losses import alignment, uniformity
from tscl.methods import SimCLR
from tscl.runs.forecasting.config import DataSection
from tscl.runs.forecasting.data import cell_facts
from tscl.runs.workers import Report, run_cells
from tscl.saving.cells import CellFiles
from tscl.seeding import seeded, torch_generator
from tscl.training.data import ArraySource, RandomSampler
from tscl.training.trainer import Trainer, TrainSettings

UNTRAINED = "untrained encoder"
PLAIN = {"raw values": raw_features, "summary statistics": summary_features}
BASELINES = (UNTRAINED, *PLAIN)


@dataclass(frozen=True)
class ObjectiveCell:
    """One data set, objective and seed."""

    task: str
    objective: str
    seed: int

    @property
    def title(self) -> str:
        """The cell in one word."""
        word = "".join(c if c.isalnum() else "_" for c in self.objective)
        return f"{self.task}-{word.strip('_')}-s{self.seed}"


class ObjectiveStudy:
    """Cells of a configuration in a folder.

    Args:
        config: validated.
    """

    def __init__(self, config: ObjectivesConfig) -> None:
        self.config = config
        self.folder = Path(config.out)
        self.objectives = config.objectives or default_objectives()
        self.cells = self._cells()
        self.files = CellFiles(self.folder, self.cells, self.facts)
        self._sources: dict[str, TaskSource] = {}

    def __reduce__(self) -> tuple[type[ObjectiveStudy], tuple[ObjectivesConfig]]:
        return type(self), (self.config,)  # a worker reads the data itself

    def _cells(self) -> list[ObjectiveCell]:
        """All cells, seed by seed, so that a stopped comparison has whole seeds."""
        return [
            ObjectiveCell(task, name, seed)
            for seed in self.config.seeds
            for task in self.config.tasks
            for name in (*BASELINES, *self.objectives)
            if self.fits(task, name)
        ]

    def fits(self, task: str, objective: str) -> bool:
        """Whether the data set has what the objective compares."""
        setting = self.objectives.get(objective)
        between = setting is not None and setting.views == "channels"
        return not between or self.config.tasks[task].channel_groups is not None

    def facts(self, cell: ObjectiveCell) -> dict[str, Any]:
        """What the figures of a cell depend on.

        Defaults are left out, so that a later option does not make new cells of old ones.
        """
        task = self.config.tasks[cell.task]
        parts = {
            "task": task,
            "encoder": self.config.encoder,
            "train": self.config.train,
            "objective": self.objectives.get(cell.objective),
        }
        facts = {"cell": asdict(cell)} | {
            name: None if part is None else part.model_dump(mode="json", exclude_defaults=True)
            for name, part in parts.items()
        }
        if isinstance(task, SeriesTask) and "data" in facts["task"]:
            usual = cell_facts(DataSection())
            own = cell_facts(task.data)
            facts["task"]["data"] = {k: v for k, v in own.items() if v != usual.get(k)}
        return facts

    def task(self, name: str, seed: int) -> Task:
        """A data set as a seed sees it; read once."""
        if name not in self._sources:
            self._sources[name] = TaskSource(self.config.tasks[name], self.folder / "data")
        return self._sources[name].task(seed)

    def run(self, *, workers: int = 1, report: Report | None = None) -> int:
        """Run what is missing; the number of cells run.

        Args:
            workers: see :func:`tscl.runs.workers.run_jobs`.
            report: called with the cell's title, how many are done, and how many there are.

        Raises:
            JobsFailed: at the end, when cells failed; the others are kept.
        """
        for name in {cell.task for cell in self.files.missing()}:
            self.task(name, 0)  # generated cohorts are written before processes read them
        return run_cells(self.files, self.compute, self.files.write, workers=workers, report=report)

    def compute(self, cell: ObjectiveCell) -> dict[str, Any]:
        """Train and score one cell."""
        task = self.task(cell.task, cell.seed)
        row: dict[str, Any] = asdict(cell)
        if cell.objective in PLAIN:
            return row | {"group": BASELINE} | task.score(PLAIN[cell.objective])
        encoder, training = self._train(task, self.objectives.get(cell.objective), cell.seed)
        row |= training | task.score(lambda x: pooled(encoder, x))
        return row | self._diagnostics(encoder, task.seen)

    def collect(self) -> pd.DataFrame:
        """One row per finished cell."""
        return pd.DataFrame(self.files.finished())

    def _encoder(self, task: Task, seed: int) -> nn.Module:
        with seeded(seed, "weights"):
            encoder = ENCODERS.build(
                self.config.encoder.name, input_dims=task.x.shape[2], **self.config.encoder.params
            )
        assert isinstance(encoder, nn.Module)
        return encoder

    def _train(
        self, task: Task, objective: Objective | None, seed: int
    ) -> tuple[nn.Module, dict[str, Any]]:
        """The encoder after the budget, and what is to be said of its training."""
        encoder = self._encoder(task, seed)
        if objective is None:
            return encoder, {"group": BASELINE}
        train = self.config.train
        view: nn.Module = build_augmentation(train.augmentation)
        views = [view, view]
        if objective.views == "channels" and task.channel_groups is not None:
            views = [Compose([KeepChannels(group), view]) for group in task.channel_groups]
        loss = build_objective(objective, task, train.projection_dims)
        with seeded(seed, "head"):
            method = SimCLR(
                encoder,
                augmentation=views[0],
                augmentation2=views[1],
                loss=loss,
                projection_dims=train.projection_dims,
                one_pass=True,
            )
        labels: NDArray[Any] = task.targets if "targets" in loss.needs else task.classes
        size, settings = step_settings(train, len(task.x), seed)
        result = Trainer(settings).fit(
            method,
            ArraySource(task.x, labels=labels),
            RandomSampler(len(task.x), size, drop_last=True),
        )
        losses = [row["loss"] for row in result.history]
        tenth = max(1, len(losses) // 10)
        return result.encoder, {
            "group": group_of(objective),
            "steps": result.steps,
            "loss_first": float(np.mean(losses[:tenth])),
            "loss_last": float(np.mean(losses[-tenth:])),
        }

    def _diagnostics(self, encoder: nn.Module, seen: Series) -> dict[str, float]:
        """Alignment and uniformity of the embeddings of two views of test samples."""
        view = build_augmentation(self.config.train.augmentation)
        x = torch.from_numpy(seen)
        generator = torch_generator(0, "views for diagnostics")
        embeddings = [
            torch.from_numpy(pooled(encoder, view(x, generator).numpy())) for _ in range(2)
        ]
        first, second = embeddings
        return {"alignment": alignment(first, second), "uniformity": uniformity(first)}


def step_settings(train: ObjectiveTraining, n_samples: int, seed: int) -> tuple[int, TrainSettings]:
    """Samples a step, and settings of a training of so many steps."""
    size = min(train.batch_size, n_samples)
    return size, TrainSettings(
        max_epochs=math.ceil(train.steps / (n_samples // size)),
        max_steps=train.steps,
        lr=train.lr,
        weight_decay=train.weight_decay,
        averaging="none",
        seed=seed,
    )


def pooled(encoder: nn.Module, x: Series) -> NDArray[np.float32]:
    """Embeddings max-pooled over time, (n, D)."""
    return np.asarray(encode(encoder, x, pooling="max"), dtype=np.float32)  # type: ignore[arg-type]
