"""Recordings whose class is the order of two opposite bumps: no spectrum or histogram tells it."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_loaders.container.recordings import Recordings


def motif_recordings(n: int = 120, seed: int = 0, noise: float = 1.0) -> Recordings:
    """Labels 0 and 1 (``up-down``, ``down-up``) in turn; 5 to 7 s at 50 Hz.

    A recording of class 1 looks like one of class 0 read backwards, so both classes have the same
    power spectra and values. Amplitude and gap between motifs are a recording's own.
    """
    rng = np.random.default_rng(seed)
    signals = []
    for row in range(n):
        steps = int(rng.integers(250, 350))
        x = noise * rng.normal(size=steps)
        gap, size = rng.integers(24, 40), rng.uniform(2.0, 4.0)
        for start in range(int(rng.integers(0, gap)), steps - 12, gap):
            bump = size * np.hanning(6)
            x[start : start + 6] += bump if row % 2 == 0 else -bump
            x[start + 6 : start + 12] -= bump if row % 2 == 0 else -bump
        signals.append(x[:, None])
    return Recordings.from_arrays(
        signals,
        50.0,
        label=np.arange(n) % 2,
        label_names=["up-down", "down-up"],
        record=[f"r{row:03d}" for row in range(n)],
        name="motifs",
    ).standardize()


def motif_values(out: Any, **changes: Any) -> dict[str, Any]:
    """Values of a label-efficiency run of seconds on :func:`motif_recordings`."""
    return {
        "job": "label_efficiency",
        "name": "motifs",
        "out": str(out),
        "data": {"kind": "recordings", "root": "unused"},
        "tasks": {"order": {}},
        "split": {"n_splits": 3, "folds": [0]},
        "encoder": {"name": "resnet1d", "params": {"widths": [16, 32], "strides": [2, 2]}},
        "augmentation": None,
        "crop": 128,
        "batch_size": 40,
        "train": {"lr": 5e-3, "averaging": "none"},
        "labelled": {"steps": 20},
        "rows": {
            "simclr": {
                "kind": "pretrained",
                "method": "simclr",
                "params": {"augmentation": None, "loss_params": {"temperature": 0.2}},
                "train": {"max_epochs": 30},
            },
            "untrained": {"kind": "untrained"},
            "spectrum": {"kind": "spectrum"},
        },
        "shares": [1.0, 0.1],
        "draws": 2,
        "n_replicates": 100,
        **changes,
    }
