"""The weights "ecg-1lead": beat knowledge distilled from 4,800 records of the CinC 2017 challenge.

No label is read. 32 epochs are the 2,400 steps of the row ``knowledge`` of ``cinc2017.yaml`` in
one of its folds; network, views and settings are those of that row. Training goes on from its
newest checkpoint when it was interrupted.

    python recipes/pretraining/train_ecg_1lead.py data/cinc2017 runs/ecg-1lead
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # also as a script, from anywhere

from data_loaders import load_cinc2017
from data_loaders.ecg.beat_knowledge import beat_knowledge
from recipes.pretraining.weights import save_weights
from tscl.runs.label_efficiency.run import without_labels
from tscl.training.recordings_pretraining import ECG_VIEWS, SETTINGS, pretrain_recordings

BAND = (0.5, 40.0)
DATA = {
    "name": "AF Classification from a Short Single Lead ECG Recording: the PhysioNet/Computing in "
    "Cardiology Challenge 2017, 4,800 of the 8,528 public training records, labels not used",
    "source": "https://physionet.org/content/challenge-2017/1.0.0/, doi 10.22489/CinC.2017.065-469",
    "licence": "Open Data Commons Attribution License v1.0",
    "attribution": "Clifford GD, Liu C, Moody B, Lehman LH, Silva I, Li Q, Johnson AE, Mark RG. AF "
    "Classification from a Short Single Lead ECG Recording: the PhysioNet/Computing in Cardiology "
    "Challenge 2017. Computing in Cardiology 2017",
}
PREPROCESSING = {
    "rate": 100.0,
    "band": list(BAND),
    "filter": "fir",
    "leads": ["ECG|I"],
    "standardize": "recording",
    "window": 3000,
}


def main(root: Path, out: Path, epochs: int = 32) -> None:
    """Train on all recordings below ``root``; weights and card go to ``out/weights``.

    Args:
        root: folder of the challenge.
        out: also gets the cache and the checkpoints.
        epochs: passes over the recordings.
    """
    cache = out / "cache"
    loaded = load_cinc2017(root, band=BAND, cache=cache, n_jobs=1)
    data = without_labels(loaded.standardize())
    targets = beat_knowledge(data, cache=cache).targets(fit=np.arange(len(data)))
    settings = SETTINGS.replace(max_epochs=epochs)
    result = pretrain_recordings(
        data,
        targets,
        method_params={"augmentation": ECG_VIEWS},
        settings=settings,
        checkpoints=out / "checkpoints",
    )
    save_weights(
        out,
        result,
        data,
        settings,
        data=DATA,
        preprocessing=PREPROCESSING,
        recipe="recipes/pretraining/train_ecg_1lead.py",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
