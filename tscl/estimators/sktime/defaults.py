"""What the sktime forecaster takes for settings left open: by length, frequency, validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tscl.forecasters.choices import SHORT


def network_settings(length: int, horizon: int, n_steps: int) -> dict[str, Any]:
    """A small network: dilated convolutions over patches beside a linear map of the past.

    Args:
        length: steps of the past.
        horizon: steps of the future.
        n_steps: of all series together.
    """
    width = 16 if n_steps < SHORT else 32
    most = min(horizon, max(1, length // 12))
    patch = max(p for p in (1, 2, 3, 4, 6, 8, 12) if p <= most)
    return {
        "encoder": "dilated",
        "encoder_params": {"hidden_dims": width, "depth": 1 if n_steps < SHORT else 2},
        "network_params": {
            "output_dims": width,
            "decoder_dims": 0 if n_steps < SHORT else width,
            "patch": patch,
            "skip": "linear",
        },
    }


def training_settings(n_windows: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Batch size, stride between windows, epochs and steps: a bounded number of steps.

    Args:
        n_windows: for training, at a stride of 1.
        options: settings of the forecaster; those that are None are chosen.
    """
    batch = options["batch_size"] or (16 if n_windows < SHORT else 64)
    stride = options["stride"] or max(1, n_windows // (100 * batch))
    epochs = options["max_epochs"]
    steps = options["max_steps"]
    if epochs is None:
        epochs = 20 if n_windows < SHORT else 8
        steps = steps or 800
    return {"batch_size": batch, "stride": stride, "max_epochs": epochs, "max_steps": steps}


def describe(settings: Mapping[str, Any]) -> str:
    """The choices in a line."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())
