"""The continual job: learn sites in turn, score all of them after each, forget patients."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders import MedicalDataset
from tscl.disk import write_text
from tscl.errors import ConfigError
from tscl.estimators.continual import ContinualTransformer
from tscl.evaluation.metrics.classification import classification_metrics
from tscl.evaluation.metrics.continual import forgetting
from tscl.evaluation.probes.classifiers import fit_partial
from tscl.reporting.document import markdown_table
from tscl.runs.clinical.data import load_patients, standardised
from tscl.runs.continual.config import ContinualConfig
from tscl.runs.folder import RunFolder
from tscl.runs.workers import Report, run_cells
from tscl.saving.cells import CellFiles
from tscl.seeding import derive_seed, numpy_generator

ROWS = {"COCONUT": {}, "without rehearsal": {"capacity": 1, "replay_weight": 0.0}}
"""What is compared: arguments of the method over those of the configuration."""
Parts = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


@dataclass(frozen=True)
class SiteCell:
    """One row and seed."""

    row: str
    seed: int

    @property
    def title(self) -> str:
        """The cell in one word."""
        return f"{self.row.replace(' ', '_')}-s{self.seed}"


class ContinualRun:
    """The job of a configuration; finished rows and seeds are kept in its folder.

    Args:
        config: validated.
    """

    def __init__(self, config: ContinualConfig) -> None:
        self.config = config
        self.folder = RunFolder(Path(config.out))
        seeds = range(config.seed, config.seed + config.train.seeds)
        self.cells = [SiteCell(row, seed) for seed in seeds for row in ROWS]
        facts = config.model_dump(mode="json", exclude={"licence", "name", "out", "seed"})
        facts["train"].pop("seeds")  # more of them leave the others as they are
        self.files = CellFiles(self.folder.path, self.cells, lambda cell: {**asdict(cell), **facts})

    def begin(self, *, resume: bool) -> None:
        """Create the run folder; without ``resume`` what an earlier run left in it goes."""
        self.folder.begin(self.config, resume=resume)
        if not resume:
            shutil.rmtree(self.files.folder, ignore_errors=True)

    @cached_property
    def data(self) -> MedicalDataset:
        """The labelled samples, as the encoder sees them."""
        section = self.config.data
        data = load_patients(section, self.folder.path)
        data = data.subset(np.flatnonzero(data.label >= 0))
        return standardised(data, section.standardize, np.empty(0, np.int64))

    def sites(self, seed: int) -> tuple[list[str], Parts]:
        """Names of the sites in their order, and the training and test samples of each.

        Raises:
            ConfigError: no such column or site, or a site or class of too few patients.
        """
        wanted, data = self.config.sites, self.data
        table = pd.DataFrame({"patient": data.patient, "label": data.label})
        first = table.drop_duplicates("patient").sample(frac=1, random_state=seed)
        turn = first.groupby("label").cumcount()
        if wanted.column is None:
            site = table["patient"].map(dict(zip(first["patient"], turn % wanted.n, strict=True)))
            names: list[Any] = list(range(wanted.n))
        else:
            if wanted.column not in data.columns:
                raise ConfigError("sites.column", wanted.column, f"known: {list(data.columns)}")
            site = data.columns[wanted.column].reset_index(drop=True)
            names = wanted.order or sorted(site.unique().tolist())
        parts: Parts = []
        for name in names:
            rows = np.flatnonzero((site == name).to_numpy())
            own = first[first["patient"].isin(data.patient[rows])]
            count = own.groupby("label")["patient"].transform("size")
            place = own.groupby("label").cumcount()
            held = own[place < (wanted.test * count).clip(lower=1).round()]["patient"]
            tested = np.isin(data.patient[rows], held)
            train, test = rows[~tested], rows[tested]
            if min(len(np.unique(data.label[part])) for part in (train, test)) < 2:
                remedy = "a site needs two patients or more of two classes or more"
                raise ConfigError("sites", name, remedy)
            parts.append((train, test))
        return [str(name) for name in names], parts

    def run(self, *, report: Report | None = None) -> Path:
        """Run what is missing and write ``continual.md``; its path.

        Args:
            report: called with a title, how many cells are done, and how many there are.
        """
        run_cells(self.files, self.compute, self.files.write, report=report)
        page = self.folder.path / "continual.md"
        write_text(page, report_page(self.config, self.files.finished()))
        return page

    def compute(self, cell: SiteCell) -> dict[str, Any]:
        """Scores (K, K), row i after site i, and what forgetting did."""
        config, data = self.config, self.data
        names, parts = self.sites(cell.seed)
        learner = ContinualTransformer(
            method_params={**config.method, **ROWS[cell.row]},
            encoder=config.encoder.name,
            encoder_params=config.encoder.params,
            scale="none",
            max_epochs=config.train.max_epochs,
            batch_size=config.train.batch_size,
            lr=config.train.lr,
            max_train_length=data.X.shape[1],
            random_state=derive_seed(cell.seed, "sites") % 2**31,
        )
        scores, kept = (np.full((len(parts), len(parts)), np.nan) for _ in range(2))
        probes = []
        for i, (train, _) in enumerate(parts):
            learner.partial_fit(np.asarray(data.X[train]), data.label[train])
            probes.append(self._probe(learner, train))
            for j, (seen, test) in enumerate(parts[: i + 1]):
                scores[i, j] = self._score(learner, self._probe(learner, seen), test)
                kept[i, j] = self._score(learner, probes[j], test)
        row = {**asdict(cell), "sites": names, "kept": kept.tolist(), "scores": scores.tolist()}
        if not config.forget or cell.row != next(iter(ROWS)):
            return row
        seen, fresh = (np.concatenate(rows) for rows in zip(*parts, strict=True))
        patients = np.unique(data.patient[parts[0][0]])
        gone = numpy_generator(cell.seed, "forget").permutation(patients)[: config.forget]
        done = learner.forget(
            np.asarray(data.X[seen]),
            data.patient[seen],
            gone.tolist(),
            others=np.asarray(data.X[fresh]),
            **config.forget_params,
        )
        after = [self._score(learner, self._probe(learner, a), b) for a, b in parts]
        attack = {"before": done.before.auc, "after": done.after.auc, "removed": done.removed}
        return row | {"forgotten": {**attack, "average": float(np.mean(after))}}

    def _probe(self, learner: ContinualTransformer, rows: NDArray[np.int64]) -> Any:
        """A linear probe of the embeddings of training samples."""
        return fit_partial(learner.transform(np.asarray(self.data.X[rows])), self.data.label[rows])[
            0
        ]

    def _score(self, learner: ContinualTransformer, probe: Any, test: NDArray[np.int64]) -> float:
        """AUROC of a probe at test samples of the classes that it knows."""
        test = test[np.isin(self.data.label[test], probe.classes_)]
        proba = probe.predict_proba(learner.transform(np.asarray(self.data.X[test])))
        truth = np.searchsorted(probe.classes_, self.data.label[test])
        return float(classification_metrics(truth, proba).auroc)


def report_page(config: ContinualConfig, cells: list[dict[str, Any]]) -> str:
    """The report of finished cells as Markdown."""
    lines = [
        f"# {config.name}",
        "",
        "Sites are learned one after the other. Scores are the AUROC at a site's test patients of",
        "a linear probe of its training patients: fitted right after the site and kept while the",
        "encoder goes on, or fitted again after every site. Backward transfer is the mean change",
        "from right after a site to the end (below 0: forgotten).",
        f"Means over {config.train.seeds} seeds, with deviations.",
        "",
    ]
    rows, parts = [], list[str]()
    for name, (key, probe) in product(ROWS, PROBES.items()):
        own = [cell for cell in cells if cell["row"] == name]
        figures = [forgetting(cell[key]) for cell in own]
        values = {title: [getattr(figure, k) for figure in figures] for k, title in FIGURES.items()}
        rows.append({"row": name, "probe": probe} | {k: _text(v) for k, v in values.items()})
        mean, sites = np.mean([cell[key] for cell in own], axis=0), own[0]["sites"]
        cells_of = [["" if np.isnan(v) else f"{v:.3f}" for v in row] for row in mean]
        table = pd.DataFrame(cells_of, columns=sites)
        table.insert(0, "after", sites)
        parts += [f"## {name}, probe {probe}", "", markdown_table(table), ""]
    lines += [markdown_table(pd.DataFrame(rows)), "", *parts]
    done = [cell["forgotten"] for cell in cells if "forgotten" in cell]
    if done:
        before, after, average = (
            _text([result[key] for result in done]) for key in ("before", "after", "average")
        )
        removed = np.mean([result["removed"] for result in done])
        lines += [
            "## Patients forgotten",
            "",
            f"{config.forget} patients of the first site were unlearned from the last encoder and",
            "left the memory. An attack tells their series from series never seen by an AUC of",
            f"{before} before and {after} after (.5 is chance);",
            f"{removed:.1f} of their series were in the memory. The average score, probes fitted",
            f"again, is {average} afterwards. Approximate unlearning is no proof of deletion.",
            "",
        ]
    return "\n".join(lines)


PROBES = {"kept": "kept", "scores": "fitted again"}
FIGURES = {
    "average": "average score",
    "forgetting": "forgetting",
    "backward_transfer": "backward transfer",
}


def _text(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1 if len(values) > 1 else 0):.3f}"
