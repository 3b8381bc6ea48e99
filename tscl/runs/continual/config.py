"""Configuration of the continual job."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tscl.encoders import ENCODERS
from tscl.errors import ConfigError
from tscl.methods import METHODS
from tscl.runs.clinical.config import ClinicalDataSection
from tscl.runs.config import Component, JobConfig, check_method
from tscl.training.settings import Section


class SiteSection(Section):
    """Which samples are a site's.

    ``column`` names each sample's site, in the order of its values (``order`` names another);
    without one patients are dealt to ``n`` sites. ``test`` is the share of each site's patients
    that is tested.
    """

    column: str | None = None
    order: list[Any] | None = None
    n: int = Field(default=3, ge=2)
    test: float = Field(default=0.3, gt=0, lt=1)


class ContinualTraining(Section):
    """How a site is learned; ``seeds`` repeats all of it, with other weights and other splits."""

    max_epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=32, ge=2)
    lr: float = Field(default=1e-3, gt=0)
    seeds: int = Field(default=3, ge=1)


class ContinualConfig(JobConfig):
    """Sites learned one after the other by COCONUT, beside the same without rehearsal.

    ``method`` holds arguments of :class:`tscl.methods.coconut.Coconut`. ``forget`` so many patients
    of the first site are forgotten at the end (0 for none), with the arguments
    ``forget_params`` of :func:`tscl.privacy.unlearning.forget`.
    """

    job: Literal["continual"]
    name: str = "continual"
    out: str = "runs/continual"
    data: ClinicalDataSection = Field(default_factory=ClinicalDataSection)
    encoder: Component = Field(default_factory=lambda: Component(name="dilated"))
    sites: SiteSection = Field(default_factory=SiteSection)
    method: dict[str, Any] = Field(default_factory=dict)
    train: ContinualTraining = Field(default_factory=ContinualTraining)
    forget: int = Field(default=2, ge=0)
    forget_params: dict[str, Any] = Field(default_factory=dict)

    def check(self) -> ContinualConfig:
        """The configuration, when encoder and method take what it gives them."""
        ENCODERS.check(self.encoder.name, self.encoder.params)
        METHODS.check("coconut", self.method)
        check_method("method", "coconut", self.method)
        if self.data.external is not None:
            raise ConfigError("data.external", self.data.external.root, "make it a site")
        if self.data.standardize == "train":
            raise ConfigError("data.standardize", "train", "sites arrive in turn: trial or sample")
        return self
