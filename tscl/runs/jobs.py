"""The choice of job by a configuration's ``job`` key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tscl.errors import ConfigError, nearest
from tscl.runs.clinical.config import (
    check_clinical,
)
from tscl.runs.config import JobConfig, read_values, validate
from tscl.runs.forecasting.config import check_config
from tscl.runs.label_efficiency.config import LabelEfficiencyConfig

JOBS: tuple[str, ...] = ("forecasting", "clinical", "label_efficiency")


def check_job(values: dict[str, Any]) -> JobConfig:
    """The configuration of whichever job ``values["job"]`` names (``forecasting`` by default).

    Raises:
        ConfigError: no such job, or a bad key or value.
    """
    job = values.get("job", "forecasting")
    if job not in JOBS:
        raise ConfigError("job", job, nearest(str(job), JOBS))
    if job == "label_efficiency":
        return validate(LabelEfficiencyConfig, values).check()
    return check_clinical(values) if job == "clinical" else check_config(values)


def load_job(
    path: Path | None = None, overrides: Sequence[str] = (), base: str = "demo"
) -> JobConfig:
    """Read a configuration file of any job; arguments as :func:`tscl.runs.config.read_values`."""
    return check_job(read_values(path, overrides, base))
