"""The configuration of the clinical job, and the choice of job by a file's ``job`` key."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from tscl.errors import ConfigError, InputError, nearest
from tscl.pooling import check_pooling
from tscl.runs.config import Component, JobConfig, Section, TrainOptions, validate

UNTRAINED: tuple[str, ...] = ("random", "supervised", "bandpower", "bandpower_input")
"""Rows that are no pretraining method: an untrained encoder, training from scratch, log band
power of the values as loaded, and of the values the encoder sees."""
LEVELS: tuple[str, ...] = ("patient", "trial", "sample", "observation")
Protocol = Literal["partial", "knn", "head", "full"]
ShareOf = Literal["samples", "patients", "first"]
# fmt: off
DataKind = Literal[
    "cohort", "wfdb", "eeg", "saved",
    "ptbxl", "mitbih", "ptb", "uci_eeg", "ad", "tdbrain", "processed",
]
# fmt: on
_PROTOCOLS: tuple[Protocol, ...] = ("partial", "full")
_SHARES: tuple[ShareOf, ...] = ("samples", "patients")


class ClinicalDataSection(Section):
    """Which patients.

    ``root`` is the folder of the files (with kind ``cohort`` it may be absent: a cohort with the
    settings of ``make`` is then written into the run folder; ``wfdb`` and ``eeg`` are one's own
    files listed in a table; ``saved`` is what ``tscl data convert`` or ``MedicalDataset.save``
    wrote). ``params`` are further arguments of the loader. ``standardize``: ``trial`` or ``sample``
    use that unit's own figures, ``train`` figures of the training patients, ``none`` keeps the
    values. ``strict`` stops at the first bad record. ``hash_ids`` replaces patient and record
    names in everything written by digests keyed with the environment variable ``TSCL_ID_SALT``;
    ``keep_columns`` are then the further columns that stay.
    """

    kind: DataKind = "cohort"
    root: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    make: dict[str, Any] = Field(default_factory=dict)
    standardize: Literal["trial", "sample", "train", "none"] = "trial"
    strict: bool = False
    hash_ids: bool = False
    keep_columns: list[str] = Field(default_factory=list)


class SplitSection(Section):
    """Which patients train, validate and test; no patient stands in two parts.

    ``group``: shares of the patients; ``kfold``: each patient is tested once, the fold after the
    test fold validates (``params.valid`` false: it trains), ``folds`` chooses some of them;
    ``leave_one_out``: each patient is the test part once, ``params.valid`` (default .2) of the
    others validate; ``fixed``: ids listed under ``params.ids``; ``official``: the split that
    belongs to the data. ``params`` are further arguments of the splitter; ``seed`` None takes the
    run's.
    """

    kind: Literal["group", "kfold", "leave_one_out", "fixed", "official"] = "group"
    params: dict[str, Any] = Field(default_factory=dict)
    folds: list[int] | None = None
    seed: int | None = Field(default=None, ge=0)


class ClinicalTrainSection(TrainOptions):
    """How to pretrain on the training patients.

    ``sampler`` is that of the configured method and its ablations (``trial``, ``batch`` or
    ``random``, see :class:`tscl.training.data.GroupedSampler`), ``compare_sampler`` that of
    the methods it is compared with; all take the same number of steps. ``probe`` draws a curve of
    the validation score every ``monitor_every`` epochs; with ``select: validation`` the best of
    these epochs is kept, else the last. ``monitor`` names the score (of a linear probe fitted on
    the training patients' labels). ``repeats`` pretrains every row so many times, with the run's
    seed, the next one, and so on; the seeds of the evaluation take them in turn, so that their
    spread holds that of pretraining too.
    """

    lr: float = Field(default=1e-4, gt=0)
    batch_size: int = Field(default=256, ge=2)
    sampler: Literal["trial", "batch", "random"] = "trial"
    compare_sampler: Literal["trial", "batch", "random"] = "random"
    trials_per_patient: int = Field(default=1, ge=1)
    refresh: bool = True
    repeats: int = Field(default=1, ge=1)
    probe: bool = False
    monitor: Literal["auroc", "f1", "accuracy"] = "auroc"


class Ablation(Section):
    """A variant of the configured method: another row of the table.

    ``levels`` keeps these levels of COMET, with their weights, and leaves the others out;
    ``params`` replaces arguments of the method, ``sampler`` the way batches are drawn.
    """

    levels: list[str] | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    sampler: Literal["trial", "batch", "random"] | None = None

    @field_validator("levels")
    @classmethod
    def _known(cls, value: list[str] | None) -> list[str] | None:
        for name in value or []:
            if name not in LEVELS:
                raise ValueError(nearest(name, LEVELS))
        if value is not None and not value:
            raise ValueError("keep at least one level")
        return value


class ClinicalEvaluateSection(Section):
    """The evaluation on patients never seen; see :mod:`tscl.evaluation.clinical.evaluate`.

    ``protocols`` are those of every row; ``full_rows`` limits full fine-tuning, the costly one,
    to some rows (None: all; ``supervised`` is always fine-tuned). ``seeds`` counts seeds.
    ``finetune`` holds settings of :class:`tscl.evaluation.clinical.finetune.FineTuner`, and
    ``finetune_epochs`` the epochs for each of ``fractions`` (None: 50 with all labels, else 100).
    ``umap`` None draws the embedding by UMAP too where umap-learn is installed.
    Of several ``C`` the validation part chooses, or, where the split has none, folds of the
    labelled patients.
    ``pooling`` is how codes are pooled over time, for every row (:func:`tscl.pooling.pool_time`).
    """

    protocols: list[Protocol] = Field(default_factory=lambda: list(_PROTOCOLS))
    full_rows: list[str] | None = None
    fractions: list[float] = Field(default_factory=lambda: [1.0, 0.1, 0.01])
    by: list[ShareOf] = Field(default_factory=lambda: list(_SHARES))
    seeds: int = Field(default=5, ge=1)
    compare: list[str] = Field(
        default_factory=lambda: ["random", "supervised", "bandpower", "ts2vec", "simclr"]
    )
    ablations: dict[str, Ablation] = Field(default_factory=dict)
    C: float | list[float] = 1.0
    n_neighbors: int = Field(default=5, ge=1)
    pooling: str = "max"
    finetune: dict[str, Any] = Field(default_factory=dict)
    finetune_epochs: list[int] | None = None
    bands: Literal["log", "eeg"] = "log"
    n_replicates: int = Field(default=1000, ge=1)
    umap: bool | None = None

    @field_validator("pooling")
    @classmethod
    def _poolings(cls, value: str) -> str:
        check_pooling(value)
        return value

    @field_validator("protocols", "by")
    @classmethod
    def _chosen(cls, value: list[Any]) -> list[Any]:
        if not value:
            raise ValueError("choose at least one")
        return value

    @field_validator("C")
    @classmethod
    def _strengths(cls, value: float | list[float]) -> float | list[float]:
        grid = value if isinstance(value, list) else [value]
        if not grid or not all(0 < one < math.inf for one in grid):
            raise ValueError("give positive numbers")
        return value

    @field_validator("finetune_epochs")
    @classmethod
    def _epochs(cls, value: list[int] | None) -> list[int] | None:
        if any(one < 1 for one in value or []):
            raise ValueError("give at least 1 epoch for each")
        return value

    @field_validator("fractions")
    @classmethod
    def _shares(cls, value: list[float]) -> list[float]:
        if not value or any(not 0 < share <= 1 for share in value):
            raise ValueError("at least one share, each above 0 and up to 1")
        if len(set(value)) < len(value):
            raise ValueError("each share once")
        return value


class ClinicalConfig(JobConfig):
    """A clinical run: data, split, encoder, method, training, evaluation."""

    job: Literal["clinical"] = "clinical"
    name: str = "clinical"
    out: str = "runs/clinical"
    data: ClinicalDataSection = Field(default_factory=ClinicalDataSection)
    split: SplitSection = SplitSection()
    encoder: Component = Component(name="dilated")
    method: Component = Component(name="comet")
    compare_params: dict[str, dict[str, Any]] = Field(default_factory=dict)
    train: ClinicalTrainSection = ClinicalTrainSection()
    evaluate: ClinicalEvaluateSection = ClinicalEvaluateSection()

    def results(self) -> dict[str, Any]:
        """All values but those of the report's intervals and embedding."""
        values = super().results()
        for key in ("umap", "n_replicates"):
            values["evaluate"].pop(key)
        return values


def check_clinical(values: dict[str, Any]) -> ClinicalConfig:
    """Validate the nested dictionary of a clinical run.

    Raises:
        ConfigError: the first bad key or value, with the nearest known key or what is allowed.
    """
    from tscl.encoders import ENCODERS
    from tscl.evaluation.clinical.finetune import check_finetune
    from tscl.methods import METHODS

    pass  # own module

    config = validate(ClinicalConfig, values)
    evaluate = config.evaluate
    check_split_params(config.split)
    check_probing(config)
    under("evaluate.finetune", check_finetune, evaluate.finetune)
    ENCODERS.check(config.encoder.name, config.encoder.params)
    METHODS.check(config.method.name, config.method.params)
    check_level_weights("method.params", config.method.name, config.method.params)
    for name in evaluate.compare:
        if name not in UNTRAINED:
            if name not in METHODS.names():
                known = [*METHODS.names(), *UNTRAINED]
                raise ConfigError("evaluate.compare", name, nearest(name, known))
            params = config.compare_params.get(name, {})
            METHODS.check(name, params)
            check_level_weights(f"compare_params.{name}", name, params)
    if config.train.repeats > evaluate.seeds:
        need = f"evaluate.seeds is {evaluate.seeds}, so some encoders would not be used"
        raise ConfigError("train.repeats", config.train.repeats, need)
    epochs = evaluate.finetune_epochs
    if epochs is not None and len(epochs) != len(evaluate.fractions):
        need = f"give one number for each of fractions {evaluate.fractions}"
        raise ConfigError("evaluate.finetune_epochs", epochs, need)
    rows = [config.method.name, *evaluate.compare, *evaluate.ablations]
    for name in {row for row in rows if rows.count(row) > 1}:
        raise ConfigError("evaluate", name, "two rows of the table have this name")
    for name in evaluate.full_rows or []:
        if name not in rows:
            raise ConfigError("evaluate.full_rows", name, nearest(name, rows))
    for name, one in evaluate.ablations.items():
        key = f"evaluate.ablations.{name}"
        if one.levels is not None and config.method.name != "comet":
            raise ConfigError(f"{key}.levels", one.levels, "only comet has levels")
        if one.levels is not None and "levels" in config.method.params:
            raise ConfigError(f"{key}.levels", one.levels, "method.params.levels lists its own")
        params = {**config.method.params, **one.params}
        METHODS.check(config.method.name, params)
        check_level_weights(f"{key}.params", config.method.name, params)
        if one.levels is not None:
            check_level_weights(key, config.method.name, ablated(config.method.params, one))
    return config


_DEALING = ("stratify", "allow_missing")
SPLIT_PARAMS: dict[str, tuple[str, ...]] = {
    "group": ("fractions", "column", *_DEALING),
    "kfold": ("n_splits", "valid", "column", *_DEALING),
    "leave_one_out": ("valid", *_DEALING),
    "fixed": ("ids", "column"),
    "official": ("valid", "test_fold", "valid_fold"),
}
"""What ``split.params`` may hold, by ``split.kind``."""
_WHOLE = {
    "group": "{kind: group, params: {fractions: {train: 0.6, valid: 0.2, test: 0.2}}}",
    "kfold": "{kind: kfold, params: {n_splits: 3}}",
    "leave_one_out": "{kind: leave_one_out, params: {valid: 0.2}}",
    "fixed": "{kind: fixed, params: {ids: {valid: [a, b], test: [c, d]}}}",
    "official": "{kind: official, params: {}}",
}
_PARTS = ("train", "valid", "test")


def under(key: str, check: Callable[..., Any], *given: Any) -> None:
    """Run ``check(*given)``; what it finds wrong is named below the configuration's ``key``."""
    try:
        check(*given)
    except InputError as error:
        raise ConfigError(f"{key}.{error.field}", error.value, error.remedy) from None


def check_split_params(section: SplitSection) -> None:
    """Names and values of ``split.params`` for the section's kind, and ``split.folds``.

    Raises:
        ConfigError: names the key and what is known; a whole split is shown where the parameters
            are those of another kind.
    """
    kind, params = section.kind, section.params
    known = SPLIT_PARAMS[kind]
    whole = f"-s 'split={_WHOLE[kind]}'"
    for key, value in params.items():
        if key not in known:
            remedy = f"{kind} does not take it; {nearest(str(key), known)}"
            other = any(key in names for names in SPLIT_PARAMS.values())
            remedy += f"; another kind needs the whole split: {whole}" if other else ""
            raise ConfigError(f"split.params.{key}", value, remedy)
        if key in _DEALING and not isinstance(value, bool):
            raise ConfigError(f"split.params.{key}", value, "give true or false")
    if section.folds is not None and not section.folds:
        raise ConfigError("split.folds", [], "choose at least one, or leave it out for all")
    if kind == "group" and params.get("fractions") is not None:
        from data_loaders.splits.checks import check_fractions

        under("split.params", check_fractions, params["fractions"])
        _part_names("split.params.fractions", params["fractions"], ("train", "test"))
    elif kind == "kfold":
        _check_kfold(params)
    elif kind == "leave_one_out":
        valid = params.get("valid", 0.2)
        number = isinstance(valid, int | float) and not isinstance(valid, bool)
        if not number or not 0 <= valid < 1:
            remedy = "give a share from 0 up to, not including, 1"
            raise ConfigError("split.params.valid", valid, remedy)
    elif kind == "fixed":
        ids = params.get("ids")
        if not isinstance(ids, Mapping) or not ids:
            raise ConfigError("split.params.ids", ids, f"list the ids of each part: {whole}")
        _part_names("split.params.ids", ids, ("test",))
        for name, listed in ids.items():
            if not isinstance(listed, list | tuple) or not listed:
                raise ConfigError(f"split.params.ids.{name}", listed, "give a list of ids")
    elif kind == "official" and not isinstance(params.get("valid"), list | tuple | None):
        raise ConfigError("split.params.valid", params["valid"], "give a list of records")


def _check_kfold(params: Mapping[str, Any]) -> None:
    valid, n_splits = params.get("valid", True), params.get("n_splits", 5)
    if not isinstance(valid, bool):
        raise ConfigError("split.params.valid", valid, "give true or false")
    whole = isinstance(n_splits, int) and not isinstance(n_splits, bool)
    if not whole or n_splits < 2 + valid:
        remedy = "train, valid and test need 3 or more (valid: false needs 2)" if valid else ""
        raise ConfigError("split.params.n_splits", n_splits, remedy or "give 2 or more")


def _part_names(key: str, parts: Mapping[Any, Any], needed: tuple[str, ...]) -> None:
    for name in parts:
        if name not in _PARTS:
            raise ConfigError(f"{key}.{name}", parts[name], nearest(str(name), _PARTS))
    for name in needed:
        if name not in parts:
            raise ConfigError(key, dict(parts), f"give the part {name!r}")


def check_probing(config: ClinicalConfig) -> None:
    """The curve and the choice of an epoch need patients that validate.

    Raises:
        ConfigError: ``train.probe`` or ``train.select`` with a split that has none.
    """
    params, kind = config.split.params, config.split.kind
    has, key = True, "split.params.valid"
    if kind == "group":
        has, key = "valid" in (params.get("fractions") or _PARTS), "split.params.fractions.valid"
    elif kind == "kfold":
        has = bool(params.get("valid", True))
    elif kind == "leave_one_out":
        has = params.get("valid", 0.2) > 0
    elif kind == "fixed":
        has, key = "valid" in params["ids"], "split.params.ids.valid"
    if not has:
        refuse_probing(config, f"give {key}")


def refuse_probing(config: ClinicalConfig, instead: str) -> None:
    """Raise for what needs a validation part; nothing where the run does not ask for one."""
    train = config.train
    if train.probe:
        remedy = f"probing needs a valid part: {instead}, or set train.probe to false"
        raise ConfigError("train.probe", train.probe, remedy)
    if train.select == "validation":
        remedy = f"choosing an epoch needs a valid part: {instead}, or set train.select to last"
        raise ConfigError("train.select", train.select, remedy)


def check_level_weights(key: str, method: str, params: Mapping[str, Any]) -> None:
    """Levels of COMET and their weights; other methods have none.

    Raises:
        ConfigError: names the argument below ``key``.
    """
    from tscl.methods.comet_levels import default_levels, read_levels

    if method != "comet":
        return
    levels, lambdas = params.get("levels"), params.get("lambdas", (0.25,) * 4)
    name, value = ("lambdas", lambdas) if levels is None else ("levels", levels)
    try:
        if levels is None:
            levels = default_levels(lambdas)
        read_levels(levels)
    except InputError as error:
        field = name if error.field in ("levels", "lambdas") else error.field
        raise ConfigError(f"{key}.{field}", value, error.remedy) from None
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{key}.{name}", value, f"a value of the wrong kind: {error}") from None


def ablated(params: dict[str, Any], one: Ablation) -> dict[str, Any]:
    """The method's arguments with the ablation's changes; levels left out weigh nothing."""
    made = {**params, **one.params}
    if one.levels is not None:
        weights = made.get("lambdas", (0.25,) * len(LEVELS))
        made["lambdas"] = [
            float(w) if level in one.levels else 0.0
            for level, w in zip(LEVELS, weights, strict=True)
        ]
    return made
