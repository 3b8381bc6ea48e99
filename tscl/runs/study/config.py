"""Configuration of a forecasting study: every combination of what is compared."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, check_choice, nearest
from tscl.evaluation.forecasting.statistical import STATISTICAL, build_model
from tscl.forecasters.network import check_encoder_params, check_network_params
from tscl.forecasters.strategies import STRATEGIES, StrategyTraining
from tscl.methods.end_to_end.terms import build_contrast
from tscl.runs.config import JobConfig, read_values, validate
from tscl.runs.forecasting.config import DataSection

Count = Annotated[int, Field(ge=1)]


class StudyConfig(JobConfig):
    """Algorithms x strategies x backbones x horizons x seeds on one series.

    ``algorithms`` and ``backbones`` map a name to its arguments. ``lengths`` maps a horizon to
    the steps of its past; others take the largest of 48 and the horizon. ``networks`` are the
    simple networks trained beside; ``baselines`` adds seasonal naive and last value;
    ``statistical`` maps ``auto_ets``, ``auto_theta``, ``auto_arima`` to arguments (``fit_steps``,
    ``context`` and the model's own; see
    :func:`tscl.evaluation.forecasting.statistical.statistical_baseline`). ``heads`` are rows on
    lags, calendar and columns known ahead: ``trees`` (gradient boosting), ``ridge``, ``boosting``
    on that ridge, ``auto``.
    ``weights`` are the lambdas of end-to-end cells, one cell each (``train.weight`` when empty).
    ``train_for`` maps a network, backbone, strategy or algorithm of the study to settings of its
    cells that differ from ``train``; for a network also ``backbone_params``, for a backbone or
    strategy also ``algorithms``, arguments that differ there (``{moco: {queue: 256}}``).
    ``rounds`` (rolling origins) and ``round_steps`` are for ``tscl backtest`` alone.
    """

    job: Literal["study"] = "study"
    data: DataSection = Field(default_factory=DataSection)
    algorithms: dict[str, dict[str, Any]] = Field(default={"hierarchical": {}})
    strategies: list[str] = Field(default_factory=lambda: ["supervised", "end_to_end"])
    backbones: dict[str, dict[str, Any]] = Field(default={"transformer": {}})
    networks: list[Literal["dlinear", "patch_transformer", "informer_forecaster"]] = Field(
        default_factory=lambda: ["dlinear"]  # type: ignore[arg-type]
    )
    baselines: bool = True
    statistical: dict[str, dict[str, Any]] = Field(default_factory=dict)
    heads: list[Literal["auto", "ridge", "boosting", "trees"]] = Field(default_factory=list)
    horizons: list[Count] = Field(default_factory=lambda: [24, 168], min_length=1)
    lengths: dict[int, Count] = Field(default_factory=dict)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        default_factory=lambda: [0, 1, 2], min_length=1
    )
    weights: list[Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=list)
    train_for: dict[str, dict[str, Any]] = Field(default_factory=dict)
    train: StrategyTraining = StrategyTraining()
    rounds: int = Field(default=4, ge=1)
    round_steps: int | None = Field(default=None, ge=2)

    @field_validator("strategies")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in STRATEGIES:
                raise ValueError(f"{name}: {nearest(name, STRATEGIES)}")
        return list(dict.fromkeys(value))

    @model_validator(mode="after")
    def _settings(self) -> Self:
        named = [*self.networks, *self.backbones, *self.strategies, *self.algorithms]
        for name, values in self.train_for.items():
            if name not in named:
                raise ValueError(f"train_for.{name}: {nearest(name, named)}")
            allowed = [*StrategyTraining.model_fields]
            allowed += ["backbone_params"] if name in self.networks else []
            allowed += ["algorithms"] if name in (*self.backbones, *self.strategies) else []
            for key in values:
                if key not in allowed:
                    raise ValueError(f"train_for.{name}.{key}: {nearest(key, allowed)}")
            for algorithm in values.get("algorithms", {}):
                if algorithm not in self.algorithms:
                    where = f"train_for.{name}.algorithms.{algorithm}"
                    raise ValueError(f"{where}: {nearest(algorithm, self.algorithms)}")
            self.training(name)
        return self

    def training(self, *names: str) -> dict[str, Any]:
        """Settings of a cell: ``train``, then ``train_for`` of each name in turn."""
        values = self.train.model_dump()
        extra: dict[str, Any] = {}
        for name in names:
            own = self.train_for.get(name, {})
            extra |= {k: v for k, v in own.items() if k == "backbone_params"}
            values |= {k: v for k, v in own.items() if k in StrategyTraining.model_fields}
        return StrategyTraining.model_validate(values).model_dump() | extra

    def contrast(self, algorithm: str, *names: str) -> dict[str, Any]:
        """Arguments of an algorithm, then those of the backbone's and the strategy's own."""
        params = dict(self.algorithms.get(algorithm, {}))
        for name in names:
            params |= self.train_for.get(name, {}).get("algorithms", {}).get(algorithm, {})
        return params

    def length(self, horizon: int) -> int:
        """Steps of the past for ``horizon``."""
        return self.lengths.get(horizon, max(48, horizon))


def load_study(path: Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read and check a study.

    Raises:
        ConfigError: the first bad key, value, encoder or contrast, before anything is trained.
    """
    values = read_values(path, overrides)
    if values.get("job") != "study":
        raise ConfigError("job", values.get("job"), "this command needs job: study")
    return check_study(validate(StudyConfig, values))


def check_study(config: StudyConfig) -> StudyConfig:
    """``config`` when every name in it is known."""
    if config.data.input_form != "values":
        raise ConfigError(
            "data.input_form", config.data.input_form, "studies forecast the values; use values"
        )
    for name, params in config.backbones.items():
        ENCODERS.check(name, params)
        check_encoder_params(params)
    for name in [*config.backbones, *config.train_for]:
        check_network_params(config.training(name)["network_params"])
    cells = [(), *product(config.backbones, config.strategies)]
    for name in config.algorithms:
        for params in (config.contrast(name, *names) for names in cells):
            try:
                build_contrast(name, params)
            except TypeError as error:
                raise ConfigError(f"algorithms.{name}", params, str(error)) from None
    for name, params in config.statistical.items():
        check_choice("statistical", name, STATISTICAL, error=ConfigError)
        own = {k: v for k, v in params.items() if k not in ("fit_steps", "context")}
        build_model(name, 1, own)  # an unknown argument or a missing package, before training
    return config
