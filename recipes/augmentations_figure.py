"""The picture of the augmentations for signals: a simulated ECG, and one view by each.

python recipes/augmentations_figure.py docs/figures/augmentations.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import neurokit2
import numpy as np
import torch
from matplotlib.figure import Figure

from tscl.augmentations import build_augmentation
from tscl.disk import write_bytes
from tscl.reporting.document import png
from tscl.seeding import torch_generator

RATE = 250.0
SHOWN = {
    "baseline wander": {"name": "baseline_wander", "rate": RATE, "amplitude": 3.0},
    "mains hum": {"name": "mains_hum", "rate": RATE, "amplitude": 1.5},
    "muscle noise": {"name": "muscle_noise", "rate": RATE, "amplitude": 1.0},
    "polarity": {"name": "polarity", "ratio": 1.0},
    "speed": {"name": "speed", "factor": 1.4},
    "time-out": {"name": "time_out", "longest": 0.6},
    "band-stop": {"name": "band_stop", "rate": RATE, "width": 12.0, "high": 15.0},
    "Fourier surrogate": {"name": "fourier_surrogate", "strength": 0.4},
    "channel dropout": {"name": "channel_dropout", "ratio": 1.0},
    "sides swapped": {"name": "swap_sides", "channels": ["C3", "C4"], "ratio": 1.0},
    "policy ecg": {"name": "ecg", "rate": RATE},
    "policy eeg": {"name": "eeg", "rate": RATE, "channels": ["C3", "C4"]},
}
TWO_CHANNELS = ("channel dropout", "sides swapped", "policy eeg")


def signals() -> torch.Tensor:
    """Two standardised channels of a simulated ECG, (1, 1000, 2)."""
    both = [
        neurokit2.ecg_simulate(
            duration=4, sampling_rate=int(RATE), heart_rate=70, noise=0.0, random_state=seed
        )
        for seed in (1, 2)
    ]
    x = np.stack([both[0], -0.6 * both[1]], axis=1)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return torch.from_numpy(x.astype(np.float32))[None]


def draw(axes, name: str, x: torch.Tensor) -> None:
    """The signal in grey and its view in blue; two channels one above the other."""
    x = x if name in TWO_CHANNELS else x[..., :1]
    view = build_augmentation(SHOWN[name])(x, torch_generator(3, name))
    time = np.arange(x.shape[1]) / RATE
    for channel in range(x.shape[2]):
        offset = -9.0 * channel
        axes.plot(time, x[0, :, channel] + offset, color="#b9bec4", lw=0.9)
        axes.plot(time, view[0, :, channel] + offset, color="#1f5fa8", lw=0.9)
    axes.set_title(name, loc="left", fontsize=9)
    axes.set(yticks=[], xlim=(0, time[-1]))
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)


def main(target: str) -> None:
    """Draw the gallery and write it to ``target``."""
    x = signals()
    figure = Figure(figsize=(10, 7), layout="constrained")
    for name, axes in zip(SHOWN, figure.subplots(4, 3, sharex=True).flat, strict=True):
        draw(axes, name, x)
    figure.supxlabel("seconds", fontsize=9)
    write_bytes(Path(target), png(figure))


if __name__ == "__main__":
    main(sys.argv[1])
