"""Configuration of the label-efficiency job."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from data_loaders.ecg.beat_numbers import RATE
from tscl.augmentations import build_augmentation
from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, check_choice, nearest
from tscl.methods import METHODS
from tscl.pooling import check_pooling
from tscl.runs.config import Component, ExternalData, JobConfig, method_needs, under, validate
from tscl.training.settings import Section, TrainSettings

RowKind = Literal[
    "pretrained",
    "finetuned",
    "untrained",
    "supervised",
    "spectrum",
    "beats",
    "minirocket",
    "together",
]
TRAINED: tuple[RowKind, ...] = ("finetuned", "supervised")
"""Kinds whose network is trained on the drawn labels; the others fit a linear probe, or several."""


class RecordingData(Section):
    """Where whole recordings come from.

    ``kind`` is ``recordings`` for a folder of ``Recordings.save``, or X of a ``load_X`` of
    data_loaders; samples of a fixed length are recordings of that length. ``params`` are the
    loader's; ``make`` those of :func:`make_rhythm_cohort`, for a cohort written into the run
    folder. ``standardize`` sets every channel of a recording to mean 0, deviation 1; a number
    divides all values by it, such as 10 for microvolts; ``train`` takes mean and deviation of each
    channel over a fold's training part, so that amplitudes can be compared. Recordings without a
    label join pretraining unless ``unlabelled`` is ``leave_out``. With ``external`` these train
    and another hospital's are tested; ``split`` is not used then.
    """

    kind: str = "rhythm_cohort"
    root: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    make: dict[str, Any] = Field(default_factory=dict)
    standardize: bool | float | Literal["train"] = True
    unlabelled: Literal["pretrain", "leave_out"] = "pretrain"
    external: ExternalData | None = None


class TaskSection(Section):
    """A set of classes: ``classes`` in the order of their codes, or all; other recordings stay
    out of its labels, but not out of pretraining. ``label`` and ``label_kind`` take the labels
    from a column of the recordings, or a label from each of several, of any kind (see
    :func:`data_loaders.container.relabel.labels_from`)."""

    classes: list[str] | None = None
    label: str | list[str] | None = None
    label_kind: Literal["classes", "multilabel", "target"] | None = None
    title: str | None = None

    @field_validator("classes")
    @classmethod
    def _several(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and (len(value) < 2 or len(set(value)) < len(value)):
            raise ValueError("name two or more classes, each once")
        return value


class FoldSection(Section):
    """Stratified folds of patients, or the sides named in a column of the recordings.

    ``folds`` runs some of the folds. ``column`` makes one fold: recordings whose value is in
    ``test`` are tested, those in ``train`` (None: all others) train.
    """

    n_splits: int = Field(5, ge=2)
    folds: list[int] | None = None
    column: str | None = None
    train: list[Any] | None = None
    test: list[Any] | None = None


class LabelledTraining(Section):
    """How a network is trained on the drawn labels; see
    :class:`tscl.evaluation.clinical.finetune_recordings.LabelledSettings`. ``encoder_lr`` of None
    is ``lr``."""

    steps: int = Field(300, ge=1)
    batch_size: int = Field(64, ge=2)
    lr: float = Field(2e-3, gt=0)
    encoder_lr: float | None = Field(None, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    dropout: float = Field(0.3, ge=0, lt=1)
    smoothing: float = Field(0.05, ge=0, lt=1)
    held: float = Field(0.25, ge=0, lt=1)
    checks: int = Field(10, ge=1)
    patience: int = Field(5, ge=1)


class RowSection(Section):
    """A row of the table.

    Attributes:
        kind: ``pretrained`` without labels and probed; ``finetuned`` goes on from the row ``base``
            with the drawn labels; ``untrained`` and ``supervised`` use the same network;
            ``spectrum``, ``beats`` and ``minirocket`` have none; ``together`` is the mean of the
            probes of other rows.
        method, params: of a pretrained row.
        weights: instead of a method: trained elsewhere, the folder of a saved encoder or one of
            :func:`tscl.estimators.pretrained.pretrained_names`.
        channels: of weights: ``match`` those they were trained on, or ``new_input``, see
            :func:`tscl.encoders.new_input.with_new_input`.
        crop, views, as_samples: see :class:`tscl.training.recordings.RecordingSource`; crop None
            is the job's.
        targets: what is told of each crop without labels, one or more of ``beats``, see
            :func:`data_loaders.ecg.beat_knowledge.beat_knowledge`, and ``minirocket``, see
            :func:`tscl.evaluation.clinical.recording_features.convolution_targets`.
        train: settings of :class:`tscl.training.settings.TrainSettings`, over the job's.
        labelled: settings over the job's, of a row trained on labels.
        base: of a finetuned row.
        members: of a row ``together``, see
            :func:`tscl.evaluation.probes.together.mean_of_probes`.
        shares: shares of labels of this row; None: all of the job's.
        title: what the row is called in tables and figures.
    """

    kind: RowKind
    method: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    weights: str | None = None
    channels: Literal["match", "new_input"] = "match"
    crop: int | None = Field(None, ge=2)
    views: int = Field(2, ge=1)
    as_samples: bool = False
    targets: list[Literal["beats", "minirocket"]] | None = None
    batch_size: int | None = Field(None, ge=2)
    train: dict[str, Any] = Field(default_factory=dict)
    labelled: dict[str, Any] = Field(default_factory=dict)
    base: str | None = None
    members: list[str] = Field(default_factory=list)
    shares: list[float] | None = None
    title: str | None = None

    @field_validator("targets", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class ProbeSection(Section):
    """Balanced logistic regression on standardised features; the C with the best AUROC of inner
    folds of the drawn labels is taken. Of several labels and numbers see
    :func:`tscl.evaluation.probes.any_label.fit_probe`."""

    C: list[float] = Field(default_factory=lambda: [1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    inner_folds: int = Field(3, ge=2)

    @field_validator("C")
    @classmethod
    def _strengths(cls, value: list[float]) -> list[float]:
        if not value or min(value) <= 0:
            raise ValueError("give positive numbers")
        return sorted(value)


class LabelEfficiencyConfig(JobConfig):
    """A label-efficiency run.

    ``whole`` and ``window`` are steps: longer recordings than ``whole`` are read in equally spaced
    windows of ``window`` steps, whose results are averaged. ``bf16`` computes embeddings and
    training on labels in bfloat16 where it suffices. ``by: patient`` scores the mean probability of
    a patient's recordings, over the patients of all folds together. ``main`` is the row that the
    others are compared with; None: the first pretrained one.
    """

    job: Literal["label_efficiency"] = "label_efficiency"
    name: str = "label efficiency"
    out: str = "runs/label_efficiency"
    data: RecordingData = Field(default_factory=RecordingData)
    tasks: dict[str, TaskSection] = Field(default_factory=lambda: {"classes": TaskSection()})
    split: FoldSection = Field(default_factory=lambda: FoldSection())  # type: ignore[call-arg]
    encoder: Component = Component(name="resnet1d")
    pooling: str = "mean+std+max"
    augmentation: dict[str, Any] | str | None = "ecg"
    crop: int = Field(1000, ge=2)
    batch_size: int = Field(64, ge=2)
    train: dict[str, Any] = Field(default_factory=dict)
    labelled: LabelledTraining = Field(default_factory=lambda: LabelledTraining())  # type: ignore[call-arg]
    whole: int = Field(3500, ge=2)
    window: int = Field(3000, ge=2)
    bf16: bool = False
    rows: dict[str, RowSection]
    main: str | None = None
    shares: list[float] = Field(default_factory=lambda: [1.0, 0.1, 0.05, 0.01])
    draws: int = Field(5, ge=1)
    by: Literal["recording", "patient"] = "recording"
    probe: ProbeSection = Field(default_factory=lambda: ProbeSection())  # type: ignore[call-arg]
    n_replicates: int = Field(500, ge=1)

    @field_validator("shares")
    @classmethod
    def _shares(cls, value: list[float]) -> list[float]:
        if not value or any(not 0 < share <= 1 for share in value) or len(set(value)) < len(value):
            raise ValueError("at least one share, each once, above 0 and up to 1")
        return sorted(value, reverse=True)

    def results(self) -> dict[str, Any]:
        """All values but the folds to run and those of the report alone."""
        values = super().results()
        values["split"].pop("folds")
        for key in ("n_replicates", "main", "by"):
            values.pop(key)
        return values

    def can_continue(self, earlier: JobConfig) -> bool:
        """As for every job, but rows may be added; one that went could come back as another."""
        if not isinstance(earlier, LabelEfficiencyConfig):
            return False
        values, old = self.results(), earlier.results()
        return {**values, "rows": values["rows"] | old["rows"]} == {**old, "rows": values["rows"]}

    @property
    def main_row(self) -> str:
        """The row the others are compared with."""
        pretrained = [name for name, row in self.rows.items() if row.kind == "pretrained"]
        return self.main or (pretrained or list(self.rows))[0]

    def uses_pretraining(self, name: str) -> bool:
        """Whether a row starts from a pretrained one, or averages it with others."""
        row = self.rows[name]
        own = row.kind in ("pretrained", "finetuned")
        return own or any(self.uses_pretraining(member) for member in row.members)

    def check(self) -> LabelEfficiencyConfig:
        """This configuration, when its components, rows and settings are known and fit.

        Raises:
            ConfigError: the first bad key or value, with the nearest known key or what is allowed.
        """
        if not self.rows:
            remedy = "name at least one row, such as untrained: {kind: untrained}"
            raise ConfigError("rows", {}, remedy)
        if not self.tasks:
            raise ConfigError("tasks", {}, "name at least one, such as classes: {}")
        ENCODERS.check(self.encoder.name, self.encoder.params)
        check_pooling(self.pooling)
        if self.augmentation is not None:
            build_augmentation(self.augmentation)
        if self.main is not None and self.main not in self.rows:
            raise ConfigError("main", self.main, nearest(self.main, self.rows))
        if self.split.column is not None and not self.split.test:
            raise ConfigError("split.test", self.split.test, "list the column's values to test on")
        _check_training("train", self.train)
        if (rate := self.data.params.get("rate")) is not None:
            self.check_rate("data.params.rate", rate)
        files: dict[str, str] = {}
        for name, row in self.rows.items():
            _check_row(self, name, row)
            other = files.setdefault(row_slug(name), name)
            if other != name:
                raise ConfigError("rows", name, f"its files would be those of {other!r}; rename it")
        return self

    def check_rate(self, key: str, rate: Any) -> None:
        """Raise ConfigError for recordings at a rate that beats are not measured at."""
        rows = [
            n for n, r in self.rows.items() if r.kind == "beats" or "beats" in (r.targets or [])
        ]
        if rows and rate != RATE:
            remedy = f"beats are measured at {RATE:g} Hz: give that, or leave out {', '.join(rows)}"
            raise ConfigError(key, rate, remedy)


def row_slug(name: str) -> str:
    """A row's name as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)


def _check_row(config: LabelEfficiencyConfig, name: str, row: RowSection) -> None:
    key = f"rows.{name}"
    if row.channels != "match" and row.weights is None:
        raise ConfigError(f"{key}.channels", row.channels, "it is of weights: name them")
    if row.weights is not None and (row.kind != "pretrained" or row.method is not None):
        raise ConfigError(f"{key}.weights", row.weights, "it stands instead of a pretrained method")
    if row.kind == "pretrained" and row.weights is None:
        if row.method is None:
            raise ConfigError(f"{key}.method", None, f"choose one of {METHODS.names()}")
        METHODS.check(row.method, row.params)
        needs = under(f"{key}.params", method_needs, config.encoder, row.method, row.params)
        if "labels" in needs:
            remedy = "pretraining reads no labels in this job; take kind: finetuned or supervised"
            raise ConfigError(f"{key}.method", row.method, remedy)
        _check_training(f"{key}.train", {**config.train, **row.train})
    if row.kind == "finetuned":
        base = config.rows.get(row.base or "")
        if base is None or base.kind != "pretrained":
            pretrained = [k for k, other in config.rows.items() if other.kind == "pretrained"]
            raise ConfigError(f"{key}.base", row.base, nearest(str(row.base), pretrained))
    if row.kind == "together":
        probed = [k for k, other in config.rows.items() if other.kind not in (*TRAINED, "together")]
        for member in row.members:
            check_choice(f"{key}.members", member, probed, error=ConfigError)
    if (row.kind == "together") != (len(set(row.members)) > 1):
        remedy = "name two or more rows with a probe, in a row of kind together and in no other"
        raise ConfigError(f"{key}.members", row.members, remedy)
    labelled_settings(config, row, f"{key}.labelled")
    for share in row.shares or []:
        check_choice(f"{key}.shares", share, config.shares, error=ConfigError)


def _check_training(key: str, values: dict[str, Any]) -> None:
    if "seed" in values:
        raise ConfigError(f"{key}.seed", values["seed"], "the job's seed is that of training too")
    under(key, lambda: TrainSettings(**values))


def labelled_settings(
    config: LabelEfficiencyConfig, row: RowSection, key: str = "labelled"
) -> LabelledTraining:
    """Settings of training on labels.

    Args:
        config: those of the job.
        row: those of the row, which go over them.
        key: of the configuration, for errors.
    """
    try:
        return validate(LabelledTraining, {**config.labelled.model_dump(), **row.labelled})
    except ConfigError as error:
        raise ConfigError(f"{key}.{error.field}", error.value, error.remedy) from None
