"""The figure of the README, from the run folder that ``make run`` leaves.

python recipes/readme_figure.py runs/demo docs/figures/readme.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.dates import ConciseDateFormatter, DayLocator, date2num
from matplotlib.figure import Figure

from tscl.disk import write_bytes
from tscl.reporting.document import png
from tscl.runs.comparison.finished_runs import ComparedRun, open_runs
from tscl.runs.comparison.tables import by_horizon

SHOWN = {
    "raw-window ridge": ("ridge on raw values", "#5f6b6d"),
    "seasonal naive": ("seasonal naive", "#9aa0a6"),
    "untrained encoder": ("untrained encoder", "#e09f3e"),
    "TS2Vec": ("TS2Vec", "#d1495b"),
    "AutoTCL": ("AutoTCL", "#1f5fa8"),
}


def mask_panel(figure: Figure, axes, run: ComparedRun) -> None:
    """The signal, coloured by what the learned mask keeps of each step."""
    data = run.plots.mask("autotcl")
    times = date2num(data["time"])[-168:]
    signal, kept = data["signal"][-168:], data["openness"][-168:]
    points = np.stack((times, signal), axis=1)
    lines = LineCollection(np.stack((points[:-1], points[1:]), axis=1), cmap="viridis", lw=2.2)
    lines.set_array(kept[1:])
    lines.set_clim(0, 1)
    axes.add_collection(lines)
    axes.set(xlim=(times[0], times[-1]), ylim=(signal.min() - 1, signal.max() + 1))
    axes.xaxis.set_major_locator(DayLocator(interval=2))
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    axes.set_ylabel("temperature (°F)")
    axes.set_title("learned mask h(x) of AutoTCL", loc="left", fontsize=10)
    figure.colorbar(lines, ax=axes, label="probability of keeping", pad=0.02)


def codes_panel(figure: Figure, axes, run: ComparedRun) -> None:
    """Two principal components of the codes of the test part."""
    data = run.plots.embedding("autotcl")
    drawn = axes.scatter(*data["points"].T, c=data["hour"], cmap="twilight_shifted", s=5, lw=0)
    figure.colorbar(drawn, ax=axes, label="hour of the day", pad=0.02)
    axes.set(xlabel="component 1", ylabel="component 2")
    axes.set_title("codes of the test part", loc="left", fontsize=10)


def errors_panel(axes, run: ComparedRun) -> None:
    """Test MSE by horizon, each over that of the ridge on raw values."""
    table = by_horizon(run, "mse").set_index("method").drop(columns="mean")
    reference = table.loc["raw-window ridge"]
    for name, (label, colour) in SHOWN.items():
        axes.plot(
            table.columns,
            table.loc[name] / reference,
            "o-",
            color=colour,
            ms=4,
            lw=1.6,
            label=label,
        )
    axes.set(
        xlabel="horizon (hours)", ylabel="test MSE / that of the ridge", yscale="log", ylim=(0.9, 9)
    )
    axes.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    axes.minorticks_off()
    axes.set_title("forecast errors", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=7.5, loc="center left", bbox_to_anchor=(1, 0.5))


def main() -> None:
    """Draw the three panels."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    (run,) = open_runs([source])
    figure = Figure(figsize=(13, 3.1), layout="constrained")
    mask, codes, errors = figure.subplots(1, 3, width_ratios=(1.5, 1.1, 1))
    mask_panel(figure, mask, run)
    codes_panel(figure, codes, run)
    errors_panel(errors, run)
    for axes in (mask, codes, errors):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    write_bytes(target, png(figure))
    print(target)


if __name__ == "__main__":
    main()
