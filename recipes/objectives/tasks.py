"""Data sets of a comparison of objectives: samples to train on and one figure for any features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_loaders.archive import load_classification
from data_loaders.cohort.cohort import load_cohort, make_cohort
from data_loaders.cohort.config import CohortConfig
from data_loaders.splits.patients import GroupKFold
from recipes.objectives.config import ArchiveTask, CohortTask, SeriesTask, TaskSection
from tscl.errors import ConfigError, InputError
from tscl.evaluation.forecasting.protocol import forecast_protocol
from tscl.evaluation.probes.classifiers import linear_probe
from tscl.runs.forecasting.data import ForecastingData, prepare
from tscl.seeding import numpy_generator

Series = NDArray[np.float32]
Groups = tuple[list[int], list[int]]
Features = Callable[[Series], NDArray[np.float32]]
"""(n, T, C) series to (n, D) features."""

SEEN = 512
"""Test samples that alignment and uniformity are measured on, at most."""


@dataclass(frozen=True, eq=False)
class Task(ABC):
    """One data set as one seed sees it.

    Attributes:
        x: (n, T, C) training samples, standardised.
        classes: (n,) codes 0..n_classes-1; targets: (n,) the same as numbers, or what they bin.
        n_classes: number of classes.
        seen: (m, T, C) test samples for diagnostics.
        channel_groups: channels of the two modalities, None where there are no two.
    """

    x: Series
    classes: NDArray[np.int64]
    targets: NDArray[np.float32]
    n_classes: int
    seen: Series
    channel_groups: Groups | None

    @abstractmethod
    def score(self, features: Features) -> dict[str, float]:
        """Test figures of ``features``; ``error`` is what is ranked, lower is better."""


@dataclass(frozen=True, eq=False)
class ClassificationTask(Task):
    """Logistic regression on frozen features; ``error`` is 1 - macro F1."""

    x_test: Series
    classes_test: NDArray[np.int64]

    def score(self, features: Features) -> dict[str, float]:
        """Macro F1, accuracy and AUROC on the test part."""
        result = linear_probe(
            features(self.x), self.classes, features(self.x_test), self.classes_test
        )
        return {
            "error": 1.0 - result.macro_f1,
            "macro_f1": result.macro_f1,
            "accuracy": result.accuracy,
            "auroc": result.auroc,
        }


@dataclass(frozen=True, eq=False)
class ForecastTask(Task):
    """Ridge from the features of the past window to the changes; ``error`` is the mean MSE."""

    data: ForecastingData
    length: int
    horizons: tuple[int, ...]

    def score(self, features: Features) -> dict[str, float]:
        """Mean squared and absolute error on the test part, scaled, over the horizons."""
        embeddings = features(windows_of(self.data.inputs, self.length))
        known = np.full((len(self.data.inputs), embeddings.shape[1]), np.nan, dtype=np.float32)
        known[self.length - 1 :] = embeddings
        results = forecast_protocol(
            known,
            self.data.targets,
            self.data.split,
            self.horizons,
            drop=self.length,
            residual=True,
            standardize=True,
        )
        mse = float(np.mean([result.mse for result in results]))
        return {"error": mse, "mse": mse, "mae": float(np.mean([result.mae for result in results]))}


class TaskSource:
    """Reads a data set once and gives each seed its :class:`Task`.

    Args:
        section: what to read. folder: where a generated cohort is kept.
    """

    def __init__(self, section: TaskSection, folder: Path) -> None:
        self.section = section
        self._make: Callable[[int], Task]
        if isinstance(section, CohortTask):
            self._make = _cohort(section, folder)
        elif isinstance(section, ArchiveTask):
            task = _archive(section)
            self._make = lambda seed: task
        elif isinstance(section, SeriesTask):
            series = _series(section)
            self._make = lambda seed: series
        else:
            raise ConfigError("kind", type(section).__name__, "use cohort, archive or series")

    def task(self, seed: int) -> Task:
        """The data set as ``seed`` sees it."""
        return self._make(seed)


def windows_of(values: Series, length: int, stride: int = 1) -> Series:
    """All windows of ``length`` steps of (T, C), (n, length, C); window i ends at a step."""
    view = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)[::stride]
    return np.ascontiguousarray(view.transpose(0, 2, 1))


def _cohort(section: CohortTask, folder: Path) -> Callable[[int], Task]:
    config = CohortConfig.from_dict(section.settings)
    name = "cohort-" + "-".join(f"{k}{v}" for k, v in sorted(section.settings.items()))
    path = folder / (name if section.settings else "cohort")
    if not (path / "cohort.json").is_file():
        make_cohort(path, config)
    data = load_cohort(path, window=section.window, overlap=section.overlap)
    groups = _channel_groups(section, data.n_channels)
    folds = GroupKFold(section.folds).folds(data.table)
    x, label = np.asarray(data.X), data.label

    def make(seed: int) -> Task:
        test = folds[seed % section.folds]
        train = np.setdiff1d(np.arange(len(x)), test)
        return _classification(x[train], label[train], x[test], label[test], 2, groups)

    return make


def _archive(section: ArchiveTask) -> Task:
    data = load_classification(section.set, section.root)
    groups = _channel_groups(section, data.X_train.shape[2])
    return _classification(
        data.X_train, data.y_train, data.X_test, data.y_test, len(data.classes), groups
    )


def _classification(
    x: Series,
    y: NDArray[np.int64],
    x_test: Series,
    y_test: NDArray[np.int64],
    n_classes: int,
    groups: Groups | None,
) -> Task:
    mean, scale = np.nanmean(x, axis=(0, 1)), np.nanstd(x, axis=(0, 1))
    scale = np.where(scale > 0, scale, 1.0)
    train, test = (((part - mean) / scale).astype(np.float32) for part in (x, x_test))
    return ClassificationTask(
        x=train,
        classes=y.astype(np.int64),
        targets=y.astype(np.float32),
        n_classes=n_classes,
        seen=_some(test),
        channel_groups=groups,
        x_test=test,
        classes_test=y_test.astype(np.int64),
    )


def _series(section: SeriesTask) -> Task:
    data = prepare(section.data, section.horizons)
    length, train = section.length, data.split.train
    groups = _channel_groups(section, data.inputs.shape[1])
    last = train.stop - section.ahead - length
    if last - train.start < 2 * section.stride:
        raise InputError(
            "length", length, f"the training part has {train.stop - train.start} steps"
        )
    part = data.inputs[train.start : train.stop - section.ahead]
    x = windows_of(part, length, section.stride)
    ends = train.start + length - 1 + section.stride * np.arange(len(x))
    mean = data.targets.mean(axis=1)
    ahead = np.array([mean[e + 1 : e + 1 + section.ahead].mean() - mean[e] for e in ends])
    edges = np.quantile(ahead, np.linspace(0, 1, section.bins + 1)[1:-1])
    test = windows_of(data.inputs[data.split.test], length)
    return ForecastTask(
        x=x,
        classes=np.searchsorted(edges, ahead).astype(np.int64),
        targets=ahead.astype(np.float32),
        n_classes=section.bins,
        seen=_some(test),
        channel_groups=groups,
        data=data,
        length=length,
        horizons=tuple(section.horizons),
    )


def _some(x: Series) -> Series:
    """At most :data:`SEEN` of ``x``, the same ones in every run."""
    if len(x) <= SEEN:
        return x
    chosen = numpy_generator(0, "samples for diagnostics").choice(len(x), SEEN, replace=False)
    return np.ascontiguousarray(x[np.sort(chosen)])


def _channel_groups(section: TaskSection, n_channels: int) -> Groups | None:
    for group in section.channel_groups or ():
        if not group or min(group) < 0 or max(group) >= n_channels:
            raise ConfigError("channel_groups", group, f"use channels 0..{n_channels - 1}")
    return section.channel_groups
