"""A trained encoder as a directory: safetensors weights and a JSON card, never pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from tscl import __version__
from tscl.disk import sha256_of
from tscl.encoders.base import ENCODERS, Encoder
from tscl.errors import CheckpointError, ConfigError, InputError
from tscl.training.storage import (
    load_module,
    load_tensors,
    read_json,
    save_tensors,
    sha256_of_json,
    write_json,
)

FORMAT = 2
"""Format 1 had no checksum of the JSON values; it is still read."""


def save_encoder(folder: Path, encoder: nn.Module, card: dict[str, Any] | None = None) -> None:
    """Write ``encoder.safetensors`` and ``encoder.json`` into ``folder``.

    Args:
        encoder: a registered encoder.
        card: JSON facts to keep beside the weights (data hash, preprocessing, metrics, licence).

    Raises:
        InputError: the encoder is not a registered one and could not be rebuilt.
    """
    name = getattr(encoder, "name", None)
    if not isinstance(encoder, Encoder) or name not in ENCODERS.names():
        raise InputError(
            "encoder", type(encoder).__name__, "register the class in ENCODERS to save it by name"
        )
    save_tensors(folder / "encoder.safetensors", encoder.state_dict())
    head = {
        "format": FORMAT,
        "tscl": __version__,
        "encoder": name,
        "config": encoder.config(),
        "causal": encoder.causal,
        "receptive_field": encoder.receptive_field,
        "sha256": sha256_of(folder / "encoder.safetensors"),
    }
    head |= {"head_sha256": sha256_of_json(head), "card": card or {}}
    write_json(folder / "encoder.json", head)


def load_encoder(folder: Path) -> tuple[Encoder, dict[str, Any]]:
    """Rebuild an encoder saved by :func:`save_encoder`; returns it with its card.

    Raises:
        CheckpointError: missing or damaged file, other format, or weights of another shape.
    """
    head = read_json(folder / "encoder.json")
    if not isinstance(head, dict) or head.get("format") not in (1, FORMAT):
        raise CheckpointError("encoder.json", folder, f"this version reads formats 1 to {FORMAT}")
    signed = {key: head[key] for key in head if key not in ("head_sha256", "card")}
    if head["format"] > 1 and sha256_of_json(signed) != head.get("head_sha256"):
        raise CheckpointError("encoder.json", folder, "damaged or changed by hand")
    weights = folder / "encoder.safetensors"
    if not weights.is_file() or sha256_of(weights) != head.get("sha256"):
        raise CheckpointError("encoder.safetensors", folder, "missing, damaged or cut short")
    try:
        with torch.random.fork_rng(devices=[]):
            encoder = ENCODERS.build(str(head["encoder"]), **dict(head["config"]))
    except (ConfigError, InputError, KeyError, TypeError) as error:
        raise CheckpointError("encoder.json", folder, f"cannot be rebuilt: {error}") from error
    load_module(encoder, load_tensors(weights), "encoder weights")
    encoder.eval()
    return encoder, dict(head.get("card", {}))
