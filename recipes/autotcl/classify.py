"""Classification on pooled embeddings: AutoTCL, TS2Vec and an untrained encoder on UCR/UEA sets.

    python recipes/autotcl/classify.py --sets BasicMotions ItalyPowerDemand --seeds 0 1 2 3 4

Sets come inside sktime's wheel; ``--root`` reads `NAME/NAME_TRAIN.ts` from a folder instead.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from data_loaders.archive import ClassificationData, load_classification
from tscl.estimators import Representation
from tscl.evaluation.probes.classifiers import knn_probe, linear_probe, svm_probe

PROBES = ("SVM", "logistic", "kNN")


def scores(data: ClassificationData, method: str, seed: int, epochs: int) -> dict[str, float]:
    """Test accuracy of each probe on the embeddings of one method."""
    mean = np.nanmean(data.X_train, axis=(0, 1))
    scale = np.nanstd(data.X_train, axis=(0, 1))
    train, test = ((x - mean) / np.where(scale > 0, scale, 1) for x in (data.X_train, data.X_test))
    model = Representation(
        "ts2vec" if method == "untrained" else method,
        encoder="dilated",
        encoder_params={"output_dims": 64, "hidden_dims": 32, "depth": 5},
        method_params={"temperature": 0.2, "reg_weight": 1.0} if method == "autotcl" else None,
        max_epochs=0 if method == "untrained" else epochs,
        batch_size=16,
        random_state=seed,
    ).fit(train)
    arrays = model.transform(train), data.y_train, model.transform(test), data.y_test
    return {
        "SVM": svm_probe(*arrays, random_state=seed).accuracy,
        "logistic": linear_probe(*arrays, random_state=seed).accuracy,
        "kNN": knn_probe(*arrays).accuracy,
    }


def main() -> None:
    """Print a Markdown table: mean and standard deviation over seeds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", nargs="+", default=["BasicMotions", "ItalyPowerDemand"])
    parser.add_argument("--root", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| set | method | " + " | ".join(PROBES) + " |")
    print("| --- | --- |" + " ---: |" * len(PROBES))
    for name in options.sets:
        data = load_classification(name, root=options.root)
        for method in ("autotcl", "ts2vec", "untrained"):
            rows = [scores(data, method, seed, options.epochs) for seed in options.seeds]
            cells = []
            for probe in PROBES:
                values = np.array([row[probe] for row in rows])
                spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
                cells.append(f"{values.mean():.3f}{spread}")
            print(f"| {name} | {method} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
