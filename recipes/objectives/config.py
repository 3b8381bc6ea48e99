"""Configuration of a comparison of training objectives: one encoder, one budget, many losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from tscl.augmentations import build_augmentation
from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, nearest
from tscl.losses import LOSSES
from tscl.losses.base import is_instance_loss
from tscl.runs.config import Component, JobConfig, Section, read_values, validate
from tscl.runs.forecasting.config import DataSection


class TaskSection(Section):
    """What every data set has: two ``channel_groups``, or None where it has no two modalities.

    Without them the objectives between channel groups are left out on this data set.
    """

    channel_groups: tuple[list[int], list[int]] | None = None


class CohortTask(TaskSection):
    """A generated cohort, healthy against disease, tested on patients never seen.

    ``settings`` are those of :class:`data_loaders.CohortConfig`; seed s takes fold s of ``folds``.
    """

    kind: Literal["cohort"] = "cohort"
    settings: dict[str, Any] = Field(default_factory=dict)
    window: int = Field(default=100, ge=2)
    overlap: float = Field(default=0.0, ge=0, lt=1)
    folds: int = Field(default=5, ge=2)


class ArchiveTask(TaskSection):
    """A UCR/UEA set with its official split; ``root`` None takes those in sktime's wheel."""

    kind: Literal["archive"] = "archive"
    set: str
    root: str | None = None


class SeriesTask(TaskSection):
    """Windows of a forecasting series, embeddings scored by a ridge on the changes to come.

    Labels of a window, for losses that need them, are its mean change over the next ``ahead``
    steps: as a number, and in ``bins`` classes of equal size.
    """

    kind: Literal["series"] = "series"
    data: DataSection = Field(
        default_factory=lambda: DataSection(
            dataset="seattle-weather", features="M", covariates=False
        )
    )
    length: int = Field(default=28, ge=4)
    stride: int = Field(default=1, ge=1)
    ahead: int = Field(default=7, ge=1)
    bins: int = Field(default=5, ge=2)
    horizons: list[int] = Field(default_factory=lambda: [7])


AnyTask = Annotated[CohortTask | ArchiveTask | SeriesTask, Field(discriminator="kind")]


class Objective(Section):
    """One trained objective.

    ``views`` ``channels`` shows the encoder one channel group in each view; ``labels`` hands class
    labels to a loss that takes them without needing them.
    """

    loss: str
    params: dict[str, Any] = Field(default_factory=dict)
    views: Literal["augmented", "channels"] = "augmented"
    labels: bool = False


class ObjectiveTraining(Section):
    """The budget all objectives share."""

    steps: int = Field(default=200, ge=1)
    batch_size: int = Field(default=32, ge=2)
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    projection_dims: int = Field(default=32, ge=1)
    augmentation: str | dict[str, Any] = "scale_shift_jitter"


class ObjectivesConfig(JobConfig):
    """Objectives x data sets x seeds, with baselines.

    ``objectives`` None takes every registered loss over embeddings as
    :func:`recipes.objectives.feeds.default_objectives` lists them.
    """

    job: Literal["objectives"] = "objectives"
    tasks: dict[str, AnyTask]
    objectives: dict[str, Objective] | None = None
    encoder: Component = Component(name="dilated")
    train: ObjectiveTraining = ObjectiveTraining()
    seeds: list[int] = Field(default_factory=lambda: [0, 1, 2, 3, 4])

    @field_validator("tasks", "seeds")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if not value:
            raise ValueError("name at least one")
        return value


def load_objectives(path: Path, overrides: Sequence[str] = ()) -> ObjectivesConfig:
    """Read and check a comparison.

    Raises:
        ConfigError: the first bad key, value, encoder, loss or loss argument, before anything is
            trained.
    """
    values = read_values(path, overrides)
    if values.get("job") != "objectives":
        raise ConfigError("job", values.get("job"), "this command needs job: objectives")
    return check_objectives(validate(ObjectivesConfig, values))


def check_objectives(config: ObjectivesConfig) -> ObjectivesConfig:
    """``config`` when every name in it is known."""
    ENCODERS.check(config.encoder.name, config.encoder.params)
    build_augmentation(config.train.augmentation)
    for title, objective in (config.objectives or {}).items():
        if not is_instance_loss(objective.loss):
            known = [name for name in LOSSES.names() if is_instance_loss(name)]
            raise ConfigError(
                f"objectives.{title}.loss", objective.loss, nearest(objective.loss, known)
            )
        LOSSES.check(objective.loss, objective.params)
    return config
