"""Classification on pooled embeddings over the UCR and UEA archives: one resumable job, one table.

    python recipes/autotcl/classify.py --sets BasicMotions ItalyPowerDemand --seeds 0 1 2 3 4
    python recipes/autotcl/classify.py --archive uea --root data/uea --out runs/uea --workers 2

Sets come inside sktime's wheel; ``--root`` reads `NAME/NAME_TRAIN.ts` from a folder where it has
them, and ``--download`` lets sktime fetch there what is missing. Every set, method and seed is a
cell on disk: a killed job goes on where it was, and the table is written anew from the cells there
are. Series are scaled by the training part. ``--svm-folds ordered`` leaves the SVM's folds
unshuffled, as TS2Vec's code does; ``autotcl_without_h`` is the paper's ablation without the mask.

``--methods ts2vec_published`` trains as TS2Vec's script does: 8 whole series a step, 200 steps, or
600 for more than 100,000 values. ``--missing .5`` is its experiment with missing data: that share
of the steps of both parts, single ones or ``--missing-how blocks`` of 10, is NaN.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
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
from tscl.seeding import numpy_generator

PROBES = ("SVM", "logistic", "kNN")
AUTOTCL: dict[str, Any] = {"temperature": 0.2, "reg_weight": 1.0}
METHODS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "autotcl": ("autotcl", AUTOTCL),
    "autotcl_without_h": ("autotcl", {**AUTOTCL, "aug_params": {"use_h": False}}),
    "ts2vec": ("ts2vec", None),
    "untrained": ("ts2vec", None),
    "ts2vec_published": ("ts2vec", None),
}
"""Rows of the table: method and its arguments."""
SIZES = {"small": (64, 32, 5), "published": (320, 64, 10)}
"""Embedding dimensions, width and depth of the dilated encoder."""
BLOCK = 10
"""Steps in a block of missing ones."""


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
    missing: float = 0.0
    how: str = "points"


def scores(settings: Settings, cell: Cell) -> dict[str, Any]:
    """Test accuracy of each probe on the embeddings of one cell."""
    below = settings.root is not None and (Path(settings.root) / cell.set).is_dir()
    data = load_classification(cell.set, root=settings.root if below else None)
    rng = numpy_generator(cell.seed, "missing")
    train, test = (hide_steps(part, settings.missing, settings.how, rng) for part in scaled(data))
    method, params = METHODS[cell.method]
    dims, width, depth = SIZES[settings.size]
    model = Representation(
        method,
        encoder="dilated",
        encoder_params={"output_dims": dims, "hidden_dims": width, "depth": depth},
        method_params=params,
        **training(cell.method, settings.epochs, len(train), train.size),
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


def training(method: str, epochs: int, n: int, values: int) -> dict[str, int]:
    """How long ``n`` series of so many ``values`` in all are trained on, and in which batches."""
    if method == "ts2vec_published":
        steps = 200 if values <= 100_000 else 600
        sizes = {"batch_size": min(8, n), "max_train_length": 3000}
        return {"max_epochs": steps, "max_steps": steps, **sizes}
    return {"max_epochs": 0 if method == "untrained" else epochs, "batch_size": min(16, n)}


def hide_steps(x: Any, share: float, how: str, rng: np.random.Generator) -> Any:
    """A copy of ``x`` (N, T, C) in which ``share`` of all steps are NaN in every channel.

    Args:
        share: of the N T steps, in [0, 1).
        how: ``points`` draws single steps, as TS2Vec's code does; ``blocks`` runs of BLOCK.
        rng: source of randomness.
    """
    n, length = x.shape[:2]
    width = BLOCK if how == "blocks" else 1
    pieces = -(-length // width)
    lost = np.zeros(n * pieces, bool)
    lost[rng.permutation(lost.size)[: int(lost.size * share)]] = True
    out = x.copy()
    out[np.repeat(lost.reshape(n, pieces), width, axis=1)[:, :length]] = np.nan
    return out


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


def run_to_table(
    files: CellFiles[Any],
    work: Callable[[Any], Any],
    table: Callable[[list[Any]], str],
    out: Path,
    workers: int,
) -> None:
    """Run the cells that are missing; the table of all is printed and kept, also after an error."""

    def report(title: str, done: int, total: int) -> None:
        print(f"{done}/{total} {title}", flush=True)

    try:
        run_cells(files, work, files.write, workers=workers, report=report)
    finally:
        if rows := files.finished():
            text = table(rows)
            write_text(out / "table.md", text + "\n")
            print(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cells that are missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=["BasicMotions", "ItalyPowerDemand"])
    parser.add_argument("--archive", choices=["uea", "ucr"], help="all of its sets below --root")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--download", action="store_true")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS)[:-1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--svm-folds", choices=["shuffled", "ordered"], default="shuffled")
    parser.add_argument("--missing", type=float, default=0.0)
    parser.add_argument("--missing-how", choices=["points", "blocks"], default="points")
    parser.add_argument("--out", type=Path, default=Path("runs/classification"))
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    if not 0 <= options.missing < 1:
        parser.error("--missing is a share in [0, 1)")
    names = options.sets
    if options.archive is not None:
        root = options.root or Path("data") / options.archive
        names, options.root = sets_of(options.archive, root, download=options.download), root
    settings = Settings(
        epochs=options.epochs,
        size=options.size,
        shuffle=options.svm_folds == "shuffled",
        root=None if options.root is None else str(options.root),
        missing=options.missing,
        how=options.missing_how,
    )
    cells = [
        Cell(name, method, seed)
        for name in names
        for method in options.methods
        for seed in options.seeds
    ]
    unused = {"root"} if settings.missing else {"root", "missing", "how"}
    facts = {k: v for k, v in asdict(settings).items() if k not in unused}
    files = CellFiles(options.out, cells, lambda cell: {**asdict(cell), **facts})

    run_to_table(files, partial(scores, settings), table, options.out, options.workers)


if __name__ == "__main__":
    main()
