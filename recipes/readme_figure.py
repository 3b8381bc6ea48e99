"""The figure of the README, from the run folder that ``make run`` leaves.

python recipes/readme_figure.py runs/demo docs/figures/readme.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from data_loaders import load_rhythm_cohort
from tscl.disk import write_bytes
from tscl.reporting.document import png
from tscl.runs.label_efficiency.pictures import COLOURS, occlusion
from tscl.saving.encoder import load_encoder

ROWS = {
    "beats": ("beat features (hand-made)", "#5f6b6d"),
    "pretrained": ("pretrained without labels", "#1b6ca8"),
    "supervised": ("supervised", "#c2410c"),
    "untrained": ("untrained network", "#e09f3e"),
    "spectrum": ("spectrum and statistics", "#9aa0a6"),
}


def curve_panel(axes, folder: Path) -> None:
    """AUROC against the share of labels."""
    table = pd.read_csv(folder / "scores.csv").query("metric == 'auroc'")
    for row, (title, colour) in ROWS.items():
        line = table[table["row"] == row].sort_values("share")
        axes.plot(line["share"], line["value"], "o-", color=colour, ms=3.5, lw=1.7, label=title)
        axes.fill_between(line["share"], line["ci_low"], line["ci_high"], color=colour, alpha=0.12)
    shares = sorted(table["share"].unique())
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{100 * share:g} %" for share in shares])
    axes.minorticks_off()
    axes.set(xlabel="share of the training labels", ylabel="AUROC, recordings never seen")
    axes.set_title("what labels are worth", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=7.5, loc="center left", bbox_to_anchor=(1, 0.5))


def map_panel(axes, data, z: np.ndarray, rows: np.ndarray) -> None:
    """Two principal components of the embeddings of the test part."""
    z = z[rows]
    points = PCA(2, random_state=0).fit_transform((z - z.mean(0)) / np.maximum(z.std(0), 1e-9))
    for code, name in enumerate(data.label_names):
        at = data.label[rows] == code
        axes.scatter(*points[at].T, s=7, lw=0, alpha=0.75, color=COLOURS[code], label=name)
    axes.set(xlabel="component 1", ylabel="component 2")
    axes.set_title("embeddings of the test part", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=7.5)


def signal_panel(axes, data, row: int, folder: Path) -> None:
    """A recording, shaded where hiding a stretch moves the embedding."""
    encoder = load_encoder(folder / "models" / "pretrained" / "fold0")[0]
    steps = int(8 * data.sampling_rate)
    signal = data[row][:steps].astype(float)
    level = occlusion(encoder, signal, data.sampling_rate, pooling="mean")
    time, values = np.arange(steps) / data.sampling_rate, signal[:, 0]
    low, high = values.min(), values.max()
    axes.fill_between(time, low, low + level * (high - low), color="#f0a35e", alpha=0.55, lw=0)
    axes.plot(time, values, color="#1d2126", lw=0.8)
    axes.set(xlabel="seconds", ylabel="standardised lead I", xlim=(0, time[-1]))
    name = data.label_name(int(data.label[row]))
    axes.set_title(f"what the encoder looks at ({name})", loc="left", fontsize=10)


def main() -> None:
    """Draw the three panels."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    data = load_rhythm_cohort(source / "cohort").standardize()
    predictions = pd.read_csv(source / "predictions.csv")
    rows = np.flatnonzero(np.isin(data.record, predictions["record"].unique()))
    z = np.load(source / "embeddings" / "pretrained-fold0.npy")
    figure = Figure(figsize=(13, 3.2), layout="constrained")
    curve, places, signal = figure.subplots(1, 3, width_ratios=(1.1, 1, 1.4))
    curve_panel(curve, source)
    map_panel(places, data, z, rows)
    other = data.label_names.index("other")
    signal_panel(signal, data, int(rows[data.label[rows] == other][0]), source)
    for axes in (curve, places, signal):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    write_bytes(target, png(figure))
    print(target)


if __name__ == "__main__":
    main()
