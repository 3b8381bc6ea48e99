"""Pictures of what a container holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tscl.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_patient(
    data: Any, patient: object, *, channel: int | str = 0, max_trials: int = 8
) -> Figure:
    """One panel a trial of ``patient``; its samples stand one below the other.

    Args:
        data: the container (:class:`data_loaders.container.dataset.MedicalDataset`).
        patient: a patient id.
        channel: channel number or name.
        max_trials: panels drawn at most; the title says how many there are.

    Raises:
        InputError: unknown patient or channel.
    """
    from matplotlib.figure import Figure

    if isinstance(channel, str) and channel not in data.channel_names:
        raise InputError("channel", channel, f"choose among {data.channel_names}")
    number = data.channel_names.index(channel) if isinstance(channel, str) else channel
    if not 0 <= number < data.n_channels:
        raise InputError("channel", channel, f"choose 0 to {data.n_channels - 1}")
    chosen = data.by_patient(patient, lazy=data.lazy)
    unit = f" {data.source['unit']}" if "unit" in data.source else ""
    trials = list(dict.fromkeys(chosen.trial.tolist()))
    shown = trials[: max(1, max_trials)]
    figure = Figure(figsize=(8, 1.2 + 1.8 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axis, trial in zip(axes, shown, strict=True):
        rows = np.flatnonzero(chosen.trial == trial)
        values = np.asarray(chosen.X[rows])[:, :, number]
        low, high = np.nanpercentile(values, [1, 99])
        offset = max(float(high - low), 1e-9)
        for place, (row, series) in enumerate(zip(rows, values, strict=True)):
            seconds = np.arange(data.n_timesteps) / chosen.sampling_rate[row]
            axis.plot(seconds, series - place * offset, linewidth=0.8)
        names = sorted({chosen.label_text(int(row)) for row in rows})
        axis.set_ylabel(f"trial {trial}\n{', '.join(names)}", fontsize=8)
        axis.set_yticks([])
        axis.text(
            1.0, 1.01, f"lines {offset:.3g}{unit} apart", transform=axis.transAxes, ha="right",
            va="bottom", fontsize=7,
        )  # fmt: skip
    axes[-1].set_xlabel("seconds")
    figure.suptitle(
        f"{data.name}: patient {patient}, {data.channel_names[number]}, "
        f"{len(shown)} of {len(trials)} trials",
        fontsize=10,
    )
    return figure
