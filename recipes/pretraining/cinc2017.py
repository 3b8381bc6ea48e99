"""An encoder of single-lead ECG at 100 Hz from the 2017 challenge's recordings, without labels.

The network learns to tell what a fixed procedure measures of the beats: rhythm, shape, quality.

    python recipes/pretraining/cinc2017.py ROOT OUT [--seed 0] [--epochs 40] [--part RECORDS.txt]

``ROOT`` is the folder of the challenge; ``OUT`` gets ``encoder.json`` and ``encoder.safetensors``.
``--part`` names a file with the records for training, one a line; without it all are used.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from data_loaders import load_cinc2017
from data_loaders.container.recordings import Recordings
from data_loaders.ecg.beat_knowledge import beat_knowledge
from tscl.saving.encoder import save_encoder
from tscl.training.recordings_pretraining import ECG_VIEWS, SETTINGS, pretrain_recordings
from tscl.training.settings import TrainResult

BAND = (0.5, 40.0)
PARAMS = {"augmentation": ECG_VIEWS, "weights": {"beat_shape": 0.3, "beat": 0.5}}


def pretrain(
    recordings: Recordings,
    rows: np.ndarray,
    *,
    seed: int = 0,
    epochs: int = SETTINGS.max_epochs,
    cache: Path | None = None,
    n_jobs: int = 1,
) -> TrainResult:
    """Train on some of the recordings, which give the scales of the targets too.

    Args:
        recordings: at 100 Hz, one lead, band-passed as :data:`BAND`.
        rows: recordings for training.
        seed: of the network, the crops and the views.
        epochs: passes over ``rows``.
        cache: folder that keeps what was measured of the beats.
        n_jobs: processes that measure.
    """
    known = beat_knowledge(recordings, cache=cache, n_jobs=n_jobs)
    return pretrain_recordings(
        recordings.standardize().subset(rows),
        known.targets(rows).subset(rows),
        method_params=PARAMS,
        settings=SETTINGS.replace(max_epochs=epochs, seed=seed),
    )


def main(arguments: list[str]) -> None:
    """Load, train, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=SETTINGS.max_epochs)
    parser.add_argument("--part", type=Path)
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args(arguments)
    data = load_cinc2017(given.root, band=BAND, cache=given.cache)
    rows = np.arange(len(data))
    if given.part is not None:
        rows = np.flatnonzero(np.isin(data.record, given.part.read_text().split()))
    start = time.perf_counter()
    result = pretrain(data, rows, seed=given.seed, epochs=given.epochs, cache=given.cache)
    seconds = time.perf_counter() - start
    given.out.mkdir(parents=True, exist_ok=True)
    card = {
        "data": f"{data.name}, {len(rows)} recordings without labels",
        "input": {"sampling_rate": 100.0, "band": list(BAND), "standardized": "by recording"},
        "seconds": round(seconds),
        "seed": given.seed,
    }
    save_encoder(given.out, result.encoder, card)
    last = {name: round(value, 4) for name, value in result.history[-1].items()}
    sys.stdout.write(f"{len(rows)} recordings, {seconds:.0f} s, {last}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
