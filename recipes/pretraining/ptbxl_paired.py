"""Two modalities on PTB-XL: an ECG with a vector of its SCP codes, and limb with chest leads.

Every record of folds 1 to 8 is contrasted with the vector of its diagnostic superclasses (NORM, MI,
STTC, CD, HYP, several may be 1). A record of folds 9 and 10 is then given the classes whose vectors
its embedding is most similar to: no classifier is fitted. Beside it, without any label, the limb
leads are contrasted with the chest leads. Linear probes on embeddings, of an untrained encoder too,
say what is gained. Scores are AUROC of each class against all others.

    python recipes/pretraining/ptbxl_paired.py ptbxl-1819 ptbxl-500 --seeds 3
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import resample_poly
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # also as a script, from anywhere

from recipes.pretraining.ptbxl_2285 import CLASSES, load_ptbxl_2285
from tscl.estimators import ContrastiveTransformer
from tscl.evaluation.probes.plain_features import summary_features

ENCODER = {"output_dims": 32, "hidden_dims": 16, "depth": 4}
GROUPS = [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
PROBE = make_pipeline(
    StandardScaler(), OneVsRestClassifier(LogisticRegression(C=0.03, max_iter=2000))
)


def model(seed: int, epochs: int, **params: object) -> ContrastiveTransformer:
    """Contrast of two modalities around a small dilated encoder, on crops of 2.5 s."""
    return ContrastiveTransformer(
        "paired",
        method_params={"pooling": "mean", **params},
        encoder_params=ENCODER,
        pooling="mean",
        max_epochs=epochs,
        batch_size=64,
        lr=2e-3,
        max_train_length=125,
        random_state=seed,
    )


def scores(truth: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """AUROC of each class and their mean."""
    each = {name: roc_auc_score(truth[:, k], score[:, k]) for k, name in enumerate(CLASSES)}
    return {"mean": float(np.mean(list(each.values()))), **each}


def probe(train: np.ndarray, codes: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Decisions (n, classes) of a logistic regression a class on embeddings."""
    return np.asarray(clone(PROBE).fit(train, codes).decision_function(test))


def run(arrays: Path, files: Path, seeds: int, epochs: int) -> pd.DataFrame:
    """One row a model and seed."""
    data = load_ptbxl_2285(arrays, files)
    x = resample_poly(np.stack([data[i] for i in range(len(data))]), 1, 2, axis=1)  # to 50 Hz
    x = x.astype(np.float32)
    codes = data.columns[list(CLASSES)].to_numpy().astype(np.float32)
    some = codes.any(axis=1)
    held = data.columns["side"].isin(["valid", "test"]).to_numpy()
    (seen, known), (new, truth) = ((x[s], codes[s]) for s in (some & ~held, some & held))
    print(f"{len(seen)} records to train on, {len(new)} to test on", flush=True)
    rows = []

    def add(name: str, seed: int, score: np.ndarray) -> None:
        rows.append({"model": name, "seed": seed, **scores(truth, score)})
        print(rows[-1], flush=True)

    add("summary statistics, probe", 0, probe(summary_features(seen), known, summary_features(new)))
    names = np.eye(len(CLASSES), dtype=np.float32)
    for seed in range(seeds):
        for label, lasts in (("untrained", 0), ("trained", epochs)):
            for loss in ("infonce", "cwcl") if lasts else ("infonce",):
                fitted = model(seed, lasts, loss=loss).fit(seen, paired=known)
                title = f"{label}, codes" + (f", {loss}" if lasts else "")
                add(f"{title}, zero-shot", seed, fitted.similarity(new, names))
                found = probe(fitted.transform(seen), known, fitted.transform(new))
                add(f"{title}, probe", seed, found)
        fitted = model(seed, epochs, channel_groups=GROUPS).fit(seen)
        found = probe(fitted.transform(seen), known, fitted.transform(new))
        add("trained, limb and chest leads, probe", seed, found)
    return pd.DataFrame(rows)


def main() -> None:
    """Print a table of means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", type=Path)
    parser.add_argument("files", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    table = run(options.arrays, options.files, options.seeds, options.epochs)
    means = table.groupby("model", sort=False)[["mean", *CLASSES]].agg(["mean", "std"])
    sys.stdout.write(means.round(3).to_string() + "\n")


if __name__ == "__main__":
    main()
