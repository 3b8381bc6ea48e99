"""What "ecg-1lead" is worth on other recordings: one lead of PTB-XL, and beats of MIT-BIH.

Beside them "ecg-12lead" on folds of PTB-XL that it was not trained on. All with 10 % and 1 % of the
labels, five draws; networks trained on the labels, three. Intervals come from test patients drawn
anew. Finished cells are kept, so that it goes on when interrupted. The figures of
the shipped weights go into their cards.

    python recipes/pretraining/transfer.py data/mitdb data/ptbxl-1819 data/ptbxl-500 runs/transfer
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # also as a script, from anywhere

from data_loaders import Recordings, load_mitbih
from recipes.pretraining.ptbxl_2285 import load_ptbxl_2285
from tscl.augmentations import build_augmentation
from tscl.encoders import ENCODERS
from tscl.estimators.pretrained import HOME, load_pretrained
from tscl.evaluation.clinical.finetune_recordings import (
    LabelledSettings,
    fit_on_labels,
    predict_recordings,
)
from tscl.evaluation.metrics.bootstrap import bootstrap_replicates, percentile_interval
from tscl.evaluation.metrics.classification import classification_metrics
from tscl.evaluation.probes.balanced import balanced_proba
from tscl.evaluation.recordings import embed_recordings
from tscl.reporting.document import markdown_table
from tscl.runs.label_efficiency.data import draw_labels
from tscl.saving.cells import Cell, ResultStore
from tscl.saving.encoder import update_card
from tscl.seeding import numpy_generator, seeded
from tscl.training.recordings_pretraining import ECG_VIEWS

Index = NDArray[np.int64]
SHARES, DRAWS, TRAINED_DRAWS = (0.1, 0.01), 5, 3
UNTRAINED = "the same network, untrained"
LINEAR = ("ecg-1lead", "ecg-12lead", UNTRAINED)
TRAINED = ("supervised", "fine-tuned from ecg-1lead")
PENALTY = 0.01
"""C of every logistic regression; nothing is chosen on these data."""
BEATS = 150
"""Most beats of a class that are taken from a MIT-BIH record; normal ones abound."""


class CentralSteps(nn.Module):
    """The embeddings of the three steps in the middle as one, (B, 1, 3 H): about one beat."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.output_dims = backbone, 3 * int(backbone.output_dims)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Series (B, T, C) of at least three embeddings."""
        z = self.backbone(x)
        first = z.shape[1] // 2 - 1
        joined: Tensor = z[:, first : first + 3].flatten(1).unsqueeze(1)
        return joined


@dataclass(frozen=True)
class Task:
    """Recordings with classes ``y`` (-1: none), split into rows to train and to test on."""

    name: str
    data: Recordings
    y: Index
    train: Index
    test: Index
    beats: bool
    weights: str = "ecg-1lead"

    def encoder(self, name: str) -> nn.Module:
        """The network of a row, with trained or fresh weights."""
        shipped = load_pretrained(self.weights).encoder
        if name in ("supervised", UNTRAINED):
            with seeded(0, "fresh weights"):
                shipped = ENCODERS.build("read_out", **shipped.config())
        backbone = shipped.backbone
        assert isinstance(backbone, nn.Module)
        if self.beats:
            return CentralSteps(backbone)
        return shipped if name in LINEAR else backbone


def ptbxl(arrays: Path, files: Path) -> Iterator[Task]:
    """Normal against abnormal, from one lead and from twelve, tested on folds 9 and 10."""
    data = load_ptbxl_2285(arrays, files)
    train = data.columns["side"].to_numpy() == "train"
    labelled = data.label >= 0
    fit, tested = np.flatnonzero(labelled & train), np.flatnonzero(labelled & ~train)
    for place, lead in enumerate(("I", "II")):
        single = Recordings.from_arrays(
            (data[row][:, [place]] for row in range(len(data))),
            data.sampling_rate,
            channel_names=[lead],
            patient=data.patient,
            label=data.label,
            label_names=data.label_names,
            source=data.source,
        )
        yield Task(f"PTB-XL, lead {lead}", single, data.label, fit, tested, False)
    yield Task("PTB-XL, 12 leads", data, data.label, fit, tested, False, "ecg-12lead")


def mitbih(root: Path) -> Iterator[Task]:
    """Class N, V or S of the beat in the middle of 6 s, tested on other patients (DS2)."""
    beats = load_mitbih(
        root,
        classes=("N", "V", "S"),
        target_rate=100.0,
        before_seconds=3.0,
        after_seconds=3.0,
        band=(0.5, 40.0),
        standardize="record",
    )
    rng = numpy_generator(0, "beats")
    record, kept = beats.columns["record"].to_numpy(), []
    for name in np.unique(record):
        for code in range(3):
            same = np.flatnonzero((record == name) & (beats.label == code))
            kept.append(np.sort(rng.permutation(same)[:BEATS]))
    chosen = beats.subset(np.concatenate(kept))
    half = chosen.columns["split"].to_numpy()
    fit, tested = np.flatnonzero(half == "DS1"), np.flatnonzero(half == "DS2")
    data = Recordings.from_dataset(chosen)
    yield Task("MIT-BIH beats, MLII", data, chosen.label, fit, tested, True)


def cells(task: Task, rows: tuple[str, ...], store: ResultStore) -> None:
    """Add the missing cells of some rows of a task to the store."""
    classes = int(task.y.max()) + 1
    alone = np.arange(len(task.y))
    settings = LabelledSettings(
        crop=600 if task.beats else 1000,
        steps=150,
        lr=2e-3,
        bf16=True,
        pooling="mean" if task.beats else "mean+std+max",
    )
    for row in rows:
        other = row in LINEAR[:2] and row != task.weights
        if other or (row in TRAINED and task.weights == "ecg-12lead"):
            continue
        z: NDArray[np.float32] | None = None
        for share in SHARES:
            for draw in range(DRAWS if row in LINEAR else TRAINED_DRAWS):
                key = {"task": task.name, "row": row, "share": share, "draw": draw}
                if key in store:
                    continue
                chosen = draw_labels(task.y, task.train, alone, share, draw)
                if row in LINEAR:
                    if z is None:
                        z = embed_recordings(task.encoder(row), task.data)
                    proba, _ = balanced_proba(
                        z[chosen], task.y[chosen], z[task.test], classes, C=(PENALTY,)
                    )
                else:
                    tuned = row.startswith("fine-tuned")
                    network, _ = fit_on_labels(
                        task.encoder(row),
                        task.data,
                        chosen,
                        task.y[chosen],
                        classes,
                        LabelledSettings(**{**vars(settings), "encoder_lr": 5e-4, "lr": 1e-3})
                        if tuned
                        else settings,
                        augmentation=build_augmentation(ECG_VIEWS),
                        seed=draw,
                    )
                    proba = predict_recordings(network, task.data, task.test, settings)
                patient = task.data.patient_codes[task.test]
                arrays = {"y": task.y[task.test], "proba": proba, "patient": patient}
                store.add(Cell(key, {"labels": len(chosen)}, arrays))
                print(task.name, row, share, draw, flush=True)


def table(store: ResultStore) -> str:
    """Mean AUROC over draws with its interval, and what ecg-1lead has more."""
    lines = []
    for task in dict.fromkeys(cell.key["task"] for cell in store.cells()):
        for share in SHARES:
            figures = {row: scores(store, task, row, share) for row in (*LINEAR, *TRAINED)}
            figures = {row: figures_ for row, figures_ in figures.items() if figures_[2]}
            reference = next(iter(figures))
            for row, (auroc, replicates, draws, labels) in figures.items():
                low, high = percentile_interval(replicates)
                same = scores(store, task, reference, share, draws)  # of the same draws of labels
                lines.append(
                    {
                        "recordings": task,
                        "labels": f"{share:.0%} ({labels})",
                        "row": row,
                        "draws": draws,
                        "AUROC": f"{auroc:.3f} [{low:.3f}, {high:.3f}]",
                        "pretrained minus it": ""
                        if row == reference
                        else "{:+.3f} [{:+.3f}, {:+.3f}]".format(
                            same[0] - auroc, *percentile_interval(same[1] - replicates)
                        ),
                    }
                )
    return markdown_table(pd.DataFrame(lines), names=3)


def scores(
    store: ResultStore, task: str, row: str, share: float, most: int = DRAWS
) -> tuple[float, NDArray[np.float64], int, int]:
    """Mean AUROC over the first ``most`` draws, its replicates over test patients, the number of
    draws and the labels of each."""
    wanted = {"task": task, "row": row, "share": share}
    done = [cell for cell in store.cells() if wanted.items() <= cell.key.items()]
    done = [cell for cell in done if cell.key["draw"] < most]
    values, replicates = [], []
    for cell in done:
        y, proba, patient = (cell.arrays[name] for name in ("y", "proba", "patient"))
        values.append(classification_metrics(y, proba).auroc)
        drawn = bootstrap_replicates(y, proba, patient, n_replicates=500)
        replicates.append(drawn["auroc"])
    mean = np.mean(replicates, axis=0) if done else np.full(500, np.nan)
    labels = int(done[0].facts["labels"]) if done else 0
    return float(np.mean(values)) if done else float("nan"), mean, len(done), labels


def metrics(store: ResultStore, weights: str) -> dict[str, Any]:
    """The figures of shipped weights for their card."""
    result: dict[str, Any] = {
        "how": "recipes/pretraining/transfer.py: AUROC of a logistic regression on the embeddings "
        "(beats: on the three steps in the middle), mean of five draws of labels, with 95 % "
        "intervals over test patients (PTB-XL folds 9 and 10; MIT-BIH DS2, 12 patients)"
    }
    for task in dict.fromkeys(cell.key["task"] for cell in store.cells()):
        for share in SHARES:
            auroc, replicates, draws, _ = scores(store, task, weights, share)
            if draws:
                interval = [round(limit, 3) for limit in percentile_interval(replicates)]
                plain = round(scores(store, task, UNTRAINED, share)[0], 3)
                figures = {"auroc": round(auroc, 3), "interval": interval, "untrained": plain}
                result[f"{task}, {share:.0%} of the labels"] = figures
    return result


def main(mitdb: Path, arrays: Path, files: Path, out: Path, *rows: str) -> None:
    """Compute what is missing of ``rows`` (all by default), and write the table."""
    torch.set_num_threads(1)
    store = ResultStore(out / "cells")
    for task in (*mitbih(mitdb), *ptbxl(arrays, files)):
        cells(task, rows or (*LINEAR, *TRAINED), store)
    for name in LINEAR[:2]:
        update_card(HOME / name, metrics=metrics(store, name))
    (out / "transfer.md").write_text(table(store) + "\n", encoding="utf-8")
    print(table(store))


if __name__ == "__main__":
    folders = [Path(given) for given in sys.argv[1:5]]
    main(folders[0], folders[1], folders[2], folders[3], *sys.argv[5:])
