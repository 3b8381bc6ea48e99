"""One validated configuration for every command, read from YAML and ``--set key=value``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tscl.errors import ConfigError, nearest
from tscl.training.settings import AverageMode, LoggerName, Precision, Schedule, TrainSettings

M = TypeVar("M", bound=BaseModel)


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Component(Section):
    """A registered component: its name and constructor arguments."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)


class TrainOptions(Section):
    """How to train, whatever the job; see :class:`tscl.training.settings.TrainSettings`."""

    max_epochs: int = Field(default=10, ge=0)
    max_steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=32, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    schedule: Schedule = "constant"
    warmup: int = Field(default=0, ge=0)
    final_lr: float = Field(default=0.0, ge=0, le=1)
    decay_epochs: int = Field(default=10, ge=1)
    decay_factor: float = Field(default=0.1, ge=0, le=1)
    clip_norm: float | None = Field(default=None, gt=0)
    accumulate: int = Field(default=1, ge=1)
    cache_gradients: bool = False
    averaging: AverageMode = "swa"
    average_start: int = Field(default=0, ge=-1)
    ema_decay: float = Field(default=0.999, gt=0, lt=1)
    precision: Precision = "32-true"
    accelerator: str = "cpu"
    devices: int = Field(default=1, ge=1)
    gather: bool = True
    checkpoint_seconds: float = Field(default=60.0, ge=0)
    select: Literal["last", "validation"] = "last"
    monitor_every: int = Field(default=1, ge=1)
    patience: int = Field(default=0, ge=0)
    min_delta: float = Field(default=0.0, ge=0)
    loggers: tuple[LoggerName, ...] = ()

    def settings(self, seed: int) -> TrainSettings:
        """The engine's settings."""
        known = {field.name for field in fields(TrainSettings)}
        return TrainSettings(seed=seed, **self.model_dump(include=known))


class JobConfig(Section):
    """What the configuration of every job holds: its kind, name, seed and output folder.

    ``licence`` is that of the weights, for the card of saved models.
    """

    job: str
    name: str = "demo"
    seed: int = Field(default=0, ge=0)
    out: str = "runs/demo"
    licence: str | None = None

    def results(self) -> dict[str, Any]:
        """The values that results depend on: all but what only the report shows."""
        return self.model_dump(mode="json", exclude={"licence"})

    def to_yaml(self) -> str:
        """The resolved configuration as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def _unknown_key(model: type[BaseModel], error: dict[str, Any]) -> ConfigError:
    section = model
    for part in error["loc"][:-1]:
        field = section.model_fields.get(str(part))
        kind = field.annotation if field else None
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            section = kind
    key = ".".join(str(p) for p in error["loc"])
    return ConfigError(
        key, error["input"], f"unknown key; {nearest(str(error['loc'][-1]), section.model_fields)}"
    )


def validate(model: type[M], values: dict[str, Any]) -> M:
    """``values`` as a checked ``model``.

    Raises:
        ConfigError: the first bad key or value, with the nearest known key or what is allowed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as found:
        first: dict[str, Any] = dict(found.errors()[0])
        if first["type"] == "extra_forbidden":
            raise _unknown_key(model, first) from None
        key = ".".join(str(p) for p in first["loc"])
        raise ConfigError(key, first["input"], str(first["msg"])) from None


MAX_VALUES = 100_000
"""Most values a configuration may hold, aliases written out."""


def parse_yaml(text: str, what: str) -> Any:
    """Plain values of a YAML text (``safe_load``: no object is ever made).

    Raises:
        ConfigError: not YAML, a value that cannot be, nested too deep, or aliases that would
            multiply to more than :data:`MAX_VALUES` values.
    """
    try:
        values = yaml.safe_load(text)
        count = _count(values, {}, ())
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(what, _start(text), f"not valid YAML ({error})") from None
    except (RecursionError, OverflowError):
        raise ConfigError(what, _start(text), "not valid YAML (nested too deep)") from None
    if count > MAX_VALUES:
        raise ConfigError(what, _start(text), f"it holds more than {MAX_VALUES} values")
    return values


def _start(text: str) -> str:
    return text[:60].replace("\n", " ")


def _count(value: Any, known: dict[int, int], above: tuple[int, ...]) -> int:
    """Values below ``value`` with aliases written out; a value that holds itself is an error."""
    if not isinstance(value, dict | list | set | tuple):
        return 1
    if id(value) in above:
        raise ValueError("a value that holds itself")
    if id(value) not in known:
        inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(one, known, (*above, id(value))) for one in inner)
    return known[id(value)]


def read_values(
    path: Path | None = None, overrides: Sequence[str] = (), base: str = "demo"
) -> dict[str, Any]:
    """Read a YAML file and apply ``key=value`` overrides, without checking keys.

    Args:
        path: YAML file, or the name of an embedded configuration such as ``clinical``; None takes
            the embedded ``base``. Keys that are absent keep their defaults.
        overrides: such as ``train.lr=1e-4``; values are read as YAML.

    Raises:
        ConfigError: the file cannot be read, or an override is malformed.
    """
    embedded = Path(__file__).parent / "configs"
    if path is None:
        path = embedded / f"{base}.yaml"
    elif path.name == str(path) and not path.suffix and not path.exists():
        names = [one.stem for one in embedded.glob("*.yaml")]
        if path.name not in names:
            raise ConfigError("config", path, f"no such file; {nearest(path.name, names)}")
        path = embedded / f"{path.name}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("config", path, f"cannot be read ({error})") from None
    values = parse_yaml(text, f"config {path}") or {}
    if not isinstance(values, dict):
        raise ConfigError("config", path, "the file must hold keys and values")
    for item in overrides:
        apply_override(values, item)
    return dict(values)


def apply_override(values: dict[str, Any], item: str) -> None:
    """Set one ``a.b.c=value`` in a nested dictionary, in place."""
    key, sign, text = item.partition("=")
    if not sign or not key.strip():
        raise ConfigError("--set", item, "write key=value, such as train.lr=1e-4")
    value = parse_yaml(text, f"--set {item[:60]}")
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)  # YAML 1.1 reads 1e-4 as text
    *parents, last = key.strip().split(".")
    here = values
    for part in parents:
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            raise ConfigError("--set", item, f"{part} holds a value, not a section")
    here[last] = value
