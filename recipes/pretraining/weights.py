"""Shipped weights: the encoder in half precision and a card that says how it came to be."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_loaders.container.recordings import Recordings
from tscl.saving.card import ModelCard
from tscl.saving.encoder import save_encoder
from tscl.training.settings import TrainResult, TrainSettings


def save_weights(
    out: Path,
    result: TrainResult,
    recordings: Recordings,
    settings: TrainSettings,
    *,
    data: Mapping[str, str],
    preprocessing: Mapping[str, Any],
    recipe: str,
) -> None:
    """Write the trained encoder and its card to ``out/weights``.

    Args:
        out: folder of the training.
        result: what it gave.
        recordings: trained on.
        settings: trained with.
        data: name, source, licence and attribution of the recordings.
        preprocessing: what they went through.
        recipe: path of the script in the repository.
    """
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    hours = round(float(recordings.seconds.sum()) / 3600, 1)
    card = ModelCard(
        "knowledge_distillation",
        data={**data, "records": len(recordings), "hours": hours},
        preprocessing=dict(preprocessing),
        training={
            "recipe": recipe,
            "commit": head.stdout.strip(),
            "steps": result.steps,
            "settings": settings.model_dump(mode="json"),
            "last_losses": result.history[-1],
        },
        licence=f"as the project; the data: {data['licence']}, give attribution",
    )
    save_encoder(out / "weights", result.encoder, card, half=True)
