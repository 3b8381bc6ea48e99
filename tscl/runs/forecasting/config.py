"""The configuration of the forecasting job."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tscl.errors import ConfigError
from tscl.runs.config import Component, JobTraining, MethodConfig, read_values, validate
from tscl.training.settings import Section

UNTRAINED = "random"
"""The row of the encoder as it was initialised."""


class DataSection(Section):
    """Which series, and how it is split.

    ``dataset`` is a named data set (:data:`data_loaders.FORECASTING_DATASETS`), ``csv``, or
    ``ett`` for a file of the ETT's columns under another name; ``path`` is its file, for those
    that need one. ``features``: the target alone (S), all columns (M), or all columns as inputs
    for one target (MS); None takes S, but for a CSV of several columns without ``target`` M.
    ``time_column`` None takes ``date``, or the first column that holds times. ``split`` is
    ``own``, the data set's (for a CSV .6, .2, .2), ``ett`` (12/4/4 months of 30 days), or three
    ratios.

    ``input_form`` ``relative`` shows the encoder each column's last change and its distance from
    exponential means over ``relative_windows`` steps instead of its value, so that embeddings do
    not carry the level, which drifts between the parts. ``calendar``: seven standardised fields,
    or those of the series' frequency in [-0.5, 0.5]. ``instances`` makes every column a series of
    its own: the encoder sees the covariates and one column, and one head serves all. ``columns``,
    ``irregular`` and ``missing`` are for a CSV: see
    :func:`data_loaders.series.series.load_csv`. ``future_covariates`` are columns of a CSV known
    ahead, such as holidays or a planned price: they are not forecast, encoder and head see them,
    and ``tscl forecast`` takes their future rows.

    The keys ``source`` and ``layout`` of earlier versions are still read, with a warning.
    """

    dataset: str = "seattle-temps"
    path: str | None = None
    features: Literal["S", "M", "MS"] | None = None
    target: str | None = None
    time_column: str | None = None
    columns: list[str] | None = None
    irregular: Literal["error", "fill"] = "error"
    missing: Literal["error", "forward"] = "error"
    covariates: bool = True
    future_covariates: list[str] = Field(default_factory=list)
    calendar: Literal["standard", "frequency"] = "standard"
    calendar_fit: Literal["train", "all"] = "train"
    split: Literal["own", "ett"] | tuple[float, float, float] = Field(
        default="own", description="own, ett, or three ratios above 0 that sum to 1"
    )
    instances: bool = False
    input_form: Literal["values", "relative"] = "values"
    relative_windows: tuple[int, ...] = (24, 168)

    @model_validator(mode="before")
    @classmethod
    def _read_old_keys(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        if values.get("split") == "named":
            warnings.warn("data.split: named is called own now", FutureWarning, stacklevel=2)
            values["split"] = "own"
        if "layout" not in values and "source" not in values:
            return values
        warnings.warn(
            "data.source and data.layout are old: write data.dataset (a name, csv or ett) and "
            "data.path",
            FutureWarning,
            stacklevel=2,
        )
        source, layout = values.pop("source", None), values.pop("layout", None)
        if layout is None and "dataset" in values:  # set over a configuration of the new form
            return {**values, "path": source}
        if layout in (None, "builtin"):
            values["dataset"] = source or cls.model_fields["dataset"].default
        elif layout in ("csv", "ett"):
            values |= {"dataset": layout, "path": source}
        elif layout == "named":
            if values.get("dataset") is None:
                raise ValueError("layout named needs the data set's name in data.dataset")
            values["path"] = source
        else:
            raise ValueError(f"layout {layout}: use data.dataset and data.path")
        if values.get("split") == "own" and values["dataset"] in ("csv", "ett"):
            raise ValueError("split named is that of a named data set: say which in data.dataset")
        values.setdefault("split", (0.6, 0.2, 0.2))
        return values

    @model_validator(mode="after")
    def _instances(self) -> DataSection:
        if self.instances and (self.features == "MS" or self.input_form != "values"):
            raise ValueError("instances: use features M and input_form values")
        if self.future_covariates and self.dataset != "csv":
            raise ValueError("future_covariates are columns of a file: use dataset csv")
        return self

    @field_validator("split")
    @classmethod
    def _ratios(cls, value: Any) -> Any:
        if isinstance(value, tuple) and (
            any(v <= 0 for v in value) or abs(sum(value) - 1.0) > 1e-6
        ):
            raise ValueError("three ratios above 0 that sum to 1")
        return value


class TrainSection(JobTraining):
    """How to train on series cut into sections of at least ``max_train_length`` steps."""

    max_train_length: int = Field(default=257, ge=2)


class EvaluateSection(Section):
    """The forecasting protocol.

    ``compare`` lists further methods trained on the same data (``random`` is an untrained
    encoder). ``residual`` lets the ridge predict the change from the last value;
    ``window_features`` also shows it that many raw values; ``drop`` training steps are left out.
    ``head`` ``protocol`` is that ridge; ``auto`` chooses, on windows held out before the test part,
    past, level and head (ridge, gradient boosting, their mean) on lags, calendar and embeddings
    together; ``ridge``, ``boosting`` and ``trees`` are such heads by name.
    """

    horizons: list[int] = Field(default_factory=lambda: [24, 48, 168])
    window: int = Field(default=200, ge=1)
    drop: int = Field(default=200, ge=0)
    head: Literal["protocol", "auto", "ridge", "boosting", "trees"] = "protocol"
    residual: bool = False
    window_features: int = Field(default=0, ge=0)
    standardize: bool = False
    alphas: list[float] | None = None
    route: Literal["auto", "full", "chunked", "sliding"] = "auto"
    compare: list[str] = Field(default_factory=lambda: ["ts2vec", UNTRAINED])
    baselines: bool = True
    batch_size: int = Field(default=256, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _read_old_key(cls, values: Any) -> Any:
        if isinstance(values, dict) and "standardise" in values:
            warnings.warn(
                "evaluate.standardise is spelled standardize", FutureWarning, stacklevel=2
            )
            values = {"standardize" if k == "standardise" else k: v for k, v in values.items()}
        return values

    @field_validator("horizons")
    @classmethod
    def _positive(cls, value: list[int]) -> list[int]:
        if not value or any(h < 1 for h in value):
            raise ValueError("at least one horizon, each 1 or more")
        return sorted(set(value))


class RunConfig(MethodConfig):
    """A forecasting run: data, encoder, method, training, evaluation.

    An argument of a method that reads ``covariates`` becomes the number of calendar channels,
    which come before the values.
    """

    job: Literal["forecasting"] = "forecasting"
    data: DataSection = Field(default_factory=DataSection)
    encoder: Component = Component(name="cost")
    method: Component = Component(name="autotcl")
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()

    def check(self) -> RunConfig:
        """See :meth:`tscl.runs.config.JobConfig.check`."""
        if self.data.instances and self.evaluate.head != "protocol":
            raise ConfigError("evaluate.head", self.evaluate.head, "instances need protocol")
        if self.data.future_covariates and self.evaluate.head == "protocol":
            remedy = (
                "it sees no step ahead: data.future_covariates need auto, ridge, boosting or trees"
            )
            raise ConfigError("evaluate.head", "protocol", remedy)
        for name, needs in self.check_methods(self.evaluate.compare, [UNTRAINED]).items():
            if needs := needs - {"targets", "background"}:
                remedy = f"it reads {', '.join(sorted(needs))}, which a series does not have"
                raise ConfigError("method", name, remedy)
        return self


def check_config(values: dict[str, Any]) -> RunConfig:
    """Validate the nested dictionary of a forecasting run.

    Raises:
        ConfigError: the first bad key or value, with the nearest known key or what is allowed.
    """
    return validate(RunConfig, values).check()


def load_config(
    path: Path | None = None, overrides: Sequence[str] = (), base: str = "demo"
) -> RunConfig:
    """A forecasting configuration.

    Arguments as :func:`tscl.runs.config.read_values`.
    """
    return check_config(read_values(path, overrides, base))
