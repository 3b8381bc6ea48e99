"""One validated configuration for every command, read from YAML and ``--set key=value``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError

from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, InputError, nearest
from tscl.methods import METHODS
from tscl.methods.instance_loss import instance_losses
from tscl.seeding import seeded
from tscl.training.settings import Section, TrainOptions, TrainSettings, first_error

M = TypeVar("M", bound=BaseModel)


class Component(Section):
    """A registered component: its name and constructor arguments."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)


class ExternalData(Section):
    """Recordings of another hospital, to test on what was trained on the first's.

    They are read and cut as the training data were. ``kind`` None is told by the folder's files;
    ``params`` are further arguments of its loader. ``shared``: patient ids in both are refused,
    left out of the test, or are those of other people. ``valid`` is the share of the training
    patients that validate, where the job has such a part.
    """

    root: str
    kind: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    shared: Literal["refuse", "leave_out", "other_people"] = "refuse"
    valid: float = Field(default=0.2, ge=0, lt=1)


class JobTraining(TrainOptions):
    """How a job trains; ``select: validation`` keeps the epoch of the best validation score."""

    batch_size: int = Field(default=32, ge=1)
    select: Literal["last", "validation"] = "last"

    def settings(self, seed: int, **changes: Any) -> TrainSettings:
        """What the trainer is given."""
        values = {name: getattr(self, name) for name in TrainOptions.model_fields}
        return TrainSettings(**{**values, "seed": seed, **changes})


class JobConfig(Section):
    """What the configuration of every job holds: its kind, name, seed and output folder.

    ``licence`` is that of the weights, for the card of saved models.
    """

    job: str
    name: str = "demo"
    seed: int = Field(default=0, ge=0)
    out: str = "runs/demo"
    licence: str | None = None

    def check(self) -> Self:
        """The configuration itself, when everything it names is known.

        Raises:
            ConfigError: an unknown name, or values that do not go together.
        """
        return self

    def results(self) -> dict[str, Any]:
        """The values that results depend on: all but what only the report shows."""
        return self.model_dump(mode="json", exclude={"licence"})

    def can_continue(self, earlier: JobConfig) -> bool:
        """Whether what ``earlier`` left in its folder is part of this run."""
        return self.results() == earlier.results()

    def to_yaml(self) -> str:
        """The resolved configuration as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


class MethodConfig(JobConfig):
    """A job that pretrains one method and others beside it.

    ``compare_params`` maps a method of the comparison to its arguments.
    """

    encoder: Component
    method: Component
    compare_params: dict[str, dict[str, Any]] = Field(default_factory=dict)

    def params(self, method: str) -> dict[str, Any]:
        """Arguments of the configured method, or of one it is compared with."""
        chosen = self.method.params if method == self.method.name else None
        return dict(self.compare_params.get(method, {}) if chosen is None else chosen)

    def check_methods(
        self, compare: Sequence[str], baselines: Sequence[str]
    ) -> dict[str, frozenset[str]]:
        """Encoder, method and those of ``compare`` that are not among ``baselines``.

        Returns:
            What each method reads beside the series (:func:`method_needs`).

        Raises:
            ConfigError: an unknown name or argument, with the nearest known one, or a value that
                a method or its loss refuses.
        """
        ENCODERS.check(self.encoder.name, self.encoder.params)
        check_method("method.params", self.method.name, self.method.params)
        key = {self.method.name: "method.params"}
        for name in compare:
            if name in baselines:
                continue
            if name not in METHODS.names():
                known = [*METHODS.names(), *baselines]
                raise ConfigError("evaluate.compare", name, nearest(name, known))
            check_method(f"compare_params.{name}", name, self.compare_params.get(name, {}))
            key.setdefault(name, f"compare_params.{name}")
        return {
            name: under(where, method_needs, self.encoder, name, self.params(name))
            for name, where in key.items()
        }


def check_method(key: str, name: str, params: Mapping[str, Any]) -> None:
    """Check names and values of a method's arguments.

    Args:
        key: of the configuration, for errors.
        name: of the method.
        params: its arguments.

    Raises:
        ConfigError: names the argument below ``key``.
    """
    METHODS.check(name, params)
    under(key, METHODS.get(name).check_params, params)


def method_needs(encoder: Component, name: str, params: Mapping[str, Any]) -> frozenset[str]:
    """What a method reads of a batch beside the series, known before any data are read.

    The method is built around an encoder of two channels; one that lacks arguments which a job
    fills in from its data says what its class reads. Beside ``labels`` stand ``targets`` and
    ``background`` where a loss reads numbers, or which samples are background, as labels.

    Args:
        encoder: section of the configuration.
        name: of the method.
        params: its arguments.

    Raises:
        InputError: a value that the encoder, the method or its loss refuses.
    """
    known = METHODS.parameters(name)
    needed = {key for key, argument in known.items() if argument.default is argument.empty} - {
        "encoder"
    }
    if needed - set(params):
        return frozenset(METHODS.get(name).needs)
    given = {key: 0 if value == "covariates" else value for key, value in params.items()}
    with seeded(0, "needs"):
        built = ENCODERS.build(encoder.name, input_dims=2, **encoder.params)
        method = METHODS.build(name, encoder=built, **given)
    of_losses = {need for loss in instance_losses(method) for need in loss.needs}
    return frozenset({*method.needs, *(of_losses & {"targets", "background"})} - {"index"})


def under(key: str, check: Callable[..., Any], *given: Any) -> Any:
    """What a check returns; what it finds wrong is named below a key of the configuration.

    Args:
        key: of the configuration.
        check: raises InputError.
        *given: its arguments.
    """
    try:
        return check(*given)
    except InputError as error:
        raise ConfigError(f"{key}.{error.field}", error.value, error.remedy) from None


def validate(model: type[M], values: Mapping[str, Any]) -> M:
    """``values`` as a checked ``model``.

    Raises:
        ConfigError: the first bad key or value, with the nearest known key or what is allowed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(*first_error(model, error)) from None


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
        known[id(value)] = 1 + sum(_count(part, known, (*above, id(value))) for part in inner)
    return known[id(value)]


def read_values(
    path: Path | None = None, overrides: Sequence[str] = (), base: str = "demo"
) -> dict[str, Any]:
    """Read a YAML file and apply ``key=value`` overrides, without checking keys.

    Args:
        path: YAML file, or the name of an embedded configuration such as ``clinical``; None takes
            ``base``. Keys that are absent keep their defaults, or the values of the file in the
            same folder that the key ``base`` names.
        overrides: such as ``train.lr=1e-4``; values are read as YAML.
        base: embedded configuration.

    Raises:
        ConfigError: the file cannot be read, or an override is malformed.
    """
    embedded = Path(__file__).parent / "configs"
    if path is None:
        path = embedded / f"{base}.yaml"
    elif path.name == str(path) and not path.suffix and not path.exists():
        names = [file.stem for file in embedded.glob("*.yaml")]
        if path.name not in names:
            raise ConfigError("config", path, f"no such file; {nearest(path.name, names)}")
        path = embedded / f"{path.name}.yaml"
    values = _read_file(path)
    if (beside := values.pop("base", None)) is not None:
        if not isinstance(beside, str) or Path(beside).name != beside:
            raise ConfigError("base", beside, "name a file of the same folder")
        below = _read_file(path.parent / beside)
        if "base" in below:
            raise ConfigError("base", beside, "it has a base of its own: name that one")
        values = merged(below, values)
    for item in overrides:
        apply_override(values, item)
    return values


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("config", path, f"cannot be read ({error})") from None
    values = parse_yaml(text, f"config {path}") or {}
    if not isinstance(values, dict):
        raise ConfigError("config", path, "the file must hold keys and values")
    return dict(values)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``below`` with the values of ``above``, section by section; lists are replaced whole."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = merged(old, value)
        result[key] = value
    return result


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
