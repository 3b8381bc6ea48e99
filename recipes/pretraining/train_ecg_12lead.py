"""The weights "ecg-12lead": beat and convolution knowledge of PTB-XL, beside contrast of two crops.

No label is read, and folds 9 and 10 take no part, so that figures on them are of unseen patients.
Every record has one set of figures, of all its 10 s: of its beats, and the first components of
MiniRocket's features (extra minirocket); the network sees crops of 5 s. Training goes on from its
newest checkpoint when it was interrupted. Weights, crop and epochs were chosen on fold 9
(docs/results_pretraining.md).

    python recipes/pretraining/train_ecg_12lead.py data/ptbxl-1819 data/ptbxl-500 runs/ecg-12lead
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # also as a script, from anywhere

from data_loaders.ecg.beat_knowledge import beat_knowledge
from recipes.pretraining.ptbxl_2285 import LEADS, load_ptbxl_2285
from recipes.pretraining.weights import save_weights
from tscl.evaluation.clinical.recording_features import convolution_targets
from tscl.runs.label_efficiency.run import without_labels
from tscl.training.recordings_pretraining import ENCODER, SETTINGS, pretrain_recordings

DATA = {
    "name": "PTB-XL, 2,285 of 21,799 records, those of folds 1 to 8 (9 and 10 left out), labels "
    "not used",
    "source": "https://physionet.org/content/ptb-xl/",
    "licence": "Creative Commons Attribution 4.0 International",
    "attribution": "Wagner P, Strodthoff N, Bousseljot R-D, Samek W, Schaeffter T. PTB-XL, a large "
    "publicly available electrocardiography dataset. PhysioNet 2022, doi 10.13026/kfzx-aw45. "
    "Changes made: filtered, resampled to 100 Hz and scaled by lead and record",
}
PREPROCESSING = {
    "rate": 100.0,
    "band": [0.5, 40.0],
    "filter": "butterworth",
    "order": 4,
    "leads": list(LEADS),
    "standardize": "recording",
    "window": 1000,
}
VIEWS = {
    "name": "compose",
    "augmentations": [
        {"name": "scaling", "sigma": 0.2},
        {"name": "baseline_wander", "rate": 100.0, "amplitude": 0.3, "relative": False},
        {"name": "muscle_noise", "rate": 100.0, "amplitude": 0.3, "relative": False, "p": 0.5},
        {"name": "channel_dropout", "ratio": 0.1},
        {"name": "time_out", "longest": 0.1, "p": 0.5},
    ],
}
"""Views that leave beats where they are; no lead is turned over, for its sign means something."""


def main(arrays: Path, files: Path, out: Path) -> None:
    """Train on folds 1 to 8; weights and card go to ``out/weights``."""
    data = load_ptbxl_2285(arrays, files)
    data = without_labels(data.subset(data.columns["side"].to_numpy() == "train"))
    known = beat_knowledge(data, crop=1000, hop=1000, cache=out / "cache")
    beats = replace(known.targets(np.arange(len(data)), components=24), steps={}, events={})
    targets = beats.joined(convolution_targets(data, 1000))
    settings = SETTINGS.replace(weight_decay=0.02, ema_decay=0.99, max_epochs=100)
    result = pretrain_recordings(
        data,
        targets,
        crop=500,
        views=2,
        batch_size=128,
        encoder={**ENCODER, "stem_dims": 48, "widths": [48, 64, 64, 96, 128]},
        method_params={
            "augmentation": VIEWS,
            "weights": {"beat_shape": 0.5},
            "contrast": "ntxent",
            "contrast_weight": 1.0,
        },
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
        recipe="recipes/pretraining/train_ecg_12lead.py",
    )


if __name__ == "__main__":
    main(*(Path(given) for given in sys.argv[1:4]))
