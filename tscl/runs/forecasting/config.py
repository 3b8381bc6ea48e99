"""The configuration of the forecasting job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from tscl.runs.config import Component, JobConfig, Section, TrainOptions, read_values, validate


class DataSection(Section):
    """Which series, and how it is split.

    ``source`` is a built-in name or the path of a CSV. ``layout`` says how to read a CSV: ``ett``
    or ``csv``. ``split`` is ``ett`` (12/4/4 months of 30 days) or three ratios. ``input_form``
    ``relative`` shows the encoder each column's last change and its distance from exponential
    means over ``relative_windows`` steps instead of its value, so that codes do not carry the
    level, which drifts between the parts. ``features``: the target alone (S), all columns (M), or
    all columns as inputs for one target (MS). Layout ``named`` reads ``source`` as the data set
    ``dataset``; split ``named`` is that data set's own. ``calendar``: seven standardised fields,
    or those of the series' frequency in [-0.5, 0.5]. ``irregular`` and ``missing`` say what to do
    about gaps and empty cells of layout ``csv``; see :func:`data_loaders.series.series.load_csv`.
    """

    source: str = "seattle-temps"
    layout: Literal["builtin", "ett", "csv", "named"] = "builtin"
    dataset: str | None = None
    features: Literal["S", "M", "MS"] = "S"
    target: str | None = None
    time_column: str = "date"
    columns: list[str] | None = None
    irregular: Literal["error", "fill"] = "error"
    missing: Literal["error", "forward"] = "error"
    covariates: bool = True
    calendar: Literal["standard", "frequency"] = "standard"
    calendar_fit: Literal["train", "all"] = "train"
    split: Literal["ett", "named"] | tuple[float, float, float] = (0.6, 0.2, 0.2)
    input_form: Literal["values", "relative"] = "values"
    relative_windows: tuple[int, ...] = (24, 168)

    @field_validator("split")
    @classmethod
    def _ratios(cls, value: Any) -> Any:
        if isinstance(value, tuple) and (
            any(v <= 0 for v in value) or abs(sum(value) - 1.0) > 1e-6
        ):
            raise ValueError("three ratios above 0 that sum to 1")
        return value


class TrainSection(TrainOptions):
    """How to train on series cut into sections of at least ``max_train_length`` steps."""

    max_train_length: int = Field(default=257, ge=2)


class EvaluateSection(Section):
    """The forecasting protocol.

    ``compare`` lists further methods trained on the same data (``random`` is an untrained
    encoder). ``residual`` lets the ridge predict the change from the last value;
    ``window_features`` also shows it that many raw values; ``drop`` training steps are left out.
    """

    horizons: list[int] = Field(default_factory=lambda: [24, 48, 168])
    window: int = Field(default=200, ge=1)
    drop: int = Field(default=200, ge=0)
    residual: bool = False
    window_features: int = Field(default=0, ge=0)
    standardise: bool = False
    alphas: list[float] | None = None
    route: Literal["auto", "full", "chunked", "sliding"] = "auto"
    compare: list[str] = Field(default_factory=lambda: ["ts2vec", "random"])
    baselines: bool = True
    batch_size: int = Field(default=256, ge=1)

    @field_validator("horizons")
    @classmethod
    def _positive(cls, value: list[int]) -> list[int]:
        if not value or any(h < 1 for h in value):
            raise ValueError("at least one horizon, each 1 or more")
        return sorted(set(value))


class RunConfig(JobConfig):
    """A forecasting run: data, encoder, method, training, evaluation."""

    job: Literal["forecasting"] = "forecasting"
    data: DataSection = Field(default_factory=DataSection)
    encoder: Component = Component(name="cost")
    method: Component = Component(name="autotcl")
    compare_params: dict[str, dict[str, Any]] = Field(default_factory=dict)
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()


def check_config(values: dict[str, Any]) -> RunConfig:
    """Validate the nested dictionary of a forecasting run.

    Raises:
        ConfigError: the first bad key or value, with the nearest known key or what is allowed.
    """
    from tscl.encoders import ENCODERS
    from tscl.methods import METHODS

    config = validate(RunConfig, values)
    ENCODERS.check(config.encoder.name, config.encoder.params)
    METHODS.check(config.method.name, config.method.params)
    for name in config.evaluate.compare:
        if name != "random":
            METHODS.check(name, config.compare_params.get(name, {}))
    return config


def load_config(
    path: Path | None = None, overrides: Sequence[str] = (), base: str = "demo"
) -> RunConfig:
    """The forecasting configuration of :func:`read_values`."""
    return check_config(read_values(path, overrides, base))
