"""How to train, declared once for YAML and Python, and what training gives."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from torch import nn

from tscl.errors import InputError, TSCLError, nearest

AverageMode = Literal["none", "swa", "ema"]
Monitor = Callable[[nn.Module], float]
Precision = Literal["32-true", "32", "bf16-mixed", "16-mixed"]
Schedule = Literal["constant", "cosine", "linear", "step", "one_cycle"]
LoggerName = Literal["tensorboard", "mlflow"]
Accelerator = Literal["cpu", "cuda", "mps", "gpu", "auto"]
DEVICES = get_args(Accelerator)

_REMEDIES = {
    "bool_type": "give true or false",
    "int_type": "give a whole number",
    "int_parsing": "give a whole number",
    "int_from_float": "give a whole number",
    "finite_number": "give a finite number",
    "missing": "it has no default",
    "list_type": "give a list",
    "too_short": "choose at least one",
    "greater_than_equal": "give at least {ge}",
}


class Section(BaseModel):
    """Checked settings: the same class reads YAML and is made in Python.

    Unknown names are errors and values are immutable; :meth:`replace` gives a changed copy.

    Raises:
        InputError: the first name or value that cannot be used, with what is allowed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(*first_error(type(self), error)) from None

    # pydantic then knows that this constructor only passes values on, and that a section inside
    # another one may be checked without calling it
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, values: Any) -> Any:
        for name, value in values.items() if isinstance(values, dict) else ():
            field = cls.model_fields.get(name)
            own = [type(mark).__name__ for mark in field.metadata] if field else []
            kind = field.annotation if field and "BeforeValidator" not in own else None
            if isinstance(value, bool) and kind in (int, float, int | None, float | None):
                raise InputError(name, value, "give a number, not true or false")
        return values

    def replace(self, **changes: Any) -> Self:
        """A copy with other values, checked as a new one."""
        return type(self)(**{**dict(self), **changes})

    @classmethod
    def hint(cls, key: str) -> str:
        """What the error for the unknown name ``key`` adds."""
        return ""


def first_error(model: type[BaseModel], error: ValidationError) -> tuple[str, Any, str]:
    """Field, value and remedy of an unknown name, else of the first thing ``model`` found wrong."""
    errors: list[dict[str, Any]] = [dict(detail) for detail in error.errors()]
    first = next((detail for detail in errors if detail["type"] == "extra_forbidden"), errors[0])
    sections, path, field = [model], [], None
    for part in first["loc"]:
        holder = next((section for section in sections if part in section.model_fields), None)
        tagged = [section for section in sections if len(sections) > 1 and part in _tags(section)]
        if holder is not None:
            field = holder.model_fields[str(part)]
            sections = _sections(field.annotation)
        elif tagged or "[" in str(part) or part in ("int", "float", "str", "bool"):
            sections = tagged or sections  # which part of a union was tried is no key
            continue
        else:
            field = None
        path.append(str(part))
    remedy = first["msg"]
    if first["type"] in _REMEDIES:
        remedy = _REMEDIES[first["type"]].format(**first.get("ctx", {}))
    cause = first.get("ctx", {}).get("error")
    if field is not None and field.description and first["type"] != "extra_forbidden":
        remedy = f"give {field.description}"
    elif isinstance(cause, InputError):  # of a check inside: it says which part of the value
        if cause.field not in path[-1:]:
            path.append(cause.field)
        return ".".join(path), cause.value, cause.remedy
    elif first["type"] == "extra_forbidden":
        known = [name for section in sections for name in section.model_fields]
        hints = [section.hint(path[-1]) for section in sections if issubclass(section, Section)]
        remedy = f"unknown key; {nearest(path[-1], known)}{''.join(hints)}"
    elif first["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        remedy = f"use {first['ctx']['expected']}; {nearest(str(first['input']), allowed)}"
    elif first["type"] == "union_tag_invalid":
        path.append(first["ctx"]["discriminator"].strip("'"))
        first["input"] = first["ctx"]["tag"]
        remedy = nearest(first["input"], re.findall(r"'([^']*)'", first["ctx"]["expected_tags"]))
    return ".".join(path), first["input"], remedy.removeprefix("Value error, ")


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field's type holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for inner in get_args(annotation) for section in _sections(inner)]


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    """Values of the field ``kind``, by which a union tells its models apart."""
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


class TrainOptions(Section):
    """How to train, whatever the job.

    Attributes:
        max_epochs: passes over the source. max_steps: stop earlier after so many steps.
        lr, weight_decay: AdamW of the encoder (a method's groups may set their own).
        schedule: ``constant``; ``cosine`` or ``linear`` down to the share ``final_lr`` of the rate
            at the end of the run; ``step`` multiplies it by ``decay_factor`` every
            ``decay_epochs``, the first ``hold_epochs`` not counted. The first ``warmup`` steps
            rise linearly. ``one_cycle`` rises in half a cosine from 1/25 of the rate over
            ``warmup`` steps (0: a quarter of the run) and falls in half a cosine to ``final_lr``
            (Smith and Topin 2018, arXiv 1708.07120).
        clip_norm: gradient clipping by norm, or None.
        accumulate: parts a batch is cut into, between trials where it has them; one part is in
            memory at a time and there is one optimiser step a batch. The gradient is the mean over
            the parts, weighted by size: that of the whole batch for losses that are means over
            samples. A contrastive loss sees the samples of one part only, as does a batch norm.
        cache_gradients: the whole batch enters the loss all the same; the encoder takes one of
            the ``accumulate`` parts at a time and computes it again in the backward pass. Result
            of the whole batch, memory of one part, one more forward pass (gradient caching, Gao et
            al. 2021, arXiv 2101.06983). For encoders that treat samples independently, hence not
            for batch norm; dropout is drawn part by part.
        averaging: ``swa``, ``ema`` or ``none``; the running figures of batch norms are measured
            again for averaged weights, on up to 2,048 samples of the source; average_start: steps
            before averaging begins (-1 also counts the initial weights, as the papers' code does);
            ema_decay; ema_warmup: after n steps the decay is at most n / (n + ema_warmup), so
            that the first weights are soon forgotten; 0 for the same decay from the first step.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed`` (with loss scaling).
        accelerator: ``cpu``, ``cuda``, ``mps``, ``gpu`` (one of the two) or ``auto``, of Lightning
            Fabric.
        devices: processes, one a device. More than one are started and ended by ``fit``;
            under ``torchrun`` those of torchrun are used.
        gather: losses see the batch of all processes: every process draws the same batch and
            views, encodes its share of the rows and gathers the embeddings with their gradient,
            so that the result is that of one process. False gives each process its own part of the
            batch, cut between trials, with a loss of its own. Batch norms need False here, or to
            be synchronised by the user on GPUs.
        checkpoint_seconds: time between checkpoints, when a folder is given.
        monitor_every: epochs between calls of the monitor; patience: stop after so many calls
            without an improvement of more than ``min_delta`` (0: never).
        loggers: ``tensorboard`` and ``mlflow``, written below the trainer's ``logs`` folder.
    """

    max_epochs: int = Field(default=10, ge=0)
    max_steps: int | None = Field(default=None, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    schedule: Schedule = "constant"
    warmup: int = Field(default=0, ge=0)
    final_lr: float = Field(default=0.0, ge=0, le=1)
    decay_epochs: int = Field(default=10, ge=1)
    decay_factor: float = Field(default=0.1, ge=0, le=1)
    hold_epochs: int = Field(default=0, ge=0)
    clip_norm: float | None = Field(default=None, gt=0)
    accumulate: int = Field(default=1, ge=1)
    cache_gradients: bool = False
    averaging: AverageMode = "swa"
    average_start: int = Field(default=0, ge=-1)
    ema_decay: float = Field(default=0.999, gt=0, lt=1)
    ema_warmup: int = Field(default=0, ge=0)
    precision: Precision = "32-true"
    accelerator: Accelerator = "cpu"
    devices: int = Field(default=1, ge=1)
    gather: bool = True
    checkpoint_seconds: float = Field(default=60.0, ge=0)
    monitor_every: int = Field(default=1, ge=1)
    patience: int = Field(default=0, ge=0)
    min_delta: float = Field(default=0.0, ge=0)
    loggers: tuple[LoggerName, ...] = ()


class TrainSettings(TrainOptions):
    """What a trainer is given: the options of :class:`TrainOptions` and three of its own.

    Attributes:
        momentum: of stochastic gradient descent in AdamW's place; None for AdamW.
        keep: the encoder that training gives is the ``best`` by the monitor, or the ``last`` (the
            monitor then only draws a curve).
        seed: of everything random.
    """

    momentum: float | None = Field(default=None, ge=0, lt=1)
    keep: Literal["best", "last"] = "best"
    seed: int = 0


@dataclass
class TrainResult:
    """What training gave.

    Attributes:
        encoder: the encoder to use: averaged, or the best one by the monitor.
        history: one row a step: step, epoch and the mean of each loss term.
        steps: optimiser steps taken. best_epoch, best_score: by the monitor, when there is one.
        monitored: one row (epoch, score) a call of the monitor.
    """

    encoder: nn.Module
    history: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    best_epoch: int | None = None
    best_score: float = math.inf
    monitored: list[dict[str, float]] = field(default_factory=list)


class TrainingDiverged(TSCLError, ArithmeticError):
    """A loss or gradient became NaN or infinite."""
