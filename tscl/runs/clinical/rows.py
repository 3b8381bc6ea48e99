"""Rows of a clinical table: the configured method, its ablations, and what they stand beside."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tscl.methods.base import method_title
from tscl.runs.clinical.config import BASELINES, Baseline, ClinicalConfig
from tscl.runs.config import method_needs


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        name: as configured.
        label: as the table shows it.
        method: registered method of a pretrained row. params: its arguments.
        sampler: how its batches are drawn.
        repeat: number of its pretraining; the run's seed plus it is the seed.
        labels: whether its pretraining reads the labels of training patients.
        baseline: what stands here instead of a pretrained encoder.
    """

    name: str
    label: str
    method: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    sampler: Literal["trial", "batch", "random"] = "trial"
    repeat: int = 0
    labels: bool = False
    baseline: Baseline | None = None

    @property
    def slug(self) -> str:
        """Name of its files."""
        name = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "row"
        return f"{name}-repeat{self.repeat}" if self.repeat else name

    def repeats(self, count: int) -> list[Row]:
        """The row pretrained ``count`` times; a row that is not pretrained stands once."""
        if self.baseline is not None:
            return [self]
        return [replace(self, repeat=number) for number in range(count)]


def table_rows(config: ClinicalConfig) -> list[Row]:
    """All rows in order: the method, its ablations, the comparison."""
    main, train = config.method, config.train
    title = method_title(main.name)
    rows = [Row(main.name, title, main.name, dict(main.params), train.sampler)]
    for name, ablation in config.evaluate.ablations.items():
        sampler = ablation.sampler or train.sampler
        rows.append(Row(name, f"{title}, {name}", main.name, config.ablated(ablation), sampler))
    for name in config.evaluate.compare:
        if name in BASELINES:
            rows.append(Row(name, BASELINES[name].title, baseline=BASELINES[name]))
        else:
            params = config.params(name)
            rows.append(Row(name, method_title(name), name, params, train.compare_sampler))
    return [_marked(row, config) for row in rows]


def _marked(row: Row, config: ClinicalConfig) -> Row:
    """The row, said to be supervised where its pretraining reads labels."""
    if row.baseline is not None:
        return row
    if "labels" not in method_needs(config.encoder, row.method, row.params):
        return row
    return replace(row, label=f"{row.label} (with labels)", labels=True)
