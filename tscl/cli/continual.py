"""The continual job from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tscl.cli.clinical import use_data
from tscl.cli.console import console
from tscl.errors import ConfigError

if TYPE_CHECKING:
    from tscl.runs.continual.config import ContinualConfig

__all__ = ["pretrain", "run", "use_data"]


def run(config: ContinualConfig, quiet: bool, *, resume: bool, begin: bool = True) -> None:
    """Learn the sites in turn, forget and report.

    Arguments as :func:`tscl.cli.clinical.run`.
    """
    from tscl.runs.continual.run import ContinualRun

    job = ContinualRun(config)
    if begin:
        job.begin(resume=resume)
    console.print(f"{job.data!r}", markup=False)

    def tell(title: str, done: int, total: int) -> None:
        if not quiet:
            console.print(f"{done}/{total} {title}", markup=False)

    console.print(f"report: {job.run(report=tell)}")


def pretrain(config: ContinualConfig, quiet: bool, *, resume: bool) -> None:
    """Not a step of its own. Arguments as :func:`run`."""
    raise ConfigError("job", config.job, "sites are learned and scored in turn: use tscl run")
