"""Weights that were trained elsewhere, for a job's recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_loaders.eeg.channels import canonical_channel
from tscl.encoders.base import Encoder
from tscl.encoders.new_input import with_new_input
from tscl.errors import ConfigError
from tscl.estimators.pretrained import HOME, pretrained_names
from tscl.saving.encoder import load_encoder


def load_weights(
    key: str, weights: str, names: Sequence[str], rate: float, channels: str, seed: int
) -> tuple[Encoder, dict[str, Any]]:
    """An encoder trained elsewhere, and its card.

    Args:
        key: of the configuration, for errors.
        weights: folder of a saved encoder, or one of :func:`pretrained_names`.
        names: of the recordings' channels, in order.
        rate: of the recordings, Hz.
        channels: ``match`` takes the encoder as it is, for the channels it was trained on;
            ``new_input`` draws its input layer anew for those of the recordings.
        seed: of a new input layer.

    Raises:
        ConfigError: another rate than the card's, or channels that are not those of the card.
        CheckpointError: files that are missing or damaged.
    """
    shipped = weights in pretrained_names()
    encoder, card = load_encoder(HOME / weights if shipped else Path(weights))
    how = dict(card.get("preprocessing") or {})
    known = how.get("sampling_rate", how.get("rate"))
    if known and float(known) != rate:
        remedy = f"these weights are of {known:g} Hz: read the recordings at that rate"
        raise ConfigError(f"{key}.weights", f"recordings at {rate:g} Hz", remedy)
    if channels == "new_input":
        return with_new_input(encoder, len(names), seed), card
    wanted = [str(name) for name in how.get("channels") or how.get("leads") or ()]
    if all(name == f"ch{place}" for place, name in enumerate(wanted)):
        fits = len(names) == encoder.input_dims
    else:
        fits = len(names) == len(wanted) and all(
            canonical_channel(name) in map(canonical_channel, spelled.split("|"))
            for name, spelled in zip(names, wanted, strict=True)
        )
    if not fits:
        expected = ", ".join(wanted) or f"{encoder.input_dims} channels"
        remedy = f"the weights take {expected} in this order: read these, or say new_input"
        raise ConfigError(f"{key}.channels", ", ".join(names), remedy)
    return encoder, card
