"""The configuration of the clinical job."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from tscl.errors import ConfigError, check_choice, nearest
from tscl.evaluation.clinical.core_tuning import check_tuning
from tscl.evaluation.clinical.finetune import Pooling
from tscl.methods import METHODS
from tscl.runs.clinical.splits import GroupSplit, Split
from tscl.runs.config import (
    Component,
    ExternalData,
    JobTraining,
    MethodConfig,
    check_method,
    method_needs,
    under,
    validate,
)
from tscl.runs.loaders import kinds
from tscl.training.settings import Section

Protocol = Literal["partial", "knn", "head", "full"]
ShareOf = Literal["samples", "patients", "first"]
Fraction = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Baseline:
    """A row that is no pretraining method.

    Attributes:
        title: as the table shows it.
        features: log band power stands in the encoder's place.
        loaded: of the values as loaded, not as the encoder sees them.
        full: trained on the labels from fresh weights; else frozen protocols score it.
        reference: its score is taken off every other row's.
    """

    title: str
    features: bool = False
    loaded: bool = False
    full: bool = False
    reference: bool = True


BASELINES: dict[str, Baseline] = {
    "random": Baseline("random encoder"),
    "supervised": Baseline("supervised", full=True),
    "bandpower": Baseline("band power", features=True, loaded=True),
    "bandpower_input": Baseline("band power (encoder's input)", features=True, reference=False),
}
"""Rows that ``evaluate.compare`` may name beside pretraining methods."""


class ClinicalDataSection(Section):
    """Which patients.

    ``kind`` is X of a ``load_X`` of data_loaders, such as ``ptbxl``; ``root`` is the folder of the
    files (with kind ``cohort`` it may be absent: a cohort with the
    settings of ``make`` is then written into the run folder; ``wfdb`` and ``eeg`` are one's own
    files listed in a table; ``saved`` is what ``tscl data convert`` or ``MedicalDataset.save``
    wrote). ``params`` are further arguments of the loader. ``label`` takes the labels from a
    column of the table, or a label from each of several, and ``label_kind`` says what they are
    (:meth:`data_loaders.MedicalDataset.with_label`). ``standardize``: ``trial`` or ``sample``
    use that unit's own figures, ``train`` figures of the training patients, ``none`` keeps the
    values. ``strict`` stops at the first bad record. ``hash_ids`` replaces patient and record
    names in everything written by digests keyed with the environment variable ``TSCL_ID_SALT``;
    ``keep_columns`` are then the further columns that stay. With ``external`` these data train
    and validate, and those of another hospital are tested; ``split`` is not used then. Samples
    without a label join pretraining, unless ``unlabelled`` is ``leave_out``.
    """

    kind: str = "cohort"
    root: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    make: dict[str, Any] = Field(default_factory=dict)
    label: str | list[str] | None = None
    label_kind: Literal["classes", "multilabel", "target"] | None = None
    standardize: Literal["trial", "sample", "train", "none"] = "trial"
    strict: bool = False
    hash_ids: bool = False
    keep_columns: list[str] = Field(default_factory=list)
    external: ExternalData | None = None
    unlabelled: Literal["pretrain", "leave_out"] = "pretrain"

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in kinds():
            raise ValueError(nearest(value, kinds()))
        return value


class ClinicalTrainSection(JobTraining):
    """How to pretrain on the training patients.

    ``sampler`` is that of the configured method and its ablations (``trial``, ``batch`` or
    ``random``, see :class:`tscl.training.data.GroupedSampler`), ``compare_sampler`` that of
    the methods it is compared with; all take the same number of steps. ``probe`` draws a curve of
    the validation score every ``monitor_every`` epochs; with ``select: validation`` the best of
    these epochs is kept, else the last. ``monitor`` names the score (of a linear probe fitted on
    the training patients' labels). ``repeats`` pretrains every row so many times, with the run's
    seed, the next one, and so on; the seeds of the evaluation take them in turn, so that their
    spread holds that of pretraining too.

    A supervised method or loss is refused unless ``labels`` lets pretraining read the labels of
    the training patients; its rows are then marked, and the report says what that means.
    ``background`` is the label of the samples that lack what the others have (``sepclr``);
    ``targets`` the column of numbers that a loss over numbers reads instead (``supremix``).
    ``quality`` above 0 draws samples of an ECG by that power of the quality of their signal
    (:func:`data_loaders.ecg_quality`, :class:`tscl.training.data.WeightedSampler`).
    ``diagnostics`` adds a table of compactness, alignment and uniformity of the embeddings by
    epoch (:class:`tscl.training.diagnostics.EmbeddingDiagnostics`).
    """

    lr: float = Field(default=1e-4, gt=0)
    batch_size: int = Field(default=256, ge=2)
    sampler: Literal["trial", "batch", "random"] = "trial"
    compare_sampler: Literal["trial", "batch", "random"] = "random"
    trials_per_patient: int = Field(default=1, ge=1)
    refresh: bool = True
    repeats: int = Field(default=1, ge=1)
    labels: bool = False
    background: str | None = None
    targets: str | None = None
    quality: float = Field(default=0.0, ge=0)
    diagnostics: bool = False
    probe: bool = False
    monitor: Literal["auroc", "f1", "accuracy", "r2"] = "auroc"


class Ablation(Section):
    """A variant of the configured method: another row of the table.

    ``levels`` keeps these levels of the method, with their weights, and leaves the others out;
    ``params`` replaces arguments of the method, ``sampler`` the way batches are drawn.
    """

    levels: list[str] | None = Field(default=None, min_length=1)
    params: dict[str, Any] = Field(default_factory=dict)
    sampler: Literal["trial", "batch", "random"] | None = None


class ClinicalEvaluateSection(Section):
    """The evaluation on patients never seen; see :mod:`tscl.evaluation.clinical.evaluate`.

    ``protocols`` are those of every row; ``full_rows`` limits full fine-tuning, the costly one,
    to some rows (None: all; ``supervised`` is always fine-tuned). ``seeds`` counts seeds.
    ``finetune`` holds settings of :func:`tscl.evaluation.clinical.core_tuning.build_tuner` (its
    ``name`` ``core`` adds contrast, ``rank`` trains for the area under the ROC curve), and
    ``finetune_epochs`` the epochs for each of ``fractions`` (None: 50 with all labels, else 100).
    ``umap`` None draws the embedding by UMAP too where umap-learn is installed.
    Of several ``C`` the validation part chooses, or, where the split has none, folds of the
    labelled patients.
    ``one_vs_rest`` fits a logistic regression a class, as the public code does; ``class_weight``
    ``balanced`` weighs classes equally, in probes and in training on labels.
    ``specificity`` is that of the validation part at which the report's thresholds are set;
    ``subgroups`` names columns of the data, such as sex, age and site, that scores are told by.
    ``pooling`` is how embeddings are pooled over time, for every row
    (:func:`tscl.pooling.pool_time`).
    """

    protocols: list[Protocol] = Field(default=["partial", "full"], min_length=1)
    full_rows: list[str] | None = None
    fractions: list[Fraction] = Field(default=[1.0, 0.1, 0.01], min_length=1)
    by: list[ShareOf] = Field(default=["samples", "patients"], min_length=1)
    seeds: int = Field(default=5, ge=1)
    compare: list[str] = Field(default=["random", "supervised", "bandpower", "ts2vec", "simclr"])
    ablations: dict[str, Ablation] = Field(default_factory=dict)
    C: float | list[float] = Field(default=1.0, description="positive numbers")
    one_vs_rest: bool = False
    class_weight: Literal["balanced"] | None = None
    n_neighbors: int = Field(default=5, ge=1)
    pooling: Pooling = "max"
    finetune: dict[str, Any] = Field(default_factory=dict)
    finetune_epochs: list[Annotated[int, Field(ge=1)]] | None = None
    bands: Literal["log", "eeg"] = "log"
    n_replicates: int = Field(default=1000, ge=1)
    specificity: float = Field(default=0.9, gt=0, lt=1)
    subgroups: list[str] = Field(default_factory=list)
    umap: bool | None = None

    @field_validator("C")
    @classmethod
    def _positive(cls, value: float | list[float]) -> float | list[float]:
        grid = value if isinstance(value, list) else [value]
        if not grid or not all(penalty > 0 for penalty in grid):
            raise ValueError("give positive numbers")
        return value

    @field_validator("finetune")
    @classmethod
    def _known(cls, value: dict[str, Any]) -> dict[str, Any]:
        check_tuning(value)
        return value

    @field_validator("fractions")
    @classmethod
    def _once(cls, value: list[float]) -> list[float]:
        if len(set(value)) < len(value):
            raise ValueError("each share once")
        return value

    def epochs(self) -> dict[float, int] | None:
        """Epochs of fine-tuning by share of the labels, where they are given."""
        if self.finetune_epochs is None:
            return None
        return dict(zip(self.fractions, self.finetune_epochs, strict=True))


class ClinicalConfig(MethodConfig):
    """A clinical run: data, split, encoder, method, training, evaluation."""

    job: Literal["clinical"] = "clinical"
    name: str = "clinical"
    out: str = "runs/clinical"
    data: ClinicalDataSection = Field(default_factory=ClinicalDataSection)
    split: Split = GroupSplit()
    encoder: Component = Component(name="dilated")
    method: Component = Component(name="comet")
    train: ClinicalTrainSection = ClinicalTrainSection()
    evaluate: ClinicalEvaluateSection = ClinicalEvaluateSection()

    @field_validator("split", mode="before")
    @classmethod
    def _kind(cls, value: Any) -> Any:
        return {"kind": "group", **value} if isinstance(value, Mapping) else value

    def results(self) -> dict[str, Any]:
        """All values but those of the report's intervals and embedding."""
        values = super().results()
        for key in ("umap", "n_replicates", "specificity", "subgroups"):
            values["evaluate"].pop(key)
        return values

    def check(self) -> ClinicalConfig:
        """See :meth:`tscl.runs.config.JobConfig.check`."""
        evaluate = self.evaluate
        valid, key = self.split.validates()
        if not valid:
            self.refuse_probing(f"give {key}")
        for name, needs in self.check_methods(evaluate.compare, list(BASELINES)).items():
            self._check_labels(name, needs)
        if self.train.repeats > evaluate.seeds:
            need = f"evaluate.seeds is {evaluate.seeds}, so some encoders would not be used"
            raise ConfigError("train.repeats", self.train.repeats, need)
        tuned = {"full", "head"} & {*evaluate.protocols}
        weight = {"class_weight": evaluate.class_weight} if evaluate.class_weight and tuned else {}
        under("evaluate.finetune", check_tuning, evaluate.finetune, evaluate.protocols, weight)
        if self.data.label_kind is not None and self.data.label is None:
            remedy = "name the column in data.label; label itself is one"
            raise ConfigError("data.label_kind", self.data.label_kind, remedy)
        epochs = evaluate.finetune_epochs
        if epochs is not None and len(epochs) != len(evaluate.fractions):
            need = f"give one number for each of fractions {evaluate.fractions}"
            raise ConfigError("evaluate.finetune_epochs", epochs, need)
        rows = [self.method.name, *evaluate.compare, *evaluate.ablations]
        for name in {row for row in rows if rows.count(row) > 1}:
            raise ConfigError("evaluate", name, "two rows of the table have this name")
        for name in evaluate.full_rows or []:
            check_choice("evaluate.full_rows", name, rows, error=ConfigError)
        for name, ablation in evaluate.ablations.items():
            key = f"evaluate.ablations.{name}"
            check_method(
                f"{key}.params", self.method.name, {**self.method.params, **ablation.params}
            )
            params = under(key, self.ablated, ablation)
            under(key, METHODS.get(self.method.name).check_params, params)
            needs = under(key, method_needs, self.encoder, self.method.name, params)
            self._check_labels(f"{self.method.name}, {name}", needs)
        return self

    def _check_labels(self, row: str, needs: Collection[str]) -> None:
        if "labels" in needs and not self.train.labels:
            remedy = (
                f"{row} trains on labels: set it to true for pretraining to read those of the "
                "training patients (the report says so), or take an objective without labels"
            )
            raise ConfigError("train.labels", self.train.labels, remedy)
        if "targets" in needs and self.train.targets is None:
            raise ConfigError("train.targets", None, f"{row} reads numbers: name their column")
        if "background" in needs and self.train.background is None:
            remedy = f"{row} needs it: name the label of samples that lack what the others have"
            raise ConfigError("train.background", None, remedy)

    def ablated(self, ablation: Ablation) -> dict[str, Any]:
        """The method's arguments with the ablation's changes; levels left out weigh nothing."""
        params = {**self.method.params, **ablation.params}
        if ablation.levels is None:
            return params
        return METHODS.get(self.method.name).keep_levels(params, ablation.levels)

    def refuse_probing(self, instead: str) -> None:
        """Raise for what needs a validation part; nothing where the run does not ask for one."""
        train = self.train
        if train.probe:
            remedy = f"probing needs a valid part: {instead}, or set train.probe to false"
            raise ConfigError("train.probe", train.probe, remedy)
        if train.select == "validation":
            remedy = f"choosing an epoch needs a valid part: {instead}, or set train.select to last"
            raise ConfigError("train.select", train.select, remedy)


def check_clinical(values: dict[str, Any]) -> ClinicalConfig:
    """Validate the nested dictionary of a clinical run.

    Raises:
        ConfigError: the first bad key or value, with the nearest known key or what is allowed.
    """
    return validate(ClinicalConfig, values).check()
