"""Rows of a clinical table: the configured method, its ablations, and what they stand beside."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tscl.runs.clinical.config import UNTRAINED, ClinicalConfig, ablated

LABELS = {
    "comet": "COMET",
    "random": "random encoder",
    "bandpower": "band power",
    "bandpower_input": "band power (encoder's input)",
    "ts2vec": "TS2Vec",
    "simclr": "SimCLR",
    "ts_tcc": "TS-TCC",
    "tf_c": "TF-C",
    "clocs": "CLOCS",
    "mixing_up": "Mixing-up",
    "autotcl": "AutoTCL",
}


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        name: as configured.
        label: as the table shows it.
        kind: ``pretrained``, or one of :data:`tscl.runs.clinical.config.UNTRAINED`.
        method: registered method of a pretrained row. params: its arguments.
        sampler: how its batches are drawn.
        repeat: number of its pretraining; the run's seed plus it is the seed.
    """

    name: str
    label: str
    kind: str
    method: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    sampler: Literal["trial", "batch", "random"] = "trial"
    repeat: int = 0

    @property
    def slug(self) -> str:
        """Name of its files."""
        name = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "row"
        return f"{name}-repeat{self.repeat}" if self.repeat else name

    def repeats(self, count: int) -> list[Row]:
        """The row pretrained ``count`` times; a row that is not pretrained stands once."""
        if self.kind != "pretrained":
            return [self]
        return [replace(self, repeat=number) for number in range(count)]


def table_rows(config: ClinicalConfig) -> list[Row]:
    """All rows in order: the method, its ablations, the comparison."""
    main = config.method
    train = config.train
    title = LABELS.get(main.name, main.name)
    rows = [Row(main.name, title, "pretrained", main.name, dict(main.params), train.sampler)]
    for name, one in config.evaluate.ablations.items():
        params = ablated(main.params, one)
        sampler = one.sampler or train.sampler
        rows.append(Row(name, f"{title}, {name}", "pretrained", main.name, params, sampler))
    for name in config.evaluate.compare:
        label = LABELS.get(name, name)
        if name in UNTRAINED:
            rows.append(Row(name, label, name))
        else:
            params = dict(config.compare_params.get(name, {}))
            rows.append(Row(name, label, "pretrained", name, params, train.compare_sampler))
    return rows
