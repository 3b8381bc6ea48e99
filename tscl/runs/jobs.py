"""The choice of job by a configuration's ``job`` key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tscl.errors import ConfigError, nearest
from tscl.runs.clinical.config import ClinicalConfig
from tscl.runs.config import JobConfig, read_values, validate
from tscl.runs.continual.config import ContinualConfig
from tscl.runs.forecasting.config import RunConfig
from tscl.runs.label_efficiency.config import LabelEfficiencyConfig

JOBS: dict[str, type[JobConfig]] = {
    "forecasting": RunConfig,
    "clinical": ClinicalConfig,
    "label_efficiency": LabelEfficiencyConfig,
    "continual": ContinualConfig,
}


def check_job(values: dict[str, Any]) -> JobConfig:
    """The configuration of whichever job ``values["job"]`` names (``forecasting`` by default).

    Raises:
        ConfigError: no such job, or a bad key or value.
    """
    job = values.get("job", "forecasting")
    if not isinstance(job, str) or job not in JOBS:
        raise ConfigError("job", job, nearest(str(job), JOBS))
    return validate(JOBS[job], values).check()


def load_job(
    path: Path | None = None, overrides: Sequence[str] = (), base: str = "demo"
) -> JobConfig:
    """Read a configuration file of any job.

    Arguments as :func:`tscl.runs.config.read_values`.
    """
    return check_job(read_values(path, overrides, base))
