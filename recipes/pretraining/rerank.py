"""Precision of the five nearest series, with and without ranking fifteen again by time warping.

Every series is a patient of its own; the training part is the index, the test part asks. A hit is a
series of the query's class.

    python recipes/pretraining/rerank.py uea --ptbxl ptbxl-1819 ptbxl-500
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import resample_poly
from sklearn.frozen import FrozenEstimator

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # also as a script, from anywhere

from data_loaders import load_classification
from recipes.pretraining.ptbxl_2285 import CLASSES, load_ptbxl_2285
from tscl.estimators import ContrastiveTransformer, PatientRetrieval

SETS = ("Epilepsy", "BasicMotions", "AtrialFibrillation")
ENCODER = {"output_dims": 32, "hidden_dims": 16, "depth": 4}
Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def ptbxl(arrays: Path, files: Path, n: int = 400, queries: int = 100) -> Parts:
    """The first records of one superclass alone, at 50 Hz: those of folds 1 to 8 are the index."""
    data = load_ptbxl_2285(arrays, files)
    codes = data.columns[list(CLASSES)].to_numpy()
    held = data.columns["side"].isin(["valid", "test"]).to_numpy()
    alone = codes.sum(axis=1) == 1
    parts = []
    for rows in (np.flatnonzero(alone & ~held)[:n], np.flatnonzero(alone & held)[:queries]):
        x = resample_poly(np.stack([data[row] for row in rows]), 1, 2, axis=1)
        parts += [x.astype(np.float32), codes[rows].argmax(axis=1)]
    return tuple(parts)  # type: ignore[return-value]


def precision(parts: Parts, seed: int, epochs: int) -> dict[str, float]:
    """Share of hits among the five nearest, pooled and ranked again."""
    x, y, new, truth = parts
    trained = ContrastiveTransformer(
        "simclr", encoder_params=ENCODER, max_epochs=epochs, random_state=seed
    ).fit(x)
    out = {}
    for name, rerank in (("pooled", 0), ("ranked again", 15)):
        index = PatientRetrieval(FrozenEstimator(trained), rerank=rerank)
        index.fit(x, patient=np.arange(len(x)))
        rows = index.query(new, patient=None, n_patients=5, include_own=True)
        out[name] = float((y[rows["sample"]] == truth[rows["query"]]).mean())
    return out


def main() -> None:
    """Print a table of means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uea", type=Path)
    parser.add_argument("--ptbxl", type=Path, nargs=2, metavar=("ARRAYS", "FILES"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    sets: dict[str, Parts] = {}
    for name in SETS:
        data = load_classification(name, options.uea)
        sets[name] = (data.X_train, data.y_train, data.X_test, data.y_test)
    if options.ptbxl:
        sets["PTB-XL, one superclass"] = ptbxl(*options.ptbxl)
    rows = [
        {"set": name, "seed": seed, **precision(parts, seed, options.epochs)}
        for name, parts in sets.items()
        for seed in range(options.seeds)
    ]
    table = pd.DataFrame(rows).drop(columns="seed").groupby("set", sort=False).agg(["mean", "std"])
    sys.stdout.write(table.round(3).to_string() + "\n")


if __name__ == "__main__":
    main()
