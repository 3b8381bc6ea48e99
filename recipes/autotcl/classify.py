"""Classification on pooled embeddings over the UCR and UEA archives: one resumable job, one table.

    python recipes/autotcl/classify.py --sets BasicMotions ItalyPowerDemand --seeds 0 1 2 3 4
    python recipes/autotcl/classify.py --archive uea --root data/uea --out runs/uea --workers 2

Sets come inside sktime's wheel; ``--root`` reads `NAME/NAME_TRAIN.ts` from a folder instead, and
``--download`` lets sktime fetch there what is missing. Every set, method and seed is a cell on
disk: a killed job goes on where it was, and the table is written anew from the cells there are.
Series are scaled by the training part. ``--svm-folds ordered`` leaves the SVM's folds unshuffled,
as TS2Vec's code does; ``autotcl_without_h`` is the paper's ablation without the mask.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.archive import ClassificationData, load_classification
from tscl.disk import write_text
from tscl.errors import DataError
from tscl.estimators import Representation
from tscl.evaluation.probes.classifiers import knn_probe, linear_probe, svm_probe
from tscl.runs.workers import run_cells
from tscl.saving.cells import CellFiles

PROBES = ("SVM", "logistic", "kNN")
AUTOTCL: dict[str, Any] = {"temperature": 0.2, "reg_weight": 1.0}
METHODS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "autotcl": ("autotcl", AUTOTCL),
    "autotcl_without_h": ("autotcl", {**AUTOTCL, "aug_params": {"use_h": False}}),
    "ts2vec": ("ts2vec", None),
    "untrained": ("ts2vec", None),
}
"""Rows of the table: method and its arguments."""
SIZES = {"small": (64, 32, 5), "published": (320, 64, 10)}
"""Embedding dimensions, width and depth of the dilated encoder."""


@dataclass(frozen=True)
class Cell:
    """One set, method and seed."""

    set: str
    method: str
    seed: int

    @property
    def title(self) -> str:
        """The cell in one word."""
        return f"{self.set}-{self.method}-{self.seed}"


@dataclass(frozen=True)
class Settings:
    """What all cells share."""

    epochs: int = 20
    size: str = "small"
    shuffle: bool = True
    root: str | None = None


def scores(settings: Settings, cell: Cell) -> dict[str, Any]:
    """Test accuracy of each probe on the embeddings of one cell."""
    data = load_classification(cell.set, root=settings.root)
    train, test = scaled(data)
    method, params = METHODS[cell.method]
    dims, width, depth = SIZES[settings.size]
    model = Representation(
        method,
        encoder="dilated",
        encoder_params={"output_dims": dims, "hidden_dims": width, "depth": depth},
        method_params=params,
        max_epochs=0 if cell.method == "untrained" else settings.epochs,
        batch_size=min(16, len(train)),
        random_state=cell.seed,
    ).fit(train)
    arrays = model.transform(train), data.y_train, model.transform(test), data.y_test
    svm = svm_probe(*arrays, shuffle=settings.shuffle, random_state=cell.seed)
    return {
        **asdict(cell),
        "SVM": svm.accuracy,
        "logistic": linear_probe(*arrays, random_state=cell.seed).accuracy,
        "kNN": knn_probe(*arrays).accuracy,
    }


def scaled(data: ClassificationData) -> tuple[Any, Any]:
    """Both parts by mean and deviation of the training part's channels."""
    mean = np.nanmean(data.X_train, axis=(0, 1))
    scale = np.nanstd(data.X_train, axis=(0, 1))
    divisor = np.where(scale > 0, scale, 1)
    return (data.X_train - mean) / divisor, (data.X_test - mean) / divisor


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a row a set and method, mean and deviation over seeds, then the mean over sets.

    The mean is over the sets that every method has.
    """
    frame = pd.DataFrame(rows)
    means = frame.groupby(["set", "method"], sort=False)[list(PROBES)].mean()
    spread = frame.groupby(["set", "method"], sort=False)[list(PROBES)].std()
    lines = ["| set | method | " + " | ".join(PROBES) + " |"]
    lines.append("| --- | --- |" + " ---: |" * len(PROBES))
    for key, row in means.iterrows():
        cells = [
            f"{row[probe]:.3f}" + ("" if np.isnan(s := spread.loc[key, probe]) else f" ± {s:.3f}")
            for probe in PROBES
        ]
        lines.append(f"| {key[0]} | {key[1]} | " + " | ".join(cells) + " |")  # type: ignore[index]
    whole = means["SVM"].unstack("method").dropna().index
    if len(whole) > 1:
        for method, row in means.loc[list(whole)].groupby("method", sort=False).mean().iterrows():
            cells = [f"{row[probe]:.3f}" for probe in PROBES]
            lines.append(f"| mean of {len(whole)} | {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sets_of(archive: str, root: Path, *, download: bool) -> list[str]:
    """Sets of an archive that are below ``root``, fetched there first where asked for."""
    from sktime.datasets import load_UCR_UEA_dataset
    from sktime.datasets.tsc_dataset_names import multivariate, univariate

    uea = [name for name in multivariate if not name.startswith("Asphalt")]  # came after the 30
    names = {"uea": uea, "ucr": univariate}[archive]
    if download:
        for name in names:
            load_UCR_UEA_dataset(name, extract_path=str(root))
    there = [name for name in names if (root / name / f"{name}_TRAIN.ts").is_file()]
    if not there:
        raise DataError("root", root, f"it holds no set of {archive}; --download fetches them")
    print(f"{len(there)} of {len(names)} sets of {archive} in {root}", flush=True)
    return there


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cells that are missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=["BasicMotions", "ItalyPowerDemand"])
    parser.add_argument("--archive", choices=["uea", "ucr"], help="all of its sets below --root")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--download", action="store_true")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--svm-folds", choices=["shuffled", "ordered"], default="shuffled")
    parser.add_argument("--out", type=Path, default=Path("runs/classification"))
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    names = options.sets
    if options.archive is not None:
        root = options.root or Path("data") / options.archive
        names, options.root = sets_of(options.archive, root, download=options.download), root
    settings = Settings(
        epochs=options.epochs,
        size=options.size,
        shuffle=options.svm_folds == "shuffled",
        root=None if options.root is None else str(options.root),
    )
    cells = [
        Cell(name, method, seed)
        for name in names
        for method in options.methods
        for seed in options.seeds
    ]
    facts = {k: v for k, v in asdict(settings).items() if k != "root"}
    files = CellFiles(options.out, cells, lambda cell: {**asdict(cell), **facts})

    def report(title: str, done: int, total: int) -> None:
        print(f"{done}/{total} {title}", flush=True)

    try:
        run_cells(
            files, partial(scores, settings), files.write, workers=options.workers, report=report
        )
    finally:
        if rows := files.finished():
            text = table(rows)
            write_text(options.out / "table.md", text + "\n")
            print(text)


if __name__ == "__main__":
    main()
